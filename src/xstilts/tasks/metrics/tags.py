"""Chunk F1 of tagged sentences (PAN-X and UDPOS): lists of tags in, fractions out.

XTREME's evaluate.py calls seqeval and does not say which; its rules changed between 0.0.13 and
0.0.16. XTREME's own constant for UDPOS on its mock data comes out with 0.0.12, our default.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache
from typing import Literal

Convention = Literal["seqeval-0.0.12", "seqeval-1.2.2"]
Chunk = tuple[str, int, int]

OUTSIDE = "O"
# The two prefixes that never open or close a chunk by a mere change of type.
_INERT = frozenset({"O", "."})


@cache
def _split(tag: str, convention: Convention) -> tuple[str, str]:
    """(prefix, type) of a tag: the first character, and what the convention takes as its type.

    0.0.12: the text after the last hyphen, a bare tag whole. 1.2.2: the tag without its first
    character, then what follows the first hyphen, `_` if that is nothing; so bare CCONJ and SCONJ
    share the type CONJ there.
    """
    if convention == "seqeval-0.0.12":
        return tag[:1], tag.rsplit("-", 1)[-1]
    return tag[:1], tag[1:].split("-", 1)[-1] or "_"


def _ends(before: str, now: str, changed: bool) -> bool:
    """Whether the chunk that was open closes before the tag with the prefix `now`."""
    if before in {"E", "S"} or (before in {"B", "I"} and now in {"B", "S", "O"}):
        return True
    return changed and before not in _INERT


def _starts(before: str, now: str, changed: bool) -> bool:
    """Whether a chunk opens here; an I- without B- does, as in conlleval."""
    if now in {"B", "S"} or (before in {"E", "S", "O"} and now in {"E", "I"}):
        return True
    return changed and now not in _INERT


def _joined(sentences: Sequence[Sequence[str]]) -> Iterator[str]:
    """All tags in a row, an O after each sentence so that no chunk goes on, one more at the end."""
    for sentence in sentences:
        yield from sentence
        yield OUTSIDE
    yield OUTSIDE


def chunks(sentences: Sequence[Sequence[str]], convention: Convention) -> set[Chunk]:
    """(type, first, last) of every chunk, positions counted over all sentences.

    As `get_entities` of seqeval, its quirk included: the start is never reset, so a chunk that ends
    without having been opened begins where the last one did.
    """
    closed: set[Chunk] = set()
    start, before, type_before = 0, OUTSIDE, ""
    for position, tag in enumerate(_joined(sentences)):
        now, type_now = _split(tag, convention)
        changed = type_now != type_before
        if _ends(before, now, changed):  # before _starts: one tag may end a chunk and begin one
            closed.add((type_before, start, position - 1))
        if _starts(before, now, changed):
            start = position
        before, type_before = now, type_now
    return closed


def chunk_scores(
    predictions: Sequence[Sequence[str]],
    references: Sequence[Sequence[str]],
    convention: Convention = "seqeval-0.0.12",
) -> dict[str, float]:
    """Micro precision, recall and f1 over the chunks of all sentences; 0 where there is none."""
    _check(predictions, references)
    predicted, gold = chunks(predictions, convention), chunks(references, convention)
    correct = len(predicted & gold)
    if not correct:
        return {"precision": 0.0, "recall": 0.0, "f1": 0.0}
    precision, recall = correct / len(predicted), correct / len(gold)
    return {
        "precision": precision,
        "recall": recall,
        "f1": 2 * precision * recall / (precision + recall),
    }


def token_accuracy(
    predictions: Sequence[Sequence[str]], references: Sequence[Sequence[str]]
) -> float:
    """The share of equal tags over all tokens; not the number that XTREME gives for POS."""
    _check(predictions, references)
    total = sum(map(len, references))
    if not total:
        raise ValueError("no tokens to score")
    correct = sum(
        p == r
        for predicted, gold in zip(predictions, references, strict=True)
        for p, r in zip(predicted, gold, strict=True)
    )
    return correct / total


def _check(predictions: Sequence[Sequence[str]], references: Sequence[Sequence[str]]) -> None:
    """ValueError unless each token has one predicted tag: a cut sentence would score too high."""
    if len(predictions) != len(references):
        raise ValueError(f"{len(predictions)} tagged sentences for {len(references)} references")
    for number, (predicted, gold) in enumerate(zip(predictions, references, strict=True), 1):
        if len(predicted) != len(gold):
            raise ValueError(f"sentence {number}: {len(predicted)} tags for {len(gold)} tokens")
