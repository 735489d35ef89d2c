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
    """A target: the sums of each training by language, and the metrics whose mean is its number."""

    trainings: Mapping[Training, Mapping[str, Sums]]
    languages: tuple[str, ...]
    main: tuple[str, ...]

    def values(self) -> Floats:
        """(trainings,): the task's number, a mean over the languages."""
        numbers = [
            [np.mean([of[code].score(metric) for metric in self.main]) for code in self.languages]
            for of in self.trainings.values()
        ]
        means: Floats = np.array(numbers).mean(axis=1)
        return means

    def by_language(self) -> dict[str, Summed]:
        """A column of each language alone."""
        return {code: replace(self, languages=(code,)) for code in self.languages}


def measure(columns: Sequence[Summed]) -> Measured:
    """The mean over columns, of one column its number; replicate by replicate.

    The columns have the same trainings, in one order. Clusters with one name are one, whatever
    their language or column: translations, and two targets over the same articles.
    """
    trainings = tuple(columns[0].trainings)
    if any(tuple(column.trainings) != trainings for column in columns):
        raise ValueError("columns of unlike trainings have no mean")
    place: dict[str, int] = {}
    parts: list[tuple[list[int], Floats]] = []
    for column in columns:
        share = 1 / len(column.languages) / len(columns)
        first = next(iter(column.trainings.values()))
        for code in column.languages:
            at = [place.setdefault(name, len(place)) for name in first[code].clusters]
            of = [training[code].influence(column.main) for training in column.trainings.values()]
            parts.append((at, share * np.array(of)))
    deviations = np.zeros((len(trainings), len(place)))
    for at, added in parts:
        deviations[:, at] += added
    values = np.mean([column.values() for column in columns], axis=0)
    return Measured(trainings, values, deviations @ deviations.T)
