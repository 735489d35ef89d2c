"""How each family's test predictions and gold are written down for XTREME.

What enters: a table's rows and its predictions. What leaves: a file's text. Gold and predictions
are written alike, but for question answering.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from xstilts.formats.tables import FamilyName, Row


@dataclass(frozen=True)
class Format:
    """How predictions and gold become a file's text. unit: what a table's official size counts."""

    predictions: Callable[[Sequence[Row], Sequence[Any]], str]
    labels: Callable[[Sequence[Row]], str]
    unit: str = "rows"


def _lines(values: Sequence[object]) -> str:
    return "".join(f"{value}\n" for value in values)


def _sentences(tagged: Sequence[Sequence[str]]) -> str:
    """Tagged sentences: one tag a line, a blank line after each sentence."""
    return "".join(f"{_lines(tags)}\n" for tags in tagged)


def _answers(rows: Sequence[Row], predictions: Sequence[Mapping[str, Any]]) -> str:
    texts = {row["id"]: p["text"] for row, p in zip(rows, predictions, strict=True)}
    return json.dumps(texts, ensure_ascii=False, indent=1) + "\n"


def _pairs(rows: Sequence[Row], predictions: Sequence[Mapping[str, Any] | None]) -> str:
    """BUCC: foreign id TAB English id of each pair that passed the threshold."""
    pairs = zip(rows, predictions, strict=True)
    return _lines([f"{row['id']}\t{p['id']}" for row, p in pairs if p is not None])


def _places(rows: Sequence[Row], predictions: Sequence[Mapping[str, Any] | None]) -> str:
    """Tatoeba: for each English sentence the number of the predicted foreign line."""
    pairs = zip(rows, predictions, strict=True)
    return _english_lines(rows, {row["id"]: p["id"] for row, p in pairs if p is not None})


def _english_lines(rows: Sequence[Row], partner: Mapping[str, str]) -> str:
    """The numbers (from 0) of the English sentences' partners among the foreign lines.

    English sentences come in the order of XTREME's file: stripped, sorted as strings, stable.
    partner: English id -> foreign id.
    """
    foreign = [row["id"] for row in rows if row["side"] == "foreign"]
    line = {row_id: number for number, row_id in enumerate(foreign)}
    english = [row for row in rows if row["side"] == "english"]
    ordered = sorted(english, key=lambda row: row["text"].strip())
    return _lines([line[partner[row["id"]]] for row in ordered])


def _gold_lines(rows: Sequence[Row]) -> str:
    return _lines([row["label"] for row in rows])


def _gold_sentences(rows: Sequence[Row]) -> str:
    return _sentences([row["tags"] for row in rows])


def _gold_answers(rows: Sequence[Row]) -> str:
    """SQuAD's JSON with each question as a document of its own, as in XTREME's test files."""
    documents = []
    for row in rows:
        answers = [{"text": a["text"], "answer_start": a["start"]} for a in row["answers"]]
        question = {"id": row["id"], "question": row["question"], "answers": answers}
        documents.append({"paragraphs": [{"context": row["context"], "qas": [question]}]})
    return json.dumps({"data": documents}, ensure_ascii=False, indent=1) + "\n"


def _gold_pairs(rows: Sequence[Row]) -> str:
    return _lines([f"{row['id']}\t{partner}" for row in rows for partner in row["gold"] or ()])


def _gold_places(rows: Sequence[Row]) -> str:
    return _english_lines(rows, {name: row["id"] for row in rows for name in row["gold"] or ()})


def _predicted_lines(rows: Sequence[Row], predictions: Sequence[Any]) -> str:
    return _lines(predictions)


def _predicted_sentences(rows: Sequence[Row], predictions: Sequence[Any]) -> str:
    return _sentences(predictions)


# Of a family with several kinds of task by the record's convention ("": whatever it is); None:
# XTREME takes no file of it. tests/families asks for an entry of every family.
FORMATS: dict[FamilyName, Mapping[str, Format] | None] = {
    "classification": {"": Format(_predicted_lines, _gold_lines)},
    "choice": None,
    "tagging": {"": Format(_predicted_sentences, _gold_sentences)},
    "span": {"": Format(_answers, _gold_answers)},
    "retrieval": {
        "mining": Format(_pairs, _gold_pairs, "pairs"),
        "nearest": Format(_places, _gold_places, "pairs"),
    },
    "ranking": None,
    "masked_lm": None,
}


def format_of(family: Any, convention: str) -> Format | None:
    """The format of a family's files under the record's convention; None: XTREME takes none."""
    kinds = FORMATS[family] or {}
    return kinds.get("") or kinds.get(convention)
