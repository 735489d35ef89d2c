"""docs/data.md: what the catalogue knows of tasks' files stands there as the catalogue has it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from xstilts.tasks.catalogue import ENTRIES
from xstilts.tasks.catalogue.entry import Entry, Slot

TEXT = (Path(__file__).parents[1] / "docs/data.md").read_text(encoding="utf-8")


def rows(title: str) -> list[list[str]]:
    """The cells of a section's table, without its header."""
    section = TEXT.split(f"\n## {title}\n")[1].split("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("| ")]
    return [line.strip("| ").split(" | ") for line in lines][2:]


def served(entry: Entry) -> str:
    """The repositories of each copy on the Hub; the first copy is read unless params name one."""
    copies = [dict.fromkeys(f"`{part.id}`" for part in copy) for copy in entry.repositories]
    return " or ".join(" + ".join(copy) for copy in copies) or "none"


def places(slot: Slot) -> Iterator[str]:
    """A slot's paths in the order in which they are tried.

    One that another is the end of stands with it: (folder/)file, with and without the folder.
    """
    paths = [spec.path for spec in slot]
    for path in paths:
        ends = [other for other in paths if other != path and path.endswith(f"/{other}")]
        if any(other.endswith(f"/{path}") for other in paths):
            continue
        for end in ends:
            path = f"({path.removesuffix(end)}){end}"
        yield f"`{path}`"


def test_sources_and_licences_are_the_catalogues() -> None:
    found = [(name, hub, licence) for name, _, hub, licence in rows("Where a task comes from")]
    assert found == [
        (f"`{name}`", served(entry), entry.record.licence) for name, entry in ENTRIES.items()
    ]


def test_every_task_has_an_official_address() -> None:
    for name, official, _, _ in rows("Where a task comes from"):
        address = re.search(r"https://[\w.-]+/?[\w./~-]*", official)
        assert address or name == "`text`", name


def test_layouts_are_the_catalogues() -> None:
    assert [tuple(row) for row in rows("Where its files lie")] == [
        (f"`{name}`", split, "; ".join(" or ".join(places(slot)) for slot in slots))
        for name, entry in ENTRIES.items()
        for split, slots in entry.files.items()
    ]


def test_a_folder_that_may_be_left_out_stands_in_parentheses() -> None:
    (slot,) = ENTRIES["hellaswag"].files["train"]
    assert list(places(slot)) == ["`(hellaswag/)hellaswag_train.jsonl`"]
