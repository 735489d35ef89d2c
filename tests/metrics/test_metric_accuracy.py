from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xstilts.tasks.metrics.accuracy import accuracy, binary_f1

LABELS = st.lists(st.tuples(st.sampled_from("01"), st.sampled_from("01")), min_size=1)


def test_accuracy_of_half_right() -> None:
    assert accuracy(["a", "b"], ["a", "c"]) == 0.5


def test_binary_f1_by_hand() -> None:
    assert binary_f1(list("1100"), list("1010")) == pytest.approx(0.5)
    assert binary_f1(list("00"), list("10")) == 0.0


@pytest.mark.parametrize("metric", [accuracy, binary_f1])
@pytest.mark.parametrize(
    ("predictions", "references"), [([], []), (["1"], []), (["1"], ["1", "0"])]
)
def test_unequal_or_empty_is_refused(metric, predictions, references) -> None:
    with pytest.raises(ValueError):
        metric(predictions, references)


@pytest.mark.parametrize("metric", [accuracy, binary_f1])
@given(pairs=LABELS, seed=st.integers())
def test_in_unit_interval_and_order_irrelevant(metric, pairs, seed) -> None:
    score = metric(*zip(*pairs, strict=True))
    random.Random(seed).shuffle(pairs)
    assert 0 <= score <= 1
    assert metric(*zip(*pairs, strict=True)) == pytest.approx(score)


@given(LABELS)
def test_gold_scores_one(pairs) -> None:
    gold = [reference for _, reference in pairs]
    assert accuracy(gold, gold) == 1
    assert binary_f1(gold, gold) == ("1" in gold)
