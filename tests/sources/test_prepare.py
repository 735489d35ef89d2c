"""What the data stages write: layout, limits, splits, and the rule on shared rows."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import xstilts_world as world
from tests.models import tiny_encoder
from tests.sources.ranked import XQUAD_R
from xstilts.errors import UserError
from xstilts.formats.tables import Row, folder_digest, read_json, read_record, read_table
from xstilts.params import (
    FileSpec,
    MemberSettings,
    PhaseSettings,
    SourceSettings,
    TaskFiles,
    TrainingSettings,
)
from xstilts.phases.members import inputs_of, members_of
from xstilts.running import experiments
from xstilts.sources import splits
from xstilts.sources.prepare import (
    prepare_intermediate,
    prepare_target,
    prepare_text,
    split_groups,
)
from xstilts.tasks.catalogue import record
from xstilts.tasks.families import classification, span
from xstilts.training import encoder as encoders
from xstilts.training.context import Context

ROOT = Path(__file__).parents[2]


def _tree(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def _write(folder: Path, name: str, text: str) -> None:
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(text, encoding="utf-8")


def _pairs(labels: str, start: int = 0) -> str:
    """One NLI pair for each letter of `labels`."""
    names = {"c": "contradiction", "e": "entailment", "n": "neutral"}
    return "".join(
        f"premise {start + i}\thypothesis\t{names[letter]}\n" for i, letter in enumerate(labels)
    )


def _squad(*contexts: str) -> str:
    paragraphs: list[dict[str, Any]] = [
        {
            "context": context,
            "qas": [
                {"id": context, "question": "?", "answers": [{"text": "w", "answer_start": 0}]}
            ],
        }
        for context in contexts
    ]
    articles = [{"title": p["context"][:3], "paragraphs": [p]} for p in paragraphs]
    return json.dumps({"data": articles})


@pytest.fixture
def settings(tmp_path: Path) -> SourceSettings:
    """A folder with a few hand-made files in XTREME's layout."""
    folder = tmp_path / "download"
    _write(folder, "xnli/train-en.tsv", _pairs("cennne" * 10))
    _write(
        folder,
        "MNLI/dev_matched.tsv",
        "pairID\tsentence1\tsentence2\tgold_label\n1\ta\tb\tneutral\n",
    )
    for language in ("en", "sw"):
        _write(folder, f"xnli/dev-{language}.tsv", _pairs("cen", 100))
        _write(folder, f"xnli/test-{language}.tsv", "a\tb\nc\td\n")
    _write(folder, "squad/train-v1.1.json", _squad("w01", "w02"))
    _write(folder, "squad/dev-v1.1.json", _squad("w11", "w12", "w13"))
    _write(folder, "xquad/xquad.en.json", _squad("w12"))
    _write(folder, "tydiqa/tydiqa-goldp-v1.1-train.json", _tydiqa(40))
    _write(folder, "tydiqa/tydiqa-goldp-v1.1-dev.json", _tydiqa(2))
    _write(folder, "text/en.txt", "one\ntwo\n")
    _write(folder, "text/sw.txt", "moja\n")
    only = TaskFiles(languages=["en", "sw"])
    tasks = {"xnli": only, "text": only, "xquad": TaskFiles(languages=["en"])}
    tasks |= {"tydiqa": TaskFiles(languages=["en"]), "panx": TaskFiles(languages=["en"])}
    return SourceSettings(name="files", path=str(folder), tasks=tasks)


def _tydiqa(questions: int) -> str:
    qas = [
        {
            "title": f"T{i // 4}",
            "paragraphs": [
                {
                    "context": f"w {i}",
                    "qas": [
                        {
                            "id": f"english-{i}-0",
                            "question": "?",
                            "answers": [{"text": "w", "answer_start": 0}],
                        }
                    ],
                }
            ],
        }
        for i in range(questions)
    ]
    return json.dumps({"data": qas})


def _with_lareqa(settings: SourceSettings) -> SourceSettings:
    """With LAReQA's English file: one passage, one question."""
    _write(Path(settings.path), "lareqa/xquad-r/en.json", json.dumps(XQUAD_R))
    tasks = {**settings.tasks, "lareqa": TaskFiles(languages=["en"])}
    return settings.model_copy(update={"tasks": tasks})


