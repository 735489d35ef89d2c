"""Masked language modelling on plain text, or on pairs where rows have them.

Pairs are TLM's (Conneau & Lample 2019). The head is that of the architecture's own ForMaskedLM
class, run on the masked pieces alone: 250,000 logits for every piece would not fit.
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

from xstilts.errors import UserError
from xstilts.formats.features import IGNORE_INDEX, Batch, Features, pad
from xstilts.formats.tables import Row
from xstilts.tasks.families.common import columns, cut_to_length, encode_texts, reads_left
from xstilts.tasks.families.protocol import Output, TaskSettings, Tokens


def encode(
    rows: Sequence[Row], tokenizer: PreTrainedTokenizerBase, settings: TaskSettings
) -> Features:
    """Pairs, cut to the window, then single texts, of which a long one gives several sequences."""
    paired = [index for index, row in enumerate(rows) if row["pair"] is not None]
    single = [index for index, row in enumerate(rows) if row["pair"] is None]
    pairs, cut = encode_texts(
        tokenizer,
        [rows[index]["text"] for index in paired],
        [rows[index]["pair"] for index in paired],
        settings.max_length,
    )
    sequences = [pairs["input_ids"][index].tolist() for index in range(len(paired))]
    types = [
        pairs["token_type_ids"][i].tolist() if "token_type_ids" in pairs else []
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
    """A batch masked by BERT's rule: 80 % of chosen pieces become the mask, 10 % another piece."""
    batch = pad(features, examples, {"input_ids": tokens.pad})
    ids = batch["input_ids"].numpy()
    labels = np.full(ids.shape, IGNORE_INDEX, np.int64)
    assert tokens.mask is not None
    may = ~np.isin(ids, tokens.special)
    for line, targets, allowed, example in zip(ids, labels, may, examples, strict=True):
        # Of the example and not of its place in the batch, which depends on the token budget.
        rng = np.random.default_rng([*seed, int(example)])
        chance, kind = rng.random((2, len(line)))
        chosen = (chance < tokens.mask_probability) & allowed
        targets[chosen] = line[chosen]
        random_ids = rng.integers(0, tokens.vocabulary, len(line))
        line[chosen & (kind < 0.8)] = tokens.mask
        swapped = chosen & (kind >= 0.9)
        line[swapped] = random_ids[swapped]
    batch["labels"] = torch.from_numpy(labels)
    return batch


class _Given(nn.Module):
    """Stands in for the encoder of a ForMaskedLM class, and hands hidden states on as they come."""

    def __init__(self, embeddings: nn.Module) -> None:
        super().__init__()
        self.embeddings = embeddings

    def forward(self, input_ids: torch.Tensor, *_: Any, **__: Any) -> BaseModelOutput:
        return BaseModelOutput(last_hidden_state=input_ids)


class MaskedLMHead(nn.Module):
    """(sequences, length, dim) -> (masked pieces, vocabulary), by the architecture's own head."""

    def __init__(self, config: PretrainedConfig) -> None:
        super().__init__()
        # transformers builds the head only with an encoder, which is then thrown away: one layer.
        small = copy.deepcopy(config)
        small.num_hidden_layers = 1
        self.model: PreTrainedModel = AutoModelForMaskedLM.from_config(small)  # type: ignore[no-untyped-call]

    def tie(self, encoder: PreTrainedModel) -> None:
        """Make the output layer's weights the encoder's embeddings."""
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
    """UserError for a decoder, which fills no gaps."""
    if reads_left(config):
        raise UserError(
            f"text: a {config.model_type} decoder fills no gaps, and has no piece that masks one; "
            "expected an encoder; leave text out, or choose another encoder"
        )
    return MaskedLMHead(config)


def units(batch: Batch) -> int:
    return int((batch["labels"] != IGNORE_INDEX).sum())


def loss(logits: torch.Tensor, batch: Batch) -> torch.Tensor:
    labels = batch["labels"]
    return functional.cross_entropy(logits.float(), labels[labels != IGNORE_INDEX], reduction="sum")


def outputs(logits: torch.Tensor, batch: Batch) -> list[Output]:
    """Of each sequence the best piece for each mask."""
    counts = (batch["labels"] != IGNORE_INDEX).sum(dim=1).tolist()
    best = logits.argmax(dim=-1).cpu()
    return [part.numpy() for part in torch.split(best, counts)]


def decode(
    features: Features, outputs: Sequence[Output], rows: Sequence[Row], settings: TaskSettings
) -> list[list[int]]:
    """Of each row the pieces that were put in place of its masks."""
    pieces: list[list[int]] = [[] for _ in rows]
    for row, best in zip(features.rows, outputs, strict=True):
        pieces[row] += best.tolist()
    return pieces


def score(
    predictions: Sequence[list[int]], rows: Sequence[Row], language: str, settings: TaskSettings
) -> dict[str, float]:
    """No scores, since text has no gold."""
    return {}


def labelled(rows: Sequence[Row]) -> bool:
    return False


def passport_entries(settings: TaskSettings, thresholds: Mapping[str, float]) -> dict[str, Any]:
    return cut_to_length(settings)
