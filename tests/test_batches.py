from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from xstilts.formats.features import Features, Ragged
from xstilts.training.batches import (
    balanced_index,
    draw_members,
    flat_batches,
    micro_batches,
    sorted_batches,
    step_examples,
    steps_per_epoch,
)

lengths = st.lists(st.integers(1, 90), min_size=1, max_size=40)


@given(lengths, st.integers(1, 4), st.integers(64, 400), st.integers(0, 300))
def test_micro_batches_hold_each_example_once_within_the_budget(
    sizes: list[int], group: int, budget: int, overhead: int
) -> None:
    array = np.array(sizes)
    cuts = list(micro_batches(array, group, budget, overhead))
    assert sorted(np.concatenate(cuts)) == list(range(len(sizes)))
    for cut in cuts:
        assert len(cut) == 1 or array[cut].max() * group * len(cut) <= budget
    widths = [array[cut].max() for cut in cuts]
    assert widths == sorted(widths, reverse=True)


@given(lengths, st.integers(64, 400))
def test_flat_batches_hold_each_example_once_and_are_alike(sizes: list[int], budget: int) -> None:
    array = np.array(sizes)
    cuts = flat_batches(array, budget)
    assert sorted(np.concatenate(cuts)) == list(range(len(sizes)))
    assert all(array[cut].sum() <= budget or len(cut) == 1 for cut in cuts)
    counts = [len(cut) for cut in cuts]
    assert max(counts) - min(counts) <= 1


@given(lengths, st.integers(0, 200))
@settings(max_examples=30)
def test_micro_batches_cost_no_more_than_one_or_all(sizes: list[int], overhead: int) -> None:
    array = np.array(sizes)
    cuts = list(micro_batches(array, 1, 10**6, overhead))
    cost = sum(array[cut].max() * len(cut) + overhead for cut in cuts)
    assert cost <= array.max() * len(array) + overhead
    assert cost <= array.sum() + overhead * len(array)


@given(st.integers(1, 50), st.integers(1, 9), st.integers(0, 3))
def test_an_epoch_sees_each_example_once(n: int, batch_size: int, seed: int) -> None:
    index, length = np.arange(n) * 2, steps_per_epoch(n, batch_size)
    for epoch in (0, 1):
        seen = [step_examples(index, batch_size, seed, epoch * length + k) for k in range(length)]
        assert sorted(np.concatenate(seen)) == list(index)


@given(st.lists(st.lists(st.integers(0, 9), max_size=5), min_size=1, max_size=8))
def test_ragged_gives_back_its_lists(lists: list[list[int]]) -> None:
    ragged = Ragged.of(lists)
    assert [ragged[index].tolist() for index in range(len(ragged))] == lists


def test_members_are_drawn_by_weight_and_seed() -> None:
    drawn = draw_members([1.0, 3.0], 4000, seed=7)
    assert 0.72 < drawn.mean() < 0.78
    assert (drawn[:100] == draw_members([1.0, 3.0], 4000, seed=7)[:100]).all()
    assert (drawn != draw_members([1.0, 3.0], 4000, seed=8)).any()


def test_balanced_index_lifts_small_languages() -> None:
    index = balanced_index([900, 100], 0.5)
    assert abs((index >= 900).mean() - 0.25) < 0.01
    assert set(index) == set(range(1000))


def test_features_saved_and_loaded_are_equal(tmp_path) -> None:  # type: ignore[no-untyped-def]
    features = Features(
        {"input_ids": Ragged.of([[1, 2], [3], [4, 5, 6], []])}, np.array([0, 0, 1, 1]), 2
    )
    features.save(tmp_path / "f")
    again = Features.load(tmp_path / "f")
    assert len(again) == 2 and again.lengths.tolist() == [2, 3]
    assert [list(batch) for batch in sorted_batches(again, 6)] == [[1], [0]]
