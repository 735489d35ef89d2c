"""Encoders side by side: whether an intermediate helps one of them more than another.

What enters: folders of cells, an archive or a project each. What leaves: the baseline's numbers,
each encoder's gains, and the differences of these gains with their intervals, as Markdown. Encoders
read the same test rows, so what the rows do to two gains is taken from pairs of trainings, and what
seeds do is each encoder's own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from pathlib import Path

from xstilts.errors import UserError
from xstilts.formats.tables import fresh_folder, write_text
from xstilts.params import BASELINE, AnswerSettings
from xstilts.results.answers.interval import Spread, across, spread
from xstilts.results.answers.measure import Measured, Summed, measure
from xstilts.results.answers.said import gained, percent
from xstilts.results.answers.table import MEAN, Answer, compared, judged, spread_of
from xstilts.results.archive import grid_of
from xstilts.results.compare import Grid, grid_at
from xstilts.results.report import cells as rooms
from xstilts.results.report.decided import how_signs_read, own_encoders, sums_of
from xstilts.results.report.texts import table

THEIR_OWN = ("encoder", "source", "layer")  # what numbers of two encoders may differ in


@dataclass(frozen=True)
class Side:
    """One encoder's grid. columns: by target its sums, with the lines that all encoders have."""

    name: str
    encoder: str
    columns: Mapping[str, Summed]
    frozen: frozenset[str]  # targets that nothing is trained for
    blocks: bool  # replicates have encoders of their own

    def measured(self, target: str) -> Measured:
        """A target's numbers, or their mean."""
        return measure([self.columns[name] for name in self._of(target)])

    def spread(self, target: str) -> Spread:
        """Of its own trainings."""
        return spread_of(
            self.measured(target),
            self.blocks,
            frozenset({BASELINE}) if self.still(target) else frozenset(),
        )

    def still(self, target: str) -> bool:
        """Whether no seed moves the baseline."""
        return not self.blocks and all(name in self.frozen for name in self._of(target))

    def _of(self, target: str) -> list[str]:
        return list(self.columns) if target == MEAN else [target]


def sides(folders: Sequence[Path]) -> list[Side]:
    """The folders' grids, of the targets and intermediates that all have.

    UserError where that is none, or numbers of a target do not mean the same.
    """
    grids = [grid_at(folder) for folder in folders]
    names = [grid_of(folder)[0] for folder in folders]
    if len({*names}) < len(names):
        names = [folder.as_posix() for folder in folders]
    if twice := [name for name in names if names.count(name) > 1]:
        raise UserError(f"--from {twice[0]} twice; expected folders of unlike encoders; remove one")
    targets = [
        name
        for name in grids[0].settings.targets
        if all(name in grid.settings.targets for grid in grids)
        and all(grid.whole(BASELINE, name) for grid in grids)
    ]
    lines = [
        name
        for name in grids[0].settings.intermediates
        if all(grid.whole(name, target) for grid in grids for target in targets)
    ]
    if not targets:
        raise UserError(
            f"{', '.join(map(str, folders))}: no target with '{BASELINE}' in all of them; expected "
            "one, with all its replicates; run the grids further"
        )
    found = []
    for name, grid in zip(names, grids, strict=True):
        columns = {target: _of_lines(grid, target, lines) for target in targets}
        for target, column in columns.items():
            _require_one_meaning(column, _of_lines(grids[0], target, lines), target, names[0], name)
        found.append(
            Side(
                name,
                next(iter(columns.values())).card.encoder,
                {target: sums_of(column, grid.cells) for target, column in columns.items()},
                frozenset(t for t, column in columns.items() if column.card.selection is None),
                own_encoders(columns.values()),
            )
        )
    return found


def _of_lines(grid: Grid, target: str, lines: Sequence[str]) -> rooms.Column:
    column = grid.column(target, BASELINE)
    cards = {place: card for place, card in column.cards.items() if place[0] in lines}
    return replace(column, cards=cards)


def _require_one_meaning(
    column: rooms.Column, other: rooms.Column, target: str, first: str, name: str
) -> None:
    if (unlike := rooms.unlike(other.card, column.card, THEIR_OWN)) is not None:
        key, value, another = unlike
        raise UserError(
            f"{target}: {key} is {value} in {first} and {another} in {name}; expected one meaning "
            "for both numbers; run one of them again with the other's version and tables"
        )


def gains(side: Side, section: AnswerSettings) -> dict[tuple[str, str], Answer]:
    """By (intermediate, target or mean) what it adds to this encoder."""
    found = {
        (name, target): one
        for target in (*side.columns, MEAN)
        for name, one in compared(
            side.measured(target), section, side.still(target), side.blocks
        ).items()
    }
    return _judged(found, section)


