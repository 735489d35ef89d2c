"""Questions about a target's languages: how far apart they are, and along what.

What enters: a target's sums. What leaves: `Measured` of each training, for the same intervals as a
mean's. The spread over languages is what is left of their scores' variance when the variance that
test rows give it is taken away: naive, 100 rows a language read a true SD of 5 points as 6.5.
Slopes are of the gain on a language's own facts. Never on its baseline score: that slope is
negative by regression to the mean, whatever an intermediate does.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from xstilts.results.answers.measure import Floats, Measured, Summed

FEWEST = 5  # languages; the log of a variance of fewer says nothing
QUARTER = 0.25
LEAST = 0.1  # of the naive variance: where less is left, its log is not linear in anything


def log_spread(column: Summed, logits: bool = False) -> Measured:
    """The log of the standard deviation over languages, of each training.

    NaN where rows explain nearly all of it, or a language's score has no logit. A difference of two
    is the log of their ratio. Linear in the languages' scores around what was found (delta method),
    so that no random number is drawn. logits: of scores near 0 or 1 a point is more than of others,
    so that lines of unlike means compare in logits alone.
    """
    scores = column.scores()
    codes, trainings = column.languages, tuple(column.trainings)
    place: dict[str, int] = {}
    first = next(iter(column.trainings.values()))
    at = {code: [place.setdefault(name, len(place)) for name in first[code].clusters]
          for code in codes}  # fmt: skip
    values, of_clusters = [], []
    for number, training in enumerate(column.trainings.values()):
        each = np.zeros((len(codes), len(place)))
        for row, code in enumerate(codes):
            np.add.at(each[row], at[code], training[code].influence(column.main))
        found = _spread_of(scores[number], each, logits)
        values.append(np.nan if found is None else found[0])
        of_clusters.append(np.zeros(len(place)) if found is None else found[1])
    deviations = np.array(of_clusters)
    return Measured(trainings, np.array(values), deviations @ deviations.T)


def _spread_of(scores: Floats, influence: Floats, logits: bool) -> tuple[float, Floats] | None:
    """(log of the spread, its influence by cluster); influence: (languages, clusters)."""
    if logits:
        if not ((scores > 0) & (scores < 1)).all():
            return None
        slopes = 1 / (scores * (1 - scores))
        scores, influence = np.log(scores / (1 - scores)), influence * slopes[:, None]
    n = len(scores)
    noise = influence @ influence.T  # languages' covariance over samples of test rows
    own = np.trace(noise) / n
    shared = (noise.sum() - np.trace(noise)) / (n * (n - 1))
    centred = scores - scores.mean()
    naive = float(centred @ centred) / (n - 1)
    variance = naive - (own - shared)
    if variance < LEAST * naive or not naive:
        return None
    of: Floats = centred / ((n - 1) * variance) @ influence
    return 0.5 * float(np.log(variance)), of


def worst_quarter(column: Summed) -> Summed:
    """The mean of the quarter of languages with the lowest scores over all trainings together.

    One set for all: each training's own would be its unlucky ones.
    """
    means = column.scores().mean(axis=0)
    count = max(1, round(QUARTER * len(column.languages)))
    lowest = sorted(np.argsort(means, kind="stable")[:count].tolist())
    return replace(column, languages=tuple(column.languages[place] for place in lowest))


def english_gap(column: Summed, english: str = "en") -> Summed:
    """English minus the mean of the other languages."""
    others = [code for code in column.languages if code != english]
    weights = {english: 1.0, **dict.fromkeys(others, -1 / len(others))}
    return replace(column, weights=weights)


def slope(column: Summed, covariate: Mapping[str, float]) -> Summed:
    """Points for each unit of a language's covariate, by least squares.

    Over the languages that have it, which are as fixed as the target's are. ValueError where it
    does not vary.
    """
    codes = tuple(code for code in column.languages if code in covariate)
    x = np.array([covariate[code] for code in codes], np.float64)
    weights = _slope_weights(x)
    return replace(column, languages=codes, weights=dict(zip(codes, weights.tolist(), strict=True)))


def joint_slopes(column: Summed, covariates: Mapping[str, Floats]) -> dict[str, Summed]:
    """As `slope`, of all covariates in one fit; each an array over the column's languages."""
    design = np.column_stack([np.ones(len(column.languages)), *covariates.values()])
    weights = np.linalg.pinv(design)[1:]
    return {
        name: replace(column, weights=dict(zip(column.languages, own.tolist(), strict=True)))
        for name, own in zip(covariates, weights, strict=True)
    }


def _slope_weights(x: Floats) -> Floats:
    centred: Floats = x - x.mean() if len(x) else x
    if len(x) < 3 or not float(centred @ centred):
        raise ValueError("a slope needs three languages or more, and a covariate that varies")
    weights: Floats = centred / (centred @ centred)
    return weights
