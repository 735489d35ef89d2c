"""Exact match and F1 of extracted answers: SQuAD 1.1 and 2.0 (evaluate-v1.1.py, evaluate-v2.0.py).

XTREME scores XQuAD and TyDiQA by the 1.1 rules in every language: English articles go, Chinese and
Thai are split at white space only. Answers in, fractions out.
"""

from __future__ import annotations

import re
import string
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence

References = Mapping[str, Sequence[str]] | Sequence[tuple[str, Sequence[str]]]

_ARTICLES = re.compile(r"\b(a|an|the)\b")
_WITHOUT_PUNCTUATION = str.maketrans("", "", string.punctuation)


def normalise(text: str) -> str:
    """Lower case, no ASCII punctuation, then no English article, single spaces.

    The order matters: `the-end` becomes `theend` and keeps its article.
    """
    bare = text.lower().translate(_WITHOUT_PUNCTUATION)
    return " ".join(_ARTICLES.sub(" ", bare).split())


def overlap_f1(predicted: Sequence[str], gold: Sequence[str]) -> float:
    """F1 of two bags of tokens; 0 where none is common, so also for two empty bags."""
    common = sum((Counter(predicted) & Counter(gold)).values())
    if not common:
        return 0.0
    precision, recall = common / len(predicted), common / len(gold)
    return 2 * precision * recall / (precision + recall)


def exact_match(prediction: str, reference: str) -> float:
    """1.0 if both normalise to the same string, else 0.0."""
    return float(normalise(prediction) == normalise(reference))


def f1(prediction: str, reference: str) -> float:
    """F1 by SQuAD 1.1: an answer that normalises to nothing gets 0 even against an empty gold."""
    return overlap_f1(normalise(prediction).split(), normalise(reference).split())


def squad1(predictions: Mapping[str, str], references: References) -> dict[str, float]:
    """exact_match and f1: best over a question's golds, mean over questions; no answer scores 0.

    A sequence of references counts a question id as often as it stands there.
    """
    return mean_of_best(predictions, references, exact_match, f1)


Compare = Callable[[str, str], float]  # prediction and gold answer -> 0 to 1


def mean_of_best(
    predictions: Mapping[str, str], references: References, match: Compare, overlap: Compare
) -> dict[str, float]:
    """The means over the questions of the best exact match and the best F1 against its golds."""
    questions = question_list(references)
    if not questions:
        raise ValueError("no questions to score")
    exact = partial = 0.0
    for question, golds in questions:
        if not golds:
            raise ValueError(f"question {question} has no gold answer")
        if question in predictions:
            answer = predictions[question]
            exact += max(match(answer, gold) for gold in golds)
            partial += max(overlap(answer, gold) for gold in golds)
    return {"exact_match": exact / len(questions), "f1": partial / len(questions)}


def question_list(references: References) -> list[tuple[str, Sequence[str]]]:
    """(id, gold answers) of every question, from either form of references."""
    return list(references.items() if isinstance(references, Mapping) else references)


def unanswered(predictions: Mapping[str, str], references: References) -> int:
    """How many questions have no prediction; each of them scored 0."""
    return sum(question not in predictions for question, _ in question_list(references))


def _raw_scores(prediction: str, golds: Iterable[str]) -> tuple[float, float]:
    """(exact, f1) of one question by the 2.0 rules, before any threshold.

    Golds that normalise to nothing are dropped; if none is left the gold is no answer, and two
    empty answers agree, unlike in 1.1.
    """
    kept = [gold for gold in map(normalise, golds) if gold] or [""]
    answer = normalise(prediction)
    exact = max(float(answer == gold) for gold in kept)
    partial = max(
        overlap_f1(answer.split(), gold.split()) if answer and gold else float(answer == gold)
        for gold in kept
    )
    return exact, partial


def squad2(
    predictions: Mapping[str, str],
    references: Mapping[str, Sequence[str]],
    na_scores: Mapping[str, float] | None = None,
    threshold: float = 1.0,
) -> dict[str, float]:
    """exact, f1 and total of SQuAD 2.0, over all questions and as HasAns_* and NoAns_*.

    A question without gold answers is unanswerable. With `na_scores` an answer counts as "" where
    its no-answer score is above `threshold`; best_exact and best_f1, with their best_*_thresh, are
    given too. Thresholds are as given, the rest fractions (total: a count). Every question needs an
    answer: the official script stops without.
    """
    raw = raw_scores(predictions, references)
    exact, partial = dict(raw["exact"]), dict(raw["f1"])
    if na_scores is not None:
        _need("no-answer score", na_scores, references)
        for question, golds in references.items():
            if na_scores[question] > threshold:
                exact[question] = partial[question] = float(not golds)
    result = _means("", list(references), exact, partial)
    answerable = [question for question, golds in references.items() if golds]
    rest = [question for question, golds in references.items() if not golds]
    if answerable:
        result |= _means("HasAns_", answerable, exact, partial)
    if rest:
        result |= _means("NoAns_", rest, exact, partial)
    if na_scores is not None:
        for name, scores in raw.items():
            best, at = _best_threshold(predictions, references, scores, na_scores)
            result |= {f"best_{name}": best, f"best_{name}_thresh": at}
    return result


def raw_scores(
    predictions: Mapping[str, str], references: Mapping[str, Sequence[str]]
) -> dict[str, dict[str, float]]:
    """{"exact": {id: score}, "f1": {id: score}} of SQuAD 2.0 before any threshold."""
    if not references:
        raise ValueError("no questions to score")
    _need("answer", predictions, references)
    scores = {
        question: _raw_scores(predictions[question], golds)
        for question, golds in references.items()
    }
    return {
        "exact": {question: pair[0] for question, pair in scores.items()},
        "f1": {question: pair[1] for question, pair in scores.items()},
    }


def _need(what: str, given: Mapping[str, object], references: Mapping[str, object]) -> None:
    missing = [question for question in references if question not in given]
    if missing:
        raise ValueError(f"{len(missing)} questions have no {what}, the first is {missing[0]}")


def _means(
    prefix: str, questions: Sequence[str], exact: Mapping[str, float], partial: Mapping[str, float]
) -> dict[str, float]:
    total = len(questions)
    return {
        f"{prefix}exact": sum(exact[question] for question in questions) / total,
        f"{prefix}f1": sum(partial[question] for question in questions) / total,
        f"{prefix}total": float(total),
    }


def _best_threshold(
    predictions: Mapping[str, str],
    references: Mapping[str, Sequence[str]],
    scores: Mapping[str, float],
    na_scores: Mapping[str, float],
) -> tuple[float, float]:
    """(best score, its threshold), walking the answers by rising no-answer score.

    At first every answer counts as empty; then they are let in one by one, equal scores in the
    order of `na_scores`. Any non-empty text for an unanswerable question counts as wrong here, even
    one that normalises to nothing, so best_exact can lie below exact. The threshold is 0 if nothing
    is gained.
    """
    current = best = float(sum(not golds for golds in references.values()))
    at = 0.0
    for question in sorted(na_scores, key=na_scores.__getitem__):
        if question not in scores:
            continue
        # An unanswerable question scored 1 as long as its answer was empty: any text loses that.
        if references[question]:
            current += scores[question]
        elif predictions[question]:
            current -= 1
        if current > best:
            best, at = current, na_scores[question]
    return best / len(scores), at
