"""Stages as forks of one process: the same bytes, statuses and ends as processes of their own."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.graphs import ROOT

TARGET = ("target", "none", "xnli", "--replicate", "1")
ENVIRONMENT = os.environ | {
    "OMP_NUM_THREADS": "1",
    "XSTILTS_TRACKING": "off",
    "PYTHONPATH": str(ROOT / "src"),
}
Server = tuple[subprocess.Popen[bytes], str]


def command(*words: str, **more: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "xstilts", *words],
        env=ENVIRONMENT | more, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


def wait_for(what: object, seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while not what():  # type: ignore[operator]
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.fixture(scope="module")
def server(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    path = str(tmp_path_factory.mktemp("w") / "s")
    started = subprocess.Popen(
        [sys.executable, "-m", "xstilts.cli.warm", path], env=ENVIRONMENT, stdin=subprocess.PIPE
    )
    wait_for(Path(path).exists)
    yield started, path
    started.communicate()  # its input ends
    assert started.returncode == 0


@pytest.fixture
def world(small_world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the small world, in which stages may run."""
    folder = tmp_path / "world"
    shutil.copytree(small_world, folder)
    monkeypatch.chdir(folder)
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def test_a_fork_leaves_the_bytes_of_a_process(world: Path, server: Server) -> None:
    """And the words, the status; from its own folder and environment."""
    before = contents(world / "cells/none/xnli/1")
    shutil.rmtree(world / "work")
    shutil.rmtree(world / "cells/none/xnli/1")
    warm = command(*TARGET, XSTILTS_WARM=server[1])
    said = warm.communicate()
    assert warm.returncode == 0, said
    assert contents(world / "cells/none/xnli/1") == before
    for words in (("target", "nothing", "xnli"), ("data", "target", "nothing")):
        pair = [command(*words, **more) for more in ({}, {"XSTILTS_WARM": server[1]})]
        (cold, warm_said) = (one.communicate() for one in pair)
        assert [one.returncode for one in pair] == [2, 2]
        assert cold == warm_said and cold[1].startswith("xstilts: params.yaml: ")


def forks(server: subprocess.Popen[bytes]) -> list[psutil.Process]:
    return [one for one in psutil.Process(server.pid).children() if one.status() != "zombie"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_fork_ends_with_the_command_that_asked(world: Path, server: Server, number: int) -> None:
    shutil.rmtree(world / "cells/none/xnli/1")
    asked = command(*TARGET, XSTILTS_WARM=server[1])
    wait_for(lambda: forks(server[0]))
    asked.send_signal(number)
    asked.communicate()
    assert asked.returncode in (-number, 1)
    wait_for(lambda: not forks(server[0]))
    assert not (world / "cells/none/xnli/1/card.json").exists()


def test_a_killed_fork_is_a_failed_command(world: Path, server: Server) -> None:
    asked = command(*TARGET, XSTILTS_WARM=server[1])
    wait_for(lambda: forks(server[0]))
    forks(server[0])[0].kill()
    _, text = asked.communicate()
    assert (asked.returncode, text.splitlines()[-1]) == (
        1,
        "xstilts: the stage's process was killed",
    )


def test_without_a_server_a_command_runs_by_itself(world: Path) -> None:
    asked = command("target", "nothing", "xnli", XSTILTS_WARM="/nowhere/there")
    assert "params.yaml: intermediates.nothing" in asked.communicate()[1]
    assert asked.returncode == 2
