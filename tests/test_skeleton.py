"""The files around the package say the same things as the package, in the same words."""

from __future__ import annotations

import ast
import json
import re
import resource
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from dvc.repo import Repo
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from ruamel.yaml import YAML

from tests.conftest import LONG
from tests.graphs import dvc, environment, new_repository
from xstilts import params
from xstilts.running import experiments

ROOT = Path(__file__).parent.parent
EXPERIMENTS = sorted((ROOT / "experiments").glob("*.yaml"))
STAGES: dict[str, Any] = params.read_yaml(ROOT / "dvc.yaml")["stages"]
ENTRY_POINTS: dict[str, Any] = params.read_yaml(ROOT / "MLproject")["entry_points"]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
WORDS = {"data", "pretrain", "study", "intermediate", "target", "report"}
HEAVY = {"torch", "transformers", "mlflow", "pandas", "optuna", "datasets", "accelerate", "dvc"}


def pins() -> dict[str, str]:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pairs = [line.split("==") for line in lines if line and not line.startswith("#")]
    assert len({name for name, _ in pairs}) == len(pairs)
    return {canonicalize_name(name): version for name, version in pairs}


def requirements() -> Iterator[Requirement]:
    yield from map(Requirement, PROJECT["dependencies"])
    for extra in PROJECT["optional-dependencies"].values():
        yield from map(Requirement, extra)


def functions_of(module: str) -> set[str]:
    tree = ast.parse((ROOT / "src/xstilts" / module).read_text(encoding="utf-8"))
    return {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}


@pytest.mark.parametrize("requirement", list(requirements()), ids=lambda r: r.name)
def test_dependency_has_a_range_and_a_pin_in_it(requirement: Requirement) -> None:
    assert any(part.operator == ">=" for part in requirement.specifier)
    assert pins()[canonicalize_name(requirement.name)] in requirement.specifier


def test_conda_environment_installs_this_package_as_constrained() -> None:
    python, *others = params.read_yaml(ROOT / "conda.yaml")["dependencies"]
    assert python.removeprefix("python=") in SpecifierSet(PROJECT["requires-python"])
    assert others == ["pip", {"pip": ["-c constraints.txt", "-e ."]}]


def test_stages_entry_points_and_commands_share_their_words() -> None:
    named = {"text", "code", "encoder", "baseline", "lab"}  # by other stages' words, or by none
    groups = {name.partition("-")[0] for name in STAGES} - named
    commands = {
        name.partition("_")[0]
        for module in ("main", "mlflow", "tools")
        for name in functions_of(f"cli/{module}.py")
    }
    assert groups == WORDS
    assert set(ENTRY_POINTS) - {"main"} == WORDS
    assert commands >= WORDS


def test_commands_of_stages_exist() -> None:
    for stage in STAGES.values():
        program, *words = re.sub(r"\$\{.*?\}", "NAME", stage["cmd"]).split()
        names = {words[0], "_".join(words[:2])}
        assert (program, bool(names & functions_of("cli/main.py"))) == ("xstilts", True), stage[
            "cmd"
        ]


def test_entry_points_name_stages() -> None:
    for entry in ENTRY_POINTS.values():
        given = {name: value.get("default") for name, value in entry.get("parameters", {}).items()}
        command = entry["command"].format_map({k: v or "NAME" for k, v in given.items()})
        path, program, verb, stage = command.split()
        assert (path, program, verb) == ("PYTHONPATH=src:$PYTHONPATH", "xstilts", "stage")
        assert stage.partition("@")[0] in STAGES


def test_stages_read_every_section_of_params_that_moves_a_score() -> None:
    keys = [key for stage in STAGES.values() for key in stage.get("params", [])]
    assert {key.partition(".")[0] for key in keys} == set(params.Params.model_fields) - {"run"}


