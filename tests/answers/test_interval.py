"""Intervals and verdicts against other ways to the same number, and what must always hold."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from tests.answers.made_up import Regime, column
from xstilts.params import AnswerSettings
from xstilts.results.answers.interval import (
    block_spread,
    difference,
    spread,
)
from xstilts.results.answers.measure import Measured, Summed, Sums, measure
from xstilts.results.answers.table import Answers, answers
from xstilts.results.answers.verdicts import agreeing, false_share, holm

PAIR = ("a", "none")
SETTINGS = AnswerSettings()


def measured(lines: dict[str, list[float]], rows: float = 0.0) -> Measured:
    """Trainings with these scores. rows: the variance that test rows give each, shared by none."""
    trainings = tuple(
        (name, r) for name, scores in lines.items() for r in range(1, len(scores) + 1)
    )
    values = np.array([score for scores in lines.values() for score in scores])
    return Measured(trainings, values, rows * np.eye(len(values)))


def test_two_lines_of_seeds_alone_are_students_t_test() -> None:
    lines = {"none": [0.5, 0.52, 0.47], "a": [0.55, 0.58, 0.56]}
    one = measured(lines)
    found = difference(one, PAIR, spread(one))
    student = stats.ttest_ind(lines["a"], lines["none"])
    assert found.p == pytest.approx(student.pvalue, abs=1e-9)
    low, high = student.confidence_interval()
    assert (found.low, found.high) == pytest.approx((low, high))


def test_unlike_lines_are_welchs_t_test() -> None:
    lines = {"none": [0.5, 0.52, 0.47, 0.49], "a": [0.3, 0.9, 0.6], "b": [0.5, 0.5, 0.6]}
    one = measured(lines)
    found = difference(one, PAIR, spread(one), welch=True)
    welch = stats.ttest_ind(lines["a"], lines["none"], equal_var=False)
    assert found.p == pytest.approx(welch.pvalue, abs=1e-9)
    assert (found.low, found.high) == pytest.approx(tuple(welch.confidence_interval()))


def test_two_lines_with_encoders_of_their_own_are_the_paired_t_test() -> None:
    lines = {"none": [0.5, 0.62, 0.41], "a": [0.55, 0.66, 0.49]}
    one = measured(lines)
    found = difference(one, PAIR, block_spread(one))
    paired = stats.ttest_rel(lines["a"], lines["none"])
    assert found.p == pytest.approx(paired.pvalue, abs=1e-9)
    assert (found.low, found.high) == pytest.approx(tuple(paired.confidence_interval()))


def test_rows_alone_are_mcnemars_z_and_have_no_verdict() -> None:
    """One replicate: the interval of the rows' own differences, and nobody knows of seeds."""
    rng = np.random.default_rng(2)
    right = {
        name: (rng.random(400) < chance).astype(float)
        for name, chance in (("none", 0.5), ("a", 0.6))
    }
    clusters = tuple(map(str, range(400)))
    sums = {
        (name, 1): {"de": Sums(clusters, {"accuracy": np.stack([rows, np.ones(400)], 1)})}
        for name, rows in right.items()
    }
    of = Summed(sums, ("de",), ("accuracy",))
    found = answers({"xnli": of}, SETTINGS).cells["a", "xnli"]
    gaps = right["a"] - right["none"]
    half = 1.959964 * gaps.std(ddof=1) / 20
    assert found.interval.high - found.interval.difference == pytest.approx(half, rel=1e-5)
    assert (found.verdict, found.interval.p, found.adjusted) == ("unknown", None, None)


def test_rows_that_all_trainings_share_widen_the_interval_and_these_rows_do_not() -> None:
    of = measure(
        [column(Regime(0.1, 60, 2, likes=1.0), {"none": 3, "a": 3}, np.random.default_rng(1))]
    )
    found = spread(of)
    wide, narrow = (difference(of, PAIR, found, rows=rows) for rows in ("like these", "these"))
    assert wide.rows > 0 == narrow.rows
    assert wide.high - wide.low > narrow.high - narrow.low


