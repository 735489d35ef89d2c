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


def log_spread(column: Summed) -> Measured:
    """The log of the standard deviation over languages, of each training; NaN where rows explain
    all of it.

    A difference of two is the log of their ratio. Linear in the languages' scores around what was
    found (delta method), so that no random number is drawn.
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
        noise = each @ each.T  # languages' covariance over samples of test rows
        own = np.trace(noise) / len(codes)
        shared = (noise.sum() - np.trace(noise)) / (len(codes) * (len(codes) - 1))
        centred = scores[number] - scores[number].mean()
        variance = float(centred @ centred) / (len(codes) - 1) - (own - shared)
        if variance <= 0:
            values.append(np.nan)
            of_clusters.append(np.zeros(len(place)))
            continue
        values.append(0.5 * np.log(variance))
        of_clusters.append(centred / ((len(codes) - 1) * variance) @ each)
    deviations = np.array(of_clusters)
    return Measured(trainings, np.array(values), deviations @ deviations.T)


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
    """Points for each unit of a language's covariate, by least squares over the languages that have
    it, which are as fixed as the target's are. ValueError where it does not vary.
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
