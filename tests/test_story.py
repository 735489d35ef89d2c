"""The whole, as a user runs it: a small real grid of the world in a copy of the repository."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from ruamel.yaml import YAML

from tests.graphs import dvc, environment, locked, outputs
from tests.moments import moments
from xstilts.params import read_yaml

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parent.parent
OUTPUTS = {".git", ".venv", "data", "models", "cells", "kept", "reports", "work", "mlruns",
           "mlartifacts", "code", "dvc.lock", "studies", "shared", "dist"}  # fmt: skip
LEFT_OUT = shutil.ignore_patterns("golden", "cache", "tmp", "mlflow.db*", "__pycache__", ".*_cache",
                                  ".hypothesis", ".whl", "*.egg-info")  # fmt: skip
STAGES = 6 + 2 * 2 + 2 * 3 + 2 * (1 + 3)  # code, data, studies; of each row, phase 2 and its cells


def settings(folder: Path, **more: str) -> dict[str, str]:
    """A user's shell: this Python's commands first, no tracking server of the outside."""
    found = environment(folder, **more)
    found["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), found["PATH"]])
    return {k: v for k, v in found.items() if not k.startswith(("MLFLOW_", "PYTEST_"))}


def run(folder: Path, *words: str, **more: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", *words],
        cwd=folder,
        env=settings(folder, **more),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of this repository after `xstilts use` and `xstilts grid` of a tiny experiment."""
    folder = tmp_path_factory.mktemp("story") / "repository"
    copy_of_the_repository(folder)
    mail = ["-c", "user.name=a test", "-c", "user.email=test@example.org"]
    for words in (["init", "--quiet"], ["add", "."], [*mail, "commit", "--quiet", "-m", "all"]):
        subprocess.run(["git", *words], cwd=folder, check=True)
    run(folder, "xstilts", "use", "tiny")
    text = run(folder, "xstilts", "grid", "--jobs", "2")
    assert f"{STAGES} stages ran, 0 were up to date, 0 failed" in text, text
    assert "zero-shot, percent" in text and "reports/report.md" in text, text
    return folder


def copy_of_the_repository(folder: Path) -> None:
    """Sources and settings, without what stages and tools leave in this checkout."""

    def left_out(inside: str, names: list[str]) -> set[str]:
        own = OUTPUTS if Path(inside) == ROOT else set()
        return LEFT_OUT(inside, names) | own.intersection(names)

    shutil.copytree(ROOT, folder, ignore=left_out)
    (folder / "data").mkdir()
    shutil.copy(ROOT / "data/README.md", folder / "data")


def copy(folder: Path, to: Path) -> Path:
    """Without MLflow's database, which names the folder that it was made in."""
    ignored = shutil.ignore_patterns("tmp", "mlflow.db*", "mlartifacts")
    shutil.copytree(folder, to, symlinks=True, ignore=ignored)
    return to


