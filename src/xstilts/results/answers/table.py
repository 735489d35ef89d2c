"""The grid's answers: each difference to the baseline, with its interval and its verdict.

What enters: columns of sums. What leaves: an `Answer` for each intermediate and target, for its
mean over targets, and of decided cells for each language. Zero-shot languages, where a target has
any.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field, replace
from typing import TypeVar

from xstilts.params import BASELINE, AnswerSettings
from xstilts.results.answers.interval import (
    Interval,
    Spread,
    block_spread,
    difference,
    spread,
)
from xstilts.results.answers.measure import Measured, Summed, measure
from xstilts.results.answers.verdicts import (
    Verdict,
    agreeing,
    false_share,
    holm,
    verdict,
)

MEAN = "mean"  # over the grid's targets, whichever they are
Name = TypeVar("Name", bound=Hashable)
DECIDED = ("up", "down")  # by Holm


@dataclass(frozen=True)
class Answer:
    """Whether an intermediate differs from the baseline. Fractions.

    adjusted: p by Holm over its family (of a language: the share of false ones); None: one
    replicate. unlike: the column's lines have unlike spreads, so each has its own (Welch).
    """

    interval: Interval
    verdict: Verdict = "unknown"
    adjusted: float | None = None
    unlike: bool = False


@dataclass(frozen=True)
class Languages:
    """A cell by language. agreeing: how many at the least go a decided cell's way."""

    answers: Mapping[str, Answer]
    agreeing: int | None


@dataclass(frozen=True)
class Answers:
    """Of a grid: by intermediate the mean over targets, by (intermediate, target) the cells."""

    averages: Mapping[str, Answer] = field(default_factory=dict)
    cells: Mapping[tuple[str, str], Answer] = field(default_factory=dict)
    languages: Mapping[tuple[str, str], Languages] = field(default_factory=dict)
    blocks: bool = False  # replicates have encoders of their own

    def of(self, intermediate: str, name: str) -> Answer | None:
        """Of a target, or of `mean`; None where there is nothing to compare."""
        if name == MEAN:
            return self.averages.get(intermediate)
        return self.cells.get((intermediate, name))


def answers(
    columns: Mapping[str, Summed],
    section: AnswerSettings,
    frozen: frozenset[str] = frozenset(),
    blocks: bool = False,
) -> Answers:
    """Each intermediate against the baseline.

    columns: by target. frozen: targets that nothing is trained for, where no seed moves the
    baseline. blocks: replicates have encoders of their own, which move it there, too.
    """
    still = frozenset() if blocks else frozen
    cells: dict[tuple[str, str], Answer] = {}
    for target, column in columns.items():
        found = _compared([column], section, target in still, blocks)
        cells |= {(name, target): one for name, one in found.items()}
    means = _compared(list(columns.values()), section, still >= columns.keys(), blocks)
    averages, cells = judged(means, section), judged(cells, section)
    by_language = {
        target: {
            code: _compared([part], section, target in still, blocks)
            for code, part in column.by_language().items()
        }
        for target, column in columns.items()
    }
    languages = {}
    for (name, target), one in cells.items():
        each = {code: found[name] for code, found in by_language[target].items()}
        languages[name, target] = judged_languages(each, one.verdict, section)
    return Answers(averages, cells, languages, blocks)


def _compared(
    columns: list[Summed], section: AnswerSettings, fixed: bool, blocks: bool
) -> dict[str, Answer]:
    """Each intermediate's mean over the columns minus the baseline's. fixed: no seed moves that."""
    return compared(measure(columns), section, fixed, blocks)


def compared(
    measured: Measured, section: AnswerSettings, fixed: bool, blocks: bool
) -> dict[str, Answer]:
    """Each intermediate's statistic minus the baseline's, not judged."""
    found = spread_of(measured, blocks, frozenset({BASELINE}) if fixed else frozenset())
    return {
        name: answer(measured, (name, BASELINE), found, section.level)
        for name in measured.lines
        if name != BASELINE
    }


def answer(measured: Measured, pair: tuple[str, str], spread: Spread, level: float) -> Answer:
    """The first line minus the second, not judged. Lines of unlike spread have each its own."""
    interval = difference(measured, pair, spread, level=level, welch=spread.unlike)
    return Answer(interval, unlike=spread.unlike)


def spread_of(measured: Measured, blocks: bool, fixed: frozenset[str] = frozenset()) -> Spread:
    """The spread over replicates, which are blocks where each has an encoder of its own."""
    return block_spread(measured) if blocks else spread(measured, fixed)


def judged(found: Mapping[Name, Answer], section: AnswerSettings) -> dict[Name, Answer]:
    """The answers of one family, with adjusted p values and verdicts."""
    p = {name: one.interval.p for name, one in found.items() if one.interval.p is not None}
    adjusted, shares = holm(p), false_share(p)
    return {
        name: replace(
            one,
            adjusted=adjusted[name],
            verdict=verdict(
                one.interval, adjusted[name], shares[name], section.matters / 100, section.level
            ),
        )
        if name in p
        else one
        for name, one in found.items()
    }


def judged_languages(
    found: Mapping[str, Answer], cell: Verdict, section: AnswerSettings
) -> Languages:
    """A cell by language. Those of a decided cell have signs, of which one in ten may be false."""
    if cell not in DECIDED:
        return Languages(found, None)
    p = {code: one.interval.p for code, one in found.items() if one.interval.p is not None}
    signed = {}
    for code, share in false_share(p).items():
        interval = found[code].interval
        said = verdict(interval, 1.0, share, section.matters / 100, section.level)
        signed[code] = replace(found[code], adjusted=share, verdict=said)
    one_sided = {
        code: value / 2
        if (found[code].interval.difference > 0) == (cell == "up")
        else 1 - value / 2
        for code, value in p.items()
    }
    return Languages(signed, agreeing(one_sided, 1 - section.level))
