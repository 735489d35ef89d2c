"""Encoded rows as the model reads them: pieces, and under them what is to be learnt.

What enters: a table's rows and their features. What leaves: lines of text. Cut to what fits: the
beginning and the end of a long sequence, and what is marked in it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from rich.cells import cell_len

from xstilts.formats.features import IGNORE_INDEX, Features
from xstilts.formats.tables import Row
from xstilts.tasks.families.protocol import Tokens
from xstilts.tasks.families.span import NO_CONTEXT, NULL
from xstilts.training.encoder import Tokenizer
from xstilts.training.task import Task

HIDDEN = "?"  # where gold would stand
ELSEWHERE = "·"  # a piece that counts in another window, where it has more context
NONE = "none"  # the answer stands in no piece of this window
FIRST, LAST, AROUND = 36, 3, 6  # pieces that are shown of a long sequence; around a mark
WINDOWS = 4  # that are shown of a row

Marked = tuple[list[int], list[str]]  # ids, and a mark for each ("" for none)


@dataclass(frozen=True)
class Example:
    """One row, and the sequences that it became."""

    row: Row
    features: Features
    sequences: Sequence[int]


@dataclass(frozen=True)
class Reader:
    """What reads: the tokenizer, the task, and for masked_lm how much is masked."""

    tokenizer: Tokenizer
    task: Task
    tokens: Tokens
    width: int = 100  # columns of the terminal
    whole: bool = False  # nothing is cut

    def lines(self, example: Example, rows: Sequence[Row]) -> Iterator[str]:
        """rows: the whole table's, where retrieval finds the partner."""
        heading, names = _HEADINGS.get(self.task.family_name, _plain_heading)(example.row, rows)
        yield from heading
        marks = _MARKS.get(self.task.family_name, _nothing)
        windows = [marks(self, example.features, sequence) for sequence in example.sequences]
        several = len(windows) > 1
        shown = range(len(windows)) if self.whole or names else _telling(windows)
        for number in shown:
            ids, under = windows[number]
            name = names[number] if names else f"window {number + 1} of {len(windows)}"
            if several:
                yield f"{name}, {len(ids)} pieces"
            yield from self.aligned(ids, under)
        if left := len(windows) - len(shown):
            yield f"... {left} more windows"

    def aligned(self, ids: Sequence[int], marks: Sequence[str]) -> Iterator[str]:
        """Two lines a screen's width: pieces, and their marks; one where nothing is marked."""
        columns = self._columns(ids, marks)
        while columns:
            taken = used = 0
            for piece, mark in columns:
                used += max(cell_len(piece), cell_len(mark)) + 1
                if taken and used > self.width - 4:
                    break
                taken += 1
            here, columns = columns[:taken], columns[taken:]
            widths = [max(cell_len(piece), cell_len(mark)) for piece, mark in here]
            for side in (0, 1):
                cells = [
                    pair[side] + " " * (width - cell_len(pair[side]))
                    for pair, width in zip(here, widths, strict=True)
                ]
                if text := " ".join(cells).rstrip():
                    yield f"  {text}"

    def _columns(self, ids: Sequence[int], marks: Sequence[str]) -> list[tuple[str, str]]:
        """(piece, mark) of what is shown; what is left out is counted."""
        near = {place + step for place, mark in enumerate(marks) if mark not in ("", ELSEWHERE)
                for step in range(-AROUND, AROUND + 1)}  # fmt: skip
        if self.task.family_name == "tagging" or len(near) > 3 * FIRST:
            near = set()  # every word is marked
        kept = [
            self.whole or place < FIRST or place >= len(ids) - LAST or place in near
            for place in range(len(ids))
        ]
        columns: list[tuple[str, str]] = []
        left = 0
        for keep, piece, mark in zip(kept, _pieces(self.tokenizer, ids), marks, strict=True):
            left += not keep
            if keep and left:
                columns.append((f"...{left}...", ""))
                left = 0
            if keep:
                columns.append((piece, mark))
        return columns


def _telling(windows: Sequence[Marked]) -> list[int]:
    """At most WINDOWS of them: first those in which something is to be learnt."""
    empty = [all(mark in ("", ELSEWHERE, NONE) for mark in marks) for _, marks in windows]
    return sorted(sorted(range(len(windows)), key=empty.__getitem__)[:WINDOWS])


def _pieces(tokenizer: Tokenizer, ids: Sequence[int]) -> list[str]:
    """As the vocabulary has them; byte-level ones as characters (a part of one: U+FFFD)."""
    pieces = tokenizer.convert_ids_to_tokens([int(one) for one in ids])
    decoder = tokenizer.backend_tokenizer.decoder
    if type(decoder).__name__ == "ByteLevel":
        pieces = [decoder.decode([piece]).replace(" ", "▁") for piece in pieces]
    return [piece if piece.isprintable() else json.dumps(piece)[1:-1] for piece in pieces]


# What stands above the pieces


Heading = tuple[list[str], list[str]]  # lines, and names of the sequences where they have some


