"""What more replicates would decide, and what they cost: `xstilts plan`.

What enters: the sums of a grid's cells, and how long its stages took. What leaves: for each target
the half width of its differences now and then, and the replicates to add. Spreads are read, never
effects: who adds replicates until an effect is significant raises false alarms (docs/answers.md).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import count, islice, product
from pathlib import Path
from statistics import fmean

from xstilts.console import aligned, lasting
from xstilts.errors import UserError
from xstilts.grids import BASELINE, AnswerSettings, GridSettings
from xstilts.results.answers.interval import Spread, difference, half_width
from xstilts.results.answers.measure import Measured, measure
from xstilts.results.answers.table import spread_of
from xstilts.results.report.cells import read_results
from xstilts.results.report.decided import columns_of, own_encoders

MOST = 30  # replicates of a line: who needs more needs another design


@dataclass(frozen=True)
class Target:
    """A column: the spread over seeds, and the variance that test rows give a difference."""

    name: str
    spread: Spread
    rows: float  # the mean over lines
    lines: int

    def half(self, choice: Choice, alpha: float) -> float:
        """Half of a difference's interval with so many replicates."""
        own, baseline = choice
        if self.spread.blocks:
            seeds, df = 2 * self.spread.variance / own, (self.lines - 1) * (own - 1)
        else:
            moved = 0.0 if BASELINE in self.spread.fixed else 1 / baseline
            seeds = self.spread.variance * (1 / own + moved)
            df = (self.lines - 1) * (own - 1) + (baseline - 1 if moved else 0)
        return half_width(self.rows, seeds, df, alpha)


Choice = tuple[int, int]  # replicates of each line, and of the baseline


@dataclass(frozen=True)
class Costs:
    """Seconds of one more replicate: of all lines but the baseline, and of the baseline."""

    lines: float
    baseline: float

    def of(self, now: Choice, then: Choice) -> float:
        return (then[0] - now[0]) * self.lines + (then[1] - now[1]) * self.baseline


@dataclass(frozen=True)
class Proposal:
    """What to run next. then: None where nothing reaches what was asked for."""

    targets: tuple[Target, ...]
    now: Choice
    then: Choice | None
    seconds: float | None  # None: no times are known here
    alpha: float


def plan(
    grid: GridSettings,
    section: AnswerSettings,
    costs: Costs | None,
    cells: Path,
    budget: float | None = None,
) -> Proposal:
    """The cheapest replicates with which every target's half width is within what matters.

    budget: seconds; then those that it pays for which make the half widths least. UserError where
    the grid has one replicate, of which no spread can be read, or a budget and no times.
    """
    if BASELINE not in grid.intermediates or len(grid.intermediates) < 2:
        raise UserError(
            f"params.yaml: grid.intermediates: {grid.intermediates}; expected '{BASELINE}' and "
            "others, as a plan is about their differences; add what is missing"
        )
    if len(grid.replicates) < 2:
        raise UserError(
            f"params.yaml: grid.replicates: {grid.replicates}; expected two or more, as a plan is "
            "made from their spread; run three, with `xstilts use EXPERIMENT --set "
            "'grid.replicates=[1, 2, 3]'`"
        )
    if budget is not None and costs is None:
        raise UserError(
            "--budget: no stage has run here, so that nobody knows what one takes; expected a grid "
            "that ran on this machine; leave --budget out"
        )
    results = read_results("", grid, cells)
    blocks = own_encoders(results.columns)
    targets = tuple(
        _target(name, measure([column]), blocks, frozen)
        for name, (column, frozen) in columns_of(results, cells).items()
    )
    now = (len(grid.replicates), len(grid.runs(BASELINE)))
    alpha = 1 - section.level
    choices = list(_choices(now, blocks))
    price = costs or Costs(float(len(grid.intermediates) - 1), 1.0)  # in replicates, without times
    then: Choice | None
    if budget is not None:
        paid = [one for one in choices if price.of(now, one) <= budget]
        then = min(paid, key=lambda one: sum(target.half(one, alpha) for target in targets))
    else:
        then = _cheapest(targets, choices, section.matters / 100, alpha, price, now)
    seconds = costs.of(now, then) if costs and then else None
    return Proposal(targets, now, then, seconds, alpha)


