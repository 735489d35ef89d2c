"""The report beyond single rows: groups of intermediates, sizes of one, the spread over languages.

What enters: the sums of the grid's columns. What leaves: parts of report.md, none where there is
nothing to ask. Zero-shot languages, but for English minus the others.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from itertools import combinations

import numpy as np

from xstilts.formats.tables import ENGLISH
from xstilts.params import BASELINE, AnswerSettings
from xstilts.results.answers import languages
from xstilts.results.answers.contrasts import curve, groups
from xstilts.results.answers.interval import Spread
from xstilts.results.answers.measure import Measured, Summed, measure
from xstilts.results.answers.said import gained, percent
from xstilts.results.answers.table import Answer, compared, judged, spread_of
from xstilts.results.answers.verdicts import SIGNS
from xstilts.results.report.decided import Sums
from xstilts.results.report.texts import table

Column = tuple[str, Measured, bool]  # its name, what it says, whether no seed moves the baseline
UNKNOWN = "-"
MOST = math.log(100)  # of a ratio that is written out


def beyond(columns: Sums, section: AnswerSettings, blocks: bool) -> list[str]:
    """The parts, in the report's order. blocks: replicates have encoders of their own."""
    if not columns:
        return []
    parts = []
    if len(section.groups) > 1:
        parts += ["## Groups", *_groups(columns, section, blocks)]
    if section.sizes:
        parts += ["## Sizes", *_sizes(columns, section, blocks)]
    return [*parts, *_spread(columns, section, blocks)]


# Groups and sizes: contrasts between lines


def _asked(columns: Sums, section: AnswerSettings) -> Iterator[Column]:
    """The targets, their groups' means, each two groups' difference, and the mean of all."""
    for name, (column, frozen) in columns.items():
        yield name, measure([column]), frozen
    of_group = {
        group: [columns[name] for name in members if name in columns]
        for group, members in section.targets.items()
    }
    of_group = {group: members for group, members in of_group.items() if members}
    for group, members in of_group.items():
        sums, frozen = [column for column, _ in members], all(frozen for _, frozen in members)
        yield group, measure(sums), frozen
    for first, second in combinations(of_group, 2):
        both = [*of_group[first], *of_group[second]]
        weights = [1 / len(of_group[first])] * len(of_group[first])
        weights += [-1 / len(of_group[second])] * len(of_group[second])
        frozen = all(frozen for _, frozen in both)
        yield f"{first} - {second}", measure([column for column, _ in both], weights), frozen
    if len(columns) > 1:
        sums = [column for column, _ in columns.values()]
        yield "mean", measure(sums), all(frozen for _, frozen in columns.values())


def _spread_of(measured: Measured, frozen: bool, blocks: bool) -> Spread:
    return spread_of(measured, blocks, frozenset({BASELINE} if frozen and not blocks else ()))


def _groups(columns: Sums, section: AnswerSettings, blocks: bool) -> Iterator[str]:
    pairs = list(combinations(section.groups, 2))
    lines, smallest = [], {}
    for name, measured, frozen in _asked(columns, section):
        spread = _spread_of(measured, frozen, blocks)
        line = [name]
        for pair in pairs:
            first, second = (section.groups[group] for group in pair)
            found = groups(measured, first, second, spread, section.level)
            smallest[pair] = found.smallest
            line.append(f"{gained(Answer(found.interval))}, p {found.p:.2g}")
        lines.append(line)
    for group, members in section.groups.items():
        yield f"- {group}: {' '.join(members)}"
    least = ", ".join(f"{' - '.join(pair)}: {value:.2g}" for pair, value in smallest.items())
    yield (
        "Points, the mean of one group minus another's. In brackets: over seeds and test rows, of "
        "these very tasks. p: exact permutation of the labels, with the task as the unit, so of "
        f"tasks like these; the least that these groups can give is {least}."
    )
    yield table(["target", *(" - ".join(pair) for pair in pairs)], lines)


def _sizes(columns: Sums, section: AnswerSettings, blocks: bool) -> Iterator[str]:
    lines = []
    for name, measured, frozen in _asked(columns, section):
        spread = _spread_of(measured, frozen, blocks)
        line = [name]
        for sizes in section.sizes.values():
            found = curve(measured, sizes, spread, section.level, section.matters / 100)
            enough = f"; enough: {found.enough:,}" if found.enough else ""
            line.append(f"{gained(Answer(found.interval))}{enough}")
        lines.append(line)
    for series, sizes in section.sizes.items():
        yield f"- {series}: {', '.join(f'{name} {rows:,}' for name, rows in sizes.items())}"
    yield (
        "Points for each doubling of an intermediate's rows, with the interval. enough: the fewest "
        f"rows from which on every size is within {section.matters:g} points of the most, "
        "its whole interval; where none is named, that cannot be said of any."
    )
    yield table(["target", *section.sizes], lines)


