"""The driver gives what plain `dvc repro` gives, runs no more than it must, and can be killed."""

from __future__ import annotations

import shutil
import signal
import time
from pathlib import Path

import psutil
import pytest
from rich.console import Console

from tests.graphs import (
    RAN,
    driver,
    dvc,
    locked,
    outputs,
    ran,
    real_graph,
    run_driver,
    small_graph,
)
from tests.moments import moments
from xstilts.running import grid

TWO_BY_TWO = {"intermediates": ["none", "mnli"], "targets": ["xnli", "udpos"], "replicates": [1]}


@pytest.fixture(scope="module")
def reproduced(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The real graph, 2 rows x 2 targets, after one plain `dvc repro`. Copy before changing."""
    folder = real_graph(tmp_path_factory.mktemp("real") / "plain", TWO_BY_TWO)
    dvc(folder, "repro")
    assert len(ran(folder)) == 18
    return folder


def copy(folder: Path, to: Path) -> Path:
    shutil.copytree(folder, to, symlinks=True, ignore=shutil.ignore_patterns("tmp"))
    return to


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


def test_driver_runs_each_stage_once_then_nothing(tmp_path: Path) -> None:
    folder = small_graph(tmp_path / "driver")
    status, text = run_driver(folder)
    assert (status, ran(folder)) == (0, ["a", "b", "c", "d", "e"]), text
    plain = small_graph(tmp_path / "plain")
    dvc(plain, "repro")
    assert outputs(folder) == outputs(plain)
    status, text = run_driver(folder)
    assert (status, ran(folder)) == (0, []), text
    assert "5 were up to date" in text
    assert "up to date" in dvc(folder, "repro")


def test_equal_output_stops_the_cascade(tmp_path: Path) -> None:
    folder = small_graph(tmp_path / "driver")
    run_driver(folder)
    ran(folder)
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


def test_lock_cut_short_is_mended(tmp_path: Path) -> None:
    folder = small_graph(tmp_path / "driver")
    run_driver(folder)
    ran(folder)
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


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_stopped_driver_leaves_no_orphan(tmp_path: Path, number: signal.Signals) -> None:
    folder = small_graph(tmp_path / "driver")
    process = driver(folder, PAUSE_S="30")
    wait_for(folder / RAN)
    process.send_signal(number)
    text, _ = process.communicate(timeout=60)
    assert process.returncode == 128 + number, text
    assert running_in(folder) == []
    ran(folder)
    assert run_driver(folder)[0] == 0
    assert len(locked(folder)) == 5


def test_second_repro_runs_nothing(reproduced: Path, tmp_path: Path) -> None:
    folder = copy(reproduced, tmp_path / "copy")
    assert list((folder / "src").rglob("__pycache__")), "bytecode was to be written"
    assert dvc(folder, "repro").splitlines()[-1] == "Data and pipelines are up to date."
    assert ran(folder) == []


def test_one_targets_setting_stales_its_own_stages(reproduced: Path, tmp_path: Path) -> None:
    folder = copy(reproduced, tmp_path / "copy")
    text = (folder / "params.yaml").read_text()
    before, section = text[: text.index("  udpos: {") + 1], text[text.index("  udpos: {") + 1 :]
    section = section.replace("learning_rate: ", "learning_rate: 1", 1)
    (folder / "params.yaml").write_text(before + section)
    dvc(folder, "repro")
    assert ran(folder) == [
        "report",
        "study target udpos",
        "target mnli udpos 1",
        "target none udpos 1",
    ]


def append(path: Path, text: str) -> None:
    assert path.is_file()
    path.write_text(path.read_text() + text)


def test_new_catalogue_record_retrains_nothing(reproduced: Path, tmp_path: Path) -> None:
    folder = copy(reproduced, tmp_path / "copy")
    append(folder / "src/xstilts/tasks/catalogue/spans.py", "ONE_MORE = 1\n")
    dvc(folder, "repro")
    assert {line.split()[0] for line in ran(folder)} == {"code", "data", "report"}


def test_comment_runs_code_alone_and_to_equal_files(reproduced: Path, tmp_path: Path) -> None:
    folder = copy(reproduced, tmp_path / "copy")
    append(folder / "src/xstilts/training/loop.py", "# one more comment\n")
    append(folder / "src/xstilts/running/grid.py", "CHANGED = 1\n")
    dvc(folder, "repro")
    assert ran(folder) == ["code"]
    assert outputs(folder) == outputs(reproduced)
    assert dvc(folder, "repro").splitlines()[-1] == "Data and pipelines are up to date."


def test_driver_starts_only_what_reads_the_changed_output(reproduced: Path, tmp_path: Path) -> None:
    """`code` writes six files, of which the report reads one."""
    folder = copy(reproduced, tmp_path / "copy")
    append(folder / "src/xstilts/results/report/texts.py", "CHANGED = 1\n")
    status, text = run_driver(folder)
    assert (status, ran(folder)) == (0, ["code", "report"]), text
    assert sorted(path.name for path in (folder / "work/logs").iterdir()) == [
        "code.log",
        "report.log",
    ]


def test_two_stages_that_end_together_have_both_moved(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The lock is read when the first is noted, and holds the second's new output already."""
    monkeypatch.chdir(tmp_path)
    none: frozenset[str] = frozenset()
    needs = {"a": none, "b": none, "c": frozenset({"b"})}
    writes = {name: frozenset({f"{name}.txt"}) for name in needs}
    reads = {"a": none, "b": none, "c": writes["b"]}
    graph = grid.Graph(needs, frozenset("ab"), dict.fromkeys(needs, 0), writes, reads)
    lock = "stages:\n" + "".join(f"  {n}: {{outs: [{{path: {n}.txt, md5: 1}}]}}\n" for n in "abc")
    Path("dvc.lock").write_text(lock)
    ours = grid.Driver(graph, 2, Console(quiet=True))
    Path("dvc.lock").write_text(lock.replace("md5: 1", "md5: 2", 2))
    ours._note_done("a", "", 1.0)
    ours._note_done("b", "", 1.0)
    assert ours.so_far.moved == {"a.txt", "b.txt"}
    assert ours._may_be_stale("c")


@pytest.mark.slow
def test_driver_gives_what_dvc_repro_gives(reproduced: Path, tmp_path: Path) -> None:
    folder = real_graph(tmp_path / "driver", TWO_BY_TWO)
    status, text = run_driver(folder)
    assert status == 0, text
    assert outputs(folder) == outputs(reproduced)
    assert locked(folder) == locked(reproduced)
    ran(folder)
    assert "up to date" in dvc(folder, "repro")
    assert ran(folder) == []


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_killed_driver_ends_with_the_same_table(
    reproduced: Path, tmp_path: Path, number: signal.Signals
) -> None:
    """Killed twice. SIGKILL leaves commands running: the next driver waits for them."""
    folder = real_graph(tmp_path / "driver", TWO_BY_TWO)
    moment = moments()
    for _ in range(2):
        process = driver(folder, PAUSE_S="0.5")
        delay_s = moment.uniform(1, 10)
        print(f"killed after {delay_s:.3f} s")
        time.sleep(delay_s)
        process.send_signal(number)
        process.communicate(timeout=60)
    status, text = run_driver(folder)
    assert status == 0, text
    assert outputs(folder) == outputs(reproduced)
    assert locked(folder) == locked(reproduced)
