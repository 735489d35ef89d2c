"""Sentence mining (BUCC) and nearest sentences (Tatoeba): arrays in, rows and scores out.

The rules are those of XTREME's third_party/utils_retrieve.py (there with faiss), computed in
blocks: besides the vectors there is never more in memory than a strip of them and, for each thread,
a piece of a block's products, so 400,000 x 400,000 rows of 1,024 numbers fit in 8 GiB.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import product
from typing import Literal

import numpy as np
import numpy.typing as npt
from threadpoolctl import threadpool_info, threadpool_limits

Floats = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]
Indices = npt.NDArray[np.int64]
Pair = tuple[str, str]
Offers = tuple[Indices, Indices, Floats]  # owners, partners, similarities

BLOCK = 4096
PIECES = 2  # that a block is cut into, by rows: what one thread multiplies and compares at a time
STRIP = 8  # blocks of one side that meet a block of the other while it is at hand, normalised


@dataclass(frozen=True)
class Candidates:
    """Mined pairs: their scores, and the row of each sentence (of equal texts the last)."""

    scores: Doubles
    sources: Indices
    targets: Indices


class Nearest:
    """Each row's k best partners so far, by falling similarity; the lower row wins a tie."""

    def __init__(self, rows: int, neighbours: int) -> None:
        self.scores: Floats = np.full((rows, neighbours), -np.inf, dtype=np.float32)
        self.partners: Indices = np.full((rows, neighbours), -1, dtype=np.int64)

    def offer(self, owners: Indices, partners: Indices, scores: Floats) -> None:
        """Let (owner, partner, similarity) triples compete with the best so far."""
        touched, width = np.unique(owners), self.scores.shape[1]
        owners = np.concatenate((owners, np.repeat(touched, width)))
        partners = np.concatenate((partners, self.partners[touched].ravel()))
        scores = np.concatenate((scores, self.scores[touched].ravel()))
        order = np.lexsort((partners, -scores, owners))
        first = np.searchsorted(owners[order], touched)
        kept = order[first[:, None] + np.arange(width)]
        self.scores[touched], self.partners[touched] = scores[kept], partners[kept]


def mine(
    source: npt.NDArray[np.floating],
    target: npt.NDArray[np.floating],
    source_texts: Sequence[str],
    target_texts: Sequence[str],
    neighbours: int = 4,
    search: Search | None = None,
) -> Candidates:
    """Pairs by XTREME's rule for BUCC: ratio margin, best of both sides, one-to-one, score > 0.

    Vectors are (rows, dimension), not yet normalised; texts are the lines themselves, one a row.
    search: how each row's nearest are found; None: neighbours_of, on the processor.
    """
    x_rows, y_rows = _checked(source, source_texts), _checked(target, target_texts)
    if not len(x_rows) or not len(y_rows):
        return Candidates(np.zeros(0), np.zeros(0, np.int64), np.zeros(0, np.int64))
    forward, backward = (search or neighbours_of)(
        SideVectors(source, x_rows), SideVectors(target, y_rows), neighbours
    )
    x_mean, y_mean = forward.scores.mean(axis=1), backward.scores.mean(axis=1)
    x_best, y_best = _best(forward, x_mean, y_mean), _best(backward, y_mean, x_mean)
    scores, sources, targets = _one_to_one(x_best, y_best)
    return Candidates(scores, x_rows[sources], y_rows[targets])


def _checked(vectors: npt.NDArray[np.floating], texts: Sequence[str]) -> Indices:
    """The row that stands for each distinct text: its last one, as in XTREME's script.

    The texts keep the order in which they first occur. ValueError where vectors are missing.
    """
    if len(vectors) != len(texts):
        raise ValueError(f"{len(vectors)} vectors for {len(texts)} texts")
    last = {text: row for row, text in enumerate(texts)}
    return np.fromiter(last.values(), dtype=np.int64, count=len(last))


class SideVectors:
    """Chosen rows of an array, normalised by blocks, so that the array is never copied whole."""

    def __init__(self, array: npt.NDArray[np.floating], rows: Indices) -> None:
        self.array, self.rows = array, rows

    def __len__(self) -> int:
        return len(self.rows)

    def block(self, start: int, size: int) -> Floats:
        return _normalise(
            self.array[self.rows[start : start + size]].astype(np.float32, copy=False)
        )


def _normalised(vectors: npt.NDArray[np.floating]) -> Floats:
    """Indices of length 1 in float32, in a new array."""
    return _normalise(np.array(vectors, dtype=np.float32))


