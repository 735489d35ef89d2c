"""The journal of studies: kills at every write and at random moments, other settings, locks."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from multiprocessing.process import BaseProcess
from pathlib import Path

import psutil
import pytest
from optuna.storages.journal import JournalFileBackend

from tests.moments import moments
from tests.studied import Calls, Killed, Slow, search
from xstilts.studies import journal
from xstilts.studies.search import Search, run_study

KILLS = int(os.environ.get("XSTILTS_KILLS", "20"))  # `make endurance` asks for more
NAME = "e/target/x"


def places(what: Search) -> dict[str, list[int]]:
    """The places of each study's trials in the journal, as many times as they are there."""
    import optuna

    storage = journal.open_journal(what.journal)
    return {
        name: sorted(trial.user_attrs["place"] for trial in study.trials)
        for name in journal.known(what.journal, NAME)
        for study in [optuna.load_study(study_name=name, storage=storage)]
    }


# Another key


def test_a_study_with_another_key_is_put_aside_and_comes_back(tmp_path: Path) -> None:
    what, result = search(tmp_path, trials=3), tmp_path / "r.yaml"
    other = replace(what, key="other")
    first, second, third, fourth = Calls(), Calls(), Calls(), Calls()
    run_study(what, first, result)
    run_study(other, second, result)
    assert second.calls == first.calls  # none of the others' trials counts
    assert places(what) == {NAME: [0, 1, 2], f"{NAME}@k": [0, 1, 2]}
    run_study(replace(what, key="third"), third, result)
    assert len(third.calls) == 3
    run_study(what, fourth, result)  # the same settings, inputs and code: the same trials
    assert fourth.calls == []
    assert places(what) == {
        NAME: [0, 1, 2], f"{NAME}@other": [0, 1, 2], f"{NAME}@third": [0, 1, 2],
    }  # fmt: skip


def dying_at(write: int, patch: pytest.MonkeyPatch) -> None:
    """The process dies before its journal's write of that number, from 1."""
    really, count = JournalFileBackend.append_logs, 0

    def append(backend: JournalFileBackend, logs: list[dict[str, object]]) -> None:
        nonlocal count
        count += 1
        if count == write:
            raise Killed
        really(backend, logs)

    patch.setattr(JournalFileBackend, "append_logs", append)


@pytest.mark.parametrize("there_and_back", [False, True], ids=["put aside", "brought back"])
def test_a_kill_at_any_write_of_a_move_loses_no_trial(tmp_path: Path, there_and_back: bool) -> None:
    kept = {NAME: [0, 1, 2]}
    for write in range(1, 40):
        folder = tmp_path / str(write)
        what, result = search(folder, trials=3), folder / "r.yaml"
        run_study(what, Calls(), result)
        if there_and_back:
            run_study(replace(what, key="other"), Calls(), result)
        wanted = what if there_and_back else replace(what, key="other")
        with pytest.MonkeyPatch.context() as patch:
            dying_at(write, patch)
            died = False
            try:
                run_study(wanted, Calls(), result)
            except Killed:
                died = True
        again = Calls()
        run_study(wanted, again, result)
        run_study(wanted, Calls(dies_at=(1,)), result)  # nothing is left to try
        assert len(again.calls) == 0 if there_and_back or not died else len(again.calls) <= 3
        aside = "other" if there_and_back else "k"
        assert places(what) == {**kept, f"{NAME}@{aside}": [0, 1, 2]}
        if not died:
            break
    assert not died and write > 8


# Damage


def test_a_line_that_a_kill_cut_short_is_cut_off(tmp_path: Path) -> None:
    what, result = search(tmp_path, trials=4), tmp_path / "r.yaml"
    run_study(replace(what, section=what.section.model_copy(update={"trials": 2})), Calls(), result)
    whole = what.journal.read_bytes()
    for end in (len(whole) - 1, len(whole) - 40, whole.rfind(b"\n", 0, -1) + 2):
        what.journal.write_bytes(whole[:end])
        calls = Calls()
        run_study(what, calls, result)
        assert [place for _, _, place in calls.calls] == [1, 2, 3]
        assert places(what) == {NAME: [0, 1, 2, 3]}


