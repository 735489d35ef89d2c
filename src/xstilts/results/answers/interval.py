"""The interval of a contrast between lines of the table: seeds and test rows together.

What enters: a statistic of every training of a column, with the covariance that the test rows give
each two of them. What leaves: a difference, its interval, and where its width comes from.

The design is radiology's of readers and cases (Obuchowski, Rockette, Hillis): few trainings, many
test rows, any metric. Test rows are shared by all trainings, so their part of a difference is
estimated across replicates, where no training meets itself. Seeds are shared by none: the spread
over replicates is pooled over the column's lines, which have equal spreads as far as can be seen,
and holds a training's own part of the row noise, too. The quantile is Cochran and Cox's: of t for
the seeds' part, of the normal distribution for the rows'.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Literal

import numpy as np
from scipy import optimize, special, stats

from xstilts.results.answers.measure import Floats, Measured

Rows = Literal["like these", "these"]  # which test rows an interval speaks of

UNEQUAL = 0.01  # Bartlett's p below which a column's lines do not share one spread


@dataclass(frozen=True)
class Spread:
    """The variance over replicates of one training, with its degrees of freedom.

    of: each line's own. blocks: replicates have encoders of their own. fixed: lines that no seed
    moves, as a frozen encoder's.
    """

    variance: float
    df: int
    of: Mapping[str, tuple[float, int]]
    unequal: float | None = None  # Bartlett's p; None where it cannot be had
    blocks: bool = False
    fixed: frozenset[str] = frozenset()

    @property
    def unlike(self) -> bool:
        """Whether lines do not share one spread, so that each has its own (Welch)."""
        return self.unequal is not None and self.unequal < UNEQUAL


@dataclass(frozen=True)
class Interval:
    """A difference with its interval; fractions. p: of none; None: rows alone, seeds unknown."""

    difference: float
    low: float
    high: float
    p: float | None
    rows: float  # variance of the difference by test rows
    seeds: float | None  # by seeds; None: there is one replicate
    df: float | None


def spread(measured: Measured, fixed: frozenset[str] = frozenset()) -> Spread:
    """The spread over replicates, pooled over the lines that have more than one."""
    groups = {
        name: measured.values[places]
        for name, places in measured.lines.items()
        if len(places) > 1 and name not in fixed
    }
    of = {name: (float(np.var(values, ddof=1)), len(values) - 1) for name, values in groups.items()}
    df = sum(count for _, count in of.values())
    variance = sum(own * count for own, count in of.values()) / df if df else 0.0
    return Spread(variance, df, of, _bartlett(list(groups.values())), fixed=fixed)


def block_spread(measured: Measured) -> Spread:
    """The spread where replicates have encoders of their own: what is left of lines x replicates.

    A replicate is a block, whose encoder lifts or lowers all its trainings: two-way analysis of
    variance without repeats. Every line must have the same replicates.
    """
    names = list(measured.lines)
    table = np.array([measured.values[measured.lines[name]] for name in names])
    left = table - table.mean(0) - table.mean(1, keepdims=True) + table.mean()
    df = (table.shape[0] - 1) * (table.shape[1] - 1)
    variance = float((left**2).sum() / df) if df else 0.0
    own = table.shape[1] - 1
    of = {
        name: (float((line**2).sum() / own), own)
        for name, line in zip(names, left, strict=True)
        if own
    }
    return Spread(variance, df, of, blocks=True)


def difference(
    measured: Measured,
    pair: tuple[str, str],
    spread: Spread,
    *,
    level: float = 0.95,
    rows: Rows = "like these",
    welch: bool = False,
) -> Interval:
    """The first line of `pair` minus the second. rows, welch: as of `contrast`."""
    weights = {pair[0]: 1.0, pair[1]: -1.0}
    return contrast(measured, weights, spread, level=level, rows=rows, welch=welch)


def contrast(
    measured: Measured,
    weights: Mapping[str, float],
    spread: Spread,
    *,
    level: float = 0.95,
    rows: Rows = "like these",
    welch: bool = False,
) -> Interval:
    """The weighted sum of lines' means.

    Where replicates have encoders of their own (spread.blocks) weights must add up to 0. rows:
    speak of test rows like these, or of these alone. welch: each line has a spread of its own,
    where lines are unlike or a run collapsed.
    """
    seeds = _by_seeds(measured, spread, weights, welch)
    return _interval(measured, weights, seeds, spread.blocks, level, rows)


def across(
    measured: Measured, groups: Sequence[tuple[Mapping[str, float], Spread]], level: float
) -> Interval:
    """A contrast of lines in groups, as of unlike encoders, whose spreads are their own.

    groups: weights of a group's lines, and its spread; one that no seed moves adds nothing.
    """
    weights = {name: weight for of, _ in groups for name, weight in of.items()}
    moved = [(of, spread) for of, spread in groups if {*of} - spread.fixed]
    parts = [_by_seeds(measured, spread, of, spread.unlike) for of, spread in moved]
    known = [part for part in parts if part is not None]
    seeds = _together(known) if known and len(known) == len(parts) else None
    blocks = any(spread.blocks for _, spread in groups)
    return _interval(measured, weights, seeds, blocks, level, "like these")


def _interval(
    measured: Measured,
    weights: Mapping[str, float],
    seeds: tuple[float, float] | None,
    blocks: bool,
    level: float,
    rows: Rows,
) -> Interval:
    """seeds: variance and its degrees of freedom; None: nobody knows, so rows alone."""
    value = sum(
        weight * float(measured.values[measured.lines[name]].mean())
        for name, weight in weights.items()
    )
    if seeds is None:
        alone = _alone(measured, weights) if rows == "like these" else 0.0
        half = float(special.ndtri(0.5 + level / 2)) * alone**0.5
        return Interval(value, value - half, value + half, None, alone, None, None)
    by_rows = _by_rows(measured, weights, blocks) if rows == "like these" else 0.0
    half = half_width(by_rows, *seeds, 1 - level)
    p = _p(abs(value), by_rows, *seeds)
    return Interval(value, value - half, value + half, p, by_rows, *seeds)


def _together(parts: Sequence[tuple[float, float]]) -> tuple[float, float]:
    """Independent variances as one, with Satterthwaite's degrees of freedom."""
    total = sum(part for part, _ in parts)
    lost = sum(part**2 / df for part, df in parts)
    return total, total**2 / lost if lost else float(min(df for _, df in parts))


