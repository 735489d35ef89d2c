"""The stages study-*: real trainings on the small world, and what the terminal says of them."""

from __future__ import annotations

import json
import math
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.graphs import environment, ran, real_graph
from tests.small_world import SETTINGS
from xstilts import params as settings
from xstilts import paths
from xstilts.errors import UserError
from xstilts.formats.cards import read_card
from xstilts.formats.tables import ENGLISH, write_text
from xstilts.params import Params, check
from xstilts.phases import pretraining
from xstilts.phases.pretrain import pretrain_objective, pretrain_stage
from xstilts.studies import journal
from xstilts.studies.estimate import expected
from xstilts.studies.pruning import Pruned, Watched
from xstilts.studies.space import Trial
from xstilts.studies.stage import Training, search_of, study_stage

BOUNDS = {"learning_rate": [1e-4, 1e-2], "epochs": [1, 2]}
HERE = {"encoder": None, "vocabulary": 300, "layers": 1, "hidden": 16, "heads": 2}
HERE |= {"intermediate": 16, "steps": 6, "batch_size": 8, "max_length": 32}


@pytest.fixture(scope="module", autouse=True)
def world(small_world: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A copy of the small world's inputs: studies write."""
    folder = tmp_path_factory.mktemp("studied")
    for name in ("data", "encoder", "models", "studies"):
        shutil.copytree(small_world / name, folder / name)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("XSTILTS_TRACKING", "off")
        yield folder


def made(study: dict[str, Any], **sections: Any) -> Params:
    values = {**SETTINGS, "study": study, "training": {"device": "cpu", "evaluations": 3}}
    return check({**values, **sections}, Path("params.yaml"))


def test_a_study_says_what_it_tries_and_what_won(capsys: pytest.CaptureFixture[str]) -> None:
    given = made({"target": {"xnli": {**BOUNDS, "trials": 3, "weight_decay": [1e-3, 0.1]}}})
    study_stage("target", "xnli", given)
    said = capsys.readouterr().out
    lines = said.splitlines()
    assert lines[0] == (
        "study.target.xnli: 3 trials, maximises accuracy on English dev; trial 0 is params' own "
        "values; 1 at a time"
    )
    own = "trial 0: learning_rate 0.001, epochs 1, weight_decay 0.01: "
    assert lines[1].startswith(own) and lines[1].endswith("(trial 0)")
    assert "; best so far " in lines[3]
    assert lines[-1].startswith("studies/target/xnli.yaml: ") and " won: " in lines[-1]
    table = [line.split() for line in lines[4:-1]]
    header = next(line for line in table if line[:1] == ["trial"])
    assert header == ["trial", "learning_rate", "epochs", "weight_decay", "accuracy", "(%)", "time"]
    assert sum(line[-1:] == ["won"] for line in table) == 1
    place = paths.study_work("small world", "target", "xnli")
    assert {"trials.csv", "lock"} <= {path.name for path in place.iterdir()}
    assert not any(path.is_dir() for path in place.iterdir())  # no checkpoint is left
    study_stage("target", "xnli", given)  # all trials have ended: the table alone
    again = capsys.readouterr().out.splitlines()
    assert [line for line in again if line.startswith("trial ")] == []
    assert again[-1] == lines[-1]


def test_more_processes_than_a_round_has_trials_are_said(
    capsys: pytest.CaptureFixture[str],
) -> None:
    given = made({"target": {"xnli": {**BOUNDS, "trials": 1}}})
    study_stage("target", "xnli", given, jobs=4)
    said = capsys.readouterr().out
    assert "1 at a time\n  --jobs 4: study.target.xnli.parallel lets 1 run at a time\n" in said


@pytest.mark.parametrize("change", ["setting", "input"])
def test_another_setting_or_input_puts_the_study_aside(change: str) -> None:
    given = made({"target": {"pawsx": {**BOUNDS, "trials": 1}}})
    study_stage("target", "pawsx", given)
    first = search_of("target", "pawsx", given)
    if change == "setting":
        given = made({"target": {"pawsx": {**BOUNDS, "trials": 1}}}, training={"clip": 0.5})
    else:
        write_text(paths.target_data("pawsx") / "notes.json", '["another"]\n')
    study_stage("target", "pawsx", given)
    second = search_of("target", "pawsx", given)
    known = journal.known(first.journal, first.name)
    assert known[first.name][0] == second.key != first.key
    assert known[f"{first.name}@{first.key}"][0] == first.key


def test_a_trial_below_a_floor_ends_there(tmp_path: Path) -> None:
    given = made({"target": {"xnli": {**BOUNDS, "trials": 1}}})
    search = search_of("target", "xnli", given)
    objective = Training("target", "xnli", given, tmp_path, search)()
    score, curve = objective(Trial(0, search.first, {}))
    assert len(curve) == 2 and curve[-1] == score  # of three evaluations two share a step
    with pytest.raises(Pruned) as caught:
        objective(Trial(1, search.first, {}, floors=(2.0,)))
    assert caught.value.curve == curve[:1]


def test_a_curve_goes_on_after_a_checkpoint(tmp_path: Path) -> None:
    """Two trainings in order, the second killed after its checkpoint of step 10."""
    path = tmp_path / "curve.json"

    def report(watched: Watched, scores: dict[int, float]) -> None:
        for step, score in scores.items():
            watched.step(step, {"train.loss": 1.0})
            watched.step(step, {"dev.score": score, "dev.x": 0.0})

    first = Watched(path)
    for scores in ({5: 0.9, 10: 0.8}, {5: 0.1, 10: 0.3, 15: 0.2}):
        first.begin(0)
        report(first, scores)
    assert first.curve == (0.9, 0.9, 0.1, 0.3, 0.3)
    again = Watched(path, floors=(None, None, None, None, 0.35))
    again.begin(5)
    report(again, {10: 0.8})
    again.begin(10)
    with pytest.raises(Pruned) as caught:
        report(again, {15: 0.25})
    assert caught.value.curve == (0.9, 0.9, 0.1, 0.3, 0.3)
    assert [line[:2] for line in json.loads(path.read_text())] == [
        [1, 5], [1, 10], [2, 5], [2, 10], [2, 15],
    ]  # fmt: skip


# Phase 1


def test_trials_of_phase_1_read_no_text_that_judges_them() -> None:
    tables = pretraining.read_texts(paths.TEXT)
    tables[0].rows.append({"text": "x", "pair": next(
        row["text"] for table in tables if table.language == ENGLISH for row in table.rows
    )})  # fmt: skip
    rest, held = pretraining.hold_out(tables, seed=3)
    texts = {row["text"] for row in held.rows}
    english = {row["text"] for t in tables if t.language == ENGLISH for row in t.rows}
    assert texts < english and len(texts) == len(english) // pretraining.HELD_OUT
    assert all(row["pair"] is None for row in held.rows)
    read = {text for table in rest for row in table.rows for text in (row["text"], row["pair"])}
    assert not texts & read
    assert english - texts <= read
    assert pretraining.hold_out(tables, seed=3)[1] == held != pretraining.hold_out(tables, 4)[1]
    few = [table for table in tables if table.language != ENGLISH]
    with pytest.raises(UserError, match="0 English texts in data/text; expected 20 or more"):
        pretraining.hold_out(few, seed=3)


def test_a_study_of_phase_1_lowers_the_loss_and_phase_1_uses_it(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    study = {"pretrain": {"trials": 3, "learning_rate": [1e-3, 1e-2], "steps": [4, 40]}}
    given = made(study, pretrain=HERE)
    study_stage("pretrain", "", given)
    assert "study.pretrain: 3 trials, minimises masked-LM loss" in capsys.readouterr().out
    result = settings.read_yaml(paths.study("pretrain"))
    losses = [trial["score"] for trial in result["tried"]]
    assert result["score"] == min(losses) < max(losses) < 2 * math.log(300)
    monkeypatch.setattr("xstilts.phases.pretrain.PRETRAIN", tmp_path / "pretrain")
    pretrain_stage(given)
    card = read_card(tmp_path / "pretrain")
    origins = {name: its.origin for name, its in card.settings.items()}
    assert (origins["steps"], origins["learning_rate"]) == ("study", "study")
    assert origins["vocabulary"] == "params"
    assert card.settings["steps"].value == result["steps"]
    values = {name: result["tried"][1][name] for name in ("learning_rate", "steps")}
    score = pretrain_objective(given)(values, 1, tmp_path / "again", None)
    assert score == losses[1]


# How long


def test_what_was_not_seen_is_unknown_and_what_was_is_said(tmp_path: Path) -> None:
    study: dict[str, Any] = {
        "pretrain": {"trials": 2, "steps": [10, 1000]},
        "target": {"udpos": {"trials": 4, "epochs": [2, 6]}, "panx": {"trials": 1}},
    }
    grid = {"intermediates": ["none"], "targets": ["udpos", "panx", "xnli"], "replicates": [1]}
    given = made(study, experiment="new", pretrain=HERE, grid=grid)
    stages, lines = expected(given)
    assert stages == ["study-pretrain", "study-target@udpos", "study-target@panx"]
    assert all("unknown: nothing like it has run here" in line for line in lines[:-1])
    assert lines[-1] == ("3 of 5 studies have trials (study.PHASE.NAME.trials); of 3 it is unknown")
    cell = paths.cell("none", "udpos", 1)
    write_text(cell / "card.json", json.dumps({
        "phase": "target", "intermediate": "none", "target": "udpos", "replicate": 1,
        "settings": {"epochs": {"value": 2.0, "origin": "params"}},
    }))  # fmt: skip
    curve = [{"step": step, "time": 1000 * step, "metrics": {}} for step in (10, 110, 210)]
    history = paths.history() / "target-none-udpos-1.jsonl"
    write_text(history, "".join(json.dumps(line) + "\n" for line in curve))
    _, lines = expected(given)  # 105 s an epoch; 1 epoch as params have it, and 3 times 4
    assert "0 ended; about 23 min: 13 epochs of 105 s" in lines[1]
    assert "in all at least 23 min, one at a time; of 2 it is unknown" in lines[-1]
    study["target"]["udpos"] |= {"trials": 1, "epochs": [2, 2], "learning_rate": [1e-4, 1e-3]}
    given = made(study, experiment="new", grid=grid, pretrain=HERE)
    study_stage("target", "udpos", given)
    _, lines = expected(given)
    assert "1 trials, 1 ended; about 0 s: 0 epochs of" in lines[1]


# Processes


@pytest.mark.slow
def test_real_trainings_end_alike_in_any_number_of_processes(world: Path) -> None:
    study = {**BOUNDS, "trials": 5, "parallel": 4, "prune": True, "batch_size": [8, 16]}
    given = made({"target": {"xnli": study}, "intermediate": {}})
    found = {}
    for jobs in (1, 2, 4):
        shutil.rmtree(world / "work/studies", ignore_errors=True)
        study_stage("target", "xnli", given, jobs)
        found[jobs] = paths.study("target", "xnli").read_bytes()
    assert found[1] == found[2] == found[4]
    assert found[1].count(b"score") == 6


EVERY = "from xstilts.cli.main import main; import sys; sys.argv[1:] = {words}; main()"


def every(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", EVERY.format(words=["study", "--all", *words])],
        cwd=folder, env=environment(folder), capture_output=True, text=True, check=False,
    )  # fmt: skip


@pytest.mark.slow
def test_all_studies_run_with_what_they_need(tmp_path: Path) -> None:
    """Those with trials, in the order of the phases, by DVC: a stand-in notes what is run."""
    grid = {"intermediates": ["none", "mnli"], "targets": ["xnli", "pawsx"], "replicates": [1]}
    folder = real_graph(tmp_path / "real", grid)
    done = every(folder, "--jobs", "3")
    assert done.returncode == 0, done.stderr
    assert "study.intermediate.mnli: 3 trials, 0 ended; how long is unknown" in done.stdout
    assert "2 of 5 studies have trials" in done.stdout
    assert ran(folder) == [
        "code", "data intermediate mnli", "data target xnli", "data text", "pretrain",
        "study intermediate mnli", "study pretrain", "study target xnli",
    ]  # fmt: skip
    refused = every(folder, "target")
    assert (refused.returncode, refused.stderr) == (
        2, "xstilts: --all: expected no phase; found target; leave one of them out\n",
    )  # fmt: skip
