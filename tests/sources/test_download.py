"""A user who has XTREME's download/ points to it and goes: no setting but source.path.

Tiny files of every language, as scripts/download_data.sh and utils_preprocess.py (838c13b) leave
them: csv dialect, stripped test labels, blanked answers, renamed BUCC and TyDi QA, sorted Tatoeba.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import pytest

from xstilts.catalogue import RECORDS, official_size, record
from xstilts.params import SourceSettings
from xstilts.sources.prepare import prepare_intermediate, prepare_target
from xstilts.sources.readers.squad import TYDIQA_NAMES
from xstilts.tables import GOLD, read_record, read_table, tables_in

XTREME = tuple(["xnli", "pawsx", "udpos", "panx", "xquad", "mlqa", "tydiqa", "bucc2018", "tatoeba"])
NLI = ("entailment", "neutral", "contradiction")
QUOTED = 'a "quoted" word'


@pytest.fixture(scope="module")
def download(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("xtreme") / "download"
    _pairs(root)
    _tagged(root)
    _questions(root)
    _retrieval(root)
    return root


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def _csv(path: Path, rows: Iterable[Sequence[str]]) -> None:
    """As its scripts write pairs: Python's csv writer, TAB, CR LF."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, delimiter="\t").writerows(rows)


def _pairs(root: Path) -> None:
    for task, labels in (("xnli", NLI), ("pawsx", ("0", "1"))):
        for language in record(task).languages:
            for split in ("dev", "test"):
                rows = [(f"{QUOTED} {split} {n}", f"{language} {n}") for n in range(4)]
                labelled = [(*row, labels[n % len(labels)]) for n, row in enumerate(rows)]
                _csv(root / task / f"{split}-{language}.tsv", rows if split == "test" else labelled)
        train = [(f"{QUOTED} {n}", f"train {n}", labels[n % len(labels)]) for n in range(30)]
        _csv(root / task / "train-en.tsv", train)


def _tagged(root: Path) -> None:
    for task, tags in (("udpos", ("NOUN", "VERB")), ("panx", ("B-PER", "I-PER"))):
        for language in record(task).languages:
            for split in ("train", "dev", "test"):
                if task == "udpos" and not official_size(record(task), split, language) and (
                    split != "train"
                ):  # fmt: skip
                    continue
                words = [(f"{split}{n}", tag) for n in range(3) for tag in tags]
                lines = [word if split == "test" else f"{word}\t{tag}" for word, tag in words]
                text = "\n\n".join("\n".join(lines[n : n + 2]) for n in range(0, 6, 2)) + "\n"
                _write(root / task / f"{split}-{language}.tsv", text)


def _question(name: str, context: str, blank: bool) -> dict[str, Any]:
    """A document of its own, as remove_qa_test_annotations leaves each question."""
    answer = {"answer_start": 0, "text": "" if blank else context.split()[0]}
    qas = [{"answers": [answer], "question": "who?", "id": name}]
    return {"paragraphs": [{"context": context, "qas": qas}]}


def _json(path: Path, documents: Sequence[dict[str, Any]]) -> None:
    _write(path, json.dumps({"data": list(documents), "version": "1.1"}))


def _questions(root: Path) -> None:
    for split, contexts in (("train", range(20)), ("dev", range(20, 30))):
        found = [_question(f"{split}-{n}", f"word{n} x", False) for n in contexts]
        _json(root / f"squad/{split}-v1.1.json", [{"title": "T", **one} for one in found])
    for language in record("xquad").languages:  # XQuAD's paragraphs are SQuAD dev's
        _json(root / f"xquad/xquad.{language}.json", [_question("q", "word20 x", True)])
    for language in record("mlqa").languages:
        for split in ("dev", "test"):
            name = f"mlqa/MLQA_V1/{split}/{split}-context-{language}-question-{language}.json"
            _json(root / name, [_question("q", "word99 x", split == "test")])
    train = []
    for name, code in TYDIQA_NAMES.items():
        place = root / f"tydiqa/tydiqa-goldp-v1.1-dev/tydiqa.goldp.{code}.dev.json"
        _json(place, [_question(f"{name}--1-0", "word x", True)])
        cut = [_question(str(n % 3), f"{code}{n} x", False) for n in range(20)]
        _json(root / f"tydiqa/tydiqa-goldp-v1.1-train/tydiqa.goldp.{code}.train.json", cut)
        whole = [_question(f"{name}-{n}-0", f"{code}{n} x", False) for n in range(20)]
        train += [{"title": f"{name} {n // 2}", **one} for n, one in enumerate(whole)]
    _json(root / "tydiqa/tydiqa-goldp-v1.1-train/tydiqa-goldp-v1.1-train.json", train)


