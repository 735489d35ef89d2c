"""What every family offers. A family is a module; FAMILIES in __init__ names them all.

A family never asks which task it serves: the task's record, as `TaskSettings`, says what may
differ.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from transformers import PretrainedConfig, PreTrainedTokenizerBase

from xstilts.formats.features import Batch, Features
from xstilts.formats.tables import Row

Prediction = Any  # a string, a list of tags, an index, or a dict: JSON in every case
Output = NDArray[np.float32] | NDArray[np.int64]


@dataclass(frozen=True)
class TaskSettings:
    """What a family needs of a task's record and its section of params. Lengths are in pieces."""

    max_length: int
    labels: tuple[str, ...] = ()
    metrics: tuple[str, ...] = ()
    convention: str = ""  # a metric's variant: whose chunk rule, normaliser or mining
    choices: int = 0
    no_answer: bool = False
    doc_stride: int = 0
    max_question: int = 0
    max_answer: int = 0
    n_best: int = 20
    pooling: str = "mean"

    def for_encoding(self) -> TaskSettings:
        """What `encode` sees: nothing that only predicts or scores, so that tasks which read the
        same rows alike, as XQuAD and MLQA read SQuAD, share their features."""
        return TaskSettings(
            self.max_length,
            self.labels,
            choices=self.choices,
            doc_stride=self.doc_stride,
            max_question=self.max_question,
            max_answer=self.max_answer,
        )


class Family(Protocol):
    """Sequences of one example stand side by side; every row in has exactly one prediction out."""

    def encode(
        self, rows: Sequence[Row], tokenizer: PreTrainedTokenizerBase, settings: TaskSettings
    ) -> Features:
        """Rows to sequences of pieces with their labels (IGNORE_INDEX where gold is hidden)."""
        ...

    def collate(
        self, features: Features, examples: NDArray[np.int64], tokens: Tokens, seed: Sequence[int]
    ) -> Batch:
        """A padded batch. What is random in it depends on `seed` and the example alone."""
        ...

    def head(self, config: PretrainedConfig, settings: TaskSettings) -> nn.Module:
        """A fresh head, called as head(hidden_states (sequences, length, dim), batch) -> logits."""
        ...

    def units(self, batch: Batch) -> int:
        """What the loss is a mean over, counted: rows, words, masked pieces."""
        ...

    def loss(self, logits: torch.Tensor, batch: Batch) -> torch.Tensor:
        """The SUM over units: micro-batches add up to the padded batch's."""
        ...

    def outputs(self, logits: torch.Tensor, batch: Batch) -> list[Output]:
        """One array a sequence, as small as decoding allows."""
        ...

    def decode(
        self,
        features: Features,
        outputs: Sequence[Output],
        rows: Sequence[Row],
        settings: TaskSettings,
    ) -> list[Prediction]:
        """One prediction a row, in the rows' order."""
        ...

    def score(
        self,
        predictions: Sequence[Prediction],
        rows: Sequence[Row],
        language: str,
        settings: TaskSettings,
    ) -> dict[str, float]:
        """Fractions. The official metric, from metrics/."""
        ...

    def labelled(self, rows: Sequence[Row]) -> bool:
        """Whether a table's gold is there: hidden test sets hold none."""
        ...

    def passport_entries(
        self, settings: TaskSettings, thresholds: Mapping[str, float]
    ) -> dict[str, Any]:
        """What a score means beside its metric: "truncation", and what else reading depends on.

        thresholds: what `settle` set on each language's dev gold.
        """
        ...


@dataclass(frozen=True)
class Tokens:
    """Ids that padding and masking need, and how many pieces are masked."""

    pad: int
    mask: int | None
    special: tuple[int, ...]
    vocabulary: int
    mask_probability: float = 0.15
