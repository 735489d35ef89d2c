"""Groups, sizes and languages: against other ways to the same number, and where truth is known."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from tests.answers.made_up import Regime, column
from tests.answers.test_interval import measured
from xstilts.results.answers.contrasts import curve, groups, permuted, smallest_p
from xstilts.results.answers.interval import contrast, difference, spread
from xstilts.results.answers.languages import english_gap, log_spread, slope, worst_quarter
from xstilts.results.answers.measure import Summed, Sums, measure

TABLES = 60
POINT = 0.0113  # accuracy that a point of `Regime` is, near the middle


@pytest.mark.parametrize(("first", "second", "p"), [(1, 8, 2 / 9), (2, 7, 2 / 36), (3, 6, 2 / 84)])
def test_the_least_p_of_few_tasks_is_known_beforehand(first: int, second: int, p: float) -> None:
    assert smallest_p(first, second) == pytest.approx(p)
    values = [float(n) for n in range(first + second)][::-1]  # the first are the largest
    assert permuted(values, first) == pytest.approx(p)


# Eighths add without rounding. Sums within a rounding error of each other are a tie to scipy and to
# us, but each has its own error: 1e-13 is a tie to one and not to the other.
eighths = st.lists(st.integers(-16, 16).map(lambda n: n / 8), min_size=2, max_size=4)


@settings(max_examples=25, deadline=None)
@given(eighths, eighths)
def test_labels_are_permuted_as_scipy_does(first: list[float], second: list[float]) -> None:
    exact = stats.permutation_test(
        (first, second), lambda a, b: np.mean(a) - np.mean(b), n_resamples=np.inf
    )
    assert permuted([*first, *second], len(first)) == pytest.approx(exact.pvalue)


def test_two_groups_of_two_are_the_contrast_of_an_analysis_of_variance() -> None:
    lines = {"a": [0.5, 0.52, 0.47], "b": [0.55, 0.58, 0.56], "c": [0.4, 0.44, 0.41],
             "d": [0.45, 0.48, 0.46]}  # fmt: skip
    one = measured(lines)
    found = groups(one, ["a", "b"], ["c", "d"], spread(one), 0.95)
    values = np.array(list(lines.values()))
    error = math.sqrt(values.var(axis=1, ddof=1).mean() * 4 * 0.25 / 3)
    gap = values[:2].mean() - values[2:].mean()
    assert found.interval.difference == pytest.approx(gap)
    assert found.interval.p == pytest.approx(2 * stats.t.sf(gap / error, 8), abs=1e-9)
    assert found.p == found.smallest == pytest.approx(2 / 6)


def test_a_curve_of_two_sizes_is_their_difference() -> None:
    one = measured({"n1": [0.5, 0.52, 0.47], "n8": [0.55, 0.58, 0.56]}, rows=1e-4)
    of = spread(one)
    found = curve(one, {"n8": 800, "n1": 100}, of, 0.95, 0.01).interval
    whole = difference(one, ("n8", "n1"), of)
    assert (3 * found.low, 3 * found.high) == pytest.approx((whole.low, whole.high))
    assert found.p == pytest.approx(whole.p)


def test_enough_is_the_least_size_from_which_on_all_are_as_good() -> None:
    lines = {"a": 0.40, "b": 0.50, "c": 0.5004, "d": 0.5001}
    one = measured({name: [mean - 1e-4, mean, mean + 1e-4] for name, mean in lines.items()})
    sizes = {"a": 100, "b": 200, "c": 400, "d": 800}
    found = curve(one, sizes, spread(one), 0.95, 0.01)
    assert found.enough == 200 and found.interval.low > 0
    assert curve(one, sizes, spread(one), 0.95, 1e-5).enough is None


def test_weights_of_a_contrast_scale_its_interval() -> None:
    one = measure([column(Regime(1.0, 80, 3), {"a": 3, "b": 2, "c": 3}, np.random.default_rng(3))])
    of = spread(one)
    found = contrast(one, {"a": 1.0, "b": -0.5, "c": -0.5}, of)
    twice = contrast(one, {"a": 2.0, "b": -1.0, "c": -1.0}, of)
    assert (2 * found.low, 2 * found.high) == pytest.approx((twice.low, twice.high))
    assert twice.p == pytest.approx(found.p)


def languages_of(scores: dict[str, list[float]], rows: int = 1000) -> Summed:
    """One training a line, with these accuracies by language; languages en, l1, l2, ..."""
    codes = ("en", *(f"l{n}" for n in range(1, len(next(iter(scores.values()))))))
    sums = {}
    for name, of in scores.items():
        sums[name, 1] = {
            code: Sums(
                tuple(f"{code}-{n}" for n in range(rows)),
                {"accuracy": np.stack([np.arange(rows) < round(score * rows), np.ones(rows)], 1)},
            )
            for code, score in zip(codes, of, strict=True)
        }
    return Summed(sums, codes, ("accuracy",))


def test_english_and_the_worst_languages() -> None:
    of = languages_of({"none": [0.9, 0.5, 0.6, 0.7], "a": [0.9, 0.6, 0.5, 0.8]})
    gap = measure([english_gap(of)])
    assert gap.values == pytest.approx([0.3, 0.9 - 1.9 / 3])
    lowest = worst_quarter(of)
    assert lowest.languages == ("l1",)  # 0.55 on average, as l2 has, and before it
    assert measure([lowest]).values == pytest.approx([0.5, 0.6])


def test_spread_is_without_what_rows_give_it() -> None:
    """Languages that are equally hard: their scores differ, by what rows give and no more."""
    apart = Regime(0.0, 100, 10, lines=1, apart=5.0)
    alike = Regime(0.0, 100, 10, lines=1)
    rng = np.random.default_rng(5)
    naive, known, none = [], [], 0
    for _ in range(TABLES):
        of = column(apart, {"none": 1}, rng)
        naive.append(float(of.scores().std(axis=1, ddof=1)[0]) ** 2)
        known.append(math.exp(2 * float(log_spread(of).values[0])))
        none += bool(np.isnan(log_spread(column(alike, {"none": 1}, rng)).values[0]))
    truth = (5 * POINT) ** 2
    assert np.mean(naive) > 1.3 * truth
    assert np.nanmean(known) == pytest.approx(truth, rel=0.15)
    assert 0.3 < none / TABLES < 0.7  # nothing is left of noise, as often as not


def test_slopes_that_were_put_in_come_out_and_others_do_not() -> None:
    """A gain of 3 points a unit of one covariate and none on the other; 12 languages."""
    rng = np.random.default_rng(9)
    one, other = np.linspace(0, 1, 12), rng.permutation(np.linspace(0, 1, 12))
    codes = [f"l{n}" for n in range(12)]
    covered = {"put in": 0, "other": 0}
    for _ in range(TABLES):
        regime = Regime(0.5, 300, 12, lines=2, apart=5.0, slope=tuple(3.0 * one))
        of = column(regime, {"none": 3, "a": 3}, rng)
        for name, x, truth in (
            ("put in", one, 3 * POINT),
            ("other", other, 3 * POINT * _slope(one, other)),
        ):
            column_of = measure([slope(of, dict(zip(codes, x.tolist(), strict=True)))])
            found = difference(column_of, ("a", "none"), spread(column_of))
            covered[name] += found.low <= truth <= found.high
    assert min(covered.values()) >= 0.88 * TABLES
    with pytest.raises(ValueError, match="varies"):
        slope(of, dict.fromkeys(codes, 1.0))


def _slope(y: np.ndarray, x: np.ndarray) -> float:
    return float(np.polyfit(x, y, 1)[0])


def test_the_baselines_own_score_is_no_covariate() -> None:
    """Where no line differs, gains fall with the baseline's score, by regression to the mean: the
    trap that a covariate from elsewhere, or the mean of both lines, does not fall into."""
    rng = np.random.default_rng(13)
    on_own, on_both = [], []
    for _ in range(TABLES):
        of = column(Regime(0.0, 100, 10, lines=2, apart=2.0), {"none": 1, "a": 1}, rng)
        base, gain = of.scores()[0], of.scores()[1] - of.scores()[0]
        on_own.append(_slope(gain, base))
        on_both.append(_slope(gain, base + gain / 2))
    error = np.std(on_own) / TABLES**0.5
    assert np.mean(on_own) < -4 * error
    assert abs(np.mean(on_both)) < 3 * np.std(on_both) / TABLES**0.5
