"""Which rows of a table are taken: a part, so many, with their own labels or shuffled.

What enters: a task's rows as they were read. What leaves: those that train, or are reported.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from xstilts.errors import UserError, nearest
from xstilts.formats.tables import COLUMNS, Record, Row, Split
from xstilts.params import MemberSettings, SourceSettings
from xstilts.sources.reading import DOMAIN
from xstilts.sources.splits import limited


def taken_rows(
    rows: list[Row],
    take: MemberSettings,
    step: Record,
    limits: Sequence[int | None],
    seed: int,
    counts: dict[str, int],
) -> list[Row]:
    """The rows of a part, within the least of the limits, with the labels asked for.

    counts: what is dropped is added. What selects stays whole, so that parts are selected alike.
    """
    if take.part:
        rows = _of_part(rows, take.part, step, f"intermediates: {step.name}", counts)
    limit = min((number for number in limits if number is not None), default=None)
    kept = limited(rows, limit, seed, step.family)
    if over := len(rows) - len(kept):
        counts["dropped: over the limit"] = over
    return _shuffled(kept, step, seed) if take.labels == "shuffled" else kept


def limit_of(record: Record, split: Split, source: SourceSettings) -> int | None:
    files = source.tasks.get(record.name)
    limits = files.limits if files else {}
    return next((limit for name, limit in limits.items() if name == split), None)


def of_part(
    rows: list[Row], record: Record, source: SourceSettings, counts: dict[str, int]
) -> list[Row]:
    """The rows of the task's `part` in params, if it names one."""
    files = source.tasks.get(record.name)
    if files is None or not files.part:
        return rows
    return _of_part(rows, files.part, record, f"source.tasks.{record.name}", counts)


def _of_part(
    rows: list[Row], part: str, record: Record, where: str, counts: dict[str, int]
) -> list[Row]:
    key = "part" if record.parts else DOMAIN
    parts = {row[key] for row in rows if row.get(key)}
    if part not in parts:
        known = f"; they are of {', '.join(sorted(parts))}" if parts else ""
        raise UserError(
            f"params.yaml: {where}: part: '{part}' is none of its rows'{nearest(part, parts)}"
            f"{known}; `part` in source.tasks.{record.name}.train names a file's"
        )
    kept = [row for row in rows if row.get(key) == part]
    if other := len(rows) - len(kept):
        counts["dropped: another part"] = other
    return kept


def within(
    rows: list[Row], record: Record, split: Split, source: SourceSettings, counts: dict[str, int]
) -> list[Row]:
    """A split's rows of the part and within the limits that params name.

    They are chosen by number, so that languages which are parallel stay so.
    """
    rows = of_part(rows, record, source, counts)
    limit = limit_of(record, split, source)
    if limit is None or limit >= len(rows):
        return rows
    if {"side", "query"} & set(rows[0]):
        raise UserError(
            f"params.yaml: source.tasks.{record.name}.limits: what is searched for and what is "
            "searched in belong together; expected no limits; remove them"
        )
    counts["dropped: over the limit"] = len(rows) - limit
    order = np.random.default_rng([source.seed, len(rows)]).permutation(len(rows))
    return [rows[number] for number in sorted(order[:limit])]


def _shuffled(rows: Sequence[Row], step: Record, seed: int) -> list[Row]:
    """The rows with each other's labels: as many of each as before, and nothing to learn."""
    if "label" not in COLUMNS[step.family].names:
        raise UserError(
            f"params.yaml: intermediates: {step.name}: labels: shuffled; a {step.family} task's "
            "gold belongs to its row; expected a task of classification or choice"
        )
    order = np.random.default_rng([seed, len(rows), 1]).permutation(len(rows))
    return [{**row, "label": rows[other]["label"]} for row, other in zip(rows, order, strict=True)]
