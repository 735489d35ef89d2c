"""What is shown while one waits, and in columns: a bar on a terminal, now and then a line in a log.

What enters: how much there is to do; cells of text. What leaves: something to update, and, for the
grid's driver, the last line that a stage's log has of it; lines.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TextIO

from tqdm import tqdm

EVERY_S = 10.0  # between two lines in a log; what takes less says nothing
LINE = "{desc}: {n_fmt}/{total_fmt} {unit}{postfix}, {rate_noinv_fmt}, left {remaining}"
SEEN = re.compile(r"^.+: \d+/\d+ .+, left (?P<left>[\d:]+)$")
TAIL_BYTES = 4000  # of a log, in which its last line is looked for


def bar(total: int, title: str, unit: str, done: int = 0, silent: bool = False) -> Any:
    """A tqdm bar, drawn where stderr is a terminal; in a log a line every EVERY_S seconds.

    silent: neither, as run.progress says.
    """
    if silent:
        return tqdm(total=total, disable=True)
    stream = sys.stderr
    if stream is not None and stream.isatty():
        return tqdm(total=total, initial=done, desc=title, unit=unit, leave=False)
    return tqdm(
        total=total,
        initial=done,
        desc=title,
        unit=unit,
        leave=False,
        file=_Lines(stream),
        mininterval=EVERY_S,
        miniters=1,
        delay=EVERY_S,
        bar_format=LINE,
    )


def note(text: str) -> None:
    """Say on stderr what is done now, where it takes long and cannot be counted."""
    tqdm.write(text, file=sys.stderr)


class _Lines:
    """A file for tqdm that turns what it draws over itself into lines."""

    def __init__(self, stream: TextIO | None) -> None:
        self.stream = stream

    def write(self, text: str) -> None:
        if (line := text.strip()) and self.stream is not None:
            self.stream.write(f"{line}\n")

    def flush(self) -> None:
        if self.stream is not None:
            self.stream.flush()


def lasting(seconds: float) -> str:
    """A length of time as it is said: 40 s, 12 min, 3.5 h."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def aligned(rows: Iterable[Sequence[str]], left: int = 1) -> list[str]:
    """Rows of cells as lines: the first `left` columns to the left, the others to the right."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    cells = list(rows)
    table = Table.grid(padding=(0, 2, 0, 0))
    for number in range(len(cells[0])):
        table.add_column(justify="left" if number < left else "right", no_wrap=True)
    for row in cells:
        table.add_row(*map(Text, row))
    wide = Console(width=10_000, color_system=None)
    with wide.capture() as captured:
        wide.print(table)
    return [line.rstrip() for line in captured.get().splitlines()]


class Shown(NamedTuple):
    """What a log's last line says."""

    text: str
    left_s: float | None  # None: it is no bar's line


def last_line(log: Path) -> Shown:
    """The last line of a log, and the seconds that it says are left."""
    try:
        with log.open("rb") as file:
            file.seek(0, 2)
            file.seek(max(0, file.tell() - TAIL_BYTES))
            lines = file.read().decode("utf-8", "replace").split("\n")
    except OSError:
        return Shown("", None)
    text = next((line.strip() for line in reversed(lines) if line.strip()), "")
    found = SEEN.match(text)
    return Shown(text, _seconds(found["left"]) if found else None)


def _seconds(shown: str) -> float:
    """tqdm's [hours:]minutes:seconds."""
    seconds = 0
    for part in shown.split(":"):
        seconds = 60 * seconds + int(part or 0)
    return float(seconds)
