"""How long the grid's studies may take, from what was seen of the same trainings.

What enters: params, the journal, cards and curves. What leaves: the stages to run, and a line for
each. Nothing is measured anew, and nothing is guessed: what was not seen is unknown.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from math import sqrt

from xstilts import paths
from xstilts.console import lasting
from xstilts.errors import UserError
from xstilts.formats.cards import read_card
from xstilts.params import Params
from xstilts.running.logbook import History, cell_key
from xstilts.studies import journal
from xstilts.studies.stage import Phase, label, search_of, section_of

UNITS = {"pretrain": "step", "intermediate": "epoch", "target": "epoch"}


def expected(params: Params) -> tuple[list[str], list[str]]:
    """(the stages of all studies that have trials, in the order of phases; what to say of them).

    UserError where one has trials and trains nothing.
    """
    grid = params.grid
    names: list[tuple[Phase, str]] = [("pretrain", "")]
    names += [("intermediate", name) for name in grid.intermediates]
    names += [("target", name) for name in grid.targets]
    searched = [one for one in names if section_of(*one, params).trials]
    lines, seconds, unknown = [], 0.0, 0
    for phase, name in searched:
        text, took_s = _one(phase, name, params)
        lines.append(text)
        seconds += took_s or 0.0
        unknown += took_s is None
    total = f"{len(searched)} of {len(names)} studies have trials (study.PHASE.NAME.trials)"
    if seconds or (searched and not unknown):
        total += f"; in all {'at least' if unknown else 'about'} {lasting(seconds)}, one at a time"
    lines.append(total + (f"; of {unknown} it is unknown" if unknown else ""))
    return [f"study-{phase}{'@' if name else ''}{name}" for phase, name in searched], lines


def _one(phase: Phase, name: str, params: Params) -> tuple[str, float | None]:
    """What to say of a study, and its seconds; None: no training like it was seen."""
    search = search_of(phase, name, params)
    studies = journal.known(search.journal, search.name)
    unit = UNITS[phase]
    units = f"{unit}s"
    rates = [
        one.took_s / one.trial.values[units]
        for _, tried in studies.values()
        for one in tried
        if one.state == "complete"
    ]
    rates = rates or list(_of_cards(phase, name))
    key, tried = studies.get(search.name, ("", []))
    ended = {one.trial.place for one in tried} if key == search.key else set[int]()
    trials = search.section.trials
    left = [place for place in range(trials) if place not in ended]
    line = f"study.{label(phase, name)}: {trials} trials, {len(ended)} ended"
    if not rates:
        return f"{line}; how long is unknown: nothing like it has run here", None
    each_s = sum(rates) / len(rates)
    low, high = getattr(search.section, units)
    middle = sqrt(low * high) if phase == "pretrain" else (low + high) / 2  # of what is drawn
    length = sum(middle if place else search.first[units] for place in left)
    took_s = length * each_s
    return f"{line}; about {lasting(took_s)}: {length:.4g} {units} of {each_s:.3g} s", took_s


def _of_cards(phase: Phase, name: str) -> Iterator[float]:
    """Seconds of an epoch, of phase 1 of a step, in the trainings whose cards and curves are here.

    Evaluations between the first and the last line of a curve are in it.
    """
    places = {
        "pretrain": [paths.PRETRAIN],
        "intermediate": paths.intermediate_model(name, "*").parent.glob("*"),
        "target": paths.CELLS.glob(f"*/{name}/*"),
    }
    for folder in sorted(places[phase]):
        with suppress(UserError):  # no card, or one of another version
            card = read_card(folder)
            lines = [line for line in History(paths.WORK, cell_key(card)).lines() if "step" in line]
            setting = card.settings.get(f"{UNITS[phase]}s")
            if setting and len(lines) > 1 and lines[-1]["step"] > lines[0]["step"]:
                steps = lines[-1]["step"] - lines[0]["step"]
                a_step = (lines[-1]["time"] - lines[0]["time"]) / 1000 / steps
                yield a_step * lines[-1]["step"] / float(setting.value)
