"""What to train before a target: `xstilts plan --rank`.

What enters: a grid's cells and models' cards, and what encoders know (looking.probing). What
leaves: for each intermediate the guesses, and what following each kind of guess would have cost on
the targets whose gains are known.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import fmean

from xstilts.console import aligned
from xstilts.errors import UserError
from xstilts.formats.cards import read_card
from xstilts.grids import BASELINE, GridSettings
from xstilts.paths import CELLS, MODELS, cell, intermediate_model
from xstilts.results.answers.choosing import (
    Guesses,
    agreement,
    halves,
    regret,
    regret_by_chance,
)
from xstilts.results.report.cells import numbers, read_results
from xstilts.results.rungs import Curves, Nested, first, halved, paid
from xstilts.tasks.catalogue import record

TOP = (1, 3)  # of regret
Gains = Mapping[str, Mapping[int, float]]  # by intermediate, by replicate
Probed = Mapping[str, Mapping[tuple[str, str], float]]  # by kind, by (intermediate, target)
Twins = Mapping[str, frozenset[str]]  # by target, those that are the same training


@dataclass(frozen=True)
class Kind:
    """A way to guess. of: of a target, from replicates, by intermediate; {}: not to be had.

    price: the share of the target's own trainings that it runs.
    """

    name: str
    of: Callable[[str, Sequence[int]], Guesses]
    price: float = 0.0


@dataclass(frozen=True)
class Judged:
    """A kind of guess over targets: how it ranks, and what following it costs, in points."""

    agreement: float
    regret: tuple[float, ...]  # at each of TOP


@dataclass(frozen=True)
class Ranking:
    """The guesses for one target, and how good each kind was on the targets that all kinds have.

    Beside them chance, and own: a target's own other replicates, which cost the full price.
    """

    target: str
    guesses: Mapping[str, Guesses]  # by kind
    judged: Mapping[str, Judged]
    chance: tuple[float, ...]
    own: Judged | None  # None: there is one replicate
    targets: tuple[str, ...]
    left_out: tuple[str, ...]  # targets of the grid without all of their cells
    prices: Mapping[str, float]  # of the kinds that run a part of the target's own trainings


def gains_of(
    grid: GridSettings, cells: Path = CELLS
) -> tuple[dict[str, dict[str, dict[int, float]]], Twins]:
    """({target: {intermediate: {replicate: gain over the baseline's mean}}}, twins), zero-shot.

    Of the targets whose cells are all there. UserError where there is nothing to compare.
    """
    lines = [name for name in grid.intermediates if name != BASELINE]
    if BASELINE not in grid.intermediates or not lines:
        raise UserError(
            f"grid.intermediates: {grid.intermediates}; expected '{BASELINE}' and others, as gains "
            "are over it; add what is missing"
        )
    whole = [
        target
        for target in grid.targets
        if all((cell(name, target, run, cells) / "card.json").is_file()
               for name in grid.intermediates for run in grid.runs(name))
    ]  # fmt: skip
    gains: dict[str, dict[str, dict[int, float]]] = {}
    results = read_results("", grid.model_copy(update={"targets": whole}), cells) if whole else None
    found = numbers(results, zero_shot=True) if results else {}
    for target in whole:
        base = [of[target] for of in found[BASELINE].values() if target in of]
        if base:
            gains[target] = {
                name: {run: found[name][run][target] - fmean(base) for run in grid.replicates}
                for name in lines
            }
    if not gains or results is None:
        raise UserError(
            f"{cells}: no target with zero-shot languages has all of its cells; expected one; run "
            "`xstilts grid`"
        )
    keys = {column.target: column.card.inputs.get("training") for column in results.columns}
    twins = {
        target: frozenset(other for other, key in keys.items() if key and key == keys[target])
        for target in gains
    }
    return gains, twins


def sizes_of(grid: GridSettings, models: Path = MODELS) -> dict[str, float]:
    """How many labelled rows each intermediate trained on, of all members together."""
    sizes = {}
    for name in grid.intermediates:
        folder = models / intermediate_model(name, grid.replicates[0]).relative_to(MODELS)
        counts = read_card(folder).counts if name != BASELINE else {}
        sizes[name] = float(
            sum(of.get("rows", 0) for table, of in counts.items() if "/train-" in table)
        )
    return sizes


def kinds(
    gains: Mapping[str, Gains],
    twins: Twins,
    sizes: Mapping[str, float],
    probed: Probed,
    curves: Curves | None = None,
) -> list[Kind]:
    """The ways to guess, cheapest first.

    Those of the table leave out the target that is asked, and its twins, which are the same
    trainings.
    """
    names = list(next(iter(gains.values())))

    def others(
        target: str, runs: Sequence[int], wanted: Callable[[str], bool] = lambda name: True
    ) -> Guesses:
        alike = {target, *twins.get(target, ())}
        rest = [of for name, of in gains.items() if name not in alike and wanted(name)]
        if not rest:
            return {}
        return {name: fmean(of[name][run] for of in rest for run in runs) for name in names}

    def searches(name: str) -> bool:
        return not record(name).trained

    found = [
        Kind("rows", lambda target, runs: {name: sizes[name] for name in names}),
        Kind("mean of other targets", others),
        Kind("retrieval", lambda target, runs: others(target, runs, searches)),
    ]
    for kind, of in probed.items():
        found.append(Kind(kind, partial(_of_target, of)))
    if curves:
        rungs = min(map(len, curves.values()))
        found.append(Kind("first evaluation", partial(first, curves), 1 / rungs))
        found.append(Kind("halving", partial(halved, curves), paid(len(names), rungs)))
    return found


def _of_target(of: Mapping[tuple[str, str], float], target: str, runs: Sequence[int]) -> Guesses:
    return {name: value for (name, asked), value in of.items() if asked == target}


def rank(
    target: str, gains: Mapping[str, Gains], ways: list[Kind], grid: Sequence[str] = ()
) -> Ranking:
    """The guesses for a target, which needs no cell, and how good they are on those that have.

    Judged by halves of the replicates: what one half lets guess, against what the other gained, so
    that no guess has seen the trainings that judge it.
    """
    replicates = list(next(iter(next(iter(gains.values())).values())))
    guesses: dict[str, Guesses] = {way.name: way.of(target, replicates) for way in ways}
    there = [way for way in ways if any(way.of(name, replicates) for name in gains)]
    names = tuple(
        name
        for name, rows in gains.items()
        if all(way.of(name, replicates).keys() >= rows.keys() for way in there)
    )
    parts = halves(replicates)
    judged = {}
    for way in there:
        lines = [
            (way.of(name, half), _means(gains[name], rest))
            for name in names
            for half, rest in parts
        ]
        judged[way.name] = _judge(lines)
    came = [_means(gains[name], rest) for name in names for _, rest in parts]
    chance = tuple(
        100 * fmean(regret_by_chance(one, k) for one in came) if came else math.nan for k in TOP
    )
    own = None
    if len(replicates) > 1 and names:
        own = _judge([
            (_means(gains[name], half), _means(gains[name], rest))
            for name in names for half, rest in parts
        ])  # fmt: skip
    left_out = tuple(name for name in grid if name not in gains)
    prices = {way.name: way.price for way in there if way.price}
    return Ranking(target, guesses, judged, chance, own, names, left_out, prices)


def _means(rows: Gains, runs: Sequence[int]) -> dict[str, float]:
    return {name: fmean(of[run] for run in runs) for name, of in rows.items()}


def _judge(lines: Sequence[tuple[Guesses, Mapping[str, float]]]) -> Judged:
    if not lines:
        return Judged(math.nan, (math.nan,) * len(TOP))
    ranks = [one for guess, came in lines if not math.isnan(one := agreement(guess, came))]
    lost = tuple(100 * fmean(regret(guess, came, k) for guess, came in lines) for k in TOP)
    return Judged(fmean(ranks) if ranks else math.nan, lost)


def render(found: Ranking) -> str:
    """As text: the guesses, then how good they are."""
    kinds_there = [name for name, of in found.guesses.items() if of]
    rows = list(dict.fromkeys(row for name in kinds_there for row in found.guesses[name]))
    key = "mean of other targets"
    order = found.guesses.get(key) or found.guesses[kinds_there[0]]
    rows.sort(key=lambda row: -order.get(row, -math.inf))
    lines = [["intermediate", *kinds_there]]
    lines += [[row, *(_shown(name, found.guesses[name].get(row)) for name in kinds_there)]
              for row in rows]  # fmt: skip
    heads = [f"regret@{k}" for k in TOP]
    good = [["guess", "Spearman", *heads]]
    good += [[name, *_of(one)] for name, one in found.judged.items()]
    good.append(["chance", "0.00", *(f"{value:.1f}" for value in found.chance)])
    if found.own:
        good.append(["its own other replicates", *_of(found.own)])
    few = len(rows)
    over = "from one half of the replicates to the other" if found.own else "of one replicate"
    lines_out = [
        f"{found.target}: what to train for it, by guesses; sorted by the {key}, points",
        *aligned(lines),
        "",
        f"What following a guess would have cost on {' '.join(found.targets)}: points, {over}",
        *aligned(good),
        f"Of {few} intermediates a rank correlation has a standard deviation of "
        f"{1 / math.sqrt(max(1, few - 1)):.2f} by chance, on one target.",
    ]
    begun = [f"{name} {share:.0%}" for name, share in found.prices.items()]
    if begun:
        lines_out.append(
            f"Of the steps of the target's own trainings, run for: {', '.join(begun)}."
        )
    lacking = [name for name, of in found.guesses.items() if not of]
    if lacking:
        lines_out.append(f"Of {found.target} not to be had here: {', '.join(lacking)}.")
    if found.left_out:
        lines_out.append(f"Without all of their cells, and left out: {' '.join(found.left_out)}.")
    return "\n".join(lines_out)


def render_nested(found: Sequence[Nested]) -> str:
    """Halving over nested rows, as text."""
    lines = [["target", "left", "loses", "rows trained on"]]
    lines += [[one.target, one.chosen, f"{one.regret:.1f}", f"{one.rows:.0%}"] for one in found]
    return "\n".join([
        "Halving over nested rows (answers.sizes), by English dev; points to the best series",
        *aligned(lines),
    ])  # fmt: skip


def _of(one: Judged) -> list[str]:
    return [f"{one.agreement:.2f}", *(f"{value:.1f}" for value in one.regret)]


def _shown(kind: str, value: float | None) -> str:
    if value is None:
        return "-"
    if kind == "rows":
        return f"{value:,.0f}"
    if kind in ("LogME", "ESM"):
        return f"{value:.3f}"
    if kind == "halving":
        return f"{value:.2f}"
    return f"{100 * value:+.1f}"
