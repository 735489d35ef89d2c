"""Guesses that pay a part of a training: halving by hand, on curves, over nested rows."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.conftest import ROOT
from xstilts.grids import GridSettings
from xstilts.results.choose import render_nested
from xstilts.results.rungs import curves_of, first, halved, halving, nested, paid

ARCHIVE = ROOT / "docs/cards/real-small"
NAMES = ("a", "b", "c", "d", "e")


def test_halving_by_hand() -> None:
    rungs = [
        {"a": 0.1, "b": 0.5, "c": 0.3, "d": 0.4, "e": 0.2},  # b, d and c go on
        {"a": 0.9, "b": 0.5, "c": 0.6, "d": 0.4, "e": 0.9},  # c and b: a and e were left
        {"a": 0.9, "b": 0.7, "c": 0.6, "d": 0.4, "e": 0.9},
    ]
    found = halving(rungs)
    assert sorted(NAMES, key=lambda name: -found[name]) == ["b", "c", "d", "e", "a"]
    assert int(found["b"]) == int(found["c"]) == 3 and int(found["d"]) == 2
    assert paid(5, 3) == pytest.approx((5 + 3 + 2) / 15)
    assert halving([]) == {}


@given(
    st.lists(st.permutations(range(5)), min_size=1, max_size=4),
)
def test_what_leads_every_rung_is_left_and_places_are_all_unlike(orders: list[list[int]]) -> None:
    rungs = [dict(zip(NAMES, map(float, order), strict=True)) for order in orders]
    ahead = [{**rung, "a": 9.0} for rung in rungs]
    found = halving(ahead)
    assert max(found, key=lambda name: found[name]) == "a"
    assert len(set(found.values())) == 5
    assert 0 < paid(5, len(rungs)) <= 1


def test_curves_of_cells_and_their_first_evaluation(tmp_path: Path) -> None:
    grid = GridSettings(intermediates=["none", "a", "b"], targets=["xnli"], replicates=[1, 2])
    for name, run, dev in (("a", 1, "0.4,0.9"), ("a", 2, "0.2,0.8"), ("b", 1, "0.5,0.6"),
                           ("none", 1, "0.1,0.2")):  # fmt: skip
        folder = tmp_path / name / "xnli" / str(run)
        folder.mkdir(parents=True)
        lines = [f"{step},,,{value}" for step, value in enumerate(dev.split(","))]
        text = "\n".join(["step,loss,learning_rate,dev", "0,0.5,0.1,", *lines])
        (folder / "history.csv").write_text(text + "\n", encoding="utf-8")
    curves = curves_of(grid, tmp_path)
    assert curves["a", "xnli", 1] == [0.4, 0.9] and ("none", "xnli", 1) not in curves
    assert first(curves, "xnli", [1]) == {"a": 0.4, "b": 0.5}
    found = halved(curves, "xnli", [1])
    assert found["b"] > found["a"]  # which would have won at the end
    assert first(curves, "xnli", [1, 2]) == {}  # b has no second replicate
    assert curves_of(grid, ARCHIVE / "cells") == {}  # cards and sums alone


def test_halving_over_nested_rows_of_real_cards(tmp_path: Path) -> None:
    card = json.loads((ARCHIVE / "cells/none/xnli/1/card.json").read_text(encoding="utf-8"))
    dev = {"a-1": 0.3, "a-2": 0.35, "b-1": 0.4, "b-2": 0.5, "c-1": 0.45, "c-2": 0.4, "c-3": 0.9}
    for name, score in dev.items():
        folder = tmp_path / name / "xnli/1"
        folder.mkdir(parents=True)
        card["selection"]["score"] = score
        (folder / "card.json").write_text(json.dumps(card), encoding="utf-8")
    sizes = {one: {f"{one}-1": 100, f"{one}-2": 400} for one in "abc"}
    grid = GridSettings(intermediates=["none", *dev], targets=["xnli"], replicates=[1])
    gains = {"xnli": {"a-2": {1: 0.03}, "b-2": {1: 0.01}, "c-2": {1: 0.02}}}
    (found,) = nested(grid, sizes, gains, tmp_path)
    # c and b go on from 100 rows, b is left; a would have been best.
    assert found.chosen == "b" and found.regret == pytest.approx(2)
    assert found.rows == pytest.approx((3 * 100 + 2 * 400) / 1200)
    assert "xnli" in render_nested([found]) and "92%" in render_nested([found])
    alone = {"a": sizes["a"]}
    assert nested(grid, alone, gains, tmp_path) == []
