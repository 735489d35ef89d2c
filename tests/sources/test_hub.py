"""The source `hub`: every record from repositories with the Hub's columns, and what is refused."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import huggingface_hub.constants
import pytest
from datasets import ClassLabel, Value

from tests.graphs import environment
from tests.sources import hub_tables
from tests.sources.hub_tables import NLI_COLUMNS, TEXT, commit_of, nli, repositories, write
from xstilts import params
from xstilts.errors import UserError
from xstilts.formats.tables import GOLD, Record, Row, Split, read_json, read_table
from xstilts.looking import fetching
from xstilts.params import SourceSettings, TaskFiles
from xstilts.running import experiments
from xstilts.sources import files, hub, snapshots
from xstilts.sources.prepare import (
    prepare_intermediate,
    prepare_target,
    prepare_text,
    tasks_of,
)
from xstilts.tasks.catalogue import ENTRIES, RECORDS, record

ROOT = Path(__file__).parents[2]
# Where the small repositories have not all of a task's languages.
FEW = {name: ["en", "de"] for name in ("xnli", "pawsx", "panx", "xquad", "mlqa")}
FEW |= {"udpos": ["af", "de", "en", "th"], "tydiqa": ["en", "fi"], "tatoeba": ["de"]}
FEW |= {"xcopa": ["et"]}
REPOSITORIES = {name: entry.repositories for name, entry in ENTRIES.items() if entry.repositories}
REFUSED = [name for name, entry in ENTRIES.items() if entry.refused]
SERVED = [name for name in RECORDS if name not in (*REFUSED, "text")]


@pytest.fixture(scope="module")
def mirror(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("mirror"), repositories())


def _settings(mirror: Path | None, locks: Path, **more: Any) -> SourceSettings:
    locks.mkdir(exist_ok=True)
    tasks = {name: TaskFiles(languages=codes) for name, codes in FEW.items()}
    tasks |= more.pop("tasks", {})
    given: dict[str, Any] = {"complete": False, **more}
    return SourceSettings(
        name="hub", path=str(locks), mirror=mirror and str(mirror), tasks=tasks, **given
    )


@pytest.fixture
def settings(mirror: Path, tmp_path: Path) -> SourceSettings:
    return _settings(mirror, tmp_path / "locks")


def _read(task: str, split: Split, language: str, settings: SourceSettings) -> list[Row]:
    found = hub.read(record(task), split, language, settings)
    assert found is not None, (task, split, language)
    return found.rows


def _gold(row: Row, task: Record) -> Any:
    return row[GOLD[task.family]]


# The gold of each row of train-en, dev and test in a language: by name, whatever the copy's order.
C, E, N = "contradiction", "entailment", "neutral"
ANSWER = {name: [{"text": name, "start": 4}] for name in "s1 s2 s3 x1 x2 m1 m2 m3".split()}  # noqa: SIM905
KNOWN: dict[str, tuple[list[Any] | None, list[Any] | None, list[Any] | None, str]] = {
    "anli_plus": ([E, C, E, N, C, C, *[C, E] * 3], [N, C, *[C, E] * 3], None, "en"),
    "mnli": ([E, N, C, C], [C], None, "en"),
    "qqp": (["0", "1", "0", "1"], ["0"], None, "en"),
    "squad2": ([ANSWER["s1"], []], [ANSWER["x2"], ANSWER["s3"], []], None, "en"),
    "squad1": ([ANSWER["s1"], ANSWER["s2"]], [ANSWER["s3"], ANSWER["x2"]], None, "en"),
    "hellaswag": ([3], [0], None, "en"),
    "ud_relations": ([["root", "amod"]], [["root", "amod"]], None, "en"),
    "ud_chunks": ([["B-NP", "I-NP"]], [["B-NP", "I-NP"]], None, "en"),
    "cosmosqa": ([3], [2], None, "en"),
    "commonsenseqa": ([4], [1], None, "en"),
    "siqa": ([2], [0], None, "en"),
    "copa": ([1, 1, 1], [0, 0], [None, None], "en"),
    "xnli": (None, [N], [C, E], "de"),
    "pawsx": (["1"], ["1"], ["1"], "de"),
    "udpos": (*[[["NOUN", "ADJ"], ["VERB", "ADJ"]]] * 3, "af"),
    "panx": (*[[["B-PER", "O"], ["B-ORG", "O"], ["I-LOC", "O"]]] * 3, "de"),
    "xquad": (None, None, [ANSWER["x1"], ANSWER["x2"]], "de"),
    "mlqa": (None, [ANSWER["m1"]], [ANSWER["m2"], ANSWER["m3"]], "de"),
    "tydiqa": (
        [[{"text": f"english-{i}-0", "start": 4}] for i in range(20)],
        None,
        [[{"text": f"finnish-{i}-0", "start": 4}] for i in (1, 2)],
        "fi",
    ),
    "tatoeba": (None, None, [["en-1"], ["en-0"], None, None], "de"),
    "xcopa": (None, [1, 1], [1, 1, 1], "et"),
}


@pytest.mark.parametrize("name", SERVED)
def test_every_record_is_read(name: str, settings: SourceSettings) -> None:
    task = record(name)
    *golds, language = KNOWN[name]
    for split, wanted in zip(("train", "dev", "test"), golds, strict=True):
        spoken = "en" if split == "train" else language
        found = hub.read(task, split, spoken, settings)
        if wanted is None:
            assert found is None, split
            continue
        assert found is not None
        assert [_gold(row, task) for row in found.rows] == wanted, split
        for repository in REPOSITORIES[name][0]:
            assert f"{repository.id} at {commit_of(repository.id)}" in found.note


@pytest.mark.parametrize(
    ("name", "number"),
    [(name, number) for name in REPOSITORIES for number in range(1, len(REPOSITORIES[name]))],
)
def test_other_copies_are_read(name: str, number: int, mirror: Path, tmp_path: Path) -> None:
    """Every further copy that is known, where params.yaml names it."""
    copy = REPOSITORIES[name][number][0]
    given = TaskFiles(languages=FEW.get(name), repository=copy.id)
    settings = _settings(mirror, tmp_path / "locks", tasks={name: given})
    task = record(name)
    language = "de" if "de" in task.languages else "en"
    for split in [split for split in task.splits if split in copy.splits]:
        found = hub.read(task, split, "en" if split == "train" else language, settings)
        assert found is not None and found.note.startswith(f"Hub: {copy.id} at")
        assert copy.note in found.note
        golds = [_gold(row, task) for row in found.rows]
        assert any(gold is not None for gold in golds)
        if task.labels:
            tags = golds if task.family == "tagging" else [golds]
            assert {tag for listed in tags for tag in listed} <= set(task.labels)


def test_repositories_and_refusals_are_all_records() -> None:
    assert set(REPOSITORIES) == set(SERVED)
    named = {
        (repository.id, repository.branch)
        for copies in REPOSITORIES.values()
        for copy in copies
        for repository in copy
    }
    assert named == set(repositories())


class TestRows:
    def test_snli_without_majority_is_dropped_and_counted(self, settings: SourceSettings) -> None:
        found = hub.read(record("anli_plus"), "train", "en", settings)
        assert found is not None
        assert found.counts["read"] == 3 + 4 + 3 * 2
        assert found.counts["dropped: no majority label"] == 1
        assert {row["part"] for row in found.rows} == set(record("anli_plus").parts)

    def test_hellaswag_prompt_is_jiants(self, settings: SourceSettings) -> None:
        row = _read("hellaswag", "train", "en", settings)[0]
        assert (row["context"], row["choices"][0]) == ("x", "he a")

    def test_tatoeba_is_in_xtremes_order(self, settings: SourceSettings) -> None:
        rows = _read("tatoeba", "test", "de", settings)
        assert [row["text"] for row in rows] == ["zwei", "eins", "one", "two"]

    def test_all_treebanks_of_a_language_that_have_the_split(
        self, mirror: Path, tmp_path: Path
    ) -> None:
        copy = TaskFiles(repository="universal-dependencies/universal_dependencies")
        settings = _settings(mirror, tmp_path / "locks", tasks={"udpos": copy})
        sizes = [len(_read("udpos", split, "en", settings)) for split in ("dev", "test")]
        assert sizes == [1, 2]

    def test_splits_that_are_not_there(self, settings: SourceSettings) -> None:
        for task, split, language in [
            ("udpos", "dev", "th"),
            ("udpos", "train", "de"),
            ("xnli", "train", "en"),
            ("tydiqa", "dev", "en"),
            ("xnli", "test", "sw"),
        ]:
            assert hub.read(record(task), split, language, settings) is None  # type: ignore[arg-type]

    @pytest.mark.parametrize(
        ("task", "language", "repository", "official"),
        [
            ("panx", "pl", "", None),
            ("xquad", "ro", "", 1_190),
            ("udpos", "wo", "universal-dependencies/universal_dependencies", None),
            ("tatoeba", "lt", "mteb/tatoeba-bitext-mining", None),
        ],
    )
    def test_languages_that_xtreme_r_adds(
        self,
        task: str,
        language: str,
        repository: str,
        official: int | None,
        settings: SourceSettings,
    ) -> None:
        """Most have no known size: they are read all the same, and no size is compared."""
        own = TaskFiles(
            languages=["en", "de", language][task == "tatoeba" :], repository=repository
        )
        more = settings.model_copy(update={"tasks": {**settings.tasks, task: own}})
        wide = record(task, "xtreme-r")
        assert language in hub.languages(wide, more)
        found = hub.read(wide, "test", language, more)
        assert found is not None and found.rows and found.counts.get("official") == official

    @pytest.mark.parametrize(
        ("task", "language", "other"),
        [
            ("udpos", "lt", "universal-dependencies/universal_dependencies"),
            ("tatoeba", "ro", "mteb/tatoeba-bitext-mining"),
        ],
    )
    def test_a_copy_without_the_added_languages(
        self, task: str, language: str, other: str, settings: SourceSettings
    ) -> None:
        tasks = {**settings.tasks, task: TaskFiles()}
        with pytest.raises(
            UserError, match=f"google/xtreme has no {language}.*repository: {other}"
        ):
            hub.read(
                record(task, "xtreme-r"),
                "test",
                language,
                settings.model_copy(update={"tasks": tasks}),
            )

    def test_equal_rows_as_the_files_have(self, settings: SourceSettings, tmp_path: Path) -> None:
        """The same sentences through the source `files`: what the family sees is the same."""
        lines = ["pairID\tsentence1\tsentence2\tgold_label"]
        lines += [f"{i}\tp{i}\th{i}\t{gold}" for i, gold in enumerate([E, N, C, C])]
        (tmp_path / "MNLI").mkdir()
        (tmp_path / "MNLI/train.tsv").write_text("\n".join(lines) + "\n")
        other = files.read(
            record("mnli"), "train", "en", SourceSettings(name="files", path=str(tmp_path))
        )
        assert other is not None and other.rows == _read("mnli", "train", "en", settings)


class TestStages:
    def test_every_task_is_prepared(self, settings: SourceSettings, tmp_path: Path) -> None:
        members = [n for n in SERVED if "intermediate" in RECORDS[n].roles]
        prepare_intermediate(dict.fromkeys(members), settings, tmp_path / "row")
        targets = [n for n in SERVED if "target" in RECORDS[n].roles]
        for name in targets:
            prepare_target(name, settings, tmp_path / "target" / name)
        prepare_text(settings, tmp_path / "text")
        for name in members:
            assert read_table(tmp_path / "row" / name, "train", "en").rows
            notes = read_json(tmp_path / "row" / name / "notes.json")
            assert all(commit_of(one.id) in notes[0] for one in REPOSITORIES[name][0])
        assert read_json(tmp_path / "text/counts.json") == {}

    def test_rules_on_shared_rows_hold(self, settings: SourceSettings, tmp_path: Path) -> None:
        """As of `files`: XQuAD's paragraphs never select, TyDi QA's tenth is of articles."""
        prepare_target("mlqa", settings, tmp_path / "mlqa")
        step = tmp_path / "mlqa/train/1-squad1"
        assert [row["id"] for row in read_table(step, "select", "en").rows] == ["s3"]
        assert read_json(step / "counts.json")["select-en"]["dropped: context of xquad"] == 1
        prepare_target("tydiqa", settings, tmp_path / "tydiqa")
        step = tmp_path / "tydiqa/train/1-tydiqa"
        groups = [
            {row["group"] for row in read_table(step, split, "en").rows}
            for split in ("train", "select")
        ]
        assert len(groups[1]) == 1 and not groups[0] & groups[1]


class TestRevisions:
    def test_pins_are_written_and_kept(self, mirror: Path, tmp_path: Path) -> None:
        settings = _settings(mirror, tmp_path / "locks")
        lines = hub.pin(["anli_plus", "text", "xnli"], settings)
        assert [line.split(" (")[1] for line in lines] == ["pinned now)"] * 4
        lock = tmp_path / "locks/anli_plus.lock"
        names = ("facebook/anli", "nyu-mll/glue", "stanfordnlp/snli")
        assert read_json(lock) == {name: commit_of(name) for name in names}
        before = lock.read_bytes()
        assert "pinned already" in hub.pin(["anli_plus"], settings)[0]
        assert lock.read_bytes() == before
        assert not (tmp_path / "locks/text.lock").exists()

    def test_pinned_revision_is_read_and_no_other(self, tmp_path: Path) -> None:
        one = {("facebook/xnli", "main"): {"en": (NLI_COLUMNS, {"validation": nli(0)})}}
        two = {("facebook/xnli", "main"): {"en": (NLI_COLUMNS, {"validation": nli(2)})}}
        mirror = write(write(tmp_path / "mirror", one), two, number=1)
        settings = _settings(mirror, tmp_path / "locks")
        assert [row["label"] for row in _read("xnli", "dev", "en", settings)] == [C]
        lock = tmp_path / "locks/xnli.lock"
        lock.write_text(json.dumps({"facebook/xnli": commit_of("facebook/xnli")}))
        found = hub.read(record("xnli"), "dev", "en", settings)
        assert found is not None and [row["label"] for row in found.rows] == [E]
        assert commit_of("facebook/xnli") in found.note
        lock.write_text(json.dumps({"facebook/xnli": "0" * 40}))
        message = (
            rf"revision 0{{40}}, which {lock} pins, is not in {mirror}; expected that revision"
        )
        with pytest.raises(UserError, match=message):
            hub.read(record("xnli"), "dev", "en", settings)

    def test_pinning_what_was_read_changes_no_byte(self, mirror: Path, tmp_path: Path) -> None:
        settings = _settings(mirror, tmp_path / "locks")
        before = hub.read(record("mnli"), "train", "en", settings)
        hub.pin(["mnli"], settings)
        assert hub.read(record("mnli"), "train", "en", settings) == before

    def test_command_pins_what_the_grid_reads(self, mirror: Path, tmp_path: Path) -> None:
        def run(*words: str) -> subprocess.CompletedProcess[str]:
            command = [sys.executable, "-m", "xstilts", "data", *words]
            return subprocess.run(
                command,
                cwd=tmp_path,
                env=environment(ROOT),
                capture_output=True,
                text=True,
                check=False,
            )

        source = _settings(mirror, tmp_path / "locks").model_copy(update={"path": "locks"})
        grid = params.GridSettings(targets=["mlqa"])
        given = params.Params(source=source, grid=grid, targets={"mlqa": params.PhaseSettings()})
        params.write(given, tmp_path / "params.yaml", "a test's")
        done = run("--pin")
        assert done.returncode == 0, done.stderr
        locks = sorted(path.stem for path in (tmp_path / "locks").iterdir())
        assert locks == ["mlqa", "squad1", "xquad"] and len(done.stdout.splitlines()) == 3
        assert run("target", "mlqa").returncode == 0
        assert read_json(tmp_path / "data/target/mlqa/counts.json")["dev-en"]["rows"] == 1
        params.write(params.Params(), tmp_path / "params.yaml", "a test's")
        done = run("--pin")
        assert done.returncode == 2 and "source.name is world; expected hub" in done.stderr

    def test_tasks_of_a_grid(self) -> None:
        given = experiments.resolve(ROOT / "experiments/xtreme-hub.yaml")
        names = tasks_of(given.grid, given.intermediates)
        assert set(names) == set(SERVED) - {"siqa", "copa", "xcopa", "ud_relations", "ud_chunks"}
        assert len(names) == len(set(names))

    def test_locks_of_the_repository_are_commits(self) -> None:
        given = experiments.resolve(ROOT / "experiments/xtreme-hub.yaml").source
        locks = sorted((ROOT / given.path).glob("*.lock"))
        assert locks and given.complete
        for lock in locks:
            known = {one.id for copy in REPOSITORIES[lock.stem] for one in copy}
            assert set(hub._pins(record(lock.stem), given)) <= known


def _one(name: str, config: str, features: dict[str, Any], rows: list[Row], split: str) -> Any:
    return {(name, "main"): {config: (features, {split: rows})}}


def test_order_of_label_numbers_changes_nothing(tmp_path: Path) -> None:
    """The same pairs in two copies that number the labels otherwise."""
    found = []
    for order in ([E, N, C], [C, E, N]):
        features = NLI_COLUMNS | {"label": ClassLabel(names=order)}
        rows = nli(*[order.index(label) for label in (N, E, C, N)])
        made = _one("facebook/xnli", "en", features, rows, "validation")
        mirror = write(tmp_path / order[0], made)
        found.append(_read("xnli", "dev", "en", _settings(mirror, tmp_path / "locks")))
    assert found[0] == found[1] and [row["label"] for row in found[0]] == [N, E, C, N]


class TestErrors:
    @pytest.mark.parametrize("name", sorted(REFUSED))
    def test_refused_with_the_reason(self, name: str, settings: SourceSettings) -> None:
        reason = {
            "bucc2018": "only the gold pairs, not the corpora",
            "ccg": "LDC2005T13",
            "lareqa": "XQuAD-R's sentences",
            "mewslix": "source files reads it",
        }[name]
        for call in (
            lambda: hub.languages(record(name), settings),
            lambda: hub.read(record(name), "dev", "en", settings),
            lambda: hub.pin([name], settings),
        ):
            with pytest.raises(UserError, match=reason):
                call()

    @pytest.mark.parametrize(
        ("features", "rows", "message"),
        [
            (
                {"premise": TEXT, "label": NLI_COLUMNS["label"]},
                [{"premise": "p", "label": 0}],
                "no column 'hypothesis'; expected premise, hypothesis, label",
            ),
            (
                NLI_COLUMNS | {"genre": TEXT},
                nli(0, genre="g"),
                "unexpected column 'genre'; expected premise",
            ),
            (
                NLI_COLUMNS | {"label": Value("int64")},
                nli(0),
                r"column 'label' is Value\('int64'\): labels without names",
            ),
            (
                NLI_COLUMNS | {"label": ClassLabel(names=["yes", "no"])},
                nli(1),
                "dev-en|en/validation:1: label 'no' is not one of contradiction, entailment",
            ),
            (NLI_COLUMNS, nli(0, -1), "en/validation:2: label None is not one of contradiction"),
        ],
    )
    def test_unexpected_columns_and_labels(
        self, features: dict[str, Any], rows: list[Row], message: str, tmp_path: Path
    ) -> None:
        made = _one("facebook/xnli", "en", features, rows, "validation")
        settings = _settings(write(tmp_path / "mirror", made), tmp_path / "locks")
        with pytest.raises(UserError, match=f"facebook/xnli@.*{message}") as caught:
            hub.read(record("xnli"), "dev", "en", settings)
        assert "\n" not in str(caught.value)

    def test_row_counts_unlike_the_published(self, mirror: Path, tmp_path: Path) -> None:
        """Of google/xtreme's PAWS-X, which lost rows, those that it has are the expected ones."""
        copy = TaskFiles(languages=["en"], repository="google/xtreme")
        for tasks, official in (({}, 49_401), ({"pawsx": copy}, 49_175)):
            settings = _settings(mirror, tmp_path / "locks", tasks=tasks, complete=True)
            with pytest.raises(UserError, match=rf"pawsx train-en 1 \(official {official}\)"):
                prepare_target("pawsx", settings, tmp_path / "pawsx")

    def test_complete_is_the_default(self) -> None:
        assert SourceSettings(name="hub").complete
        assert not SourceSettings(name="hub", complete=False).complete
        assert not SourceSettings().complete

    def test_missing_shard(self, tmp_path: Path) -> None:
        made = _one("facebook/xnli", "en", NLI_COLUMNS, nli(0), "validation")
        mirror = write(tmp_path / "mirror", made)
        (table,) = mirror.rglob("*.parquet")
        table.rename(table.with_name("validation-00000-of-00002.parquet"))
        with pytest.raises(UserError, match="en/validation: 1 of 2 shards; expected all"):
            hub.read(record("xnli"), "dev", "en", _settings(mirror, tmp_path / "locks"))

    def test_broken_file(self, tmp_path: Path) -> None:
        made = _one("facebook/xnli", "en", NLI_COLUMNS, nli(0), "validation")
        mirror = write(tmp_path / "mirror", made)
        (table,) = mirror.rglob("*.parquet")
        table.write_bytes(table.read_bytes()[:100])
        with pytest.raises(UserError, match=r"parquet: not a Parquet table: .*fetch it again"):
            hub.read(record("xnli"), "dev", "en", _settings(mirror, tmp_path / "locks"))

    def test_what_the_repository_does_not_have(self, tmp_path: Path) -> None:
        made = _one("facebook/xnli", "eng", NLI_COLUMNS, nli(0), "validation")
        settings = _settings(write(tmp_path / "mirror", made), tmp_path / "locks")
        with pytest.raises(UserError, match="no configuration 'en'; nearest: eng"):
            hub.read(record("xnli"), "dev", "en", settings)
        made = _one("facebook/xnli", "en", NLI_COLUMNS, nli(0), "train")
        settings = _settings(write(tmp_path / "other", made), tmp_path / "locks")
        with pytest.raises(UserError, match="no Parquet file of en, validation"):
            hub.read(record("xnli"), "dev", "en", settings)

    def test_card_without_splits(self, tmp_path: Path) -> None:
        made = _one("facebook/xnli", "en", NLI_COLUMNS, nli(0), "validation")
        mirror = write(tmp_path / "mirror", made)
        (card,) = mirror.rglob("README.md")
        card.write_text('---\nconfigs: [{config_name: en, data_files: ["en/*"]}]\n---\n')
        with pytest.raises(UserError, match=r"README\.md: configs: 'en/\*'; expected a split"):
            hub.read(record("xnli"), "dev", "en", _settings(mirror, tmp_path / "locks"))

    def test_settings_that_do_not_fit(self, mirror: Path, tmp_path: Path) -> None:
        def message(**more: Any) -> str:
            with pytest.raises(UserError) as caught:
                hub.read(record("xnli"), "dev", "en", _settings(**more))
            return str(caught.value)

        locks = tmp_path / "locks"
        known = {"mirror": mirror, "locks": locks}
        assert "'nyu-mll/glue' is not a copy of it; expected one of: facebook/xnli" in message(
            **known, tasks={"xnli": TaskFiles(repository="nyu-mll/glue")}
        )
        assert "xnli.dev: the source `hub` reads no files" in message(
            **known, tasks={"xnli": TaskFiles(dev=[])}
        )
        assert "source.mirror: " in message(mirror=tmp_path / "gone", locks=locks)
        (locks / "xnli.lock").write_text('{"facebook/xnli": "main"}')
        assert "xnli.lock: not a lock file; expected" in message(**known)
        wrong = SourceSettings(name="hub", path=str(tmp_path / "none"))
        with pytest.raises(UserError, match=r"none: no such folder; expected source\.path"):
            hub.read(record("xnli"), "dev", "en", wrong)

    def test_copies_are_for_the_hub_alone(self) -> None:
        for more in ({"mirror": "m"}, {"tasks": {"xnli": {"repository": "facebook/xnli"}}}):
            with pytest.raises(ValueError, match="for the source hub"):
                SourceSettings.model_validate({"name": "files", **more})