scores = st.lists(st.floats(0, 1), min_size=2, max_size=5)


@settings(max_examples=60, deadline=None)
@given(scores, scores, st.floats(1e-7, 1e-2), st.sampled_from([0.8, 0.95, 0.99]))
def test_p_is_the_level_at_which_the_interval_ends_at_no_difference(
    none: list[float], a: list[float], rows: float, level: float
) -> None:
    of = measured({"none": none, "a": a}, rows)
    found = spread(of)
    one = difference(of, PAIR, found, level=level)
    assert one.p is not None
    assert one.low <= one.difference <= one.high
    assert (one.p < 1 - level) == (one.low > 0 or one.high < 0) or abs(one.p - (1 - level)) < 1e-9
    other = difference(of, PAIR[::-1], found, level=level)
    assert (other.low, other.high) == pytest.approx((-one.high, -one.low))


def test_a_frozen_baseline_adds_no_seeds() -> None:
    of = measured({"none": [0.5, 0.5, 0.5], "a": [0.55, 0.58, 0.56], "b": [0.4, 0.43, 0.42]})
    fixed = spread(of, frozenset({"none"}))
    pooled = (np.var([0.55, 0.58, 0.56], ddof=1) + np.var([0.4, 0.43, 0.42], ddof=1)) / 2
    found = difference(of, PAIR, fixed)
    assert (found.seeds, found.df) == (pytest.approx(pooled / 3), 4)


def test_by_hand_holm() -> None:
    assert holm({"a": 0.01, "b": 0.04, "c": 0.03}) == pytest.approx(
        {"a": 0.03, "b": 0.06, "c": 0.06}
    )
    assert holm({}) == {} == false_share({})


def test_agreeing_languages_are_counted_from_the_surest() -> None:
    p = {"de": 0.001, "fr": 0.01, "sw": 0.04, "zh": 0.6}
    assert agreeing(p, 0.05) == 2  # 4 x .001, 3 x .01 hold; 2 x .04 does not
    assert agreeing(dict.fromkeys(p, 0.0), 0.05) == 4
    assert agreeing({}, 0.05) == 0


def table(gains: dict[str, float], replicates: int = 3) -> Answers:
    """Two targets where lines differ from `none` by that many points, with little chance."""
    rng = np.random.default_rng(6)
    trainings = [(name, r) for name in ("none", *gains) for r in range(1, replicates + 1)]
    columns = {}
    for target in ("xnli", "panx"):
        sums = {}
        for name, r in trainings:
            level = 0.5 + gains.get(name, 0.0) / 100 + rng.normal(0, 0.002)
            rows = 2000
            clusters = tuple(map(str, range(rows)))
            right = (np.arange(rows) < level * rows).astype(float)
            each = {
                code: Sums(clusters, {"accuracy": np.stack([right, np.ones(rows)], 1)})
                for code in ("de", "sw")
            }
            sums[name, r] = each
        columns[target] = Summed(sums, ("de", "sw"), ("accuracy",))
    return answers(columns, SETTINGS)


def test_verdicts_say_what_was_put_in() -> None:
    found = table({"up": 8.0, "down": -8.0, "equal": 0.0})
    for name in ("up", "down", "equal"):
        assert found.averages[name].verdict == name
        assert {found.cells[name, target].verdict for target in ("xnli", "panx")} == {name}
    assert set(found.languages) == set(found.cells)
    for (name, _), of in found.languages.items():
        signs = {one.verdict for one in of.answers.values()}
        decided = name != "equal"
        assert (of.agreeing, signs) == (
            (2, {f"perhaps {name}"}) if decided else (None, {"unknown"})
        )
    assert {one.verdict for one in table({"up": 8.0}, replicates=1).cells.values()} == {"unknown"}
