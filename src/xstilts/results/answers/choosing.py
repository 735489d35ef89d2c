"""Which intermediate to train, guessed before it is: how good guesses are, against what came out.

What enters: a guess for each intermediate, and what it gained. What leaves: what following the
guess would have cost. A guess that is no better than chance, or than the other targets' mean, is
worth nothing, so both stand beside it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import combinations

import numpy as np
from scipy import stats

Guesses = Mapping[str, float]  # by intermediate: the higher, the sooner it is trained


def regret(guesses: Guesses, gains: Mapping[str, float], k: int) -> float:
    """What the best of the k guessed best loses to the best of all.

    Of equal guesses the mean over the orders that they may come in.
    """
    names = sorted(guesses, key=lambda name: -guesses[name])
    best = max(gains.values())
    edge = guesses[names[min(k, len(names)) - 1]]
    sure = [name for name in names if guesses[name] > edge]
    tied = [name for name in names if guesses[name] == edge]
    lost = [
        best - max(gains[name] for name in (*sure, *chosen))
        for chosen in combinations(tied, min(k, len(names)) - len(sure))
    ]
    return float(np.mean(lost))


def regret_by_chance(gains: Mapping[str, float], k: int) -> float:
    """`regret` of k drawn at random, exactly.

    The best of a draw is the i-th of n as often as the other k - 1 are among those below it.
    """
    values = sorted(gains.values())
    n, k = len(values), min(k, len(values))
    chances = [math.comb(below, k - 1) / math.comb(n, k) for below in range(n)]
    mean = sum(chance * value for chance, value in zip(chances, values, strict=True))
    return values[-1] - mean


def agreement(guesses: Guesses, gains: Mapping[str, float]) -> float:
    """Spearman's correlation; NaN where one of the two does not vary."""
    names = list(gains)
    first, second = [guesses[name] for name in names], [gains[name] for name in names]
    if len(set(first)) < 2 or len(set(second)) < 2:
        return math.nan
    return float(stats.spearmanr(first, second).statistic)


def halves(replicates: Sequence[int]) -> list[tuple[Sequence[int], Sequence[int]]]:
    """All ways to guess from one half of the replicates what the other half will give.

    Of an odd number the guess has the smaller half; of one replicate it is that one, twice.
    """
    if len(replicates) == 1:
        return [(replicates, replicates)]
    return [
        (half, [one for one in replicates if one not in half])
        for half in combinations(replicates, len(replicates) // 2)
    ]
