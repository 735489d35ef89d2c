"""Sentences of English passages, and pairs of a question and the sentence that answers it.

What enters: rows of a span task, English. What leaves: rows of a ranking task, for LAReQA, which
trains on SQuAD's questions against the sentences that answer them (XTREME's processors/lareqa.py).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from xstilts.formats.tables import Row

# A full stop, with what closes after it, then white space, before what can open a sentence.
_END = re.compile(
    "[.?!]+[\"')\\]\u2019\u201d]*(?:\\[[\\w\\s?]{1,20}\\])*(\\s+)(?=[\"'(\\[\u2018\u201c]*[^\\W_a-z])"
)
_WORDS = """
mr mrs ms dr prof rev fr st sta msgr jr sr lt gen col maj adm capt sgt rep gov sen pres
jan feb mar apr aug sept oct nov dec mt ft vol pp cf vs approx ca fl inc ltd bros co
"""
_ABBREVIATIONS = frozenset(_WORDS.split())
_INITIAL = re.compile("(?:^|[\\s.([\"'\u2018\u201c-])[A-Z]$")
_OPENING = re.compile('[\\s(\\["\u2018\u201c]')


def sentences(text: str) -> list[tuple[int, int]]:
    """[start, end) of each sentence of an English passage, without the white space between.

    They are XQuAD-R's in all of its English passages at hand (a test). A title, an initial or
    another abbreviation of the list ends none.
    """
    spans, start = [], len(text) - len(text.lstrip())
    for match in _END.finditer(text):
        if not _is_abbreviation(text[start : match.start()], match[0]):
            spans.append((start, match.start(1)))
            start = match.end()
    return [*spans, (start, len(text.rstrip()))] if text.strip() else []


def _is_abbreviation(before: str, ending: str) -> bool:
    """Whether the full stop belongs to the word before it."""
    if ending.rstrip() != ".":
        return False
    word = _OPENING.split(before)[-1].lower()
    return word in _ABBREVIATIONS or bool(_INITIAL.search(before))


def answering(rows: Sequence[Row]) -> tuple[list[Row], int]:
    """(pairs of a question and its answer's sentence, how many questions have no such sentence).

    Of several answers the first counts, as in XTREME. Pairs with the same sentence of the same
    passage share the name in `gold`: the id of the first of them.
    """
    pairs: list[Row] = []
    names: dict[tuple[str, str], str] = {}
    for row in rows:
        answers = row["answers"]
        sentence = next(_around(row["context"], answers[0]["start"]), None) if answers else None
        if sentence is None:
            continue
        name = names.setdefault((sentence, row["context"]), str(row["id"]))
        pairs.append(
            {
                "id": row["id"],
                "query": row["question"],
                "candidate": sentence,
                "context": row["context"],
                "gold": [name],
            }
        )
    return pairs, len(rows) - len(pairs)


def _around(context: str, position: int) -> Iterator[str]:
    """The sentence around a position; nothing where it is between two sentences."""
    for start, end in sentences(context):
        if start <= position < end:
            yield context[start:end]
