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
from xstilts.results.compare import Grid, grid_at, require_one_meaning
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
        return measure([self.columns[name] for name in self.of(target)])

    def fixed(self, target: str) -> frozenset[str]:
        """The lines that no seed moves: the baseline, where nothing is trained for it."""
        still = not self.blocks and all(name in self.frozen for name in self.of(target))
        return frozenset({BASELINE} if still else ())

    @property
    def lines(self) -> list[str]:
        """The intermediates, the baseline among them."""
        first = next(iter(self.columns.values()))
        return list(dict.fromkeys(name for name, _ in first.trainings))

    def of(self, target: str) -> list[str]:
        """The target, or all that the mean is over."""
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
        and rooms.spoken(grids[0].column(name, BASELINE), zero_shot=True)
    ]
    lines = [
        name
        for name in grids[0].settings.intermediates
        if all(grid.whole(name, target) for grid in grids for target in targets)
    ]
    if not targets:
        raise UserError(
            f"{', '.join(map(str, folders))}: no zero-shot target with '{BASELINE}' in all of "
            "them; expected one, with all its replicates; run the grids further"
        )
    found = []
    for name, grid in zip(names, grids, strict=True):
        columns = {target: _of_lines(grid, target, lines) for target in targets}
        for target, column in columns.items():
            ours = grids[0].column(target, BASELINE)
            require_one_meaning(ours, column, (f"in {names[0]}", f"in {name}"), THEIR_OWN)
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


def gains(side: Side, section: AnswerSettings) -> dict[tuple[str, str], Answer]:
    """By (intermediate, target or mean) what it adds to this encoder."""
    found = {
        (name, target): one
        for target in (*side.columns, MEAN)
        for name, one in compared(
            side.measured(target), section, bool(side.fixed(target)), side.blocks
        ).items()
    }
    return _judged(found, section)


def gaps(first: Side, second: Side, section: AnswerSettings) -> dict[tuple[str, str], Answer]:
    """By (intermediate, target or mean) how much more it adds to the second encoder."""
    found = {}
    for target in (*first.columns, MEAN):
        both = _measured(first, second, target)
        own = {
            side.name: spread_of(side.measured(target), side.blocks, side.fixed(target))
            for side in (first, second)
        }
        for line in first.lines:
            if line != BASELINE:
                weights = {line: 1.0, BASELINE: -1.0}
                found[line, target] = _between(both, first, second, weights, own, section)
    return _judged(found, section)


def baselines(first: Side, second: Side, section: AnswerSettings) -> dict[tuple[str, str], Answer]:
    """By (baseline, target or mean) the second encoder's number minus the first's."""
    found = {}
    for target in (*first.columns, MEAN):
        # Unlike a gain, a number moves with the replicate's own encoder: the whole spread.
        own = {
            side.name: spread(side.measured(target), side.fixed(target)) for side in (first, second)
        }
        both = _measured(first, second, target)
        found[BASELINE, target] = _between(both, first, second, {BASELINE: 1.0}, own, section)
    return _judged(found, section)


def _between(
    both: Measured,
    first: Side,
    second: Side,
    weights: Mapping[str, float],
    own: Mapping[str, Spread],
    section: AnswerSettings,
) -> Answer:
    """A contrast of the second encoder's lines minus that of the first's. own: spreads, by side."""
    groups = [
        (
            {_label(side.name, line): sign * weight for line, weight in weights.items()},
            _labelled(side, own[side.name]),
        )
        for side, sign in ((first, -1.0), (second, 1.0))
    ]
    return Answer(across(both, groups, section.level))


def _measured(first: Side, second: Side, target: str) -> Measured:
    return measure([_beside(first, second, name) for name in first.of(target)])


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
    own = [gains(side, section) for side in found]
    pairs = {
        (a, b): baselines(found[a], found[b], section) | gaps(found[a], found[b], section)
        for a, b in combinations(range(len(found)), 2)
    }
    header = ["target", *(side.name for side in found)]
    header += [f"{found[b].name} - {found[a].name}" for a, b in pairs]
    parts = [
        "# Encoders side by side",
        table(["grid", "encoder"], [[side.name, side.encoder] for side in found], "---"),
        "Zero-shot languages, percent; differences in points. In square brackets: over each "
        "encoder's own seeds and over test rows like these, which all encoders read. "
        f"{how_signs_read(section)}{_unknown(found)}",
    ]
    for line in found[0].lines:
        body = [
            [
                target,
                *(
                    _baseline(side, target) if line == BASELINE else gained(of[line, target])
                    for side, of in zip(found, own, strict=True)
                ),
                *(gained(of[line, target]) for of in pairs.values()),
            ]
            for target in targets
        ]
        title = f"`{BASELINE}`" if line == BASELINE else f"What `{line}` adds"
        parts += [f"## {title}", table(header, body)]
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
