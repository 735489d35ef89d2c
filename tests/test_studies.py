"""Studies: trial 0 is params' own values, killed trials are tried again, seeds fix the rest."""

from __future__ import annotations

import math
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from xstilts.errors import UserError
from xstilts.params import Params, StudySettings, check
from xstilts.phases.provenance import read_study
from xstilts.studies import Search, Values, run_study, study_stage

OWN = Values(1e-5, 2.5)  # out of the bounds below, and not a whole number


class Killed(BaseException):
    """What a test throws where a process would die."""


class Objective:
    """Scores best at 1e-4 and 4 epochs; dies at the calls whose numbers are given."""

    def __init__(self, dies_at: tuple[int, ...] = (), fails_at: int = -1) -> None:
        self.calls: list[tuple[float, float, int]] = []
        self.dies_at, self.fails_at = dies_at, fails_at

    def __call__(self, learning_rate: float, epochs: float, trial: int) -> float:
        self.calls.append((learning_rate, epochs, trial))
        if len(self.calls) in self.dies_at:
            raise Killed
        if trial == self.fails_at:
            raise UserError("loss is not a number")
        return 1 - abs(math.log10(learning_rate) + 4) / 5 - abs(epochs - 4) / 20


def search(folder: Path, trials: int = 13, own: Values = OWN) -> Search:
    settings = StudySettings(trials=trials, learning_rate=(2e-5, 1e-3), epochs=(1, 6))
    return Search(settings, own, "accuracy", folder / "journal.log")


def until_done(what: Search, objective: Objective, result: Path) -> dict[str, Any]:
    while True:
        try:
            return run_study(what, objective, result)
        except Killed:
            continue


def test_trial_0_is_params_own_values(tmp_path: Path) -> None:
    objective = Objective()
    run_study(search(tmp_path), objective, tmp_path / "r.yaml")
    assert objective.calls[0] == (1e-5, 2.5, 0)
    assert [trial for _, _, trial in objective.calls] == list(range(13))


def test_suggestions_stay_within_bounds(tmp_path: Path) -> None:
    objective = Objective()
    run_study(search(tmp_path), objective, tmp_path / "r.yaml")
    assert all(2e-5 <= rate <= 1e-3 for rate, _, _ in objective.calls[1:])
    assert {epochs for _, epochs, _ in objective.calls[1:]} <= {1.0, 2.0, 3.0, 4.0, 5.0, 6.0}
    assert len({rate for rate, _, _ in objective.calls}) == 13


def test_killed_search_ends_as_one_never_killed(tmp_path: Path) -> None:
    whole, killed = Objective(), Objective(dies_at=(1, 4, 7, 8, 16))
    run_study(search(tmp_path / "a"), whole, tmp_path / "a.yaml")
    until_done(search(tmp_path / "b"), killed, tmp_path / "b.yaml")
    assert (tmp_path / "a.yaml").read_bytes() == (tmp_path / "b.yaml").read_bytes()
    assert list(dict.fromkeys(killed.calls)) == whole.calls  # the killed ones were tried twice
    assert len(killed.calls) == 13 + 5


KILLED = """
import os, signal, sys
from pathlib import Path
from xstilts.params import StudySettings
from xstilts.studies import Search, Values, run_study

def objective(learning_rate, epochs, trial):
    if trial == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    return 0.5

settings = StudySettings(trials=3, learning_rate=(2e-5, 1e-3), epochs=(1, 6))
search = Search(settings, Values(1e-5, 2.5), "accuracy", Path("journal.log"))
run_study(search, objective, Path("r"))
"""


