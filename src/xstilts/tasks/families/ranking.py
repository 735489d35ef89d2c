"""A query -> the candidates that answer it, best first: XTREME-R's LAReQA and Mewsli-X.

A dual encoder with shared weights (XTREME's third_party/bert.py): a text's vector is its first
piece's state through dense + tanh, normalised to length 1; a score is the dot product. It is
trained by a softmax over the candidates of the batch, times a learned scale that begins at 100. A
sentence with its paragraph is read as a pair of texts in training and in ranking; XTREME's script
joins the two without a separator when it ranks.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional
from transformers import PretrainedConfig, PreTrainedTokenizerBase

from xstilts.formats.features import Batch, Features, Ragged, pad
from xstilts.formats.tables import Row
from xstilts.tasks.families.common import (
    all_have,
    cut_to_length,
    encode_texts,
    linear,
    reads_left,
    summary,
)
from xstilts.tasks.families.protocol import Output, TaskSettings, Tokens
from xstilts.tasks.metrics.ranking import map_at_k, rank

QUERY, CANDIDATE = 0, 1
SCALE = 100.0


def encode(
    rows: Sequence[Row], tokenizer: PreTrainedTokenizerBase, settings: TaskSettings
) -> Features:
    """A sequence for each query and each candidate.

    English rows that train are pairs, whose two sequences are one example; other tables hold
    queries and candidates in rows of their own.
    """
    paired = {row["query"] is not None and row["candidate"] is not None for row in rows}
    if len(paired) > 1:
        raise ValueError("pairs stand beside single queries or candidates; expected one kind")
    texts = [
        (number, side, row[name], row["context"] if side == CANDIDATE else None)
        for number, row in enumerate(rows)
        for side, name in ((QUERY, "query"), (CANDIDATE, "candidate"))
        if row[name] is not None
    ]
    first, second = [text for *_, text, _ in texts], [context for *_, context in texts]
    columns, cut = encode_texts(tokenizer, first, second, settings.max_length)
    columns["side"] = Ragged.of([[side] for _, side, *_ in texts])
    rows_of = np.array([number for number, *_ in texts], dtype=np.int32)
    return Features(columns, rows_of, 2 if True in paired else 1, {"truncated": cut}, whole=True)


def collate(
    features: Features, examples: NDArray[np.int64], tokens: Tokens, seed: Sequence[int]
) -> Batch:
    return pad(features, examples, {"input_ids": tokens.pad})


class DualEncoder(nn.Module):
    """(sequences, length, dim) -> (sequences, dim) of length 1; a query's times the scale."""

    def __init__(self, config: PretrainedConfig) -> None:
        super().__init__()
        self.dense = linear(config, config.hidden_size)
        self.scale = nn.Parameter(torch.tensor(SCALE))
        self.last = reads_left(config)

    def forward(self, hidden: torch.Tensor, batch: Mapping[str, torch.Tensor]) -> torch.Tensor:
        pooled = torch.tanh(self.dense(summary(hidden, batch, self.last)))
        vectors = functional.normalize(pooled.float(), dim=1)
        return torch.where(batch["side"] == QUERY, vectors * self.scale, vectors)


def head(config: PretrainedConfig, settings: TaskSettings) -> nn.Module:
    return DualEncoder(config)


def units(batch: Batch) -> int:
    return len(batch["side"]) // 2


def loss(logits: torch.Tensor, batch: Batch) -> torch.Tensor:
    """Softmax of each query's own candidate among those of the batch. logits: (2 * pairs, dim).

    As in XTREME, a candidate that answers two of the queries counts as wrong for one of them.
    """
    scores = logits[0::2].float() @ logits[1::2].float().T
    right_candidate = torch.arange(len(scores), device=scores.device)
    return functional.cross_entropy(scores, right_candidate, reduction="sum")


def outputs(logits: torch.Tensor, batch: Batch) -> list[Output]:
    return list(logits.float().cpu().numpy())


def decode(
    features: Features, outputs: Sequence[Output], rows: Sequence[Row], settings: TaskSettings
) -> list[list[str] | None]:
    """For a query the ids of the 20 best among the rows' candidates; None for a candidate alone."""
    sides = features.columns["side"].values
    sequence_of = {int(features.rows[at]): int(at) for at in np.flatnonzero(sides == CANDIDATE)}
    pool = list(_candidates(rows))
    query_sequences = np.flatnonzero(sides == QUERY)
    rankings: list[list[str] | None] = [None] * len(rows)
    if not len(query_sequences) or not pool:
        return [[] if row["query"] is not None else None for row in rows]
    queries = np.stack([outputs[int(at)] for at in query_sequences]).astype(np.float32)
    candidates = np.stack([outputs[sequence_of[number]] for number in pool]).astype(np.float32)
    ids = [str(rows[number]["id"]) for number in pool]
    for at, best in zip(query_sequences, rank(queries, candidates), strict=True):
        rankings[features.rows[at]] = [ids[number] for number in best]
    return rankings


def score(
    predictions: Sequence[list[str] | None],
    rows: Sequence[Row],
    language: str,
    settings: TaskSettings,
) -> dict[str, float]:
    """mAP@20 over the queries; one whose right candidates are none of the rows' counts 0.

    LAReQA's official number is over all languages' questions at once: equal to the mean over its
    languages, which have as many each. For Mewsli-X, with one right entity a query, it is the
    reciprocal rank, cut at 20. Kept rows have no texts: they are queries, with what `right` gave.
    """
    texts = all("query" in row for row in rows)
    answers = right(rows) if texts else [row["gold"] for row in rows]
    targets, ranked = [], []
    for prediction, row, answer in zip(predictions, rows, answers, strict=True):
        if answer is not None:
            targets.append(answer or [f"no candidate for {row['id']}"])
            ranked.append(prediction or [])
    return {"map@20": map_at_k(targets, ranked)}


def right(rows: Sequence[Row]) -> list[list[str] | None]:
    """For a query the ids of the candidates that answer it; None without gold or query."""
    answers: dict[str, list[str]] = {}
    for number in _candidates(rows):
        for name in rows[number]["gold"] or ():
            answers.setdefault(name, []).append(str(rows[number]["id"]))
    return [
        None
        if row["query"] is None or row["gold"] is None
        else [candidate for name in row["gold"] for candidate in answers.get(name, [])]
        for row in rows
    ]


def _candidates(rows: Sequence[Row]) -> Iterator[int]:
    """The numbers of the rows to rank; of pairs with the same candidate, the first."""
    seen: set[tuple[str, str | None]] = set()
    for number, row in enumerate(rows):
        # Pairs repeat a sentence for each of its questions. Rows without a query are the official
        # candidate set, where equal texts of two entities are two candidates.
        text = (row["candidate"], row["context"])
        if row["candidate"] is None or (row["query"] is not None and text in seen):
            continue
        seen.add(text)
        yield number


def queries_of(
    rankings: Sequence[Any], answers: Sequence[list[str] | None], rows: Sequence[Row]
) -> tuple[list[Any], list[Row]]:
    """(what is said of the queries, the queries as they are kept), without candidates."""
    asked = [
        (one, {"id": row["id"], "gold": answer})
        for one, answer, row in zip(rankings, answers, rows, strict=True)
        if row["query"] is not None
    ]
    return [one for one, _ in asked], [row for _, row in asked]


def labelled(rows: Sequence[Row]) -> bool:
    """Whether the queries have gold; a table of candidates alone has none."""
    return all_have([row for row in rows if row["query"] is not None], "gold")


def passport_entries(settings: TaskSettings, thresholds: Mapping[str, float]) -> dict[str, Any]:
    return cut_to_length(settings)
