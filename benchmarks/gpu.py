"""What xstilts does on a GPU, in one run: the card's limits, parity with the CPU, speed, a cell.

    python benchmarks/gpu.py --out out            # on a GPU: XLM-R Large's shape, 6 minutes at most
    python benchmarks/gpu.py --out out --tiny     # on a CPU: tiny shapes, some minutes
    python benchmarks/gpu.py --out out --parts card loop

Each part of PARTS is a generator of cases (a name, a function that gives figures) and runs in a
process of its own under its own time limit (with --tiny, one forked after the imports, which take
longer than tiny cases). OUT/results.json is written after every case, so that
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
import math
import multiprocessing
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
    "with cuDNN": Part("gpu_loop:with_cudnn", 90),
    "cell": Part("gpu_cells:cell", 90),
    "profile": Part("gpu_loop:profile", 60),
    "flat": Part("gpu_layout:equal", 150, {"CUBLAS_WORKSPACE_CONFIG": ":4096:8"}),
    "flat speed": Part("gpu_layout:speed", 180),
    "study": Part("gpu_cells:study", 90),
    "mining": Part("gpu_card:mining", 60, _THREADS),
}
LEAST = 10.0  # seconds: with less, no part is begun
SLOW = 10  # times the limit where a CPU computes tiny shapes, perhaps beside much else
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
        context = Context(Path(work), tiny)
        for name in names:
            left = end - time.monotonic()
            found = results["parts"][name] = {"seconds": 0.0, "error": "", "cases": {}}
            if left < LEAST:
                found["error"] = f"skipped: {max(0.0, left):.0f} s of --minutes were left"
            else:
                limit = min(left, PARTS[name].seconds * (SLOW if tiny else 1))
                run_part(PARTS[name], context, limit, found, lambda: write(out, results))
            write(out, results)
            print(f"{name}: {found['seconds']:.0f} s {found['error'][-200:]}", flush=True)
    print((out / "table.md").read_text(encoding="utf-8"))
    parts = results["parts"].values()
    return int(any(p["error"] or any("error" in c for c in p["cases"].values()) for p in parts))


def run_part(
    part: Part, context: Context, limit: float, found: Figures, flush: Callable[[], None]
) -> None:
    """One part in a process group of its own, killed at its limit. found: filled case by case."""
    cases, log = context.work / "cases.jsonl", context.work / "log"
    cases.write_text("", encoding="utf-8")
    start = time.monotonic()
    process = _Forked(part, context, log) if context.tiny else _started(part, context, log)
    try:
        while process.poll() is None and time.monotonic() - start < limit:
            time.sleep(0.1)
            now = _read(cases)
            if len(now) > len(found["cases"]):
                found["cases"] = now
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


def _environment(part: Part) -> dict[str, str]:
    places = [str(HERE), str(HERE.parent / "src"), os.environ.get("PYTHONPATH", "")]
    return {
        "XSTILTS_TRACKING": "off",
        "HF_HUB_OFFLINE": "1",  # there is no network to wait for
        "PYTHONPATH": os.pathsep.join(filter(None, places)),
        **part.environment,
    }


def _started(part: Part, context: Context, log: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, str(HERE / "gpu.py"), "--one", part.cases, "--work"]
    with log.open("wb") as output:
        return subprocess.Popen(
            [*command, str(context.work)],
            stdout=output, stderr=subprocess.STDOUT, env={**os.environ, **_environment(part)},
            start_new_session=True,
        )  # fmt: skip


class _Forked:
    """As `_started`, from a process that has imported all and computed nothing."""

    def __init__(self, part: Part, context: Context, log: Path) -> None:
        fork = multiprocessing.get_context("forkserver")
        fork.set_forkserver_preload(
            ["gpu_parity", "gpu_loop", "gpu_layout", "gpu_cells", "xstilts.phases.target"]
        )
        self.process = fork.Process(target=_in_fork, args=(part, context, log))
        self.process.start()
        assert self.process.pid is not None
        self.pid = self.process.pid

    def poll(self) -> int | None:
        return self.process.exitcode

    def wait(self) -> int:
        self.process.join()
        return self.process.exitcode or 0


def _in_fork(part: Part, context: Context, log: Path) -> None:
    os.setsid()
    output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    for stream in (1, 2):
        os.dup2(output, stream)
    os.environ.update(_environment(part))
    run_cases(part.cases, context)


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
                wrong = [
                    k for k, v in figures.items() if isinstance(v, float) and not math.isfinite(v)
                ]
                if wrong:
                    raise ArithmeticError(f"not finite: {', '.join(wrong)}")
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
            lines += [f"Error: {_shown(part['error'].strip().splitlines()[-1])}", ""]
        by_keys: dict[tuple[str, ...], list[str]] = {}
        for case, figures in part["cases"].items():
            by_keys.setdefault(tuple(figures), []).append(case)
        for keys, cases in by_keys.items():
            lines += [*_table(keys, {case: part["cases"][case] for case in cases}), ""]
    (out / "table.md").write_text("\n".join(lines), encoding="utf-8")


def _table(keys: Sequence[str], cases: Mapping[str, Figures]) -> list[str]:
    """A line a case; a single case stands upright."""
    if len(cases) == 1:
        (case, figures), *_ = cases.items()
        return [f"| {case} | |", "|---|---:|", *(f"| {k} | {_shown(figures[k])} |" for k in keys)]
    lines = [f"| case | {' | '.join(keys)} |", "|---|" + "---:|" * len(keys)]
    for case, figures in cases.items():
        lines.append(f"| {case} | {' | '.join(_shown(figures[key]) for key in keys)} |")
    return lines


def _shown(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:,.1f}" if abs(value) >= 100 else f"{value:.3g}"
    return " ".join(str(value).split()).replace("|", "/")


if __name__ == "__main__":
    main()
