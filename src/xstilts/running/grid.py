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
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from graphlib import TopologicalSorter
from pathlib import Path
from types import MappingProxyType

import psutil
from rich.console import Console, Group
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.text import Text

from xstilts.console import last_line, lasting
from xstilts.paths import LOGS
from xstilts.running.estimate import Estimates, left
from xstilts.running.graph import BUSY, Graph, locked_outputs, read_graph
from xstilts.running.signals import caught_signals
from xstilts.running.warming import warm_process

# One thread a process: n processes that share n cores otherwise wait for each other. The number of
# torch threads is a setting (training.threads), the same in every way of running.
THREADS = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"}
LATER = {"XSTILTS_TRACKING": "later"}  # MLflow hears of short trainings at the driver's end, once
WorkOf = Callable[[str], float | None]
POLL_S = 0.05
LOOK_S = {True: 1.0, False: 60.0}  # between two looks at what runs, on a terminal and in a log
STOP_S = 20.0  # for DVC to notice that its command is gone, and to finish writing dvc.lock


def unknown(_: str) -> float | None:
    """The work of a stage of which nothing is known."""
    return None


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
    ran: int = 0  # stages whose command did run


def run_grid(
    jobs: int,
    targets: Sequence[str] = (),
    gpus: Sequence[int] = (),
    work_of: WorkOf = unknown,
    apart: Mapping[str, str] = MappingProxyType({}),
    warm: bool = False,
) -> int:
    """Run what is stale among `targets` and all they need. 0, or 1 where a stage failed.

    jobs: stages at a time; 0: one for each of `gpus`, or a core. work_of: of a stage, as
    `estimate.work_of`. apart: of two stages with the same value the second waits for the first.
    warm: stages are forks of one process (cli/warm.py), which has not touched a GPU.
    Raises UserError where DVC cannot read the graph.
    """
    console = Console(stderr=True)
    graph = read_graph(console, targets)
    driver = Driver(graph, jobs or len(gpus) or cores(), console, gpus, Estimates(work_of), apart)
    warm = warm and bool(graph.stale)  # a look that finds nothing to do starts nothing
    with warm_process(warm, _environment(THREADS)) as driver.more, caught_signals() as signals:
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
    with caught_signals() as signals:
        try:
            while process.poll() is None and not signals:
                time.sleep(POLL_S)
        finally:
            _stop([process])
    return 128 + signals[0] if signals else process.returncode


