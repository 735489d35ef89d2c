"""A user who has XTREME's download/ points to it and goes: no setting but source.path.

Tiny files of every language, as scripts/download_data.sh and utils_preprocess.py (838c13b) leave
them: csv dialect, stripped test labels, blanked answers, renamed BUCC and TyDi QA, sorted Tatoeba.
XTREME-R's are there too: the languages that it adds, (X)COPA whose test labels are all 0, Social
IQa, LAReQA as released, Mewsli-X cut by language.
"""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.sources.ranked import ARTICLE, ENTITIES, ENTITY, PAIR, XQUAD_R, changed, line
from xstilts.errors import UserError
from xstilts.formats.tables import GOLD, POOL, Split, read_record, read_table, tables_in
from xstilts.params import SourceSettings
from xstilts.sources import files
from xstilts.sources.prepare import prepare_intermediate, prepare_target
from xstilts.sources.readers.squad import TYDIQA_NAMES
from xstilts.tasks.catalogue import RECORDS, is_published, official_size, record

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
    _choices(root)
    _ranking(root)
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
        own = record(task, "xtreme-r")
        for language in own.languages:
            for split in ("train", "dev", "test"):
                if split != "train" and not is_published(own, split, language):
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
    for code in record("tatoeba", "xtreme-r").languages:
        _write(root / f"tatoeba/{code}-en.{code}", "x\ny\nz\n")
        _write(root / f"tatoeba/{code}-en.en", "a\nb\nc\n")


def _choices(root: Path) -> None:
    """XCOPA's files and COPA's under one pattern of names."""
    for code in ("en", *record("xcopa").languages):
        for split in ("train", "val", "test") if code == "en" else ("val", "test"):
            item = {"premise": split, "choice1": "a", "choice2": code, "question": "cause"}
            labels = [0, 0] if split == "test" else [0, 1]
            rows = [line(item | {"idx": n, "label": label}) for n, label in enumerate(labels)]
            _write(root / f"xcopa/{split}-{code}.jsonl", "".join(rows))
    item = {"question": "?", "answerA": "a", "answerB": "b", "answerC": "c", "correct": "B"}
    for split in ("trn", "dev"):
        _write(root / f"siqa/socialIQa_v1.4_{split}.jsonl", line(item | {"context": split}))


def _ranking(root: Path) -> None:
    """Mewsli-X's mentions are shards, and those of test have lost their entities."""
    for code in record("lareqa").languages:
        _write(root / f"lareqa/xquad-r/{code}.json", line(XQUAD_R))
    _write(root / f"mewslix/{ENTITIES}", line(ENTITY))
    for split in ("train", "dev"):
        pair = changed(PAIR, "contextual_mention.mention.example_id", split)
        _write(root / f"mewslix/wikipedia_pairs-{split}.jsonl", line(pair))
    for code in record("mewslix").languages:
        for split in ("dev", "test"):
            found = _article(split, code)
            shard = found if split == "dev" else changed(found, "mentions.0.entity_id", "")
            _write(root / f"mewslix/wikinews_mentions/{split}-{code}.jsonl", line(shard))


def _article(split: str, code: str) -> Any:
    found = changed(ARTICLE, "mentions.0.example_id", f"{split}-{code}")
    return changed(found, "context.language", code)


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
        # What SQuAD's dev rows select is scored as SQuAD is: XQuAD's training is MLQA's.
        assert read_record(step).name == ("squad1" if task in ("xquad", "mlqa") else task)
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


@pytest.mark.parametrize("task", ["udpos", "panx", "tatoeba"])
def test_languages_that_xtreme_r_adds_are_read(task: str, download: Path, tmp_path: Path) -> None:
    settings = SourceSettings(name="files", path=str(download))
    prepare_target(task, settings, tmp_path / task, "xtreme-r")
    tested = {language for split, language in tables_in(tmp_path / task) if split == "test"}
    assert tested == set(record(task, "xtreme-r").languages) > set(record(task).languages)


