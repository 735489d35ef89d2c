"""A sentence's syntax as Universal Dependencies would have it: relations and chunks of its tokens.

What enters: the tokens of one or two clauses. What leaves: a tag of each. For English, in whose
phrases the head noun comes before its owner.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

from xstilts_world.languages import INDIRECT, OBJECT, SUBJECT, WHEN, WHERE
from xstilts_world.speaking import Token

NOMINAL = ("NOUN", "PROPN", "PRON")
LINKS = ("CCONJ", "SCONJ")
# The relation of a phrase's head to its verb, by slot, and of other words, by part of speech.
PHRASES = {SUBJECT: "nsubj", OBJECT: "obj", INDIRECT: "obl", WHERE: "obl", WHEN: "obl"}
WORDS = {
    "DET": "det", "ADJ": "amod", "NUM": "nummod", "ADP": "case", "ADV": "advmod", "PART": "advmod",
    "AUX": "aux", "CCONJ": "cc", "SCONJ": "mark", "PUNCT": "punct",
}  # fmt: skip
CHUNKS = {
    **dict.fromkeys((*NOMINAL, "DET", "NUM", "ADJ"), "NP"),
    **dict.fromkeys(("VERB", "AUX", "PART"), "VP"),
    "ADV": "ADVP", "ADP": "PP", "SCONJ": "SBAR",
}  # fmt: skip


def relations(tokens: Sequence[Token]) -> list[str]:
    """Each token's relation to its head: the first clause has the root."""
    tags: list[str] = []
    root = "root"
    for words in _clauses(tokens):
        if words[0].pos in LINKS:
            tags.append(WORDS[words[0].pos])
            root = "conj" if words[0].pos == "CCONJ" else "advcl"
        else:
            tags += _clause(words, root)
    return tags


def _clauses(tokens: Sequence[Token]) -> list[list[Token]]:
    """The clauses, and the word between two."""
    return [list(words) for _, words in groupby(tokens, lambda token: token.pos in LINKS)]


def _clause(tokens: Sequence[Token], root: str) -> list[str]:
    """root: the relation of the clause's predicate, a verb or what `be` says of the subject."""
    heads = _heads(tokens)
    verbs = [place for place, token in enumerate(tokens) if token.pos == "VERB"]
    said = [heads[slot] for slot in (OBJECT, WHERE, WHEN) if slot in heads]
    copula = max(place for place, token in enumerate(tokens) if token.pos in ("AUX", "VERB"))
    predicate = verbs[0] if verbs else said[0] if said else copula
    tags = []
    for place, token in enumerate(tokens):
        if place == predicate:
            tags.append(root)
        elif place in heads.values():
            tags.append("advmod" if token.pos == "ADV" else PHRASES.get(token.slot, "dep"))
        elif token.pos in NOMINAL:  # a second name, or an owner
            tags.append("flat" if token.entity.startswith("I-") else "nmod")
        else:
            tags.append("cop" if place == copula and not verbs else WORDS[token.pos])
    return tags


def _heads(tokens: Sequence[Token]) -> dict[str, int]:
    """The place of each phrase's head: its first noun, or what stands alone in its slot."""
    heads: dict[str, int] = {}
    for place, token in enumerate(tokens):
        if token.slot in PHRASES and token.pos in NOMINAL:
            heads.setdefault(token.slot, place)
    for place, token in enumerate(tokens):
        if token.slot in PHRASES and token.pos in ("ADJ", "ADV"):
            heads.setdefault(token.slot, place)
    return heads


def chunks(tokens: Sequence[Token]) -> list[str]:
    """B-NP, I-NP, ..., O: phrases without what they hold of others."""
    return [tag for words in _clauses(tokens) for tag in _chunks(words)]


def _chunks(tokens: Sequence[Token]) -> list[str]:
    nouns = {token.slot for token in tokens if token.pos in NOMINAL}
    tags: list[str] = []
    before: tuple[str, str] = ("", "")
    for token in tokens:
        kind = CHUNKS.get(token.pos, "")
        if token.pos == "ADJ" and token.slot not in nouns:
            kind = "ADJP"
        one = (token.slot, kind)
        tags.append(f"{'I' if one == before else 'B'}-{kind}" if kind else "O")
        before = one
    return tags
