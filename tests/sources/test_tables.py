"""The readers of the Hub's tables: each meets broken rows, and names the row in one line."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.sources.broken_tables import BROKEN_TABLES, PLACE, RIGHT_TABLES, read_table
from tests.sources.hub_tables import MAIN, NLI_COLUMNS, nli, write
from xstilts.errors import UserError
from xstilts.params import SourceSettings
from xstilts.sources import hub
from xstilts.sources.readers.columns import TABLES
from xstilts.tasks.catalogue import record

CASES = [(reader, case) for reader, cases in BROKEN_TABLES.items() for case in cases]


@pytest.mark.parametrize(("reader", "case"), CASES)
def test_broken_table_is_one_line(reader: str, case: str) -> None:
    rows, message = BROKEN_TABLES[reader][case]
    with pytest.raises(UserError) as caught:
        read_table(reader, rows)
    text = str(caught.value)
    assert message in text
    assert "\n" not in text and text.startswith(PLACE)


@pytest.mark.parametrize("reader", TABLES)
def test_right_table_is_read_and_no_rows_are_an_error(reader: str) -> None:
    assert read_table(reader, [RIGHT_TABLES[reader][2]]).counts["read"] == 1
    with pytest.raises(UserError, match=rf"^{PLACE}: no (rows|questions).*; expected"):
        read_table(reader, [])


@pytest.mark.parametrize("reader", TABLES)
def test_any_column_without_a_value_is_one_line_or_rows(reader: str) -> None:
    right = RIGHT_TABLES[reader][2]
    for column in right:
        for value in (None, "", 7, [], {}, [None], {"text": [None], "answer_start": [None]}):
            try:
                read_table(reader, [right | {column: value}])
            except UserError as error:
                assert "\n" not in str(error)


def test_every_reader_has_broken_tables() -> None:
    assert set(BROKEN_TABLES) == set(RIGHT_TABLES) == set(TABLES)
    assert all(BROKEN_TABLES.values())


def _column(name: str, values: pa.Array) -> Callable[[pa.Table], pa.Table]:
    def change(table: pa.Table) -> pa.Table:
        place = table.schema.get_field_index(name)
        return table.set_column(place, table.schema.field(place), values)

    return change


_NOT_UTF8 = pa.array([b"\xff", b"a"], pa.binary()).buffers()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda table: table.slice(0, 0), ": not a Parquet table: "),
        (_column("label", pa.array([0, 7])), ":2: label 7 is not one of contradiction"),
        (_column("label", pa.array([0, -2])), ":2: label -2 is not one of contradiction"),
        (
            _column("premise", pa.Array.from_buffers(pa.string(), 2, _NOT_UTF8)),
            "en/validation: a text that is not UTF-8: 'utf-8' codec can't decode byte 0xff",
        ),
    ],
    ids=["no rows", "number without a name", "negative number", "not UTF-8"],
)
def test_broken_parquet_is_one_line(
    change: Callable[[pa.Table], pa.Table], message: str, tmp_path: Path
) -> None:
    """What a writer of Parquet lets through."""
    tables = {"en": (NLI_COLUMNS, {"validation": nli(0, 1)})}
    mirror = write(tmp_path / "mirror", {("facebook/xnli", MAIN): tables})
    (path,) = mirror.rglob("*.parquet")
    table = change(pq.read_table(path))
    path.unlink()
    pq.write_table(table, path)
    (tmp_path / "locks").mkdir()
    settings = SourceSettings(name="hub", path=str(tmp_path / "locks"), mirror=str(mirror))
    with pytest.raises(UserError) as caught:
        hub.read(record("xnli"), "dev", "en", settings)
    assert message in str(caught.value) and "\n" not in str(caught.value)
