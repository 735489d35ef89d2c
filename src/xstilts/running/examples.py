"""A cell's predictions as a table that MLflow sets beside another cell's.

What enters: a cell's folder and its target's tables. What leaves: the columns of COLUMNS. Which
rows: of each language as many as ROWS, evenly spread over the table, so that all cells of a target
show the same. Texts only where the task's licence lets them be shown on.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from xstilts import paths
from xstilts.formats.cards import Card, reported
from xstilts.formats.kept import Kept, read_kept, tables_of
from xstilts.formats.tables import Row, read_table, tables_in

ROWS = 200  # of a language
LENGTH = 300  # characters of a cell of the table
COLUMNS = ("id", "prediction", "gold", "text", "language")  # the second is what is compared
TEXTS = ("query", "text_a", "text_b", "question", "context", "text")  # of a row, as people read it


def examples_of(folder: Path, card: Card) -> dict[str, list[str]]:
    """The table of a cell, by column, of the split that is reported; {} where none was kept.

    An id is LANGUAGE/ID: the comparison finds rows by it, and languages share ids. UserError for
    predictions that cannot be read.
    """
    found = reported(card)
    lines: list[tuple[str, ...]] = []
    for split, language in tables_of(folder):
        if found and split == found[0]:
            kept = read_kept(folder, card, split, language)
            texts = _texts(folder, card, kept)
            gold = _gold(kept)
            rows = [at for at, one in enumerate(kept.predictions) if one is not None]
            for at in spread(rows):
                name = kept.ids[at]
                shown = (_shown(kept.predictions[at]), _shown(gold[at]), texts.get(name, ""))
                lines.append((f"{language}/{name}", *shown, language))
    columns = zip(COLUMNS, zip(*lines, strict=True), strict=True) if lines else ()
    return {name: list(values) for name, values in columns}


def spread(rows: Sequence[int]) -> Sequence[int]:
    """At most ROWS of the rows, evenly spread: the first alone may all be of one article."""
    return [rows[at * len(rows) // ROWS] for at in range(ROWS)] if len(rows) > ROWS else rows


def _gold(kept: Kept) -> list[Any]:
    """Each row's gold. Of nearest neighbours it stands on the partner: an English row's is found.

    So gold and prediction stand on one line, whichever side is asked.
    """
    partners = {
        other: name
        for name, gold in zip(kept.ids, kept.gold, strict=True)
        for other in (gold if isinstance(gold, list) else ())
        if isinstance(other, str)
    }
    pairs = zip(kept.ids, kept.gold, strict=True)
    return [partners.get(name) if gold is None else gold for name, gold in pairs]


def _texts(folder: Path, card: Card, kept: Kept) -> Mapping[str, str]:
    """The rows' texts by id; {} where they may not be shown, or are no longer what was read."""
    from xstilts.tasks.catalogue import ENTRIES

    entry = ENTRIES.get(card.target)
    if entry is not None and entry.withheld:
        return {}
    data = folder.absolute().parents[3] / paths.target_data(card.target)
    for split, language in tables_in(data):
        if (split, language) == (kept.split, kept.language):
            table = read_table(data, split, language)
            if table.digest == card.inputs.get(kept.name):
                return {row["id"]: _text(row) for row in table.rows}
    return {}


def _text(row: Row) -> str:
    parts = [row[name] for name in TEXTS if row.get(name)]
    parts += [" ".join(row["tokens"])] if row.get("tokens") else []
    parts += row.get("choices") or ()
    return " | ".join(part[:LENGTH] for part in parts)


def _shown(value: Any) -> str:
    """Gold or a prediction of any family as a text: a label, tags, the distinct answers, an id."""
    if isinstance(value, dict):
        value = value.get("text", value.get("id"))
    if isinstance(value, list):
        answers = any(isinstance(one, dict) for one in value)
        parts = dict.fromkeys(map(_shown, value)) if answers else map(str, value)
        value = (" / " if answers else " ").join(parts)
    return "" if value is None else str(value)[:LENGTH]