def _cheapest(
    targets: tuple[Target, ...],
    choices: list[Choice],
    matters: float,
    alpha: float,
    price: Costs,
    now: Choice,
) -> Choice | None:
    """For the targets that replicates can bring there at all; None where that is none of them."""
    most = max(choices)
    able = [target for target in targets if target.half(most, alpha) <= matters]
    enough = [one for one in choices if all(of.half(one, alpha) <= matters for of in able)]
    return min(enough, key=lambda one: price.of(now, one)) if able else None


def _target(name: str, measured: Measured, blocks: bool, frozen: bool) -> Target:
    fixed = frozenset({BASELINE}) if frozen and not blocks else frozenset()
    spread = spread_of(measured, blocks, fixed)
    others = [line for line in measured.lines if line != BASELINE]
    rows = fmean(difference(measured, (line, BASELINE), spread).rows for line in others)
    return Target(name, spread, rows, len(measured.lines))


def _choices(now: Choice, blocks: bool) -> Iterator[Choice]:
    """All replicates up to the most; of blocks the baseline has what the lines have."""
    further = range(1 if blocks else 2 * MOST + 1)
    for own, more in product(range(now[0], max(now[0], MOST) + 1), further):
        yield own, max(own, now[1]) + more


def costs_of(grid: GridSettings, seconds: Mapping[str, float]) -> Costs | None:
    """What stages took, by name; None where some kind of stage has not run here.

    An encoder of a replicate's own is paid with its lines; the first replicate's is phase 1's.
    """
    encoders = [seconds.get(f"encoder@{run}") for run in grid.replicates[1:]]
    if not all(encoders):
        return None
    lines, baseline = fmean([one for one in encoders if one] or [0.0]), 0.0
    for name in grid.intermediates:
        models = [seconds.get(f"intermediate@{name}-{r}") for r in grid.replicates]
        cells = [
            [seconds.get(grid.stage(name, target, r)) for r in grid.runs(name)]
            for target in grid.targets
        ]
        known = [[one for one in times if one is not None] for times in (models, *cells)]
        if not all(known):
            return None
        row = sum(map(fmean, known))
        lines, baseline = (lines, row) if name == BASELINE else (lines + row, baseline)
    return Costs(lines, baseline)


def render(found: Proposal, grid: GridSettings, experiment: str, matters: float) -> str:
    """The plan as text, with the command that sets it. Points."""
    lines = [["target", "seed SD", "rows alone", "half now", "then"]]
    for one in sorted(found.targets, key=lambda one: -one.half(found.now, found.alpha)):
        then = f"{100 * one.half(found.then, found.alpha):.1f}" if found.then else "-"
        lines.append(
            [
                one.name,
                f"{100 * math.sqrt(one.spread.variance):.1f}",
                f"{100 * half_width(one.rows, 0.0, 1, found.alpha):.1f}",
                f"{100 * one.half(found.now, found.alpha):.1f}",
                then,
            ]
        )
    text = aligned(lines)
    if found.then is None:
        return "\n".join([*text, f"{MOST} replicates bring no target within ±{matters:g} points"])
    if found.then == found.now:
        return "\n".join([*text, "nothing to add"])
    own, baseline = found.then
    replicates = _numbers(grid.replicates, own)
    left = [run for run in grid.more_baseline if run not in replicates]
    more = _numbers(left, baseline - own, replicates)
    took = "" if found.seconds is None else f", {lasting(found.seconds)} of one job, as stages took"
    text.append(
        f"{own - found.now[0]} more replicates of each line, {baseline - found.now[1]} more of "
        f"`{BASELINE}`{took}:"
    )
    sets = [f"--set 'grid.replicates={replicates}'", f"--set 'grid.more_baseline={more}'"]
    text.append(f"  xstilts use {experiment} --force {' '.join(sets)} && xstilts grid")
    return "\n".join(text)


def _numbers(have: Sequence[int], wanted: int, taken: Sequence[int] = ()) -> list[int]:
    """The replicates at hand and as many of the next free numbers as are lacking."""
    free = (number for number in count(1) if number not in (*have, *taken))
    return [*have, *islice(free, max(0, wanted - len(have)))][:wanted]
