"""What to train before a target: `xstilts plan --rank`.

What enters: a grid's cells and models' cards, and what encoders know (looking.probing). What
leaves: for each intermediate the guesses, and what following each kind of guess would have cost on
the targets whose gains are known.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

from xstilts.console import aligned
from xstilts.errors import UserError
from xstilts.formats.cards import read_card
from xstilts.grids import BASELINE, GridSettings
from xstilts.paths import CELLS, MODELS, intermediate_model
from xstilts.results.answers.choosing import (
    Guesses,
    agreement,
    halves,
    regret,
    regret_by_chance,
)
from xstilts.results.report.cells import numbers, read_results
from xstilts.tasks.catalogue import record

TOP = (1, 3)  # of regret
Gains = Mapping[str, Mapping[int, float]]  # by intermediate, by replicate
Probed = Mapping[str, Mapping[tuple[str, str], float]]  # by kind, by (intermediate, target)


@dataclass(frozen=True)
class Kind:
    """A way to guess. of: of a target, by intermediate; {} where it cannot be had."""

    name: str
    of: Callable[[str], Guesses]


@dataclass(frozen=True)
class Judged:
    """A kind of guess over the grid's targets: how it ranks and what following it costs, points."""

    agreement: float
    regret: tuple[float, ...]  # at each of TOP
    targets: int


@dataclass(frozen=True)
class Ranking:
    """The guesses for one target, and how good each kind was on the others."""

    target: str
    guesses: Mapping[str, Guesses]  # by kind
    judged: Mapping[str, Judged]
    chance: tuple[float, ...]
    ceiling: Judged | None  # one half of the replicates guesses the other; None: there is one


def gains_of(grid: GridSettings, cells: Path = CELLS) -> dict[str, dict[str, dict[int, float]]]:
    """{target: {intermediate: {replicate: gain over the baseline's mean}}}, zero-shot."""
    if BASELINE not in grid.intermediates:
        raise UserError(
            f"params.yaml: grid.intermediates: no '{BASELINE}'; expected it, as gains are over it"
        )
    results = read_results("", grid, cells)
    found = numbers(results, zero_shot=True)
    gains: dict[str, dict[str, dict[int, float]]] = {}
    for target in results.targets:
        base = [of[target] for of in found.get(BASELINE, {}).values() if target in of]
        if not base:
            continue
        gains[target] = {
            name: {
                run: of[target] - fmean(base) for run, of in runs.items() if run in grid.replicates
            }
            for name, runs in found.items()
            if name != BASELINE
        }
    return gains


def sizes_of(grid: GridSettings, models: Path = MODELS) -> dict[str, float]:
    """How many English rows each intermediate trained on, of all members together."""
    sizes = {}
    for name in grid.intermediates:
        folder = models / intermediate_model(name, grid.replicates[0]).relative_to(MODELS)
        counts = read_card(folder).counts if name != BASELINE else {}
        sizes[name] = float(
            sum(of.get("rows", 0) for table, of in counts.items() if table.endswith("/train-en"))
        )
    return sizes


def kinds(gains: Mapping[str, Gains], sizes: Mapping[str, float], probed: Probed) -> list[Kind]:
    """The ways to guess, cheapest first. Those of the table leave out the target that is asked."""
    means = {
        target: {name: fmean(of.values()) for name, of in rows.items()}
        for target, rows in gains.items()
    }

    def others(target: str, wanted: Callable[[str], bool] = lambda name: True) -> Guesses:
        rest = [of for name, of in means.items() if name != target and wanted(name)]
        return {name: fmean(of[name] for of in rest) for name in rest[0]} if rest else {}

    def searches(name: str) -> bool:
        return record(name).family == "retrieval"

    names = next(iter(means.values()), {})
    found = [
        Kind("rows", lambda target: {name: sizes[name] for name in names}),
        Kind("mean of other targets", others),
        Kind("retrieval", lambda target: others(target, searches)),
    ]
    for kind, of in probed.items():
        found.append(Kind(kind, lambda target, of=of: _of_target(of, target)))  # type: ignore[misc]
    return found


def _of_target(of: Mapping[tuple[str, str], float], target: str) -> Guesses:
    return {name: value for (name, asked), value in of.items() if asked == target}


def rank(target: str, gains: Mapping[str, Gains], ways: list[Kind]) -> Ranking:
    """The guesses for a target, which needs no cell, and how good they are on those that have."""
    judged = {}
    for way in ways:
        lines = [
            (guessed, _means(rows))
            for name, rows in gains.items()
            if (guessed := way.of(name)).keys() >= rows.keys()
        ]
        if lines:
            judged[way.name] = _judge(lines)
    first = next(iter(gains.values()), {})
    enough = len(next(iter(first.values()), {})) > 1
    pairs = [pair for rows in gains.values() for pair in halves(rows)] if enough else []
    chance = tuple(
        100 * fmean(regret_by_chance(_means(rows), k) for rows in gains.values()) for k in TOP
    )
    guesses: dict[str, Guesses] = {way.name: way.of(target) for way in ways}
    return Ranking(target, guesses, judged, chance, _judge(pairs) if pairs else None)


def _means(rows: Gains) -> dict[str, float]:
    return {name: fmean(of.values()) for name, of in rows.items()}


def _judge(lines: Sequence[tuple[Guesses, Mapping[str, float]]]) -> Judged:
    ranks = [one for guess, came in lines if not math.isnan(one := agreement(guess, came))]
    lost = tuple(100 * fmean(regret(guess, came, k) for guess, came in lines) for k in TOP)
    return Judged(fmean(ranks) if ranks else math.nan, lost, len(lines))


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
    good = [["guess", "targets", "Spearman", *heads]]
    for name, one in found.judged.items():
        good.append([name, str(one.targets), *_of(one)])
    good.append(["chance", "", "0.00", *(f"{value:.1f}" for value in found.chance)])
    if found.ceiling:
        good.append(["half of the replicates", "", *_of(found.ceiling)])
    few = len(rows)
    return "\n".join(
        [
            f"{found.target}: before it is trained; sorted by the {key}, points",
            *aligned(lines),
            "",
            "On the grid's targets, each left out: what following a guess would have cost, points",
            *aligned(good),
            f"Of {few} intermediates a rank correlation has a standard deviation of "
            f"{1 / math.sqrt(max(1, few - 1)):.2f} by chance, on one target.",
        ]
    )


def _of(one: Judged) -> list[str]:
    return [f"{one.agreement:.2f}", *(f"{value:.1f}" for value in one.regret)]


def _shown(kind: str, value: float | None) -> str:
    if value is None:
        return "-"
    if kind == "rows":
        return f"{value:,.0f}"
    if kind == "LogME":
        return f"{value:.3f}"
    return f"{100 * value:+.1f}"
