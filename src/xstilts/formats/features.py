"""Encoded tables, and which of their examples an optimiser step takes, in which micro-batches.

Everything here is a function of (seed, step): a training that is resumed at step k sees what it
would have seen.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from xstilts.formats.tables import read_json, write_json

Ints = NDArray[np.int32]
Batch = dict[str, torch.Tensor]
IGNORE_INDEX = -100  # torch's cross_entropy leaves it out


@dataclass(frozen=True)
class Ragged:
    """Lists of integers of unequal length, in two flat arrays that a file can back."""

    values: Ints
    offsets: NDArray[np.int64]  # (lists + 1,)

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __getitem__(self, index: int) -> Ints:
        return self.values[self.offsets[index] : self.offsets[index + 1]]

    @property
    def lengths(self) -> NDArray[np.int64]:
        lengths: NDArray[np.int64] = np.diff(self.offsets)
        return lengths

    @classmethod
    def of(cls, lists: Sequence[Sequence[int]]) -> Ragged:
        offsets = np.zeros(len(lists) + 1, np.int64)
        np.cumsum([len(values) for values in lists], out=offsets[1:])
        values = np.fromiter(
            (value for values in lists for value in values), np.int32, int(offsets[-1])
        )
        return cls(values, offsets)


@dataclass(frozen=True)
class Features:
    """What the model reads: one or more sequences a row; `group` sequences in a row make one
    example.

    columns: input_ids and what a family adds, a list a sequence. rows: (sequences,), the table's
    row of each. whole: an example's loss depends on the others of its step, which is never cut.
    """

    columns: Mapping[str, Ragged]
    rows: Ints
    group: int = 1
    counts: dict[str, int] = field(default_factory=dict)
    whole: bool = False

    def __len__(self) -> int:
        """Examples."""
        return len(self.rows) // self.group

    @cached_property
    def lengths(self) -> NDArray[np.int64]:
        """(examples,): pieces of each example's longest sequence."""
        by_example = self.columns["input_ids"].lengths.reshape(-1, self.group)
        longest: NDArray[np.int64] = by_example.max(axis=1, initial=0)
        return longest

    def sequences(self, examples: NDArray[np.int64]) -> NDArray[np.int64]:
        """Indices of the examples' sequences, a group's side by side."""
        return (examples[:, None] * self.group + np.arange(self.group)).reshape(-1)

    def save(self, folder: Path) -> None:
        """Atomic: another process sees the whole folder or none."""
        folder.parent.mkdir(parents=True, exist_ok=True)
        new = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
        for name, column in self.columns.items():
            np.save(new / f"{name}.values.npy", column.values)
            np.save(new / f"{name}.offsets.npy", column.offsets)
        np.save(new / "rows.npy", self.rows)
        write_json(
            new / "features.json",
            {
                "columns": list(self.columns),
                "group": self.group,
                "counts": self.counts,
                "whole": self.whole,
            },
        )
        try:
            new.rename(folder)
        except OSError:  # another process was first, with the same content
            shutil.rmtree(new)

    @classmethod
    def load(cls, folder: Path) -> Features:
        """Memory-mapped: a grid's cells share the pages."""
        meta = read_json(folder / "features.json")
        columns = {
            name: Ragged(
                np.load(folder / f"{name}.values.npy", mmap_mode="r"),
                np.load(folder / f"{name}.offsets.npy", mmap_mode="r"),
            )
            for name in meta["columns"]
        }
        rows = np.load(folder / "rows.npy")
        return cls(columns, rows, meta["group"], meta["counts"], meta["whole"])


def concatenate(parts: Sequence[Features]) -> Features:
    """One after another; rows count on, so that they stay distinct."""
    columns = {}
    for name in parts[0].columns:
        lengths = np.concatenate([part.columns[name].lengths for part in parts])
        offsets = np.concatenate([[0], np.cumsum(lengths)])
        columns[name] = Ragged(
            np.concatenate([part.columns[name].values for part in parts]), offsets
        )
    starts = np.cumsum([0, *(int(part.rows.max(initial=-1)) + 1 for part in parts[:-1])])
    rows = np.concatenate([part.rows + start for part, start in zip(parts, starts, strict=True)])
    return Features(columns, rows.astype(np.int32), parts[0].group)


