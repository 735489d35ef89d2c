"""The grid's cards as numbers.

What enters: cells/INTERMEDIATE/TASK/R/card.json. What leaves: `Results`, and one number for each
intermediate, replicate and target or average, as fractions. Only what may stand together does: the
cells of one target must have equal passports.
"""

from __future__ import annotations

import json
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from xstilts.errors import UserError
from xstilts.formats.cards import Card, read_card, reported, task_number
from xstilts.formats.tables import ENGLISH
from xstilts.params import BASELINE, GridSettings
from xstilts.paths import cell as cell_folder
from xstilts.results.answers.table import MEAN
from xstilts.tasks.metrics.benchmark import average

AVERAGES = ("classification", "tagging", "qa", "retrieval", "without_retrieval", "all")
OWN = ("seed", "thresholds")  # what a passport says of its cell alone

# intermediate -> replicate -> target or average -> number
GridNumbers = dict[str, dict[int, dict[str, float]]]


@dataclass(frozen=True)
class Column:
    """A target of the grid: its cells, the split that is reported, the languages scored there."""

    target: str
    split: str
    languages: tuple[str, ...]
    cards: Mapping[tuple[str, int], Card]

    @property
    def card(self) -> Card:
        """The card of any of the cells, for what all of them share."""
        return next(iter(self.cards.values()))

    def number(self, intermediate: str, replicate: int, language: str) -> float:
        """A cell's number in a language: the mean of the task's main metrics."""
        card = self.cards[intermediate, replicate]
        return task_number(card.scores[self.split][language], card.main)


@dataclass(frozen=True)
class Results:
    """A grid's cells by target, and what of the grid a report must name."""

    experiment: str
    intermediates: tuple[str, ...]
    runs: Mapping[str, tuple[int, ...]]  # replicates, by intermediate
    columns: tuple[Column, ...]
    leftovers: tuple[str, ...]  # folders under cells/ that the grid does not name
    benchmark: str = "xtreme"  # whose averages are formed

    @property
    def replicates(self) -> tuple[int, ...]:
        """Those that every intermediate has."""
        return min(self.runs.values(), key=len)

    @property
    def targets(self) -> tuple[str, ...]:
        return tuple(column.target for column in self.columns)


@dataclass(frozen=True)
class Estimate:
    """Mean over replicates; spread: their standard deviation, None for a single one."""

    mean: float
    spread: float | None


def read_results(experiment: str, grid: GridSettings, cells: Path) -> Results:
    """Read exactly the grid's cells; UserError where one is missing or unlike the others."""
    if not (grid.intermediates and grid.targets and grid.replicates):
        raise UserError(
            "params.yaml: grid: nothing to report; expected at least one intermediate, target and "
            "replicate; name them in the grid"
        )
    _require_all(grid, cells)
    columns = tuple(_column(target, grid, cells) for target in grid.targets)
    named = {(name, target, str(run)) for name, target, run in grid.cells()}
    on_disk = {path.parent.relative_to(cells).parts for path in cells.glob("*/*/*/card.json")}
    unfinished = {parts for parts in on_disk if any(part.startswith(".") for part in parts)}
    leftovers = tuple("/".join(parts) for parts in sorted(on_disk - named - unfinished))
    runs = {name: tuple(grid.runs(name)) for name in grid.intermediates}
    return Results(experiment, tuple(runs), runs, columns, leftovers, grid.benchmark)


def numbers(results: Results, zero_shot: bool) -> GridNumbers:
    """Each cell's number, and the averages for which the grid has all targets.

    A target's number is the mean over its languages, as in XTREME; zero_shot: without English.
    """
    by_intermediate: GridNumbers = {}
    for intermediate in results.intermediates:
        for replicate in results.runs[intermediate]:
            scores = {
                column.target: statistics.fmean(
                    column.number(intermediate, replicate, language) for language in languages
                )
                for column in results.columns
                if (languages := spoken(column, zero_shot))
            }
            mean = {MEAN: statistics.fmean(scores.values())} if scores else {}
            whole = average(scores, results.benchmark)
            by_intermediate.setdefault(intermediate, {})[replicate] = {**scores, **whole, **mean}
    return by_intermediate


