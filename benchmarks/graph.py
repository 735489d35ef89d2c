"""What DVC costs beside the trainings: planning and one stage of a grid of 1,109, then and now.

    python benchmarks/graph.py e77df5f
    python benchmarks/graph.py e77df5f --rows 10 --targets 33 --replicates 3 --rounds 3

The graph of dvc.yaml, of a git revision and of the working tree, each in a repository of its own
with a command `xstilts` that only writes its output. All is up to date; then, round after round:

    plan   what `xstilts grid` does before it starts a stage (`running.graph.read_graph`)
    stage  `dvc repro --single-item` of one cell

Prints CPU seconds of each round, the medians and their ratio. They hold on a busy machine, too.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
from itertools import product
from pathlib import Path

ROOT = Path(__file__).parent.parent
NEEDED = ("src", "dvc.yaml", ".dvc", ".dvcignore", ".gitignore")
XSTILTS = """\
#!/bin/sh
case "$1" in
  code) for kind in data pretrain study intermediate target report; do
      mkdir -p code; echo "$kind" > "code/$kind.txt"; done; exit ;;
  data) out=data/$2/$3 ;;
  pretrain) out=${3:+models/encoder/$3}; out=${out:-models/pretrain} ;;
  study) out="studies/$2${3:+/$3}.yaml"; mkdir -p "${out%/*}"; echo "{}" > "$out"; exit ;;
  intermediate) out=models/intermediate/$2/$4 ;;
  target) out=cells/$2/$3/$5 ;;
  report) out=reports ;;
esac
mkdir -p "$out"; echo "$*" > "$out/card.json"
for name in metrics.json targets.csv; do echo "{}" > "$out/$name"; done
"""
PLAN = """\
from rich.console import Console
from xstilts.running.grid import read_graph
graph = read_graph(Console(stderr=True))
assert not graph.stale, graph.stale
print(len(graph.needs))
"""


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("before", help="A revision of git.")
    parser.add_argument("--rows", type=int, default=10)
    parser.add_argument("--targets", type=int, default=33)
    parser.add_argument("--replicates", type=int, default=3)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    size = (arguments.rows, arguments.targets, arguments.replicates)
    found: dict[str, dict[str, list[float]]] = {"plan": {}, "stage": {}}
    with tempfile.TemporaryDirectory() as parent:
        folders = {"before": Path(parent, "before"), "after": Path(parent, "after")}
        for name, folder in folders.items():
            build(folder, arguments.before if name == "before" else None, size)
            lines = len((folder / "dvc.lock").read_text().splitlines())
            print(f"{name}: dvc.lock has {lines} lines", flush=True)
        for _ in range(arguments.rounds):
            for name, folder in folders.items():
                stage = ["--single-item", "--force", "--no-run-cache", "target@r0-t0-1"]
                for what, words in (
                    ("plan", ["-c", PLAN]),
                    ("stage", ["-m", "dvc", "repro", *stage]),
                ):
                    seconds, text = cpu_s(folder, words)
                    found[what].setdefault(name, []).append(seconds)
                    stages = f" of {text.split()[0]} stages" if what == "plan" else ""
                    print(f"{name}: {what}{stages} {seconds:.1f} s of CPU", flush=True)
    for what, rounds in found.items():
        before, after = (statistics.median(rounds[name]) for name in folders)
        print(f"{what}: {before:.1f} -> {after:.1f} s of CPU, {after / before:.0%}")


def build(folder: Path, revision: str | None, size: tuple[int, int, int]) -> None:
    """A repository in which every stage is up to date: outputs written, then `dvc commit`."""
    folder.mkdir()
    if revision is None:
        for name in NEEDED:
            copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
            copy(ROOT / name, folder / name)
        for name in ("cache", "tmp"):
            shutil.rmtree(folder / ".dvc" / name, ignore_errors=True)
    else:
        archive = subprocess.run(
            ["git", "archive", revision, *NEEDED], cwd=ROOT, check=True, stdout=subprocess.PIPE
        )
        subprocess.run(["tar", "x"], cwd=folder, check=True, input=archive.stdout)
    subprocess.run(["git", "init", "--quiet"], cwd=folder, check=True)
    (folder / "bin").mkdir()
    (folder / "bin/xstilts").write_text(XSTILTS)
    (folder / "bin/xstilts").chmod(0o755)
    rows, targets = ([f"{name}{i}" for i in range(n)] for name, n in zip("rt", size, strict=False))
    replicates = [str(number + 1) for number in range(size[2])]
    (folder / "params.yaml").write_text(json.dumps(settings(rows, targets, replicates)))
    commands = ["code", "data text", "study pretrain", "pretrain", "report"]
    for kind, names in (("intermediate", rows), ("target", targets)):
        commands += [f"{word} {kind} {name}" for word in ("data", "study") for name in names]
    commands += [f"intermediate {row} --replicate {r}" for row, r in product(rows, replicates)]
    for row, task, replicate in product(rows, targets, replicates):
        commands.append(f"target {row} {task} --replicate {replicate}")
    script = "".join(f"bin/xstilts {command}\n" for command in commands)
    subprocess.run(["sh"], cwd=folder, check=True, input=script.encode())
    cpu_s(folder, ["-m", "dvc", "commit", "--force", "--quiet"])


def settings(rows: list[str], targets: list[str], replicates: list[str]) -> dict[str, object]:
    """As much of params.yaml as dvc.yaml reads."""
    section = {"learning_rate": 0.00002, "epochs": 3, "batch_size": 32}
    return {
        "experiment": "graph",
        "source": {"name": "world", "path": "src/xstilts_world"},
        "pretrain": {"encoder": None},
        "training": {"seed": 1},
        "grid": {
            "intermediates": rows,
            "targets": targets,
            "replicates": [int(one) for one in replicates],
            "benchmark": "xtreme",
        },
        "study": {
            "pretrain": {"trials": 0},
            "intermediate": {row: {"trials": 0} for row in rows},
            "target": {task: {"trials": 0} for task in targets},
        },
        "intermediates": {row: {"members": {row: None}, **section} for row in rows},
        "targets": {task: section for task in targets},
    }


def cpu_s(folder: Path, words: list[str]) -> tuple[float, str]:
    """Seconds of CPU, user and system, of Python with these words and of its children."""
    path = os.pathsep.join([str(folder / "bin"), os.environ["PATH"]])
    environment = {**os.environ, "PATH": path, "PYTHONPATH": str(folder / "src")}
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(
        [sys.executable, *words],
        cwd=folder,
        env=environment,
        check=False,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        sys.exit(done.stdout)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, done.stdout


if __name__ == "__main__":
    main()
