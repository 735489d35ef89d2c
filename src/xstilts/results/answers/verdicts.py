"""From p values to verdicts: which differences of a family are decided.

What enters: p values and intervals. What leaves: adjusted p values, and a verdict for each. One
family is entered after the other: averages of lines, then cells, then languages of decided cells.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from itertools import takewhile
from typing import Literal, TypeVar

import numpy as np
from scipy import stats

from xstilts.results.answers.interval import Interval

Verdict = Literal["up", "down", "perhaps up", "perhaps down", "equal", "undecided", "unknown"]
# `unknown`: one replicate, so that nobody knows what another seed would give.
SIGNS: Mapping[Verdict, str] = {
    "up": "▲",
    "down": "▼",
    "perhaps up": "△",
    "perhaps down": "▽",
    "equal": "=",
    "undecided": "?",
    "unknown": "",
}
FALSE_SHARE = 0.10  # of what △ and ▽ stand at
Name = TypeVar("Name", bound=Hashable)


def holm(p: Mapping[Name, float]) -> dict[Name, float]:
    """Holm's adjusted p values: below .05 with a chance of 5 % for any false one of the family."""
    order = sorted(p, key=p.__getitem__)
    factors = len(order) - np.arange(len(order))
    raised = np.minimum(1.0, factors * np.array([p[name] for name in order]))
    return dict(zip(order, np.maximum.accumulate(raised).tolist(), strict=True)) if order else {}


def false_share(p: Mapping[Name, float]) -> dict[Name, float]:
    """Benjamini and Hochberg's adjusted p values: the share of false ones below a level."""
    names = list(p)
    adjusted = stats.false_discovery_control([p[name] for name in names]) if names else []
    return dict(zip(names, map(float, adjusted), strict=True))


def agreeing(p: Mapping[Name, float], alpha: float) -> int:
    """In how many of these at the least: partial conjunction by Bonferroni (Dror et al. 2017).

    p: of each, one-sided. Raises k while L - k + 1 times the k-th smallest p is at most `alpha`.
    """
    raised = (
        left * value for left, value in zip(range(len(p), 0, -1), sorted(p.values()), strict=True)
    )
    return sum(1 for _ in takewhile(lambda value: value <= alpha, raised))


def verdict(
    interval: Interval, adjusted: float | None, share: float | None, matters: float, level: float
) -> Verdict:
    """The verdict on a difference. adjusted: p by Holm; share: by Benjamini and Hochberg.

    matters: the difference below which two lines count as equal, a fraction.
    """
    if interval.p is None or adjusted is None:
        return "unknown"
    up = interval.difference > 0
    if adjusted <= 1 - level:
        return "up" if up else "down"
    if -matters < interval.low and interval.high < matters:
        return "equal"
    if share is not None and share <= FALSE_SHARE:
        return "perhaps up" if up else "perhaps down"
    return "undecided"