def _retrieval(root: Path) -> None:
    for code in record("bucc2018").languages:
        for split in ("dev", "test"):
            for side in (code, "en"):
                lines = [f"{side}-{n:09}\tsentence {n}" for n in range(3)]
                _write(root / f"bucc2018/{code}-en.{split}.{side}", "\n".join(lines) + "\n")
        _write(root / f"bucc2018/{code}-en.dev.gold", f"{code}-000000001\ten-000000002\n")
    for code in record("tatoeba").languages:
        _write(root / f"tatoeba/{code}-en.{code}", "x\ny\nz\n")
        _write(root / f"tatoeba/{code}-en.en", "a\nb\nc\n")


@pytest.mark.parametrize("task", XTREME)
def test_every_language_of_every_task_is_read(task: str, download: Path, tmp_path: Path) -> None:
    """Dev is labelled, test is predicted and never scored, English trains."""
    prepare_target(task, SourceSettings(name="files", path=str(download)), tmp_path / task)
    tables = list(tables_in(tmp_path / task))
    own = RECORDS[task]
    reported = [split for split in ("dev", "test") if split in own.splits]
    expected = {
        (s, code) for s in reported for code in own.languages if official_size(own, s, code)
    }
    assert set(tables) == expected
    for split, language in tables:
        rows = read_table(tmp_path / task, split, language).rows
        labelled = [row[GOLD[own.family]] is not None for row in rows]
        foreign = [row.get("side") != "english" for row in rows]
        assert labelled == ([split == "dev"] * len(rows) if all(foreign) else
                            [split == "dev" and side for side in foreign])  # fmt: skip
    steps = sorted((tmp_path / task / "train").glob("*")) if own.trained else []
    assert len(steps) == own.trained
    for step in steps:
        assert read_record(step).name == task
        for split in ("train", "select"):
            rows = read_table(step, split, "en").rows
            assert rows and all(row[GOLD[own.family]] is not None for row in rows)


def test_what_the_script_writes_is_read_as_it_was(download: Path, tmp_path: Path) -> None:
    settings = SourceSettings(name="files", path=str(download))
    prepare_target("xnli", settings, tmp_path / "xnli")
    rows = read_table(tmp_path / "xnli", "test", "sw").rows
    assert rows[0]["text_a"] == f"{QUOTED} test 0"  # the quotes are undoubled
    prepare_target("xquad", settings, tmp_path / "xquad")
    select = read_table(tmp_path / "xquad/train/1-squad1", "select", "en").rows
    assert len(select) == 9 and "word20 x" not in {row["context"] for row in select}


def test_tydiqa_selects_on_whole_articles_of_the_uncut_file(download: Path, tmp_path: Path) -> None:
    """The cut files have lost titles and ids, and jiant's held all nine languages."""
    prepare_target("tydiqa", SourceSettings(name="files", path=str(download)), tmp_path / "t")
    sides = [read_table(tmp_path / "t/train/1-tydiqa", s, "en").rows for s in ("train", "select")]
    assert [len(rows) for rows in sides] == [18, 2]
    assert all(row["id"].startswith("english-") for rows in sides for row in rows)
    assert not {row["group"] for row in sides[0]} & {row["group"] for row in sides[1]}


def test_intermediates_that_xtreme_brings(download: Path, tmp_path: Path) -> None:
    settings = SourceSettings(name="files", path=str(download))
    prepare_intermediate({"squad1": None}, settings, tmp_path / "squad1")
    assert len(read_table(tmp_path / "squad1/squad1", "train", "en").rows) == 20
