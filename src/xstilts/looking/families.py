"""How each family's rows are shown: the lines above their pieces, the marks under them, the labels.

What enters: rows and what the family's `encode` made of them. What leaves: texts, and the marks
that stand under pieces. It lies here and not in the families' own modules so that a reworded line
trains nothing again; tests/families asks for an entry of every family.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from xstilts.formats.features import IGNORE_INDEX, Features
from xstilts.formats.tables import FamilyName, Row
from xstilts.tasks.families.protocol import Tokens
from xstilts.tasks.families.span import NO_CONTEXT, NULL
from xstilts.training.task import Task

HIDDEN = "?"  # where gold would stand
ELSEWHERE = "·"  # a piece that counts in another window, where it has more context
NONE = "none"  # the answer stands in no piece of this window
LENGTHS = ((1, "1 piece"), (3, "2-3"), (7, "4-7"), (15, "8-15"), (10**6, "16 and more"))  # answers
TOO_LONG, IN_NONE, NO_ANSWER = "over max_answer", "in no window", "no answer"
ANSWERS = (*(name for _, name in LENGTHS), TOO_LONG, IN_NONE, NO_ANSWER, HIDDEN)

Heading = tuple[list[str], list[str]]  # lines, and names of the sequences where they have some
Mark = str | int  # a text ("" for none), or a piece of the vocabulary
Marks = tuple[list[int], Sequence[Mark]]  # ids of the pieces, and a mark for each


@dataclass(frozen=True)
class Seen:
    """A table with the rows of it that were encoded, and their features."""

    name: str
    language: str
    task: Task
    rows: Sequence[Row]  # all
    drawn: Sequence[Row]
    features: Features

    @property
    def lengths(self) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
        """(sequences,): pieces of each."""
        return self.features.columns["input_ids"].lengths


def unmarked(task: Task, tokens: Tokens, features: Features, sequence: int) -> Marks:
    """A sequence's ids without marks, for families whose heading says what is to be learnt."""
    ids: list[int] = features.columns["input_ids"][sequence].tolist()
    return ids, [""] * len(ids)


@dataclass(frozen=True)
class Look:
    """How `inspect` shows the rows of a family.

    heading: the lines above a row, given all rows of its table. learnt: what is to be learnt of a
    table, counted under `title`, in `order` or in the order of the record's labels. every_word:
    marks are everywhere, so they do not decide which pieces are shown.
    """

    heading: Callable[[Row, Sequence[Row]], Heading]
    learnt: Callable[[Seen], Iterator[str]]
    marks: Callable[[Task, Tokens, Features, int], Marks] = unmarked
    title: str = "labels, %"
    order: tuple[str, ...] = ()
    every_word: bool = False


def _shown(label: object) -> str:
    return HIDDEN if label is None else str(label)


def _labels(seen: Seen) -> Iterator[str]:
    return (_shown(row["label"]) for row in seen.rows)


def _pair_heading(row: Row, rows: Sequence[Row]) -> Heading:
    return [f"{row['id']}: {_shown(row['label'])}"], []


def _choice_heading(row: Row, rows: Sequence[Row]) -> Heading:
    numbers = range(len(row["choices"]))
    names = [f"choice {n}{' (right)' if n == row['label'] else ''}" for n in numbers]
    return [f"{row['id']}: {_shown(row['label'])}"], names


def _tag_heading(row: Row, rows: Sequence[Row]) -> Heading:
    return [f"{row['id']}: {len(row['tokens'])} words"], []


def _tags(task: Task, tokens: Tokens, features: Features, sequence: int) -> Marks:
    """Marks each word's tag under the word's first piece, from which the model predicts it."""
    ids, marks = unmarked(task, tokens, features, sequence)
    marks = list(marks)
    starts, labels = features.columns["word_starts"], features.columns["labels"]
    for place, label in zip(starts[sequence], labels[sequence], strict=True):
        marks[place] = HIDDEN if label == IGNORE_INDEX else task.settings.labels[label]
    return ids, marks


def _all_tags(seen: Seen) -> Iterator[str]:
    for row in seen.rows:
        yield from row["tags"] or [HIDDEN] * len(row["tokens"])


def _span_heading(row: Row, rows: Sequence[Row]) -> Heading:
    if row["answers"] is None:
        shown = HIDDEN
    else:
        texts = dict.fromkeys(answer["text"] for answer in row["answers"])
        shown = " / ".join(texts) or "(no answer)"
    return [f"{row['id']}: {row['question']} -> {shown}"], []


