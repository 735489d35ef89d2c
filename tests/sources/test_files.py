"""The source `files`: layouts, stand-ins, what is missing; and every real file that is at hand."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.sources.right import AUTO, QQP, QUORA
from xstilts.errors import UserError
from xstilts.formats.tables import GOLD, Split
from xstilts.params import FileSpec, SourceSettings, TaskFiles
from xstilts.sources import files
from xstilts.sources.codes import ISO3
from xstilts.sources.readers import READERS, RawFile, Reader
from xstilts.tasks.catalogue import ENTRIES, record


def _settings(folder: Path, **tasks: TaskFiles) -> SourceSettings:
    return SourceSettings(name="files", path=str(folder), tasks=tasks)


def _write(folder: Path, name: str, text: str) -> None:
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(text, encoding="utf-8")


def _squad(*contexts: str, impossible: bool = False) -> str:
    """One question a context: its first word."""
    paragraphs = [
        {
            "context": context,
            "qas": [
                {
                    "id": f"{context}-{number}",
                    "question": "?",
                    "is_impossible": impossible and number == 0,
                    "answers": []
                    if impossible and number == 0
                    else [{"text": context.split()[0], "answer_start": 0}],
                }
            ],
        }
        for number, context in enumerate(contexts)
    ]
    return json.dumps({"data": [{"title": "T", "paragraphs": paragraphs}]})


class TestLayouts:
    def test_every_split_of_the_catalogue_has_a_place(self) -> None:
        for name, entry in ENTRIES.items():
            assert set(entry.files) == set(entry.record.splits), name
            for slots in entry.files.values():
                assert all(spec.reader in READERS for slot in slots for spec in slot)

    def test_originals_come_before_stripped_copies(self, tmp_path: Path) -> None:
        _write(tmp_path, "pawsx/test-de.tsv", "a\tb\n")
        found = files.read(record("pawsx"), "test", "de", _settings(tmp_path))
        assert found is not None and found.rows[0]["label"] is None
        header = "id\tsentence1\tsentence2\tlabel\n"
        _write(tmp_path, "pawsx/x-final/de/test_2k.tsv", f"{header}1\ta\tb\t1\n")
        found = files.read(record("pawsx"), "test", "de", _settings(tmp_path))
        assert found is not None and found.rows[0]["label"] == "1"
        assert found.counts == {"read": 1, "official": 2_000}

    def test_treebanks_are_joined_in_sorted_order(self, tmp_path: Path) -> None:
        for bank, word in (("UD_English-B", "b"), ("UD_English-A", "a")):
            line = "\t".join(["1", word, "_", "NOUN", "_", "_", "0", "_", "_", "_"])
            name = f"udpos/ud-treebanks-v2.5/{bank}/en_{word}-ud-test.conllu"
            _write(tmp_path, name, line + "\n\n")
        found = files.read(record("udpos"), "test", "en", _settings(tmp_path))
        assert found is not None
        assert [row["tokens"] for row in found.rows] == [["a"], ["b"]]
        assert found.counts["read"] == 2

    def test_ccgbanks_own_sections_are_split(self, tmp_path: Path) -> None:
        for section in ("00", "09", "18", "19", "21", "22", "24"):
            name = f"ccgbank_1_1/data/AUTO/{section}/wsj_{section}01.auto"
            _write(tmp_path, name, AUTO.replace("0001", f"{section}01"))
        ids = {}
        for split in ("train", "dev"):
            found = files.read(record("ccg"), split, "en", _settings(tmp_path))
            assert found is not None
            ids[split] = [row["id"][4:6] for row in found.rows]
        assert ids == {"train": ["00", "09", "18"], "dev": ["19", "21"]}
        for path in (tmp_path / "ccgbank_1_1/data/AUTO").glob("19/*"):
            path.unlink()
        with pytest.raises(
            UserError, match=r"no file for ccg dev en; expected one of ccg/ccg\.dev"
        ):
            files.read(record("ccg"), "dev", "en", _settings(tmp_path))

    def test_quoras_file_is_split_by_question_where_glues_are_not_there(
        self, tmp_path: Path
    ) -> None:
        lines = [f"{n}\t1\t2\tquestion {n // 2}\tother {n}\t{n % 2}" for n in range(200)]
        _write(
            tmp_path, "qqp/quora_duplicate_questions.tsv", "\n".join([QUORA[:-1], *lines]) + "\n"
        )
        sides = []
        for split in ("train", "dev"):
            found = files.read(record("qqp"), split, "en", _settings(tmp_path))
            assert found is not None and found.counts["dropped: the other side of the split"]
            sides.append(found.rows)
        assert [len(side) for side in sides] == [180, 20]
        assert not {row["text_a"] for row in sides[0]} & {row["text_a"] for row in sides[1]}
        _write(tmp_path, "QQP/dev.tsv", QQP + "1\t2\t3\ta\tb\t1\n")
        found = files.read(record("qqp"), "dev", "en", _settings(tmp_path))
        assert found is not None and len(found.rows) == 1

    def test_both_official_forms_of_nli_give_equal_rows(self, shared: Path) -> None:
        folder = shared / "data/mnli/multinli_1.0"
        for name in ("train", "dev_matched", "dev_mismatched"):
            files_of = [folder / f"multinli_1.0_{name}.{end}" for end in ("jsonl", "txt")]
            found = [
                READERS[reader](RawFile(path, record("mnli"), "dev", "en")).rows
                for reader, path in zip(("snli", "snli-txt"), files_of, strict=True)
            ]
            rows = [{row["id"]: row for row in side} for side in found]
            both = rows[0].keys() & rows[1].keys()  # excerpts of unequal lengths
            assert len(both) >= 3, name
            assert all(rows[0][pair] == rows[1][pair] for pair in both)

    def test_anli_plus_has_five_parts(self, shared: Path) -> None:
        spec = {"reader": "anli", "path": "anli/anli_v0.1/R1/dev.jsonl", "part": "anli_r1"}
        other = {"reader": "snli", "path": "snli/jsonl-excerpt/snli_dev.jsonl", "part": "snli"}
        tasks = TaskFiles(dev=[FileSpec(**spec), FileSpec(**other)])
        found = files.read(
            record("anli_plus"), "dev", "en", _settings(shared / "data", anli_plus=tasks)
        )
        assert found is not None and {row["part"] for row in found.rows} == {"anli_r1", "snli"}
        slots = ENTRIES["anli_plus"].files["train"]
        assert tuple(slot[0].part for slot in slots) == record("anli_plus").parts


class TestStandIns:
    def test_rows_of_another_file_are_labels(self, tmp_path: Path) -> None:
        _write(tmp_path, "sw.tsv", "a\tb\nc\td\n")
        _write(tmp_path, "de.tsv", "x\ty\tneutral\nx\tz\tentailment\n")
        spec = FileSpec(reader="xtreme-pairs", path="{language}.tsv", labels="de.tsv")
        settings = _settings(
            tmp_path, xnli=TaskFiles(test=[spec], note="labels of the German rows")
        )
        found = files.read(record("xnli"), "test", "sw", settings)
        assert found is not None and found.note == "labels of the German rows"
        assert [row["label"] for row in found.rows] == ["neutral", "entailment"]
        _write(tmp_path, "de.tsv", "x\ty\tneutral\n")
        with pytest.raises(UserError, match=r"de\.tsv: 1 rows; expected 2, those of sw\.tsv"):
            files.read(record("xnli"), "test", "sw", settings)

    def test_labels_of_another_file_serve_dev_too(self, tmp_path: Path) -> None:
        _write(tmp_path, "sw.tsv", "a\tb\n")
        _write(tmp_path, "de.tsv", "x\ty\tneutral\n")
        spec = FileSpec(reader="xtreme-pairs", path="{language}.tsv", labels="de.tsv")
        settings = _settings(tmp_path, xnli=TaskFiles(dev=[spec]))
        found = files.read(record("xnli"), "dev", "sw", settings)
        assert found is not None and [row["label"] for row in found.rows] == ["neutral"]

    def test_answerable_questions_without_contexts_of_another(self, tmp_path: Path) -> None:
        _write(tmp_path, "two.json", _squad("a b", "c d", "e f", impossible=True))
        _write(tmp_path, "other.json", _squad("c  d"))
        spec = FileSpec(
            reader="squad", path="two.json", keep="answerable", exclude_contexts_in="other.json"
        )
        found = files.read(
            record("squad1"), "train", "en", _settings(tmp_path, squad1=TaskFiles(train=[spec]))
        )
        assert found is not None and [row["context"] for row in found.rows] == ["e f"]
        dropped = {"dropped: no answer": 1, "dropped: context of other.json": 1}
        assert found.counts == {"read": 3, "official": 87_599} | dropped

    def test_unanswerable_questions_are_refused_elsewhere(self, tmp_path: Path) -> None:
        _write(tmp_path, "squad/train-v1.1.json", _squad("a b", "c d", impossible=True))
        with pytest.raises(UserError, match="'a b-0' has no answer; expected one of each"):
            files.read(record("squad1"), "train", "en", _settings(tmp_path))

    def test_shares_are_disjoint_and_whole(self, tmp_path: Path) -> None:
        _write(tmp_path, "a.json", _squad(*[f"w{i // 2} x" for i in range(60)]))
        sides = []
        for share in ("train", "select"):
            spec = FileSpec(reader="squad", path="a.json", share=share, group="paragraph")
            tasks = _settings(tmp_path, squad1=TaskFiles(train=[spec]))
            found = files.read(record("squad1"), "train", "en", tasks)
            assert found is not None
            sides.append(found.rows)
        contexts = [{row["context"] for row in rows} for rows in sides]
        assert not contexts[0] & contexts[1] and len(sides[0]) + len(sides[1]) == 60
        assert len(sides[1]) == 6

    def test_splits_that_are_not_there(self, tmp_path: Path) -> None:
        spec = FileSpec(reader="bio", path="{language}", languages=["de"])
        settings = _settings(tmp_path, panx=TaskFiles(dev=[spec], test=[]))
        assert files.read(record("panx"), "test", "de", settings) is None
        assert files.read(record("panx"), "dev", "fr", settings) is None
        assert files.read(record("xnli"), "train", "en", settings) is None
        assert files.read(record("udpos"), "dev", "th", settings) is None

    def test_train_is_english(self, tmp_path: Path) -> None:
        _write(tmp_path, "udpos/train-de.tsv", "a\tNOUN\n")
        assert files.read(record("udpos"), "train", "de", _settings(tmp_path)) is None

    def test_a_path_of_every_language_is_asked_for_the_tasks_own(self, tmp_path: Path) -> None:
        """XCOPA has no English: what selects then is COPA's dev, not a file that does not exist."""
        spec = FileSpec(reader="copa", path="val-{language}.jsonl")
        settings = _settings(tmp_path, xcopa=TaskFiles(dev=[spec]))
        assert files.read(record("xcopa"), "dev", "en", settings) is None
        with pytest.raises(UserError, match=r"val-et\.jsonl: no such file for xcopa in et"):
            files.read(record("xcopa"), "dev", "et", settings)
        named = _settings(
            tmp_path, xcopa=TaskFiles(dev=[spec.model_copy(update={"languages": ["en"]})])
        )
        with pytest.raises(UserError, match=r"val-en\.jsonl: no such file for xcopa in en"):
            files.read(record("xcopa"), "dev", "en", named)

    def test_the_file_with_the_unanswerable_question_is_named(self, tmp_path: Path) -> None:
        _write(tmp_path, "a.json", _squad("a b"))
        _write(tmp_path, "b.json", _squad("c d", "e f", impossible=True))
        spec = FileSpec(reader="squad", path="*.json")
        settings = _settings(tmp_path, squad1=TaskFiles(train=[spec]))
        with pytest.raises(UserError, match=r"b\.json: question 'c d-0' has no answer"):
            files.read(record("squad1"), "train", "en", settings)


