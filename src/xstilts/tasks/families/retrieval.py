"""A sentence -> its translation, by vectors straight from the encoder: BUCC and Tatoeba.

BUCC mines pairs, Tatoeba takes the nearest neighbour; nothing is trained. A vector is the mean over
all real pieces, special ones included, of one layer's states (XTREME's evaluate_retrieval.py), or
the first piece's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from transformers import PretrainedConfig, PreTrainedTokenizerBase

from xstilts.formats.features import Batch, Features, pad
from xstilts.formats.tables import Row
from xstilts.tasks.families.common import cut_to_length, encode_texts, reads_left, summary
from xstilts.tasks.families.protocol import Output, TaskSettings, Tokens
from xstilts.tasks.metrics import mining
from xstilts.tasks.metrics.accuracy import accuracy

MINING, NEAREST = "mining", "nearest"  # a record's convention


def encode(
    rows: Sequence[Row], tokenizer: PreTrainedTokenizerBase, settings: TaskSettings
) -> Features:
    columns, cut = encode_texts(
        tokenizer, [row["text"] for row in rows], [None] * len(rows), settings.max_length
    )
    return Features(columns, np.arange(len(rows), dtype=np.int32), counts={"truncated": cut})


def collate(
    features: Features, examples: NDArray[np.int64], tokens: Tokens, seed: Sequence[int]
) -> Batch:
    return pad(features, examples, {"input_ids": tokens.pad})


class Pooling(nn.Module):
    """Mean of the real pieces, or the first (last: of a decoder the last one).

    (sequences, length, dim) -> (sequences, dim).
    """

    def __init__(self, kind: str, last: bool = False) -> None:
        super().__init__()
        self.kind, self.last = kind, last

    def forward(self, hidden: torch.Tensor, batch: Mapping[str, torch.Tensor]) -> torch.Tensor:
        if self.kind == "cls":
            return summary(hidden, batch, self.last)
        mask = batch["attention_mask"][..., None].to(hidden.dtype)
        return (hidden * mask).sum(dim=1) / mask.sum(dim=1)


def head(config: PretrainedConfig, settings: TaskSettings) -> nn.Module:
    return Pooling(settings.pooling, reads_left(config))


def units(batch: Batch) -> int:
    return len(batch["input_ids"])


def loss(logits: torch.Tensor, batch: Batch) -> torch.Tensor:
    raise TypeError(
        "retrieval has no labels to train on: its targets run frozen (params: layer and pooling)"
    )


def outputs(logits: torch.Tensor, batch: Batch) -> list[Output]:
    return list(logits.float().cpu().numpy())


def decode(
    features: Features, outputs: Sequence[Output], rows: Sequence[Row], settings: TaskSettings
) -> list[dict[str, Any] | None]:
    """The partners that the vectors find; None for rows that have none or are the other side.

    Mining: for a foreign row {"id": English id, "score": margin}, before any threshold. Nearest:
    for an English row {"id": the foreign row's}.
    """
    foreign = [index for index, row in enumerate(rows) if row["side"] == "foreign"]
    english = [index for index, row in enumerate(rows) if row["side"] == "english"]
    vectors = [_stacked(outputs, side) for side in (foreign, english)]
    partners: list[dict[str, Any] | None] = [None] * len(rows)
    if settings.convention == NEAREST:
        best = mining.nearest(vectors[1], vectors[0])
        for index, closest in zip(english, best, strict=True):
            partners[index] = {"id": rows[foreign[closest]]["id"]}
        return partners
    sides = [
        [rows[index][key] for index in side]
        for side in (foreign, english)
        for key in ("id", "text")
    ]
    candidates = mining.mine(vectors[0], vectors[1], sides[1], sides[3], search=_search())
    scores = mining.pair_scores(candidates, (sides[0], sides[1]), (sides[2], sides[3]))
    row_of = {row_id: index for row_id, index in zip(sides[0], foreign, strict=True)}
    for (source, target), margin in scores.items():
        partners[row_of[source]] = {"id": target, "score": float(margin)}
    return partners


def _search() -> mining.Search | None:
    """On the GPU where this process has computed on it: the vectors were, too."""
    if not torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
        return None
    from xstilts.tasks.metrics.mining_gpu import neighbours_on

    return partial(neighbours_on, torch.device("cuda"))


def _stacked(outputs: Sequence[Output], numbers: Sequence[int]) -> NDArray[np.float32]:
    """(rows, dim): one side's vectors, copied one by one, for there may be 400,000 of them."""
    first = outputs[numbers[0]] if numbers else np.zeros(0)
    side = np.empty((len(numbers), len(first)), np.float32)
    for place, number in enumerate(numbers):
        side[place] = outputs[number]
    return side


def settle(
    predictions: Sequence[Any],
    dev: tuple[Sequence[Any], Sequence[Row]] | None,
    settings: TaskSettings,
) -> tuple[list[Any], float | None]:
    """Apply BUCC's threshold, which the official protocol sets on the language's own dev gold.

    This is the one use of another language's dev gold, and comes when everything is frozen. dev:
    (predictions, rows) of the language's dev split. Returns the predictions that pass, and the
    threshold (None where there is none to set).
    """
    if settings.convention != MINING or dev is None:
        return list(predictions), None
    threshold = mining.tune_threshold(_pairs(*dev), _gold(dev[1]))
    return passed(predictions, threshold), threshold


def passed(predictions: Sequence[Any], threshold: float) -> list[Any]:
    """The mined predictions with at least this score; None for the others."""
    return [p if p is not None and p["score"] >= threshold else None for p in predictions]


def _pairs(predictions: Sequence[Any], rows: Sequence[Row]) -> dict[tuple[str, str], float]:
    """The mined pairs by falling score; they are the predictions of foreign rows."""
    pairs = [
        ((row["id"], prediction["id"]), prediction["score"])
        for row, prediction in zip(rows, predictions, strict=True)
        if prediction is not None
    ]
    return dict(sorted(pairs, key=lambda item: -item[1]))


def _gold(rows: Sequence[Row]) -> list[tuple[str, str]]:
    """(foreign id, English id) of the right pairs, which foreign rows name (`tables.COLUMNS`)."""
    return [(row["id"], partner) for row in rows for partner in row["gold"] or ()]


def score(
    predictions: Sequence[Any], rows: Sequence[Row], language: str, settings: TaskSettings
) -> dict[str, float]:
    """Precision, recall and F1 of mined pairs; accuracy of English rows' nearest, as XTREME."""
    if settings.convention == MINING:
        return mining.mining_f1(list(_pairs(predictions, rows)), _gold(rows))
    partner = {english: foreign for foreign, english in _gold(rows)}
    compared = [
        (p["id"], partner[row["id"]])
        for row, p in zip(rows, predictions, strict=True)
        if p is not None
    ]
    return {"accuracy": accuracy([guess for guess, _ in compared], [gold for _, gold in compared])}


def labelled(rows: Sequence[Row]) -> bool:
    """Whether some foreign row has gold; English rows never have."""
    return any(row["gold"] is not None for row in rows)


def passport_entries(settings: TaskSettings, thresholds: Mapping[str, float]) -> dict[str, Any]:
    set_on = "thresholds (each set on its language's dev gold, after everything is frozen)"
    return {**cut_to_length(settings), "pooling": settings.pooling, set_on: thresholds}
