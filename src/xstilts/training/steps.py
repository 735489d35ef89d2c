"""One optimiser step: its micro-batches made ready ahead of time, and its update.

No step waits for a GPU: counts are taken on the CPU, where batches are made; what a step reads is
sent from pinned memory; losses stay on the device until the meter reports them. A test counts the
waits (tests/test_steps.py), and on a GPU torch's own sync mode does (benchmarks/gpu.py).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
from accelerate import Accelerator
from torch import nn

from xstilts.formats.features import Batch
from xstilts.training.task import Task

AHEAD = 8  # steps that a side thread has ready for a GPU: batches are functions of (seed, step)
T = TypeVar("T")
R = TypeVar("R")


@dataclass(frozen=True)
class Trained:
    """What a step updates, and how. model: as accelerate wraps it; clip: of the gradient's norm."""

    accelerator: Accelerator
    model: nn.Module
    optimizers: Sequence[Any]
    clip: float


def ahead(items: Iterator[T], make: Callable[[T], R], steps: int) -> Generator[R, None, None]:
    """make(item) of each item in order, made in a side thread before it is asked for.

    steps: how many at most are ready; 0: all are made here. An error comes where its result would.
    """
    if not steps:
        yield from map(make, items)
        return
    waiting: deque[Future[R]] = deque()
    with ThreadPoolExecutor(1) as thread:
        try:
            for item in items:
                waiting.append(thread.submit(make, item))
                if len(waiting) > steps:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()


def pinned(batch: Batch, device: torch.device) -> Batch:
    """A batch that is copied to a GPU without a wait; for a CPU the batch itself."""
    if device.type != "cuda":
        return batch
    return {name: tensor.pin_memory() for name, tensor in batch.items()}


def sent(batch: Batch, device: torch.device) -> Batch:
    return {name: tensor.to(device, non_blocking=True) for name, tensor in batch.items()}


def counted(task: Task, batches: Sequence[Batch]) -> tuple[int, int]:
    """Units that a step's loss is a mean over, and real tokens. Batches on the CPU."""
    units = sum(task.family.units(batch) for batch in batches)
    return units, sum(int(batch["attention_mask"].sum()) for batch in batches)


def optimiser_step(
    trained: Trained, task: Task, batches: Sequence[Batch]
) -> tuple[torch.Tensor, int]:
    """One update; gives the mean loss and the real tokens that were read.

    The loss is a mean over units (rows, words, masked pieces) of the whole batch: each micro-batch
    adds its SUM divided by the whole batch's count, so how the batch is cut changes memory and
    speed alone.
    """
    accelerator = trained.accelerator
    count, seen = counted(task, batches)
    units = torch.full((), count, device=accelerator.device)  # filled there: nothing is copied
    units = accelerator.reduce(units).clamp(min=1)
    there = [sent(batch, accelerator.device) for batch in batches]
    return accelerator.reduce(update(trained, task, there, units)), seen


def update(
    trained: Trained, task: Task, batches: Sequence[Batch], units: torch.Tensor
) -> torch.Tensor:
    """Forward, backward, clip, optimisers; gradients are gone at the end. What a CUDA graph holds:
    nothing in it waits, and its shapes are those of `batches`. Gives this process's loss."""
    accelerator, model = trained.accelerator, trained.model
    total = torch.zeros((), device=accelerator.device)
    for number, batch in enumerate(batches):
        last = number + 1 == len(batches)
        with (
            nullcontext() if last else accelerator.no_sync(model)
        ):  # gradients are shared once a step
            loss = task.family.loss(model(task.head, batch), batch) / units
            accelerator.backward(
                loss * accelerator.num_processes
            )  # DDP takes the mean over processes
        total += loss.detach()
    accelerator.clip_grad_norm_(model.parameters(), trained.clip)
    for optimizer in trained.optimizers:
        optimizer.step()
        optimizer.zero_grad()
    return total
