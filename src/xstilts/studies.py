"""Searches for learning rate and epochs: the only room that knows Optuna.

What enters: a study's section and a function of (learning rate, epochs) that trains and gives the
English dev score. What leaves: studies/PHASE/NAME.yaml. That function's arguments are all that a
trial can be told: no test table, and no table of another language, can be passed. With trials: 0
(the default) the file is `{}`, written at once.
"""

from __future__ import annotations

import os
import shutil
import socket
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

from xstilts import paths
from xstilts.code import kind_digest
from xstilts.errors import UserError
from xstilts.formats.tables import digest, folder_digest, write_text
from xstilts.params import FrozenSettings, Params, StudySettings


class Values(NamedTuple):
    """One point of the search."""

    learning_rate: float
    epochs: float


# (learning rate, epochs, the trial's place in the search) -> English dev score
Objective = Callable[[float, float, int], float]


@dataclass(frozen=True)
class Search:
    """A study: its bounds and seed, the values that it begins with, its metric and its journal."""

    section: StudySettings
    first: Values  # params' own values: trial 0
    metric: str
    journal: Path


def study_stage(
    phase: Literal["intermediate", "target"],
    name: str,
    params: Params,
    out: Path = paths.STUDIES,
    work: Path = paths.WORK,
) -> dict[str, Any]:
    """The stages study-intermediate@NAME and study-target@NAME: write out/PHASE/NAME.yaml.

    Returns the values that were found; {} where nothing is searched.
    """
    section = getattr(params.study, phase).get(name, StudySettings())
    result = paths.study(phase, name, out)
    if section.trials == 0:
        write_text(result, "{}\n")
        return {}
    first = _own_values(phase, name, params, section)
    from xstilts.phases.intermediate import intermediate_objective
    from xstilts.phases.target import target_objective
    from xstilts.running.tracking import open_run

    key = _study_key(phase, name, params, section)
    folder = paths.study_work(phase, name, key, work)
    make = intermediate_objective if phase == "intermediate" else target_objective
    train = make(name, params, folder / "trials")
    search = Search(section, first, _metric(phase, name), folder / "journal.log")

    def objective(learning_rate: float, epochs: float, trial: int) -> float:
        run = open_run(params.experiment, f"study-{phase}-{name}-{trial}", work)
        try:
            score = train(learning_rate, epochs, section.seed, run)
        except UserError:
            run.fail()
            raise
        values = {"learning_rate": learning_rate, "epochs": epochs}
        run.finish_trial(values, score, folder.name, search.metric)
        return score

    best = run_study(search, objective, result)
    shutil.rmtree(folder / "trials", ignore_errors=True)
    return best


def run_study(search: Search, objective: Objective, result: Path) -> dict[str, Any]:
    """Search until `trials` are finished and write the best values; a killed search goes on.

    The suggestion of trial n depends on the seed, n and the scores before it, never on how often
    the process was killed. A trial that ends with a UserError (a loss that is not a number) has
    failed and the search goes on; params' own values must not fail.
    """
    if search.section.trials == 0:
        write_text(result, "{}\n")
        return {}
    from filelock import FileLock, Timeout

    search.journal.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(f"{search.journal}.worker")
    try:
        with lock.acquire(timeout=0):
            best = _searched(search, objective)
    except Timeout:
        raise UserError(
            f"{search.journal}: another process is at work on this study; expected one at a time; "
            "wait for it, or stop it and start again"
        ) from None
    write_text(result, _as_yaml(best))
    return best


def _searched(search: Search, objective: Objective) -> dict[str, Any]:
    """The best values of the search; the caller holds the study's lock.

    So no other process works on a trial that the journal has open: its worker was killed.
    """
    import optuna
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    # A lock of the journal's that a killed worker left would be waited for, half a minute.
    Path(f"{search.journal}.lock").unlink(missing_ok=True)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    storage = JournalStorage(JournalFileBackend(str(search.journal)))
    study = optuna.create_study(
        storage=storage, study_name="study", direction="maximize", load_if_exists=True
    )
    waiting = _close_open_trials(study)
    while (place := _finished(study)) < search.section.trials:
        if not waiting and place == 0:
            study.enqueue_trial(_within(search.first, search.section), {"own": True})
        waiting = False
        study.sampler = _sampler(search.section.seed, place)
        _try(study, place, search, objective)
    return _best(study, search)


def _try(study: Any, place: int, search: Search, objective: Objective) -> None:
    """Run one trial; the journal is told before it and after it."""
    from optuna.trial import TrialState

    trial = study.ask()
    trial.set_user_attr("worker", f"{socket.gethostname()}:{os.getpid()}")
    trial.set_user_attr("place", place)
    low, high = search.section.learning_rate
    learning_rate = float(f"{trial.suggest_float('learning_rate', low, high, log=True):.6g}")
    epochs = float(trial.suggest_int("epochs", *search.section.epochs))
    values = search.first if trial.user_attrs.get("own") else Values(learning_rate, epochs)
    trial.set_user_attr("values", list(values))
    try:
        score = objective(values.learning_rate, values.epochs, place)
    except UserError as error:
        if place == 0:
            raise  # params' own values cannot be trained: that is no matter of searching
        trial.set_user_attr("error", str(error))
        study.tell(trial, state=TrialState.FAIL)
        print(f"warning: trial {place}: {error}; the search goes on without it", file=sys.stderr)
        return
    study.tell(trial, score)