def pad(features: Features, examples: NDArray[np.int64], pad_values: Mapping[str, int]) -> Batch:
    """A rectangular batch: every column padded to its own longest, (sequences, length); and
    attention_mask."""
    sequences = features.sequences(examples)
    batch: Batch = {}
    for name, column in features.columns.items():
        lists = [column[index] for index in sequences]
        width = max((len(values) for values in lists), default=0)
        padded = np.full((len(lists), width), pad_values.get(name, 0), np.int64)
        for line, values in zip(padded, lists, strict=True):
            line[: len(values)] = values
        batch[name] = torch.from_numpy(padded)
        if name == "input_ids":
            lengths = np.array([len(values) for values in lists])
            batch["attention_mask"] = torch.from_numpy(
                (np.arange(width) < lengths[:, None]).astype(np.int64)
            )
    return batch


def step_examples(
    index: NDArray[np.int64], batch_size: int, seed: int, step: int
) -> NDArray[np.int64]:
    """The examples of step `step` (from 0): a new order each epoch, the last batch may be short."""
    per_epoch = steps_per_epoch(len(index), batch_size)
    epoch, position = divmod(step, per_epoch)
    order = _epoch_order(len(index), seed, epoch)
    return index[order[position * batch_size : (position + 1) * batch_size]]


def steps_per_epoch(examples: int, batch_size: int) -> int:
    return -(-examples // batch_size)


_orders: dict[tuple[int, int, int], NDArray[np.int64]] = {}


def _epoch_order(n: int, seed: int, epoch: int) -> NDArray[np.int64]:
    """One epoch's order is asked for once a step: the last few are kept."""
    key = (n, seed, epoch)
    if key not in _orders:
        while len(_orders) >= 32:
            del _orders[next(iter(_orders))]
        _orders[key] = np.random.default_rng([seed, epoch]).permutation(n)
    return _orders[key]


def draw_members(weights: Sequence[float], steps: int, seed: int) -> NDArray[np.int64]:
    """(steps,): which member of a mixture each step trains, drawn by weight."""
    if len(weights) == 1:
        return np.zeros(steps, np.int64)
    probabilities = np.asarray(weights, np.float64) / sum(weights)
    return (
        np.random.default_rng([seed, 0x6D6978])
        .choice(len(weights), steps, p=probabilities)
        .astype(np.int64)
    )


def micro_batches(
    lengths: NDArray[np.int64], group: int, budget: int, overhead: int
) -> Iterator[NDArray[np.int64]]:
    """Cut a step's examples, longest first, so that padded tokens plus `overhead` a cut are fewest.

    lengths: (examples,). Yields positions into it. No micro-batch has more than `budget` padded
    tokens, except that an example is never cut. A shortest-path over the sorted lengths: exact, and
    0.2 ms for 32 examples.
    """
    order = np.argsort(-lengths, kind="stable")
    width = lengths[order] * group  # padded tokens an example costs in the batch that it opens
    n = len(order)
    cost = np.full(n + 1, np.inf)
    cost[0] = 0.0
    opened = np.zeros(n + 1, np.int64)
    for end in range(1, n + 1):
        sizes = end - np.arange(end)
        total = cost[:end] + sizes * width[:end] + overhead
        total[(sizes * width[:end] > budget) & (sizes > 1)] = np.inf
        opened[end] = int(np.argmin(total))
        cost[end] = total[opened[end]]
    cuts = [n]
    while cuts[-1]:
        cuts.append(int(opened[cuts[-1]]))
    for start, end in zip(cuts[:0:-1], cuts[-2::-1], strict=True):
        yield order[start:end]


def sorted_batches(features: Features, budget: int) -> Iterator[NDArray[np.int64]]:
    """All examples for prediction, longest first (the largest batch fails first), under the token
    budget."""
    order = np.argsort(-features.lengths, kind="stable")
    start = 0
    while start < len(order):
        width = int(features.lengths[order[start]]) * features.group
        size = max(1, budget // max(1, width))
        yield order[start : start + size]
        start += size


def balanced_index(sizes: Sequence[int], temperature: float) -> NDArray[np.int64]:
    """An epoch of several languages, p(language) ~ size ** temperature; every example is in it.

    sizes: examples of each language, which stand one after another. The largest language comes
    once; a smaller one repeats its examples.
    """
    largest = max(sizes)
    starts = np.cumsum([0, *sizes[:-1]])
    parts = [
        start + np.arange(round(largest * (size / largest) ** temperature)) % size
        for start, size in zip(starts, sizes, strict=True)
        if size
    ]
    return np.concatenate(parts).astype(np.int64)
