"""Masked language modelling on plain text, or on pairs (TLM, Conneau & Lample 2019) where rows
have them.

The head is that of the architecture's own ForMaskedLM class, run on the masked pieces alone:
250,000 logits a piece would not fit otherwise.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional
from transformers import (
    AutoModelForMaskedLM,
    PretrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)
from transformers.modeling_outputs import BaseModelOutput

from xstilts.formats.features import IGNORE_INDEX, Batch, Features, pad
from xstilts.formats.tables import Row
from xstilts.tasks.families.common import columns, cut_to_length, encode_texts
from xstilts.tasks.families.protocol import Output, TaskSettings, Tokens


def encode(
    rows: Sequence[Row], tokenizer: PreTrainedTokenizerBase, settings: TaskSettings
) -> Features:
    """A pair is cut to the window; a single text that is longer gives several sequences."""
    paired = [index for index, row in enumerate(rows) if row["pair"] is not None]
    single = [index for index, row in enumerate(rows) if row["pair"] is None]
    found, cut = encode_texts(
        tokenizer,
        [rows[index]["text"] for index in paired],
        [rows[index]["pair"] for index in paired],
        settings.max_length,
    )
    sequences = [found["input_ids"][index].tolist() for index in range(len(paired))]
    types = [
        found["token_type_ids"][i].tolist() if "token_type_ids" in found else []
        for i in range(len(paired))
    ]
    row_of = list(paired)
    if single:
        texts = [rows[index]["text"] for index in single]
        windows = tokenizer(
            texts, truncation=True, max_length=settings.max_length, return_overflowing_tokens=True
        )
        sequences += windows["input_ids"]
        types += [[0] * len(ids) for ids in windows["input_ids"]]
        row_of += [single[sample] for sample in windows["overflow_to_sample_mapping"]]
    counts = {"truncated pairs": cut, "windows of long texts": len(sequences) - len(rows)}
    return Features(columns(tokenizer, sequences, types), np.array(row_of, np.int32), counts=counts)


def collate(
    features: Features, examples: NDArray[np.int64], tokens: Tokens, seed: Sequence[int]
) -> Batch:
    """BERT's rule: of the chosen pieces 80 % become the mask, 10 % a random piece, 10 % stay."""
    batch = pad(features, examples, {"input_ids": tokens.pad})
    ids = batch["input_ids"].numpy()
    labels = np.full(ids.shape, IGNORE_INDEX, np.int64)
    assert tokens.mask is not None
    for line, targets, example in zip(ids, labels, examples, strict=True):
        rng = np.random.default_rng([*seed, int(example)])
        chance, kind = rng.random((2, len(line)))
        chosen = (chance < tokens.mask_probability) & ~np.isin(line, tokens.special)
        targets[chosen] = line[chosen]
        random_ids = rng.integers(0, tokens.vocabulary, len(line))
        line[chosen & (kind < 0.8)] = tokens.mask
        swapped = chosen & (kind >= 0.9)
        line[swapped] = random_ids[swapped]
    batch["labels"] = torch.from_numpy(labels)
    return batch


class _Given(nn.Module):
    """Stands where a ForMaskedLM class has its encoder: hands the hidden states on as they come."""

    def __init__(self, embeddings: nn.Module) -> None:
        super().__init__()
        self.embeddings = embeddings

    def forward(self, input_ids: torch.Tensor, *_: Any, **__: Any) -> BaseModelOutput:
        return BaseModelOutput(last_hidden_state=input_ids)


class MaskedLMHead(nn.Module):
    """(sequences, length, dim) -> (masked pieces, vocabulary), tied to the encoder's embeddings by
    `tie`."""

    def __init__(self, config: PretrainedConfig) -> None:
        super().__init__()
        small = copy.deepcopy(config)
        small.num_hidden_layers = 1
        self.model: PreTrainedModel = AutoModelForMaskedLM.from_config(small)  # type: ignore[no-untyped-call]

    def tie(self, encoder: PreTrainedModel) -> None:
        embeddings = encoder.get_input_embeddings()
        prefix = self.model.base_model_prefix
        setattr(self.model, prefix, _Given(getattr(encoder, "embeddings", embeddings)))
        output: Any = self.model.get_output_embeddings()  # type: ignore[no-untyped-call]
        output.weight = embeddings.weight

    def forward(self, hidden: torch.Tensor, batch: Mapping[str, torch.Tensor]) -> torch.Tensor:
        masked = hidden[batch["labels"] != IGNORE_INDEX]
        logits: torch.Tensor = self.model(masked[None]).logits[0]
        return logits


def head(config: PretrainedConfig, settings: TaskSettings) -> nn.Module:
    return MaskedLMHead(config)


def units(batch: Batch) -> int:
    return int((batch["labels"] != IGNORE_INDEX).sum())


def loss(logits: torch.Tensor, batch: Batch) -> torch.Tensor:
    labels = batch["labels"]
    return functional.cross_entropy(logits.float(), labels[labels != IGNORE_INDEX], reduction="sum")


def outputs(logits: torch.Tensor, batch: Batch) -> list[Output]:
    """Per sequence, the best piece at each masked place."""
    counts = (batch["labels"] != IGNORE_INDEX).sum(dim=1).tolist()
    best = logits.argmax(dim=-1).cpu()
    return [part.numpy() for part in torch.split(best, counts)]


def decode(
    features: Features, outputs: Sequence[Output], rows: Sequence[Row], settings: TaskSettings
) -> list[list[int]]:
    """The pieces put in place of the masks, by row."""
    found: list[list[int]] = [[] for _ in rows]
    for row, best in zip(features.rows, outputs, strict=True):
        found[row] += best.tolist()
    return found


def score(
    predictions: Sequence[list[int]], rows: Sequence[Row], language: str, settings: TaskSettings
) -> dict[str, float]:
    """Text has no gold: nothing to score, and nothing of it enters any average."""
    return {}


def labelled(rows: Sequence[Row]) -> bool:
    return False


def passport_entries(settings: TaskSettings, thresholds: Mapping[str, float]) -> dict[str, Any]:
    return cut_to_length(settings)
