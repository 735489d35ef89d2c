"""Studies: trial 0 is params' own values, killed trials are tried again, seeds fix the rest."""

from __future__ import annotations

import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.studied import Calls, Killed, Score, Slow, search
from xstilts.errors import UserError
from xstilts.params import Params, TrainingSettings, check
from xstilts.phases.provenance import read_study, with_study
from xstilts.studies import journal
from xstilts.studies.plots import draw
from xstilts.studies.pruning import Pruned
from xstilts.studies.search import Search, best_of, run_study
from xstilts.studies.space import Trial, Tried
from xstilts.studies.stage import study_stage

# What the search suggested before there were rounds (seed 1, the objective of tests/studied.py);
# from place 10 on scores decide.
SUGGESTED = [
    (1e-05, 2.5), (2.55334e-05, 3.0), (0.000854762, 2.0), (2.73012e-05, 1.0), (8.59289e-05, 5.0),
    (3.28755e-05, 2.0), (4.69291e-05, 3.0), (3.39102e-05, 3.0), (6.64324e-05, 1.0),
    (3.94973e-05, 4.0), (0.000285045, 6.0), (7.79969e-05, 5.0), (9.71143e-05, 5.0),
    (0.000164254, 4.0), (0.000169701, 3.0), (0.000315625, 4.0), (3.59508e-05, 6.0),
    (0.000156688, 5.0), (2.08581e-05, 5.0), (0.000820074, 6.0),
]  # fmt: skip


def until_done(what: Search, calls: Calls, result: Path) -> list[Tried]:
    while True:
        try:
            return run_study(what, calls, result)
        except Killed:
            continue


def test_rounds_of_one_suggest_what_was_suggested_before_rounds(tmp_path: Path) -> None:
    calls = Calls()
    run_study(search(tmp_path, trials=20), calls, tmp_path / "r.yaml")
    assert calls.calls == [(*values, place) for place, values in enumerate(SUGGESTED)]


def test_the_first_ten_are_drawn_at_random_in_rounds_of_any_size(tmp_path: Path) -> None:
    """As experiments/xtreme-tuned.yaml says."""
    calls = Calls()
    run_study(search(tmp_path, trials=8, parallel=8), calls, tmp_path / "r.yaml")
    assert calls.calls == [(*values, place) for place, values in enumerate(SUGGESTED[:8])]


@pytest.mark.parametrize("parallel", [1, 4])
def test_suggestions_stay_within_bounds_and_differ(tmp_path: Path, parallel: int) -> None:
    calls = Calls()
    what = search(
        tmp_path, trials=16, parallel=parallel, batch_size=[16, 32], warmup_ratio=(0, 0.2),
        weight_decay=(1e-3, 0.1),
    )  # fmt: skip
    run_study(what, calls, tmp_path / "r.yaml")
    first, *others = [trial.values for trial in calls.trials]
    assert first == {
        "learning_rate": 1e-5, "epochs": 2.5, "batch_size": 24, "warmup_ratio": 0.1,
        "weight_decay": 0.01,
    }  # fmt: skip
    assert all(2e-5 <= values["learning_rate"] <= 1e-3 for values in others)
    assert {values["epochs"] for values in others} <= {1.0, 2.0, 3.0, 4.0, 5.0, 6.0}
    assert {values["batch_size"] for values in others} == {16, 32}
    assert all(0 <= values["warmup_ratio"] <= 0.2 for values in others)
    assert all(1e-3 <= values["weight_decay"] <= 0.1 for values in others)
    assert len({values["learning_rate"] for values in others}) == 15


def test_a_round_knows_nothing_of_its_own_scores(tmp_path: Path) -> None:
    """Other scores of the last round move nothing in it; of an earlier one they do."""

    def spoilt(place: int) -> Calls:
        def scored(trial: Trial) -> Score:
            best = 2.0 if trial.place == place else 1 - abs(trial.values["epochs"] - 4) / 20
            return best, ()

        return Calls(scored=scored)

    found = {}
    for place in (-1, 5, 12):
        calls = spoilt(place)
        run_study(search(tmp_path / str(place), trials=16, parallel=4), calls, tmp_path / "r")
        found[place] = calls.calls
    assert found[12] == found[-1]
    assert found[5][:12] == found[-1][:12] and found[5] != found[-1]


