"""Rows to predict, out of files or of a text on the command line.

What enters: JSON lines, CSV or TSV with the family's columns (`tables.COLUMNS`); gold may stand
there and is not read. What leaves: the family's rows. What is wrong is said in one line, with the
file and the line.
"""

from __future__ import annotations

import csv
import io
import json
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa

from xstilts.errors import UserError, nearest
from xstilts.formats.tables import COLUMNS, GOLD, FamilyName, Row

STDIN = "-"


@dataclass(frozen=True)
class Asked:
    """What a family's rows must have to be predicted.

    needed: columns that no row may lack. either: columns of which a row has one. words: what a
    column may say. of_text: the row of a text and its pair; None: such a row is more than texts.
    """

    needed: tuple[str, ...]
    either: tuple[str, ...] = ()
    words: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    of_text: Callable[[str, str | None], Row] | None = None


def _pair(text: str, pair: str | None) -> Row:
    return {"text_a": text, "text_b": pair}


def _sentence(text: str, pair: str | None) -> Row:
    if pair is not None:
        raise UserError("--pair: words of one sentence are tagged; expected --text alone")
    return {"tokens": text.split()}


ASKED: dict[FamilyName, Asked | None] = {
    "classification": Asked(("text_a",), of_text=_pair),
    "choice": Asked(("context", "choices")),
    "tagging": Asked(("tokens",), of_text=_sentence),
    "span": Asked(("context", "question")),
    "retrieval": Asked(("side", "text"), words={"side": ("foreign", "english")}),
    "ranking": Asked((), either=("query", "candidate")),
    "masked_lm": None,  # no target
}


def asked(family: FamilyName) -> Asked:
    found = ASKED[family]
    assert found is not None, family
    return found


def row_of_text(family: FamilyName, text: str, pair: str | None) -> Row:
    """The row of --text and --pair; UserError for a family whose rows are more than that."""
    make = asked(family).of_text
    if make is None:
        raise UserError(
            f"--text: a {family} model reads {_listed(asked(family).needed)}; expected a FILE with "
            "these columns"
        )
    return _whole(family, {"id": "1", **make(text, pair)})


def read_rows(family: FamilyName, name: str) -> list[Row]:
    """The rows of a file; of standard input where the name is -."""
    where, text = _text(name)
    lines = list(_records(where, name, text))
    if not lines:
        raise UserError(f"{where}: no rows; expected a line a row")
    return [_row(family, at, number, values) for number, (at, values) in enumerate(lines, 1)]


def _text(name: str) -> tuple[str, str]:
    """(the name that errors give, text) of a file or of standard input."""
    if name == STDIN:
        return "stdin", sys.stdin.read()
    try:
        return name, Path(name).read_bytes().decode("utf-8-sig")
    except (FileNotFoundError, IsADirectoryError):
        raise UserError(
            f"{name}: no such file; expected JSON lines or CSV, or - for standard input"
        ) from None
    except UnicodeDecodeError as error:
        raise UserError(f"{name}: byte {error.start} is not UTF-8; expected UTF-8 text") from None


def _records(where: str, name: str, text: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """(file:line, its values by column): a file's as its suffix says, else as it begins."""
    suffix = Path(name).suffix.lower()
    if suffix in (".csv", ".tsv") or (name == STDIN and not text.lstrip().startswith("{")):
        yield from _table(where, text, "\t" if suffix == ".tsv" else ",")
        return
    for number, line in enumerate(text.split("\n"), 1):  # texts may hold U+2028, a line's end
        if not line.strip():
            continue
        try:
            values = json.loads(line)
        except json.JSONDecodeError as error:
            raise UserError(
                f"{where}:{number}: not JSON: {error.msg}; expected an object a line, or a file "
                "called .csv or .tsv"
            ) from None
        if not isinstance(values, dict):
            raise UserError(f"{where}:{number}: {line[:40]}; expected a JSON object")
        yield f"{where}:{number}", values


def _table(where: str, text: str, delimiter: str) -> Iterator[tuple[str, dict[str, Any]]]:
    reader = csv.DictReader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    try:
        for values in reader:
            at = f"{where}:{reader.line_num}"
            if None in values or None in values.values():
                raise UserError(
                    f"{at}: other than {len(reader.fieldnames or ())} fields; expected as many as "
                    "the first line has columns"
                )
            yield at, {name: value or None for name, value in values.items()}  # empty: null
    except csv.Error as error:
        raise UserError(f"{where}:{reader.line_num}: {error}; expected CSV") from None


def _row(family: FamilyName, at: str, number: int, values: Mapping[str, Any]) -> Row:
    """A row with all columns of the family, its gold left out."""
    schema, wanted, gold = COLUMNS[family], asked(family), GOLD[family]
    free = [name for name in wanted.needed if name not in values]
    free = free or [name for name in schema.names if name not in values]
    for name in values:
        if name not in schema.names:
            raise UserError(f"{at}: '{name}' is no column of a {family} row{nearest(name, free)}")
    for name in wanted.needed:
        if name not in values:
            raise UserError(f"{at}: no column '{name}'; expected {_listed(wanted.needed)}")
    row: Row = {"id": str(number)}
    for name in schema.names:
        if name == gold or (values.get(name) is None and name not in wanted.needed):
            continue
        row[name] = _value(at, schema.field(name), values[name], wanted.words.get(name, ()))
    if wanted.either and not any(row.get(name) for name in wanted.either):
        raise UserError(f"{at}: neither {' nor '.join(wanted.either)}; expected one of them")
    return _whole(family, row)


def _value(at: str, column: pa.Field, value: Any, words: tuple[str, ...]) -> Any:
    """A value as the column's type has it; UserError for another, and for none of `words`."""
    if pa.types.is_list(column.type):
        value = _list(value) if isinstance(value, str) else value
        if not isinstance(value, list) or not all(isinstance(part, str) for part in value):
            raise UserError(f"{at}: {column.name}: {value!r}; expected a list of strings")
    elif column.name == "id":
        value = str(value)
    elif pa.types.is_string(column.type) and not isinstance(value, str):
        raise UserError(f"{at}: {column.name}: {value!r}; expected a string")
    if words and value not in words:
        raise UserError(f"{at}: {column.name}: {value!r}{nearest(str(value), words)}")
    return value


def _list(text: str) -> Any:
    """A list in a CSV field: as JSON, or words with spaces between."""
    try:
        return json.loads(text) if text.startswith("[") else text.split()
    except json.JSONDecodeError:
        return text.split()


def _whole(family: FamilyName, row: Row) -> Row:
    return {**dict.fromkeys(COLUMNS[family].names), **row}


def _listed(names: tuple[str, ...]) -> str:
    return ", ".join(names)