class TestErrors:
    def test_missing_file_names_the_places(self, tmp_path: Path) -> None:
        message = r"no file for panx dev sw; expected one of panx/sw/dev, panx/dev-sw\.tsv;"
        with pytest.raises(UserError, match=message):
            files.read(record("panx"), "dev", "sw", _settings(tmp_path))

    @pytest.mark.parametrize(
        ("spec", "message"),
        [
            ({"reader": "bio", "path": "x.tsv"}, r"x\.tsv: no such file for panx in de"),
            ({"reader": "bio", "path": "{language}/x"}, r"/de/x: no such file for panx in de"),
            ({"reader": "bio", "path": "{language.x}"}, r"has an unknown field; expected"),
            ({"reader": "bios", "path": "a.tsv"}, "reader 'bios' is not one; nearest: bio"),
            (
                {"reader": "bio", "path": "{lang}.tsv"},
                r"has an unknown field; expected \{language\}",
            ),
        ],
    )
    def test_wrong_stand_in(self, spec: dict[str, str], message: str, tmp_path: Path) -> None:
        _write(tmp_path, "a.tsv", "a\tO\n")
        settings = _settings(tmp_path, panx=TaskFiles(dev=[FileSpec(**spec)]))
        with pytest.raises(UserError, match=message):
            files.read(record("panx"), "dev", "de", settings)

    def test_wrong_names_in_params(self, tmp_path: Path) -> None:
        with pytest.raises(UserError, match=r"source\.tasks\.xnly is not a task; nearest: xnli"):
            files.languages(record("xnli"), _settings(tmp_path, xnly=TaskFiles()))
        settings = _settings(tmp_path, xnli=TaskFiles(languages=["ja"]))
        with pytest.raises(UserError, match=r"source\.tasks\.xnli\.languages: 'ja' is not one"):
            files.languages(record("xnli"), settings)

    def test_ids_of_two_files(self, tmp_path: Path) -> None:
        _write(tmp_path, "a.json", _squad("a b"))
        _write(tmp_path, "en.json", _squad("a b", "c d"))
        both = [FileSpec(reader="squad", path=path) for path in ("a.json", "{language}.json")]
        problem = "id 'a b-0' is in two files, the other is"
        for dev in (both, [FileSpec(reader="squad", path="a.json + en.json")]):
            settings = _settings(tmp_path, squad1=TaskFiles(dev=dev))
            with pytest.raises(UserError) as caught:
                files.read(record("squad1"), "dev", "en", settings)
            assert str(caught.value).startswith(f"{tmp_path}/en.json: {problem} {tmp_path}/a.json;")


