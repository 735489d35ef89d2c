"""Two lines against each other: `xstilts compare`.

What enters: two lines, of this grid or of another folder's. What leaves: for each target that both
have the difference, its interval and verdict, by language, and how many replicates would find how
much. Lines whose numbers do not mean the same are refused.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from xstilts.errors import UserError, nearest
from xstilts.params import BASELINE, AnswerSettings, GridSettings
from xstilts.paths import CELLS, cell
from xstilts.results.answers.interval import (
    Spread,
    difference,
    half_width,
    spread,
)
from xstilts.results.answers.measure import Measured, Summed, measure
from xstilts.results.answers.power import replicates_for
from xstilts.results.answers.said import bracketed, percent
from xstilts.results.answers.table import Answer, answer, judged, spread_of
from xstilts.results.archive import grid_of
from xstilts.results.report import cells as rooms
from xstilts.results.report.decided import own_encoders, sums_of

EFFECTS = (1.0, 2.0, 5.0)  # points, for which replicates are said


@dataclass(frozen=True)
class Grid:
    """A grid's cells and where they lie: here, an archive, another project's folder."""

    settings: GridSettings
    cells: Path
    name: str = ""  # beside a line's; "" for this grid's
    answers: AnswerSettings = field(default_factory=AnswerSettings)

    def labelled(self, line: str) -> str:
        return f"{line} of {self.name}" if self.name else line

    def column(self, target: str, wanted: str) -> rooms.Column:
        """A target's column of the lines whose replicates are all there; of `wanted` they must."""
        there = [
            line
            for line in self.settings.intermediates
            if line == wanted or self.whole(line, target)
        ]
        update = {"intermediates": there, "targets": [target]}
        grid = self.settings.model_copy(update=update)
        return rooms.read_results("", grid, self.cells).columns[0]

    def source(self, target: str) -> str:
        """The name of the source that the target's rows came from; '' without a cell."""
        cards = self.column(target, BASELINE).cards.values()
        return next((card.source for card in cards), "")

    def whole(self, line: str, target: str) -> bool:
        """Whether all replicates of a cell are there."""
        folders = (cell(line, target, run, self.cells) for run in self.settings.runs(line))
        return all((folder / "card.json").is_file() for folder in folders)


@dataclass(frozen=True)
class Compared:
    """A target's difference of two lines. Half widths, of the seeds' and the rows' part alone."""

    target: str
    replicates: tuple[int, int]
    answer: Answer
    languages: Mapping[str, Answer]
    by_seeds: float | None
    by_rows: float
    needed: Mapping[float, int | None]  # points -> replicates; empty where no spread is known


def compare(
    first: tuple[Grid, str],
    second: tuple[Grid, str],
    targets: Sequence[str],
    section: AnswerSettings,
) -> list[Compared]:
    """The first line minus the second on each of the targets, which are judged as one family.

    UserError where a line is not in its grid, or numbers do not mean the same.
    """
    for grid, line in (first, second):
        if line not in grid.settings.intermediates:
            raise UserError(
                f"{line}: no line of {grid.name or 'this grid'}"
                f"{nearest(line, grid.settings.intermediates)}"
            )
    found = {target: _compared(first, second, target, section) for target in targets}
    family = judged({target: one.answer for target, one in found.items()}, section)
    return [replace(one, answer=family[target]) for target, one in found.items()]


def _compared(
    first: tuple[Grid, str], second: tuple[Grid, str], target: str, section: AnswerSettings
) -> Compared:
    column, blocks, fixed = _joined(first, second, target)
    pair = (first[1], second[1])
    if first[0] != second[0]:
        pair = (first[0].labelled(first[1]), second[0].labelled(second[1]))

    def compared(part: Summed) -> tuple[Measured, Spread, Answer]:
        measured = measure([part])
        found = spread_of(measured, blocks, fixed)
        return measured, found, answer(measured, pair, found, section.level)

    measured, found, whole = compared(column)
    interval, alpha = whole.interval, 1 - section.level
    by_seeds, needed = None, dict[float, int | None]()
    if interval.seeds is not None and interval.df is not None:
        by_seeds = half_width(0.0, interval.seeds, interval.df, alpha)
        parts = (interval.rows, found.variance, len(measured.lines), alpha)
        needed = {points: replicates_for(points / 100, *parts) for points in EFFECTS}
    return Compared(
        target,
        (len(measured.lines[pair[0]]), len(measured.lines[pair[1]])),
        whole,
        {code: compared(part)[2] for code, part in column.by_language().items()},
        by_seeds,
        half_width(interval.rows, 0.0, 1, alpha),
        needed,
    )


