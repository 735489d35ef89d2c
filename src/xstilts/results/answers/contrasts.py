"""Questions about several intermediates at once: groups of them, and sizes of one.

What enters: a statistic of every training. What leaves: contrasts with their intervals, and for
groups the exact permutation of their labels, in which the task is the unit.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from xstilts.results.answers.interval import Interval, Spread, contrast
from xstilts.results.answers.measure import Measured


@dataclass(frozen=True)
class Groups:
    """The mean of one group of intermediates minus another's.

    interval: of these very tasks, over seeds and test rows. p: of the labels' exact permutation, so
    of tasks like these; smallest: the least that so few tasks can give, known beforehand.
    """

    interval: Interval
    p: float
    smallest: float


@dataclass(frozen=True)
class Curve:
    """Points for each doubling of an intermediate's rows.

    enough: the fewest rows from which on no size is farther from the most than matters; None: where
    that cannot be said of any.
    """

    interval: Interval
    enough: int | None


def groups(
    measured: Measured, first: Sequence[str], second: Sequence[str], spread: Spread, level: float
) -> Groups:
    """The groups have no intermediate in common."""
    weights = {
        **dict.fromkeys(first, 1 / len(first)),
        **dict.fromkeys(second, -1 / len(second)),
    }
    means = {name: float(measured.values[measured.lines[name]].mean()) for name in weights}
    return Groups(
        contrast(measured, weights, spread, level=level, welch=spread.unlike),
        permuted(list(means.values()), len(first)),
        smallest_p(len(first), len(second)),
    )


def permuted(values: Sequence[float], first: int) -> float:
    """Two-sided p of the first so many having another mean than the rest.

    Twice the smaller share of all ways to label them that are as far out.
    """
    total = sum(values)
    found = [sum(values[place] for place in chosen)
             for chosen in combinations(range(len(values)), first)]  # fmt: skip
    tiny = 1e-12 * max(1.0, abs(total))
    above = sum(one >= found[0] - tiny for one in found) / len(found)
    below = sum(one <= found[0] + tiny for one in found) / len(found)
    return min(1.0, 2 * min(above, below))


def smallest_p(first: int, second: int) -> float:
    """The least that `permuted` can give."""
    return min(1.0, 2 / math.comb(first + second, first))


def curve(
    measured: Measured, sizes: Mapping[str, int], spread: Spread, level: float, matters: float
) -> Curve:
    """sizes: rows of each intermediate, two or more; matters: a difference, as a fraction."""
    names = sorted(sizes, key=sizes.__getitem__)
    doublings = np.log2([sizes[name] for name in names])
    centred = doublings - doublings.mean()
    weights = dict(zip(names, (centred / (centred @ centred)).tolist(), strict=True))
    enough = None
    for name in reversed(names[:-1]):
        gap = contrast(
            measured, {name: 1.0, names[-1]: -1.0}, spread, level=level, welch=spread.unlike
        )
        if gap.p is None or not -matters < gap.low <= gap.high < matters:
            break
        enough = sizes[name]
    whole = contrast(measured, weights, spread, level=level, welch=spread.unlike)
    return Curve(whole, enough)