def _close_open_trials(study: Any) -> bool:
    """Mark killed workers' trials as failed and queue their values; whether any values wait."""
    from optuna.trial import TrialState

    for trial in study.get_trials(states=(TrialState.RUNNING,)):
        study.tell(trial.number, state=TrialState.FAIL)
        if trial.params and "error" not in trial.user_attrs:
            again = {"own": True} if trial.user_attrs.get("own") else {}
            study.enqueue_trial(trial.params, {**again, "again": trial.number})
    return bool(study.get_trials(states=(TrialState.WAITING,)))


def _finished(study: Any) -> int:
    """How many trials count: those with a score or an error; killed ones are tried again."""
    from optuna.trial import TrialState

    trials = study.get_trials(states=(TrialState.COMPLETE, TrialState.FAIL))
    return sum(
        trial.state == TrialState.COMPLETE or "error" in trial.user_attrs for trial in trials
    )


def _best(study: Any, search: Search) -> dict[str, Any]:
    """The values and score of the best trial; the earliest of equal ones, so params' own win."""
    from optuna.trial import TrialState

    trials = [
        trial
        for trial in study.get_trials(states=(TrialState.COMPLETE,))
        if trial.user_attrs["place"] < search.section.trials
    ]
    best = max(trials, key=lambda trial: (trial.value, -trial.user_attrs["place"]))
    values = Values(*best.user_attrs["values"])
    return {
        **values._asdict(),
        "metric": search.metric,
        "score": best.value,
        "trial": best.user_attrs["place"],
        "trials": search.section.trials,
    }


def _sampler(seed: int, place: int) -> Any:
    """A TPE sampler with every option written out: results must not move with Optuna's defaults.

    One sampler for each place: a search that goes on suggests what it would have suggested.
    """
    from optuna.samplers import TPESampler

    return TPESampler(
        seed=int(digest(seed, place)[:8], 16),
        n_startup_trials=10,  # places that are drawn at random; the rest of these is Optuna 5's own
        n_ei_candidates=24,
        multivariate=True,
        group=False,
        constant_liar=False,  # for workers side by side; here is one
    )


def _within(own: Values, section: StudySettings) -> dict[str, Any]:
    """The point of the search space nearest to params' own values, where the sampler sees them.

    The trial itself runs with the values as they are, be they out of bounds or not a whole number.
    """
    (low, high), (least, most) = section.learning_rate, section.epochs
    learning_rate = min(max(own.learning_rate, low), high)
    return {"learning_rate": learning_rate, "epochs": min(max(round(own.epochs), least), most)}


def _own_values(phase: str, name: str, params: Params, section: StudySettings) -> Values:
    """Params' own values, which trial 0 tries; UserError where nothing is trained."""
    key = f"params.yaml: study.{phase}.{name}.trials: {section.trials}"
    if phase == "intermediate":
        mixture = params.intermediates.get(name)
        if mixture is None or not mixture.members:
            raise UserError(f"{key}; expected 0: {name} has no members, so it trains nothing")
        return Values(mixture.learning_rate, mixture.epochs)
    target = params.targets.get(name)
    if target is None or isinstance(target, FrozenSettings):
        raise UserError(f"{key}; expected 0: target {name} is frozen, so it trains nothing")
    return Values(target.learning_rate, target.epochs)


def _study_key(phase: str, name: str, params: Params, section: StudySettings) -> str:
    """The key that names a study's journal: with other settings, inputs or code it begins anew.

    `trials` is left out: more of them go on from those that were tried.
    """
    trained = (params.intermediates if phase == "intermediate" else params.targets)[name]
    inputs = [folder_digest(_data(phase, name)), folder_digest(paths.PRETRAIN)]
    parts = (trained, params.training, section)
    plain = [part.model_dump(mode="json", exclude={"trials"}) for part in parts]
    return digest(plain, inputs, kind_digest("study"))


def _data(phase: str, name: str) -> Path:
    return paths.intermediate_data(name) if phase == "intermediate" else paths.target_data(name)


def _metric(phase: str, name: str) -> str:
    """The name of what is maximised: a task's main metrics, and each member's of a mixture."""
    from xstilts.formats.tables import read_record

    records = sorted(_data(phase, name).rglob("record.json"))
    named = [" + ".join(read_record(path.parent).main) for path in records]
    return "; ".join(dict.fromkeys(named))


def _as_yaml(values: Mapping[str, Any]) -> str:
    """The study's file, with numbers as YAML 1.1 and 1.2 both read them: 3.0e-05, never 3e-05."""
    lines = [
        "# Written by a study stage. To pin values: trials 0, and the values into params.yaml."
    ]
    for name, value in values.items():
        text = repr(value) if isinstance(value, float) else str(value)
        if isinstance(value, float) and "e" in text and "." not in text:
            text = text.replace("e", ".0e")
        lines.append(f"{name}: {text}")
    return "\n".join(lines) + "\n"
