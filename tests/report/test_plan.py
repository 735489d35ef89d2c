"""`xstilts plan`: from spreads and times what to add, and never from what was gained."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import pytest
from typer.testing import CliRunner

from tests.report.test_compare import settings
from tests.report.test_decided import made
from xstilts import params, paths
from xstilts.cli.main import app
from xstilts.errors import UserError
from xstilts.grids import AnswerSettings
from xstilts.results.plan import MOST, Costs, Proposal, _numbers, costs_of, plan

REPLICATES = 3


@pytest.fixture(autouse=True)
def _inside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    made(tmp_path, REPLICATES)
    params.write(settings(REPLICATES), Path("params.yaml"), "made up")


def planned(matters: float, costs: Costs | None = None, budget: float | None = None) -> Proposal:
    of = AnswerSettings(matters=matters)
    return plan(settings(REPLICATES).grid, of, costs, Path("cells"), budget)


def widest(found: Proposal) -> float:
    assert found.then is not None
    return 100 * max(target.half(found.then, found.alpha) for target in found.targets)


def test_a_plan_reaches_what_matters_and_no_cheaper_one_does() -> None:
    now = planned(100)
    assert now.then == now.now == (3, 3)
    half = widest(now)
    found = planned(0.9 * half)
    assert widest(found) <= 0.9 * half
    own, baseline = found.then or (0, 0)
    for less in ((own - 1, baseline), (own, baseline - 1)):
        if less[0] >= 3 and less[1] >= max(3, less[0]):
            worst = max(one.half(less, found.alpha) for one in found.targets)
            assert 100 * worst > 0.9 * half


def test_the_baseline_alone_gets_more_where_that_is_cheap() -> None:
    cheap, dear = (planned(0.8 * widest(planned(100)), Costs(lines, 1.0)) for lines in (1e6, 1e-6))
    assert cheap.then and dear.then
    assert cheap.then[0] == 3 < cheap.then[1]
    assert dear.then[0] > 3


def test_a_budget_is_kept_and_spent() -> None:
    costs = Costs(600.0, 100.0)
    found = planned(1.0, costs, 1500.0)
    assert found.then and found.seconds is not None
    assert found.seconds <= 1500.0 and found.then != found.now
    assert widest(found) < widest(planned(100))
    with pytest.raises(UserError, match="--budget: no stage has run here"):
        planned(1.0, None, 60.0)


def test_what_no_replicate_brings_there_is_said() -> None:
    found = planned(0.01)
    assert found.then is None
    done = CliRunner().invoke(app, ["plan", "--matters", "0.01"], catch_exceptions=False)
    assert f"{MOST} replicates bring no target within ±0.01 points" in done.output


def test_what_was_gained_moves_no_plan(tmp_path: Path) -> None:
    """A constant added to a line, in scores and sums, is an effect and no spread."""
    before = planned(2.0)
    for path in Path("cells").glob("squad1/*/*/*.json"):
        values = json.loads(path.read_text(encoding="utf-8"))
        if path.name == "card.json":
            for scores in values["scores"]["test"].values():
                scores["accuracy"] = 1.0
        else:
            for one in values.values():
                one["metrics"]["accuracy"][0] = one["metrics"]["accuracy"][1]
        path.write_text(json.dumps(values), encoding="utf-8")
    after = planned(2.0)
    for old, new in zip(before.targets, after.targets, strict=True):
        assert new.spread.of["none"] == old.spread.of["none"]
        assert new.spread.df == old.spread.df


def test_the_command_that_it_prints_sets_it(tmp_path: Path) -> None:
    grid = settings(REPLICATES).grid
    lines = [{"stage": grid.stage(*cell), "seconds": 10.0} for cell in grid.cells()] + [
        {"stage": f"intermediate@{name}-{run}", "seconds": 5.0} for name, run in grid.models()
    ]
    lines += [{"stage": f"encoder@{run}", "seconds": 1.0} for run in grid.replicates]
    paths.TIMES.parent.mkdir()
    paths.TIMES.write_text("".join(json.dumps(line) + "\n" for line in lines))
    half = widest(planned(100))
    done = CliRunner().invoke(app, ["plan", "--matters", str(0.9 * half)], catch_exceptions=False)
    assert done.exit_code == 0 and "of one job, as stages took" in done.output
    command = next(line for line in done.output.splitlines() if "xstilts use" in line)
    words = shlex.split(command.partition("&&")[0])
    values = dict(re.findall(r"(grid\.\w+)=(\[.*?\])", " ".join(words)))
    changed = settings(REPLICATES).model_dump()
    changed["grid"]["replicates"] = json.loads(values["grid.replicates"])
    changed["grid"]["more_baseline"] = json.loads(values["grid.more_baseline"])
    params.check(changed, Path("params.yaml"))
    with pytest.raises(UserError, match="--budget soon: expected a number and s, m, h or d"):
        CliRunner().invoke(app, ["plan", "--budget", "soon"], catch_exceptions=False)


def test_costs_are_those_of_stages_that_ran() -> None:
    grid = settings(REPLICATES).grid
    seconds = {grid.stage(*cell): 10.0 for cell in grid.cells()}
    assert costs_of(grid, seconds) is None
    seconds |= {f"intermediate@{name}-{run}": 4.0 for name, run in grid.models()}
    assert costs_of(grid, seconds) is None
    seconds |= {"encoder@1": 1.0, "encoder@2": 300.0, "encoder@3": 300.0}  # of their own
    assert costs_of(grid, seconds) == Costs(2 * 24.0 + 300.0, 24.0)


def test_numbers_that_are_there_stay() -> None:
    assert _numbers([2, 5], 4) == [2, 5, 1, 3]
    assert _numbers([4, 6], 3, [1, 2, 3]) == [4, 6, 5]
    assert _numbers([4, 5], 1, [1, 2, 3]) == [4]


def test_a_grid_without_differences_has_no_plan() -> None:
    for names in (["none"], ["mnli", "squad1"]):
        grid = settings(3).grid.model_copy(update={"intermediates": names})
        with pytest.raises(UserError, match="expected 'none' and others"):
            plan(grid, AnswerSettings(), None, Path("cells"))


def test_one_replicate_has_no_spread() -> None:
    one = settings(1).grid
    with pytest.raises(UserError, match="expected two or more, as a plan is made from their"):
        plan(one, AnswerSettings(), None, Path("cells"))
