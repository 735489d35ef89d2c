"""The world: same seed, same bytes; gold right in every language; no shortcut solves a task."""

from __future__ import annotations

import json
import math
import os
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable
from functools import cache
from typing import Any

import pytest

import xstilts_world as world
from xstilts.errors import UserError
from xstilts.formats.tables import COLUMNS, FamilyName, Record, digest
from xstilts.params import SourceSettings, TaskFiles
from xstilts.sources.reading import DOMAIN
from xstilts.tasks.catalogue import RECORDS
from xstilts_world.languages import LANGUAGES, lexicon, write

FAMILIES: dict[FamilyName, list[str]] = {
    "classification": ["anli_plus", "mnli", "qqp", "xnli", "pawsx"],
    "choice": ["hellaswag", "cosmosqa", "commonsenseqa", "xcopa", "siqa", "copa"],
    "tagging": ["ccg", "ud_relations", "ud_chunks", "udpos", "panx"],
    "span": ["squad2", "squad1", "xquad", "mlqa", "tydiqa"],
    "retrieval": ["bucc2018", "tatoeba"],
    "masked_lm": ["text"],
}
ENGLISH_ONLY = {
    *[
        "anli_plus",
        "mnli",
        "qqp",
        "squad2",
        "squad1",
        "hellaswag",
        "ccg",
        "ud_relations",
        "ud_chunks",
        "cosmosqa",
        "commonsenseqa",
    ],
    "siqa",
    "copa",
}
CHOICES = {"hellaswag": 4, "cosmosqa": 4, "commonsenseqa": 5, "xcopa": 2, "siqa": 3, "copa": 2}
UPOS = set(
    [
        "ADJ",
        "ADP",
        "ADV",
        "AUX",
        "CCONJ",
        "DET",
        "INTJ",
        "NOUN",
        "NUM",
        "PART",
        "PRON",
        "PROPN",
        "PUNCT",
        "SCONJ",
        "SYM",
        "VERB",
        "X",
    ]
)
IOB2 = {"B-LOC", "B-ORG", "B-PER", "I-LOC", "I-ORG", "I-PER", "O"}
NLI = {"contradiction", "entailment", "neutral"}
Rows = list[dict[str, Any]]


def record(name: str) -> Record:
    family = next(family for family, names in FAMILIES.items() if name in names)
    languages = ("en",) if name in ENGLISH_ONLY else ("en", "de")
    labels = RECORDS[name].labels
    return Record(name, family, ("target",), "NLI", languages, (), (), "made here", name, labels)


@cache
def rows(name: str, split: Any, language: str = "en", seed: int = 1) -> Rows:
    reading = world.read(record(name), split, language, SourceSettings(seed=seed))
    return [_columns(row) for row in reading.rows] if reading else []


def _columns(row: dict[str, Any]) -> dict[str, Any]:
    """What a table has of a row."""
    return {key: value for key, value in row.items() if key != DOMAIN}


def every(name: str, *splits: str) -> Rows:
    languages = world.languages(record(name), SourceSettings())
    return [
        row for split in splits for language in languages for row in rows(name, split, language)
    ]


PINNED = {
    ("xnli", "test", "qcy"): "f7148b742a65894f",
    ("squad2", "dev", "en"): "e33f780b4c3790d5",
    ("udpos", "test", "qdv"): "e0b227674cfd6070",
    ("xcopa", "dev", "qgr"): "613ac86028fe9f77",
    ("tatoeba", "test", "qun"): "bbdff34018f061a5",
    ("text", "train", "qal"): "d3ae7be8d631c7c6",
}


def test_tables_same_seed_same_bytes() -> None:
    found = {name: digest(rows(name, split, code)) for name, split, code in PINNED}
    assert found == {name: value for (name, _, _), value in PINNED.items()}


def test_another_seed_is_another_world() -> None:
    assert rows("xnli", "dev", "qcy") != rows("xnli", "dev", "qcy", seed=2)
    assert lexicon(1, "qcy") != lexicon(2, "qcy")


def test_hash_seed_moves_no_byte() -> None:
    code = (
        "import sys; sys.path.insert(0, sys.argv[1]); import test_world as t;"
        "print(t.digest([t.rows(n, 'dev', 'qun') for n in ('xnli', 'xquad', 'udpos', 'xcopa')]))"
    )
    folder = os.path.dirname(__file__)
    found = {
        subprocess.run(
            [sys.executable, "-c", code, folder], env={**os.environ, "PYTHONHASHSEED": seed},
            text=True, capture_output=True, check=True,
        ).stdout
        for seed in ("1", "2")
    }  # fmt: skip
    assert len(found) == 1


