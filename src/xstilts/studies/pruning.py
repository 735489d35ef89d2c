"""Ending trials early: below the median of comparable ones at the same evaluation.

Comparable are trials of as many epochs: the schedule falls to 0 at a training's end, so at half of
two epochs a training is not where it is at the same step of four. Evaluations are evenly spaced, so
the k-th of one is at the same fraction as the k-th of the other; where they come every n steps
(training.evaluate_every_steps), batches must be equal, too. Only earlier rounds are looked at, so
what is pruned does not depend on which process was faster.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

from xstilts.formats.tables import write_text
from xstilts.studies.space import Tried, Values

if TYPE_CHECKING:
    from xstilts.training.progress import Reporter

COMPARED = 2  # at least so many trials make a median; Optuna's own pruner asks for 5 trials in all


class Pruned(Exception):
    """A trial that is not worth its end. curve: its best score so far at each evaluation."""

    def __init__(self, curve: tuple[float, ...]) -> None:
        super().__init__(curve)
        self.curve = curve


def floors(values: Values, before: Iterable[Tried], by_batch: bool) -> tuple[float | None, ...]:
    """The score below which the k-th evaluation ends a trial; None: nothing is known of it.

    Never the last evaluation: the trial is over then. by_batch: compare equal batches alone.
    """
    names = ("epochs", "batch_size") if by_batch else ("epochs",)
    wanted = [values.get(name) for name in names]
    like = [
        one
        for one in before
        if one.state != "failed" and [one.trial.values.get(name) for name in names] == wanted
    ]
    whole = max((len(one.curve) for one in like if one.state == "complete"), default=0)
    seen = [[one.curve[k] for one in like if len(one.curve) > k] for k in range(whole - 1)]
    return tuple(median(scores) if len(scores) >= COMPARED else None for scores in seen)


class Watched:
    """A reporter that keeps a trial's curve on disk and raises `Pruned` below a floor.

    On disk, since a training that was killed goes on after its checkpoint and does not report again
    what came before.
    """

    def __init__(
        self, path: Path, floors: tuple[float | None, ...] = (), others: Reporter | None = None
    ) -> None:
        self.path, self.floors, self.others = path, floors, others
        self.training = 0  # its number within the trial: COPA's is the second, after SIQA's
        lines = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else []
        self.lines: list[tuple[int, int, float]] = [(int(n), int(s), x) for n, s, x in lines]

    def begin(self, step: int) -> None:
        self.training += 1
        self.lines = [line for line in self.lines if line[0] != self.training or line[1] <= step]
        if self.others:
            self.others.begin(step)

    def step(self, step: int, metrics: Mapping[str, float]) -> None:
        if self.others:
            self.others.step(step, metrics)
        if "dev.score" not in metrics:
            return
        self.lines = sorted([*self.lines, (self.training, step, float(metrics["dev.score"]))])
        write_text(self.path, json.dumps(self.lines))
        so_far = [line for line in self.lines if line[:2] <= (self.training, step)]
        curve = _best_so_far(so_far)
        floor = self.floors[len(curve) - 1] if len(curve) <= len(self.floors) else None
        if floor is not None and curve[-1] < floor:
            raise Pruned(curve)

    @property
    def curve(self) -> tuple[float, ...]:
        """The best score so far, within each training, at each evaluation."""
        return _best_so_far(self.lines)


def _best_so_far(lines: Iterable[tuple[int, int, float]]) -> tuple[float, ...]:
    best: dict[int, float] = {}
    curve = []
    for training, _, score in lines:
        best[training] = max(score, best.get(training, score))
        curve.append(best[training])
    return tuple(curve)