@pytest.mark.parametrize("parallel", [1, 3])
def test_killed_search_ends_as_one_never_killed(tmp_path: Path, parallel: int) -> None:
    whole, killed = Calls(), Calls(dies_at=(1, 4, 7, 8, 16))
    run_study(search(tmp_path / "a", parallel=parallel), whole, tmp_path / "a.yaml")
    until_done(search(tmp_path / "b", parallel=parallel), killed, tmp_path / "b.yaml")
    assert (tmp_path / "a.yaml").read_bytes() == (tmp_path / "b.yaml").read_bytes()
    assert list(dict.fromkeys(killed.calls)) == whole.calls  # the killed ones were tried twice
    assert len(killed.calls) == 13 + 5


@pytest.mark.parametrize("parallel", [1, 4])
def test_a_finished_search_runs_nothing_and_more_trials_go_on(
    tmp_path: Path, parallel: int
) -> None:
    first, none, more, whole = Calls(), Calls(), Calls(), Calls()
    for trials, calls in ((11, first), (11, none), (14, more)):
        run_study(search(tmp_path, trials=trials, parallel=parallel), calls, tmp_path / "r")
    run_study(search(tmp_path / "whole", trials=14, parallel=parallel), whole, tmp_path / "w")
    assert none.calls == []
    assert first.calls + more.calls == whole.calls
    assert (tmp_path / "r").read_bytes() == (tmp_path / "w").read_bytes()


def test_any_number_of_processes_gives_the_same_bytes(tmp_path: Path) -> None:
    files = {}
    for jobs in (1, 2, 4):
        what = search(tmp_path / str(jobs), trials=14, parallel=4)
        notes = tmp_path / f"{jobs}.txt"
        run_study(what, Slow(notes, fails_at=6), tmp_path / f"{jobs}.yaml", jobs)
        files[jobs] = (tmp_path / f"{jobs}.yaml").read_bytes()
        assert sorted(map(int, notes.read_text().split())) == list(range(14))
    assert files[1] == files[2] == files[4]
    assert b"state: failed" in files[1]


def test_a_killed_process_ends_the_search_and_loses_nothing(tmp_path: Path) -> None:
    what, notes = search(tmp_path, trials=4, parallel=2), tmp_path / "notes"
    with pytest.raises(UserError, match="trial 3: its process was killed"):
        run_study(what, Slow(notes, dies_at=3), tmp_path / "r.yaml", 2)
    calls = Calls()
    run_study(what, calls, tmp_path / "r.yaml")
    assert [place for _, _, place in calls.calls if place != 2] == [3]


def test_a_trial_that_fails_by_itself_does_not_end_the_search(tmp_path: Path) -> None:
    calls = Calls(fails_at=1)
    tried = run_study(search(tmp_path, trials=3), calls, tmp_path / "r.yaml")
    assert [one.state for one in tried] == ["complete", "failed", "complete"]
    assert tried[1].error == "loss is not a number"
    best = best_of(tried, "maximize")
    assert best and best.trial.place in (0, 2)


@pytest.mark.parametrize("jobs", [1, 2])
def test_params_own_values_must_not_fail(tmp_path: Path, jobs: int) -> None:
    with pytest.raises(UserError, match="not a number"):
        make = Slow(tmp_path / "notes", fails_at=0)
        run_study(search(tmp_path, parallel=2, trials=2), make, tmp_path / "r.yaml", jobs)
    assert not (tmp_path / "r.yaml").exists()


def test_of_equal_scores_params_own_values_win(tmp_path: Path) -> None:
    same = Calls(scored=lambda trial: (0.5, ()))
    tried = run_study(search(tmp_path, trials=4), same, tmp_path / "r.yaml")
    best = best_of(tried, "maximize")
    assert best and best.trial.values == {"learning_rate": 1e-5, "epochs": 2.5}


def test_a_loss_is_minimised(tmp_path: Path) -> None:
    from dataclasses import replace

    what = replace(search(tmp_path, trials=14), direction="minimize")
    calls = Calls(scored=lambda trial: (abs(math.log10(trial.values["learning_rate"]) + 4), ()))
    tried = run_study(what, calls, tmp_path / "r.yaml")
    best = best_of(tried, "minimize")
    assert best and best.score == min(one.score for one in tried if one.score is not None)


def test_result_is_read_back_and_holds_no_time(tmp_path: Path) -> None:
    path = tmp_path / "studies/target/xnli.yaml"
    tried = run_study(search(tmp_path, trials=3), Calls(), path)
    best = best_of(tried, "maximize")
    assert best and read_study(path) == best.trial.values
    import yaml  # YAML 1.1, which takes 1e-05 for a word

    found = yaml.safe_load(path.read_text(encoding="utf-8"))
    assert (found["score"], found["trial"], found["trials"]) == (best.score, best.trial.place, 3)
    assert [one.pop("state") for one in found["tried"]] == ["complete"] * 3
    assert [one.pop("score") for one in found["tried"]] == [one.score for one in tried]
    assert found["tried"] == [one.trial.values for one in tried]


