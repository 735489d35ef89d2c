"""Metrics of ranked lists (XTREME-R): LAReQA's mAP@20 and Mewsli-X's MAP@20; fractions out.

The rules are those of XTREME's third_party/utils_lareqa.py and utils_mewslix.py.
"""

from __future__ import annotations

from collections.abc import Collection, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

TOP_K = 20


def average_precision_at_k(
    targets: Collection[Hashable], ranked: Sequence[Hashable], k: int | None = TOP_K
) -> float:
    """AP of a ranking cut at k (None: whole) over min(targets, k); a repeat is no hit."""
    if not targets:
        raise ValueError("a query without a right answer has no average precision")
    open_targets = set(targets)
    best = len(open_targets) if k is None else min(len(open_targets), k)
    hits, total = 0, 0.0
    for rank, item in enumerate(ranked[:k], 1):
        if item in open_targets:
            open_targets.remove(item)
            hits += 1
            total += hits / rank
    return total / best


def map_at_k(
    targets: Sequence[Collection[Hashable]],
    rankings: Sequence[Sequence[Hashable]],
    k: int | None = TOP_K,
) -> float:
    """Mean of `average_precision_at_k` over the queries."""
    if len(targets) != len(rankings):
        raise ValueError(f"{len(rankings)} rankings for {len(targets)} queries")
    if not targets:
        raise ValueError("no queries to score")
    pairs = zip(targets, rankings, strict=True)
    return sum(average_precision_at_k(wanted, ranked, k) for wanted, ranked in pairs) / len(targets)


def rank(
    queries: npt.NDArray[np.floating],
    candidates: npt.NDArray[np.floating],
    k: int | None = TOP_K,
    block: int = 1024,
) -> npt.NDArray[np.int64]:
    """The k candidates of highest dot product for every query, best first, of equal ones the first.

    Nothing is normalised: LAReQA scores by the plain product.
    """
    width = len(candidates) if k is None else min(k, len(candidates))
    result = np.zeros((len(queries), width), dtype=np.int64)
    for start in range(0, len(queries), block):
        scores = queries[start : start + block] @ candidates.T
        order = np.argsort(-scores, axis=1, kind="stable")
        result[start : start + block] = order[:, :width]
    return result


@dataclass(frozen=True)
class LareqaPool:
    """LAReQA's questions and candidate sentences of all languages, in the official order.

    Questions are (uid, text), candidates (uid, sentence, paragraph); `answers` holds for a question
    id without language the uids of the right candidates in every language.
    """

    questions: list[tuple[str, str]]
    candidates: list[tuple[str, str, str]]
    answers: dict[str, list[str]]

    def targets(self) -> list[list[str]]:
        """The right candidates of each question, its own language's included."""
        return [self.answers[uid.rsplit("_", 1)[0]] for uid, _ in self.questions]


def lareqa_pool(files: Mapping[str, Mapping[str, Any]]) -> LareqaPool:
    """{language: content of xquad-r/<language>.json} -> the pool.

    A question is skipped whose answer starts in no sentence; a paragraph's sentences are candidates
    once one of its questions is not; a sentence that stands twice in it is right twice.
    """
    pool = LareqaPool([], [], {})
    for language, content in files.items():
        paragraphs = [entry for article in content["data"] for entry in article["paragraphs"]]
        for number, paragraph in enumerate(paragraphs, 1):
            _add_paragraph(pool, paragraph, language, number)
    return pool


def _add_paragraph(
    pool: LareqaPool, paragraph: Mapping[str, Any], language: str, number: int
) -> None:
    context, breaks = paragraph["context"], paragraph["sentence_breaks"]
    sentences = [context[start:end] for start, end in breaks]
    uids = [f"{language}_{number}_{position}" for position in range(len(sentences))]
    kept = False
    for question in paragraph["qas"]:
        begin = question["answers"][0]["answer_start"]
        right = next((context[start:end] for start, end in breaks if start <= begin < end), None)
        if not right:
            continue
        pool.questions.append((f"{question['id']}_{language}", question["question"]))
        found = (uid for uid, sentence in zip(uids, sentences, strict=True) if sentence == right)
        pool.answers.setdefault(question["id"], []).extend(found)
        kept = True
    if kept:
        pool.candidates.extend(
            (uid, sentence, context) for uid, sentence in zip(uids, sentences, strict=True)
        )


def mewslix(
    predictions: Mapping[str, Sequence[str]],
    references: Mapping[str, Sequence[str]],
    k: int = TOP_K,
) -> float:
    """Mean reciprocal rank, cut at k, of each mention's first gold entity; called MAP@20.

    Gold ids are stripped, predicted ones are not; a mention without prediction counts 0.
    """
    if not references:
        raise ValueError("no mentions to score")
    total = 0.0
    for mention, golds in references.items():
        gold, ranked = golds[0].strip(), list(predictions.get(mention, ()))[:k]
        if gold in ranked:
            total += 1 / (ranked.index(gold) + 1)
    return total / len(references)