# The spread over languages: statistics of a line, against the baseline's


def _spread(columns: Sums, section: AnswerSettings, blocks: bool) -> Iterator[str]:
    wide = {
        target: (column, frozen)
        for target, (column, frozen) in columns.items()
        if len(column.languages) >= languages.FEWEST
        and any(name == BASELINE for name, _ in column.trainings)
    }
    if not wide:
        return
    yield "## Spread over languages"
    yield (
        "Against the baseline, in the languages of a target; of its own family each table. "
        f"Signs as above. Targets of {languages.FEWEST} languages or more."
    )
    never = section.model_copy(update={"matters": 1e-9})  # two ratios are never equal
    yield (
        "### Standard deviation\n\nOf the languages' scores, points, without what test rows give "
        "it; in brackets the ratio to the baseline's."
    )
    yield _against(wide, languages.log_spread, _of_spread, never, blocks)
    yield (
        "In logits, where a point near 0 or 100 counts for more: the ratio to hold on to between "
        "lines of unlike means."
    )
    logits = partial(languages.log_spread, logits=True)
    yield _against(wide, logits, _of_logits, never, blocks)
    yield (
        "### The worst quarter\n\nThe mean of the quarter of languages that is lowest over all "
        "intermediates together."
    )
    lowest = _measured(languages.worst_quarter)
    yield _against(wide, lowest, _of_mean, section, blocks)
    with_english = {
        target: (replace(column, languages=(ENGLISH, *column.languages)), frozen)
        for target, (column, frozen) in wide.items()
        if ENGLISH in next(iter(column.trainings.values()))
    }
    if with_english:
        yield "### English minus the others"
        gap = _measured(languages.english_gap)
        yield _against(with_english, gap, _of_mean, section, blocks)


def _measured(change: Callable[[Summed], Summed]) -> Callable[[Summed], Measured]:
    return lambda column: measure([change(column)])


def _against(
    columns: Sums,
    statistic: Callable[[Summed], Measured],
    said: Callable[[float, Answer | None], str],
    section: AnswerSettings,
    blocks: bool,
) -> str:
    """A line an intermediate, a column a target."""
    means: dict[tuple[str, str], float] = {}
    answers: dict[tuple[str, str], Answer] = {}
    names: dict[str, None] = {}
    for target, (column, frozen) in columns.items():
        whole = statistic(column)
        names |= dict.fromkeys(whole.lines)
        known = _known(whole)
        means |= {
            (name, target): float(known.values[at].mean()) for name, at in known.lines.items()
        }
        if BASELINE in known.lines:
            found = compared(known, section, frozen and not blocks, blocks)
            answers |= {(name, target): one for name, one in found.items()}
    answers = judged(answers, section)
    lines = [
        [name, *(said(means[name, target], answers.get((name, target)))
                 if (name, target) in means else UNKNOWN for target in columns)]
        for name in names
    ]  # fmt: skip
    return table(["intermediate", *columns], lines)


def _known(measured: Measured) -> Measured:
    """The lines whose statistic every replicate has."""
    kept = [
        place
        for at in measured.lines.values()
        if np.isfinite(measured.values[at]).all()
        for place in at
    ]
    trainings = tuple(measured.trainings[place] for place in kept)
    return Measured(trainings, measured.values[kept], measured.rows[np.ix_(kept, kept)])


def _of_spread(mean: float, answer: Answer | None) -> str:
    return _with_ratio(percent(math.exp(mean)), answer)


def _of_logits(mean: float, answer: Answer | None) -> str:
    return _with_ratio(f"{math.exp(mean):.2f}", answer)


def _with_ratio(value: str, answer: Answer | None) -> str:
    if answer is None:
        return value
    one = answer.interval
    ratio, low, high = map(_ratio, (one.difference, one.low, one.high))
    return f"{value} (x {ratio} [{low}, {high}] {SIGNS[answer.verdict]})".replace(" )", ")")


def _ratio(log: float) -> str:
    return f"{math.exp(log):.2f}" if log < MOST else f"> {math.exp(MOST):.0f}"


def _of_mean(mean: float, answer: Answer | None) -> str:
    return percent(mean) if answer is None else f"{percent(mean)} ({gained(answer)})"
