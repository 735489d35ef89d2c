"""Metrics of ranked lists (XTREME-R): LAReQA's mAP@20 and Mewsli-X's MAP@20; fractions out.

The rules are those of XTREME's third_party/utils_lareqa.py and utils_mewslix.py.
"""

from __future__ import annotations

from collections.abc import Collection, Hashable, Mapping, Sequence

import numpy as np
import numpy.typing as npt

TOP_K = 20
SCORES_AT_ONCE = 2**26  # of a block of queries against all candidates: 256 MiB


def average_precision_at_k(
    targets: Collection[Hashable], ranked: Sequence[Hashable], k: int | None = TOP_K
) -> float:
    """Average precision of a ranking cut at k (None: whole), over min(targets, k).

    A target that is ranked twice counts once.
    """
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
    """The k candidates of highest dot product for each query, best first; of equal ones the first.

    Nothing is normalised: LAReQA scores by the plain product.
    """
    width = len(candidates) if k is None else min(k, len(candidates))
    block = max(1, min(block, SCORES_AT_ONCE // max(1, len(candidates))))
    result = np.zeros((len(queries), width), dtype=np.int64)
    for start in range(0, len(queries), block):
        for row, scores in enumerate(queries[start : start + block] @ candidates.T, start):
            # Whatever equals the k-th best may be among them: the first of equals counts.
            worst = np.partition(scores, -width)[-width]
            among = np.flatnonzero(scores >= worst)
            result[row] = among[np.argsort(-scores[among], kind="stable")[:width]]
    return result


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
