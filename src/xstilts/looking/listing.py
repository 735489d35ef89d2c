"""What `xstilts tasks` shows: the catalogue, with the rows of what is prepared on disk."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from rich import box
from rich.table import Table
from rich.text import Text

from xstilts import paths
from xstilts.formats.tables import Record, read_json
from xstilts.tasks.catalogue import RECORDS


def listing(data: Path, records: Iterable[Record] = RECORDS.values()) -> list[dict[str, Any]]:
    """What `xstilts tasks` shows of each task; `sizes`: {table: rows} of what is prepared."""
    return [
        {
            "name": task.name,
            "family": task.family,
            "roles": ", ".join(task.roles),
            "group": task.group,
            "languages": list(task.languages),
            "sizes": _prepared(data, task),
            "licence": task.licence,
        }
        for task in records
    ]


def table(entries: Iterable[Mapping[str, Any]]) -> Table:
    """The listing as a table, as wide as the terminal."""
    shown = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for name, width in (("task", 12), ("family", 14), ("group", 10)):
        shown.add_column(name, no_wrap=True, min_width=width)
    for name in ("as", "languages", "rows, once prepared", "licence"):
        shown.add_column(name, overflow="fold")
    for entry in entries:
        codes = entry["languages"]
        rows = ", ".join(f"{name} {count}" for name, count in entry["sizes"].items())
        cells = (entry["roles"], f"{len(codes)}: {' '.join(codes)}", rows, entry["licence"])
        shown.add_row(*map(Text, (entry["name"], entry["family"], entry["group"], *cells)))
    return shown


def _prepared(data: Path, task: Record) -> dict[str, int]:
    """Rows of each prepared table: the most of any stage's, as an intermediate may have a limit."""
    target, text = paths.target_data(task.name, data), data / paths.TEXT.name
    members = paths.intermediate_data("", data).glob(f"*/{task.name}")
    folders = [target, *paths.trainings(target), *members, *([text] if task.is_text else [])]
    sizes: dict[str, int] = {}
    for folder in folders:
        if not (folder / "counts.json").is_file():
            continue
        for table, counts in read_json(folder / "counts.json").items():
            sizes[table] = max(sizes.get(table, 0), counts["rows"])
    return sizes
