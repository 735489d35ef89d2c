"""Trials in processes of their own: torch's seeds and threads are a process's, not a thread's.

A process tries one trial after another and ends with the study's own process, however that ends.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from types import FrameType

from xstilts.errors import UserError
from xstilts.studies.pruning import Pruned
from xstilts.studies.space import Trial, Tried

Objective = Callable[[Trial], tuple[float, tuple[float, ...]]]  # (score, curve of the best so far)
Make = Callable[[], Objective]  # called once in each process, before the first trial's time begins
STOP_S = 10.0  # for a process that is to end


@dataclass(frozen=True)
class Worker:
    """A process, and the pipe that trials go to and what became of them comes from."""

    process: BaseProcess
    pipe: Connection


def attempt(objective: Objective, trial: Trial) -> Tried:
    """Run a trial. Raises UserError where params' own values fail: no matter of searching."""
    start = time.monotonic()
    try:
        score, curve = objective(trial)
    except Pruned as pruned:
        return Tried(trial, "pruned", pruned.curve[-1], pruned.curve, time.monotonic() - start)
    except UserError as error:
        if trial.place == 0:
            raise
        return Tried(trial, "failed", None, (), time.monotonic() - start, str(error))
    return Tried(trial, "complete", score, curve, time.monotonic() - start)


@contextmanager
def working(make: Make, jobs: int) -> Iterator[Callable[[Sequence[Trial]], Iterable[Tried]]]:
    """A function from trials to what became of them, as they end; `jobs` of them at a time.

    One at a time is tried in this process; for more, `make` must pickle.
    """
    if jobs == 1:
        made = cache(make)
        yield lambda trials: (attempt(made(), trial) for trial in trials)
        return
    workers: list[Worker] = []
    try:
        yield lambda trials: _dispatched(workers, make, jobs, trials)
    except BaseException:
        for worker in workers:
            worker.process.terminate()  # in the midst of a trial
        raise
    finally:
        for worker in workers:
            worker.pipe.close()  # which ends a process that waits for a trial
        for worker in workers:
            worker.process.join(STOP_S)
            worker.process.kill()


def _dispatched(
    workers: list[Worker], make: Make, jobs: int, trials: Sequence[Trial]
) -> Iterator[Tried]:
    """What became of each trial, as they end. Raises what a trial raised, after those that ended.

    UserError where a process was killed.
    """
    waiting, busy = deque(trials), dict[Connection, Trial]()
    while waiting or busy:
        while waiting and len(busy) < jobs:
            if len(workers) == len(busy):
                workers.append(_start(make))
            pipe = next(worker.pipe for worker in workers if worker.pipe not in busy)
            busy[pipe] = waiting.popleft()
            pipe.send(busy[pipe])
        errors = []
        for pipe in (pipe for pipe in wait(list(busy)) if isinstance(pipe, Connection)):
            trial = busy.pop(pipe)
            try:
                ended = pipe.recv()
            except (EOFError, ConnectionResetError):
                ended = UserError(
                    f"trial {trial.place}: its process was killed; expected it to end; if memory "
                    "is what it lacked, lower --jobs; run the same command again: what has ended "
                    "stays"
                )
            if isinstance(ended, Exception):
                errors.append(ended)
            else:
                yield ended
        if errors:
            raise errors[0]


def _start(make: Make) -> Worker:
    context = multiprocessing.get_context("spawn")  # a fork of a process with threads may hang
    ours, theirs = context.Pipe()
    process = context.Process(target=_serve, args=(theirs, make), daemon=True)
    process.start()
    theirs.close()
    return Worker(process, ours)


def _serve(pipe: Connection, make: Make) -> None:
    """A process's life: trials come, what became of them goes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the study, which ends this one
    signal.signal(signal.SIGTERM, _exit)
    parent = multiprocessing.parent_process()
    assert parent is not None
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()
    made = cache(make)
    while True:
        try:
            trial = pipe.recv()
        except EOFError:
            return
        if not parent.is_alive():  # killed while this process started: another run has the trial
            return
        ended: Tried | Exception
        try:
            ended = attempt(made(), trial)
        except Exception as error:
            ended = error
        pipe.send(ended)


def _exit(number: int, _: FrameType | None) -> None:
    """End as a process does by itself: what torch and tqdm opened is closed."""
    signal.signal(number, signal.SIG_IGN)
    sys.exit(128 + number)


def _end_with(parent: BaseProcess) -> None:
    wait([parent.sentinel])
    os._exit(1)
