from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xstilts.tasks.metrics import squad

OPTIONS = {
    "no_na_prob": lambda na: {},
    "na_prob": lambda na: {"na_scores": na},
    "na_prob_t0.5": lambda na: {"na_scores": na, "threshold": 0.5},
}
TEXT = st.text(alphabet="aANnthe 'é-.$\u0301İΣا的", max_size=12)
ANSWERED = st.dictionaries(
    st.uuids().map(str), st.tuples(TEXT, st.lists(TEXT, min_size=1, max_size=3)), min_size=1
)


def questions(data):
    paragraphs = (paragraph for article in data["data"] for paragraph in article["paragraphs"])
    return [
        (qa["id"], [answer["text"] for answer in qa["answers"]])
        for paragraph in paragraphs
        for qa in paragraph["qas"]
    ]


def in_percent(scores):
    return {k: v if k.endswith(("total", "thresh")) else 100 * v for k, v in scores.items()}


def test_squad1_golden(read) -> None:
    expected = read("squad1/expected.json")
    references, predictions = questions(read("squad1/data.json")), read("squad1/pred.json")
    per_question = expected.pop("per_question")
    assert in_percent(squad.squad1(predictions, references)) == pytest.approx(expected, abs=1e-9)
    for question, golds in references:
        scores = squad.squad1(predictions, {question: golds})
        assert list(scores.values()) == pytest.approx(per_question[question], abs=1e-9)
    assert squad.unanswered(predictions, references) == 5


@pytest.mark.parametrize("case", ["case_1", "case_2", "case_3"])
@pytest.mark.parametrize("options", list(OPTIONS))
def test_squad2_golden(read, case, options) -> None:
    references = dict(questions(read(f"squad2/{case}/data.json")))
    predictions, na = read(f"squad2/{case}/pred.json"), read(f"squad2/{case}/na_prob.json")
    scores = squad.squad2(predictions, references, **OPTIONS[options](na))
    expected = read(f"squad2/{case}/expected.json")[options]
    assert in_percent(scores) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("case", ["case_1", "case_2", "case_3"])
def test_squad2_per_question_golden(read, case) -> None:
    references = dict(questions(read(f"squad2/{case}/data.json")))
    raw = squad.raw_scores(read(f"squad2/{case}/pred.json"), references)
    expected = read(f"squad2/{case}/expected.json")["per_question"]
    assert raw["exact"] == pytest.approx({k: v[0] for k, v in expected.items()}, abs=1e-9)
    assert raw["f1"] == pytest.approx({k: v[1] for k, v in expected.items()}, abs=1e-9)


@pytest.mark.parametrize(
    ("text", "expected"),
    [("the-end", "theend"), ("The  A-team!", "ateam"), ("a\u0301", "\u0301"), ("« an »", "« »")],
)
def test_normalise_punctuation_before_articles(text, expected) -> None:
    assert squad.normalise(text) == expected


def test_empty_answers_agree_in_squad2_alone() -> None:
    assert squad.squad1({"q": "the"}, {"q": ["."]}) == {"exact_match": 1, "f1": 0}
    assert squad.squad2({"q": "the"}, {"q": ["."]})["f1"] == 1


def test_question_used_twice_counts_twice() -> None:
    references = [("q", ["x"]), ("q", ["y"]), ("r", ["z"])]
    assert squad.squad1({"q": "x"}, references)["exact_match"] == pytest.approx(1 / 3)
    assert squad.unanswered({"q": "x"}, references) == 1


def test_missing_values_are_refused() -> None:
    with pytest.raises(ValueError, match="no questions"):
        squad.squad1({}, [])
    with pytest.raises(ValueError, match="no gold answer"):
        squad.squad1({}, {"q": []})
    with pytest.raises(ValueError, match="first is q"):
        squad.squad2({}, {"q": []})
    with pytest.raises(ValueError, match="no no-answer score"):
        squad.squad2({"q": ""}, {"q": []}, {})


@given(TEXT)
def test_normalise_is_idempotent(text) -> None:
    assert squad.normalise(squad.normalise(text)) == squad.normalise(text)


@given(ANSWERED, st.randoms(use_true_random=False))
def test_squad1_bounds_gold_and_order(cases, pick) -> None:
    predictions = {question: answer for question, (answer, _) in cases.items()}
    references = [(question, golds) for question, (_, golds) in cases.items()]
    scores = squad.squad1(predictions, references)
    assert all(0 <= value <= 1 for value in scores.values())
    pick.shuffle(references)
    assert squad.squad1(predictions, references) == pytest.approx(scores)
    gold = {question: golds[0] for question, golds in references}
    assert squad.squad1(gold, references)["exact_match"] == 1


@given(ANSWERED, st.lists(st.booleans(), min_size=1), st.floats(0, 1))
def test_squad2_bounds_and_gold(cases, answerable, threshold) -> None:
    kept = dict(zip(cases, answerable * len(cases), strict=False))
    references = {q: golds if kept[q] else [] for q, (_, golds) in cases.items()}
    predictions = {question: answer for question, (answer, _) in cases.items()}
    na = {question: (number % 5) / 4 for number, question in enumerate(cases)}
    scores = squad.squad2(predictions, references, na, threshold)
    assert all(0 <= v <= 1 for k, v in scores.items() if not k.endswith("total"))
    gold = {question: (golds or [""])[0] for question, golds in references.items()}
    assert squad.squad2(gold, references)["f1"] == 1 or "" in map(squad.normalise, gold.values())
