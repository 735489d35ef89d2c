from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xstilts.tasks.metrics.mlqa import LANGUAGES, mlqa, normalise

TEXT = st.text(alphabet="aANnthe '-.$«€\u0301İΣالwas的漢かder unlàc", max_size=14)


def questions(data):
    paragraphs = (paragraph for article in data["data"] for paragraph in article["paragraphs"])
    return [
        (qa["id"], [answer["text"] for answer in qa["answers"]])
        for paragraph in paragraphs
        for qa in paragraph["qas"]
    ]


@pytest.mark.parametrize("language", LANGUAGES)
def test_mlqa_golden(read, language) -> None:
    expected = read(f"mlqa/{language}/expected.json")
    per_question = expected.pop("per_question")
    references = questions(read(f"mlqa/{language}/data.json"))
    predictions = read(f"mlqa/{language}/pred.json")
    scores = mlqa(predictions, references, language)
    assert {k: 100 * v for k, v in scores.items()} == pytest.approx(expected, abs=1e-9)
    for question, golds in references:
        scores = mlqa(predictions, [(question, golds)], language)
        assert list(scores.values()) == pytest.approx(per_question[question], abs=1e-9)


@pytest.mark.parametrize(
    ("text", "language", "expected"),
    [
        ("Los «niños» $5 €", "es", "niños 5 €"),
        ("والكتاب", "ar", "و كتاب"),
        ("北京 2008年かな", "zh", "北 京 2008 年 かな"),
        ("the Das-Ende der", "de", "the dasende"),
    ],
)
def test_normalise_by_language(text, language, expected) -> None:
    assert normalise(text, language) == expected


def test_unknown_language_is_refused() -> None:
    with pytest.raises(ValueError, match="no language 'fr'"):
        mlqa({"q": "x"}, {"q": ["x"]}, "fr")


@pytest.mark.parametrize("language", LANGUAGES)
@given(text=TEXT, gold=TEXT)
def test_normalise_idempotent_and_bounds(language, text, gold) -> None:
    once = normalise(text, language)
    assert normalise(once, language) == once
    scores = mlqa({"q": text}, {"q": [gold]}, language)
    assert all(0 <= value <= 1 for value in scores.values())
    assert mlqa({"q": gold}, {"q": [text, gold]}, language)["exact_match"] == 1