# Reader and task of the real files, by the start of their path; the first that fits.
REAL = {
    r"xquad/": ("squad", "xquad"),
    r"squad/train-v2": None,  # a fixture that holds one id twice
    r"squad/(dev|official).*v2": ("squad", "squad2"),
    r"squad/": ("squad", "squad1"),
    r"udpos/": ("conllu", "udpos"),
    r"panx/rahimi": ("rahimi", "panx"),
    r"panx/": ("bio", "panx"),
    r"pawsx/x-final": ("x-final", "pawsx"),
    r"pawsx/": ("xtreme-pairs", "pawsx"),
    r"xnli/XNLI-1.0/.*\.jsonl": ("snli", "xnli"),
    r"xnli/XNLI-1.0/": ("xnli", "xnli"),
    r"xnli/": ("xtreme-pairs", "xnli"),
    r"mlqa/": ("squad", "mlqa"),
    r"tydiqa/official-excerpt": ("squad", "xquad"),  # of several languages
    r"tydiqa/": ("tydiqa", "tydiqa"),
    r"tatoeba/xtreme-layout/.*\.en": None,  # read with the other side
    r"tatoeba/xtreme-layout/": ("tatoeba-sorted", "tatoeba"),
    r"tatoeba/.*\.eng": None,
    r"tatoeba/": ("laser", "tatoeba"),
    r"bucc2018/.*\.zh$": ("bucc", "bucc2018"),
    r"snli/cad": ("three-columns", "mnli"),
    r"(snli|mnli)/chaos": ("chaosnli", "mnli"),
    r"(snli|mnli)/.*\.jsonl": ("snli", "mnli"),
    r"(snli|mnli)/.*\.txt": ("snli-txt", "mnli"),
    r"mnli/glue": ("glue-mnli", "mnli"),
    r"anli/": ("anli", "anli_plus"),
    r"hellaswag/text6": ("hellaswag-text", "hellaswag"),
    r"hellaswag/": ("hellaswag", "hellaswag"),
    r"cosmosqa/.*\.csv": ("cosmosqa", "cosmosqa"),
    r"cosmosqa/": ("cosmosqa-test", "cosmosqa"),
    r"commonsenseqa/": ("commonsenseqa", "commonsenseqa"),
    r"siqa/.*\.jsonl": ("siqa", "siqa"),
    r"x?copa/": ("copa", "xcopa"),
    r"lareqa/": ("xquad-r", "lareqa"),
    r"text/": ("text", "text"),
}


