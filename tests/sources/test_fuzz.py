"""Every reader's right files, damaged at random: an error that names file and place, or rows.

XSTILTS_FUZZ_SEED draws other places; a failure prints the seed, the damage and the bytes.
"""

from __future__ import annotations

import os
import random
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.sources.right import FILES, TASKS, UNLABELLED, files_of, read_right
from tests.sources.test_damages import PAGE, POINTER
from xstilts.errors import UserError
from xstilts.formats.tables import GOLD, write_table
from xstilts.sources.reading import Reading
from xstilts.tasks.catalogue import record

SEED = int(os.environ.get("XSTILTS_FUZZ_SEED", "11"))
ALPHABET = b'\t\n\r ,:"\\{}[]#-_019azNO\xc3\xb6'
Damage = Callable[[bytes, random.Random], bytes]


def _cut(data: bytes, draw: random.Random) -> bytes:
    return data[: draw.randrange(len(data))]


def _byte_lost(data: bytes, draw: random.Random) -> bytes:
    at = draw.randrange(len(data))
    return data[:at] + data[at + 1 :]


def _byte_changed(data: bytes, draw: random.Random) -> bytes:
    at = draw.randrange(len(data))
    return data[:at] + bytes([draw.choice(ALPHABET)]) + data[at + 1 :]


def _byte_added(data: bytes, draw: random.Random) -> bytes:
    at = draw.randrange(len(data) + 1)
    return data[:at] + bytes([draw.choice(ALPHABET)]) + data[at:]


def _line_lost(data: bytes, draw: random.Random) -> bytes:
    lines = data.splitlines(keepends=True)
    lines.pop(draw.randrange(len(lines)))
    return b"".join(lines)


def _line_twice(data: bytes, draw: random.Random) -> bytes:
    lines = data.splitlines(keepends=True)
    at = draw.randrange(len(lines))
    return b"".join([*lines[: at + 1], *lines[at:]])


def _line_blank(data: bytes, draw: random.Random) -> bytes:
    lines = data.splitlines(keepends=True)
    lines.insert(draw.randrange(len(lines) + 1), b"\n")
    return b"".join(lines)


def _tabs_to_spaces(data: bytes, draw: random.Random) -> bytes:
    return data.replace(b"\t", b" " * draw.choice((1, 4)))


def _line_ends(data: bytes, draw: random.Random) -> bytes:
    return data.replace(b"\n", b"\r\n", draw.randint(1, data.count(b"\n") or 1))


def _twice(data: bytes, draw: random.Random) -> bytes:
    """A piece between two separators once more: a column, a key with its value."""
    pieces = re.split(rb"([\t,])", data)
    at = 2 * draw.randrange(len(pieces) // 2 + 1)
    return b"".join([*pieces[:at], pieces[at], *pieces[1:2], *pieces[at:]])


DAMAGES: dict[str, Damage] = {
    "cut": _cut,
    "byte lost": _byte_lost,
    "byte changed": _byte_changed,
    "byte added": _byte_added,
    "line lost": _line_lost,
    "line twice": _line_twice,
    "line blank": _line_blank,
    "tabs to spaces": _tabs_to_spaces,
    "line ends": _line_ends,
    "piece twice": _twice,
    "pointer": lambda data, draw: POINTER,
    "page": lambda data, draw: PAGE,
}
# What is wrong with a file as a whole has no place in it.
WHOLE = (
    r"the file is empty|no rows|a header and no rows|no questions|none of its \d+ rows|no articles"
    r"|\d+ (rows|lines|labels); expected \d+|expected \S+ beside it|id '.*' occurs twice, in rows"
    r"|id without a language|id '.*' (is not|has no known language)"
)
PLACE = rf"(:\d+: |: data\b|: ({WHOLE}))"  # a line, a JSON path, or neither


def _counted(reading: Reading, family: str) -> bool:
    """Whether what was read is there or counted as dropped."""
    kept = len(reading.rows)
    if family == "retrieval":
        kept = sum(row["side"] == "foreign" for row in reading.rows)
    if family == "ranking":
        kept = sum(row["query"] is not None for row in reading.rows)
    dropped = sum(n for key, n in reading.counts.items() if key.startswith("dropped"))
    return kept + dropped == reading.counts["read"]


@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged_file_is_one_line_or_counted_rows(damage: str, tmp_path: Path) -> None:
    for reader, name in FILES:
        draw = random.Random(f"{SEED} {damage} {reader} {name}")
        right, task = files_of(reader), record(TASKS[reader])
        damaged = right | {name: DAMAGES[damage](right[name], draw)}
        case = f"seed {SEED}, {damage}, {reader} {name}: {damaged[name]!r}"
        folder = tmp_path / f"{reader}-{name}"
        folder.mkdir()
        try:
            found = read_right(folder, reader, damaged)
        except UserError as error:
            text = str(error)
            assert text.startswith(f"{folder}/") and "\n" not in text, f"{case}\n{text}"
            assert re.match(rf"{re.escape(str(folder))}/[^:]*{PLACE}", text), f"{case}\n{text}"
            text.encode()
            continue
        except Exception as error:
            raise AssertionError(case) from error
        assert _counted(found, task.family), f"{case}\n{found.counts}"
        if damage == "cut" and damaged[name][-1:] != b"\n" and not _is_json(right[name]):
            assert found.counts["no final newline"] == 1, case
        if gold := GOLD.get(task.family):
            hidden = all(row[gold] is None for row in found.rows)
            assert not found.rows or hidden == (reader in UNLABELLED), case
        write_table(folder, task.family, "dev", "de", found.rows)


def _is_json(data: bytes) -> bool:
    return data.startswith(b"{") and data.count(b"\n") <= 1