class TestLayout:
    def test_text(self, settings: SourceSettings, tmp_path: Path) -> None:
        prepare_text(settings, tmp_path / "text")
        tables = ["train-en.parquet", "train-sw.parquet"]
        assert _tree(tmp_path / "text") == ["counts.json", "notes.json", "record.json", *tables]
        assert read_json(tmp_path / "text/counts.json")["train-en"] == {"read": 2, "rows": 2}

    def test_a_member_without_text_is_an_error(
        self, settings: SourceSettings, tmp_path: Path
    ) -> None:
        none = settings.model_copy(update={"tasks": {"text": TaskFiles(languages=[])}})
        prepare_text(none, tmp_path / "text")  # a public encoder needs none
        with pytest.raises(UserError, match=r"source\.tasks\.text"):
            prepare_intermediate({"text": None}, none, tmp_path / "row")
        assert not (tmp_path / "row").exists()

    def test_baseline_has_no_members(self, settings: SourceSettings, tmp_path: Path) -> None:
        prepare_intermediate({}, settings, tmp_path / "none")
        assert _tree(tmp_path / "none") == ["members.json"]
        assert read_json(tmp_path / "none/members.json") == []

    def test_mixture(self, settings: SourceSettings, tmp_path: Path) -> None:
        prepare_intermediate({"mnli": 10, "text": 1, "squad1": None}, settings, tmp_path / "row")
        assert read_json(tmp_path / "row/members.json") == ["mnli", "text", "squad1"]
        member = [
            "counts.json",
            "notes.json",
            "record.json",
            "select-en.parquet",
            "train-en.parquet",
        ]
        assert _tree(tmp_path / "row/mnli") == member
        assert _tree(tmp_path / "row/text")[-2:] == ["train-en.parquet", "train-sw.parquet"]
        assert len(read_table(tmp_path / "row/mnli", "train", "en").rows) == 10
        assert read_json(tmp_path / "row/mnli/counts.json")["train-en"] == {
            "read": 60,
            "rows": 10,
            "official": 392_702,
            "dropped: over the limit": 50,
        }

    def test_target_trains_on_what_its_record_says(
        self, settings: SourceSettings, tmp_path: Path
    ) -> None:
        prepare_target("xnli", settings, tmp_path / "xnli")
        step = tmp_path / "xnli/train/1-mnli"
        assert read_record(step) == read_record(tmp_path / "xnli") == record("xnli")
        train, select = (read_table(step, split, "en").rows for split in ("train", "select"))  # type: ignore[arg-type]
        assert len(train) == 60
        assert select == read_table(tmp_path / "xnli", "dev", "en").rows
        test = read_table(tmp_path / "xnli", "test", "sw")
        assert [row["label"] for row in test.rows] == [None, None]
        assert not classification.labelled(test.rows)

    def test_limits_choose_the_same_rows_in_each_language(
        self, settings: SourceSettings, tmp_path: Path
    ) -> None:
        limits = {"train": 12, "dev": 2, "test": 1}
        cut = settings.tasks["xnli"].model_copy(update={"limits": limits})
        few = TaskFiles(limits={"train": 12})
        changed = {"tasks": settings.tasks | {"xnli": cut, "mnli": few}}
        prepare_target("xnli", settings.model_copy(update=changed), tmp_path / "xnli")
        for split, kept in (("dev", 2), ("test", 1)):
            rows = [read_table(tmp_path / "xnli", split, code).rows for code in ("en", "sw")]  # type: ignore[arg-type]
            texts = [[(row["text_a"], row["text_b"]) for row in side] for side in rows]
            assert texts[0] == texts[1] and len(texts[0]) == kept
        counts = read_json(tmp_path / "xnli/counts.json")["test-sw"]
        assert (counts["read"], counts["dropped: over the limit"], counts["rows"]) == (2, 1, 1)
        assert counts["official"] == 5_010  # of the file, not of what is left
        step = tmp_path / "xnli/train/1-mnli"
        assert len(read_table(step, "train", "en").rows) == 12
        assert (
            read_table(step, "select", "en").rows == read_table(tmp_path / "xnli", "dev", "en").rows
        )

    def test_what_is_searched_in_has_no_limit(self, tmp_path: Path) -> None:
        for side in ("deu", "eng"):
            _write(tmp_path, f"tatoeba/tatoeba.deu-eng.{side}", "a\nb\nc\n")
        files = TaskFiles(languages=["de"], limits={"test": 2})
        source = SourceSettings(name="files", path=str(tmp_path), tasks={"tatoeba": files})
        with pytest.raises(UserError, match=r"source.tasks.tatoeba.limits: what is searched for"):
            prepare_target("tatoeba", source, tmp_path / "out")

    def test_member_folders_hold_english_alone(
        self, settings: SourceSettings, tmp_path: Path
    ) -> None:
        prepare_target("xnli", settings, tmp_path / "xnli")
        names = [name for name in _tree(tmp_path / "xnli/train") if name.endswith(".parquet")]
        assert names == ["1-mnli/select-en.parquet", "1-mnli/train-en.parquet"]

    def test_equal_inputs_give_equal_bytes(self, settings: SourceSettings, tmp_path: Path) -> None:
        for name in ("a", "b"):
            prepare_target("xnli", settings, tmp_path / name)
        assert folder_digest(tmp_path / "a") == folder_digest(tmp_path / "b")

    def test_own_train_rows_come_first(self, settings: SourceSettings, tmp_path: Path) -> None:
        spec = FileSpec(reader="xtreme-pairs", path="xnli/train-en.tsv")
        own = settings.tasks["xnli"].model_copy(update={"train": [spec], "note": "ours"})
        changed = settings.model_copy(update={"tasks": settings.tasks | {"xnli": own}})
        prepare_target("xnli", changed, tmp_path / "xnli")
        assert [path.name for path in (tmp_path / "xnli/train").iterdir()] == ["1-xnli"]
        assert read_json(tmp_path / "xnli/train/1-xnli/notes.json") == ["ours"]


