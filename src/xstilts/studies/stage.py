"""The stages study-*: from params to a search, and from its end to a file and pictures.

Nothing heavy is imported where nothing is searched.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from xstilts import paths
from xstilts.code import kind_digest
from xstilts.errors import UserError
from xstilts.formats.tables import digest, folder_digest, read_record, write_text
from xstilts.params import FrozenSettings, Params, read_yaml
from xstilts.sections import SearchSettings, Section, StudySettings

if TYPE_CHECKING:
    from xstilts.phases.stage import Objective as PhaseObjective
    from xstilts.studies.search import Search
    from xstilts.studies.space import Trial, Tried
    from xstilts.studies.workers import Objective

Phase = Literal["pretrain", "intermediate", "target"]
TEXT = "text"  # what phase 1 trains on: its trials' runs are called study-pretrain-text-N
LOSS = "masked-LM loss of held-out English text"


def section_of(phase: Phase, name: str, params: Params) -> SearchSettings:
    """The study's section of params; of a name that has none, the defaults."""
    if phase == "pretrain":
        return params.study.pretrain
    studies = params.study.intermediate if phase == "intermediate" else params.study.target
    return studies.get(name, StudySettings())


def label(phase: Phase, name: str) -> str:
    """As params call it below `study`: target.xnli, pretrain."""
    return f"{phase}.{name}" if name else phase


def study_stage(
    phase: Phase, name: str, params: Params, jobs: int = 1, out: Path = paths.STUDIES
) -> None:
    """Write out/PHASE/NAME.yaml, of phase 1 out/pretrain.yaml; print trials as they end.

    jobs: trials at a time, of one round.
    """
    section = section_of(phase, name, params)
    result = paths.study(phase, name, out)
    if section.trials == 0:
        write_text(result, "{}\n")
        where = f"study.{label(phase, name)}.trials"
        print(f"{result}: {where} is 0 in params.yaml, so params' own values stay")
        return
    search = search_of(phase, name, params)
    from xstilts.running.tracking import send_study
    from xstilts.studies.plots import draw
    from xstilts.studies.search import best_of, run_study
    from xstilts.studies.shown import Told

    folder = paths.study_work(params.experiment, phase, name)
    checkpoints = folder / search.key
    told = Told(label(phase, name), search, jobs)

    def ended(trial: Tried, best: Tried | None) -> None:
        shutil.rmtree(checkpoints / str(trial.trial.place), ignore_errors=True)
        told.ended(trial, best)

    make = Training(phase, name, params, checkpoints, search)
    tried = run_study(search, make, result, jobs, ended)
    shutil.rmtree(checkpoints, ignore_errors=True)
    draw(result, folder)
    found = {key: value for key, value in read_yaml(result).items() if key != "tried"}
    send_study(params.experiment, phase, name or TEXT, found, folder, paths.WORK)
    if best := best_of(tried, search.direction):
        told.end(tried, best, result)


def search_of(phase: Phase, name: str, params: Params) -> Search:
    """The search that params ask for. UserError where there is nothing to train."""
    from xstilts.phases.provenance import own_values
    from xstilts.studies.search import Search
    from xstilts.studies.space import distributions

    section, trained = section_of(phase, name, params), _trained(phase, name, params)
    own = own_values(trained, params.training)
    prune = isinstance(section, StudySettings) and section.prune
    every = params.training.evaluate_every_steps
    if prune and every is None and params.training.evaluations == 1:
        raise UserError(
            f"params.yaml: study.{label(phase, name)}.prune: true, and training.evaluations is 1: "
            "English dev is scored when a trial is over; raise it, or set prune to false"
        )
    return Search(
        section=section,
        first={setting: own[setting] for setting in distributions(section)},
        metric=LOSS if phase == "pretrain" else _metric(phase, name),
        name="/".join(filter(None, (params.experiment, phase, name))),
        key=_key(phase, name, params, trained),
        journal=paths.study_journal(params.experiment),
        lock=paths.study_work(params.experiment, phase, name) / "lock",
        direction="minimize" if phase == "pretrain" else "maximize",
        prune=prune,
        by_batch=every is not None,
    )


@dataclass(frozen=True)
class Training:
    """Makes an objective: a phase's training, seen through its score alone."""

    phase: Phase
    name: str
    params: Params
    folder: Path  # of the trials' checkpoints
    search: Search

    def __call__(self) -> Objective:
        from filelock import FileLock

        from xstilts.running.tracking import open_run
        from xstilts.studies.pruning import Pruned, Watched

        train = self._of_phase()

        def objective(trial: Trial) -> tuple[float, tuple[float, ...]]:
            folder = self.folder / str(trial.place)
            folder.mkdir(parents=True, exist_ok=True)
            cell = f"study-{self.phase}-{self.name or TEXT}-{trial.place}"
            # A process that a killed study left may still be ending.
            with FileLock(f"{folder}.lock"):
                run = open_run(self.params.experiment, cell, paths.WORK)
                watched = Watched(folder / "curve.json", trial.floors, run)
                try:
                    score = train(trial.values, self.search.section.seed, folder, watched)
                except (UserError, Pruned):
                    run.fail()
                    raise
                run.finish_trial(trial.values, score, self.search.key, self.search.metric)
            return score, watched.curve

        return objective

    def _of_phase(self) -> PhaseObjective:
        from xstilts.phases.intermediate import intermediate_objective
        from xstilts.phases.pretrain import pretrain_objective
        from xstilts.phases.target import target_objective

        if self.phase == "pretrain":
            return pretrain_objective(self.params)
        make = intermediate_objective if self.phase == "intermediate" else target_objective
        return make(self.name, self.params)


def _trained(phase: Phase, name: str, params: Params) -> Section:
    """The section of what a study trains; UserError where that is nothing."""
    section = section_of(phase, name, params)
    key = f"params.yaml: study.{label(phase, name)}.trials: {section.trials}"
    if phase == "pretrain":
        if params.pretrain.encoder is not None:
            raise UserError(f"{key}; expected 0: pretrain.encoder is given, so nothing is trained")
        return params.pretrain
    if phase == "intermediate":
        mixture = params.intermediates.get(name)
        if mixture is None or not mixture.members:
            raise UserError(f"{key}; expected 0: {name} has no members, so it trains nothing")
        return mixture
    target = params.targets.get(name)
    if target is None or isinstance(target, FrozenSettings) or target.trained is None:
        raise UserError(f"{key}; expected 0: target {name} is frozen, so it trains nothing")
    return target


def _key(phase: Phase, name: str, params: Params, trained: Section) -> str:
    """The digest of all that decides a trial's score: with another the study begins anew.

    `trials` is left out: more of them go on from those that were tried.
    """
    parts = (trained, params.training, section_of(phase, name, params))
    plain = [part.model_dump(mode="json", exclude={"trials"}) for part in parts]
    inputs = [paths.TEXT] if phase == "pretrain" else [_data(phase, name), paths.PRETRAIN]
    return digest(plain, [folder_digest(path) for path in inputs], kind_digest("study"))


def _data(phase: Phase, name: str) -> Path:
    return paths.intermediate_data(name) if phase == "intermediate" else paths.target_data(name)


def _metric(phase: Phase, name: str) -> str:
    """The name of what is maximised: a task's main metrics, and each member's of a mixture."""
    records = sorted(_data(phase, name).rglob("record.json"))
    named = [" + ".join(read_record(path.parent).main) for path in records]
    return "; ".join(dict.fromkeys(named))
