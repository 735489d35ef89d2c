"""Every family says what is its own, or an explicit None: nothing falls to a default unseen."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, get_args

import pytest

from tests.rows import record, rows, section
from xstilts.formats.tables import COLUMNS, GOLD, FamilyName, Table
from xstilts.leaving.rows import ASKED
from xstilts.looking.families import LOOKS
from xstilts.results.conventions import CONVENTIONS
from xstilts.results.formats import FORMATS
from xstilts.tasks.families import FAMILIES
from xstilts.tasks.families.protocol import Family
from xstilts.training.evaluation import Evaluated, passport
from xstilts.training.task import task

FUNCTIONS = [name for name in vars(Family) if not name.startswith("_")]
BY_FAMILY = {
    "columns": COLUMNS,
    "look": LOOKS,
    "format": FORMATS,
    "conventions": CONVENTIONS,
    "asked": ASKED,
}


def forgotten(name: str, family: Any) -> list[str]:
    """What a family lacks: a function of the protocol, or an entry in a room that looks it up."""
    functions = [one for one in FUNCTIONS if not callable(getattr(family, one, None))]
    return functions + [room for room, known in BY_FAMILY.items() if name not in known]


@pytest.mark.parametrize("name", FAMILIES)
def test_family_forgets_nothing(name: str) -> None:
    assert forgotten(name, FAMILIES[name]) == []  # type: ignore[index]


def test_what_a_family_forgets_is_named() -> None:
    half = SimpleNamespace(**{name: print for name in FUNCTIONS if name != "labelled"})
    assert forgotten("new", half) == ["labelled", *BY_FAMILY]
    assert len(FUNCTIONS) == 10


def test_names_are_the_families() -> None:
    assert set(FAMILIES) == set(get_args(FamilyName))


@pytest.mark.parametrize("name", FAMILIES)
def test_gold_is_a_column_and_seen_where_it_is(name: str) -> None:
    one, found = record(name), rows(name)
    assert one.is_text == (name not in GOLD)
    if one.is_text:
        assert not FAMILIES[name].labelled(found)  # type: ignore[index]
        return
    gold = GOLD[name]
    assert gold in COLUMNS[name].names  # type: ignore[index]
    assert FAMILIES[name].labelled(found)  # type: ignore[index]
    hidden = [{**row, gold: None} for row in found]
    assert not FAMILIES[name].labelled(hidden) and not FAMILIES[name].labelled([])  # type: ignore[index]


@pytest.mark.parametrize("name", FAMILIES)
def test_passport_says_what_is_cut(name: str) -> None:
    one = task(record(name), section(name))
    table = Table(one.name, "test", "en", rows(name), "digest")
    evaluated = Evaluated(inputs={"test-en": table.digest})
    said = passport(record(name), one, None, evaluated)
    assert "48 pieces" in said["truncation"]
    assert said["tables"] == {"test-en": "digest"} and said["metrics"].keys() == set(
        record(name).metrics
    )