class TestSelecting:
    def test_contexts_of_xquad_are_left_out_and_counted(
        self, settings: SourceSettings, tmp_path: Path
    ) -> None:
        prepare_target("xquad", settings, tmp_path / "xquad")
        prepare_intermediate({"squad1": None}, settings, tmp_path / "row")
        for folder in (tmp_path / "xquad/train/1-squad1", tmp_path / "row/squad1"):
            rows = read_table(folder, "select", "en").rows
            assert [row["context"] for row in rows] == ["w11", "w13"]
            assert read_json(folder / "counts.json")["select-en"]["dropped: context of xquad"] == 1

    def test_languages_that_xtreme_r_adds_to_xquad_stop_no_other_task(
        self, settings: SourceSettings, tmp_path: Path
    ) -> None:
        """Its paragraphs are left out of what selects: of its languages English alone matters."""
        xquad = {"xquad": TaskFiles(languages=["en", "ro"])}
        added = settings.model_copy(update={"tasks": {**settings.tasks, **xquad}})
        _write(Path(settings.path), "xquad/xquad.ro.json", _squad("w12"))
        prepare_target("xquad", added, tmp_path / "xquad", "xtreme-r")
        prepare_target("lareqa", _with_lareqa(added), tmp_path / "lareqa", "xtreme-r")
        prepare_intermediate({"squad1": None}, added, tmp_path / "row")
        steps = ("xquad/train/1-squad1", "lareqa/train/1-squad1", "row/squad1")
        for step in steps:
            counts = read_json(tmp_path / step / "counts.json")["select-en"]
            assert counts["dropped: context of xquad"] == 1, step
        with pytest.raises(UserError, match=r"xquad\.languages: 'ro' is not one"):
            prepare_target("xquad", added, tmp_path / "x", "xtreme")

    def test_tydiqa_selects_on_a_tenth_of_its_articles(
        self, settings: SourceSettings, tmp_path: Path
    ) -> None:
        prepare_target("tydiqa", settings, tmp_path / "tydiqa")
        step = tmp_path / "tydiqa/train/1-tydiqa"
        train, select = (read_table(step, split, "en").rows for split in ("train", "select"))  # type: ignore[arg-type]
        assert (len(train), len(select)) == (36, 4)
        assert not {row["group"] for row in train} & {row["group"] for row in select}

    def test_xcopa_trains_on_siqa_then_copa(self, tmp_path: Path) -> None:
        siqa = {"context": "x", "question": "y", "correct": "C"} | {f"answer{x}": x for x in "ABC"}
        copa = {"premise": "p", "choice1": "a", "choice2": "b", "question": "cause", "label": 1}
        for name in ("trn", "dev"):
            line = json.dumps(siqa | {"context": name})
            _write(tmp_path, f"f/siqa/socialIQa_v1.4_{name}.jsonl", line + "\n")
        for index, name in enumerate(("copa/train", "copa/val", "xcopa/val-et", "xcopa/test-et")):
            line = json.dumps(copa | {"premise": name, "idx": index})
            _write(tmp_path, f"f/{name}.jsonl", line + "\n")
        tasks = {"xcopa": TaskFiles(languages=["et"])}
        found = SourceSettings(name="files", path=str(tmp_path / "f"), tasks=tasks)
        prepare_target("xcopa", found, tmp_path / "xcopa")
        steps = sorted(path.name for path in (tmp_path / "xcopa/train").iterdir())
        assert steps == ["1-siqa", "2-copa"]
        records = [read_record(tmp_path / "xcopa/train" / step).name for step in steps]
        assert records == ["siqa", "copa"]

    def test_ccg_labels_come_from_the_tables(self, tmp_path: Path) -> None:
        _write(tmp_path, "f/ccg/ccg.train", "I run\tNP S\\NP\n")
        _write(tmp_path, "f/ccg/ccg.dev", "we\tN\n")
        found = SourceSettings(name="files", path=str(tmp_path / "f"))
        prepare_intermediate({"ccg": None}, found, tmp_path / "row")
        assert read_record(tmp_path / "row/ccg").labels == ("N", "NP", "S\\NP")
        counts = read_json(tmp_path / "row/ccg/counts.json")
        assert counts["train-en"]["labels unseen in train"] == 1