def _normalise(rows: Floats) -> Floats:
    """Scale the rows to length 1, in place; a row of zeros stays one, as in faiss."""
    lengths = np.sqrt(np.einsum("ij,ij->i", rows, rows))
    rows /= np.where(lengths > 0, lengths, np.float32(1))[:, None]
    return rows


Search = Callable[[SideVectors, SideVectors, int], tuple[Nearest, Nearest]]


def neighbours_of(
    x: SideVectors, y: SideVectors, neighbours: int, block: int = BLOCK
) -> tuple[Nearest, Nearest]:
    """The nearest targets of every source and the reverse, from one pass over the cosines."""
    forward = Nearest(len(x), min(neighbours, len(y)))
    backward = Nearest(len(y), min(neighbours, len(x)))
    piece, room = min(max(block // PIECES, 1), len(x)), threading.local()

    def furnish() -> None:
        """A thread's own arrays: fresh memory for each product would cost more than comparing."""
        room.cosines = np.empty(piece * min(block, len(y)), np.float32)
        room.above = np.empty(piece * min(block, len(y)), np.bool_)

    def meet(strip: Floats, y_block: Floats, first: int, column: int, start: int) -> Offers:
        """Let a piece of the strip compete for its targets; what its targets are to compare."""
        x_block = strip[start : start + piece]
        shape, area = (len(x_block), len(y_block)), len(x_block) * len(y_block)
        cosines, above = room.cosines[:area].reshape(shape), room.above[:area].reshape(shape)
        np.matmul(x_block, y_block.T, out=cosines)
        place = first + start, column
        forward.offer(*_promising(cosines, forward, place, 1, above))
        return _promising(cosines, backward, place, 0, above)

    # Threads that share out products of one thread each are faster than one product of them all:
    # they share the comparing, too, and none waits, busily, for the next product.
    libraries = threadpool_info()
    threads = max((lib["num_threads"] for lib in libraries if lib["user_api"] == "blas"), default=1)
    tall, strip = STRIP * block, x.block(0, 0)
    workers = min(threads, STRIP * PIECES)  # a strip has no more pieces
    with threadpool_limits(1, "blas"), ThreadPoolExecutor(workers, initializer=furnish) as pool:
        for first, column in product(range(0, len(x), tall), range(0, len(y), block)):
            strip = x.block(first, tall) if column == 0 else strip
            task = partial(meet, strip, y.block(column, block), first, column)
            for offers in pool.map(task, range(0, len(strip), piece)):
                backward.offer(*offers)
    return forward, backward


def _promising(
    block: Floats,
    nearest: Nearest,
    place: tuple[int, int],
    axis: Literal[0, 1],
    mask: npt.NDArray[np.bool_],
) -> Offers:
    """The values of a block that may enter the k best along `axis`, as offers.

    place: the row and column of the block's first value. mask: an array of the block's shape, which
    is written over. Blocks are offered in the order of their partners, so one that only equals the
    worst kept loses to it.
    """
    width, start = nearest.scores.shape[1], place[1 - axis]
    floor = nearest.scores[start : start + block.shape[1 - axis], -1].copy()
    if block.shape[axis] > width and np.isneginf(floor).any():
        # The k-th best of the maxima of parts is no better than the k-th best, and soon found.
        parts = np.array_split(block, min(8 * width, block.shape[axis]), axis=axis)
        peaks = np.stack([part.max(axis=axis) for part in parts], axis=axis)
        bound = np.partition(peaks, -width, axis=axis).take(-width, axis=axis)
        floor = np.maximum(floor, np.nextafter(bound, np.float32(-np.inf)))
    np.greater(block, np.expand_dims(floor, axis), out=mask)
    flat = np.flatnonzero(mask).astype(np.int64, copy=False)
    pair = np.divmod(flat, block.shape[1])
    owners, partners = pair[1 - axis] + place[1 - axis], pair[axis] + place[axis]
    return owners, partners, block.ravel()[flat]


Best = tuple[Doubles, Indices]


def _best(nearest: Nearest, own_mean: Floats, other_mean: Floats) -> Best:
    """(score, partner) of the neighbour with the highest margin, for every row.

    The margin is the cosine's ratio to the mean cosine of both sentences' neighbours.
    """
    around = (own_mean[:, None] + other_mean[nearest.partners]) / np.float32(2)
    with np.errstate(divide="ignore", invalid="ignore"):
        scores = (nearest.scores / around).astype(np.float64)
    choice = scores.argmax(axis=1)
    rows = np.arange(len(scores))
    return scores[rows, choice], nearest.partners[rows, choice]


def _one_to_one(x_best: Best, y_best: Best) -> tuple[Doubles, Indices, Indices]:
    """Both sides' best pairs by falling score, of which each sentence is taken once.

    As in XTREME's script, a pair of score 0 or less uses up its two sentences but is not kept.
    """
    scores = np.concatenate((x_best[0], y_best[0]))
    sources = np.concatenate((np.arange(len(x_best[0])), y_best[1]))
    targets = np.concatenate((x_best[1], np.arange(len(y_best[0]))))
    source_free, target_free = [True] * len(x_best[0]), [True] * len(y_best[0])
    order = np.argsort(-scores, kind="stable")
    kept = []
    walk = zip(order.tolist(), sources[order].tolist(), targets[order].tolist(), strict=True)
    for candidate, source, target in walk:
        if source_free[source] and target_free[target]:
            source_free[source] = target_free[target] = False
            kept.append(candidate)
    chosen = np.array(kept, dtype=np.int64)
    chosen = chosen[scores[chosen] > 0]
    return scores[chosen], sources[chosen], targets[chosen]


Named = tuple[Sequence[str], Sequence[str]]


def pair_scores(candidates: Candidates, source: Named, target: Named) -> dict[Pair, float]:
    """{(source id, target id): score} in the candidates' order; a side is (ids, texts).

    XTREME gives no id to a sentence that stands on more than one line of its side (outer white
    space aside), so it is never extracted. jiant names every line of the merged text, which does
    not compare with XTREME's numbers.
    """
    ids = [_ids_once(*side) for side in (source, target)]
    result: dict[Pair, float] = {}
    columns = (candidates.scores.tolist(), candidates.sources.tolist(), candidates.targets.tolist())
    for score, x, y in zip(*columns, strict=True):
        pair = ids[0][x], ids[1][y]
        if pair[0] is not None and pair[1] is not None:
            result[pair[0], pair[1]] = score
    return result


def _ids_once(ids: Sequence[str], texts: Sequence[str]) -> list[str | None]:
    """The ids, None where the text is on more than one line."""
    if len(ids) != len(texts):
        raise ValueError(f"{len(ids)} ids for {len(texts)} texts")
    bare = [text.strip() for text in texts]
    lines = Counter(bare)
    return [name if lines[text] == 1 else None for name, text in zip(ids, bare, strict=True)]


def tune_threshold(scores: Mapping[Pair, float], gold: Collection[Pair]) -> float:
    """The score above which F1 on `gold` is best: midway to the next candidate, 0 if none is right.

    Where the last candidate is the best place, XTREME's script stops with an IndexError; here the
    threshold is then that candidate's score.
    """
    items = sorted(scores.items(), key=lambda item: -item[1])
    wanted = set(gold)
    correct, best, threshold = 0, 0.0, 0.0
    for taken, (pair, score) in enumerate(items, 1):
        correct += pair in wanted
        if not correct:
            continue
        # The official expression: a shorter one rounds otherwise, and then equal F1s are not equal.
        precision, recall = correct / taken, correct / len(wanted)
        value = 2 * precision * recall / (precision + recall)
        if value > best:
            best = value
            threshold = (score + items[taken][1]) / 2 if taken < len(items) else score
    return threshold


def mining_f1(
    pairs: Collection[tuple[str, ...]], gold: Collection[tuple[str, ...]]
) -> dict[str, float]:
    """Precision, recall, f1 of two sets of pairs as `bucc_f1` of evaluate.py; 0 if disjoint."""
    predicted, wanted = set(pairs), set(gold)
    correct = len(predicted & wanted)
    if not correct:
        return {"precision": 0.0, "recall": 0.0, "f1": 0.0}
    precision, recall = correct / len(predicted), correct / len(wanted)
    return {
        "precision": precision,
        "recall": recall,
        "f1": 2 * precision * recall / (precision + recall),
    }


def nearest(
    queries: npt.NDArray[np.floating], database: npt.NDArray[np.floating], block: int = BLOCK
) -> Indices:
    """The row of the vector closest to each query, of equally close ones the first.

    XTREME's Tatoeba: queries are the English sentences, the database the others, by cosine.
    """
    if not len(database):
        raise ValueError("no vectors to search in")
    result = np.zeros(len(queries), dtype=np.int64)
    for start in range(0, len(queries), block):
        wanted = _normalised(queries[start : start + block])
        best = np.full(len(wanted), -np.inf, dtype=np.float32)
        for first in range(0, len(database), block):
            closeness = wanted @ _normalised(database[first : first + block]).T
            choice = closeness.argmax(axis=1)
            value = closeness[np.arange(len(wanted)), choice]
            better = value > best
            result[start : start + block][better] = choice[better] + first
            best[better] = value[better]
    return result
