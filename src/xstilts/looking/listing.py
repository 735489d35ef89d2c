"""What `xstilts tasks` shows: the catalogue, with the rows of what is prepared on disk."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

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
