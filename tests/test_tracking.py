"""Runs in MLflow: one current run a cell; nothing is lost with MLflow; eight processes at once."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from xstilts.formats.cards import Card, Selection, Setting, write_card
from xstilts.running import tracking
from xstilts.running.logbook import MODE, History, cell_key
from xstilts.running.server import ONE_RUN_A_CELL, PARENT, open_server
from xstilts.running.tracking import log_missing, open_run


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One database for all tests here: making one takes seconds. Each test has its experiment."""
    return tmp_path_factory.mktemp("repository")


@pytest.fixture
def place(home: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Place:
    for name in ("MLFLOW_TRACKING_URI", PARENT, MODE):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(home)
    return Place(request.node.name, home / request.node.name)


class Place:
    """An experiment, its folder, and what MLflow knows of it."""

    def __init__(self, experiment: str, folder: Path) -> None:
        self.experiment, self.folder, self.work = experiment, folder, folder / "work"

    def finish(self, card: Card, **more: Any) -> Path:
        folder = self.write(card)
        run = open_run(self.experiment, cell_key(card), self.work)
        run.step(1, {"train.loss": 2.0})
        run.step(2, {"train.loss": 1.0, "dev.accuracy": 0.5})
        run.finish(card, folder, **more)
        return folder

    def write(self, card: Card) -> Path:
        inside = ("cells", card.intermediate, card.target)
        if card.phase == "intermediate":
            inside = ("models", "intermediate", card.intermediate)
        folder = self.folder.joinpath(*inside, str(card.replicate))
        write_card(folder, card)
        (folder / "predictions").mkdir(exist_ok=True)
        line = '{"id": "1", "prediction": "neutral", "gold": "entailment"}\n'
        (folder / "predictions/test-de.jsonl").write_text(line, encoding="utf-8")
        (folder / "model.safetensors").write_bytes(b"weights")
        return folder

    def runs(self, query: str = "") -> list[Any]:
        found = open_server(self.experiment, self.work).by_cell(query)
        return [run for runs in found.values() for run in runs]


def cell(key: str = "k1", row: str = "mnli") -> Card:
    return Card(
        "target",
        row,
        "xnli",
        1,
        "classification",
        "tiny",
        "world",
        key,
        {"learning_rate": Setting(1e-3, "study"), "span": Setting(None, "default")},
        Selection("accuracy", 0.5, 2, 2, 100),
        {"test": {"en": {"accuracy": 0.8}, "de": {"accuracy": 0.6}}},
        ("accuracy",),
        counts={"test-de": {"predicted": 1}},
        inputs={"test-de": "0123456789abcdef", "encoder": "fedcba9876543210"},
    )


def model(key: str = "m1") -> Card:
    return Card("intermediate", "mnli", replicate=1, encoder="tiny", source="world", key=key)


def test_a_run_says_what_its_card_says(place: Place) -> None:
    place.finish(cell())
    (run,) = place.runs()
    assert run.info.status == "FINISHED"
    assert run.data.params == {
        "learning_rate": "0.001",
        "learning_rate.origin": "study",
        "span": "null",
        "span.origin": "default",
    }
    assert run.data.metrics == {
        "test.de": 0.6,
        "test.en": 0.8,
        "xnli": 0.6,
        "test.average.accuracy": pytest.approx(0.7),
        "test.average.accuracy.zero_shot": 0.6,
        "selected.score": 0.5,
        "selected.step": 2,
        "train/loss": 1.0,
        "dev/accuracy": 0.5,
    }
    tags = {name: value for name, value in run.data.tags.items() if name.startswith("xstilts.")}
    assert tags.pop("xstilts.commit") == tags.pop("xstilts.dirty") == "unknown"
    assert tags.pop("xstilts.output").endswith("cells/mnli/xnli/1")
    assert tags == {
        "xstilts.phase": "target",
        "xstilts.cell": "target-mnli-xnli-1",
        "xstilts.intermediate": "mnli",
        "xstilts.target": "xnli",
        "xstilts.replicate": "1",
        "xstilts.encoder": "tiny",
        "xstilts.source": "world",
        "xstilts.family": "classification",
        "xstilts.group": "NLI",
        "xstilts.params_sha": "k1",
        "xstilts.status": "current",
    }


def test_a_run_keeps_inputs_and_files_without_weights(place: Place, home: Path) -> None:
    place.finish(cell())
    (run,) = place.runs()
    inputs = {(one.dataset.name, one.dataset.digest) for one in run.inputs.dataset_inputs}
    assert inputs == {("test-de", "0123456789abcdef"), ("encoder", "fedcba9876543210")}
    kept = home / "mlartifacts" / place.experiment / run.info.run_id / "artifacts"
    files = sorted(str(path.relative_to(kept)) for path in kept.rglob("*") if path.is_file())
    assert files == ["card.json", "examples.json", "languages.png", "predictions/test-de.jsonl"]


def test_a_cell_that_runs_again_has_one_current_run(place: Place) -> None:
    for key in ("k1", "k2"):
        place.finish(cell(key), chart=False)
    place.finish(cell(row="none"), chart=False)
    tags = [run.data.tags for run in place.runs(ONE_RUN_A_CELL)]
    shown = {(own["xstilts.cell"], own["xstilts.params_sha"]) for own in tags}
    assert shown == {("target-mnli-xnli-1", "k2"), ("target-none-xnli-1", "k1")}
    assert len(place.runs()) == 3


def test_a_cell_points_to_the_run_of_its_intermediate(place: Place) -> None:
    place.finish(model())
    place.finish(cell(), chart=False)
    (ours,) = place.runs("tags.`xstilts.phase` = 'intermediate'")
    (cells,) = place.runs("tags.`xstilts.phase` = 'target'")
    assert cells.data.tags["xstilts.intermediate_run"] == ours.info.run_id


def test_log_sends_what_is_missing_once(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(MODE, "later")
    place.finish(model())
    folder = place.finish(cell())
    assert place.runs() == []
    assert log_missing(place.experiment, [folder], place.work) == (2, 0, 0)
    assert log_missing(place.experiment, [folder], place.work) == (0, 0, 0)
    assert len(place.runs(ONE_RUN_A_CELL)) == 2
    assert {run.data.metrics["train/loss"] for run in place.runs()} == {1.0}
    (ours,) = place.runs("tags.`xstilts.phase` = 'target'")
    assert "xstilts.intermediate_run" in ours.data.tags


def test_log_marks_the_run_of_a_card_that_came_back(place: Place) -> None:
    for key in ("k1", "k2"):
        folder = place.finish(cell(key), chart=False)
    place.write(cell("k1"))  # as DVC does from its cache: nothing runs
    assert log_missing(place.experiment, [folder], place.work) == (0, 1, 0)
    assert log_missing(place.experiment, [folder], place.work) == (0, 0, 0)
    (run,) = place.runs(ONE_RUN_A_CELL)
    assert run.data.tags["xstilts.params_sha"] == "k1"


def test_unreachable_mlflow_loses_nothing(
    place: Place, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    folder = place.finish(cell())
    assert log_missing(place.experiment, [folder], place.work) == (0, 0, 1)
    warnings = capsys.readouterr().err.splitlines()
    assert [line.split(":")[0] for line in warnings] == ["warning", "warning"]
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    assert log_missing(place.experiment, [folder], place.work) == (1, 0, 0)
    (run,) = place.runs()
    assert run.data.metrics["train/loss"] == 1.0


def test_a_resumed_training_goes_on_in_its_run(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("LIVE_AFTER_S", "SEND_EVERY_S", "SEND_SHARE"):
        monkeypatch.setattr(tracking, name, 0)
    name = "target-mnli-xnli-1"
    killed = open_run(place.experiment, name, place.work)
    for step in (1, 2, 3, 4):
        killed.step(step, {"train.loss": 1 / step})
    assert [run.data.tags["xstilts.status"] for run in place.runs()] == ["running"]
    again = open_run(place.experiment, name, place.work)
    again.begin(2)
    for step in (3, 4):
        again.step(step, {"train.loss": 1 / step})
    again.finish(cell(), place.write(cell()), chart=False)
    (run,) = place.runs()
    client = open_server(place.experiment, place.work).client
    curve = client.get_metric_history(run.info.run_id, "train/loss")
    points = [(point.step, point.value) for point in curve]
    assert points == [(1, 1), (2, 1 / 2), (3, 1 / 3), (4, 1 / 4)]


def test_a_killed_training_that_starts_anew_is_superseded(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tracking, "LIVE_AFTER_S", 0)
    killed = open_run(place.experiment, "target-mnli-xnli-1", place.work)
    for step in (8, 9):
        killed.step(step, {"train.loss": 1.0})
    place.finish(cell(), chart=False)
    states = {(r.info.status, r.data.tags["xstilts.status"]) for r in place.runs()}
    assert states == {("KILLED", "superseded"), ("FINISHED", "current")}
    lines = (place.work / "history/target-mnli-xnli-1.jsonl").read_text(encoding="utf-8")
    assert '"step": 9' not in lines


def test_the_run_of_mlflow_run_is_the_parent(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(PARENT, "0123")
    place.finish(cell(), chart=False)
    (run,) = place.runs()
    assert run.data.tags["mlflow.parentRunId"] == "0123"


def test_trials_are_runs_and_a_new_study_supersedes_them(place: Place) -> None:
    for study, trial in (("s1", 0), ("s1", 1), ("s2", 0)):
        run = open_run(place.experiment, f"study-target-xnli-{trial}", place.work)
        run.step(1, {"train.loss": 1.0})
        run.finish_trial({"learning_rate": 1e-3, "epochs": 2.0}, 0.5, study, "accuracy")
    (run,) = place.runs(ONE_RUN_A_CELL)
    assert len(place.runs()) == 3
    assert run.data.params == {"learning_rate": "0.001", "epochs": "2.0"}
    tags = [run.data.tags[f"xstilts.{name}"] for name in ("study", "trial", "target", "params_sha")]
    assert tags == ["target/xnli", "0", "xnli", "s2"]
    assert run.data.metrics["score"] == 0.5


def test_log_sends_trials_too(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(MODE, "later")
    run = open_run(place.experiment, "study-intermediate-mnli-10k-3", place.work)
    run.finish_trial({"learning_rate": 1e-3}, 0.5, "s1", "accuracy")
    assert log_missing(place.experiment, [], place.work) == (1, 0, 0)
    assert log_missing(place.experiment, [], place.work) == (0, 0, 0)
    (run,) = place.runs()
    assert run.data.tags["xstilts.intermediate"] == "mnli-10k"


def test_tracking_off_only_keeps_the_curve(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(MODE, "off")
    folder = place.finish(replace(cell(), scores={"test": {}}))
    assert log_missing(place.experiment, [folder], place.work) == (0, 0, 0)
    assert len((place.work / "history/target-mnli-xnli-1.jsonl").read_bytes().splitlines()) == 3


def test_two_trainings_in_one_run_are_one_curve(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(MODE, "off")
    run = open_run(place.experiment, "target-none-copa-1", place.work)
    for steps in ((10, 20, 20), (10, 20)):
        run.begin(0)
        for step in steps:
            run.step(step, {"train.loss": 1.0})
    lines = History(place.work, "target-none-copa-1").lines()
    assert [line["step"] for line in lines] == [10, 20, 20, 30, 40]


@pytest.mark.parametrize("checkpoint", [0, 20])
def test_a_kill_in_the_second_training_cuts_no_curve(
    place: Place, monkeypatch: pytest.MonkeyPatch, checkpoint: int
) -> None:
    """The first is resumed at its checkpoint, if it has one, then the second at its own."""
    for name in ("LIVE_AFTER_S", "SEND_EVERY_S", "SEND_SHARE"):
        monkeypatch.setattr(tracking, name, 0)
    name = "target-mnli-xnli-1"
    killed = open_run(place.experiment, name, place.work)
    for steps in ((10, 20, 30), (10, 20, 30)):
        killed.begin(0)
        for step in steps:
            killed.step(step, {"train.loss": 1.0})
    again = open_run(place.experiment, name, place.work)
    for begun, steps in ((checkpoint, (10, 20, 30)), (20, (30, 40))):
        again.begin(begun)
        for step in steps:
            if step > begun:
                again.step(step, {"train.loss": 1.0})
    again.finish(cell(), place.write(cell()), chart=False)
    wanted = [10, 20, 30, 40, 50, 60, 70]
    lines = History(place.work, name).lines()
    assert sorted(line["step"] for line in lines if "step" in line) == wanted
    (run,) = place.runs(ONE_RUN_A_CELL)
    client = open_server(place.experiment, place.work).client
    points = client.get_metric_history(run.info.run_id, "train/loss")
    assert sorted(point.step for point in points) == wanted  # MLflow orders them by time


def test_half_a_line_of_a_killed_process_does_not_count(tmp_path: Path) -> None:
    history = History(tmp_path, "target-mnli-xnli-1")
    history.append({"step": 1, "time": 1, "metrics": {}})
    with history.path.open("a", encoding="utf-8") as file:
        file.write('{"step": 2, "ti')
    again = History(tmp_path, "target-mnli-xnli-1")
    assert again.begin(1, 0, 2) == ({}, history.lines())
    assert [line["step"] for line in again.lines()] == [1]


def test_tracking_imports_mlflow_only_to_send() -> None:
    code = "import sys, xstilts.running.tracking; print({'mlflow', 'pandas'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


EIGHT = """
import os, sys
from pathlib import Path
import mlflow  # once, before the processes part: what they contend for is the database
from xstilts.formats.cards import Card
from xstilts.running.tracking import open_run

children = []
for number in range(8):
    if child := os.fork():
        children.append(child)
        continue
    card = Card("target", "mnli", "xnli", number, key="k", scores={"test": {"en": {"f1": 0.5}}})
    run = open_run("world", f"target-mnli-xnli-{number}", Path("work"))
    run.step(1, {"train.loss": 1.0})
    run.finish(card, Path("."), chart=False)
    sys.stderr.flush()
    os._exit(0)
for child in children:
    os.waitpid(child, 0)
found = mlflow.MlflowClient("sqlite:///mlflow.db").search_runs(
    ["1"], "tags.`xstilts.status` = 'current'"
)
print(len(found))
"""


@pytest.mark.slow
def test_eight_processes_open_a_fresh_database(tmp_path: Path) -> None:
    command = [sys.executable, "-W", "ignore", "-c", EIGHT]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, timeout=300)
    assert "warning" not in done.stderr
    assert done.stdout.strip() == "8"