class TestErrors:
    def test_complete_source_names_all_differences(
        self, settings: SourceSettings, tmp_path: Path
    ) -> None:
        complete = settings.model_copy(update={"complete": True})
        with pytest.raises(UserError) as caught:
            prepare_target("xnli", complete, tmp_path / "xnli")
        message = str(caught.value)
        assert "xnli dev-sw 3 (official 2490)" in message
        assert "mnli train-en 60 (official 392702)" in message and "\n" not in message
        assert not (tmp_path / "xnli").exists()

    def test_stripped_rows_cannot_select(self, settings: SourceSettings, tmp_path: Path) -> None:
        _write(Path(settings.path), "xnli/dev-en.tsv", "a\tb\n")
        with pytest.raises(UserError, match=r"xnli/dev-en\.tsv: none of its 1 rows has a label"):
            prepare_target("xnli", settings, tmp_path / "xnli")

    def test_roles(self, settings: SourceSettings, tmp_path: Path) -> None:
        with pytest.raises(UserError, match="'mnli' is not a target"):
            prepare_target("mnli", settings, tmp_path / "x")
        with pytest.raises(UserError, match="'xnli' is a target; expected a task of the role"):
            prepare_intermediate({"xnli": None}, settings, tmp_path / "x")
        with pytest.raises(UserError, match="'mnly' is not a task of the catalogue; nearest: mnli"):
            prepare_intermediate({"mnly": None}, settings, tmp_path / "x")


class TestLimits:
    @given(st.lists(st.sampled_from("cen"), min_size=3, max_size=60), st.integers(0, 9))
    def test_nested_and_stratified(self, labels: list[str], seed: int) -> None:
        rows: list[Row] = [{"id": str(i), "label": label} for i, label in enumerate(labels)]
        before: set[str] = set()
        total = Counter(labels)
        for limit in range(1, len(rows) + 1):
            chosen = splits.limited(rows, limit, seed, "classification")
            ids = {row["id"] for row in chosen}
            assert len(chosen) == limit and before <= ids
            found = Counter(row["label"] for row in chosen)
            assert all(abs(found[x] - limit * total[x] / len(rows)) < 1.5 for x in total)
            before = ids

    def test_order_and_seed(self) -> None:
        rows: list[Row] = [{"id": str(i)} for i in range(50)]
        chosen = splits.limited(rows, 20, 1, "span")
        assert [int(row["id"]) for row in chosen] == sorted(int(row["id"]) for row in chosen)
        assert chosen != splits.limited(rows, 20, 2, "span")
        assert splits.limited(rows, None, 1, "span") == splits.limited(rows, 99, 1, "span") == rows


