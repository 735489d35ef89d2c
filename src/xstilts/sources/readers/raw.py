"""The file that a reader reads: its lines or JSON, the wanted rows, and errors with their place.

Lines are split at the line feed alone (U+2028 and the like are text). CRLF, which Python's csv
writer and so XTREME's own script leaves, is accepted if every line has it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

from xstilts.errors import UserError, nearest
from xstilts.formats.tables import GOLD, Record, Row, Split
from xstilts.sources.reading import Reading
from xstilts.tasks.metrics.benchmark import TASKS

Item = TypeVar("Item")
BYTE_ORDER_MARK = b"\xef\xbb\xbf"
# What lies in a file's place where fetching it went wrong: a pointer in a clone without Git LFS, a
# web server's page, what raw.githubusercontent.com says of a path that it does not have.
_POINTER = b"version https://git-lfs.github.com/spec/"
_PAGE = re.compile(rb"<(?:!doctype\s+html|html|head|\?xml)\b", re.IGNORECASE)
_NOT_FOUND = b"404: Not Found"
_DIGITS = 18  # of a number in a text; Python refuses to convert over 4,300
# Half of a surrogate pair, written as an escape: JSON allows it, UTF-8 cannot hold it.
_ESCAPES = re.compile(
    r"\\\\|\\u[dD][89abAB]\w\w\\u[dD][c-fC-F]\w\w|(?P<half>\\u[dD][89a-fA-F]\w\w)"
)
_LANGUAGES = {code for tasks in TASKS.values() for codes in tasks.values() for code in codes}
_STRING_OR_END = re.compile(r'"(?:[^"\\]|\\.)*"|\}')


class _KeyTwice(Exception):
    """A key occurs twice in a JSON object; the argument is the key."""


@dataclass(frozen=True)
class RawFile:
    """A file of a task. rows: those that are wanted, [start, stop), before any is dropped."""

    path: Path
    record: Record
    split: Split
    language: str
    rows: tuple[int, int] | None = None
    labels_elsewhere: bool = False  # another file labels its rows
    open_ended: set[str] = field(default_factory=set, compare=False)  # filled by `lines`

    def at(self, line: int | None, problem: str) -> UserError:
        """An error with its place: `file:line: what; expected; do`."""
        where = str(self.path) if line is None else f"{self.path}:{line}"
        return UserError(" ".join(f"{where}: {problem}".splitlines()))

    def cut(self, items: Sequence[Item]) -> Sequence[Item]:
        """The wanted items out of those of all the file's rows."""
        if self.rows is None:
            return items
        start, stop = self.rows
        if not 0 <= start < stop <= len(items):
            raise self.at(
                None,
                f"rows [{start}, {stop}); expected 0 <= start < stop <= {len(items)}, all it has",
            )
        return items[start:stop]

    def beside(self, name: str) -> RawFile:
        """Another file of the same folder."""
        path = self.path.parent / name
        if not path.is_file():
            raise self.at(None, f"expected {name} beside it; there is no such file")
        return replace(self, path=path)

    def lines(self) -> list[str]:
        """The file's lines, without their ends. Line i of the file is item i - 1.

        A file may lack its last line end, as some official ones do, or be cut off in a row: which
        of the two cannot be told, so `reading` counts it.
        """
        data = self._bytes()
        text_lines = self._decoded(data).split("\n")
        last = text_lines.pop()  # what follows the last line end, mostly nothing
        marked = [line.endswith("\r") for line in text_lines]
        if last:
            text_lines.append(last)
            self.open_ended.add(self.path.name)
        if any(marked) and not all(marked):
            rarer = 2 * sum(marked) < len(marked) or (2 * sum(marked) == len(marked) and marked[-1])
            problem = "some lines end in CR LF, some in LF; expected one kind"
            raise self.at(marked.index(rarer) + 1, problem)
        return [line.removesuffix("\r") for line in text_lines] if any(marked) else text_lines

    def document(self) -> Any:
        """The file as one JSON value."""
        return self._json(self._decoded(self._bytes()), 1, "one JSON value; it may be cut off")

    def objects(self) -> list[tuple[int, dict[str, Any]]]:
        """(line number, object) of a file with one JSON object a line."""
        numbered: list[tuple[int, dict[str, Any]]] = []
        for number, line in enumerate(self.lines(), 1):
            value = self._json(line, number, "one object a line")
            if not isinstance(value, dict):
                raise self.at(number, f"{type(value).__name__}; expected one JSON object a line")
            numbered.append((number, value))
        return numbered

    def row_id(self, number: int) -> str:
        """The id of a row in a format without ids: the file's stem and the line."""
        return f"{self.path.stem}:{number}"

    def reading(self, rows: Sequence[Row], read: int, **counts: int) -> Reading:
        """The rows with their counts; UserError where none was read, or an id occurs twice.

        Rows without gold are an error outside test, the one split whose labels are stripped on
        purpose: a file whose columns are lost looks the same.
        """
        if not read:
            raise self.at(None, "no rows; expected some; fetch it again")
        gold = GOLD[self.record.family]
        needed = self.split != "test" and not self.labels_elsewhere
        if needed and rows and all(row[gold] is None for row in rows):
            problem = f"none of its {len(rows)} rows has a label (stripped, or a column is lost?)"
            raise self.at(None, f"{problem}; expected labels in {self.split}; fetch it again")
        seen: dict[str, int] = {}
        for number, row in enumerate(rows, 1):
            if (first := seen.setdefault(row["id"], number)) < number:
                problem = f"id '{row['id']}' occurs twice, in rows {first} and {number}"
                raise self.at(None, f"{problem}; expected each id once; remove one")
        kept = {
            key.replace("_", " ").replace("dropped ", "dropped: ", 1): n
            for key, n in counts.items()
            if n
        }
        return Reading(list(rows), {"read": read, **kept, **self.ends()})

    def ends(self) -> dict[str, int]:
        """How many of the files whose lines were read have no line end at their end."""
        return {"no final newline": len(self.open_ended)} if self.open_ended else {}

    def label(self, number: int, value: object, names: Collection[str] = ()) -> str:
        """The label; UserError where it is none of the task's (or of `names`)."""
        known = tuple(names) or self.record.labels
        if not isinstance(value, str) or value not in known:
            shown = ", ".join(known) + _near(value, known)
            raise self.at(number, f"label {value!r} is not one of {shown}; correct it")
        return value

    def is_own(self, number: int, language: object) -> bool:
        """Whether a row of a file of several languages is of this file's language.

        What is no language's code is an error: its row would be lost as another language's.
        """
        if not isinstance(language, str) or language not in _LANGUAGES:
            raise self.at(number, f"language {language!r}; expected a code such as {self.language}")
        return language == self.language

    def choice(self, number: int, value: object) -> int:
        """The index of the right choice, below the task's number of choices."""
        if (
            isinstance(value, bool)
            or not isinstance(value, int)
            or not 0 <= value < self.record.choices
        ):
            raise self.at(
                number, f"label {value!r}; expected a number from 0 to {self.record.choices - 1}"
            )
        return value

    def _json(self, text: str, first: int, expected: str) -> Any:
        """The value of a JSON text that begins in line `first`."""
        closed = 0

        def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
            """An object whose keys are unlike; of two equal ones Python would keep the last."""
            nonlocal closed
            closed += 1
            made = dict(pairs)
            if len(made) < len(pairs):
                keys = [key for key, _ in pairs]
                raise _KeyTwice(next(key for key in keys if keys.count(key) > 1))
            return made

        try:
            value = json.loads(text, object_pairs_hook=once)
        except _KeyTwice as error:
            line = first + text.count("\n", 0, _end_of_object(text, closed))
            problem = f"key {error.args[0]!r} twice in one object; expected each once"
            raise self.at(line, f"{problem}; remove one") from None
        except json.JSONDecodeError as error:
            line = first + error.lineno - 1
            raise self.at(line, f"not JSON: {error.msg}; expected {expected}") from None
        except ValueError:  # Python's limit
            raise self.at(first, "a number of over 4,300 digits; expected a short one") from None
        except RecursionError:
            raise self.at(first, f"nested too deeply; expected {expected}") from None
        for escape in _ESCAPES.finditer(text):
            if escape["half"]:
                line = first + text.count("\n", 0, escape.start())
                problem = f"{escape['half']} is half a character; expected a surrogate pair"
                raise self.at(line, f"{problem}; correct it")
        return value

    def _bytes(self) -> bytes:
        if not self.path.is_file():
            raise self.at(None, "no such file; expected one; fetch it")
        data = self.path.read_bytes()
        if not data.strip():
            raise self.at(None, "the file is empty; expected rows; fetch it again")
        start = data.removeprefix(BYTE_ORDER_MARK).lstrip()
        if start.startswith(_POINTER):
            problem = "a Git LFS pointer, not the file that it stands for"
            raise self.at(1, f"{problem}; expected rows; run `git lfs pull` where it is from")
        if _PAGE.match(start) or start.rstrip() == _NOT_FOUND:
            problem = "a web page, perhaps a server's error, not the file asked for"
            raise self.at(1, f"{problem}; expected rows; fetch it from a right address")
        if data.startswith(BYTE_ORDER_MARK):
            raise self.at(1, "a byte order mark; expected UTF-8 without one; remove it")
        return data

    def _decoded(self, data: bytes) -> str:
        if (zero := data.find(b"\0")) >= 0:
            raise self.at(
                _line(data, zero), "a NUL byte; expected UTF-8 text; fetch the file again"
            )
        try:
            return data.decode("utf-8")
        except UnicodeDecodeError as error:
            raise self.at(
                _line(data, error.start),
                f"byte 0x{data[error.start]:02x} is not UTF-8; convert the file",
            ) from None


Reader = Callable[[RawFile], Reading]


def text_field(raw: RawFile, number: int, value: dict[str, Any], key: str) -> str:
    """The text of a key, which must not be blank; UserError otherwise."""
    text = value.get(key)
    if not isinstance(text, str) or not text.strip():
        shown = "is missing" if key not in value else f"is {text!r}"
        raise raw.at(number, f"'{key}' {shown}; expected text")
    return text


def whole_number(text: str) -> int | None:
    """The number that decimal digits write, at most 18 of them; None where it is something else."""
    return int(text) if text.isdecimal() and len(text) <= _DIGITS else None


def _end_of_object(text: str, number: int) -> int:
    """The position where the `number`-th object of a JSON text ends, counted as they end."""
    ends = (found.end() for found in _STRING_OR_END.finditer(text) if found[0] == "}")
    return next(islice(ends, number - 1, None))


def _line(data: bytes, position: int) -> int:
    """The number of the line that a byte is in."""
    return data.count(b"\n", 0, position) + 1


def _near(value: object, known: tuple[str, ...]) -> str:
    found = nearest(value, known) if isinstance(value, str) else ""
    return found if found.startswith("; nearest") else ""
