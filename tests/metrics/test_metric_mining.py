from __future__ import annotations

import tracemalloc
from functools import partial

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from xstilts.tasks.metrics import mining
from xstilts.tasks.metrics.mining_gpu import neighbours_on

CASES = {"bucc_1": "de", "bucc_2": "ru"}
SMALL = settings(max_examples=30, deadline=None)
BOTH = pytest.mark.parametrize("case", list(CASES))
PAIRS = st.dictionaries(
    st.tuples(st.sampled_from("abcdef"), st.sampled_from("uvwxyz")), st.floats(0.1, 2), min_size=1
)


def lines(path):
    return path.read_text(encoding="utf-8").splitlines()


def load(golden, case):
    """Both sides as (vectors, texts, ids), and the gold pairs."""
    language = CASES[case]
    folder = golden(f"retrieval/{case}")
    sides = []
    for code in (language, "en"):
        stem = f"{language}-en.test.{code}"
        texts = (folder / f"{stem}.txt").read_text(encoding="utf-8").split("\n")[:-1]
        sides.append((np.load(folder / f"{stem}.npy"), texts, lines(folder / f"{stem}.id")))
    gold = [tuple(line.split("\t")) for line in lines(folder / f"{language}-en.test.gold")]
    return *sides, gold


def by_blocks(size):
    return partial(mining.neighbours_of, block=size)


def scored(golden, case, neighbours=4, search=None):
    (x, x_texts, x_ids), (y, y_texts, y_ids), gold = load(golden, case)
    candidates = mining.mine(x, y, x_texts, y_texts, neighbours, search)
    return candidates, mining.pair_scores(candidates, (x_ids, x_texts), (y_ids, y_texts)), gold


def extract(scores, threshold):
    """The pairs with at least this score, as retrieval.settle takes them."""
    return [pair for pair, score in scores.items() if score >= threshold]


def tuples(pairs):
    return [tuple(pair.split("\t")) for pair in pairs]


def by_torch(height, width):
    return partial(neighbours_on, torch.device("cpu"), shape=(height, width))


@BOTH
@pytest.mark.parametrize("search", [None, by_blocks(37), by_torch(37, 50), by_torch(5000, 5000)])
@pytest.mark.parametrize("neighbours", [4, 7])
def test_candidates_and_threshold_golden(golden, read, case, neighbours, search) -> None:
    expected = read(f"retrieval/{case}/expected.json")
    if neighbours == 7:
        expected = expected["variants"]["max_ratio_k7"]
    candidates, scores, gold = scored(golden, case, neighbours, search)
    assert len(candidates.scores) == expected["mined_lines"]
    assert scores == pytest.approx({(x, y): s for x, y, s in expected["candidates"]}, abs=1e-5)
    threshold = mining.tune_threshold(scores, gold)
    assert threshold == pytest.approx(expected["threshold"], abs=1e-5)
    pairs = extract(scores, threshold)
    assert len(pairs) == expected.get("n_pairs", len(expected.get("pairs", ())))
    found = {k: 100 * v for k, v in mining.mining_f1(pairs, gold).items()}
    assert [found["precision"], found["recall"], found["f1"]] == pytest.approx(
        [expected["precision"], expected["recall"], expected["F1"]], abs=1e-9
    )


@BOTH
def test_mine_extracts_the_official_pairs(golden, read, case) -> None:
    expected = read(f"retrieval/{case}/expected.json")
    _, scores, gold = scored(golden, case)
    (x, x_texts, _), (y, y_texts, _), _ = load(golden, case)
    pairs = extract(scores, mining.tune_threshold(scores, gold))
    assert set(pairs) == set(tuples(expected["pairs"]))
    found = {k: 100 * v for k, v in mining.mining_f1(pairs, gold).items()}
    assert found == pytest.approx(expected["evaluate_py"], abs=1e-9)
    assert len(mining.mine(x, y, x_texts, y_texts).scores) == expected["mined_lines"]


def test_threshold_of_dev_applies_to_test(golden, read) -> None:
    _, dev_scores, dev_gold = scored(golden, "bucc_1")
    threshold = mining.tune_threshold(dev_scores, dev_gold)
    expected = read("retrieval/bucc_2/expected.json")["with_threshold_of_bucc_1"]
    _, scores, gold = scored(golden, "bucc_2")
    pairs = extract(scores, threshold)
    assert set(pairs) == set(tuples(expected["pairs"]))
    found = {k: 100 * v for k, v in mining.mining_f1(pairs, gold).items()}
    assert found == pytest.approx(expected["evaluate_py"], abs=1e-9)


@pytest.mark.parametrize("block", [mining.BLOCK, 64])
def test_nearest_tatoeba_golden(golden, read, block) -> None:
    folder = golden("retrieval/tatoeba")
    expected = read("retrieval/tatoeba/expected.json")["cosine"]
    source, english = np.load(folder / "src.npy"), np.load(folder / "eng.npy")
    found = mining.nearest(english, source, block)
    assert found.tolist() == expected["top1"]
    gold = np.array([int(row) for row in lines(folder / "gold.tsv")])
    assert 100 * (found == gold).mean() == pytest.approx(expected["accuracy"], abs=1e-9)


