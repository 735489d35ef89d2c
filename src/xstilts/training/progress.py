"""How far a training is: its counters, its curve, its checkpoints."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import nn

from xstilts.errors import UserError
from xstilts.formats.tables import read_json, write_json


class Reporter(Protocol):
    """Whoever is told of a training's steps, as `tracking.Run`."""

    def begin(self, step: int) -> None:
        """A training begins (0), or goes on after its checkpoint of `step`."""
        ...

    def step(self, step: int, metrics: Mapping[str, float]) -> None: ...


@dataclass
class Progress:
    """How far a training is: all of its state but the weights and the optimisers'."""

    step: int = 0
    best_score: float = -math.inf
    best_step: int = 0
    since_best: int = 0
    flag: str = ""  # of the best evaluation
    best_values: dict[str, float] = field(default_factory=dict)  # "TASK.METRIC" of it
    # lines of step, and loss + learning_rate or dev
    history: list[dict[str, float]] = field(default_factory=list)


class Meter:
    """Loss and speed since the last report, and where a loss that is not a number came from."""

    def __init__(self, progress: Progress, reporter: Reporter | None) -> None:
        self.progress, self.reporter = progress, reporter
        self._clear()

    def _clear(self) -> None:
        self.losses: list[torch.Tensor] = []
        self.sources: list[Callable[[], str]] = []
        self.tokens, self.rate, self.since = 0, 0.0, time.monotonic()

    def restart(self) -> None:
        """Leave the time since the last report out of the speed: it went into an evaluation."""
        self.since = time.monotonic()

    def add(self, loss: torch.Tensor, tokens: int, rate: float, source: Callable[[], str]) -> None:
        """One step. source: names the rows that the step read, if it comes to that."""
        self.losses.append(loss)
        self.sources.append(source)
        self.tokens += tokens
        self.rate = rate

    def report(self) -> dict[str, str]:
        """Send what was gathered; a GPU is read here alone, so that no step waits for it."""
        if not self.losses:
            return {}
        losses = torch.stack(self.losses).tolist()
        for back, loss in enumerate(losses):
            if not math.isfinite(loss):
                step = self.progress.step - len(losses) + back + 1
                raise UserError(
                    f"step {step}: the loss is not a number; {self.sources[back]()}; "
                    "lower the learning rate or look at these rows"
                )
        speed = self.tokens / max(1e-9, time.monotonic() - self.since)
        mean = sum(losses) / len(losses)
        self.progress.history.append(
            {"step": self.progress.step, "loss": mean, "learning_rate": self.rate}
        )
        if self.reporter:
            values = {
                "train.loss": mean,
                "train.learning_rate": self.rate,
                "train.tokens_per_second": speed,
            }
            self.reporter.step(self.progress.step, values)
        self._clear()
        return {"loss": f"{mean:.3f}", "tok/s": f"{speed:,.0f}"}


def save(path: Path, model: nn.Module, optimizers: Sequence[Any], progress: Progress) -> None:
    """Write a checkpoint: weights, optimisers' states and progress."""
    state = {
        "model": model.state_dict(),
        "optimizers": [optimizer.state_dict() for optimizer in optimizers],
        "progress": asdict(progress),
    }
    write(path, state)


def write(path: Path, state: Any) -> None:
    """Atomic: a kill while writing leaves the last whole file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_suffix(f".{os.getpid()}.new")
    torch.save(state, new)
    os.replace(new, path)


def end(work: Path, progress: Progress) -> None:
    """Note that a training has ended, whose best weights are in the same folder."""
    write_json(work / "ended.json", asdict(progress))
    (work / "checkpoint.pt").unlink(missing_ok=True)


def ended(work: Path) -> Progress | None:
    """The progress of a training that has ended; None where there is none, or not at its end."""
    path = work / "ended.json"
    return Progress(**read_json(path)) if path.exists() else None


def resume(work: Path, model: nn.Module, optimizers: Sequence[Any]) -> Progress:
    """Load the checkpoint of a training that was killed; a new `Progress` where there is none."""
    path = work / "checkpoint.pt"
    if not path.exists():
        return Progress()
    state = torch.load(path, map_location=next(model.parameters()).device)
    model.load_state_dict(state["model"])
    for optimizer, its in zip(optimizers, state["optimizers"], strict=True):
        optimizer.load_state_dict(its)
    return Progress(**state["progress"])