def _listed(shared: Path) -> list[tuple[str, str, str, int]]:
    """(path, split, language, records) of the table of files, where it has a count."""
    found = []
    for line in (shared / "data/SOURCES-files.md").read_text(encoding="utf-8").splitlines():
        cells = line.split(" | ")
        kept = re.match(r"\d+", cells[6]) if line.startswith("| `") and len(cells) > 7 else None
        if kept:
            found.append((line.split("`")[1], cells[1], cells[2].strip(), int(kept[0])))
    return found


def real_files(shared: Path) -> Iterator[tuple[str, Reader, RawFile]]:
    """(path, reader, file) of every file at hand that a reader is for."""
    for path, split, language, _ in _listed(shared):
        known = next((REAL[start] for start in REAL if re.match(start, path)), None)
        if known is not None:
            reader, task = known
            test = "test" in split or "tst" in path or ("tydiqa" in path and "dev" in path)
            name: Split = "test" if test else "dev"  # TyDi QA's dev set is XTREME's test set
            raw = RawFile(shared / "data" / path, record(task), name, _language(path, language))
            yield path, READERS[reader], raw


def test_real_files_have_the_counts_of_their_list(shared: Path) -> None:
    """Every file at hand is read whole, with as many records as were counted on fetching it."""
    listed = {path: kept for path, _, _, kept in _listed(shared)}
    read: set[Reader] = set()
    wrong: list[str] = []
    for path, reader, raw in real_files(shared):
        found = reader(raw)
        read.add(reader)
        if "/UD_English" in path:
            for name in ("relations", "chunks"):
                of = replace(raw, record=record(f"ud_{name}"))
                layer = READERS[f"conllu-{name}"](of)
                read.add(READERS[f"conllu-{name}"])
                assert [row["tokens"] for row in layer.rows] == [
                    row["tokens"] for row in found.rows
                ]
        task, kept = raw.record.name, listed[path]
        gold = GOLD.get(raw.record.family)
        if gold and task not in ("bucc2018", "tatoeba"):
            hidden = [row[gold] is None for row in found.rows]
            assert all(hidden) or not any(hidden), path
        if found.counts["read"] != kept:
            wrong.append(f"{path}: {found.counts['read']} read, {kept} listed")
    assert not wrong
    unread = {name for name, reader in READERS.items() if reader not in read}
    made = {"ccg", "ccg-auto", "quora", "glue-qqp", "multinli-en", "text", "mewslix"}
    assert unread == made | {"mewslix-pairs"}


