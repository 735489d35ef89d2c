"""A cell's kept predictions and gold, read back.

What enters: a cell's folder. What leaves: its card, and for each split and language the ids, the
predictions and the gold in the table's order, as `evaluation.write_predictions` left them. Nothing
is predicted here; what submissions and other conventions are computed from.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from xstilts.errors import UserError
from xstilts.formats.cards import Card, read_card
from xstilts.formats.tables import GOLD, FamilyName, Row
from xstilts.paths import CELLS, prediction_file, predictions

KEYS = {"id", "prediction", "gold"}


@dataclass(frozen=True)
class Kept:
    """A cell's predictions of one table. gold: None where it is hidden (see `tables.COLUMNS`)."""

    split: str
    language: str
    ids: list[str]
    predictions: list[Any]
    gold: list[Any]

    @property
    def name(self) -> str:
        return f"{self.split}-{self.language}"

    def rows(self, family: FamilyName) -> list[Row]:
        """The table's rows, with only what a family's `score` reads: id and gold."""
        return [{"id": i, GOLD[family]: gold} for i, gold in zip(self.ids, self.gold, strict=True)]


def cell_folder(name: str) -> Path:
    """The folder of a cell, cells/none/xnli/1 or none/xnli/1; UserError where it has no card."""
    for folder in (Path(name), CELLS / name):
        if (folder / "card.json").is_file():
            return folder
    raise UserError(
        f"{name}: no card.json there or in {CELLS / name}; expected a cell, as "
        "cells/INTERMEDIATE/TASK/REPLICATE; `xstilts grid` makes them"
    )


def cell_card(folder: Path) -> Card:
    """The card of a cell. UserError where it is another phase's, which keeps no predictions."""
    card = read_card(folder)
    if card.phase != "target":
        raise UserError(f"{folder}: the card of phase {card.phase}; expected a cell (phase target)")
    return card


def tables_of(folder: Path) -> Iterator[tuple[str, str]]:
    """The (split, language) pairs that a cell kept predictions of, sorted."""
    for path in sorted(predictions(folder).glob("*.jsonl")):
        split, _, language = path.stem.partition("-")
        yield split, language


def read_kept(folder: Path, card: Card, split: str, language: str) -> Kept:
    """The kept predictions of one table.

    UserError: a missing or broken file, or not as many predictions as the card counts.
    """
    path = prediction_file(folder, split, language)
    where = f"`dvc repro target@{card.intermediate}-{card.target}-{card.replicate}`"
    if not path.is_file():
        raise UserError(f"{path}: no such file; expected the cell's predictions; run {where}")
    lines = []
    texts = path.read_text(encoding="utf-8").removesuffix("\n").split("\n")
    for number, text in enumerate(texts, 1):  # no splitlines: answers may hold U+2028, a line end
        try:
            line = json.loads(text)
        except json.JSONDecodeError:
            line = None
        if not isinstance(line, dict) or set(line) != KEYS:
            raise UserError(
                f"{path}:{number}: not a kept prediction; expected an object with id, prediction "
                f"and gold; run {where}"
            )
        lines.append(line)
    wanted = card.counts.get(f"{split}-{language}", {}).get("predicted")
    if len(lines) != wanted:
        raise UserError(
            f"{path}: {len(lines)} predictions; expected {wanted}, as the card counts; run {where}"
        )
    ids, predicted, gold = ([line[key] for line in lines] for key in ("id", "prediction", "gold"))
    return Kept(split, language, ids, predicted, gold)