def test_languages_follow_the_record() -> None:
    settings = SourceSettings()
    assert world.languages(record("mnli"), settings) == ("en",)
    assert world.languages(record("xnli"), settings) == ("en", "qal", "qcy", "qgr", "qdv", "qun")
    assert world.languages(record("tatoeba"), settings) == ("qal", "qcy", "qgr", "qdv", "qun")
    assert world.read(record("mnli"), "dev", "qal", settings) is None
    assert world.read(record("xnli"), "train", "qal", settings) is None


@pytest.mark.parametrize("name", [name for names in FAMILIES.values() for name in names])
def test_rows_have_the_family_s_columns(name: str) -> None:
    columns = set(COLUMNS[record(name).family].names)
    table = rows(name, "train") or rows(name, "test", "qal") or rows(name, "test")
    assert table and all(set(row) == columns for row in table)


def test_labels_are_the_records() -> None:
    assert {row["label"] for row in every("xnli", "dev", "test")} == NLI
    assert {row["label"] for name in ("pawsx", "qqp") for row in every(name, "dev")} == {"0", "1"}
    assert {row["part"] for row in rows("anli_plus", "train")} == {
        "snli",
        "mnli",
        "anli_r1",
        "anli_r2",
        "anli_r3",
    }
    assert {tag for row in every("udpos", "train", "test") for tag in row["tags"]} <= UPOS
    assert {tag for row in every("panx", "train", "test") for tag in row["tags"]} == IOB2


@pytest.mark.parametrize("name", FAMILIES["tagging"])
def test_each_token_has_a_tag(name: str) -> None:
    for row in every(name, "train", "dev", "test"):
        assert len(row["tokens"]) == len(row["tags"]) and all(row["tokens"]) and all(row["tags"])


def test_syntax_is_as_universal_dependencies_would_have_it() -> None:
    said = {
        " ".join(row["tokens"]): row["tags"]
        for name in ("ud_relations", "ud_chunks")
        for row in rows(name, "train")
    }
    for sentence, tags in {
        "the farmer is poor in Vand .": "det nsubj cop root case obl punct",
        "Anna Tarlo painted the knife of Peter .": "nsubj flat root det obj case nmod punct",
        "the sailor will be hurt by the teacher .": "B-NP I-NP B-VP I-VP I-VP B-PP B-NP I-NP O",
        "the farmer is sick because Sorin Club mends the knife in Kelm .": (
            "B-NP I-NP B-VP B-ADJP B-SBAR B-NP I-NP B-VP B-NP I-NP B-PP B-NP O"
        ),
    }.items():
        assert said[sentence] == tags.split()
    for row in rows("ud_relations", "train"):  # each clause has one predicate, the first the root
        linked = sum(tag in ("cc", "mark") for tag in row["tags"])
        assert row["tags"].count("root") == 1
        assert sum(tag in ("conj", "advcl") for tag in row["tags"]) == linked


@pytest.mark.parametrize("name", FAMILIES["choice"])
def test_choices_are_different_and_one_is_right(name: str) -> None:
    for row in every(name, "dev", "test"):
        assert len(set(row["choices"])) == len(row["choices"]) == CHOICES[name]
        assert 0 <= row["label"] < CHOICES[name]


@pytest.mark.parametrize("name", FAMILIES["span"])
def test_spans_stand_where_they_say(name: str) -> None:
    table = every(name, "train", "dev", "test")
    for row in table:
        for answer in row["answers"]:
            assert answer["text"].strip() == answer["text"] != ""
            assert row["context"][answer["start"] :].startswith(answer["text"])
        assert row["answerable"] == bool(row["answers"])
    unanswerable = sum(not row["answerable"] for row in table) / len(table)
    assert 0.25 < unanswerable < 0.4 if name == "squad2" else unanswerable == 0


@pytest.mark.parametrize("name", ["xnli", "pawsx", "xquad", "xcopa"])
def test_translations_share_ids_and_gold(name: str) -> None:
    gold = "label" if "label" in rows(name, "test")[0] else "answerable"
    english = [(row["id"], row[gold]) for row in rows(name, "test")]
    for language in world.PRIVATE:
        assert [(row["id"], row[gold]) for row in rows(name, "test", language)] == english


@pytest.mark.parametrize("name", ["bucc2018", "tatoeba"])
def test_retrieval_gold_is_on_the_english_side(name: str) -> None:
    for language in world.PRIVATE:
        table = rows(name, "test", language)
        foreign = [row for row in table if row["side"] == "foreign"]
        english = [row["id"] for row in table if row["side"] == "english"]
        partners = [partner for row in foreign for partner in row["gold"]]
        assert len(english) == len(set(english)) == len(foreign) == 300
        assert len(partners) == len(set(partners)) == (120 if name == "bucc2018" else 300)
        assert set(partners) <= set(english)


