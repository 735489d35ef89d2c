"""Encoded tables: what a family makes of rows, kept on disk and mapped into memory.

What enters: lists of integers. What leaves: arrays in files, and padded batches of them. This room
must not know which family the columns are of.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import chain
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
    """Lists of integers of unequal length, in two flat arrays that can be mapped from files."""

    values: Ints
    offsets: NDArray[np.int64]  # (lists + 1,)

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __getitem__(self, index: int) -> Ints:
        return self.values[self.offsets[index] : self.offsets[index + 1]]

    @property
    def lengths(self) -> NDArray[np.int64]:
        """(lists,): how many integers each list has."""
        lengths: NDArray[np.int64] = np.diff(self.offsets)
        return lengths

    @classmethod
    def of(cls, lists: Sequence[Sequence[int]]) -> Ragged:
        offsets = np.zeros(len(lists) + 1, np.int64)
        np.cumsum([len(values) for values in lists], out=offsets[1:])
        values = np.fromiter(chain.from_iterable(lists), np.int32, int(offsets[-1]))
        return cls(values, offsets)


@dataclass(frozen=True)
class Features:
    """What the model reads of a table: one or more sequences for each row.

    columns: input_ids and what a family adds, a list for each sequence. rows: (sequences,), each
    one's row of the table. group: how many neighbouring sequences make one example. whole: whether
    an example's loss depends on the others of its step, so that a step is never cut. widths: what
    a batch's columns are padded to, if nothing in it is longer.
    """

    columns: Mapping[str, Ragged]
    rows: Ints
    group: int = 1
    counts: dict[str, int] = field(default_factory=dict)
    whole: bool = False
    widths: Mapping[str, int] = field(default_factory=dict)

    def __len__(self) -> int:
        """The number of examples."""
        return len(self.rows) // self.group

    @cached_property
    def lengths(self) -> NDArray[np.int64]:
        """(examples,): pieces of each example's longest sequence."""
        by_example = self.columns["input_ids"].lengths.reshape(-1, self.group)
        longest: NDArray[np.int64] = by_example.max(axis=1, initial=0)
        return longest

    @cached_property
    def tokens(self) -> NDArray[np.int64]:
        """(examples,): pieces of each example's sequences together."""
        by_example = self.columns["input_ids"].lengths.reshape(-1, self.group)
        found: NDArray[np.int64] = by_example.sum(axis=1)
        return found

    def sequences(self, examples: NDArray[np.int64]) -> NDArray[np.int64]:
        """The indices of the examples' sequences, those of one example side by side."""
        return (examples[:, None] * self.group + np.arange(self.group)).reshape(-1)

    def save(self, folder: Path) -> None:
        """Write the folder at once: another process sees all of it or nothing."""
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
        """Features mapped from their files, so that all cells of a machine share the memory."""
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
    """Several tables' features as one; rows are numbered on from table to table."""
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
    """A batch: every column padded to its longest list, (sequences, length); attention_mask."""
    sequences = features.sequences(examples)
    batch: Batch = {}
    for name, column in features.columns.items():
        lists = [column[index] for index in sequences]
        width = max((len(values) for values in lists), default=0)
        width = max(width, features.widths.get(name, 0))
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