def _alone(measured: Measured, weights: Mapping[str, float]) -> float:
    """The variance by test rows of what these trainings themselves give, their noise included."""
    of = np.zeros(len(measured.values))
    for name, weight in weights.items():
        of[measured.lines[name]] = weight / len(measured.lines[name])
    return max(0.0, float(of @ measured.rows @ of))


def _by_rows(measured: Measured, weights: Mapping[str, float], blocks: bool) -> float:
    """The variance that test rows alone give a contrast, not below 0.

    Over pairs of distinct trainings: a training's covariance with itself holds noise of its own,
    which the spread over replicates has already. blocks: over pairs of distinct replicates.
    """
    places = {name: measured.lines[name] for name in weights}
    within = {
        name: _distinct(measured.rows[np.ix_(at, at)]) for name, at in places.items() if len(at) > 1
    }
    # A line of one training has no pair: the others' stand in, since all read the same rows.
    instead = sum(within.values()) / len(within) if within else 0.0
    total = sum(weight**2 * within.get(name, instead) for name, weight in weights.items())
    for first, second in combinations(weights, 2):
        between = measured.rows[np.ix_(places[first], places[second])]
        paired = blocks and between.shape[0] == between.shape[1] > 1
        shared = _distinct(between) if paired else float(between.mean())
        total += 2 * weights[first] * weights[second] * shared
    return max(0.0, total)


def _distinct(pairs: Floats) -> float:
    """The mean of a square matrix without its diagonal."""
    n = len(pairs)
    return float((pairs.sum() - np.trace(pairs)) / (n * (n - 1)))


def _by_seeds(
    measured: Measured, spread: Spread, weights: Mapping[str, float], welch: bool
) -> tuple[float, float] | None:
    """(the variance that seeds give a contrast, its degrees of freedom); None: nobody knows."""
    moved = {
        name: weight**2 / len(measured.lines[name])
        for name, weight in weights.items()
        if name not in spread.fixed
    }
    if not moved:
        return None
    if not welch:
        return (spread.variance * sum(moved.values()), spread.df) if spread.df else None
    if not moved.keys() <= spread.of.keys():
        return None
    return _together(
        [(share * spread.of[name][0], spread.of[name][1]) for name, share in moved.items()]
    )


def half_width(by_rows: float, by_seeds: float, df: float, alpha: float) -> float:
    """Half of the interval's width: each part has its own quantile, weighted by its variance."""
    total = by_rows + by_seeds
    if not total:
        return 0.0
    z, t = special.ndtri(1 - alpha / 2), special.stdtrit(df, 1 - alpha / 2)
    return float((z * by_rows + t * by_seeds) / total**0.5)


def _p(gap: float, by_rows: float, by_seeds: float, df: float) -> float:
    """The level at which the interval would just reach 0."""
    total = by_rows + by_seeds
    if not total:
        return float(gap == 0)
    lowest = 1e-12
    if gap >= half_width(by_rows, by_seeds, df, lowest):
        return lowest
    return float(optimize.brentq(lambda a: half_width(by_rows, by_seeds, df, a) - gap, lowest, 1.0))


def _bartlett(groups: Sequence[Floats]) -> float | None:
    """Bartlett's p of equal spreads. A line that never moved, beside one that did, is unlike: 0."""
    if len(groups) < 2:
        return None
    still = [float(np.var(values)) == 0 for values in groups]  # or less than a number can say
    if any(still):
        return None if all(still) else 0.0
    return float(stats.bartlett(*groups).pvalue)
