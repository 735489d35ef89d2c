"""What the terminal says of a study: each trial as it ends, and a table of all."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from xstilts.studies.search import Search
    from xstilts.studies.space import Direction, Tried, Values

WIDTH = 120
PARAMS_OWN = "params' own"


class Told:
    """Prints a study as it goes. label: as params call it below `study`."""

    def __init__(self, label: str, search: Search, jobs: int) -> None:
        from rich.console import Console

        self.search, self.console = search, Console(highlight=False, soft_wrap=True)
        if not self.console.is_terminal:  # a log has room
            self.console.width = max(self.console.width, WIDTH)
        section, at_once = search.section, min(jobs, search.section.parallel)
        verb = "maximises" if search.direction == "maximize" else "minimises"
        self.say(
            f"study.{label}: {section.trials} trials, {verb} {search.metric}"
            f"{' on English dev' if search.direction == 'maximize' else ''}; trial 0 is "
            f"{PARAMS_OWN} values; {at_once} at a time"
        )
        if jobs > at_once:
            self.say(f"  --jobs {jobs}: study.{label}.parallel lets {at_once} run at a time")

    def say(self, text: str) -> None:
        self.console.print(text, markup=False)

    def ended(self, tried: Tried, best: Tried | None) -> None:
        """A trial ended."""
        score = _score(tried, self.search.direction)
        so_far = (
            f"; best so far {_score(best, self.search.direction)} (trial {best.trial.place})"
            if best
            else ""
        )
        self.say(
            f"trial {tried.trial.place}: {in_words(tried.trial.values)}: {score}, "
            f"{tried.took_s:.1f} s{so_far}"
        )
        if tried.error:
            self.say(f"  failed: {tried.error}; the search goes on without it")

    def end(self, tried: Sequence[Tried], best: Tried, result: Path) -> None:
        """All trials ended: a line for each, which won, and what params' own values had."""
        from rich import box
        from rich.table import Table

        names = list(tried[0].trial.values)
        percent = " (%)" if self.search.direction == "maximize" else ""
        metric = f"{self.search.metric}{percent}"
        table = Table("trial", *names, metric, "time", "", box=box.SIMPLE_HEAD, pad_edge=False)
        for one in tried:
            values = [f"{one.trial.values[name]:.3g}" for name in names]
            notes = [
                PARAMS_OWN if one.trial.place == 0 else "",
                "won" if one is best else "",
                one.state if one.state != "complete" else "",
            ]
            score = _score(one, self.search.direction)
            note = ", ".join(filter(None, notes))
            table.add_row(f"{one.trial.place}", *values, score, f"{one.took_s:.1f} s", note)
        self.console.print(table)
        own = _score(tried[0], self.search.direction)
        won = (
            f"{PARAMS_OWN} values won: {own}"
            if best.trial.place == 0
            else f"{in_words(best.trial.values)} won: {_score(best, self.search.direction)}; "
            f"{PARAMS_OWN} values: {own}"
        )
        self.say(f"{result}: {won}")


def in_words(values: Values) -> str:
    """learning_rate 3e-05, epochs 4."""
    return ", ".join(f"{name} {value:g}" for name, value in values.items())


def _score(tried: Tried, direction: Direction) -> str:
    """A score in percent, a loss as it is; of a trial without its end, which it was."""
    if tried.score is None:
        return tried.state
    number = f"{100 * tried.score:.2f}" if direction == "maximize" else f"{tried.score:.4f}"
    return f"{number} when pruned" if tried.state == "pruned" else number
