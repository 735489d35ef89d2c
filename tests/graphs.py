"""Graphs to try the driver on: a small one, and the real dvc.yaml with a stand-in for `xstilts`."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from xstilts import params
from xstilts.running import experiments

ROOT = Path(__file__).parent.parent
RAN = "ran.txt"

# Every command appends its words to ran.txt; $FAIL names one that breaks, $PAUSE_S slows all.
PREFACE = f"""\
import hashlib, os, shutil, sys, time
from pathlib import Path
words = [word for word in sys.argv[1:] if word != "--replicate"]
with open("{RAN}", "a") as file:
    file.write(" ".join(words) + "\\n")
time.sleep(float(os.environ.get("PAUSE_S", 0)))
if os.environ.get("FAIL") == " ".join(words):
    print("params.yaml: it broke; expected better; mend it", file=sys.stderr)
    sys.exit(2)
"""
STEP = (
    PREFACE
    + 'Path(words[0] + ".txt").write_text(" ".join([*words, Path("seed.txt").read_text()]))\n'
)

# Output bytes follow from the stage's words, its own settings and its inputs, as the real ones do.
XSTILTS = f"""\
#!{sys.executable}
{PREFACE}
kind, names = words[0], words[1:]
if kind == "code":  # of the copy's sources; the import writes bytecode beside them
    from xstilts import code
    code.write(Path("code"))
    sys.exit()
from ruamel.yaml import YAML
settings = YAML(typ="safe").load(Path("params.yaml"))
replicate = names[-1] if kind in ("intermediate", "target") else ""
if kind == "pretrain" and names:
    kind, replicate = "encoder", names[-1]
out, needs, section = {{
    "data": lambda: (Path("data", *names), [], settings["source"]),
    "pretrain": lambda: (Path("models/pretrain"), ["data/text"], settings["pretrain"]),
    "encoder": lambda: (Path("models/encoder", replicate), ["models/pretrain"], ""),
    "study": lambda: (Path("studies", *names), [], ""),
    "intermediate": lambda: (
        Path("models", *words),
        [f"models/encoder/{{replicate}}", f"data/intermediate/{{names[0]}}"],
        settings["intermediates"][names[0]],
    ),
    "target": lambda: (
        Path("cells", *names),
        [f"models/intermediate/{{names[0]}}/{{replicate}}", f"data/target/{{names[1]}}"],
        settings["targets"][names[1]],
    ),
    "report": lambda: (Path("reports"), ["cells"], settings["grid"]),
}}[kind]()
if kind == "study":
    out.parent.mkdir(parents=True, exist_ok=True)
    Path(f"{{out}}.yaml").write_text("{{}}\\n")
else:
    files = sorted(file for need in needs for file in Path(need).rglob("*.txt"))
    inputs = [file.read_text() for file in files]
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    text = repr((words, section, inputs))
    Path(out, "card.txt").write_text(hashlib.sha256(text.encode()).hexdigest())
"""


def new_repository(folder: Path) -> Path:
    """An empty git repository with this project's DVC configuration."""
    folder.mkdir(parents=True)
    subprocess.run(["git", "init", "--quiet"], cwd=folder, check=True)
    (folder / ".dvc").mkdir()
    for name in (".dvc/config", ".dvc/.gitignore", ".dvcignore", ".gitignore"):
        shutil.copy(ROOT / name, folder / name)
    return folder


def small_graph(folder: Path) -> Path:
    """seed -> a -> b, c -> d; and e alone."""
    new_repository(folder)
    (folder / "step.py").write_text(STEP)
    (folder / "seed.txt").write_text("1")
    needs = {"a": ["seed"], "b": ["a"], "c": ["a"], "d": ["b", "c"], "e": ["seed"]}
    stages = {
        name: {
            "cmd": f"{sys.executable} step.py {name}",
            "deps": [f"{need}.txt" for need in inputs],
            "outs": [f"{name}.txt"],
        }
        for name, inputs in needs.items()
    }
    YAML().dump({"stages": stages}, folder / "dvc.yaml")
    return folder


def real_graph(folder: Path, grid: dict[str, Any]) -> Path:
    """The repository's dvc.yaml, the world's params but the grid, a stand-in for `xstilts`."""
    new_repository(folder)
    shutil.copy(ROOT / "dvc.yaml", folder)
    ignored = shutil.ignore_patterns("__pycache__", ".*_cache")
    shutil.copytree(ROOT / "src", folder / "src", ignore=ignored)
    world = experiments.resolve(ROOT / "experiments/world.yaml")
    chosen = world.model_copy(update={"grid": params.GridSettings(**grid)})
    params.write(chosen, folder / "params.yaml", "a test's")
    (folder / "bin").mkdir()
    (folder / "bin/xstilts").write_text(XSTILTS)
    (folder / "bin/xstilts").chmod(0o755)
    return folder


def copy(folder: Path, to: Path) -> Path:
    return shutil.copytree(folder, to, symlinks=True, ignore=shutil.ignore_patterns("tmp"))


def environment(folder: Path, **more: str) -> dict[str, str]:
    """Bytecode is written, the stand-in comes first, the copy's sources are imported."""
    inherited = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    path = os.pathsep.join([str(folder / "bin"), os.environ["PATH"]])
    source = folder / "src" if (folder / "src").exists() else ROOT / "src"
    return {**inherited, "PATH": path, "PYTHONPATH": str(source), "COLUMNS": "200", **more}


def driver(folder: Path, jobs: int = 2, **more: str) -> subprocess.Popen[str]:
    code = f"import sys; from xstilts.running.grid import run_grid; sys.exit(run_grid({jobs}))"
    return subprocess.Popen(
        [sys.executable, "-c", code],
        cwd=folder,
        env=environment(folder, **more),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def run_driver(folder: Path, jobs: int = 2, **more: str) -> tuple[int, str]:
    process = driver(folder, jobs, **more)
    text, _ = process.communicate(timeout=300)
    return process.returncode, text


def dvc(folder: Path, *words: str, **more: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "dvc", *words],
        cwd=folder,
        env=environment(folder, **more),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def ran(folder: Path) -> list[str]:
    """The commands that ran since the last call, sorted."""
    file = folder / RAN
    lines = sorted(file.read_text().splitlines()) if file.exists() else []
    file.unlink(missing_ok=True)
    return lines


def outputs(folder: Path) -> dict[str, str]:
    """Digest of every output file, by path."""
    kinds = ("code", "data", "models", "cells", "studies", "reports")
    files = [file for kind in kinds for file in (folder / kind).rglob("*")]
    files += [file for file in folder.glob("?.txt")]
    return {
        str(file.relative_to(folder)): hashlib.sha256(file.read_bytes()).hexdigest()
        for file in sorted(files)
        if file.is_file()
    }


def locked(folder: Path) -> dict[str, Any]:
    """What dvc.lock says of every stage, whatever order they ran in."""
    return dict(params.read_yaml(folder / "dvc.lock")["stages"])
