"""The driver that runs stages in parallel, each under DVC, and says how they went.

DVC says what the graph is and what is stale; this driver starts every ready stage as its own
`dvc repro --single-item`, so cache, lock file and links stay DVC's work and the bytes are those of
plain `dvc repro`. What leaves: outputs on disk, work/logs/STAGE.log, an exit status.

A driver that is killed loses nothing: what had ended is in dvc.lock, a command that was stopped
resumes from its checkpoint, and a stage that an orphan still runs is waited for.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

import psutil
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from xstilts.paths import LOGS
from xstilts.running.graph import BUSY, Graph, group_of, locked_outputs, read_graph

# One thread a process: n processes that share n cores otherwise wait for each other. The number of
# torch threads is a setting (training.threads), the same in every way of running.
THREADS = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"}
LATER = {"XSTILTS_TRACKING": "later"}  # MLflow hears of short trainings at the driver's end, once
POLL_S = 0.05
STOP_S = 20.0  # for DVC to notice that its command is gone, and to finish writing dvc.lock


@dataclass
class Running:
    """A stage that runs, since when, and its log."""

    process: subprocess.Popen[bytes]
    log: Path
    started: float
    gpu: int | None  # the card that it has, as CUDA counts them; None: what the machine has


@dataclass
class Progressed:
    """What happened to each stage so far."""

    done: set[str] = field(default_factory=set)
    moved: set[str] = field(default_factory=set)  # outputs that are not what they were
    failed: dict[str, str] = field(default_factory=dict)  # -> the last line of its error
    skipped: dict[str, str] = field(default_factory=dict)  # -> the stage it waited for
    took_s: dict[str, list[float]] = field(default_factory=dict)  # by group, of stages that ran


def run_grid(jobs: int, targets: Sequence[str] = (), gpus: Sequence[int] = ()) -> int:
    """Run what is stale among `targets` and all they need. 0, or 1 where a stage failed.

    jobs: stages at a time; 0: one for each of `gpus`, or a core. Raises UserError where DVC cannot
    read the graph.
    """
    console = Console(stderr=True)
    graph = read_graph(console, targets)
    driver = Driver(graph, jobs or len(gpus) or cores(), console, gpus)
    with _signals() as signals:
        try:
            driver.run(signals)
        finally:
            _stop([stage.process for stage in driver.running.values()])
    if signals:
        console.print("stopped; `xstilts grid` goes on from here", highlight=False)
        return 128 + signals[0]
    return _summary(driver.so_far, console)


def run_stage(name: str) -> int:
    """`dvc repro NAME`, upstream included; the exit status of DVC.

    The run that `mlflow run` opened is handed on as XSTILTS_PARENT_RUN: as MLFLOW_RUN_ID the first
    stage that logs would take it for its own.
    """
    environment = _environment({})
    if parent := environment.pop("MLFLOW_RUN_ID", ""):
        environment["XSTILTS_PARENT_RUN"] = parent
    process = subprocess.Popen(_dvc(name), env=environment)
    with _signals() as signals:
        try:
            while process.poll() is None and not signals:
                time.sleep(POLL_S)
        finally:
            _stop([process])
    return 128 + signals[0] if signals else process.returncode


class Driver:
    """Starts stages that are ready, a number at a time, and notes how they ended."""

    def __init__(self, graph: Graph, jobs: int, console: Console, gpus: Sequence[int] = ()) -> None:
        self.graph = graph
        self.jobs = jobs
        self.gpus = gpus
        self.console = console
        self.running: dict[str, Running] = {}
        self.so_far = Progressed()
        self.waiting = sorted(graph.needs, key=lambda name: -graph.weight[name])
        self.not_before: dict[str, float] = {}  # of a stage that found a lock
        self.outputs = locked_outputs()

    def run(self, signals: Sequence[int]) -> None:
        """Run until nothing is left to start and nothing runs, or a signal came."""
        with _progress(self.console, len(self.waiting)) as bar:
            while (self.waiting or self.running) and not signals:
                moved = self._settle()
                self._start()
                moved = self._collect() or moved
                bar.update(bar.task_ids[0], completed=self._settled(), left=self._left())
                if not moved:
                    time.sleep(POLL_S)

    def _settle(self) -> bool:
        """Take out of `waiting` the stages that need no run or cannot run; whether any were."""
        so_far, before = self.so_far, len(self.waiting)
        for name in list(self.waiting):
            needs = self.graph.needs[name]
            lost = next((need for need in sorted(needs) if need in so_far.failed), "") or next(
                (so_far.skipped[need] for need in sorted(needs) if need in so_far.skipped), ""
            )
            if lost:
                so_far.skipped[name] = lost
                self.waiting.remove(name)
            elif needs <= so_far.done and not self._may_be_stale(name):
                so_far.done.add(name)
                self.waiting.remove(name)
        return len(self.waiting) < before

    def _may_be_stale(self, name: str) -> bool:
        return name in self.graph.stale or bool(self.graph.inputs[name] & self.so_far.moved)

    def _start(self) -> None:
        for name in list(self.waiting):
            if len(self.running) >= self.jobs:
                return
            ready = self.graph.needs[name] <= self.so_far.done and self._may_be_stale(name)
            if ready and self.not_before.get(name, 0.0) <= time.monotonic():
                self.waiting.remove(name)
                gpu = self._least_busy()
                card = {} if gpu is None else {"CUDA_VISIBLE_DEVICES": str(gpu)}
                log = LOGS / f"{name.replace('/', '_')}.log"
                log.parent.mkdir(parents=True, exist_ok=True)
                with log.open("wb") as file:
                    process = subprocess.Popen(
                        _dvc("--single-item", name),
                        env=_environment(THREADS | LATER) | card,
                        stdin=subprocess.DEVNULL,
                        stdout=file,
                        stderr=subprocess.STDOUT,
                        start_new_session=True,  # a terminal's Ctrl-C reaches the driver alone
                    )
                self.running[name] = Running(process, log, time.monotonic(), gpu)

    def _least_busy(self) -> int | None:
        """The card with the fewest stages on it, of those that were named."""
        busy = [stage.gpu for stage in self.running.values()]
        return min(self.gpus, key=busy.count, default=None)

    def _collect(self) -> bool:
        """Note every stage that ended; whether there was one."""
        running = self.running.items()
        ended = [name for name, stage in running if stage.process.poll() is not None]
        for name in ended:
            stage = self.running.pop(name)
            text = stage.log.read_text(encoding="utf-8", errors="replace")
            took_s = time.monotonic() - stage.started
            if stage.process.returncode == 0:
                self._note_done(name, text, took_s)
            elif any(words in text for words in BUSY):
                self.not_before[name] = time.monotonic() + random.uniform(0.5, 3.0)
                self.waiting.append(name)
            else:
                self.so_far.failed[name] = error_line(text)
                self._say(name, f"FAILED: {self.so_far.failed[name]}")
        return bool(ended)

    def _note_done(self, name: str, text: str, took_s: float) -> None:
        so_far = self.so_far
        so_far.done.add(name)
        if "didn't change, skipping" in text:
            return
        if now := locked_outputs():  # with those of a stage that has ended and is not noted yet
            so_far.moved |= {path for path in now if now[path] != self.outputs.get(path)}
            self.outputs = now
        else:
            so_far.moved |= self.graph.outputs[name]
        so_far.took_s.setdefault(group_of(name), []).append(took_s)
        self._say(name, f"{took_s:.0f} s")

    def _say(self, name: str, what: str) -> None:
        count = f"[{self._settled()}/{len(self.graph.needs)}]"
        left = "" if self.console.is_terminal else f"; left: {self._left()}"
        self.console.print(f"{count} {name} {what}{left}", markup=False, highlight=False)

    def _settled(self) -> int:
        return len(self.so_far.done) + len(self.so_far.failed) + len(self.so_far.skipped)

    def _left(self) -> str:
        """The time that is left, estimated from the stages of each group that ran."""
        took_s = self.so_far.took_s
        every = [seconds for group in took_s.values() for seconds in group]
        if not every:
            return "?"
        names = [*self.waiting, *self.running]
        means = [took_s.get(group_of(name), every) for name in names]
        seconds = sum(sum(mean) / len(mean) for mean in means) / self.jobs
        return f"{seconds / 60:.1f} min"


def error_line(text: str) -> str:
    """The line of a stage's log that says what went wrong: its command's last, else DVC's."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    of_dvc = ("ERROR:", "WARNING:", "Running stage", "> ")
    of_command = [line for line in lines if not line.startswith(of_dvc)]
    return (of_command or lines or ["it said nothing"])[-1]


