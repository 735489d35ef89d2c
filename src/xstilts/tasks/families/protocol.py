"""The functions that every family has: a family is a module, named in `families.FAMILIES`.

A family never asks which task it serves: the task's record, as `TaskSettings`, says what differs.
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
    """What a family needs of a task's record and section of params. Lengths are in pieces."""

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
    likelihood: str = ""  # of choices: by the decoder's log p of them, sum or mean; "": by a head
    prompt: str = ""

    def for_encoding(self) -> TaskSettings:
        """The settings that `encode` sees: none that only predicts or scores.

        So tasks that read the same rows alike, as XQuAD and MLQA read SQuAD, share their features.
        """
        return TaskSettings(
            self.max_length,
            self.labels,
            choices=self.choices,
            doc_stride=self.doc_stride,
            max_question=self.max_question,
            max_answer=self.max_answer,
            likelihood=self.likelihood,
            prompt=self.prompt,
        )


class Family(Protocol):
    """The functions of a family's module; each row that enters gets exactly one prediction.

    Sequences of one example are neighbours.
    """

    def encode(
        self, rows: Sequence[Row], tokenizer: PreTrainedTokenizerBase, settings: TaskSettings
    ) -> Features:
        """The rows as sequences of pieces with labels (IGNORE_INDEX where gold is hidden)."""
        ...

    def collate(
        self, features: Features, examples: NDArray[np.int64], tokens: Tokens, seed: Sequence[int]
    ) -> Batch:
        """A padded batch; what is random in it depends on `seed` and the example alone."""
        ...

    def head(self, config: PretrainedConfig, settings: TaskSettings) -> nn.Module:
        """A fresh head, called as head(hidden_states (sequences, length, dim), batch) -> logits."""
        ...

    def units(self, batch: Batch) -> int:
        """How many rows, words or masked pieces the loss is a mean over."""
        ...

    def loss(self, logits: torch.Tensor, batch: Batch) -> torch.Tensor:
        """The loss SUMMED over units, so that micro-batches add up to the whole batch's."""
        ...

    def outputs(self, logits: torch.Tensor, batch: Batch) -> list[Output]:
        """An array for each sequence, as small as decoding allows."""
        ...

    def decode(
        self,
        features: Features,
        outputs: Sequence[Output],
        rows: Sequence[Row],
        settings: TaskSettings,
    ) -> list[Prediction]:
        """A prediction for each row, in the rows' order."""
        ...

    def score(
        self,
        predictions: Sequence[Prediction],
        rows: Sequence[Row],
        language: str,
        settings: TaskSettings,
    ) -> dict[str, float]:
        """The official metrics of metrics/, as fractions."""
        ...

    def labelled(self, rows: Sequence[Row]) -> bool:
        """Whether the rows have gold, which a hidden test set has not."""
        ...

    def passport_entries(
        self, settings: TaskSettings, thresholds: Mapping[str, float]
    ) -> dict[str, Any]:
        """What a score means besides its metric: "truncation", and what else it depends on.

        thresholds: what `settle` set on each language's dev gold.
        """
        ...


@dataclass(frozen=True)
class Tokens:
    """The ids that padding and masking need, and the share of pieces to mask."""

    pad: int
    mask: int | None
    special: tuple[int, ...]
    vocabulary: int
    mask_probability: float = 0.15
