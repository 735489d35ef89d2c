from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from xstilts.formats.features import Features, Ragged
from xstilts.formats.tables import Row
from xstilts.sources.readers import READERS, RawFile
from xstilts.tasks.catalogue import record
from xstilts.tasks.families import ranking as family
from xstilts.tasks.families.protocol import TaskSettings
from xstilts.tasks.metrics import ranking

LANGUAGES = ("ar", "en", "th", "zh")


@pytest.fixture
def pool(golden) -> list[Row]:
    """Questions and candidates of all languages, as the reader gives them."""
    folder, task = golden("lareqa/xquad-r"), record("lareqa")
    raws = [RawFile(folder / f"{code}.json", task, "test", code) for code in LANGUAGES]
    return [row for raw in raws for row in READERS["xquad-r"](raw).rows]


def test_lareqa_pool_golden(golden, read, pool) -> None:
    uids = [
        (golden("lareqa") / f"{side}_uids.txt").read_text().split()
        for side in ("question", "candidate")
    ]
    assert [row["id"] for row in pool if row["query"] is not None] == uids[0]
    assert [row["id"] for row in pool if row["candidate"] is not None] == uids[1]
    expected = read("lareqa/expected.json")["answers"]
    for name, right in expected.items():
        assert [r["id"] for r in pool if r["candidate"] is not None and name in r["gold"]] == right


@pytest.mark.parametrize(("k", "name"), [(20, "map@20"), (5, "map@5"), (None, "map_all")])
def test_lareqa_map_golden(golden, read, pool, k, name) -> None:
    vectors = [
        np.load(golden("lareqa") / f"{side}_encodings.npy") for side in ("question", "candidate")
    ]
    uids = [row["id"] for row in pool if row["candidate"] is not None]
    questions = [row for row in pool if row["query"] is not None]
    answers = read("lareqa/expected.json")["answers"]
    targets = [answers[row["gold"][0]] for row in questions]
    ranked = [[uids[row] for row in rows] for rows in ranking.rank(*vectors, k, block=16)]
    expected = read("lareqa/expected.json")
    assert ranking.map_at_k(targets, ranked, k) == pytest.approx(expected[name], abs=1e-9)
    if k == 20:
        for row, right, order in zip(questions, targets, ranked, strict=True):
            value = ranking.average_precision_at_k(right, order)
            assert value == pytest.approx(expected["ap@20_per_question"][row["id"]], abs=1e-9)


def test_lareqa_family_gives_the_official_number(golden, read, pool) -> None:
    """The golden vectors through the family's decoding and scoring, over all languages at once."""
    vectors = {
        side: iter(np.load(golden("lareqa") / f"{side}_encodings.npy"))
        for side in ("question", "candidate")
    }
    sides = ["candidate" if row["query"] is None else "question" for row in pool]
    columns = {
        "input_ids": Ragged.of([[0]] * len(pool)),
        "side": Ragged.of([[int(side == "candidate")] for side in sides]),
    }
    features = Features(columns, np.arange(len(pool), dtype=np.int32))
    outputs = [next(vectors[side]) for side in sides]
    settings = TaskSettings(max_length=8)
    found = family.decode(features, outputs, pool, settings)
    scores = family.score(found, pool, "all", settings)
    expected = read("lareqa/expected.json")["map@20"]
    assert scores == pytest.approx({"map@20": expected}, abs=1e-9)


def test_mewslix_golden(read) -> None:
    expected = read("mewslix/expected.json")
    scores = {}
    for code in expected["map@20"]:
        gold, predicted = (
            read(f"mewslix/{side}/test-{code}.json") for side in ("labels", "predictions")
        )
        scores[code] = 100 * ranking.mewslix(predicted, gold)
        assert len(gold.keys() - predicted.keys()) == expected["not_predicted"][code]
        assert len(predicted.keys() - gold.keys()) == expected["not_expected"][code]
    assert scores == pytest.approx(expected["map@20"], abs=1e-9)
    assert sum(scores.values()) / 11 == pytest.approx(expected["macro_average"], abs=1e-9)


def test_average_precision_divides_by_what_fits() -> None:
    assert ranking.average_precision_at_k("abc", "xa", k=2) == pytest.approx(0.25)
    assert ranking.average_precision_at_k("a", "aa") == 1
    assert ranking.average_precision_at_k("ab", "aab", k=None) == pytest.approx((1 + 2 / 3) / 2)


def test_missing_values_are_refused() -> None:
    with pytest.raises(ValueError, match="right answer"):
        ranking.average_precision_at_k([], "a")
    with pytest.raises(ValueError, match="no queries"):
        ranking.map_at_k([], [])
    with pytest.raises(ValueError, match="1 rankings for 2"):
        ranking.map_at_k(["a", "b"], ["a"])
    with pytest.raises(ValueError, match="no mentions"):
        ranking.mewslix({}, {})


def test_equal_products_rank_by_row() -> None:
    assert ranking.rank(np.ones((1, 2)), np.ones((4, 2)), k=3).tolist() == [[0, 1, 2]]


@given(st.sets(st.integers(0, 9), min_size=1), st.permutations(range(10)), st.integers(1, 10))
def test_average_precision_bounds_and_gold(targets, ranked, k) -> None:
    assert 0 <= ranking.average_precision_at_k(targets, ranked, k) <= 1
    first = sorted(ranked, key=lambda item: item not in targets)
    assert ranking.average_precision_at_k(targets, first, k) == pytest.approx(1)
    one = {"q": [str(min(targets))]}
    found = ranking.mewslix({"q": [str(item) for item in ranked]}, one, k)
    expected = ranking.average_precision_at_k({min(targets)}, ranked, k)
    assert found == pytest.approx(expected)