def test_last_of_equal_lines_stands_for_all() -> None:
    x, y = np.array([[0.0, 1], [0, 1], [1, 0]]), np.array([[1.0, 0], [0, 1]])
    found = mining.mine(x, y, ["a", "b", "a"], ["u", "v"], neighbours=1)
    assert sorted(found.sources) == [1, 2]
    assert mining.pair_scores(found, ("012", ["a", "b", "a"]), ("01", ["u", "v"])).keys() == {
        ("1", "1")
    }


def test_repeated_sentences_have_no_id() -> None:
    found = mining.Candidates(np.array([1.5]), np.array([1]), np.array([0]))
    sides = (["x1", "x2"], ["a", "a"]), (["y1"], ["u"])
    assert mining.pair_scores(found, *sides) == {}


def test_white_space_alone_repeats_a_sentence() -> None:
    found = mining.Candidates(np.array([1.5]), np.array([0]), np.array([0]))
    assert mining.pair_scores(found, ("12", ["a", " a"]), ("1", ["u"])) == {}


def test_threshold_at_last_candidate_is_its_score() -> None:
    scores = {("a", "u"): 2.0, ("b", "v"): 1.0}
    assert mining.tune_threshold(scores, list(scores)) == 1.0
    assert mining.tune_threshold(scores, [("a", "u")]) == 1.5
    assert mining.tune_threshold(scores, [("c", "w")]) == 0


def test_ties_go_to_the_first_row() -> None:
    same = np.ones((5, 3), dtype=np.float32)
    assert mining.nearest(same, same, block=2).tolist() == [0] * 5
    found = mining.mine(same, same, "abcde", "uvwxy", 2, by_blocks(2))
    assert found.sources.tolist() == [0]
    assert found.targets.tolist() == [0]


def test_degenerate_sides() -> None:
    nothing, one = np.zeros((0, 3)), np.ones((1, 3))
    assert len(mining.mine(nothing, one, [], ["u"]).scores) == 0
    assert mining.mine(one, one, ["a"], ["u"]).scores.tolist() == pytest.approx([1.0])
    assert len(mining.mine(np.zeros((2, 3)), one, "ab", "u").scores) == 0
    with pytest.raises(ValueError, match="2 vectors for 1 texts"):
        mining.mine(np.ones((2, 3)), one, ["a"], ["u"])
    with pytest.raises(ValueError, match="search in"):
        mining.nearest(one, nothing)


def test_memory_is_bounded_by_blocks() -> None:
    rows = 3000
    x = np.random.default_rng(0).normal(size=(rows, 16)).astype(np.float32)
    texts = [str(n) for n in range(rows)]
    tracemalloc.start()
    mining.mine(x, x, texts, texts, search=by_blocks(256))
    mining.nearest(x, x, block=256)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < rows * rows * 4 / 6


@SMALL
@given(st.integers(0, 10**6), st.integers(1, 40), st.integers(1, 40), st.integers(1, 50))
def test_block_size_is_irrelevant(seed, rows, columns, block) -> None:
    random = np.random.default_rng(seed)
    x, y = random.normal(size=(rows, 6)), random.normal(size=(columns, 6))
    texts = [str(n) for n in range(rows)], [str(n) for n in range(columns)]
    whole, parts = (
        mining.mine(x, y, *texts, search=by_blocks(size)) for size in (mining.BLOCK, block)
    )
    assert np.array_equal(whole.sources, parts.sources)
    assert np.array_equal(whole.targets, parts.targets)
    assert parts.scores == pytest.approx(whole.scores, rel=1e-4)
    assert np.array_equal(mining.nearest(x, y), mining.nearest(x, y, block=block))


@SMALL
@given(st.integers(0, 10**6), st.integers(2, 30))
def test_mined_pairs_are_one_to_one_and_find_copies(seed, rows) -> None:
    x = np.random.default_rng(seed).normal(size=(rows, 16))
    order = np.random.default_rng(seed + 1).permutation(rows)
    texts = [str(n) for n in range(rows)]
    found = mining.mine(x, x[order], texts, texts)
    assert len(set(found.sources)) == len(set(found.targets)) == len(found.scores)
    assert np.all(np.diff(found.scores) <= 0)
    assert np.array_equal(order[mining.nearest(x, x[order])], np.arange(rows))


@given(PAIRS, st.sets(st.sampled_from("abcdef")))
def test_tuned_threshold_is_the_best(scores, right) -> None:
    gold = [pair for pair in scores if pair[0] in right] or [next(iter(scores))]
    best = mining.mining_f1(extract(scores, mining.tune_threshold(scores, gold)), gold)["f1"]
    for cut in scores.values():
        assert mining.mining_f1(extract(scores, cut), gold)["f1"] <= best + 1e-12


@given(st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from("uvw"))), PAIRS)
def test_mining_f1_bounds_gold_and_repeats(pairs, gold) -> None:
    scores = mining.mining_f1(pairs, list(gold))
    assert all(0 <= value <= 1 for value in scores.values())
    assert mining.mining_f1(pairs[::-1] * 2, list(gold)) == scores
    assert mining.mining_f1(list(gold), list(gold))["f1"] == 1