def _plain_heading(row: Row, rows: Sequence[Row]) -> Heading:
    """Of a family that is not among those below."""
    return [str(row.get("id", "a row"))], []


def _pair_heading(row: Row, rows: Sequence[Row]) -> Heading:
    return [f"{row['id']}: {_shown(row['label'])}"], []


def _choice_heading(row: Row, rows: Sequence[Row]) -> Heading:
    numbers = range(len(row["choices"]))
    names = [f"choice {n}{' (right)' if n == row['label'] else ''}" for n in numbers]
    return [f"{row['id']}: {_shown(row['label'])}"], names


def _tag_heading(row: Row, rows: Sequence[Row]) -> Heading:
    return [f"{row['id']}: {len(row['tokens'])} words"], []


def _span_heading(row: Row, rows: Sequence[Row]) -> Heading:
    answers = row["answers"]
    texts = None if answers is None else list(dict.fromkeys(one["text"] for one in answers))
    said = HIDDEN if texts is None else " / ".join(texts) or "(no answer)"
    return [f"{row['id']}: {row['question']} -> {said}"], []


def _retrieval_heading(row: Row, rows: Sequence[Row]) -> Heading:
    if row["gold"] is None:
        return [f"{row['id']} ({row['side']})"], []
    texts = {other["id"]: other["text"] for other in rows if other["id"] in row["gold"]}
    partners = [f"{name}: {text}" for name, text in texts.items()] or ["no partner"]
    return [f"{row['id']} <-> {' / '.join(partners)}"], []


def _ranking_heading(row: Row, rows: Sequence[Row]) -> Heading:
    """A query's candidates of other languages stand in their tables: its own here, if any."""
    if row["query"] is None:
        return [f"{row['id']} (candidate)"], []
    if row["candidate"] is not None:
        return [f"{row['id']}: {row['query']} -> {row['candidate']}"], ["query", "candidate"]
    names = set(row["gold"] or ())
    found = [one["candidate"] for one in rows if names & set(one["gold"] or ())]
    answers = list(dict.fromkeys(text for text in found if text is not None))
    said = HIDDEN if row["gold"] is None else " / ".join(answers) or "(none in this table)"
    return [f"{row['id']}: {row['query']} -> {said}"], []


def _text_heading(row: Row, rows: Sequence[Row]) -> Heading:
    return ["a text" if row["pair"] is None else "a pair"], []


def _shown(label: object) -> str:
    return HIDDEN if label is None else str(label)


_HEADINGS: dict[str, Callable[[Row, Sequence[Row]], Heading]] = {
    "classification": _pair_heading,
    "choice": _choice_heading,
    "tagging": _tag_heading,
    "span": _span_heading,
    "retrieval": _retrieval_heading,
    "ranking": _ranking_heading,
    "masked_lm": _text_heading,
}


# What stands under the pieces


def _ids(features: Features, sequence: int) -> list[int]:
    ids: list[int] = features.columns["input_ids"][sequence].tolist()
    return ids


def _nothing(reader: Reader, features: Features, sequence: int) -> Marked:
    ids = _ids(features, sequence)
    return ids, [""] * len(ids)


def _tags(reader: Reader, features: Features, sequence: int) -> Marked:
    """A word's tag under its first piece, where it is read off."""
    ids, marks = _nothing(reader, features, sequence)
    starts, labels = features.columns["word_starts"], features.columns["labels"]
    for place, label in zip(starts[sequence], labels[sequence], strict=True):
        marks[place] = HIDDEN if label == IGNORE_INDEX else reader.task.settings.labels[label]
    return ids, marks


def _answer(reader: Reader, features: Features, sequence: int) -> Marked:
    """The answer's pieces; the first piece where this window has none."""
    ids, marks = _nothing(reader, features, sequence)
    context = features.columns["char_start"][sequence] != NO_CONTEXT
    best = features.columns["best"][sequence]
    marks = [
        ELSEWHERE if here and not kept else "" for here, kept in zip(context, best, strict=True)
    ]
    first, last = features.columns["labels"][sequence].tolist()
    for place in range(first, last + 1):
        marks[place] = NONE if first == NULL else "answer"
    return ids, marks


def _masks(reader: Reader, features: Features, sequence: int) -> Marked:
    """As one batch may mask it; under a chosen piece the one that is to be guessed."""
    one = np.array([sequence])
    batch = reader.task.family.collate(features, one, reader.tokens, (1,))
    ids, labels = batch["input_ids"][0].tolist(), batch["labels"][0].tolist()
    wanted = _pieces(reader.tokenizer, [max(label, 0) for label in labels])
    marks = ["" if label == IGNORE_INDEX else piece
             for label, piece in zip(labels, wanted, strict=True)]  # fmt: skip
    return ids, marks


# Where a family's labels stand at pieces; elsewhere the heading says what is to be learnt.
_MARKS: dict[str, Callable[[Reader, Features, int], Marked]] = {
    "tagging": _tags,
    "span": _answer,
    "masked_lm": _masks,
}