def test_result_file_replaces_a_link_not_its_other_end(tmp_path: Path) -> None:
    path, kept = tmp_path / "r.yaml", tmp_path / "cache"
    kept.write_text("{}\n", encoding="utf-8")
    path.hardlink_to(kept)
    run_study(search(tmp_path, trials=1), Calls(), path)
    assert kept.read_text(encoding="utf-8") == "{}\n"


def test_two_processes_on_one_study_are_refused(tmp_path: Path) -> None:
    what = search(tmp_path, trials=1)

    def nested(trial: Trial) -> Score:
        run_study(what, Calls(), tmp_path / "other.yaml")
        return 0.5, ()

    with pytest.raises(UserError, match="another process"):
        run_study(what, Calls(scored=nested), tmp_path / "r.yaml")


@pytest.mark.parametrize(
    "text",
    [
        "3",
        "{learning_rate: 0.1}",
        "{learning_rate: x, epochs: 1}",
        "{learning_rate: 1, epochs: -1}",
    ],
)
def test_malformed_result_is_one_line(tmp_path: Path, text: str) -> None:
    path = tmp_path / "r.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(UserError, match=r"r\.yaml: not a study's result"):
        read_study(path)


def test_found_values_reach_the_section_and_training(tmp_path: Path) -> None:
    path = tmp_path / "r.yaml"
    path.write_text("{learning_rate: 2.0e-4, epochs: 3, batch_size: 8, weight_decay: 0.2}\n")
    given = params(0)
    section, training, origins = with_study(given.intermediates["mnli"], given.training, path)
    assert (section.learning_rate, section.epochs, section.batch_size) == (2e-4, 3.0, 8)
    assert training == TrainingSettings(weight_decay=0.2)
    found = {name: its.value for name, its in origins.items() if its.origin == "study"}
    assert found == {"learning_rate": 2e-4, "epochs": 3, "batch_size": 8, "weight_decay": 0.2}
    assert "warmup_ratio" not in origins and origins["max_length"].origin == "default"
    path.write_text("{learning_rate: 2.0e-4, epochs: 3, warmup_ratio: 2}\n")
    with pytest.raises(UserError, match=r"r\.yaml: warmup_ratio: .* remove the file"):
        with_study(given.intermediates["mnli"], given.training, path)


def params(trials: int) -> Params:
    study = {
        "pretrain": {"trials": trials},
        "intermediate": {"none": {"trials": trials}, "mnli": {"trials": trials}},
        "target": {"tatoeba": {"trials": trials}},
    }
    sections = {"intermediates": {"none": {}, "mnli": {"members": {"mnli": None}}}}
    values = {**sections, "targets": {"tatoeba": {"layer": 2}}, "study": study}
    return check({**values, "pretrain": {"encoder": "encoder"}}, Path("p.yaml"))


@pytest.mark.parametrize(
    ("phase", "name"), [("intermediate", "none"), ("target", "tatoeba"), ("pretrain", "")]
)
def test_trials_for_what_trains_nothing_are_refused(tmp_path: Path, phase: Any, name: str) -> None:
    key = rf"study\.{phase}{chr(92) + '.' if name else ''}{name}\.trials: 2; expected 0"
    with pytest.raises(UserError, match=key):
        study_stage(phase, name, params(2), out=tmp_path)


def test_pruning_that_could_compare_nothing_is_refused(tmp_path: Path) -> None:
    given = check(
        {
            "study": {"target": {"xnli": {"trials": 3, "prune": True}}},
            "training": {"evaluations": 1},
            "targets": {"xnli": {}},
        },
        Path("p.yaml"),
    )
    with pytest.raises(UserError, match=r"study\.target\.xnli\.prune: true, .*evaluations is 1"):
        study_stage("target", "xnli", given, out=tmp_path)


ZERO = """
import sys
from pathlib import Path
from xstilts.params import Params
from xstilts.studies.stage import study_stage
study_stage("target", "tatoeba", Params(), out=Path("studies"))
study_stage("pretrain", "", Params(), out=Path("studies"))
heavy = ("torch", "optuna", "transformers", "mlflow", "pandas")
print([name for name in heavy if name in sys.modules])
"""


