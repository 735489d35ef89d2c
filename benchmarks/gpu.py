"""What xstilts does on a GPU, in one run: the card's limits, parity with the CPU, speed, a cell.

    python benchmarks/gpu.py --out out                  # on a GPU: XLM-R Large's full shape, minutes
    python benchmarks/gpu.py --out out --tiny           # on a CPU: tiny shapes, under a minute
    python benchmarks/gpu.py --out out --parts card loop

Each part of PARTS is a generator of cases (a name, a function that gives figures) and runs in a
process of its own under its own time limit. OUT/results.json is written after every case, so that
what was measured stays when a later case fails, hangs or runs out of time; OUT/table.md has the
same as tables. Exit status 1: a part failed. Parts stand by value: the last ones are skipped, and
said to be, when --minutes are over. A new part is a generator and a line of PARTS.

The machine needs torch, transformers and accelerate, and neither a network nor mlflow, dvc,
datasets. Where it lacks pydantic, ruamel.yaml or optuna, carry their wheels: on a machine with a
network `pip download --no-deps --only-binary=:all: --python-version 3.12 --platform
manylinux2014_x86_64 -d .whl NAME==VERSION` for pydantic, pydantic-core, annotated-types,
typing-inspection, typing-extensions, ruamel.yaml, ruamel.yaml.clib, optuna and colorlog with the
versions of constraints.txt, and there `pip install --no-index --no-deps --target site .whl/*.whl`
and PYTHONPATH=site:src. Optuna's journal needs neither sqlalchemy nor alembic.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
Figures = dict[str, Any]  # of one case: finite numbers, and short texts
Cases = Iterator[tuple[str, Callable[[], Figures]]]


@dataclass(frozen=True)
class Context:
    """What a part is told. work: a folder that all parts of a run share and that goes with it."""

    work: Path
    tiny: bool


@dataclass(frozen=True)
class Part:
    """cases: `module:function`, Context -> Cases. seconds: its limit."""

    cases: str
    seconds: float
    environment: Mapping[str, str] = field(default_factory=dict)


_THREADS = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), str(os.cpu_count() or 1))
PARTS = {
    "card": Part("gpu_card:card", 45),
    # cuBLAS is deterministic with a workspace of its own (torch.use_deterministic_algorithms)
    "parity": Part("gpu_parity:parity", 75, {"CUBLAS_WORKSPACE_CONFIG": ":4096:8"}),
    "loop": Part("gpu_loop:loop", 150),
    "cell": Part("gpu_cells:cell", 90),
    "profile": Part("gpu_loop:profile", 60),
    "study": Part("gpu_cells:study", 90),
    "mining": Part("gpu_card:mining", 60, _THREADS),
}
LEAST = 10.0  # seconds: with less, no part is begun
TAIL = 3000  # characters of a failed part's output that are kept


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, help="a folder for results.json and table.md")
    parser.add_argument("--parts", nargs="+", default=list(PARTS), choices=list(PARTS))
    parser.add_argument("--tiny", action="store_true", help="tiny shapes, for a CPU")
    parser.add_argument("--minutes", type=float, default=6.0, help="for all parts together")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    parser.add_argument("--work", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        run_cases(arguments.one, Context(arguments.work, arguments.tiny))
        return
    if arguments.out is None:
        parser.error("--out DIR is required")
    sys.exit(run_parts(arguments.out, arguments.parts, arguments.tiny, 60 * arguments.minutes))


def run_parts(out: Path, names: Sequence[str], tiny: bool, seconds: float) -> int:
    """Every part in turn; 1 where one failed or was skipped. out: results.json, table.md."""
    out.mkdir(parents=True, exist_ok=True)
    end = time.monotonic() + seconds
    results: dict[str, Any] = {"tiny": tiny, "parts": {}}
    with tempfile.TemporaryDirectory() as work:
        for name in names:
            left = end - time.monotonic()
            found = results["parts"][name] = {"seconds": 0.0, "error": "", "cases": {}}
            if left < LEAST:
                found["error"] = f"skipped: {max(0.0, left):.0f} s of --minutes were left"
            else:
                command = ["--work", work, *(["--tiny"] if tiny else [])]
                run_part(PARTS[name], command, min(left, PARTS[name].seconds), found,
                         lambda: write(out, results))  # fmt: skip
            write(out, results)
            print(f"{name}: {found['seconds']:.0f} s {found['error'][:200]}", flush=True)
    print((out / "table.md").read_text(encoding="utf-8"))
    parts = results["parts"].values()
    failed = any(part["error"] or any("error" in c for c in part["cases"].values()) for part in parts)
    return int(failed)


def run_part(
    part: Part, command: Sequence[str], limit: float, found: Figures, flush: Callable[[], None]
) -> None:
    """One part in a process group of its own, killed at its limit. found: filled case by case."""
    work = Path(command[1])
    cases, log = work / "cases.jsonl", work / "log"
    cases.write_text("", encoding="utf-8")
    places = [str(HERE), str(HERE.parent / "src"), os.environ.get("PYTHONPATH", "")]
    environment = {
        **os.environ,
        "XSTILTS_TRACKING": "off",
        "PYTHONPATH": os.pathsep.join(filter(None, places)),
        **part.environment,
    }
    start = time.monotonic()
    with log.open("w", encoding="utf-8") as output:
        process = subprocess.Popen(
            [sys.executable, str(HERE / "gpu.py"), "--one", part.cases, *command],
            stdout=output, stderr=subprocess.STDOUT, env=environment, start_new_session=True,
        )  # fmt: skip
        try:
            while process.poll() is None and time.monotonic() - start < limit:
                time.sleep(0.1)
                if found["cases"] != (found["cases"] | _read(cases)):
                    found["cases"] = _read(cases)
                    flush()
        finally:
            late = process.poll() is None
            if late:
                os.killpg(process.pid, signal.SIGKILL)
            status = process.wait()
    found["cases"], found["seconds"] = _read(cases), round(time.monotonic() - start, 1)
    if status:
        what = f"stopped at its limit of {limit:.0f} s" if late else f"exit status {status}"
        found["error"] = f"{what}: {log.read_text(encoding='utf-8', errors='replace')[-TAIL:]}"


def _read(cases: Path) -> dict[str, Figures]:
    """Whole lines alone: the part may be writing the last."""
    lines = cases.read_text(encoding="utf-8").split("\n")[:-1]
    return dict(json.loads(line) for line in lines)


def run_cases(where: str, context: Context) -> None:
    """In the part's own process: every case, a failed one beside the others."""
    module, function = where.split(":")
    with (context.work / "cases.jsonl").open("a", encoding="utf-8") as file:
        for name, case in getattr(import_module(module), function)(context):
            start = time.monotonic()
            try:
                figures = case()
            except Exception as error:  # the others go on, and this one is reported
                import traceback

                traceback.print_exc()
                last = traceback.extract_tb(error.__traceback__)[-1]
                place = f"{Path(last.filename).name}:{last.lineno}"
                figures = {"error": f"{type(error).__name__} at {place}: {str(error)[:500]}"}
            figures["case_s"] = round(time.monotonic() - start, 2)
            file.write(json.dumps([name, figures]) + "\n")
            file.flush()


def write(out: Path, results: Mapping[str, Any]) -> None:
    (out / "results.json").write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    lines = []
    for name, part in results["parts"].items():
        lines += [f"## {name} ({part['seconds']} s)", ""]
        if part["error"]:
            lines += ["Error: " + part["error"].splitlines()[-1 if "\n" in part["error"] else 0], ""]
        keys = list(dict.fromkeys(key for case in part["cases"].values() for key in case))
        if keys:
            lines += [f"| case | {' | '.join(keys)} |", "|---|" + "---:|" * len(keys)]
            for case, figures in part["cases"].items():
                shown = [_shown(figures.get(key, "")) for key in keys]
                lines.append(f"| {case} | {' | '.join(shown)} |")
            lines.append("")
    (out / "table.md").write_text("\n".join(lines) + "\n", encoding="utf-8")


def _shown(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:,.1f}" if abs(value) >= 100 else f"{value:.3g}"
    return " ".join(str(value).split()).replace("|", "/")


if __name__ == "__main__":
    main()
