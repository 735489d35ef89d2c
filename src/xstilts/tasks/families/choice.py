"""A context and several continuations or answers -> the right one.

What enters: rows of a context, perhaps a question, and choices. What leaves: the number of a
choice. Each pair of prompt and choice gets one score: a head's, or of a decoder its likelihood.
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

from xstilts.errors import UserError
from xstilts.formats.features import IGNORE_INDEX, Batch, Features, Ragged, pad
from xstilts.formats.tables import Row
from xstilts.tasks.families import likelihood
from xstilts.tasks.families.common import PooledHead, all_have, cut_to_length, encode_texts
from xstilts.tasks.families.protocol import Output, TaskSettings, Tokens
from xstilts.tasks.metrics.accuracy import accuracy


def encode(
    rows: Sequence[Row], tokenizer: PreTrainedTokenizerBase, settings: TaskSettings
) -> Features:
    """Each row's prompt with each choice; a prompt is context, space, question, as jiant's."""
    group = settings.choices
    for row in rows:
        if len(row["choices"]) != group:
            raise UserError(
                f"{row['id']}: {len(row['choices'])} choices; expected {group}; correct the row"
            )
    labels = [IGNORE_INDEX if row["label"] is None else row["label"] for row in rows]
    wanted = Ragged.of([[label] for label in labels for _ in range(group)])
    rows_of = np.repeat(np.arange(len(rows), dtype=np.int32), group)
    if settings.likelihood:
        columns, cut = likelihood.columns_of(rows, tokenizer, settings)
        columns["labels"] = wanted
        return Features(columns, rows_of, group, {"truncated choices": cut})
    prompts = [" ".join(part for part in (row["context"], row["question"]) if part) for row in rows]
    columns, cut = encode_texts(
        tokenizer,
        [prompt for prompt in prompts for _ in range(group)],
        [choice for row in rows for choice in row["choices"]],
        settings.max_length,
    )
    columns["labels"] = wanted
    return Features(columns, rows_of, group, {"truncated choices": cut})


def collate(
    features: Features, examples: NDArray[np.int64], tokens: Tokens, seed: Sequence[int]
) -> Batch:
    fill = {"input_ids": tokens.pad}
    if "places" in features.columns:
        fill |= {"places": likelihood.NOWHERE, "targets": tokens.pad}
    batch = pad(features, examples, fill)
    batch["labels"] = batch["labels"][:: features.group, 0]  # one an example: (examples,)
    return batch


def head(config: PretrainedConfig, settings: TaskSettings) -> nn.Module:
    return (
        likelihood.LikelihoodHead(config, settings)
        if settings.likelihood
        else PooledHead(config, 1)
    )


def units(batch: Batch) -> int:
    return len(batch["labels"])


def loss(logits: torch.Tensor, batch: Batch) -> torch.Tensor:
    """Softmax over the choices of each example. logits: (examples * choices, 1)."""
    scores = logits.float().view(len(batch["labels"]), -1)
    return functional.cross_entropy(scores, batch["labels"], reduction="sum")


def outputs(logits: torch.Tensor, batch: Batch) -> list[Output]:
    return list(logits.float().cpu().numpy())


def decode(
    features: Features, outputs: Sequence[Output], rows: Sequence[Row], settings: TaskSettings
) -> list[int]:
    scores = np.stack(list(outputs)).reshape(-1, features.group)
    return [int(best) for best in scores.argmax(axis=1)]


def score(
    predictions: Sequence[int], rows: Sequence[Row], language: str, settings: TaskSettings
) -> dict[str, float]:
    return {"accuracy": accuracy(predictions, [row["label"] for row in rows])}


def labelled(rows: Sequence[Row]) -> bool:
    return all_have(rows, "label")


def passport_entries(settings: TaskSettings, thresholds: Mapping[str, float]) -> dict[str, Any]:
    if not settings.likelihood:
        return cut_to_length(settings)
    scored = {"sum": "summed over its pieces", "mean": "a piece"}[settings.likelihood]
    return {
        **cut_to_length(settings),
        "scored by": f"log p of the choice, {scored}",
        "prompt": settings.prompt,
    }
