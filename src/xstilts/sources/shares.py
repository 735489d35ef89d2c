"""Which rows of a table are taken: a part, so many, with their own labels or shuffled.

What enters: a task's rows as they were read. What leaves: those that train, or are reported.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from xstilts.errors import UserError, nearest
from xstilts.formats.tables import COLUMNS, Record, Row, Split
from xstilts.params import MemberSettings, SourceSettings
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
        parts = {row["part"] for row in rows if row.get("part")}
        if take.part not in parts:
            raise UserError(
                f"params.yaml: intermediates: {step.name}: part: '{take.part}' is none of its "
                f"rows'{nearest(take.part, parts)}; `part` in source.tasks.{step.name}.train names "
                "a file's"
            )
        whole, rows = len(rows), [row for row in rows if row.get("part") == take.part]
        counts |= {"dropped: another part": whole - len(rows)} if len(rows) < whole else {}
    limit = min((number for number in limits if number is not None), default=None)
    kept = limited(rows, limit, seed, step.family)
    if over := len(rows) - len(kept):
        counts["dropped: over the limit"] = over
    return _shuffled(kept, step, seed) if take.labels == "shuffled" else kept


def limit_of(record: Record, split: Split, source: SourceSettings) -> int | None:
    files = source.tasks.get(record.name)
    limits = files.limits if files else {}
    return next((limit for name, limit in limits.items() if name == split), None)


def within(
    rows: list[Row], record: Record, split: Split, source: SourceSettings, counts: dict[str, int]
) -> list[Row]:
    """The rows within `limits` of params, chosen by number: languages that are parallel stay so."""
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