def test_params_are_the_world_in_full(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(ROOT)
    made = tmp_path / "params.yaml"
    experiments.use_experiment(Path("experiments/world.yaml"), target=made)
    assert made.read_text() == (ROOT / "params.yaml").read_text(), (
        "xstilts use experiments/world.yaml"
    )


def test_files_that_begin_first_are_there() -> None:
    names = [path.name for path in (ROOT / "tests").rglob("test_*.py")]
    assert all(names.count(name) == 1 for name in LONG)


@pytest.mark.filterwarnings("ignore:_NoneStep:DeprecationWarning")  # of what DVC stands on
@pytest.mark.parametrize("experiment", EXPERIMENTS, ids=lambda path: path.stem)
def test_experiment_is_valid_and_its_graph_resolves(experiment: Path, tmp_path: Path) -> None:
    folder = new_repository(tmp_path / "repository")
    (folder / "dvc.yaml").write_text((ROOT / "dvc.yaml").read_text())
    chosen = experiments.resolve(experiment)
    params.write(chosen, folder / "params.yaml", "a test's")
    assert params.load(folder / "params.yaml").grid == chosen.grid
    grid = chosen.grid
    rows, targets, replicates = map(len, (grid.intermediates, grid.targets, grid.replicates))
    expected = 5 + replicates + 2 * rows + 2 * targets + rows * replicates * (1 + targets)
    expected += len(grid.more_baseline) * (2 + targets)
    with Repo(str(folder)) as repo:
        graph = repo.index.graph
    assert graph.number_of_nodes() == expected
    assert graph.number_of_edges() >= expected - 1


def test_git_ignores_every_output() -> None:
    outs = [
        "data/text",
        "data/target/xnli",
        "models/a",
        "cells/a/b/1",
        "reports/a",
        "code/a",
        "work/a",
        "kept/a",
    ]
    check = ["git", "check-ignore", "--no-index", *outs, "mlflow.db", ".venv/bin"]
    done = subprocess.run(check, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.stdout.split() == check[3:]
    kept = ["git", "check-ignore", "--no-index", "data/README.md", "studies/target/xnli.yaml"]
    assert subprocess.run(kept, cwd=ROOT, capture_output=True, check=False).returncode == 1


def imported(folder: Path, *words: str) -> set[str]:
    """Top-level packages that a command imports."""
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "xstilts", *words],
        cwd=folder,
        env=environment(folder),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-500:]
    names = re.findall(r"^import time:.*\|\s+([\w.]+)$", done.stderr, re.MULTILINE)
    return {name.partition(".")[0] for name in names}


@pytest.mark.parametrize("words", [["--help"], ["target", "--help"], ["tasks"]], ids=" ".join)
def test_light_command_imports_nothing_heavy(words: list[str]) -> None:
    assert imported(ROOT, *words) & HEAVY == set()


def test_study_without_trials_and_use_import_no_torch(tmp_path: Path) -> None:
    (tmp_path / "one.yaml").write_text("targets: {udpos: {}}\ngrid: {targets: [udpos]}")
    assert imported(tmp_path, "use", "one.yaml") & HEAVY == set()
    assert imported(tmp_path, "study", "target", "udpos") & HEAVY == set()
    assert (tmp_path / "studies/target/udpos.yaml").read_text() == "{}\n"


def test_help_takes_less_than_half_a_second() -> None:
    took_s = []
    for _ in range(3):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run(
            [sys.executable, "-m", "xstilts", "--help"],
            env=environment(ROOT),
            capture_output=True,
            check=True,
        )
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        took_s.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
        if took_s[-1] < 0.5:
            break
    assert min(took_s) < 0.5


def test_error_is_one_line_and_debug_shows_the_traceback(tmp_path: Path) -> None:
    for words, lines in (([], 1), (["--debug"], 5)):
        done = subprocess.run(
            [sys.executable, "-m", "xstilts", "target", "none", "xnli", *words],
            cwd=tmp_path,
            env=environment(tmp_path),
            capture_output=True,
            text=True,
            check=False,
        )
        assert "params.yaml: no such file" in done.stderr
        assert done.returncode == (1 if words else 2)
        assert (len(done.stderr.splitlines()) == 1) == (lines == 1)


@pytest.mark.parametrize(
    "path",
    sorted((ROOT / "src").rglob("*.py")),
    ids=lambda p: p.relative_to(ROOT).as_posix(),
)
def test_module_and_its_functions_are_short(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert text.count("\n") <= 400
    assert len(path.relative_to(ROOT / "src").parts) <= 4
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef)
    functions = [node for node in ast.walk(ast.parse(text)) if isinstance(node, kinds)]
    long = [node.name for node in functions if (node.end_lineno or 0) - node.lineno + 1 > 60]
    assert long == []


def test_dvc_finds_the_plots_templates_and_their_fields(tmp_path: Path) -> None:
    """As `dvc plots show` fills them in: no anchor is left, and every field is in the data."""
    folder = new_repository(tmp_path / "plots")
    shutil.copytree(ROOT / ".dvc/plots", folder / ".dvc/plots")
    (folder / "reports").mkdir()
    head = "intermediate,target,score,difference,low,high"
    lines = {
        "targets": f"{head},verdict,text\nmnli,xnli,56.0,6.0,5.0,7.0,up,+6.0 ▲\n",
        "languages": f"{head},language\nmnli,xnli,56.0,6.0,5.0,7.0,de\n",
    }
    for file, text in lines.items():
        (folder / f"reports/{file}.csv").write_text(text, encoding="utf-8")
    plots = params.read_yaml(ROOT / "dvc.yaml")["plots"]
    YAML().dump({"plots": plots}, folder / "dvc.yaml")
    shown = json.loads(dvc(folder, "plots", "show", "--json"))
    assert not shown.get("errors")
    assert set(shown["data"]) == {"reports/targets.csv", "reports/languages.csv"}
    for name, (plot,) in shown["data"].items():
        text = json.dumps(plot["content"])
        assert "<DVC_" not in text
        row = plot["content"]["data"]["values"][0]
        fields = set(re.findall(r'"field": "(\w+)"', text.split('"facet"', 1)[1]))
        assert fields <= set(row), name
