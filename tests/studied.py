"""A study with an objective that costs nothing, for processes of their own, too."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from xstilts.errors import UserError
from xstilts.sections import StudySettings
from xstilts.studies.search import Search
from xstilts.studies.space import Trial
from xstilts.studies.workers import Objective

OWN = {"learning_rate": 1e-5, "epochs": 2.5}  # out of the bounds below, and not a whole number
Score = tuple[float, tuple[float, ...]]


def section(**given: Any) -> StudySettings:
    bounds = {"learning_rate": (2e-5, 1e-3), "epochs": (1, 6)}
    return StudySettings.model_validate({"trials": 13, **bounds, **given})


def search(folder: Path, key: str = "k", **given: Any) -> Search:
    own = {"batch_size": 24, "warmup_ratio": 0.1, "weight_decay": 0.01}
    first = {**OWN, **{name: value for name, value in own.items() if name in given}}
    settings, journal = section(**given), folder / "an experiment.journal"
    prune = settings.prune
    return Search(
        settings, first, "accuracy", "e/target/x", key, journal, folder / "lock", prune=prune
    )


def score(trial: Trial) -> Score:
    """Best at 1e-4 and 4 epochs; its curve rises."""
    values = trial.values
    best = 1 - abs(math.log10(values["learning_rate"]) + 4) / 5 - abs(values["epochs"] - 4) / 20
    return best, (best / 2, best * 0.9, best)


def noted(trial: Trial) -> tuple[float, float, int]:
    return trial.values["learning_rate"], trial.values["epochs"], trial.place


@dataclass(frozen=True)
class Slow:
    """Makes an objective that sleeps and notes each place that it begins, a line each."""

    notes: Path
    sleep_s: float = 0.0
    fails_at: int = -1
    dies_at: int = -1

    def __call__(self) -> Objective:
        return self.objective

    def objective(self, trial: Trial) -> Score:
        with self.notes.open("a") as file:
            file.write(f"{trial.place}\n")
        time.sleep(self.sleep_s)
        if trial.place == self.fails_at:
            raise UserError("loss is not a number")
        if trial.place == self.dies_at:
            os.kill(os.getpid(), 9)
        return score(trial)


class Killed(BaseException):
    """What a test throws where a process would die."""


class Calls:
    """Notes its trials; dies at the calls whose numbers are given, fails at a place."""

    def __init__(
        self,
        dies_at: tuple[int, ...] = (),
        fails_at: int = -1,
        scored: Callable[[Trial], Score] = score,
    ) -> None:
        self.trials: list[Trial] = []
        self.dies_at, self.fails_at, self.scored = dies_at, fails_at, scored

    def __call__(self) -> Objective:
        return self.objective

    def objective(self, trial: Trial) -> Score:
        self.trials.append(trial)
        if len(self.trials) in self.dies_at:
            raise Killed
        if trial.place == self.fails_at:
            raise UserError("loss is not a number")
        return self.scored(trial)

    @property
    def calls(self) -> list[tuple[float, float, int]]:
        return [noted(trial) for trial in self.trials]
