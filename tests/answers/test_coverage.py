"""Intervals hold what they promise: simulated tables, the room's own code. Seeded, so that a run
gives what the last one gave."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from tests.answers.made_up import Regime, column, tagged
from xstilts.params import BASELINE, AnswerSettings
from xstilts.results.answers.interval import Interval
from xstilts.results.answers.languages import log_spread
from xstilts.results.answers.measure import Summed, measure
from xstilts.results.answers.table import answer, compared, spread_of
from xstilts.results.answers.verdicts import holm
from xstilts.results.encoders import Side, gaps

pytestmark = pytest.mark.slow
TABLES = 500
FEWER = 150  # of two columns each
NAMES = tuple(f"a{number}" for number in range(5))
REGIMES = {
    "seeds rule": Regime(4.0, 300, 5),
    "both": Regime(1.0, 1000, 5),
    "rows rule": Regime(0.3, 500, 10),
    "encoders of their own": Regime(2.0, 300, 5, encoders=4.0),
    "collapses": Regime(1.0, 300, 5, collapses=0.1),
}
SIDES = {  # two encoders: the first's regime, the second's
    "alike": (Regime(2.0, 300, 5, lines=3), Regime(2.0, 300, 5, lines=3)),
    "unlike spreads": (Regime(1.0, 300, 5, lines=3), Regime(4.0, 300, 5, lines=3)),
    "encoders of their own": (REGIMES["encoders of their own"], REGIMES["encoders of their own"]),
}


def intervals(column: Summed, blocks: bool = False) -> dict[str, Interval]:
    """Each line against a0, as the report forms them."""
    measured = measure([column])
    found = spread_of(measured, blocks)
    return {
        name: answer(measured, (name, "a0"), found, 0.95).interval
        for name in measured.lines
        if name != "a0"
    }


def covered(make: Callable[[np.random.Generator], dict[str, Interval]], tables: int) -> float:
    """How many percent of the intervals hold 0, over some tables."""
    rng = np.random.default_rng(7)
    hits = [
        interval.low <= 0 <= interval.high for _ in range(tables) for interval in make(rng).values()
    ]
    return 100 * float(np.mean(hits))


def shown(what: str, share: float) -> float:
    """For `pytest -rP`: what docs/answers.md lists."""
    print(f"{what}: {share:.1f}")
    return share


def error(percent: float, tables: int) -> float:
    """Two Monte Carlo errors of a share; lines of a table share the baseline, so tables count."""
    return 2 * float((percent * (100 - percent) / tables) ** 0.5)


@pytest.mark.parametrize("replicates", [3, 5])
@pytest.mark.parametrize("name", REGIMES)
def test_95_percent_intervals_cover_their_share(name: str, replicates: int) -> None:
    """93 to 98, where seeds rule, where rows do, with encoders of their own, with collapses."""
    lines = dict.fromkeys(NAMES, replicates)
    blocks = name == "encoders of their own"
    share = covered(lambda rng: intervals(column(REGIMES[name], lines, rng), blocks), TABLES)
    shown(f"{name}, {replicates} replicates", share)
    assert 93 - error(93, TABLES) <= share <= 98 + error(98, TABLES)


@pytest.mark.parametrize("replicates", [3, 5])
def test_more_of_the_baseline_covers_as_well(replicates: int) -> None:
    lines = dict.fromkeys(NAMES, replicates) | {"a0": 2 * replicates}
    share = covered(lambda rng: intervals(column(REGIMES["both"], lines, rng)), TABLES)
    shown(f"{replicates} replicates, {2 * replicates} of the baseline", share)
    assert 93 - error(93, TABLES) <= share <= 98 + error(98, TABLES)


@pytest.mark.parametrize("sentences", [47, 100])
def test_chunk_f1_of_few_sentences_is_covered(sentences: int) -> None:
    lines = dict.fromkeys(("a0", "a1", "a2"), 3)
    share = covered(lambda rng: intervals(tagged(sentences, lines, rng)), 2 * TABLES)
    shown(f"F1 of {sentences} sentences", share)
    assert 93 - error(93, 2 * TABLES) <= share <= 98 + error(98, 2 * TABLES)


@pytest.mark.parametrize("uneven", [(), (0.5, 0.5, 1.0, 1.5, 2.0)], ids=["even", "uneven"])
@pytest.mark.parametrize("replicates", [3, 5])
def test_few_tables_without_an_effect_have_a_decided_cell(
    replicates: int, uneven: tuple[float, ...]
) -> None:
    """Four lines on nine targets: at most 5 % of such tables have any cell below .05 by Holm."""
    rng = np.random.default_rng(11)
    regime = Regime(2.0, 200, 2, uneven=uneven)
    lines = dict.fromkeys(NAMES, replicates)
    false = []
    for _ in range(TABLES):
        p = {
            (target, name): interval.p or 0.0
            for target in range(9)
            for name, interval in intervals(column(regime, lines, rng)).items()
        }
        false.append(min(holm(p).values()) < 0.05)
    share = shown(f"tables with a false cell, {replicates}, {uneven}", 100 * float(np.mean(false)))
    assert share <= 5 + error(5, TABLES)


@pytest.mark.parametrize("rows", [100, 1000])
@pytest.mark.parametrize("replicates", [3, 5])
def test_ratios_of_spread_over_languages_are_covered(replicates: int, rows: int) -> None:
    """Ten languages, 5 points apart: the ratio of two lines' spreads holds 1."""
    lines = dict.fromkeys(("none", "a1", "a2"), replicates)
    regime = Regime(1.0, rows, 10, lines=3, apart=5.0)

    def found(rng: np.random.Generator) -> dict[str, Interval]:
        whole = log_spread(column(regime, lines, rng))
        if not np.isfinite(whole.values).all():  # rows explain a training's spread: none is said
            return {}
        return {
            name: one.interval
            for name, one in compared(whole, AnswerSettings(), False, False).items()
        }

    rng = np.random.default_rng(7)
    hits = [one.low <= 0 <= one.high for _ in range(TABLES) for one in found(rng).values()]
    share = shown(f"spread, {rows} rows, {replicates} replicates", 100 * float(np.mean(hits)))
    assert 92 - error(92, TABLES) <= share <= 99 + error(99, TABLES)


@pytest.mark.parametrize("replicates", [3, 5])
@pytest.mark.parametrize("name", list(SIDES))
def test_differences_of_two_encoders_gains_are_covered(name: str, replicates: int) -> None:
    own = "own" in name

    def make(rng: np.random.Generator) -> dict[str, Interval]:
        lines = dict.fromkeys((BASELINE, "a", "b"), replicates)
        first, second = (
            Side(str(number), "", {"t": column(regime, lines, rng)}, frozenset(), own)
            for number, regime in enumerate(SIDES[name])
        )
        found = gaps(first, second, AnswerSettings())
        return {line: one.interval for (line, target), one in found.items() if target == "t"}

    share = shown(f"two encoders, {name}, {replicates} replicates", covered(make, FEWER))
    assert 93 - error(93, FEWER) <= share <= 99