def _answer(task: Task, tokens: Tokens, features: Features, sequence: int) -> Marks:
    """Marks the answer's pieces; where this window does not hold it, the first piece."""
    ids, _ = unmarked(task, tokens, features, sequence)
    context = features.columns["char_start"][sequence] != NO_CONTEXT
    best = features.columns["best"][sequence]
    marks = [
        ELSEWHERE if in_context and not counts else ""
        for in_context, counts in zip(context, best, strict=True)
    ]
    first, last = features.columns["labels"][sequence].tolist()
    for position in range(first, last + 1):
        marks[position] = NONE if first == NULL else "answer"
    return ids, marks


def _answer_lengths(seen: Seen) -> Iterator[str]:
    """Each encoded question's answer length in pieces, or why no window can give the answer."""
    longest: dict[int, int] = {}
    labels = seen.features.columns["labels"]
    for sequence, number in enumerate(seen.features.rows.tolist()):
        first, last = labels[sequence].tolist()
        longest[number] = max(longest.get(number, 0), last - first + 1 if first != NULL else 0)
    for number, row in enumerate(seen.drawn):
        length = longest[number]
        if row["answers"] is None:
            yield HIDDEN
        elif not row["answers"]:
            yield NO_ANSWER
        elif not length:
            yield IN_NONE  # cannot be learnt from
        elif length > seen.task.settings.max_answer:
            yield TOO_LONG  # cannot be predicted
        else:
            yield next(name for most, name in LENGTHS if length <= most)


def _retrieval_heading(row: Row, rows: Sequence[Row]) -> Heading:
    if row["gold"] is None:
        return [f"{row['id']} ({row['side']})"], []
    texts = {other["id"]: other["text"] for other in rows if other["id"] in row["gold"]}
    partners = [f"{name}: {text}" for name, text in texts.items()] or ["no partner"]
    return [f"{row['id']} <-> {' / '.join(partners)}"], []


def _partners(seen: Seen) -> Iterator[str]:
    for row in seen.rows:
        if row["side"] == "foreign":
            yield HIDDEN if row["gold"] is None else f"partners: {len(row['gold'])}"


def _ranking_heading(row: Row, rows: Sequence[Row]) -> Heading:
    """A query and its right candidates in this table; those of other languages are in theirs."""
    if row["query"] is None:
        return [f"{row['id']} (candidate)"], []
    if row["candidate"] is not None:
        return [f"{row['id']}: {row['query']} -> {row['candidate']}"], ["query", "candidate"]
    names = set(row["gold"] or ())
    right = [other["candidate"] for other in rows if names & set(other["gold"] or ())]
    answers = list(dict.fromkeys(text for text in right if text is not None))
    shown = HIDDEN if row["gold"] is None else " / ".join(answers) or "(none in this table)"
    return [f"{row['id']}: {row['query']} -> {shown}"], []


def _sides(seen: Seen) -> Iterator[str]:
    """What each row of ranking is: a pair to learn from, a query alone, or a candidate alone."""
    for row in seen.rows:
        if row["query"] is None:
            yield "candidate"
        elif row["gold"] is None:
            yield HIDDEN
        else:
            yield "query" if row["candidate"] is None else "pair"


def _text_heading(row: Row, rows: Sequence[Row]) -> Heading:
    return ["a text" if row["pair"] is None else "a pair"], []


def _masks(task: Task, tokens: Tokens, features: Features, sequence: int) -> Marks:
    """A sequence masked as one batch may mask it; marked is the piece that is to be guessed."""
    batch = task.family.collate(features, np.array([sequence]), tokens, (1,))
    ids, labels = batch["input_ids"][0].tolist(), batch["labels"][0].tolist()
    return ids, ["" if label == IGNORE_INDEX else label for label in labels]


def _texts(seen: Seen) -> Iterator[str]:
    return ("single text" if row["pair"] is None else "pair" for row in seen.rows)


LOOKS: dict[FamilyName, Look] = {
    "classification": Look(_pair_heading, _labels),
    "choice": Look(_choice_heading, _labels),
    "tagging": Look(_tag_heading, _all_tags, _tags, every_word=True),
    "span": Look(
        _span_heading, _answer_lengths, _answer, "answers by length, percent of encoded", ANSWERS
    ),
    "retrieval": Look(_retrieval_heading, _partners),
    "ranking": Look(_ranking_heading, _sides),
    "masked_lm": Look(_text_heading, _texts, _masks),
}
