"""Chunks out of dependencies: the base phrases of a sentence, which need no licence.

CoNLL-2000's chunks come from the Penn Treebank's brackets (Tjong Kim Sang and Buchholz, 2000).
These have its names and are cut by rules of our own, so no score on them compares with one on
those: a word joins its head's chunk along the relations of `joins`, and a chunk ends where another
word stands between.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

OUTSIDE = "O"
# The chunk that a word of each universal part of speech is the head of; of the others none.
KINDS = {
    **dict.fromkeys(("NOUN", "PROPN", "PRON", "NUM", "DET"), "NP"),
    **dict.fromkeys(("VERB", "AUX"), "VP"),
    "ADJ": "ADJP",
    "ADV": "ADVP",
    "ADP": "PP",
    "SCONJ": "SBAR",
}
WITHIN = ("det", "amod", "nummod", "compound", "flat", "fixed", "goeswith")


class Word(NamedTuple):
    """What chunks are made of. head: its number, 0 for the root."""

    part_of_speech: str
    head: int
    relation: str


def universal(relation: str) -> str:
    """nsubj:pass -> nsubj."""
    return relation.partition(":")[0]


def joins(word: Word, head: Word) -> bool:
    """Whether a word is of its head's chunk.

    Determiners, modifiers before a noun, parts of names and of fixed expressions (give up);
    owners and their 's; auxiliaries, `to` and `not` of a verb; adverbs of degree (very big).
    """
    if word.part_of_speech == "PART":
        return head.part_of_speech in ("VERB", "NOUN", "PROPN", "PRON")
    relation = universal(word.relation)
    if relation == "aux":
        return head.part_of_speech == "VERB"
    if relation == "advmod":
        return head.part_of_speech in ("ADJ", "ADV", "NUM")
    return relation in WITHIN or word.relation == "nmod:poss"


def lost(heads: Mapping[int, int]) -> int | None:
    """The first word from which no heads lead to the root; None where they do from all."""
    for word in heads:
        above = word
        for _ in heads:
            above = heads[above] if above else 0
        if above:
            return word
    return None


def chunk_tags(words: Mapping[int, Word], numbers: Sequence[int]) -> list[str]:
    """B-NP, I-NP, ..., O of the words with these numbers. Heads must lead to the root."""
    tags = list[str]()
    before: tuple[int, str] | None = None
    for number in numbers:
        group = _group(words, number)
        kind = group[1]
        tags.append(f"{'I' if group == before else 'B'}-{kind}" if kind else OUTSIDE)
        before = group
    return tags


def _group(words: Mapping[int, Word], number: int) -> tuple[int, str]:
    """The word at the head of a word's chunk, and the chunk's kind."""
    word = words[number]
    while word.head and joins(word, words[word.head]):
        number, word = word.head, words[word.head]
    if word.head and word.part_of_speech in ("AUX", "PART"):
        return -word.head, "VP"  # will not be, of a predicate that is no verb: they are one chunk
    return number, KINDS.get(word.part_of_speech, "")