def _language(path: str, listed: str) -> str:
    """Of one file: as listed, where that is a code; Tatoeba lists its own codes, BUCC pairs."""
    codes = {iso3: code for code, iso3 in ISO3.items()}
    if path.startswith("xnli/XNLI-1.0"):
        return "ar"  # both rows of these excerpts
    code = codes.get(listed, listed.removesuffix("-en"))
    return code if re.fullmatch(r"[a-z]{2}", code) else "en"


def test_text_of_every_language_is_read(shared: Path) -> None:
    listed = (shared / "data/SOURCES-files.md").read_text(encoding="utf-8")
    counts = dict(re.findall(r"^\| `text/(\w+)\.txt` \| (\d+) \|", listed, flags=re.M))
    assert set(counts) == set(record("text").languages)
    for language, lines in counts.items():
        found = files.read(record("text"), "train", language, _settings(shared / "data"))
        assert found is not None and found.counts["read"] == int(lines), language


def test_stripped_files_are_recognised(shared: Path) -> None:
    data = shared / "data"
    stripped = {
        ("xtreme-pairs", "xnli", "sw"): "xnli/test-sw.tsv",
        ("xtreme-pairs", "pawsx", "ko"): "pawsx/test-ko.tsv",
        ("bio", "panx", "yo"): "panx/test-yo.tsv",
        ("tydiqa", "tydiqa", "te"): "tydiqa/tydiqa-goldp-v1.1-dev/tydiqa.goldp.te.dev.json",
        ("squad", "mlqa", "de"): "mlqa/MLQA_V1/test/test-context-de-question-es.json",
        ("copa", "copa", "en"): "copa/test-en.jsonl",
        ("tatoeba-sorted", "tatoeba", "sw"): "tatoeba/xtreme-layout/sw-en.sw",
    }
    for (reader, task, language), path in stripped.items():
        rows = READERS[reader](RawFile(data / path, record(task), "test", language)).rows
        gold = GOLD[record(task).family]
        assert all(row[gold] is None for row in rows), path


def test_tatoeba_layouts_agree(shared: Path) -> None:
    """LASER's pairs give XTREME's English side line by line: the permutation is the right one."""
    folder = shared / "data/tatoeba"
    for language, iso3 in (("de", "deu"), ("sw", "swh"), ("ta", "tam")):
        raw = RawFile(folder / f"tatoeba.{iso3}-eng.{iso3}", record("tatoeba"), "test", language)
        lines = (folder / f"xtreme-layout/{language}-en.en").read_text("utf-8").split("\n")
        english = [row["text"] for row in READERS["laser"](raw).rows if row["side"] == "english"]
        assert english == [line for line in lines if line]