@pytest.fixture
def served(mirror: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """The small repositories behind the Hub's interface, on this machine; the paths asked for."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            parts = self.path.split("?")[0].removeprefix("/api").split("/")[2:]
            store = mirror / f"datasets--{parts[0]}--{parts[1]}"
            commit = commit_of("/".join(parts[:2]))
            folder = store / "snapshots" / commit
            if not folder.is_dir():
                return self._answer(404, b"", {"X-Error-Code": "RepoNotFound"})
            if parts[2] == "revision":
                if parts[3] not in ("main", commit):
                    return self._answer(404, b"", {"X-Error-Code": "RevisionNotFound"})
                files = [p for p in folder.rglob("*") if p.is_file()]
                names = [(p.relative_to(folder).as_posix(), p.stat().st_size) for p in files]
                info: dict[str, Any] = {"id": "/".join(parts[:2]), "sha": commit}
                info["siblings"] = [{"rfilename": name, "size": size} for name, size in names]
                return self._answer(200, json.dumps(info).encode(), {})
            body = (folder / "/".join(parts[4:])).read_bytes()
            tag = hub_tables.hashlib.sha1(body).hexdigest()
            return self._answer(200, body, {"X-Repo-Commit": commit, "ETag": f'"{tag}"'})

        do_HEAD = do_GET

        def _answer(self, status: int, body: bytes, headers: dict[str, str]) -> None:
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(body))}.items():
                self.send_header(name, value)
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(body)

        def log_message(self, *words: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    _endpoint(f"http://127.0.0.1:{server.server_port}", tmp_path, monkeypatch)
    yield asked
    server.shutdown()
    thread.join()
    server.server_close()
    snapshots.resolved.cache_clear()


def _endpoint(address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    constants = huggingface_hub.constants
    template = address + "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr(constants, "ENDPOINT", address)
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    snapshots.resolved.cache_clear()


class TestNetwork:
    def test_hub_gives_what_its_mirror_gives(
        self, served: list[str], settings: SourceSettings, tmp_path: Path
    ) -> None:
        online = _settings(None, tmp_path / "locks")
        for task, split in (("anli_plus", "dev"), ("hellaswag", "train")):
            found = hub.read(record(task), split, "en", online)  # type: ignore[arg-type]
            assert found == hub.read(record(task), split, "en", settings)  # type: ignore[arg-type]
        fetched = [path for path in served if "/resolve/" in path]
        assert not any(
            "train" in path and "anli" in path for path in fetched
        )  # no more than needed
        hub.pin(["mnli"], online)
        lock = read_json(tmp_path / "locks/mnli.lock")
        assert lock == {"nyu-mll/glue": commit_of("nyu-mll/glue")}

    def test_what_was_fetched_is_a_mirror(self, served: list[str], tmp_path: Path) -> None:
        online = _settings(None, tmp_path / "locks")
        hub.pin(["mnli"], online)
        first = hub.read(record("mnli"), "train", "en", online)
        asked = len(served)
        copied = _settings(tmp_path / "cache", tmp_path / "locks")
        assert hub.read(record("mnli"), "train", "en", copied) == first
        assert len(served) == asked

    def test_what_a_grid_needs_is_counted_and_fetched_before_it(
        self, served: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        online = _settings(None, tmp_path / "locks")
        given = params.Params(source=online)
        fetching.fetch(given, ["mnli", "mnli"], ["xquad"])
        # MNLI's train and dev; XQuAD in two languages, and what trains and selects for it.
        assert capsys.readouterr().err == "to fetch: 6 files, 1 MB\n"
        fetched = [path for path in served if "/resolve/" in path and ".parquet" in path]
        assert len(set(fetched)) == 6
        for task, split in (("mnli", "train"), ("xquad", "test"), ("squad1", "dev")):
            assert _read(task, split, "en", online)  # type: ignore[arg-type]
        assert [path for path in served if ".parquet" in path] == fetched
        fetching.fetch(given, ["mnli"], ["xquad"])
        assert capsys.readouterr().err == ""

    def test_unknown_revision_and_repository(self, served: list[str], tmp_path: Path) -> None:
        online = _settings(None, tmp_path / "locks")
        lock = tmp_path / "locks/mnli.lock"
        lock.write_text(json.dumps({"nyu-mll/glue": "1" * 40}))
        with pytest.raises(UserError, match=r"revision 1{40}, which .* pins, is not in the Hub"):
            hub.read(record("mnli"), "train", "en", online)

    def test_mirror_needs_no_network(
        self, settings: SourceSettings, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def refuse(*_: object) -> None:
            raise AssertionError("a connection was tried")

        monkeypatch.setattr(socket.socket, "connect", refuse)
        snapshots.resolved.cache_clear()
        for task in ("mnli", "cosmosqa"):
            assert _read(task, "train", "en", settings)

    def test_unreachable_hub(
        self, mirror: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Nobody listens there. What an earlier run left in the cache is no answer."""
        _endpoint("http://127.0.0.1:9", tmp_path, monkeypatch)
        monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(mirror))
        for task in ("mnli", "udpos"):
            with pytest.raises(UserError, match=r"Hub cannot be reached: .*source\.mirror") as e:
                hub.read(record(task), "train", "en", _settings(None, tmp_path / "locks"))
            assert "\n" not in str(e.value)