def _joined(
    first: tuple[Grid, str], second: tuple[Grid, str], target: str
) -> tuple[Summed, bool, frozenset[str]]:
    """Both lines' columns as one, whose lines share a spread; whether replicates are blocks.

    And the lines that no seed moves: baselines where nothing is trained.
    """
    (here, line), (there, other) = first, second
    ours = here.column(target, line)
    frozen = ours.card.selection is None
    if here == there:
        again = here.column(target, other)
        both = rooms.Column(ours.target, ours.split, ours.languages, {**ours.cards, **again.cards})
        blocks = own_encoders([both])
        still = frozenset({BASELINE}) if frozen and not blocks else frozenset()
        return sums_of(both, here.cells), blocks, still
    theirs = there.column(target, other)
    places = (f"in {here.name}" if here.name else "here", f"in {there.name}")
    require_one_meaning(ours, theirs, places, ("encoder", "source"))
    trainings, fixed = {}, set[str]()
    for grid, column in ((here, ours), (there, theirs)):
        summed = sums_of(column, grid.cells)
        for (name, replicate), sums in summed.trainings.items():
            trainings[grid.labelled(name), replicate] = sums
        if frozen and not own_encoders([column]):
            fixed.add(grid.labelled(BASELINE))
    return Summed(trainings, summed.languages, summed.main), False, frozenset(fixed)


def require_one_meaning(
    ours: rooms.Column, theirs: rooms.Column, places: tuple[str, str], but: Sequence[str]
) -> None:
    """UserError where two grids' numbers of a target do not mean the same.

    places: where each is, in words; but: what may differ.
    """
    if (unlike := rooms.unlike(ours.card, theirs.card, but)) is not None:
        key, mine, other = unlike
        raise UserError(
            f"{ours.target}: {key} is {mine} {places[0]} and {other} {places[1]}; expected one "
            "meaning for both numbers; run one of them again with the other's version and tables"
        )


def differing(here: Grid, there: Grid, section: AnswerSettings) -> tuple[list[str], int]:
    """(a line for each cell that differs by more than its seeds do, the number of cells in both).

    Of these test rows, which both machines read. With one replicate there is no spread to judge
    by: every cell that is not equal has a line.
    """
    found: dict[tuple[str, str], Answer] = {}
    for target in here.settings.targets:
        for line in here.settings.intermediates:
            if target in there.settings.targets and line in there.settings.intermediates:
                column, _, fixed = _joined((here, line), (there, line), target)
                measured = measure([column])
                pair = (here.labelled(line), there.labelled(line))
                interval = difference(
                    measured, pair, spread(measured, fixed), level=section.level, rows="these"
                )
                found[line, target] = Answer(interval)
    lines = []
    for (line, target), one in judged(found, section).items():
        p, gap = one.adjusted, one.interval.difference
        if gap and (p is None or p <= 1 - section.level):
            said = "seeds unknown" if p is None else f"by Holm {p:.2g}"
            lines.append(f"{line} on {target}: {percent(gap, '+')}, {said}")
    return lines, len(found)


def grid_at(folder: Path) -> Grid:
    """The grid of another folder: an archive, or a project with params.yaml and cells/."""
    _, section, answers = grid_of(folder)
    return Grid(section, folder / CELLS, folder.as_posix(), answers)


def render(compared: Compared, languages: bool, family: int) -> str:
    """A target's lines of text. Points. family: of how many targets Holm's p is."""
    one, interval = compared.answer, compared.answer.interval
    first, second = compared.replicates
    count = len(compared.languages)
    lines = [f"{compared.target}, zero-shot ({count} languages), replicates {first} | {second}"]
    parts = [f"{percent(interval.difference, '+')} {bracketed(one)}"]
    if interval.p is not None:
        parts.append(f"p {interval.p:.2g}, by Holm over {family} {one.adjusted:.2g}")
    seeds = "unknown" if compared.by_seeds is None else f"±{100 * compared.by_seeds:.1f}"
    parts.append(f"seeds {seeds}, test rows ±{100 * compared.by_rows:.1f}")
    lines.append("  " + "   ".join(parts))
    if languages:
        for code, of in compared.languages.items():
            lines.append(f"    {code} {percent(of.interval.difference, '+')} {bracketed(of)}")
    if compared.needed:
        said = (
            f"{points:g} {'point' if points == 1 else 'points'}: {number or 'more than 1,000'}"
            for points, number in compared.needed.items()
        )
        lines.append(f"  replicates of both for 80 % power, for {'; '.join(said)}")
    return "\n".join(lines)