def test_no_trials_write_nothing_chosen_without_torch(tmp_path: Path) -> None:
    command = [sys.executable, "-c", ZERO]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
    for name in ("target/tatoeba", "pretrain"):
        path = tmp_path / f"studies/{name}.yaml"
        assert path.read_text(encoding="utf-8") == "{}\n"
        assert read_study(path) == {}


# Pruning


def falling(trial: Trial) -> Score:
    """The later a place, the lower its curve; ends below a floor, as `Watched` does."""
    curve: tuple[float, ...] = ()
    for k in range(4):
        curve = (*curve, k + 1 - trial.place / 10)
        floor = trial.floors[k] if k < len(trial.floors) else None
        if floor is not None and curve[-1] < floor:
            raise Pruned(curve)
    return curve[-1], curve


def test_pruned_trials_count_are_never_best_and_depend_on_earlier_rounds(tmp_path: Path) -> None:
    what = search(tmp_path, trials=9, parallel=3, epochs=(4, 4), prune=True)
    tried = run_study(what, Calls(scored=falling), tmp_path / "r.yaml")
    assert [one.state for one in tried[:3]] == ["complete"] * 3  # nothing came before
    # Trial 0 has epochs of its own: of four epochs two are complete after the first round.
    assert [one.state for one in tried[3:]] == ["pruned"] * 6
    assert all(len(one.curve) == 1 for one in tried[3:])
    best = best_of(tried, "maximize")
    assert best and best.trial.place == 0
    again = Calls()
    run_study(what, again, tmp_path / "r.yaml")
    assert again.calls == []


def test_pruning_compares_equal_epochs_and_spares_the_last_evaluation(tmp_path: Path) -> None:
    what = search(tmp_path, trials=12, prune=True)
    calls = Calls(scored=falling)
    run_study(what, calls, tmp_path / "r.yaml")
    epochs = [trial.values["epochs"] for trial in calls.trials]
    for place, trial in enumerate(calls.trials):
        compared = epochs[:place].count(epochs[place])
        assert bool(trial.floors) == (compared >= 1), place
        assert len(trial.floors) <= 3
        assert all((floor is not None) <= (compared >= 2) for floor in trial.floors)
    without = Calls(scored=falling)
    run_study(search(tmp_path / "off", trials=12), without, tmp_path / "off.yaml")
    assert all(trial.floors == () for trial in without.trials)


# Pictures


def test_pictures_are_drawn_of_two_trials_and_the_same_again(tmp_path: Path) -> None:
    result = tmp_path / "studies/target/xnli.yaml"
    run_study(search(tmp_path, trials=1), Calls(), result)
    draw(result, tmp_path / "one")
    assert [path.name for path in (tmp_path / "one").iterdir()] == ["trials.csv"]
    run_study(search(tmp_path, trials=5, parallel=1), Calls(fails_at=3), result)
    names = ["importance.png", "parallel.png", "trials.csv"]
    for place in ("a", "b"):
        draw(result, tmp_path / place)
        assert sorted(path.name for path in (tmp_path / place).iterdir()) == names
    assert [(tmp_path / "a" / name).read_bytes() for name in names] == [
        (tmp_path / "b" / name).read_bytes() for name in names
    ]
    lines = (tmp_path / "a/trials.csv").read_text().splitlines()
    assert lines[0] == "trial,learning_rate,epochs,score,state"
    assert len(lines) == 6 and lines[4].endswith(",,failed")
    same = Calls(scored=lambda trial: (0.5, ()))
    run_study(search(tmp_path / "same", trials=3), same, result)
    draw(result, tmp_path / "same")  # nothing is important: no picture of it
    assert not (tmp_path / "same/importance.png").exists()


def test_a_study_without_trials_has_no_pictures(tmp_path: Path) -> None:
    (tmp_path / "r.yaml").write_text("{}\n")
    draw(tmp_path / "r.yaml", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_journal_names_studies_and_metric(tmp_path: Path) -> None:
    import optuna

    what = search(tmp_path, trials=2)
    run_study(what, Calls(), tmp_path / "r.yaml")
    study = optuna.load_study(study_name="e/target/x", storage=journal.open_journal(what.journal))
    assert study.metric_names == ["accuracy"]
    assert [trial.user_attrs["place"] for trial in study.trials] == [0, 1]
    assert study.trials[0].user_attrs["values"] == {"learning_rate": 1e-5, "epochs": 2.5}
    assert study.trials[1].intermediate_values.keys() == {1, 2, 3}
