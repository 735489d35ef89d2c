"""What a study may try, and what it suggests next: a function of seed, place and earlier scores.

What enters: a study's section, and the trials that ended. What leaves: a point of Optuna's sampler
and the values that are trained with.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Literal

import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.samplers import TPESampler
from optuna.trial import FrozenTrial, TrialState, create_trial

from xstilts.formats.tables import digest
from xstilts.sections import SearchSettings

Values = dict[str, float]  # by the setting's name, in the order of SCALES
Direction = Literal["maximize", "minimize"]
State = Literal["complete", "pruned", "failed"]
STATES: dict[State, TrialState] = {
    "complete": TrialState.COMPLETE,
    "pruned": TrialState.PRUNED,
    "failed": TrialState.FAIL,
}
SCALES: dict[str, Callable[[Any], BaseDistribution]] = {
    "learning_rate": lambda bounds: FloatDistribution(bounds[0], bounds[1], log=True),
    "epochs": lambda bounds: IntDistribution(bounds[0], bounds[1]),
    "steps": lambda bounds: IntDistribution(bounds[0], bounds[1], log=True),
    "batch_size": CategoricalDistribution,
    "warmup_ratio": lambda bounds: FloatDistribution(bounds[0], bounds[1]),
    "weight_decay": lambda bounds: FloatDistribution(bounds[0], bounds[1], log=True),
}
KINDS: dict[str, Callable[[float], float]] = {"epochs": float, "steps": int, "batch_size": int}


@dataclass(frozen=True)
class Trial:
    """A trial that is to run. place: in the search, from 0; params' own values have 0."""

    place: int
    values: Values  # what is trained with
    point: dict[str, Any]  # the same as the sampler sees it: within bounds, not rounded
    floors: tuple[float | None, ...] = ()  # the score below which its k-th evaluation ends it


@dataclass(frozen=True)
class Tried:
    """A trial that ended."""

    trial: Trial
    state: State
    score: float | None  # of a pruned one its best so far; None: it failed
    curve: tuple[float, ...] = ()  # the best score so far at each evaluation
    took_s: float = field(default=0.0, compare=False)
    error: str = ""


def distributions(section: SearchSettings) -> dict[str, BaseDistribution]:
    """A distribution for each setting that the section searches."""
    given = {name: getattr(section, name, None) for name in SCALES}
    return {name: SCALES[name](value) for name, value in given.items() if value is not None}


def suggest(
    section: SearchSettings,
    direction: Direction,
    place: int,
    before: Sequence[Tried],
    beside: Sequence[Mapping[str, Any]],
) -> dict[str, Any]:
    """The point of a place.

    before: the trials of earlier rounds, in the order of their places. beside: the points of
    earlier places of its own round, whose scores it must not know. It is asked of a study in memory
    that holds these and nothing else, so that neither kills nor other processes can change it.
    """
    space = distributions(section)
    study = optuna.create_study(
        direction=direction, sampler=_sampler(section.seed, place, section.parallel > 1)
    )
    study.add_trials(frozen(tried, space) for tried in before)
    study.add_trials(
        create_trial(state=TrialState.RUNNING, params=dict(point), distributions=space)
        for point in beside
    )
    trial = study.ask(space)
    return dict(trial.params)


def frozen(tried: Tried, space: Mapping[str, BaseDistribution]) -> FrozenTrial:
    """A trial that ended as Optuna keeps it."""
    trial = tried.trial
    attributes = {"place": trial.place, "values": trial.values, "took_s": tried.took_s}
    made = create_trial(
        state=STATES[tried.state],
        value=tried.score,
        params=trial.point,
        distributions=dict(space),
        user_attrs={**attributes, **({"error": tried.error} if tried.error else {})},
        intermediate_values=dict(enumerate(tried.curve, 1)),
    )
    assert made.datetime_start is not None
    made.datetime_start -= timedelta(seconds=tried.took_s)
    return made


def thawed(trial: FrozenTrial) -> Tried:
    """A trial that `frozen` made."""
    known = trial.user_attrs
    state = next(name for name, its in STATES.items() if its == trial.state)
    curve = tuple(value for _, value in sorted(trial.intermediate_values.items()))
    again = Trial(known["place"], known["values"], trial.params)
    return Tried(again, state, trial.value, curve, known["took_s"], known.get("error", ""))


def values_of(point: Mapping[str, Any]) -> Values:
    """What is trained with: a point's numbers, the real ones with six digits."""
    return {
        name: KINDS[name](number) if name in KINDS else float(f"{number:.6g}")
        for name, number in point.items()
    }


def nearest_point(own: Values, section: SearchSettings) -> dict[str, Any]:
    """The point nearest to params' own values, where the sampler sees them.

    The trial itself runs with the values as they are, be they out of bounds or not a whole number.
    """
    return {name: _nearest(own[name], space) for name, space in distributions(section).items()}


def _nearest(value: float, space: Any) -> Any:
    if isinstance(space, CategoricalDistribution):
        sizes: Sequence[Any] = space.choices
        return min(sizes, key=lambda size: abs(math.log(size / value)))
    within = min(max(value, space.low), space.high)
    return round(within) if isinstance(space, IntDistribution) else within


def _sampler(seed: int, place: int, beside: bool) -> TPESampler:
    """A TPE sampler with every option written out: results must not move with Optuna's defaults.

    One sampler for each place: a search that goes on suggests what it would have suggested.
    """
    return TPESampler(
        seed=int(digest(seed, place)[:8], 16),
        n_startup_trials=10,  # places that are drawn at random; the rest of these is Optuna 5's own
        n_ei_candidates=24,
        multivariate=True,
        group=False,
        constant_liar=beside,  # those of the same round count as poor: it looks elsewhere
    )