def test_romanian_xquad_must_be_added(download: Path, tmp_path: Path) -> None:
    """evaluate.py scores it as XTREME-R's; the script does not fetch it."""
    settings = SourceSettings(name="files", path=str(download))
    with pytest.raises(UserError, match=r"no file for xquad test ro; expected one of xquad/"):
        prepare_target("xquad", settings, tmp_path / "xquad", "xtreme-r")


@pytest.mark.parametrize("task", ["xcopa", "copa"])
def test_copa_is_read_in_every_language(task: str, download: Path, tmp_path: Path) -> None:
    """Dev is labelled, test has zeros for labels: predicted, never scored."""
    settings = SourceSettings(name="files", path=str(download))
    prepare_target(task, settings, tmp_path / task)
    own = record(task).languages
    tables = list(tables_in(tmp_path / task))
    assert set(tables) == {(split, code) for split in ("dev", "test") for code in own}
    for split, language in tables:
        labels = [row["label"] for row in read_table(tmp_path / task, split, language).rows]
        assert labels == ([0, 1] if split == "dev" else [None, None])
    steps = sorted((tmp_path / task / "train").iterdir())
    expected = {"xcopa": ["1-siqa", "2-copa"], "copa": ["1-copa"]}[task]
    assert [step.name for step in steps] == expected
    for step, name in zip(steps, ["siqa", "copa"][-len(steps) :], strict=True):
        for split, siqa, copa in (("train", "trn", "train"), ("select", "dev", "val")):
            rows = read_table(step, split, "en").rows
            assert {row["context"] for row in rows} == {siqa if name == "siqa" else copa}


def test_lareqa_is_read_with_its_labels(download: Path, tmp_path: Path) -> None:
    """The script takes XQuAD's answers away, not XQuAD-R's; training is SQuAD's."""
    settings = SourceSettings(name="files", path=str(download))
    prepare_target("lareqa", settings, tmp_path / "lareqa")
    tables = set(tables_in(tmp_path / "lareqa"))
    assert tables == {("test", code) for code in record("lareqa").languages}
    for split, language in tables:
        assert all(row["gold"] for row in read_table(tmp_path / "lareqa", split, language).rows)
    step = tmp_path / "lareqa/train/1-squad1"
    sizes = [len(read_table(step, split, "en").rows) for split in ("train", "select")]
    assert sizes == [20, 9]


def test_mewslix_is_read_in_shards_and_whole(download: Path, tmp_path: Path) -> None:
    """XTREME's shards: dev is labelled, test predicted. get-mewsli-x.sh's files: both labelled."""
    settings, own = SourceSettings(name="files", path=str(tmp_path)), record("mewslix")
    folder = shutil.copytree(download / "mewslix", tmp_path / "mewslix")

    def gold(split: Split, language: str) -> list[Any]:
        found = files.read(own, split, language, settings)
        assert found is not None
        return [row["gold"] for row in found.rows]

    assert gold("train", "en") == gold("select", "en") == [["Q1"]]
    for language in own.languages:
        assert (gold("dev", language), gold("test", language)) == ([["Q1"]], [None])
    assert gold("dev", POOL) == gold("test", POOL) == [["Q1"]]
    splits: tuple[Split, ...] = ("dev", "test")
    for split in splits:
        whole = [line(_article(split, code)) for code in own.languages]
        _write(folder / f"wikinews_mentions-{split}.jsonl", "".join(whole))
        for language in (*own.languages, POOL):
            assert gold(split, language) == [["Q1"]]
    shutil.rmtree(folder / "wikinews_mentions")
    (folder / "wikinews_mentions-test.jsonl").unlink()
    with pytest.raises(UserError, match=r"one of mewslix/wikinews_mentions-test\.jsonl, mewslix/w"):
        files.read(own, "test", "de", settings)