class TestGroups:
    @given(st.lists(st.integers(0, 12), min_size=2, max_size=80), st.integers(0, 9))
    def test_whole_groups_and_all_rows(self, groups: list[int], seed: int) -> None:
        rows: list[Row] = [{"id": str(i), "group": f"g{g}"} for i, g in enumerate(groups)]
        left, taken = split_groups(rows, 0.1, seed)
        assert not {row["group"] for row in left} & {row["group"] for row in taken}
        assert sorted(row["id"] for row in left + taken) == sorted(row["id"] for row in rows)
        assert left and (taken or len(set(groups)) == 1)

    def test_split_does_not_depend_on_the_order(self) -> None:
        rows: list[Row] = [{"id": str(i), "context": f"c{i // 2}"} for i in range(40)]
        taken = [
            {row["id"] for row in split_groups(order, 0.1, 1)[1]} for order in (rows, rows[::-1])
        ]
        assert taken[0] == taken[1] and len(taken[0]) == 4


@pytest.fixture(scope="module")
def small(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Everything that experiments/files-small.yaml prepares, of the real files."""
    found = experiments.resolve(ROOT / "experiments/files-small.yaml")
    source = found.source.model_copy(update={"path": str(shared / "data")})
    out = tmp_path_factory.mktemp("small")
    for row, section in found.intermediates.items():
        prepare_intermediate(section.members, source, out / "intermediate" / row)
    for task in found.targets:
        prepare_target(task, source, out / "target" / task)
    return out


def _members(out: Path) -> Iterator[tuple[str, list[Row]]]:
    for path in sorted(out.rglob("*-en.parquet")):
        if path.name.startswith(("train-", "select-")):
            split = path.name.partition("-")[0]
            yield str(path.relative_to(out)), read_table(path.parent, split, "en").rows  # type: ignore[arg-type]


class TestRealFiles:
    def test_no_training_row_is_or_shares_a_text_with_a_test_row(self, small: Path) -> None:
        """Of rows that we chose: PAN-X's official splits repeat some, which stay, counted."""
        reported: dict[str, str] = {}
        for path in sorted(small.glob("target/*/*.parquet")):
            task, (split, _, language) = path.parent.name, path.stem.partition("-")
            tested = any(path.parent.glob("test-*"))  # else its dev is what is reported
            if split != ("test" if tested else "dev"):
                continue
            if task in ("panx", "tatoeba"):  # tatoeba: everyday sentences that NLI pairs hold too
                continue
            for row in read_table(path.parent, split, language).rows:  # type: ignore[arg-type]
                reported |= {text: f"{task} {language}" for text in splits.texts_of(row)}
        assert len(reported) > 20_000
        for name, rows in _members(small):
            shared = {text for row in rows for text in splits.texts_of(row) if text in reported}
            if "udpos" in name:  # ParTUT and EWT: treebanks of one language, official as they are
                continue
            assert not shared, f"{name}: {sorted(shared)[:3]} is in {reported[min(shared)]}"

    def test_translations_of_test_rows_are_not_trained(self, small: Path) -> None:
        """PAWS-X's row i is the same pair in every language; XQuAD's ids are SQuAD dev's."""
        step = small / "target/pawsx/train/1-pawsx"
        places = {row["id"] for s in ("train", "select") for row in read_table(step, s, "en").rows}  # type: ignore[arg-type]
        numbers = {int(name.rpartition(":")[2]) for name in places}
        for language in record("pawsx").languages:
            rows = read_table(small / "target/pawsx", "test", language).rows
            assert not numbers & {int(row["id"].rpartition(":")[2]) for row in rows}
        xquad = {row["id"] for row in read_table(small / "target/xquad", "test", "en").rows}
        for name, rows in _members(small):
            assert not xquad & {row.get("id") for row in rows}, name

    def test_tydiqa_selects_the_same_rows_everywhere(self, small: Path) -> None:
        steps = [f"target/{t}/train/1-squad1" for t in ("xquad", "mlqa")]
        contexts = [
            {row["context"] for row in read_table(small / step, "select", "en").rows}
            for step in (*steps, "target/tydiqa/train/1-tydiqa")
        ]
        assert contexts[0] == contexts[1] == contexts[2] and len(contexts[0]) > 50
        for _, rows in _members(small):
            trained = {row["context"] for row in rows if "answers" in row}
            assert trained <= contexts[0] or not trained & contexts[0]

    def test_xquad_and_mlqa_train_on_the_same_rows(self, small: Path) -> None:
        tables = [
            [
                read_table(small / f"target/{task}/train/1-squad1", s, "en").digest
                for s in ("train", "select")
            ]  # type: ignore[arg-type]
            for task in ("xquad", "mlqa")
        ]
        assert tables[0] == tables[1]

    def test_korean_and_swahili_are_scored_and_train_nothing(self, small: Path) -> None:
        folder = small / "target/tydiqa"
        assert [path.name for path in sorted(folder.glob("test-*"))] == [
            "test-ko.parquet",
            "test-sw.parquet",
        ]
        assert all(span.labelled(read_table(folder, "test", code).rows) for code in ("ko", "sw"))

    def test_xquad_is_cut_to_the_same_questions_in_each_language(self, small: Path) -> None:
        tables = [read_table(small / "target/xquad", "test", code).rows for code in ("en", "zh")]
        assert [row["id"] for row in tables[0]] == [row["id"] for row in tables[1]]
        assert len(tables[0]) == 300

    def test_stand_ins_are_noted(self, small: Path) -> None:
        assert "stand in" in read_json(small / "target/xnli/train/1-mnli/notes.json")[0]
        assert "stand in" in read_json(small / "intermediate/hellaswag/hellaswag/notes.json")[0]

    def test_known_counts(self, small: Path) -> None:
        squad = read_json(small / "target/xquad/train/1-squad1/counts.json")["train-en"]
        assert squad["dropped: context of xquad.en.json"] == 24
        assert squad["dropped: no answer"] == 333
        two = read_json(small / "intermediate/squad2/squad2/counts.json")["train-en"]
        assert two["dropped: context of xquad.en.json"] == 59
        assert (
            read_json(small / "target/panx/train/1-panx/counts.json")["train-en"]["rows"] == 7_888
        )
        assert read_json(small / "target/bucc2018/counts.json")["dev-zh"]["read"] == 8_624


def _labels(folder: Path, split: str = "train") -> dict[str, str]:
    return {row["id"]: row["label"] for row in read_table(folder / "mnli", split, "en").rows}  # type: ignore[arg-type]


def test_shuffled_labels_are_as_many_of_each_of_the_same_rows(
    settings: SourceSettings, tmp_path: Path
) -> None:
    """A control: what trains has nothing to learn, what selects is as it was."""
    prepare_intermediate({"mnli": 30}, settings, tmp_path / "own")
    for name in ("shuffled", "again"):
        member = MemberSettings(limit=30, labels="shuffled")
        prepare_intermediate({"mnli": member}, settings, tmp_path / name)
    own, found = (_labels(tmp_path / name) for name in ("own", "shuffled"))
    assert found.keys() == own.keys() and found != own
    assert Counter(found.values()) == Counter(own.values())
    assert _labels(tmp_path / "own", "select") == _labels(tmp_path / "shuffled", "select")
    assert folder_digest(tmp_path / "again") == folder_digest(tmp_path / "shuffled")
    assert read_json(tmp_path / "shuffled/mnli/notes.json") == [
        "mnli: labels of the train rows are shuffled: a control"
    ]
    with pytest.raises(UserError, match=r"squad1: labels: shuffled; a span task's gold belongs"):
        member = MemberSettings(labels="shuffled")
        prepare_intermediate({"squad1": member}, settings, tmp_path / "spans")


def test_a_part_of_a_task_trains_alone(settings: SourceSettings, tmp_path: Path) -> None:
    folder = Path(settings.path)
    _write(folder, "fiction.tsv", _pairs("cen" * 10, 200))
    _write(folder, "travel.tsv", _pairs("cen" * 5, 300))
    files = [
        FileSpec(reader="xtreme-pairs", path=f"{name}.tsv", part=name)
        for name in ("fiction", "travel")
    ]
    tasks = {**settings.tasks, "mnli": TaskFiles(train=files)}
    settings = settings.model_copy(update={"tasks": tasks})
    member = MemberSettings(limit=12, part="travel")
    prepare_intermediate({"mnli": member}, settings, tmp_path / "travel")
    rows = read_table(tmp_path / "travel/mnli", "train", "en").rows
    assert len(rows) == 12 and {row["part"] for row in rows} == {None}
    assert {row["id"].partition(":")[0] for row in rows} == {"travel"}
    counts = read_json(tmp_path / "travel/mnli/counts.json")["train-en"]
    assert counts["dropped: another part"] == 30 and counts["dropped: over the limit"] == 3
    with pytest.raises(
        UserError,
        match="part: 'travels' is none of its rows'; nearest: travel; they are of fiction, travel;",
    ):
        prepare_intermediate({"mnli": MemberSettings(part="travels")}, settings, tmp_path / "x")
    assert read_record(tmp_path / "travel/mnli").parts == ()
    text = MemberSettings(part="travel")
    with pytest.raises(UserError, match="text has none of them"):
        prepare_intermediate({"text": text}, settings, tmp_path / "text")


@pytest.fixture
def little_world(monkeypatch: pytest.MonkeyPatch) -> None:
    """The world with 60 rows to a table."""
    sizes = {
        name: (make, *(min(60, n) for n in rows)) for name, (make, *rows) in world.TASKS.items()
    }
    monkeypatch.setattr(world, "TASKS", sizes)


def test_translations_of_english_rows_train_an_intermediate_and_never_select(
    little_world: None, tmp_path: Path
) -> None:
    """The world's are exact: the same rows, with the same labels, said in another language."""
    tasks = {name: TaskFiles(translated=["qcy"]) for name in ("mnli", "squad1", "hellaswag")}
    source = SourceSettings(seed=1, tasks=tasks)
    take = MemberSettings(limit=40, language="qcy")
    for name, language in (("en", "en"), ("qcy", "qcy")):
        member = take.model_copy(update={"language": language})
        prepare_intermediate(dict.fromkeys(tasks, member), source, tmp_path / name)
    for task in tasks:
        english, other = tmp_path / "en" / task, tmp_path / "qcy" / task
        assert {path.stem for path in other.glob("*.parquet")} == {"train-qcy", "select-en"}
        ours, theirs = read_table(english, "train", "en"), read_table(other, "train", "qcy")
        assert [row["id"] for row in ours.rows] == [row["id"] for row in theirs.rows]
        label = "answerable" if task == "squad1" else "label"
        assert [row[label] for row in ours.rows] == [row[label] for row in theirs.rows]
        said = "context" if task == "squad1" else "text_a" if task == "mnli" else "context"
        assert not {row[said] for row in ours.rows} & {row[said] for row in theirs.rows}
        assert read_table(other, "select", "en").rows == read_table(english, "select", "en").rows
        notes = read_json(other / "notes.json")
        assert notes == [f"{task}: train rows are translations into qcy"]
    tokenizer = encoders.load_tokenizer(tiny_encoder("xlm-r", tmp_path / "encoder"))
    context = Context(TrainingSettings(), tokenizer, tmp_path / "work", tmp_path / "features")
    section = PhaseSettings(learning_rate=1e-3, epochs=1, max_length=64)
    (member,), counts, _ = members_of(tmp_path / "qcy/mnli", section, context)
    assert set(inputs_of([member])) == {"mnli train-qcy", "mnli select-en"}
    assert counts["train-qcy"]["rows"] == 40 and "mnli train-qcy" in counts


def test_a_language_is_translated_only_where_params_say_so(
    settings: SourceSettings, tmp_path: Path
) -> None:
    german = MemberSettings(language="de")
    with pytest.raises(UserError, match=r"mnli: language: de; expected it in source.tasks.mnli"):
        prepare_intermediate({"mnli": german}, settings, tmp_path / "none")
    with pytest.raises(UserError, match=r"translated: the world has no 'qcx' of it; nearest: qcy"):
        qcx = SourceSettings(tasks={"mnli": TaskFiles(translated=["qcx"])})
        prepare_intermediate({"mnli": MemberSettings(language="qcx")}, qcx, tmp_path / "none")
    folder = Path(settings.path)
    _write(folder, "en.tsv", _pairs("cencen"))
    _write(folder, "de.tsv", _pairs("cencen", 50))
    _write(folder, "short.tsv", _pairs("cence"))
    _write(folder, "other.tsv", _pairs("cencec"))

    def of(german_file: str, **rest: Any) -> SourceSettings:
        files = [FileSpec(reader="xtreme-pairs", path="en.tsv", languages=["en"])]
        if german_file:
            spec = FileSpec(reader="xtreme-pairs", path=german_file, languages=["de"])
            files.append(spec)
        given = TaskFiles(train=files, translated=["de"], **rest)
        return settings.model_copy(update={"tasks": {**settings.tasks, "mnli": given}})

    prepare_intermediate({"mnli": german}, of("de.tsv"), tmp_path / "de")
    rows = read_table(tmp_path / "de/mnli", "train", "de").rows
    assert [row["text_a"] for row in rows] == [f"premise {50 + i}" for i in range(6)]
    for file, message in (
        ("short.tsv", "5 rows, and 6 in English"),
        ("other.tsv", "row 6 is contradiction, and neutral in English"),
        ("", "expected it in source.tasks.mnli.translated, and its files"),
    ):
        with pytest.raises(UserError, match=message):
            prepare_intermediate({"mnli": german}, of(file), tmp_path / "broken")
    # A reported row's text is known in English: its translation does not train either.
    _write(folder, "xnli/dev-en.tsv", _pairs("c", 2))
    prepare_intermediate({"mnli": german}, of("de.tsv"), tmp_path / "again")


def test_a_target_may_be_one_domain_in_every_split_and_language(
    little_world: None, tmp_path: Path
) -> None:
    tasks = {"xnli": TaskFiles(part="motion", limits={"train": 5})}
    prepare_target("xnli", SourceSettings(seed=1, tasks=tasks), tmp_path / "motion")
    counts = read_json(tmp_path / "motion/counts.json")
    kept = {(name.partition("-")[0], count["rows"]) for name, count in counts.items()}
    assert len(kept) == 2 and len(counts) == 12  # dev and test: as many in each of six languages
    for count in counts.values():
        assert count["rows"] + count["dropped: another part"] == count["read"]
    step = tmp_path / "motion/train/1-xnli"
    assert len(read_table(step, "train", "en").rows) == 5
    prepare_target("xnli", SourceSettings(seed=1), tmp_path / "whole")
    chosen = {row["id"] for row in read_table(step, "select", "en").rows}
    assert 0 < len(chosen) < len(read_table(tmp_path / "whole/train/1-xnli", "select", "en").rows)
    tasks = {"xnli": TaskFiles(part="motions")}
    with pytest.raises(UserError, match=r"source.tasks.xnli: part: 'motions' .*nearest: motion;"):
        prepare_target("xnli", SourceSettings(seed=1, tasks=tasks), tmp_path / "none")


def test_a_targets_own_limit_counts_where_another_tasks_rows_train_it(
    settings: SourceSettings, tmp_path: Path
) -> None:
    """XNLI trains on MNLI's rows: the intermediate may have more of them."""
    few = settings.tasks["xnli"].model_copy(update={"limits": {"train": 12}})
    settings = settings.model_copy(update={"tasks": {**settings.tasks, "xnli": few}})
    prepare_target("xnli", settings, tmp_path / "xnli")
    prepare_intermediate({"mnli": 30}, settings, tmp_path / "mnli")
    (trained,) = (tmp_path / "xnli/train").iterdir()
    rows = [read_table(folder, "train", "en").rows for folder in (trained, tmp_path / "mnli/mnli")]
    assert [len(of) for of in rows] == [12, 30]
    assert {row["id"] for row in rows[0]} <= {row["id"] for row in rows[1]}