def spoken(column: Column, zero_shot: bool) -> list[str]:
    """The languages that a target's number is a mean over."""
    return [name for name in column.languages if not (zero_shot and name == ENGLISH)]


def names(by_cell: GridNumbers) -> set[str]:
    """The targets and averages that have numbers, the same in every replicate."""
    return set(next(iter(next(iter(by_cell.values())).values())))


def score(by_cell: GridNumbers, intermediate: str, name: str) -> Estimate:
    return _estimate([values[name] for values in by_cell[intermediate].values()])


def gain(by_cell: GridNumbers, intermediate: str, name: str) -> Estimate | None:
    """Difference of the means to the baseline's, with its spread over the replicates of both.

    None where there is no baseline.
    """
    if intermediate == BASELINE or BASELINE not in by_cell:
        return None
    base, own = by_cell[BASELINE], by_cell[intermediate]
    spread = _estimate([values[name] - base[r][name] for r, values in own.items()]).spread
    mean = score(by_cell, intermediate, name).mean - score(by_cell, BASELINE, name).mean
    return Estimate(mean, spread)


def _estimate(values: Sequence[float]) -> Estimate:
    spread = statistics.stdev(values) if len(values) > 1 else None
    return Estimate(statistics.fmean(values), spread)


def _require_all(grid: GridSettings, cells: Path) -> None:
    """UserError where cells of the grid have no card: how many, and which."""
    every = grid.cells()
    folders = {cell: cells / "/".join(map(str, cell)) for cell in every}
    missing = [cell for cell in every if not (folders[cell] / "card.json").is_file()]
    if not missing:
        return
    first, *others = missing
    named = ", ".join("/".join(map(str, cell)) for cell in others)
    more = f", nor have {len(others)} more of the grid's {len(every)} cells ({named})"
    raise UserError(
        f"{folders[first]}: no card{more if others else ''}; expected a cell for each "
        "intermediate, target and replicate of the grid; run "
        f"`dvc repro {grid.stage(*first)}`"
    )


def _column(target: str, grid: GridSettings, cells: Path) -> Column:
    cards: dict[tuple[str, int], Card] = {}
    first = None
    for intermediate in grid.intermediates:
        for replicate in grid.runs(intermediate):
            folder = cell_folder(intermediate, target, replicate, cells)
            card = cards[intermediate, replicate] = read_card(folder)
            first = first or (folder, card)
            _compare(*first, folder, card)
    found = reported(next(iter(cards.values())))
    if found is None:
        raise UserError(
            f"{target}: no language of its cells has a score; expected gold in dev or test of at "
            "least one; see the card's counts, or take the target out of the grid"
        )
    return Column(target, *found, cards)


def _compare(first: Path, expected: Card, folder: Path, card: Card) -> None:
    """UserError where the numbers of two cells of a target do not mean the same."""
    if (found := unlike(card, expected)) is not None:
        key, ours, theirs = found
        raise UserError(
            f"{folder}: {key} is {ours}, and {theirs} in {first}; expected one meaning for all "
            "numbers of a target; run `dvc repro target` to bring both up to date"
        )


def unlike(card: Card, other: Card, but: Sequence[str] = ()) -> tuple[str, str, str] | None:
    """What of two cards' meaning differs first: its name and both values. but: what may differ."""
    ours, theirs = _meaning(card), _meaning(other)
    for key in sorted({*ours, *theirs} - {*but}):
        if ours.get(key) != theirs.get(key):
            return key, _brief(ours.get(key)), _brief(theirs.get(key))
    return None


def _meaning(card: Card) -> dict[str, Any]:
    """What must be equal in a column: passport, encoder, source, the scored languages."""
    passport = {key: value for key, value in card.passport.items() if not key.startswith(OWN)}
    scored = {split: sorted(languages) for split, languages in sorted(card.scores.items())}
    settings: dict[str, Any] = {
        name: card.settings[name].value for name in ("layer", "pooling") if name in card.settings
    }
    of_card = {name: getattr(card, name) for name in ("encoder", "source", "family", "main")}
    return {**passport, **settings, **of_card, "scored languages": scored}


def _brief(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False, sort_keys=True)
    return text if len(text) <= 80 else f"{text[:77]}..."
