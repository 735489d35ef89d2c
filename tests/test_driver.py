"""The driver on a small graph: runs each stage once, no more than it must, and can be stopped."""

from __future__ import annotations

import signal
import time
from pathlib import Path

import psutil
import pytest
from rich.console import Console

from tests.graphs import RAN, copy, driver, dvc, locked, outputs, ran, run_driver, small_graph
from xstilts.running import graph as graphs
from xstilts.running import grid


def replace(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


def wait_for(file: Path, limit_s: float = 60.0) -> None:
    deadline = time.monotonic() + limit_s
    while not file.exists():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def running_in(folder: Path) -> list[psutil.Process]:
    found = []
    for process in psutil.process_iter(["cwd", "status"]):
        if process.info["cwd"] == str(folder) and process.info["status"] != psutil.STATUS_ZOMBIE:
            found.append(process)
    return found


def test_error_line_is_the_commands_last() -> None:
    text = "Running stage 'x':\n> xstilts x\nTraceback\nValueError: nan at step 3\nERROR: failed\n"
    assert grid.error_line(text) == "ValueError: nan at step 3"
    assert grid.error_line("ERROR: missing data\n") == "ERROR: missing data"
    assert grid.error_line("") == "it said nothing"


def test_children_have_one_thread_and_keep_the_users_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "4")
    assert grid._environment(grid.THREADS)["OMP_NUM_THREADS"] == "4"
    monkeypatch.delenv("OMP_NUM_THREADS")
    assert grid._environment(grid.THREADS)["OMP_NUM_THREADS"] == "1"


@pytest.fixture(scope="module")
def driven(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The small graph after one run of the driver. Copy before changing."""
    folder = small_graph(tmp_path_factory.mktemp("small") / "driver")
    status, text = run_driver(folder)
    assert (status, ran(folder)) == (0, ["a", "b", "c", "d", "e"]), text
    return folder


def test_driver_runs_each_stage_once_then_nothing(driven: Path, tmp_path: Path) -> None:
    folder = copy(driven, tmp_path / "driver")
    plain = small_graph(tmp_path / "plain")
    dvc(plain, "repro")
    assert outputs(folder) == outputs(plain)
    status, text = run_driver(folder)
    assert (status, ran(folder)) == (0, []), text
    assert "5 were up to date" in text
    assert "up to date" in dvc(folder, "repro")


def test_equal_output_stops_the_cascade(driven: Path, tmp_path: Path) -> None:
    folder = copy(driven, tmp_path / "driver")
    replace(folder / "dvc.yaml", "step.py a", "step.py  a")  # runs again, writes the same
    status, text = run_driver(folder)
    assert (status, text.count("[")) == (0, 1), text


def test_failed_stage_stops_only_what_needs_it(tmp_path: Path) -> None:
    folder = small_graph(tmp_path / "driver")
    status, text = run_driver(folder, FAIL="b")
    assert (status, ran(folder)) == (1, ["a", "b", "c", "e"])
    assert "b: params.yaml: it broke; expected better; mend it" in text
    assert "work/logs/b.log; 1 stages waited for it" in text
    assert run_driver(folder)[0] == 0
    assert ran(folder) == ["b", "d"]


def test_lock_cut_short_is_mended(driven: Path, tmp_path: Path) -> None:
    folder = copy(driven, tmp_path / "driver")
    lock = folder / "dvc.lock"
    lock.write_text(lock.read_text()[:-40] + '\n"')
    status, text = run_driver(folder)
    assert (status, ran(folder)) == (0, []), text
    assert "cut short" in text
    assert len(locked(folder)) == 5


def test_unreadable_graph_is_one_line(tmp_path: Path) -> None:
    folder = small_graph(tmp_path / "driver")
    replace(folder / "dvc.yaml", "cmd:", "cmdd:")
    status, text = run_driver(folder)
    assert status == 1
    assert text.splitlines()[-1].startswith("xstilts.errors.UserError: dvc.yaml: ")


def test_stopped_driver_leaves_no_orphan(tmp_path: Path) -> None:
    """Stopped twice, once by each signal; then it goes on."""
    folder = small_graph(tmp_path / "driver")
    for number in (signal.SIGTERM, signal.SIGINT):
        process = driver(folder, PAUSE_S="30")
        wait_for(folder / RAN)
        process.send_signal(number)
        text, _ = process.communicate(timeout=60)
        assert process.returncode == 128 + number, text
        assert running_in(folder) == []
        ran(folder)
    assert run_driver(folder)[0] == 0
    assert len(locked(folder)) == 5


def test_two_stages_that_end_together_have_both_moved(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The lock is read when the first is noted, and holds the second's new output already."""
    monkeypatch.chdir(tmp_path)
    none: frozenset[str] = frozenset()
    needs = {"a": none, "b": none, "c": frozenset({"b"})}
    writes = {name: frozenset({f"{name}.txt"}) for name in needs}
    reads = {"a": none, "b": none, "c": writes["b"]}
    graph = graphs.Graph(needs, frozenset("ab"), dict.fromkeys(needs, 0), writes, reads)
    lock = "stages:\n" + "".join(f"  {n}: {{outs: [{{path: {n}.txt, md5: 1}}]}}\n" for n in "abc")
    Path("dvc.lock").write_text(lock)
    ours = grid.Driver(graph, 2, Console(quiet=True))
    Path("dvc.lock").write_text(lock.replace("md5: 1", "md5: 2", 2))
    ours._settle()
    ours._note_done("a", "", 1.0)
    ours._note_done("b", "", 1.0)
    assert ours.so_far.moved == {"a.txt", "b.txt"}
    assert ours._may_be_stale("c")


def test_two_cells_of_one_training_never_run_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another stage takes the free place meanwhile."""
    monkeypatch.chdir(tmp_path)
    none: frozenset[str] = frozenset()
    names = ["a", "b", "c"]
    empty = dict.fromkeys(names, none)
    graph = graphs.Graph(empty, frozenset(names), dict.fromkeys(names, 0), empty, empty)
    monkeypatch.setattr(grid, "_dvc", lambda *words: ["sleep", "600"])
    monkeypatch.setattr(grid, "STOP_S", 0.0)
    ours = grid.Driver(graph, 2, Console(quiet=True), apart={"a": "squad", "b": "squad"})
    try:
        ours._settle()
        ours._start()
        assert set(ours.running) == {"a", "c"}
        grid._stop([ours.running.pop("a").process])
        ours._start()
        assert set(ours.running) == {"b", "c"}
    finally:
        grid._stop([stage.process for stage in ours.running.values()])