def cached(folder: Path) -> dict[str, str]:
    """Digest of every object in DVC's cache."""
    files = [file for file in (folder / ".dvc/cache/files").rglob("*") if file.is_file()]
    return {str(file): hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


def runs(folder: Path) -> list[dict[str, Any]]:
    """Every run in the folder's database: id, experiment and tags."""
    code = """
import json
from mlflow import MlflowClient
client = MlflowClient("sqlite:///mlflow.db")
experiments = {one.experiment_id: one.name for one in client.search_experiments()}
found = client.search_runs(list(experiments))
print(json.dumps([{"id": run.info.run_id, "experiment": experiments[run.info.experiment_id],
                   **run.data.tags} for run in found]))
"""
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=folder,
        env=settings(folder),
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    found: list[dict[str, Any]] = json.loads(done.stdout.splitlines()[-1])
    return found


def test_after_the_grid_repro_finds_nothing_to_do(repository: Path) -> None:
    assert dvc(repository, "repro").splitlines()[-1] == "Data and pipelines are up to date."
    report = (repository / "reports/report.md").read_text(encoding="utf-8")
    assert all(name in report for name in ("none", "mnli", "xnli", "udpos", "tatoeba"))


def test_one_run_a_cell_is_current(repository: Path) -> None:
    current = [run for run in runs(repository) if run.get("xstilts.status") == "current"]
    cells = Counter(run["xstilts.cell"] for run in current)
    assert set(cells.values()) == {1}
    wanted = {f"target-{row}-{task}-1" for row in ("none", "mnli")
              for task in ("xnli", "udpos", "tatoeba")}  # fmt: skip
    phases = {"pretrain", "intermediate-none-1", "intermediate-mnli-1"}
    assert set(cells) == wanted | phases
    assert {run["experiment"] for run in current} == {"tiny"}


def test_metrics_and_plots_are_dvcs_too(repository: Path, tmp_path: Path) -> None:
    shown = json.loads(dvc(repository, "metrics", "show", "--json"))
    assert "reports/mean.json" in json.dumps(shown)
    assert "mnli" in json.dumps(shown)
    assert max(map(len, dvc(repository, "metrics", "show").splitlines())) <= 120
    dvc(repository, "plots", "show", "--out", str(tmp_path / "plots"))
    assert "mnli" in (tmp_path / "plots/index.html").read_text(encoding="utf-8")


def test_commands_outside_dvc_harm_no_cached_object(repository: Path) -> None:
    before, made = cached(repository), outputs(repository)
    assert before
    for words in ("code", "data target tatoeba", "target none tatoeba", "report"):
        run(repository, "xstilts", *words.split(), XSTILTS_TRACKING="off")
    assert list((repository / "src").rglob("__pycache__")), "bytecode was to be written"
    assert cached(repository) == before
    assert outputs(repository) == made
    assert "up to date" in dvc(repository, "status")


def test_killed_driver_ends_with_the_same_reports(repository: Path, tmp_path: Path) -> None:
    """A row's phases 2 and 3 anew, the driver killed in their midst; its orphans are waited for."""
    folder = copy(repository, tmp_path / "killed")
    forget(folder, "mnli")
    command = [sys.executable, "-m", "xstilts", "grid", "--jobs", "2"]
    quiet = settings(folder, XSTILTS_TRACKING="off")
    process = subprocess.Popen(
        command, cwd=folder, env=quiet, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    moment = moments().uniform(3, 20)
    time.sleep(moment)
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=60)
    text = run(folder, "xstilts", "grid", "--jobs", "2", XSTILTS_TRACKING="off")
    assert "0 failed" in text, f"killed after {moment:.1f} s\n{text}"
    assert outputs(folder) == outputs(repository), f"killed after {moment:.1f} s"
    assert locked(folder) == locked(repository)


def forget(folder: Path, row: str) -> None:
    """A row's training, its cells and the report, as if they had never been."""
    lock = folder / "dvc.lock"
    content = read_yaml(lock)
    gone = (f"intermediate@{row}-", f"target@{row}-", "report")
    stages = {k: v for k, v in content["stages"].items() if not k.startswith(gone)}
    assert len(content["stages"]) - len(stages) == 1 + 3 + 1
    YAML().dump({**content, "stages": stages}, lock)
    for name in (f"models/intermediate/{row}", f"cells/{row}", "reports", ".dvc/cache/runs"):
        shutil.rmtree(folder / name)


def test_a_stage_of_plain_dvc_has_the_drivers_bytes(repository: Path, tmp_path: Path) -> None:
    """Run again by `dvc repro`, without the threads and variables that the driver sets."""
    folder = copy(repository, tmp_path / "plain")
    for stage in ("intermediate@mnli-1", "target@mnli-xnli-1"):
        words = ("repro", "--force", "--no-run-cache", "--single-item", stage)
        dvc(folder, *words, XSTILTS_TRACKING="off", OMP_NUM_THREADS="2")
    assert outputs(folder) == outputs(repository)
    assert locked(folder) == locked(repository)


def test_readmes_commands_take_a_model_away(repository: Path, tmp_path: Path) -> None:
    """As they stand there; the cell, whose model was not kept, is run again and stays."""
    folder = copy(repository, tmp_path / "away")
    table = folder / "data/target/xnli/test-en.parquet"
    rows = pq.read_table(table).drop_columns(["label", "part"]).to_pylist()
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    section = (
        (folder / "README.md").read_text().split("## Take the model away")[1].split("\n## ")[0]
    )
    commands = [
        line.split("  #")[0].split() for line in section.splitlines() if line[:4] == " " * 4
    ]
    commands = [shlex.split(" ".join(words)) for words in commands]
    assert [words[:2] for words in commands] == [["xstilts", name] for name in (
        "export", "predict", "predict")]  # fmt: skip
    before, said = outputs(folder), [run(folder, *words) for words in commands]
    assert "it is run again" in said[0] and "xstilts' own layout" in said[0]  # ModernBERT's
    assert json.loads(said[1])["prediction"] in {"entailment", "neutral", "contradiction"}
    kept = (folder / "cells/mnli/xnli/1/predictions/test-en.jsonl").read_text().splitlines()
    wanted = [json.loads(line)["prediction"] for line in kept]
    found = (folder / "found.jsonl").read_text().splitlines()
    assert [json.loads(line)["prediction"] for line in found] == wanted
    assert outputs(folder) == before
    assert "up to date" in dvc(folder, "status")


def test_every_entry_point_of_mlflow_finds_its_stage(repository: Path) -> None:
    """All is up to date: nothing trains again."""
    points: dict[str, dict[str, str]] = {
        "main": {},
        "data": {"stage": "data-intermediate@mnli"},
        "pretrain": {},
        "study": {"phase": "target", "name": "xnli"},
        "intermediate": {"intermediate": "mnli"},
        "target": {"intermediate": "mnli", "task": "udpos"},
        "report": {},
    }
    assert set(points) == set(read_yaml(repository / "MLproject")["entry_points"])
    before = outputs(repository)
    for name, values in points.items():
        given = [word for key, value in values.items() for word in ("-P", f"{key}={value}")]
        run(repository, "mlflow", "run", ".", "-e", name, *given, "--env-manager", "local")
    assert outputs(repository) == before


def test_run_that_mlflow_opened_is_the_parent(repository: Path, tmp_path: Path) -> None:
    folder = copy(repository, tmp_path / "project")
    text = (folder / "params.yaml").read_text()
    start = text.index("targets:\n  xnli:")
    changed = re.sub(r"learning_rate: [\d.e-]+", "learning_rate: 0.0004", text[start:], count=1)
    (folder / "params.yaml").write_text(text[:start] + changed)
    names = ["-P", "intermediate=mnli", "-P", "task=xnli"]
    run(folder, "mlflow", "run", ".", "-e", "target", *names, "--env-manager", "local")
    found = runs(folder)
    (parent,) = [run for run in found if "mlflow.project.entryPoint" in run]
    (child,) = [run for run in found if "xstilts.cell" in run]
    assert child["xstilts.cell"] == "target-mnli-xnli-1"
    assert child["mlflow.parentRunId"] == parent["id"]
    card = json.loads((folder / "cells/mnli/xnli/1/card.json").read_text(encoding="utf-8"))
    assert card["settings"]["learning_rate"]["value"] == 0.0004
    assert child["xstilts.params_sha"] == card["key"]
