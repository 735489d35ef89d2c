"""Optimiser steps as CUDA graphs: one launch in the place of some 4,000.

A graph holds a whole step (forward, backward, clip, optimiser) for one head and the shapes of its
micro-batches; flat tokens come in buckets (flat.py), so a few graphs serve a training. A shape's
first step runs as it is and makes the optimiser's state; with the second it is recorded. Dropout in
a replay is drawn from the generator's seed, as it is outside of one: a step stays a function of
(seed, step), and a training that is resumed, and meets its shapes in another order, the same
training. What cannot be recorded runs as it is, and one line says so.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from tqdm import tqdm

from xstilts.formats.features import Batch
from xstilts.training.steps import Trained, counted, optimiser_step, update
from xstilts.training.task import Task

MOST = 64  # graphs that are kept; each holds some MB beside the memory that all share
VARYING = ("masked_lm",)  # families with logits for as many pieces as happen to be masked
Record = Callable[[Callable[[], torch.Tensor]], Callable[[], torch.Tensor]]


@dataclass(frozen=True)
class Recorded:
    """A graph and what it reads: `batches` and `units` are filled, then `replay` gives the loss."""

    batches: list[Batch]
    units: torch.Tensor
    replay: Callable[[], torch.Tensor]


class Graphs:
    """A training's steps. record: makes a replay of a function; CUDA's, where none is given."""

    def __init__(self, trained: Trained, record: Record | None = None) -> None:
        self.trained = trained
        self.device = trained.accelerator.device
        self.record = record or _CudaRecord()
        self.known: dict[Any, Recorded] = {}
        self.met: Counter[Any] = Counter()
        self.said: set[str] = set()
        cuda = self.device.type == "cuda"
        self.side: Any = torch.cuda.Stream() if cuda else None  # type: ignore[no-untyped-call]

    def step(self, seed: int, task: Task, batches: Sequence[Batch]) -> tuple[torch.Tensor, int]:
        """As `optimiser_step`. seed: the step's, which decides its dropout, and which is set."""
        torch.manual_seed(seed)
        if reason := self._refusal(task):
            self._say(f"{task.name}: {reason}: these steps run without CUDA graphs")
            return optimiser_step(self.trained, task, batches)
        key = (task.head, tuple(_shapes(batch) for batch in batches))
        self.met[key] += 1
        if key not in self.known and (self.met[key] == 1 or not self._recorded(key, task, batches)):
            torch.manual_seed(seed)
            with self._aside():
                return optimiser_step(self.trained, task, batches)
        torch.manual_seed(seed)  # recording may have drawn
        graph = self.known[key]
        units, seen = counted(task, batches)
        for inputs, batch in zip(graph.batches, batches, strict=True):
            _fill(inputs, batch)
        graph.units.fill_(max(1, units))
        return graph.replay().clone(), seen

    def _refusal(self, task: Task) -> str:
        if self.trained.accelerator.num_processes > 1:
            return "several processes"
        if len(self.trained.optimizers) > 1:
            return "an optimiser beside AdamW"
        return f"{task.family_name} has no fixed shape" if task.family_name in VARYING else ""

    def _recorded(self, key: Any, task: Task, batches: Sequence[Batch]) -> bool:
        if len(self.known) >= MOST or "no graph" in self.said:
            return False
        inputs = [
            {name: torch.empty_like(tensor, device=self.device) for name, tensor in batch.items()}
            for batch in batches
        ]
        for empty, batch in zip(inputs, batches, strict=True):
            _fill(empty, batch)
        units = torch.ones((), dtype=torch.int64, device=self.device)
        try:
            replay = self.record(partial(update, self.trained, task, inputs, units))
        except RuntimeError as error:
            self._say(f"{task.name}: no graph of a step: {' '.join(str(error).split())[:300]}")
            self.said.add("no graph")
            for optimizer in self.trained.optimizers:
                optimizer.zero_grad()
            return False
        self.known[key] = Recorded(inputs, units, replay)
        return True

    def _say(self, line: str) -> None:
        if line not in self.said:
            self.said.add(line)
            tqdm.write(f"note: {line}", file=sys.stderr)

    @contextmanager
    def _aside(self) -> Iterator[None]:
        """On a stream of its own, as a step must run once before it is recorded."""
        if self.side is None:
            yield
            return
        self.side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(self.side):
            yield
        torch.cuda.current_stream().wait_stream(self.side)


def _shapes(batch: Batch) -> tuple[Any, ...]:
    return tuple((name, tuple(tensor.shape)) for name, tensor in sorted(batch.items()))


def _fill(inputs: Batch, batch: Batch) -> None:
    for name, tensor in batch.items():
        inputs[name].copy_(tensor, non_blocking=True)


class _CudaRecord:
    """All graphs share one memory pool: they never run at once, and a loss is copied at once."""

    def __init__(self) -> None:
        self.pool = torch.cuda.graph_pool_handle()

    def __call__(self, function: Callable[[], torch.Tensor]) -> Callable[[], torch.Tensor]:
        graph, before = torch.cuda.CUDAGraph(), torch.cuda.current_stream()
        try:
            # thread_local: the side thread pins memory meanwhile, which is not of this graph.
            with torch.cuda.graph(graph, pool=self.pool, capture_error_mode="thread_local"):
                loss = function()
        finally:
            torch.cuda.set_stream(before)  # a failed recording leaves its own behind

        def replay() -> torch.Tensor:
            graph.replay()
            return loss

        return replay