def test_trial_of_a_killed_process_is_closed_and_tried_again(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", KILLED], cwd=tmp_path, timeout=100)
    assert done.returncode == -signal.SIGKILL
    again, whole = Objective(), Objective()
    run_study(search(tmp_path, trials=3), again, tmp_path / "r.yaml")
    run_study(search(tmp_path / "whole", trials=3), whole, tmp_path / "w.yaml")
    assert again.calls == whole.calls[1:]


def test_a_finished_search_runs_nothing_and_more_trials_go_on(tmp_path: Path) -> None:
    first, none, more, whole = Objective(), Objective(), Objective(), Objective()
    run_study(search(tmp_path, trials=3), first, tmp_path / "r.yaml")
    run_study(search(tmp_path, trials=3), none, tmp_path / "r.yaml")
    run_study(search(tmp_path, trials=5), more, tmp_path / "r.yaml")
    run_study(search(tmp_path / "whole", trials=5), whole, tmp_path / "w.yaml")
    assert none.calls == []
    assert first.calls + more.calls == whole.calls


def test_a_trial_that_fails_by_itself_does_not_end_the_search(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    objective = Objective(fails_at=1)
    result = run_study(search(tmp_path, trials=3), objective, tmp_path / "r.yaml")
    assert len(objective.calls) == 3
    assert result["trial"] in (0, 2)
    assert "trial 1: loss is not a number" in capsys.readouterr().err


def test_params_own_values_must_not_fail(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="not a number"):
        run_study(search(tmp_path), Objective(fails_at=0), tmp_path / "r.yaml")
    assert not (tmp_path / "r.yaml").exists()


def test_of_equal_scores_params_own_values_win(tmp_path: Path) -> None:
    result = run_study(search(tmp_path, 4), lambda *values: 0.5, tmp_path / "r.yaml")
    assert (result["trial"], result["learning_rate"], result["epochs"]) == (0, 1e-5, 2.5)


def test_result_is_read_back_and_holds_no_time(tmp_path: Path) -> None:
    path = tmp_path / "studies/target/xnli.yaml"
    result = run_study(search(tmp_path, 2), Objective(), path)
    assert read_study(path) == {name: result[name] for name in ("learning_rate", "epochs")}
    assert list(result) == ["learning_rate", "epochs", "metric", "score", "trial", "trials"]
    import yaml  # YAML 1.1, which takes 1e-05 for a word

    assert yaml.safe_load(path.read_text(encoding="utf-8")) == result


def test_result_file_replaces_a_link_not_its_other_end(tmp_path: Path) -> None:
    path, kept = tmp_path / "r.yaml", tmp_path / "cache"
    kept.write_text("{}\n", encoding="utf-8")
    path.hardlink_to(kept)
    run_study(search(tmp_path, 1), Objective(), path)
    assert kept.read_text(encoding="utf-8") == "{}\n"


def test_two_processes_on_one_study_are_refused(tmp_path: Path) -> None:
    what = search(tmp_path, 1)

    def nested(learning_rate: float, epochs: float, trial: int) -> float:
        run_study(what, Objective(), tmp_path / "other.yaml")
        return 0.5

    with pytest.raises(UserError, match="another process"):
        run_study(what, nested, tmp_path / "r.yaml")


@pytest.mark.parametrize("text", ["3", "{learning_rate: 0.1}", "{learning_rate: x, epochs: 1}"])
def test_malformed_result_is_one_line(tmp_path: Path, text: str) -> None:
    path = tmp_path / "r.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(UserError, match=r"r\.yaml: not a study's result"):
        read_study(path)


def params(trials: int) -> Params:
    study = {
        "intermediate": {"none": {"trials": trials}, "mnli": {"trials": trials}},
        "target": {"tatoeba": {"trials": trials}},
    }
    sections = {"intermediates": {"none": {}, "mnli": {"members": {"mnli": None}}}}
    return check({**sections, "targets": {"tatoeba": {"layer": 2}}, "study": study}, Path("p.yaml"))


@pytest.mark.parametrize(("phase", "name"), [("intermediate", "none"), ("target", "tatoeba")])
def test_trials_for_what_trains_nothing_are_refused(tmp_path: Path, phase: Any, name: str) -> None:
    with pytest.raises(UserError, match=rf"study\.{phase}\.{name}\.trials: 2; expected 0"):
        study_stage(phase, name, params(2), tmp_path)


ZERO = """
import sys
from pathlib import Path
from xstilts.params import Params
from xstilts.studies import study_stage
study_stage("target", "tatoeba", Params(), Path("studies"))
heavy = ("torch", "optuna", "transformers", "mlflow", "pandas")
print([name for name in heavy if name in sys.modules])
"""


def test_no_trials_write_nothing_chosen_without_torch(tmp_path: Path) -> None:
    command = [sys.executable, "-c", ZERO]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
    path = tmp_path / "studies/target/tatoeba.yaml"
    assert path.read_text(encoding="utf-8") == "{}\n"
    assert read_study(path) == {}
