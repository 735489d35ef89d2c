"""The search: rounds of trials, of which each is suggested from those of earlier rounds.

What enters: a `Search` and an objective. What leaves: the trials, in the journal as they end, and
the best values in a file. What is suggested depends on the seed, the place and the scores of
earlier rounds, never on kills, on the number of processes or on which of them was faster.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from xstilts.errors import UserError
from xstilts.formats.tables import write_text
from xstilts.sections import SearchSettings
from xstilts.studies import journal
from xstilts.studies.pruning import floors
from xstilts.studies.space import (
    Direction,
    Trial,
    Tried,
    Values,
    distributions,
    frozen,
    nearest_point,
    suggest,
    values_of,
)
from xstilts.studies.workers import Make, working

Tell = Callable[[Tried, Tried | None], None]  # is told of a trial that ended, and the best so far


@dataclass(frozen=True)
class Search:
    """A study: its section, the values that it begins with, its metric, and where it is kept."""

    section: SearchSettings
    first: Values  # params' own values: trial 0
    metric: str
    name: str  # EXPERIMENT/PHASE/NAME
    key: str  # of all that decides its scores
    journal: Path
    lock: Path
    direction: Direction = "maximize"
    prune: bool = False
    by_batch: bool = False  # evaluations come every n steps: see `pruning`


def run_study(
    search: Search, make: Make, result: Path, jobs: int = 1, tell: Tell | None = None
) -> list[Tried]:
    """Search until `trials` have ended and write the best values; a killed search goes on.

    make: gives the objective. jobs: trials at a time, of one round. A trial that ends with a
    UserError (a loss that is not a number) has failed and the search goes on; params' own values
    must not fail. Returns all trials.
    """
    search.lock.parent.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(search.lock).acquire(timeout=0):
            tried = _searched(search, make, jobs, tell)
    except Timeout:
        raise UserError(
            f"{search.name}: another process is at work on this study; expected one at a time; "
            "wait for it, or stop it and start again"
        ) from None
    write_text(result, as_yaml(search, tried))
    return tried


def best_of(tried: Iterable[Tried], direction: Direction) -> Tried | None:
    """The best of those that ended whole; the earliest of equal ones, so params' own win."""
    sign = 1 if direction == "maximize" else -1
    whole = [
        (sign * one.score, -one.trial.place, one)
        for one in tried
        if one.state == "complete" and one.score is not None
    ]
    return max(whole, key=lambda item: item[:2])[2] if whole else None


def _searched(search: Search, make: Make, jobs: int, tell: Tell | None) -> list[Tried]:
    """The trials of the search; the caller holds the study's lock."""
    section = search.section
    study = journal.open_study(
        search.journal, search.name, search.key, search.direction, search.metric
    )
    done = journal.tried(study)
    space = distributions(section)
    with working(make, min(jobs, section.parallel)) as run:
        for start in range(0, section.trials, section.parallel):
            places = range(start, min(start + section.parallel, section.trials))
            if all(place in done for place in places):
                continue
            asked = [trial for trial in _round(search, places, done) if trial.place not in done]
            for ended in run(asked):
                study.add_trial(frozen(ended, space))
                done[ended.trial.place] = ended
                if tell:
                    whole = [one for one in done.values() if one.trial.place < section.trials]
                    tell(ended, best_of(whole, search.direction))
    return [done[place] for place in range(section.trials)]


def _round(search: Search, places: range, done: Mapping[int, Tried]) -> Iterator[Trial]:
    """The trials of a round; what is suggested knows of `done` the earlier rounds alone."""
    before = [done[place] for place in range(places.start)]
    points: list[Mapping[str, Any]] = []
    for place in places:
        if place == 0:
            trial = Trial(0, search.first, nearest_point(search.first, search.section))
        else:
            point = suggest(search.section, search.direction, place, before, points)
            trial = Trial(place, values_of(point), point)
        points.append(trial.point)
        if search.prune:
            trial = replace(trial, floors=floors(trial.values, before, search.by_batch))
        yield trial


def as_yaml(search: Search, tried: list[Tried]) -> str:
    """The study's file: what it found, how, and all that it tried. It holds no time.

    Numbers as YAML 1.1 and 1.2 both read them: 3.0e-05, never 3e-05.
    """
    best = best_of(tried, search.direction)
    assert best is not None  # of the first trial, an error ends the search
    found = {
        **best.trial.values,
        "metric": search.metric,
        "direction": search.direction,
        "score": best.score,
        "trial": best.trial.place,
        "trials": len(tried),
    }
    lines = [
        "# Written by a study stage. To pin values: trials 0, and the values into params.yaml.",
        *(f"{name}: {_as_text(value)}" for name, value in found.items()),
        "tried:",
    ]
    for one in tried:
        line = {**one.trial.values, "score": one.score, "state": one.state}
        lines.append(f"- {{{', '.join(f'{name}: {_as_text(x)}' for name, x in line.items())}}}")
    return "\n".join(lines) + "\n"


def _as_text(value: Any) -> str:
    if value is None:
        return "null"
    text = repr(value) if isinstance(value, float) else str(value)
    if isinstance(value, float) and "e" in text and "." not in text:
        text = text.replace("e", ".0e")
    return text