class Driver:
    """Starts stages that are ready, a number at a time, and notes how they ended."""

    def __init__(
        self,
        graph: Graph,
        jobs: int,
        console: Console,
        gpus: Sequence[int] = (),
        estimates: Estimates | None = None,
        apart: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        self.graph = graph
        self.estimates = estimates or Estimates(unknown)
        self.apart = apart
        self.jobs = jobs
        self.gpus = gpus
        self.console = console
        self.running: dict[str, Running] = {}
        self.so_far = Progressed()
        self.sorter = TopologicalSorter(graph.needs)
        self.sorter.prepare()
        self.ready: list[str] = []  # what all its needs have ended for
        self.not_before: dict[str, float] = {}  # of a stage that found a lock
        self.outputs = locked_outputs()
        self.more: Mapping[str, str] = {}  # of the stages' environment

    def run(self, signals: Sequence[int]) -> None:
        """Run until nothing is left to start and nothing runs, or a signal came."""
        look = time.monotonic() + LOOK_S[self.console.is_terminal]
        with _shown(self.console, len(self.graph.needs)) as show:
            self._settle()
            while (self.ready or self.running) and not signals:
                self._start()
                if time.monotonic() >= look:
                    show(self._settled(), self._left(), self._running())
                    look = time.monotonic() + LOOK_S[self.console.is_terminal]
                if not self._collect():
                    time.sleep(POLL_S)
                self._settle()
        self.so_far.skipped = self._skipped()

    def _settle(self) -> None:
        """Gather what is ready, and note as done what of it needs no run."""
        while names := self.sorter.get_ready():
            for name in names:
                if self._may_be_stale(name):
                    self.ready.append(name)
                else:
                    self._done(name)
        self.ready.sort(key=lambda name: -self.graph.weight[name])

    def _done(self, name: str) -> None:
        self.so_far.done.add(name)
        self.sorter.done(name)

    def _skipped(self) -> dict[str, str]:
        """The stages that could not run, each with a failed one that it waited for."""
        lost = {name: name for name in self.so_far.failed}
        for name, needs in self.graph.needs.items():  # what is needed comes first
            if name not in lost and (gone := sorted(needs & lost.keys())):
                lost[name] = lost[gone[0]]
        return {name: cause for name, cause in lost.items() if name != cause}

    def _may_be_stale(self, name: str) -> bool:
        return name in self.graph.stale or bool(self.graph.inputs[name] & self.so_far.moved)

    def _start(self) -> None:
        for name in list(self.ready):
            if len(self.running) >= self.jobs:
                return
            busy = {self.apart[other] for other in self.running if other in self.apart}
            if self.apart.get(name) in busy:
                continue
            if self.not_before.get(name, 0.0) <= time.monotonic():
                self.ready.remove(name)
                gpu = self._least_busy()
                card = {} if gpu is None else {"CUDA_VISIBLE_DEVICES": str(gpu)}
                log = LOGS / f"{name.replace('/', '_')}.log"
                log.parent.mkdir(parents=True, exist_ok=True)
                with log.open("wb") as file:
                    process = subprocess.Popen(
                        _dvc("--single-item", name),
                        env=_environment(THREADS | LATER) | card | {**self.more},
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
                self.ready.append(name)
            else:
                self.so_far.failed[name] = error_line(text)
                self._say(name, f"FAILED after {took_s:.0f} s")  # why is said at the end, once
        return bool(ended)

    def _note_done(self, name: str, text: str, took_s: float) -> None:
        so_far = self.so_far
        self._done(name)
        if "didn't change, skipping" in text:
            return
        if now := locked_outputs():  # with those of a stage that has ended and is not noted yet
            so_far.moved |= {path for path in now if now[path] != self.outputs.get(path)}
            self.outputs = now
        else:
            so_far.moved |= self.graph.outputs[name]
        so_far.ran += 1
        self.estimates.keep(name, took_s)
        self._say(name, f"{took_s:.0f} s")

    def _say(self, name: str, what: str) -> None:
        count = f"[{self._settled()}/{len(self.graph.needs)}]"
        over = self.console.is_terminal or not (self.ready or self.running)
        left = "" if over else f"; left: {self._left()}"
        _print(self.console, f"{count} {name} {what}{left}")

    def _settled(self) -> int:
        return len(self.so_far.done) + len(self.so_far.failed)

    def _running(self) -> list[str]:
        """A line for each stage that runs: since when, and the last line of its log."""
        now = time.monotonic()
        return [
            f"{name} {lasting(now - stage.started)}  {last_line(stage.log).text}"
            for name, stage in self.running.items()
        ]

    def _left(self) -> str:
        """The time that is left, as far as stages like those that are left have run."""
        now, seconds = time.monotonic(), dict[str, float | None]()
        for name, stage in self.running.items():
            whole, said = self.estimates.seconds(name), last_line(stage.log).left_s
            seconds[name] = said if whole is None else max(said or 0.0, whole - now + stage.started)
        over = {*self.so_far.done, *self.so_far.failed, *self._skipped()}
        for name in self.graph.needs:
            if name not in over and name not in seconds:  # perhaps it will be up to date by then
                seconds[name] = self.estimates.seconds(name)
        known = {name: value for name, value in seconds.items() if value is not None}
        if not known:
            return "?"
        least = "" if len(known) == len(seconds) else "at least "
        return least + lasting(left(seconds, self.graph.needs, known, self.jobs))


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
def _shown(console: Console, total: int) -> Iterator[Callable[[int, str, list[str]], None]]:
    """A function that shows how many stages have ended, the time left, and the lines of what runs.

    On a terminal they stand below the lines of those that ended; in a log they are lines, too.
    """
    if not console.is_terminal:

        def tell(_: int, left: str, lines: list[str]) -> None:
            for line in (*lines, f"left: {left}"):
                _print(console, f"  {line}")

        yield tell
        return
    columns = (
        TextColumn("stages"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left: {task.fields[left]}"),
    )
    bar = Progress(*columns)
    task = bar.add_task("stages", total=total, left="?")
    with Live(bar, console=console, transient=True) as live:

        def show(done: int, left: str, lines: list[str]) -> None:
            bar.update(task, completed=done, left=left)
            texts = [Text(line, no_wrap=True, overflow="ellipsis") for line in lines]
            live.update(Group(*texts, bar))

        yield show


def _print(console: Console, line: str) -> None:
    """Print a line as it is: neither cut nor broken, nor read as markup."""
    console.print(line, markup=False, highlight=False, soft_wrap=True)


def _stop(processes: Sequence[subprocess.Popen[bytes]]) -> None:
    """End the commands that DVC runs and let DVC come to its end; after STOP_S kill both."""
    deadline = time.monotonic() + STOP_S
    alive = [psutil.Process(one.pid) for one in processes if one.poll() is None]
    while alive and time.monotonic() < deadline:
        _end(_below(alive), psutil.Process.terminate)  # again: DVC may not have started it yet
        _, alive = psutil.wait_procs(alive, timeout=0.2)
    _end([*alive, *_below(alive)], psutil.Process.kill)
    for process in processes:
        process.wait()


def _below(processes: Sequence[psutil.Process]) -> list[psutil.Process]:
    found = []
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            found += process.children(recursive=True)
    return found


def _end(processes: Sequence[psutil.Process], how: Callable[[psutil.Process], None]) -> None:
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            how(process)


def _summary(so_far: Progressed, console: Console) -> int:
    """Print what ran, what failed and why, what waited for it in vain; the exit status."""
    up_to_date = len(so_far.done) - so_far.ran
    failed = len(so_far.failed)
    _print(console, f"{so_far.ran} stages ran, {up_to_date} were up to date, {failed} failed")
    for name, line in so_far.failed.items():
        waited = sum(lost == name for lost in so_far.skipped.values())
        behind = f"; {waited} stages waited for it" if waited else ""
        _print(console, f"  {name}: {line}")
        _print(console, f"    {LOGS / name}.log{behind}")
    return 1 if so_far.failed else 0
