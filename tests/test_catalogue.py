"""The catalogue against the published languages, label orders and sizes."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from xstilts.errors import UserError
from xstilts.formats.tables import Record, read_record, write_json, write_record
from xstilts.looking.listing import listing
from xstilts.tasks.catalogue import RECORDS, is_published, official_size, record
from xstilts.tasks.metrics.benchmark import TASKS

NLI = ("contradiction", "entailment", "neutral")
# name: (family, number of languages, labels or number of choices, train, dev, test in the language)
KNOWN: dict[str, tuple[str, int, object, int | None, int | None, int | None, str]] = {
    "anli_plus": ("classification", 1, NLI, 1_104_934, 22_857, None, "en"),
    "mnli": ("classification", 1, NLI, 392_702, 9_815, None, "en"),
    "qqp": ("classification", 1, ("0", "1"), 363_846, 40_430, None, "en"),
    "squad2": ("span", 1, (), 130_319, 11_873, None, "en"),
    "squad1": ("span", 1, (), 87_599, 10_570, None, "en"),
    "hellaswag": ("choice", 1, 4, 39_905, 10_042, None, "en"),
    "ccg": ("tagging", 1, (), 38_015, 5_484, None, "en"),
    "ud_relations": ("tagging", 1, 37, 21_253, 3_974, None, "en"),
    "ud_chunks": ("tagging", 1, 13, 21_253, 3_974, None, "en"),
    "cosmosqa": ("choice", 1, 4, 25_262, 2_985, None, "en"),
    "commonsenseqa": ("choice", 1, 5, 9_741, 1_221, None, "en"),
    "xnli": ("classification", 15, NLI, None, 2_490, 5_010, "sw"),
    "pawsx": ("classification", 7, ("0", "1"), 49_401, 2_000, 2_000, "en"),
    "udpos": ("tagging", 33, 17, 21_253, 3_974, 5_440, "en"),
    "panx": ("tagging", 40, 7, 20_000, 10_000, 10_000, "en"),
    "xquad": ("span", 11, (), None, None, 1_190, "en"),
    "mlqa": ("span", 7, (), None, 1_148, 11_590, "en"),
    "tydiqa": ("span", 9, (), 3_696, None, 440, "en"),
    "bucc2018": ("retrieval", 4, (), None, 1_038, 9_580, "de"),
    "tatoeba": ("retrieval", 36, (), None, None, 205, "jv"),
    "xcopa": ("choice", 11, 2, None, 100, 500, "qu"),
    "lareqa": ("ranking", 11, (), None, None, 1_190, "th"),
    "mewslix": ("ranking", 11, (), 167_719, 316, 1_490, "en"),
    "siqa": ("choice", 1, 3, 33_410, 1_954, None, "en"),
    "copa": ("choice", 1, 2, 400, 100, 500, "en"),
    "text": ("masked_lm", 40, (), None, None, None, "en"),
}


@pytest.mark.parametrize("name", list(RECORDS))
def test_records_are_the_published_ones(name: str, tmp_path: Path) -> None:
    task = record(name)
    family, languages, labels, train, dev, test, language = KNOWN[name]
    assert (task.name, task.family, len(task.languages)) == (name, family, languages)
    assert len(set(task.languages)) == languages
    found = {"train": train, "dev": dev, "test": test}
    assert {split: official_size(task, split, language) for split in found} == found
    if isinstance(labels, int):
        assert labels == (task.choices if task.family == "choice" else len(task.labels))
    else:
        assert task.labels == labels
    assert set(task.main) <= set(task.metrics)
    assert all(other in RECORDS for other in (*task.train_from, *task.exclude_contexts_of))
    assert task.licence and task.title
    write_record(tmp_path, task)
    assert read_record(tmp_path) == task


def test_label_orders() -> None:
    panx = ["B-LOC", "B-ORG", "B-PER", "I-LOC", "I-ORG", "I-PER", "O"]
    udpos = "ADJ ADP ADV AUX CCONJ DET INTJ NOUN NUM PART PRON PROPN PUNCT SCONJ SYM VERB X"
    assert list(RECORDS["panx"].labels) == panx == sorted(panx)
    assert " ".join(RECORDS["udpos"].labels) == udpos == " ".join(sorted(udpos.split()))


def test_sums_of_published_sizes() -> None:
    def total(name: str, split: str) -> int:
        task = RECORDS[name]
        return sum(official_size(task, split, language) or 0 for language in task.languages)

    assert total("mewslix", "dev") == 2_991 and total("mewslix", "test") == 14_624
    assert total("tydiqa", "test") == 921 + 113 + 440 + 782 + 565 + 276 + 812 + 499 + 669
    assert total("tatoeba", "test") == 28 * 1_000 + 205 + 234 + 307 + 390 + 548 + 575 + 687 + 746
    assert total("panx", "dev") == 25 * 10_000 + 12 * 1_000 + 3 * 100
    assert total("mlqa", "dev") == 517 + 512 + 1_148 + 500 + 507 + 511 + 504
    assert total("bucc2018", "test") == 9_580 + 9_086 + 14_435 + 1_899
    no_dev = [
        code for code in RECORDS["udpos"].languages if not _has(RECORDS["udpos"], "dev", code)
    ]
    assert no_dev == ["kk", "th", "tl", "yo"]


def _has(task: Record, split: str, language: str) -> bool:
    return official_size(task, split, language) is not None


def test_where_rows_come_from() -> None:
    assert RECORDS["xnli"].train_from == ("mnli",)
    assert RECORDS["xquad"].train_from == RECORDS["mlqa"].train_from == ("squad1",)
    assert RECORDS["xquad"].select_from == RECORDS["mlqa"].select_from == "squad1"
    assert RECORDS["xcopa"].train_from == ("siqa", "copa")
    assert RECORDS["tydiqa"].select_share == 0.1
    select_on_squad = {"squad1", "squad2", "xquad", "mlqa", "lareqa"}
    assert {
        r.name for r in RECORDS.values() if r.exclude_contexts_of == ("xquad",)
    } == select_on_squad
    assert {r.name for r in RECORDS.values() if not r.trained} == {"bucc2018", "tatoeba"}


def test_benchmarks_languages() -> None:
    """XTREME-R's where they differ: those that its evaluate.py scores (and the paper's LAReQA)."""
    for benchmark, tasks in TASKS.items():
        for name, languages in tasks.items():
            assert set(record(name, benchmark).languages) == set(languages), (benchmark, name)
    polish = record("udpos", "xtreme-r")
    assert official_size(polish, "dev", "pl") is None and is_published(polish, "dev", "pl")
    assert not is_published(polish, "dev", "kk") and not is_published(RECORDS["udpos"], "dev", "pl")
    assert official_size(record("xquad", "xtreme-r"), "test", "ro") == 1_190


def test_xtreme_r_tunes_tatoebas_encoder_on_squad() -> None:
    assert record("tatoeba", "xtreme-r").train_from == ("squad1",)
    assert record("tatoeba").train_from == ()


def test_unknown_name_gives_the_nearest() -> None:
    with pytest.raises(UserError, match="'xnly' is not a task of the catalogue; nearest: xnli"):
        record("xnly")


def test_listing_shows_what_is_prepared(tmp_path: Path) -> None:
    write_json(tmp_path / "target/xnli/counts.json", {"dev-sw": {"read": 9, "rows": 7}})
    write_json(tmp_path / "intermediate/a/mnli/counts.json", {"train-en": {"rows": 10}})
    write_json(tmp_path / "intermediate/b/mnli/counts.json", {"train-en": {"rows": 90}})
    rows = {row["name"]: row for row in listing(tmp_path)}
    assert set(rows) == set(RECORDS)
    assert rows["xnli"]["sizes"] == {"dev-sw": 7}
    assert rows["mnli"]["sizes"] == {"train-en": 90}
    assert rows["mnli"]["group"] == "NLI" and rows["pawsx"]["licence"]


SOURCES = Path(__file__).parents[1] / "src"


def test_labels_and_tags_stand_in_one_place() -> None:
    """As a run of words, whatever stands between them."""
    texts = [path.read_text(encoding="utf-8") for path in SOURCES.rglob("*.py")]
    runs = [f" {' '.join(re.findall('[A-Za-z]+', text))} " for text in texts]
    for words in (NLI, RECORDS["udpos"].labels, sorted(TASKS["xtreme"]["xnli"])):
        assert sum(f" {' '.join(words)} " in run for run in runs) == 1, words


def test_sizes_are_of_the_benchmarks_languages() -> None:
    """A size's key is a language of the task, or English, which trains."""
    for name, languages in (TASKS["xtreme-r"] | TASKS["xtreme"]).items():
        keys = {key.partition("-")[2] for key in RECORDS[name].sizes} - {"", "all"}
        assert keys <= set(languages) | {"en"}, name


def test_a_benchmarks_task_is_named_in_the_catalogue_alone() -> None:
    """But for readers, named after a format, and words that are a task's name and another thing's:
    MLQA's normaliser, Mewsli-X's scorer, the treebanks' release."""
    package = SOURCES / "xstilts"
    rooms = [package / "tasks/catalogue", package / "sources/readers"]
    others = [p for p in package.rglob("*.py") if not any(p.is_relative_to(r) for r in rooms)]
    text = "".join(path.read_text(encoding="utf-8") for path in others)
    named = {task for task in TASKS["xtreme"] | TASKS["xtreme-r"] if f'"{task}"' in text}
    assert named == {"mlqa", "mewslix", "udpos"}
