"""Made-up columns in which the truth is known: no line differs from another but by chance."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from xstilts.results.answers.measure import Summed, Sums


@dataclass(frozen=True)
class Regime:
    """How a column's chance is made. Standard deviations in points; the rest in probits.

    encoders: of a replicate's own encoder, which moves all lines of that replicate alike.
    likes: how unlike lines are on a test row, in all their replicates. collapses: the share of
    trainings that lose 20 points. uneven: the spreads of the lines, as factors. apart: how far
    languages lie apart, in all trainings alike. slope: what all lines but the first gain in each
    language, in points.
    """

    seeds: float
    rows: int
    languages: int
    lines: int = 5
    likes: float = 0.3
    encoders: float = 0.0
    collapses: float = 0.0
    uneven: tuple[float, ...] = ()
    apart: float = 0.0
    slope: tuple[float, ...] = ()


def column(regime: Regime, replicates: dict[str, int], rng: np.random.Generator) -> Summed:
    """A column of right and wrong rows, the same rows in each language."""
    trainings = [(name, r) for name, many in replicates.items() for r in range(1, many + 1)]
    lines = np.array([list(replicates).index(name) for name, _ in trainings])
    runs = np.array([r - 1 for _, r in trainings])
    right = _right(regime, lines, runs, rng)
    clusters = tuple(map(str, range(regime.rows)))
    ones = np.ones(regime.rows)
    codes = tuple(f"l{number}" for number in range(regime.languages))
    sums = {
        training: {
            code: Sums(clusters, {"accuracy": np.stack([right[t, number], ones], 1)})
            for number, code in enumerate(codes)
        }
        for t, training in enumerate(trainings)
    }
    return Summed(sums, codes, ("accuracy",))


def _right(
    regime: Regime, lines: NDArray[np.int64], runs: NDArray[np.int64], rng: np.random.Generator
) -> NDArray[np.float64]:
    """(trainings, languages, rows): 1 where right, by a probit of what all share and what not."""
    n, languages, rows = len(lines), regime.languages, regime.rows
    own = 0.02  # probits a point, near the middle and beside rows that differ by 1.2 in all
    unit = 1.9 * own
    factor = np.array(regime.uneven)[lines] if regime.uneven else 1.0
    level = rng.normal(0, regime.seeds * unit, n) * factor
    level += rng.normal(0, regime.encoders * unit, runs.max() + 1)[runs]
    level -= 20 * unit * (rng.random(n) < regime.collapses)
    hard = rng.normal(0, 0.8, rows) + rng.normal(0, 0.4, (languages, rows))
    of_line = rng.normal(0, regime.likes, (lines.max() + 1, 1, rows))
    of_line = of_line + rng.normal(0, regime.likes, (lines.max() + 1, languages, rows))
    noise = rng.normal(0, 0.9, (n, languages, rows))
    of_language = np.zeros((n, languages))
    if regime.apart:
        of_language += rng.normal(0, regime.apart * unit, languages)
    if regime.slope:
        of_language += np.where(lines[:, None] > 0, np.array(regime.slope) * unit, 0.0)
    made = level[:, None, None] + of_language[..., None] + hard + of_line[lines] + noise
    return (made > 0).astype(float)


def tagged(rows: int, replicates: dict[str, int], rng: np.random.Generator) -> Summed:
    """A column of chunk F1 in one language: few sentences, unlike numbers of chunks a sentence."""
    trainings = [(name, r) for name, many in replicates.items() for r in range(1, many + 1)]
    gold = 1 + rng.poisson(2.0, rows)
    easy = rng.normal(0.4, 0.7, rows)
    clusters = tuple(map(str, range(rows)))
    sums = {}
    for training in trainings:
        chance = 1 / (1 + np.exp(-(easy + rng.normal(0, 0.15) + rng.normal(0, 0.5, rows))))
        correct = rng.binomial(gold, chance)
        predicted = correct + rng.poisson(0.5 * gold * (1 - chance))
        sums[training] = {
            "en": Sums(clusters, {"f1": np.stack([2.0 * correct, predicted + gold], 1)})
        }
    return Summed(sums, ("en",), ("f1",))
