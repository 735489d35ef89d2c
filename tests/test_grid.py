"""The real graph: what a change stales; the driver gives what `dvc repro` gives, killed or not."""

from __future__ import annotations

import signal
import time
from pathlib import Path

import pytest

from tests.graphs import (
    copy,
    driver,
    dvc,
    locked,
    outputs,
    ran,
    real_graph,
    run_driver,
)
from tests.moments import moments

TWO_BY_TWO = {"intermediates": ["none", "mnli"], "targets": ["xnli", "udpos"], "replicates": [1]}


@pytest.fixture(scope="module")
def reproduced(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The real graph, 2 rows x 2 targets, after one plain `dvc repro`. Copy before changing."""
    folder = real_graph(tmp_path_factory.mktemp("real") / "plain", TWO_BY_TWO)
    dvc(folder, "repro")
    assert len(ran(folder)) == 20
    return folder


def test_second_repro_runs_nothing(reproduced: Path, tmp_path: Path) -> None:
    folder = copy(reproduced, tmp_path / "copy")
    assert list((folder / "src").rglob("__pycache__")), "bytecode was to be written"
    assert dvc(folder, "repro").splitlines()[-1] == "Data and pipelines are up to date."
    assert ran(folder) == []


def test_one_targets_setting_stales_its_own_stages(reproduced: Path, tmp_path: Path) -> None:
    folder = copy(reproduced, tmp_path / "copy")
    text = (folder / "params.yaml").read_text()
    at = text.index("  udpos:\n", text.index("\ntargets:\n"))
    section = text[at:].replace("learning_rate: ", "learning_rate: 1", 1)
    (folder / "params.yaml").write_text(text[:at] + section)
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