def test_targets_that_share_training_rows() -> None:
    assert rows("xquad", "train") == rows("mlqa", "train")
    assert rows("xquad", "dev") != rows("mlqa", "dev")


def text_of(row: dict[str, Any]) -> str:
    kept = [
        row[key] for key in ("text_a", "text_b", "context", "question", "tokens") if row.get(key)
    ]
    return json.dumps(kept)


@pytest.mark.parametrize("family", ["classification", "choice", "tagging", "span"])
def test_no_evaluation_row_is_a_training_row(family: FamilyName) -> None:
    names = [name for name in FAMILIES[family]]
    train = {text_of(row) for name in names for row in rows(name, "train")}
    held = {
        text_of(row) for name in names for split in ("dev", "test") for row in rows(name, split)
    }
    assert not train & held


def test_no_two_words_of_a_language_look_alike() -> None:
    for code, language in LANGUAGES.items():
        words = [write(root, language.script) for root in lexicon(1, code).values()]
        assert len(words) == len(set(words)) or code == "en"


# What ignores the texts must not solve a task.


@pytest.mark.parametrize("name", FAMILIES["choice"])
def test_choices_have_no_shortcut(name: str) -> None:
    table = rows(name, "train")[:2000] or rows(name, "test")
    chance = 1 / CHOICES[name]
    assert any(len({len(choice) for choice in row["choices"]}) > 1 for row in table)
    for score in (len, lambda choice: -len(choice), None):  # longest, shortest, most shared words
        right = 0
        for row in table:
            context = set(f"{row['context']} {row['question']}".replace(".", "").split())
            values = [
                score(choice) if score else len(context & set(choice.replace(".", "").split()))
                for choice in row["choices"]
            ]
            best = [place for place, value in enumerate(values) if value == max(values)]
            right += (row["label"] in best) / len(best)
        assert right / len(table) < chance + 0.15, (score, right / len(table))


def bayes(train: Rows, test: Rows, words: Any) -> float:
    """Accuracy of naive Bayes over the words of a row, add-one smoothing."""
    counts: dict[str, Counter[str]] = {}
    labels = Counter(row["label"] for row in train)
    for row in train:
        counts.setdefault(row["label"], Counter()).update(words(row))
    size = len({word for counter in counts.values() for word in counter})

    def score(row: dict[str, Any], label: str) -> float:
        total = sum(counts[label].values()) + size
        return math.log(labels[label]) + sum(
            math.log((counts[label][word] + 1) / total) for word in words(row)
        )

    return sum(
        max(sorted(labels), key=lambda label: score(row, label)) == row["label"] for row in test
    ) / len(test)


def test_hypothesis_alone_says_little() -> None:
    train, test = rows("mnli", "train"), rows("mnli", "dev") + rows("xnli", "test")
    assert bayes(train, test, lambda row: row["text_b"].split()) < 1 / 3 + 0.08


@pytest.mark.parametrize("name", ["pawsx", "qqp"])
def test_shared_words_are_no_paraphrase(name: str) -> None:
    train, test = rows(name, "train"), rows(name, "dev")

    def overlap(row: dict[str, Any]) -> list[str]:
        a, b = (set(row[side].split()) for side in ("text_a", "text_b"))
        return [str(round(10 * len(a & b) / len(a | b)))]

    majority = max(Counter(row["label"] for row in test).values()) / len(test)
    assert bayes(train, test, overlap) < majority + 0.12


def test_text_is_of_several_kinds() -> None:
    table = rows("text", "train", "qcy")
    pairs = [row for row in table if row["pair"]]
    assert len(table) == 12000 and 0.86 < len(pairs) / len(table) < 0.94


def test_text_of_english_alone_has_words_of_no_other_language() -> None:
    settings = SourceSettings(tasks={"text": TaskFiles(languages=["en"])})
    assert world.languages(record("text"), settings) == ("en",)
    reading = world.read(record("text"), "train", "en", settings)
    assert reading is not None and len(reading.rows) == 12000

    def words(found: Iterable[dict[str, Any]]) -> set[str]:
        texts = [row[side] for row in found for side in ("text", "pair") if row[side]]
        return {word.casefold() for text in texts for word in re.findall(r"[^\W\d_]+", text)}

    alone, mixed = words(reading.rows), words(rows("text", "train", "en"))
    assert alone < mixed and len(mixed) > 3 * len(alone)
    assert world.languages(record("xnli"), settings)[1:]  # the tasks have the others
    wrong = SourceSettings(tasks={"xnli": TaskFiles(languages=["en", "qal", "fr"])})
    with pytest.raises(UserError, match=r"source.tasks.xnli.languages: the world has no 'fr'"):
        world.languages(record("xnli"), wrong)