HOLDS = """
import os, sys
from pathlib import Path
from xstilts.studies.journal import Lock
Lock(Path(sys.argv[1])).acquire()
print("held", flush=True)
os.kill(os.getpid(), 9)
"""


def test_locks_that_killed_processes_left_are_not_waited_for(tmp_path: Path) -> None:
    what, result = search(tmp_path, trials=2), tmp_path / "r.yaml"
    run_study(replace(what, section=what.section.model_copy(update={"trials": 1})), Calls(), result)
    done = subprocess.run([sys.executable, "-c", HOLDS, str(what.journal)], capture_output=True)
    assert (done.returncode, done.stdout) == (-signal.SIGKILL, b"held\n")
    Path(f"{what.journal}.lock").symlink_to(what.journal)  # of Optuna's own kind
    start = time.monotonic()
    run_study(what, Calls(), result)
    assert time.monotonic() - start < 20  # Optuna's is waited for 30 s


# Random moments


def live(what: Search, make: Slow, result: str, jobs: int) -> None:
    """A process's life: search until done, or killed."""
    run_study(what, make, Path(result), jobs)


def kill_one(process: BaseProcess, chosen: random.Random) -> bool:
    """Kill the study's process or one of its own; whether it ran."""
    if not process.is_alive() or process.pid is None:
        return False
    victims = [psutil.Process(process.pid)]
    with suppress(psutil.NoSuchProcess):
        victims += [
            child for child in victims[0].children() if "spawn_main" in " ".join(child.cmdline())
        ]
    with suppress(psutil.NoSuchProcess):
        chosen.choice(victims).kill()
    return True


def begun(notes: Path) -> list[int]:
    return [int(line) for line in notes.read_text().split()] if notes.exists() else []


@pytest.mark.slow
def test_kills_at_random_moments_lose_and_repeat_no_finished_trial(tmp_path: Path) -> None:
    """Alone and with four processes; the study's own process is killed, or one of the four."""
    import multiprocessing

    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["xstilts.studies.search", "tests.studied"])
    chosen = moments()
    run_study(search(tmp_path / "whole", trials=16, parallel=4), Calls(), tmp_path / "whole.yaml")
    whole = (tmp_path / "whole.yaml").read_bytes()
    kills, study = 0, 0
    while kills < KILLS:
        study += 1
        folder = tmp_path / str(study)
        what, result = search(folder, trials=16, parallel=4), folder / "r.yaml"
        folder.mkdir()
        notes, ended = folder / "notes", list[int]()
        while not result.exists():
            before = len(begun(notes))
            jobs = chosen.choice((1, 4))
            make = Slow(notes, sleep_s=0.08)
            process = context.Process(target=live, args=(what, make, str(result), jobs))
            process.start()
            if kills < KILLS:
                process.join(chosen.uniform(0.1, 1.0 if jobs == 1 else 2.5))
                kills += kill_one(process, chosen)
            process.join()
            tried_now = begun(notes)[before:]
            assert not set(tried_now) & set(ended), "a trial that had ended was tried again"
            now = places(what).get(NAME, [])
            assert len(set(now)) == len(now), "a trial counts twice"
            assert set(ended) <= set(now), "a trial that had ended was lost"
            ended = now
        assert result.read_bytes() == whole
        assert ended == list(range(16))


def test_processes_end_with_the_one_that_started_them(tmp_path: Path) -> None:
    import multiprocessing

    what, notes = search(tmp_path, trials=4, parallel=4), tmp_path / "notes"
    context = multiprocessing.get_context("spawn")
    process = context.Process(target=live, args=(what, Slow(notes, 60.0), str(tmp_path / "r"), 2))
    process.start()
    wait_for(lambda: len(begun(notes)) == 2)
    children = psutil.Process(process.pid).children()
    process.kill()
    process.join()
    _, alive = psutil.wait_procs(children, timeout=20)
    assert alive == []


def wait_for(happens: Callable[[], bool], seconds: float = 60.0) -> None:
    end = time.monotonic() + seconds
    while not happens():
        assert time.monotonic() < end
        time.sleep(0.05)
