"""What several families share: pairs of texts to pieces, special pieces, padding, a linear layer's
start."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import nn
from transformers import PretrainedConfig, PreTrainedTokenizerBase

from xstilts.formats.features import Ragged
from xstilts.formats.tables import Row
from xstilts.tasks.families.protocol import TaskSettings


def linear(config: PretrainedConfig, size: int, inner: int | None = None) -> nn.Linear:
    """N(0, initializer_range) weights and zero bias, as the encoders' own layers start."""
    layer = nn.Linear(inner or config.hidden_size, size)
    nn.init.normal_(layer.weight, std=getattr(config, "initializer_range", 0.02))
    nn.init.zeros_(layer.bias)
    return layer


class PooledHead(nn.Module):
    """First piece, dense + tanh, dropout, linear: one line of `size` logits a sequence (jiant's
    pooler head)."""

    def __init__(self, config: PretrainedConfig, size: int) -> None:
        super().__init__()
        self.dense = linear(config, config.hidden_size)
        self.dropout = nn.Dropout(dropout(config))
        self.out = linear(config, size)

    def forward(self, hidden: torch.Tensor, batch: Mapping[str, torch.Tensor]) -> torch.Tensor:
        pooled = torch.tanh(self.dense(self.dropout(hidden[:, 0])))
        logits: torch.Tensor = self.out(self.dropout(pooled))
        return logits


def dropout(config: PretrainedConfig) -> float:
    """The encoder's own; architectures name it differently, and some have none."""
    names = ("classifier_dropout", "hidden_dropout_prob", "mlp_dropout")
    return float(
        next((value for name in names if (value := getattr(config, name, None)) is not None), 0.0)
    )


def encode_texts(
    tokenizer: PreTrainedTokenizerBase,
    first: Sequence[str],
    second: Sequence[str | None],
    max_length: int,
) -> tuple[dict[str, Ragged], int]:
    """Texts or pairs to pieces with the model's own special pieces, the longer text cut first; how
    many were cut."""
    pairs = [(a, b) for a, b in zip(first, second, strict=True)]
    ids: list[list[int]] = [[]] * len(pairs)
    types: list[list[int]] = [[]] * len(pairs)
    cut = 0
    for paired in (False, True):  # the tokenizer takes texts or pairs, not both in a call
        where = [index for index, (_, b) in enumerate(pairs) if (b is not None) == paired]
        if not where:
            continue
        texts = [pairs[index][0] for index in where]
        others = [pairs[index][1] for index in where] if paired else None
        encoded = tokenizer(texts, others, truncation="longest_first", max_length=max_length)
        for index, encoding in zip(where, encoded.encodings or [], strict=True):
            ids[index], types[index] = encoding.ids, encoding.type_ids
            cut += bool(encoding.overflowing)
    return columns(tokenizer, ids, types), cut


def columns(
    tokenizer: PreTrainedTokenizerBase, ids: Sequence[Sequence[int]], types: Sequence[Sequence[int]]
) -> dict[str, Ragged]:
    """input_ids, and token_type_ids where the model reads them."""
    found = {"input_ids": Ragged.of(ids)}
    if "token_type_ids" in tokenizer.model_input_names:
        found["token_type_ids"] = Ragged.of(types)
    return found


def frame(tokenizer: PreTrainedTokenizerBase) -> tuple[list[int], list[int]]:
    """The special pieces before and after a single text."""
    bare = tokenizer(" a", add_special_tokens=False)["input_ids"]
    full = tokenizer(" a")["input_ids"]
    start = next(i for i in range(len(full)) if full[i : i + len(bare)] == bare)
    return list(full[:start]), list(full[start + len(bare) :])


def label_ids(labels: Sequence[str]) -> dict[str, int]:
    return {label: index for index, label in enumerate(labels)}


def all_have(rows: Sequence[Row], column: str) -> bool:
    """Whether there are rows, and the column is null in none of them."""
    return bool(rows) and all(row[column] is not None for row in rows)


def cut_to_length(settings: TaskSettings) -> dict[str, Any]:
    """The passport of a family that reads the beginning of what is too long."""
    return {"truncation": f"{settings.max_length} pieces"}
