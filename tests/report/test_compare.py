"""`xstilts compare`: two lines, here and across folders, and how much more would be found."""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from scipy import stats
from typer.testing import CliRunner

from tests.report.test_decided import made, report
from xstilts import params
from xstilts.cli.main import app
from xstilts.errors import UserError
from xstilts.formats.tables import write_text
from xstilts.params import AnswerSettings, Params, check
from xstilts.results import compare as room
from xstilts.results.answers.power import power, replicates_for

SETTINGS = AnswerSettings()


def settings(replicates: int) -> Params:
    raw = {
        "experiment": "made up",
        "intermediates": {
            "none": {},
            "mnli": {"members": {"mnli": None}},
            "squad1": {"members": {"squad1": None}},
        },
        "targets": {"xnli": {}, "pawsx": {}},
        "grid": {
            "intermediates": ["none", "mnli", "squad1"],
            "targets": ["xnli", "pawsx"],
            "replicates": list(range(1, replicates + 1)),
        },
    }
    return check(raw, Path("params.yaml"))


@pytest.fixture(autouse=True)
def _inside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.chdir(tmp_path)
    made(tmp_path, 3)
    params.write(settings(3), Path("params.yaml"), "made up")
    write_text(Path("dvc.yaml"), "stages: {}\n")
    yield


def run(*words: str) -> str:
    done = CliRunner().invoke(app, ["compare", *words], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.output


def test_two_lines_are_compared_on_every_target() -> None:
    text = run("mnli", "none")
    assert text.count("▲") == 2 and "xnli, zero-shot (3 languages), replicates 3 | 3" in text
    assert "replicates of both for 80 % power, for 1 point: " in text
    assert "?" in run("squad1", "none") or "=" in run("squad1", "none")


def test_a_named_target_is_shown_by_language() -> None:
    text = run("mnli", "squad1", "--target", "pawsx")
    assert "xnli" not in text
    assert [line.split()[0] for line in text.splitlines()[2:5]] == ["l0", "l1", "l2"]


def test_another_folders_line_is_compared_if_it_means_the_same(tmp_path: Path) -> None:
    other = tmp_path / "other"
    shutil.copytree("cells", other / "cells")
    shutil.copy("params.yaml", other)
    text = run("mnli", "none", "--with", "other")
    assert text.count("▲") == 2
    assert run("--with", "other").startswith("6 cells in both; 0 differ")
    card = other / "cells/none/xnli/1/card.json"
    values = json.loads(card.read_text())
    values["passport"]["scorer"] = "another"
    for path in (other / "cells").glob("*/xnli/*/card.json"):
        write_text(
            path, json.dumps({**json.loads(path.read_text()), "passport": values["passport"]})
        )
    with pytest.raises(UserError, match=r"xnli: scorer is null here and \"another\" in "):
        run("mnli", "none", "--with", "other")


def test_cells_of_another_machine_differ_by_more_than_their_seeds(tmp_path: Path) -> None:
    other = tmp_path / "other"
    shutil.copytree("cells", other / "cells")
    shutil.copy("params.yaml", other)
    for r in (1, 2, 3):  # there, `none` is what `mnli` is here
        for target in ("xnli", "pawsx"):
            for name in ("card.json", "sums.json"):
                shutil.copy(
                    f"cells/mnli/{target}/{r}/{name}", other / f"cells/none/{target}/{r}/{name}"
                )
    lines = run("--with", "other").splitlines()
    assert lines[0] == "6 cells in both; 2 differ"
    assert {line.split(":")[0] for line in lines[1:]} == {"none on xnli", "none on pawsx"}


def test_a_line_that_is_not_there_is_named() -> None:
    with pytest.raises(UserError, match="mnly: no line of this grid; nearest: mnli"):
        run("mnly", "none")
    with pytest.raises(UserError, match=r"expected two intermediates, or --with FOLDER"):
        run("mnli")


def test_power_is_that_of_students_test_and_of_drawn_tables() -> None:
    """A spread of 4.65 points finds 5 with 14 replicates alone, and 2 with 86."""
    variance = 0.0465**2
    assert replicates_for(0.05, 0.0, variance, 2) == pytest.approx(14, abs=1)
    assert replicates_for(0.02, 0.0, variance, 2) == pytest.approx(86, abs=1)
    rng = np.random.default_rng(1)
    draws = rng.normal(0, 0.0465, (2, 4000, 14))
    found = stats.ttest_ind(draws[0] + 0.05, draws[1], axis=1).pvalue < 0.05
    assert power(0.05, 0.0, variance, (14, 14), 2) == pytest.approx(found.mean(), abs=0.02)


def test_no_replicate_lowers_what_test_rows_leave_open() -> None:
    assert replicates_for(0.01, 0.02**2, 0.001**2, 5) is None
    assert replicates_for(0.10, 0.02**2, 0.001**2, 5) == 2
    more = power(0.03, 0.0, 0.02**2, (3, 9), 5)
    assert more > power(0.03, 0.0, 0.02**2, (3, 3), 5)


@pytest.mark.parametrize("how", [{}, {"frozen": True}, {"encoders": True}])
def test_compare_says_what_the_report_says(tmp_path: Path, how: dict[str, bool]) -> None:
    grid = made(tmp_path, 3, **how)
    report(tmp_path, grid)
    lines = csv.DictReader((tmp_path / "reports/grid.csv").read_text("utf-8").splitlines())
    found = {(one["intermediate"], one["target"]): one for one in lines if one["low"]}
    here = room.Grid(grid, Path("cells"))
    for one in room.compare((here, "mnli"), (here, "none"), grid.targets, SETTINGS):
        line, interval = found["mnli", one.target], one.answer.interval
        ends = (float(line["low"]), float(line["high"]), float(line["p"]))
        assert ends == pytest.approx((interval.low, interval.high, interval.p))
