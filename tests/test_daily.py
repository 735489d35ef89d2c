"""docs/daily.md: its commands, in their order, in a copy of the repository; its mistakes."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from tests.graphs import environment
from tests.test_story import copy_of_the_repository
from xstilts.cli import main
from xstilts.running import experiments
from xstilts.tasks.catalogue import record

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs/daily.md").read_text(encoding="utf-8")


def commands() -> list[str]:
    """The indented lines of the page, without what follows `#`."""
    lines = [line[4:] for line in PAGE.splitlines() if line.startswith("    ")]
    return [line.partition("  #")[0].strip() for line in lines]


def mistakes() -> list[list[str]]:
    """The rows of the page's table."""
    rows = [line.strip("|").split("|") for line in PAGE.splitlines() if line.startswith("| `")]
    return [[cell.strip() for cell in row] for row in rows]


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository with the experiment `tiny` in params.yaml and no output."""
    folder = tmp_path_factory.mktemp("daily") / "repository"
    folder.mkdir()
    ignored = shutil.ignore_patterns("cache", "tmp")
    for name in ("experiments", ".dvc"):
        shutil.copytree(ROOT / name, folder / name, ignore=ignored)
    for name in ("dvc.yaml", ".dvcignore", ".gitignore"):
        shutil.copy(ROOT / name, folder / name)
    for name in ("docs", "src/xstilts", "src/xstilts_world"):
        (folder / name).mkdir(parents=True)
    experiments.use_experiment(folder / "experiments/tiny.yaml", target=folder / "params.yaml")
    for words in (["init", "--quiet"], ["add", "."], ["commit", "--quiet", "-m", "all"]):
        who = ["-c", "user.name=a test", "-c", "user.email=test@example.org"]
        subprocess.run(["git", *who, *words], cwd=folder, check=True)
    return folder


@pytest.mark.filterwarnings("ignore:_NoneStep.value:DeprecationWarning")  # DVC's
@pytest.mark.parametrize(("mistake", "answer"), mistakes(), ids=[m for m, _ in mistakes()])
def test_a_mistake_gets_the_answer_of_the_page(
    mistake: str,
    answer: str,
    bare: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder = shutil.copytree(bare, tmp_path / "repository", symlinks=True)
    command, *given = re.findall(r"`([^`]+)`", mistake)
    make(mistake, [text for text in given if ": " in text], folder, monkeypatch)
    monkeypatch.chdir(folder if "has no experiment" not in mistake else tmp_path)
    monkeypatch.setattr(sys, "argv", command.split())
    with pytest.raises(SystemExit) as left:
        main.main()
    said = capsys.readouterr()
    wanted = [".*".join(map(re.escape, line.split("…"))) for line in answer.split("<br>")]
    assert left.value.code == (1 if "MLflow" in mistake else 0 if "no trials" in mistake else 2)
    lines = (said.out + said.err).splitlines()
    assert any(re.fullmatch(f"(xstilts: )?{wanted[0]}", line) for line in lines), lines
    pattern = "\n".join(f"(xstilts: )?{line}" for line in wanted)
    assert re.search(pattern, said.out + said.err), said
    assert "Traceback" not in said.err
    assert not any((folder / name).exists() for name in ("data", "models", "cells", "reports"))


def make(mistake: str, settings: list[str], folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Bring about what the row says beside its command."""
    yaml = YAML()
    content = yaml.load(folder / "params.yaml")
    for text in settings:
        key, _, value = text.partition(": ")
        *sections, name = key.split(".")
        place = content
        for section in sections:
            place = place[section]
        place[name] = YAML(typ="safe").load(value)
    if settings:
        yaml.dump(content, folder / "params.yaml")
    if "has changes" in mistake:
        (folder / "params.yaml").write_text((folder / "params.yaml").read_text() + "# mine\n")
    if "0, 1 and 2" in mistake:
        for language in record("xnli").languages:
            for name, label in (("predictions", "0\n1\n2\n"), ("labels", "entailment\n" * 3)):
                file = folder / name / f"xnli/test-{language}.tsv"
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_text(label)
    if "MLflow down" in mistake:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    else:
        monkeypatch.setenv("XSTILTS_TRACKING", "off")


def seen_and_stopped(folder: Path, settings: dict[str, str]) -> str:
    """What `xstilts ui` says once it serves; then Ctrl-C, which ends it well."""
    command = [sys.executable, "-m", "xstilts", "ui"]
    process = subprocess.Popen(
        command, cwd=folder, env=settings, text=True, start_new_session=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    assert process.stdout is not None
    line = next((line for line in process.stdout if "http" in line), "")
    process.send_signal(signal.SIGINT)
    rest, _ = process.communicate(timeout=60)
    assert process.returncode == 0, line + rest
    return line


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_the_day_of_the_page(tmp_path: Path) -> None:
    """Each command ends well, and says what the page says that it says."""
    folder = tmp_path / "repository"
    copy_of_the_repository(folder)
    settings = environment(folder, PAGER="cat", GIT_PAGER="cat", COLUMNS="120")
    settings = {k: v for k, v in settings.items() if not k.startswith(("MLFLOW_", "PYTEST_"))}
    settings["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), settings["PATH"]])
    for name in ("AUTHOR", "COMMITTER"):
        settings |= {f"GIT_{name}_NAME": "a test", f"GIT_{name}_EMAIL": "test@example.org"}

    def run(command: str) -> str:
        if command == "xstilts ui":
            return seen_and_stopped(folder, settings)
        done = subprocess.run(
            ["bash", "-c", command], cwd=folder, env=settings, text=True, check=False,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        assert done.returncode == 0, f"{command}\n{done.stdout}"
        return done.stdout

    run("git init --quiet; git add -A; git commit --quiet -m all")
    said = {}
    for command in commands():
        said[command] = run(command)
        if command == "dvc queue start":
            run("while dvc queue status | grep -qE 'Queued|Running'; do sleep 2; done")
        if " -S targets.tatoeba.layer=2" in command:
            assert run("git diff --numstat params.yaml").split() == ["1", "1", "params.yaml"]
    assert "0 failed" in said["xstilts grid --jobs 2"]
    for command in ("dvc metrics show", "dvc exp show --only-changed --no-pager"):
        assert max(map(len, said[command].splitlines())) <= 120, said[command]
    assert "targets.tatoeba.layer" in said["dvc params diff"]
    assert said["dvc queue status"].count("Success") == 2
    assert "viewStateShareKey=" in said["xstilts ui"]
    assert "+tried:" in said["git diff studies/target/xnli.yaml"]
    assert json.loads(said[next(c for c in said if c.startswith("xstilts predict"))])
    assert "Updating" not in run("dvc repro")
    run("git clone --quiet . ../there")
    folder = tmp_path / "there"
    settings["PYTHONPATH"] = str(folder / "src")
    run("dvc pull")
    assert re.search(r"0 stages ran, \d+ were up to date, 0 failed", run("xstilts grid"))
