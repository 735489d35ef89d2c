"""A text or a pair of texts -> one label.

The head is jiant's: the first piece's state, dense + tanh, linear.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional
from transformers import PretrainedConfig, PreTrainedTokenizerBase

from xstilts.formats.features import IGNORE_INDEX, Batch, Features, Ragged, pad
from xstilts.formats.tables import Row
from xstilts.tasks.families.common import (
    PooledHead,
    all_have,
    cut_to_length,
    encode_texts,
    label_ids,
)
from xstilts.tasks.families.protocol import Output, TaskSettings, Tokens
from xstilts.tasks.metrics.accuracy import accuracy, binary_f1


def encode(
    rows: Sequence[Row], tokenizer: PreTrainedTokenizerBase, settings: TaskSettings
) -> Features:
    columns, cut = encode_texts(
        tokenizer,
        [row["text_a"] for row in rows],
        [row["text_b"] for row in rows],
        settings.max_length,
    )
    ids = label_ids(settings.labels)
    # The record's order, not a file's: copies of a data set number their labels differently.
    columns["labels"] = Ragged.of(
        [[IGNORE_INDEX if row["label"] is None else ids[row["label"]]] for row in rows]
    )
    return Features(columns, np.arange(len(rows), dtype=np.int32), counts={"truncated": cut})


def collate(
    features: Features, examples: NDArray[np.int64], tokens: Tokens, seed: Sequence[int]
) -> Batch:
    return pad(features, examples, {"input_ids": tokens.pad})


def head(config: PretrainedConfig, settings: TaskSettings) -> nn.Module:
    return PooledHead(config, len(settings.labels))


def units(batch: Batch) -> int:
    return len(batch["labels"])


def loss(logits: torch.Tensor, batch: Batch) -> torch.Tensor:
    return functional.cross_entropy(logits.float(), batch["labels"][:, 0], reduction="sum")


def outputs(logits: torch.Tensor, batch: Batch) -> list[Output]:
    return list(logits.float().cpu().numpy())


def decode(
    features: Features, outputs: Sequence[Output], rows: Sequence[Row], settings: TaskSettings
) -> list[str]:
    return [settings.labels[int(np.argmax(logits))] for logits in outputs]


def score(
    predictions: Sequence[str], rows: Sequence[Row], language: str, settings: TaskSettings
) -> dict[str, float]:
    """Accuracy, and where the record asks for it the F1 of the last label (QQP's "duplicate")."""
    references = [row["label"] for row in rows]
    scores = {"accuracy": accuracy(predictions, references)}
    if "f1" in settings.metrics:
        scores["f1"] = binary_f1(predictions, references, settings.labels[-1])
    return scores


def labelled(rows: Sequence[Row]) -> bool:
    return all_have(rows, "label")


def passport_entries(settings: TaskSettings, thresholds: Mapping[str, float]) -> dict[str, Any]:
    return cut_to_length(settings)
