"""Scores a folder of predictions against one of labels as XTREME's evaluate.py does, in percent.

Both folders hold <task>/test-<language>.tsv (.json for question answering and ranking, .jsonl for
XCOPA). A task counts if both folders have it; a language file missing inside it is an error, as
there. Where evaluate.py would stop with a traceback, a `UserError` names the file and line.
XTREME-R's LAReQA has no submission format there; here lareqa/test-<language>.json holds {question
id: ranked candidate ids} and the labels {question id: right candidate ids}.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast, get_args

from xstilts.console import aligned
from xstilts.errors import UserError, nearest
from xstilts.results.submitted import read_lines, read_object, read_questions, read_tags
from xstilts.tasks.catalogue import ENTRIES
from xstilts.tasks.catalogue.entry import Scored as Kind
from xstilts.tasks.metrics import mlqa
from xstilts.tasks.metrics.accuracy import accuracy
from xstilts.tasks.metrics.benchmark import CATEGORIES, TASKS, summary
from xstilts.tasks.metrics.mining import mining_f1
from xstilts.tasks.metrics.ranking import map_at_k, mewslix
from xstilts.tasks.metrics.squad import squad1, unanswered
from xstilts.tasks.metrics.tags import Convention, chunk_scores

Scored = tuple[dict[str, float], int]
Languages = tuple[Mapping[str, Sequence[str]], dict[str, list[str]]]  # a task's, and what it lacks

MANIFEST = "manifest.json"  # beside the tasks' folders of a submission that we wrote


@dataclass(frozen=True)
class _Files:
    """One language of one task: both files, and what a scorer may need to know of them."""

    task: str
    language: str
    predictions: Path
    labels: Path
    convention: Convention


@dataclass(frozen=True)
class _Scorer:
    """How files of a kind end and who scores one pair of them: (fractions, unanswered)."""

    suffix: str
    score: Callable[[_Files], Scored]


def score_submission(
    predictions: Path, labels: Path, benchmark: str = "xtreme", convention: str = "seqeval-0.0.12"
) -> dict[str, Any]:
    """What evaluate.py writes, in percent, and how it came about.

    Besides its scores: benchmark, convention, unanswered ({task: {language: questions without a
    prediction, or with one that is no label}}), not_scored (tasks without a folder), partial
    ({task: languages that the folder's manifest says are not in it}).
    """
    if benchmark not in TASKS:
        raise UserError(f"--benchmark {benchmark}: not a benchmark{nearest(benchmark, TASKS)}")
    known = get_args(Convention)
    if convention not in known:
        raise UserError(f"--convention {convention}: not a convention{nearest(convention, known)}")
    _folders(predictions=predictions, labels=labels)
    tasks, partial = _languages(predictions, benchmark)
    present = [t for t in tasks if (predictions / t).is_dir() and (labels / t).is_dir()]
    if not present:
        raise UserError(
            f"{predictions}: no task in common with {labels}; expected folders named as the tasks: "
            f"{', '.join(tasks)}"
        )
    per_task: dict[str, dict[str, dict[str, float]]] = {}
    missed: dict[str, dict[str, int]] = {}
    for task in present:
        per_task[task] = {}
        for language in tasks[task]:
            files = _files(predictions, labels, (task, language), cast(Convention, convention))
            metrics, count = _scorer(task).score(files)
            for name, value in metrics.items():
                per_task[task].setdefault(name, {})[language] = 100 * value
            if count:
                missed.setdefault(task, {})[language] = count
    whole = {"all_task": tuple(tasks), **CATEGORIES[benchmark]}
    no_total = [name for name, group in whole.items() if not partial.keys().isdisjoint(group)]
    means = summary(per_task, benchmark)
    return {
        **{name: value for name, value in means.items() if name not in no_total},
        "benchmark": benchmark,
        "convention": convention,
        "unanswered": missed,
        "not_scored": [task for task in tasks if task not in present],
        "partial": {task: missing for task, missing in partial.items() if task in present},
    }


def _folders(**folders: Path) -> None:
    for what, folder in folders.items():
        if not folder.is_dir():
            raise UserError(f"{folder}: no such folder; expected {what} as <task>/test-<language>")


def file_name(task: str, language: str) -> str:
    """test-de.tsv, test-de.json: what a language's file is called in XTREME's layout."""
    return f"test-{language}.{_scorer(task).suffix}"


def _languages(predictions: Path, benchmark: str) -> Languages:
    """The languages to score of each task: the benchmark's, or those that a manifest names.

    A source may have languages of its own, and a folder of `submission` may be incomplete on
    purpose.
    """
    official = TASKS[benchmark]
    path = predictions / MANIFEST
    manifest: dict[str, Any] = read_object(path) if path.is_file() else {}
    if manifest.get("benchmark") != benchmark:
        return official, {}
    try:
        written = manifest["tasks"].items()
        told = {
            task: (list(one["languages"]), [*one["expected languages"]]) for task, one in written
        }
        if not all(had for had, _ in told.values()):
            raise KeyError("languages")
    except (KeyError, TypeError, AttributeError):
        what = "expected tasks with languages, as `xstilts submission` writes"
        raise UserError(f"{path}: not a manifest; {what}; remove it") from None
    tasks = {task: told[task][0] if task in told else official[task] for task in official}
    lacking = {t: [name for name in wanted if name not in had] for t, (had, wanted) in told.items()}
    return tasks, {task: names for task, names in lacking.items() if names}


def _files(
    predictions: Path, labels: Path, cell: tuple[str, str], convention: Convention
) -> _Files:
    task, language = cell
    name = file_name(task, language)
    files = _Files(task, language, predictions / task / name, labels / task / name, convention)
    for path in (files.predictions, files.labels):
        if not path.is_file():
            raise UserError(
                f"{path}: missing; expected one file for each of {task}'s languages; add it or "
                f"leave the whole folder {task} out"
            )
    return files


# Checks


def _refuse_blanked(path: Path, found: bool, expected: str) -> None:
    """XTREME's download script strips the test labels; scoring against those means nothing."""
    if not found:
        raise UserError(
            f"{path}: holds no gold labels (blanked as in XTREME's download?); expected "
            f"{expected}; take the originals"
        )


def _same_number(files: _Files, predicted: int, gold: int, unit: str) -> None:
    if predicted != gold:
        raise UserError(
            f"{files.predictions}: {predicted} {unit}; expected {gold} as in {files.labels}"
        )


# Scorers, one a kind of file


def _score_labels(files: _Files) -> Scored:
    """Accuracy of one label a line; what is no label is wrong, and counts as unanswered.

    evaluate.py says nothing of such predictions. Raises UserError where all of them are.
    """
    known = ENTRIES[files.task].record.labels
    predicted, gold = read_lines(files.predictions), read_lines(files.labels)
    found = any(label in known for label in gold)
    _refuse_blanked(files.labels, found, " or ".join(sorted(known)))
    _same_number(files, len(predicted), len(gold), "lines")
    odd = sum(label not in known for label in predicted)
    if odd == len(predicted):
        raise UserError(
            f"{files.predictions}: no line is a label, as '{predicted[0]}'; expected "
            f"{' or '.join(sorted(known))} in each; write the labels by their names"
        )
    return {"accuracy": accuracy(predicted, gold)}, odd


def _score_line_numbers(files: _Files) -> Scored:
    """Tatoeba: accuracy of one line number a line."""
    predicted, gold = read_lines(files.predictions), read_lines(files.labels)
    numbers = {label for label in gold if label.lstrip("-").isdigit()}
    _refuse_blanked(files.labels, _differ(numbers, gold), "a line number a line, not all equal")
    _same_number(files, len(predicted), len(gold), "lines")
    return {"accuracy": accuracy(predicted, gold)}, 0


def _differ(labels: Collection[str], gold: Sequence[object]) -> bool:
    """Whether gold is real by its distinct labels: one in a file of one line, else two at least."""
    return len(labels) > (1 if len(gold) > 1 else 0)


def _score_tags(files: _Files) -> Scored:
    """Chunk F1 of one tag a line, blank lines between sentences."""
    tags = ENTRIES[files.task].record.labels
    predicted, begins = read_tags(files.predictions)
    gold, _ = read_tags(files.labels)
    known = [
        tag in tags or ("O" in tags and tag[:2] in {"B-", "I-"})  # of names, any kind
        for sentence in gold
        for tag in sentence
    ]
    # Most, not any: a stripped file holds words, and `O` and `X` are words somewhere.
    found = bool(known) and 2 * sum(known) >= len(known)
    _refuse_blanked(files.labels, found, f"{files.task} tags")
    _same_number(files, len(predicted), len(gold), "sentences")
    for begin, sentence, golds in zip(begins, predicted, gold, strict=False):
        if len(sentence) != len(golds):
            raise UserError(
                f"{files.predictions}:{begin}: {len(sentence)} tags in this sentence; expected "
                f"{len(golds)}, one for each word; tag the words that were cut too"
            )
    scores = chunk_scores(predicted, gold, files.convention)
    return {name: scores[name] for name in ("f1", "precision", "recall")}, 0


def _score_pairs(files: _Files) -> Scored:
    """BUCC: sets of lines split at tabs; a blank line is one wrong pair, an empty file scores 0."""
    gold = [tuple(line.split("\t")) for line in read_lines(files.labels)]
    _refuse_blanked(files.labels, any(len(pair) == 2 for pair in gold), "pairs of ids")
    predicted = [tuple(line.split("\t")) for line in read_lines(files.predictions)]
    scores = mining_f1(predicted, gold)
    return {name: scores[name] for name in ("f1", "precision", "recall")}, 0


def _score_answers(files: _Files) -> Scored:
    """Exact match and F1 of {question id: answer}; unknown ids are ignored, missing ones get 0.

    XTREME scores XQuAD and TyDiQA by SQuAD's English rules in every language, MLQA by its own in
    its seven languages (in a source's others by SQuAD's, as `families.span` has it).
    """
    questions = read_questions(files.labels)
    found = any(gold for _, golds in questions for gold in golds)
    _refuse_blanked(files.labels, found, "answers with text")
    predicted = read_object(files.predictions)
    for name, _ in questions:
        if not isinstance(predicted.get(name, ""), str):
            raise UserError(f"{files.predictions}: answer to {name} is not text; expected text")
    by_mlqa = ENTRIES[files.task].record.convention == "mlqa" and files.language in mlqa.LANGUAGES
    scores = (
        mlqa.mlqa(predicted, questions, files.language) if by_mlqa else squad1(predicted, questions)
    )
    return scores, unanswered(predicted, questions)


def _score_choices(files: _Files) -> Scored:
    """XCOPA: one JSON object a line, compared by its `label`."""
    gold, predicted = _read_choices(files.labels), _read_choices(files.predictions)
    _refuse_blanked(files.labels, _differ({*map(str, gold)}, gold), "labels 0 and 1")
    _same_number(files, len(predicted), len(gold), "lines")
    return {"accuracy": accuracy(predicted, gold)}, 0


def _read_choices(path: Path) -> list[object]:
    labels: list[object] = []
    for number, line in enumerate(read_lines(path), 1):
        try:
            labels.append(json.loads(line)["label"])
        except (ValueError, RecursionError, KeyError, TypeError):
            raise UserError(f'{path}:{number}: expected {{"label": 0 or 1}}; correct it') from None
    return labels


def _score_rankings(
    metric: Callable[[Mapping[str, Sequence[str]], Mapping[str, Sequence[str]]], float],
) -> Callable[[_Files], Scored]:
    """MAP@20 of {query id: ranked ids} against {query id: right ids}; a missing query counts 0."""

    def score(files: _Files) -> Scored:
        gold, predicted = read_object(files.labels), read_object(files.predictions)
        _refuse_blanked(files.labels, any(gold.values()), "{id: right ids}")
        for path, content in ((files.labels, gold), (files.predictions, predicted)):
            for name in gold:
                ids = content.get(name, ["-"])
                if not isinstance(ids, list) or (path == files.labels and not ids):
                    raise UserError(f"{path}: {name} has no list of ids; expected one; correct it")
                if odd := [i for i, one in enumerate(ids) if not isinstance(one, str)]:
                    what = f"{name}[{odd[0]}]: {type(ids[odd[0]]).__name__}"
                    raise UserError(f"{path}: {what}; expected an id as text; correct it")
        return {"map@20": metric(predicted, gold)}, len(gold.keys() - predicted.keys())

    return score


def _lareqa(predicted: Mapping[str, Sequence[str]], gold: Mapping[str, Sequence[str]]) -> float:
    return map_at_k(list(gold.values()), [predicted.get(question, ()) for question in gold])


_SCORERS: dict[Kind, _Scorer] = {
    "labels": _Scorer("tsv", _score_labels),
    "tags": _Scorer("tsv", _score_tags),
    "pairs": _Scorer("tsv", _score_pairs),
    "line numbers": _Scorer("tsv", _score_line_numbers),
    "answers": _Scorer("json", _score_answers),
    "choices": _Scorer("jsonl", _score_choices),
    "rankings": _Scorer("json", _score_rankings(_lareqa)),
    "mewslix": _Scorer("json", _score_rankings(mewslix)),
}


def _scorer(task: str) -> _Scorer:
    return _SCORERS[ENTRIES[task].scored]


def render(result: Mapping[str, Any]) -> str:
    """The result as text: averages, then every language, then what was unanswered or left out."""
    lines = [f"{result['benchmark']}, tags as {result['convention']}, percent", ""]
    tasks = [task for task in TASKS[result["benchmark"]] if task in result]
    averages = [
        (name, result[name])
        for name in ("all_task", *CATEGORIES[result["benchmark"]])
        if name in result
    ]
    averages += [(task, result[task]["avg_metric"]) for task in tasks]
    lines += aligned([(name, f"{value:.2f}") for name, value in averages])
    for task in tasks:
        metrics = [name for name, values in result[task].items() if isinstance(values, Mapping)]
        rows = [(task, *metrics)]
        for language in result[task][metrics[0]]:
            rows.append((language, *(f"{result[task][name][language]:.2f}" for name in metrics)))
        rows.append(("mean", *(f"{result[task][f'avg_{name}']:.2f}" for name in metrics)))
        lines += ["", *aligned(rows)]
    for task, counts in result["unanswered"].items():
        listed = ", ".join(f"{language} {count}" for language, count in counts.items())
        lines += ["", f"unanswered, scored 0: {task} {sum(counts.values())} ({listed})"]
    for task, missing in result["partial"].items():
        lines += ["", f"no total, as {task} lacks languages: {' '.join(missing)}"]
    if result["not_scored"]:
        lines += ["", f"not scored, so no total: {', '.join(result['not_scored'])}"]
    return "\n".join(lines)
