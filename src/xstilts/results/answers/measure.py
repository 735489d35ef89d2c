"""Statistics of trainings with the covariance that test rows give each two of them.

What enters: sums by cluster of test rows, of every training. What leaves: `Measured`, of a
language, of a mean over languages, of a mean over columns.

Every metric here is a ratio of two sums over clusters: accuracy, exact match and mean average
precision of a count, chunk F1 of predicted and gold chunks. A cluster's influence on a ratio is
exact for means and linear for F1 (the delta method), so no random number is drawn.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Training = tuple[str, int]  # intermediate, replicate


@dataclass(frozen=True)
class Measured:
    """A statistic of each training of a column, as a fraction.

    rows: (trainings, trainings), the covariance of each two over samples of test rows.
    """

    trainings: tuple[Training, ...]
    values: Floats
    rows: Floats

    @cached_property
    def lines(self) -> Mapping[str, list[int]]:
        """The places of each intermediate's replicates."""
        lines: dict[str, list[int]] = {}
        for place, (name, _) in enumerate(self.trainings):
            lines.setdefault(name, []).append(place)
        return lines


@dataclass(frozen=True)
class Sums:
    """One language of one training, by cluster: rows that stand or fall together.

    metrics: of each the numerators and denominators, (clusters, 2). clusters: names, equal where
    two languages hold the same rows in translation.
    """

    clusters: tuple[str, ...]
    metrics: Mapping[str, Floats]

    def score(self, metric: str) -> float:
        """The metric as its scorer gives it; 0 where nothing is there to divide by."""
        above, below = self.metrics[metric].sum(0)
        return float(above / below) if below else 0.0

    def influence(self, main: Sequence[str]) -> Floats:
        """(clusters,): what each adds to the mean of `main`.

        The sum of two trainings' products is their covariance.
        """
        n = len(self.clusters)
        each = np.zeros(n)
        for metric in main:
            above, below = self.metrics[metric].T
            if below.sum():
                each += (above - self.score(metric) * below) / below.sum() / len(main)
        return each * np.sqrt(n / (n - 1)) if n > 1 else each


@dataclass(frozen=True)
class Summed:
    """A target: the sums of each training by language, and the metrics whose mean is its number.

    weights: of the languages, where the number is not their mean but such a sum.
    """

    trainings: Mapping[Training, Mapping[str, Sums]]
    languages: tuple[str, ...]
    main: tuple[str, ...]
    weights: Mapping[str, float] | None = None

    def scores(self) -> Floats:
        """(trainings, languages)."""
        return np.array(
            [
                [
                    np.mean([of[code].score(metric) for metric in self.main])
                    for code in self.languages
                ]
                for of in self.trainings.values()
            ]
        )

    def values(self) -> Floats:
        """(trainings,): the task's number, a mean over the languages."""
        scores = self.scores()
        if self.weights is None:
            means: Floats = scores.mean(axis=1)
            return means
        sums: Floats = scores @ np.array([self.weights[code] for code in self.languages])
        return sums

    def share(self, code: str) -> float:
        """What a language weighs in the number."""
        return 1 / len(self.languages) if self.weights is None else self.weights[code]

    def by_language(self) -> dict[str, Summed]:
        """A column of each language alone."""
        return {code: replace(self, languages=(code,), weights=None) for code in self.languages}


def measure(columns: Sequence[Summed], weights: Sequence[float] | None = None) -> Measured:
    """The mean over columns, or such a sum; of one column its number; replicate by replicate.

    The columns have the same trainings, in one order. Clusters with one name are one, whatever
    their language or column: translations, and two targets over the same articles.
    """
    trainings = tuple(columns[0].trainings)
    if any(tuple(column.trainings) != trainings for column in columns):
        raise ValueError("columns of unlike trainings have no mean")
    place: dict[str, int] = {}
    parts: list[tuple[list[int], Floats]] = []
    shares = weights or [1 / len(columns)] * len(columns)
    for column, share in zip(columns, shares, strict=True):
        first = next(iter(column.trainings.values()))
        for code in column.languages:
            at = [place.setdefault(name, len(place)) for name in first[code].clusters]
            of = [training[code].influence(column.main) for training in column.trainings.values()]
            parts.append((at, share * column.share(code) * np.array(of)))
    deviations = np.zeros((len(trainings), len(place)))
    for at, added in parts:
        deviations[:, at] += added
    each = np.array([column.values() for column in columns])
    values: Floats = each.mean(axis=0) if weights is None else np.array(weights) @ each
    return Measured(trainings, values, deviations @ deviations.T)
