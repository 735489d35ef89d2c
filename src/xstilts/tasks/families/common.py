"""What several families share: texts to pieces, special pieces, pooled and linear layers."""

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
    """A linear layer that starts as the encoders' own: N(0, initializer_range), zero bias."""
    layer = nn.Linear(inner or config.hidden_size, size)
    nn.init.normal_(layer.weight, std=getattr(config, "initializer_range", 0.02))
    nn.init.zeros_(layer.bias)
    return layer


READS_LEFT = "reads_left_only"  # in the config of a decoder (training.decoders)


def reads_left(config: PretrainedConfig) -> bool:
    """Whether a piece sees what stands before it and nothing else."""
    return bool(getattr(config, READS_LEFT, False))


def summary(hidden: torch.Tensor, batch: Mapping[str, torch.Tensor], last: bool) -> torch.Tensor:
    """(sequences, dim): the state of each text's first piece, or of its last real one."""
    if not last:
        return hidden[:, 0]
    places = last_piece(batch)[:, None, None].expand(-1, 1, hidden.shape[-1])
    return hidden.gather(1, places)[:, 0]


def last_piece(batch: Mapping[str, torch.Tensor]) -> torch.Tensor:
    """(sequences,): the place of the last real piece."""
    return batch["attention_mask"].sum(dim=1) - 1


class PooledHead(nn.Module):
    """jiant's pooler head: first piece, dense + tanh, dropout, linear -> (sequences, size).

    Of a decoder the last piece, which alone has seen the text.
    """

    def __init__(self, config: PretrainedConfig, size: int) -> None:
        super().__init__()
        self.last = reads_left(config)
        self.dense = linear(config, config.hidden_size)
        self.dropout = nn.Dropout(dropout(config))
        self.out = linear(config, size)

    def forward(self, hidden: torch.Tensor, batch: Mapping[str, torch.Tensor]) -> torch.Tensor:
        pooled = torch.tanh(self.dense(self.dropout(summary(hidden, batch, self.last))))
        logits: torch.Tensor = self.out(self.dropout(pooled))
        return logits


def dropout(config: PretrainedConfig) -> float:
    """The encoder's dropout, which architectures name differently; 0 where it has none."""
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
    """(columns of pieces, how many were cut) of texts or pairs, whose longer text is cut first."""
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
    """The columns input_ids, and token_type_ids where the model reads them."""
    read = {"input_ids": Ragged.of(ids)}
    if "token_type_ids" in tokenizer.model_input_names:
        read["token_type_ids"] = Ragged.of(types)
    return read


def frame(tokenizer: PreTrainedTokenizerBase) -> tuple[list[int], list[int]]:
    """The special pieces before and after a single text, found by encoding one with and without."""
    # Which pieces a tokenizer adds is written in its own processor, in a form of its own.
    bare = tokenizer(" a", add_special_tokens=False)["input_ids"]
    full = tokenizer(" a")["input_ids"]
    start = next(i for i in range(len(full)) if full[i : i + len(bare)] == bare)
    return list(full[:start]), list(full[start + len(bare) :])


def label_ids(labels: Sequence[str]) -> dict[str, int]:
    """Each label's number in the record's order."""
    return {label: index for index, label in enumerate(labels)}


def all_have(rows: Sequence[Row], column: str) -> bool:
    """Whether there are rows, and the column is null in none of them."""
    return bool(rows) and all(row[column] is not None for row in rows)


def cut_to_length(settings: TaskSettings) -> dict[str, Any]:
    """The passport entry of a family that cuts what is too long to the beginning."""
    return {"truncation": f"{settings.max_length} pieces"}
