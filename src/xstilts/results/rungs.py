"""Guesses that pay a part of a training: its English dev early on, and successive halving.

What enters: the curves of cells, or their English dev where intermediates of nested rows are in the
grid. What leaves: guesses for `choose`. English dev alone is read, so nothing is spent that the
cell itself would not spend.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

from xstilts.formats.cards import read_card
from xstilts.grids import BASELINE, GridSettings
from xstilts.paths import CELLS, cell
from xstilts.results.answers.choosing import Guesses, regret

Curves = Mapping[tuple[str, str, int], Sequence[float]]  # by cell its English dev, in order


def curves_of(grid: GridSettings, cells: Path = CELLS) -> dict[tuple[str, str, int], list[float]]:
    """English dev at each evaluation of the cells whose curve lies here; archives have none."""
    found = {}
    for name, target, run in grid.cells():
        path = cell(name, target, run, cells) / "history.csv"
        if name == BASELINE or not path.is_file():
            continue
        with path.open(encoding="utf-8") as file:
            values = [float(row["dev"]) for row in csv.DictReader(file) if row.get("dev")]
        if values:
            found[name, target, run] = values
    return found


def first(curves: Curves, target: str, runs: Sequence[int]) -> Guesses:
    """English dev at the first evaluation of the target's own training."""
    rungs = _rungs(curves, target, runs)
    return rungs[0] if rungs else {}


def halved(curves: Curves, target: str, runs: Sequence[int]) -> Guesses:
    """`halving` over the evaluations of the target's own training."""
    return halving(_rungs(curves, target, runs))


def halving(rungs: Sequence[Guesses]) -> Guesses:
    """Of each rung the better half goes on (of an odd number the larger); {} of no rungs.

    A guess is the rung that was reached, and there the place: the last one left is the highest.
    Jamieson and Talwalkar (2016, 1502.07943), with the rungs that are given.
    """
    if not rungs:
        return {}
    left = list(rungs[0])
    reached = dict.fromkeys(left, 0.0)
    for number, rung in enumerate(rungs, 1):
        order = sorted(left, key=lambda name: rung[name])
        for place, name in enumerate(order, 1):
            reached[name] = number + place / (len(order) + 1)
        left = order[len(order) // 2 :]
    return reached


def paid(candidates: int, rungs: int) -> float:
    """The share of all candidates' whole trainings that halving over even rungs runs."""
    left, steps = candidates, 0
    for _ in range(rungs):
        steps += left
        left -= left // 2
    return steps / (candidates * rungs)


def _rungs(curves: Curves, target: str, runs: Sequence[int]) -> list[Guesses]:
    """By evaluation: by intermediate the mean over replicates. Of as many as all cells have."""
    own = {
        (name, run): values
        for (name, asked, run), values in curves.items()
        if asked == target and run in runs
    }
    names = list(dict.fromkeys(name for name, _ in own))
    if not names or any((name, run) not in own for name in names for run in runs):
        return []
    count = min(map(len, own.values()))
    return [
        {name: fmean(own[name, run][at] for run in runs) for name in names} for at in range(count)
    ]


@dataclass(frozen=True)
class Nested:
    """Halving over nested rows on a target: which series is left, and what it loses.

    regret: points to the best series at its most rows; rows: the share of all series' that halving
    trained on.
    """

    target: str
    chosen: str
    regret: float
    rows: float


def nested(
    grid: GridSettings,
    sizes: Mapping[str, Mapping[str, int]],
    gains: Mapping[str, Mapping[str, Mapping[int, float]]],
    cells: Path = CELLS,
) -> list[Nested]:
    """Of each target with gains, where two series or more have as many sizes, two or more.

    A series stands for its intermediate of the most rows; a rung is the next size of each.
    """
    ordered = {
        name: sorted(rows, key=rows.__getitem__) for name, rows in sizes.items() if len(rows) > 1
    }
    steps = min(map(len, ordered.values()), default=0)
    series = {name: of for name, of in ordered.items() if len(of) == steps}
    most = {of[-1] for of in series.values()}
    if len(most) < 2:
        return []
    found = []
    for target, of in gains.items():
        dev = {
            name: _selected(grid, name, target, cells) for rows in series.values() for name in rows
        }
        if any(math.isnan(value) for value in dev.values()):
            continue
        rungs = [{name: dev[rows[at]] for name, rows in series.items()} for at in range(steps)]
        reached = halving(rungs)
        left = max(reached, key=lambda name: reached[name])
        came = {name: fmean(of[rows[-1]].values()) for name, rows in series.items()}
        trained = sum(
            sizes[name][series[name][at]]
            for name, value in reached.items()
            for at in range(int(value))
        )
        whole = sum(sizes[name][rows[-1]] for name, rows in series.items())
        found.append(Nested(target, left, 100 * regret(reached, came, 1), trained / whole))
    return found


def _selected(grid: GridSettings, name: str, target: str, cells: Path) -> float:
    """The mean English dev that selected a cell's checkpoints; NaN where nothing selects."""
    values = [
        card.selection.score if card.selection else math.nan
        for run in grid.replicates
        for card in (read_card(cell(name, target, run, cells)),)
    ]
    return fmean(values)
