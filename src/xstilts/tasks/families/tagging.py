"""A tag for every word, read off its first piece; of a decoder off its last.

A sentence too long for the encoder is split at word borders and joined again: every word gets
exactly one tag.
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
    all_have,
    columns,
    dropout,
    frame,
    label_ids,
    last_piece,
    linear,
    reads_left,
)
from xstilts.tasks.families.protocol import Output, TaskSettings, Tokens
from xstilts.tasks.metrics.tags import Convention, chunk_scores, token_accuracy

NO_WORD = -1


def encode(
    rows: Sequence[Row], tokenizer: PreTrainedTokenizerBase, settings: TaskSettings
) -> Features:
    """Sentences as sequences of pieces, long ones split at word borders.

    Columns: word_starts, the position of each word's first piece; labels, a tag for each word.
    """
    ids = label_ids(settings.labels)
    before, after = frame(tokenizer)
    room = settings.max_length - len(before) - len(after)
    pieces, cut = _pieces(rows, tokenizer, room)
    sequences, starts, labels, row_of = [], [], [], []
    unseen = 0
    for number, row in enumerate(rows):
        tags = row["tags"] or [None] * len(row["tokens"])
        # A tag that no training row has (CCG) cannot be learnt; its word still gets a prediction.
        wanted = [ids.get(tag, IGNORE_INDEX) for tag in tags]
        unseen += sum(tag is not None and tag not in ids for tag in tags)
        for first, last in _windows([len(pieces[word]) for word in row["tokens"]], room):
            sequence, word_starts = list(before), []
            for word in row["tokens"][first:last]:
                word_starts.append(len(sequence))
                sequence += pieces[word]
            sequences.append(sequence + after)
            starts.append(word_starts)
            labels.append(wanted[first:last])
            row_of.append(number)
    made = columns(tokenizer, sequences, [[0] * len(sequence) for sequence in sequences])
    made |= {"word_starts": Ragged.of(starts), "labels": Ragged.of(labels)}
    counts = {
        "split sentences": len(row_of) - len(set(row_of)),
        "words cut to the window": cut,
        "tags outside the label set": unseen,
    }
    return Features(made, np.array(row_of, np.int32), counts=counts)


def _pieces(
    rows: Sequence[Row], tokenizer: PreTrainedTokenizerBase, room: int
) -> tuple[dict[str, list[int]], int]:
    """Each distinct word's pieces, as after a space; the unknown piece where it has none.

    A tokenizer may drop a word of control characters whole, and it still needs one tag.
    """
    words = sorted({word for row in rows for word in row["tokens"]})
    encoded = (
        tokenizer([f" {word}" for word in words], add_special_tokens=False)["input_ids"]
        if words
        else []
    )
    cut = sum(len(ids) > room for ids in encoded)
    unknown = (
        tokenizer.unk_token_id if tokenizer.unk_token_id is not None else tokenizer.pad_token_id
    )
    return {
        word: list(ids[:room]) or [unknown] for word, ids in zip(words, encoded, strict=True)
    }, cut


def _windows(lengths: Sequence[int], room: int) -> list[tuple[int, int]]:
    """Ranges of words, each at most `room` pieces; an empty sentence has one empty range."""
    cuts, used = [0], 0
    for index, length in enumerate(lengths):
        if used and used + length > room:
            cuts.append(index)
            used = 0
        used += length
    return list(zip(cuts, [*cuts[1:], len(lengths)], strict=True))


def collate(
    features: Features, examples: NDArray[np.int64], tokens: Tokens, seed: Sequence[int]
) -> Batch:
    return pad(
        features,
        examples,
        {"input_ids": tokens.pad, "word_starts": NO_WORD, "labels": IGNORE_INDEX},
    )


def word_ends(batch: Mapping[str, torch.Tensor]) -> torch.Tensor:
    """(sequences, words): the place of each word's last piece.

    Words stand one after another, and one piece ends the text.
    """
    starts = batch["word_starts"]
    after = torch.cat([starts[:, 1:], torch.full_like(starts[:, :1], NO_WORD)], dim=1)
    end = last_piece(batch)[:, None].to(starts.dtype)
    return torch.where(after == NO_WORD, end, after) - 1


class TaggingHead(nn.Module):
    """Linear on the first piece of each word, of a decoder the last: (sequences, words, labels)."""

    def __init__(self, config: PretrainedConfig, size: int) -> None:
        super().__init__()
        self.last = reads_left(config)
        self.dropout = nn.Dropout(dropout(config))
        self.out = linear(config, size)

    def forward(self, hidden: torch.Tensor, batch: Mapping[str, torch.Tensor]) -> torch.Tensor:
        places = (word_ends(batch) if self.last else batch["word_starts"]).clamp(min=0)
        words = hidden.gather(1, places[..., None].expand(-1, -1, hidden.shape[-1]))
        logits: torch.Tensor = self.out(self.dropout(words))
        return logits


def head(config: PretrainedConfig, settings: TaskSettings) -> nn.Module:
    return TaggingHead(config, len(settings.labels))


def units(batch: Batch) -> int:
    return int((batch["labels"] != IGNORE_INDEX).sum())


def loss(logits: torch.Tensor, batch: Batch) -> torch.Tensor:
    flat = logits.float().reshape(-1, logits.shape[-1])
    return functional.cross_entropy(
        flat, batch["labels"].reshape(-1), ignore_index=IGNORE_INDEX, reduction="sum"
    )


def outputs(logits: torch.Tensor, batch: Batch) -> list[Output]:
    """The best tag of each word, as CCG's 1,363 logits for every word would not fit."""
    best = logits.argmax(dim=-1).cpu().numpy()
    words = (batch["word_starts"] != NO_WORD).sum(dim=1).cpu().numpy()
    return [line[:count] for line, count in zip(best, words, strict=True)]


def decode(
    features: Features, outputs: Sequence[Output], rows: Sequence[Row], settings: TaskSettings
) -> list[list[str]]:
    tags: list[list[str]] = [[] for _ in rows]
    for row, best in zip(features.rows, outputs, strict=True):
        tags[row] += [settings.labels[int(tag)] for tag in best]
    return tags


def score(
    predictions: Sequence[list[str]], rows: Sequence[Row], language: str, settings: TaskSettings
) -> dict[str, float]:
    """The record's metrics, among chunk F1 by its convention and accuracy of words."""
    references = [row["tags"] for row in rows]
    scores = {"accuracy": token_accuracy(predictions, references)}
    if settings.convention:
        convention: Convention = (
            "seqeval-1.2.2" if settings.convention == "seqeval-1.2.2" else "seqeval-0.0.12"
        )
        scores |= chunk_scores(predictions, references, convention)
    return {metric: scores[metric] for metric in settings.metrics}


def labelled(rows: Sequence[Row]) -> bool:
    return all_have(rows, "tags")


def passport_entries(settings: TaskSettings, thresholds: Mapping[str, float]) -> dict[str, Any]:
    split = f"none: sentences over {settings.max_length} pieces are split at word borders"
    return {"truncation": split}