def _dvc(*words: str) -> list[str]:
    return [sys.executable, "-m", "dvc", "--wait-for-lock", "repro", *words]


def _environment(more: Mapping[str, str]) -> dict[str, str]:
    """Our environment over `more`; with our venv's commands on the path, be it active or not."""
    beside = str(Path(sys.executable).parent)
    path = os.pathsep.join(filter(None, [os.environ.get("PATH"), beside]))
    return {**more, **os.environ, "PATH": path}


def cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@contextmanager
def _progress(console: Console, total: int) -> Iterator[Progress]:
    columns = (
        TextColumn("stages"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left: {task.fields[left]}"),
    )
    with Progress(*columns, console=console, disable=not console.is_terminal) as bar:
        bar.add_task("stages", total=total, left="?")
        yield bar


@contextmanager
def _signals() -> Iterator[list[int]]:
    """The SIGINT and SIGTERM that came while the block ran, which they do not interrupt."""
    came: list[int] = []  # uninterrupted, no child is lost between its start and our note of it

    def note(number: int, _: FrameType | None) -> None:
        came.append(number)

    before = {name: signal.signal(name, note) for name in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield came
    finally:
        for name, handler in before.items():
            signal.signal(name, handler)


def _stop(processes: Sequence[subprocess.Popen[bytes]]) -> None:
    """End the commands that DVC runs and let DVC come to its end; after STOP_S kill both."""
    deadline = time.monotonic() + STOP_S
    while alive := [process for process in processes if process.poll() is None]:
        late = time.monotonic() > deadline
        for process in alive:
            for child in _descendants(process.pid):
                _end(child, late)
            if late:
                process.kill()
        time.sleep(0.1)


def _descendants(pid: int) -> list[psutil.Process]:
    try:
        return list(psutil.Process(pid).children(recursive=True))
    except psutil.NoSuchProcess:
        return []


def _end(process: psutil.Process, at_once: bool) -> None:
    with suppress(psutil.NoSuchProcess):
        process.kill() if at_once else process.terminate()


def _summary(so_far: Progressed, console: Console) -> int:
    """Print what ran, what failed and why, what waited for it in vain; the exit status."""
    ran = sum(map(len, so_far.took_s.values()))
    text = f"{ran} stages ran, {len(so_far.done) - ran} were up to date"
    console.print(f"{text}, {len(so_far.failed)} failed", highlight=False)
    for name, line in so_far.failed.items():
        waited = [other for other, lost in so_far.skipped.items() if lost == name]
        console.print(f"  {name}: {line}", markup=False, highlight=False)
        behind = f"; {len(waited)} stages waited for it" if waited else ""
        console.print(f"    {LOGS / name}.log{behind}", markup=False, highlight=False)
    return 1 if so_far.failed else 0