def gaps(first: Side, second: Side, section: AnswerSettings) -> dict[tuple[str, str], Answer]:
    """By (intermediate, target or mean) how much more it adds to the second encoder."""
    found = {}
    for target in (*first.columns, MEAN):
        names = [*first.columns] if target == MEAN else [target]
        both = measure([_beside(first, second, name) for name in names])
        signed = ((first, -1.0), (second, 1.0))
        for line in {name for name, _ in first.columns[names[0]].trainings} - {BASELINE}:
            groups = [
                (
                    {_label(side.name, line): sign, _label(side.name, BASELINE): -sign},
                    _labelled(side, side.spread(target)),
                )
                for side, sign in signed
            ]
            found[line, target] = Answer(across(both, groups, section.level))
    return _judged(found, section)


def baselines(first: Side, second: Side, section: AnswerSettings) -> dict[str, Answer]:
    """By target or mean the second encoder's number without an intermediate minus the first's."""
    found = {}
    for target in (*first.columns, MEAN):
        names = [*first.columns] if target == MEAN else [target]
        both = measure([_beside(first, second, name) for name in names])
        groups = []
        for side, sign in ((first, -1.0), (second, 1.0)):
            still = frozenset({BASELINE}) if side.still(target) else frozenset[str]()
            # Unlike a gain, the number moves with the replicate's own encoder: the whole spread.
            own = _labelled(side, spread(side.measured(target), still))
            groups.append(({_label(side.name, BASELINE): sign}, own))
        found[target] = Answer(across(both, groups, section.level))
    means, cells = {MEAN: found.pop(MEAN)}, found
    return judged(means, section) | judged(cells, section)


def _beside(first: Side, second: Side, target: str) -> Summed:
    """Both encoders' trainings in one column."""
    trainings = {
        (_label(side.name, name), replicate): sums
        for side in (first, second)
        for (name, replicate), sums in side.columns[target].trainings.items()
    }
    return replace(first.columns[target], trainings=trainings)


def _labelled(side: Side, own: Spread) -> Spread:
    """The side's spread, by the lines' names of `_beside`."""
    of = {_label(side.name, name): value for name, value in own.of.items()}
    return replace(own, of=of, fixed=frozenset(_label(side.name, name) for name in own.fixed))


def _label(side: str, line: str) -> str:
    return f"{line} of {side}"


def _judged(
    found: Mapping[tuple[str, str], Answer], section: AnswerSettings
) -> dict[tuple[str, str], Answer]:
    """Means over targets are one family, the cells another."""
    means = {place: one for place, one in found.items() if place[1] == MEAN}
    cells = {place: one for place, one in found.items() if place[1] != MEAN}
    return judged(means, section) | judged(cells, section)


def write(folders: Sequence[Path], out: Path, section: AnswerSettings) -> Path:
    """Write OUT/report.md of the folders; returns its path."""
    text = report(sides(folders), section)
    with fresh_folder(out) as new:
        write_text(new / "report.md", text)
    return out / "report.md"


def report(found: Sequence[Side], section: AnswerSettings) -> str:
    """The report as Markdown."""
    targets = [*found[0].columns, *([MEAN] if len(found[0].columns) > 1 else [])]
    lines = list(dict.fromkeys(name for name, _ in found[0].columns[targets[0]].trainings))
    own = [gains(side, section) for side in found]
    pairs = {
        (a, b): gaps(found[a], found[b], section) for a, b in combinations(range(len(found)), 2)
    }
    header = ["target", *(side.name for side in found)]
    header += [f"{found[b].name} - {found[a].name}" for a, b in pairs]
    parts = [
        "# Encoders side by side",
        table(["grid", "encoder"], [[side.name, side.encoder] for side in found], "---"),
        "Zero-shot languages, percent; differences in points. The same test rows, so differences "
        f"between encoders are of these. {how_signs_read(section)}{_unknown(found)}",
        f"## `{BASELINE}`",
        table(
            header,
            [
                [
                    target,
                    *(_baseline(side, target) for side in found),
                    *(gained(baselines(found[a], found[b], section)[target]) for a, b in pairs),
                ]
                for target in targets
            ],
        ),
    ]
    for line in lines:
        if line == BASELINE:
            continue
        body = [
            [
                target,
                *(gained(of[line, target]) for of in own),
                *(gained(of[line, target]) for of in pairs.values()),
            ]
            for target in targets
        ]
        parts += [f"## What `{line}` adds", table(header, body)]
    return "\n\n".join(parts) + "\n"


def _unknown(found: Sequence[Side]) -> str:
    """Which encoders' seeds nobody knows."""
    once = [
        side.name
        for side in found
        if all(run == 1 for column in side.columns.values() for _, run in column.trainings)
    ]
    if not once:
        return ""
    return (
        f" One replicate: {', '.join(once)}; what other seeds would give it is not known, and "
        "brackets without a sign are of test rows alone."
    )


def _baseline(side: Side, target: str) -> str:
    measured = side.measured(target)
    return percent(float(measured.values[measured.lines[BASELINE]].mean()))
