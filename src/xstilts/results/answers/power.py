"""How many replicates a difference needs to be found.

What enters: variances and an effect. What leaves: a number of replicates. Spreads are read, never
effects: who looks at the effect until it is significant raises false alarms (docs/answers.md).
"""

from __future__ import annotations

from scipy import special, stats

from xstilts.results.answers.interval import half_width

POWER = 0.8
MOST = 1000  # replicates; who needs more needs another design


def replicates_for(
    effect: float, by_rows: float, variance: float, lines: int, alpha: float = 0.05
) -> int | None:
    """The least replicates of two lines that find an effect with a chance of 80 %.

    by_rows: the variance that test rows give a difference, which no replicate lowers. variance:
    of one training over seeds, pooled over `lines`. None: not with 1,000 replicates.
    """
    low, high = 2, MOST
    if power(effect, by_rows, variance, (high, high), lines, alpha) < POWER:
        return None
    while low < high:
        middle = (low + high) // 2
        enough = power(effect, by_rows, variance, (middle, middle), lines, alpha) >= POWER
        low, high = (low, middle) if enough else (middle + 1, high)
    return low


def power(
    effect: float,
    by_rows: float,
    variance: float,
    replicates: tuple[int, int],
    lines: int,
    alpha: float = 0.05,
) -> float:
    """The chance that an effect is found. replicates: of the line, and of the baseline."""
    by_seeds = variance * sum(1 / number for number in replicates)
    df = (lines - 1) * (replicates[0] - 1) + replicates[1] - 1
    total = by_rows + by_seeds
    if not total:
        return float(effect != 0)
    if not by_rows:  # Student's alone: exact
        edge = special.stdtrit(df, 1 - alpha / 2)
        return float(stats.nct.sf(edge, df, abs(effect) / total**0.5))
    edge = half_width(by_rows, by_seeds, df, alpha)
    return float(special.ndtr((abs(effect) - edge) / total**0.5))
