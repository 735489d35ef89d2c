"""Encoded rows as the model reads them: pieces, and under them what is to be learnt.

What enters: a table's rows and their features. What leaves: lines of text. Of a long sequence the
beginning, the end and what is marked are shown.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rich.cells import cell_len

from xstilts.formats.features import Features
from xstilts.formats.tables import Row
from xstilts.looking.families import ELSEWHERE, LOOKS, NONE, Look
from xstilts.tasks.families.protocol import Tokens
from xstilts.training.encoder import Tokenizer
from xstilts.training.task import Task

FIRST, LAST, AROUND = 36, 3, 6  # pieces that are shown of a long sequence; around a mark
WINDOWS = 4  # that are shown of a row

Marked = tuple[list[int], list[str]]  # ids, and a mark for each ("" for none)


@dataclass(frozen=True)
class Example:
    """A row, and the numbers of the sequences that it became."""

    row: Row
    features: Features
    sequences: Sequence[int]


@dataclass(frozen=True)
class Printer:
    """Shows rows as lines of a terminal: pieces, and under them their marks."""

    tokenizer: Tokenizer
    task: Task
    tokens: Tokens
    width: int = 100  # columns of the terminal
    whole: bool = False  # nothing is cut

    @property
    def look(self) -> Look:
        """How rows of the task's family are shown."""
        return LOOKS[self.task.family_name]

    def lines(self, example: Example, rows: Sequence[Row]) -> Iterator[str]:
        """The lines of one row. rows: the whole table's, where retrieval finds the partner."""
        heading, names = self.look.heading(example.row, rows)
        yield from heading
        windows = [self._marked(example.features, sequence) for sequence in example.sequences]
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

    def _marked(self, features: Features, sequence: int) -> Marked:
        """A sequence's ids and marks as texts: a mark that is a piece becomes that piece's text."""
        ids, marks = self.look.marks(self.task, self.tokens, features, sequence)
        wanted = [mark if isinstance(mark, int) else 0 for mark in marks]
        texts = _pieces(self.tokenizer, wanted)
        return ids, [
            text if isinstance(mark, int) else mark for mark, text in zip(marks, texts, strict=True)
        ]

    def aligned(self, ids: Sequence[int], marks: Sequence[str]) -> Iterator[str]:
        """Lines no wider than the screen: pieces, and below them their marks if there are any."""
        columns = self._columns(ids, marks)
        while columns:
            taken = used = 0
            for piece, mark in columns:
                used += max(cell_len(piece), cell_len(mark)) + 1
                if taken and used > self.width - 4:
                    break
                taken += 1
            shown, columns = columns[:taken], columns[taken:]
            widths = [max(cell_len(piece), cell_len(mark)) for piece, mark in shown]
            for side in (0, 1):
                cells = [
                    pair[side] + " " * (width - cell_len(pair[side]))
                    for pair, width in zip(shown, widths, strict=True)
                ]
                if text := " ".join(cells).rstrip():
                    yield f"  {text}"

    def _columns(self, ids: Sequence[int], marks: Sequence[str]) -> list[tuple[str, str]]:
        """(piece, mark) of each column that is shown; a column for each gap says how many it hides.

        Shown are the first and last pieces and those around a mark, unless marks are everywhere.
        """
        marked = [position for position, mark in enumerate(marks) if mark not in ("", ELSEWHERE)]
        near = {position + step for position in marked for step in range(-AROUND, AROUND + 1)}
        if self.look.every_word or len(near) > 3 * FIRST:
            near = set()
        kept = [
            self.whole or position < FIRST or position >= len(ids) - LAST or position in near
            for position in range(len(ids))
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
    """The windows to show, at most WINDOWS: first those in which something is to be learnt."""
    empty = [all(mark in ("", ELSEWHERE, NONE) for mark in marks) for _, marks in windows]
    return sorted(sorted(range(len(windows)), key=empty.__getitem__)[:WINDOWS])


def _pieces(tokenizer: Tokenizer, ids: Sequence[int]) -> list[str]:
    """Pieces as the vocabulary has them; byte-level ones as characters (a part of one: U+FFFD)."""
    pieces = tokenizer.convert_ids_to_tokens([int(number) for number in ids])
    decoder = tokenizer.backend_tokenizer.decoder
    if type(decoder).__name__ == "ByteLevel":
        pieces = [decoder.decode([piece]).replace(" ", "▁") for piece in pieces]
    return [piece if piece.isprintable() else json.dumps(piece)[1:-1] for piece in pieces]
