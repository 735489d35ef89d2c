"""A question and a context -> a span of the context that answers it, or no answer.

A context too long for the encoder is read in windows that share `doc_stride` pieces. Decoding
follows the recipe of BERT's run_squad: n-best starts and ends, each piece counted only in the
window where it has most context, answers no longer than `max_answer` pieces.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
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
    columns,
    cut_to_length,
    dropout,
    last_piece,
    linear,
    reads_left,
    summary,
)
from xstilts.tasks.families.protocol import Output, TaskSettings, Tokens
from xstilts.tasks.metrics import mlqa, squad

NO_CONTEXT = -1
NULL = 0  # the first piece: "no answer here"
BRACKETS = dict(zip("([{（［｛「『《〈【", ")]}）］｝」』》〉】", strict=True))  # noqa: RUF001
LOST = (  # what `_loss` says of an answer, from none to worst; counted on the card
    "",
    "answers whole only where their start is not counted",
    "answers longer than max_answer",
    "answers off the borders of pieces",
    "answers in no window whole",
)


def encode(
    rows: Sequence[Row], tokenizer: PreTrainedTokenizerBase, settings: TaskSettings
) -> Features:
    """The windows of each question and its context.

    Columns: char_start and char_end of each context piece (NO_CONTEXT elsewhere); best, 1 where the
    piece has its maximal context; labels, the first and last piece of the first answer, NULL twice
    where it is not in the window.
    """
    questions, cut = _cut_questions(
        [row["question"] for row in rows], tokenizer, settings.max_question
    )
    encoded = tokenizer(
        questions,
        [row["context"] for row in rows],
        truncation="only_second",
        max_length=settings.max_length,
        stride=settings.doc_stride,
        return_overflowing_tokens=True,
        return_offsets_mapping=True,
    )
    row_of = encoded["overflow_to_sample_mapping"]
    starts, ends, labels = [], [], []
    outside = 0
    for window, number in enumerate(row_of):
        row = rows[number]
        start, end = _spans(encoded.encodings[window], row["context"])
        answer = row["answers"][0] if row["answers"] else None
        label = _place(start, end, answer) if answer else (NULL, NULL)
        outside += bool(answer) and label == (NULL, NULL)
        starts.append(start)
        ends.append(end)
        labels.append(label)
    best = _best_context(starts, row_of)
    made = columns(tokenizer, encoded["input_ids"], [e.type_ids for e in encoded.encodings])
    made |= {"char_start": Ragged.of(starts), "char_end": Ragged.of(ends)}
    made |= {"best": Ragged.of(best), "labels": Ragged.of(labels)}
    counts = {"windows": len(row_of), "questions cut": cut, "windows without their answer": outside}
    features = Features(made, np.array(row_of, np.int32), counts=counts)
    counts |= _lost(features, rows, settings.max_answer)
    return features


def _cut_questions(
    questions: Sequence[str], tokenizer: PreTrainedTokenizerBase, limit: int
) -> tuple[list[str], int]:
    """(questions of at most `limit` pieces, how many were longer)."""
    encoded = tokenizer(list(questions), add_special_tokens=False, return_offsets_mapping=True)
    kept = [
        question[: offsets[limit - 1][1]] if len(offsets) > limit else question
        for question, offsets in zip(questions, encoded["offset_mapping"], strict=True)
    ]
    return kept, sum(len(offsets) > limit for offsets in encoded["offset_mapping"])


def _spans(encoding: Any, context: str) -> tuple[list[int], list[int]]:
    """[start, end) characters of each context piece, without white space at a piece's edges."""
    starts, ends = [], []
    for sequence, (start, end) in zip(encoding.sequence_ids, encoding.offsets, strict=True):
        if sequence != 1:
            start = end = NO_CONTEXT
        else:
            while start < end and context[start].isspace():
                start += 1
            while end > start and context[end - 1].isspace():
                end -= 1
        starts.append(start)
        ends.append(end)
    return starts, ends


def _place(
    starts: Sequence[int], ends: Sequence[int], answer: Mapping[str, Any]
) -> tuple[int, int]:
    """The first and last piece of the answer; NULL twice where the window holds less than all."""
    text = answer["text"]
    first = answer["start"] + len(text) - len(text.lstrip())
    last = answer["start"] + len(text.rstrip())
    inside = [
        i
        for i, (s, e) in enumerate(zip(starts, ends, strict=True))
        if NO_CONTEXT < s < last and e > first
    ]
    if not inside or starts[inside[0]] > first or ends[inside[-1]] < last:
        return NULL, NULL
    return inside[0], inside[-1]


def _lost(features: Features, rows: Sequence[Row], max_answer: int) -> dict[str, int]:
    """How many first answers no logits can give, by cause: the mildest of all windows."""
    least: dict[int, int] = {}
    for window, number in enumerate(features.rows.tolist()):
        if rows[number]["answers"]:
            loss = _loss(features, window, rows[number], max_answer)
            least[number] = min(loss, least.get(number, loss))
    causes = [LOST[loss] for loss in least.values() if loss]
    return {cause: causes.count(cause) for cause in LOST[1:] if cause in causes}


def _loss(features: Features, window: int, row: Row, max_answer: int) -> int:
    """The number in LOST of why decoding cannot give a row's first answer from a window."""
    first, last = features.columns["labels"][window].tolist()
    if (first, last) == (NULL, NULL):
        return LOST.index("answers in no window whole")
    start, end = _characters(features, window, first, last, row["context"])
    if row["context"][start:end] != row["answers"][0]["text"].strip():
        return LOST.index("answers off the borders of pieces")
    if last - first + 1 > max_answer:
        return LOST.index("answers longer than max_answer")
    if not features.columns["best"][window][first]:
        return LOST.index("answers whole only where their start is not counted")
    return 0


def _characters(
    features: Features, window: int, first: int, last: int, context: str
) -> tuple[int, int]:
    """[start, end) characters of a span of pieces, without an opening bracket that nothing closes.

    Many tokenizers keep `(1856` or `(18` as a piece, and answers begin after the bracket.
    """
    starts, ends = features.columns["char_start"][window], features.columns["char_end"][window]
    start, end = int(starts[first]), int(ends[last])
    while start + 1 < ends[first] and (
        context[start].isspace() or BRACKETS.get(context[start], "") not in context[start:end]
    ):
        start += 1
    return start, end


def _best_context(starts: Sequence[Sequence[int]], row_of: Sequence[int]) -> list[list[int]]:
    """1 for each context piece in the window where it has most context, 0 in the others.

    A piece's context in a window is the number of pieces on its poorer side, plus a hundredth of
    the window's length, as in BERT's run_squad.
    """
    best: dict[tuple[int, int, int], tuple[float, int]] = {}
    keys: list[list[tuple[int, int, int] | None]] = []
    for window, (line, row) in enumerate(zip(starts, row_of, strict=True)):
        places = [place for place, start in enumerate(line) if start != NO_CONTEXT]
        keys.append([None] * len(line))
        seen: dict[int, int] = {}
        for place in places:
            again = seen[line[place]] = (
                seen.get(line[place], -1) + 1
            )  # pieces without characters share a start
            key = (row, line[place], again)
            keys[window][place] = key
            room = min(place - places[0], places[-1] - place) + 0.01 * len(places)
            if key not in best or room > best[key][0]:
                best[key] = (room, window)
    return [
        [int(key is not None and best[key][1] == window) for key in line]
        for window, line in enumerate(keys)
    ]


def collate(
    features: Features, examples: NDArray[np.int64], tokens: Tokens, seed: Sequence[int]
) -> Batch:
    needed = {
        k: v for k, v in features.columns.items() if k not in ("char_start", "char_end", "best")
    }
    return pad(replace(features, columns=needed), examples, {"input_ids": tokens.pad})


class SpanHead(nn.Module):
    """Start and end logits of each piece: (sequences, length, 2); padding's are in effect -inf.

    A decoder's first piece has seen nothing: what it would say of there being no answer, the last
    one says in its place.
    """

    def __init__(self, config: PretrainedConfig) -> None:
        super().__init__()
        self.last = reads_left(config)
        self.dropout = nn.Dropout(dropout(config))
        self.out = linear(config, 2)

    def forward(self, hidden: torch.Tensor, batch: Mapping[str, torch.Tensor]) -> torch.Tensor:
        logits = self.out(self.dropout(hidden)).float()
        masked: torch.Tensor = logits.masked_fill(batch["attention_mask"][..., None] == 0, -1e4)
        if self.last:
            null = summary(masked, batch, last=True)
            places = torch.arange(masked.shape[1], device=masked.device)[None, :, None]
            masked = masked.masked_fill(places == last_piece(batch)[:, None, None], -1e4)
            masked = torch.cat([null[:, None], masked[:, 1:]], dim=1)
        return masked


def head(config: PretrainedConfig, settings: TaskSettings) -> nn.Module:
    return SpanHead(config)


def units(batch: Batch) -> int:
    return len(batch["labels"])


def loss(logits: torch.Tensor, batch: Batch) -> torch.Tensor:
    """Mean of the start's and the end's cross-entropy, summed over windows."""
    sides = [
        functional.cross_entropy(logits[..., k], batch["labels"][:, k], reduction="sum")
        for k in (0, 1)
    ]
    return (sides[0] + sides[1]) / 2


def outputs(logits: torch.Tensor, batch: Batch) -> list[Output]:
    """The logits (length, 2) of each window, without those of padding."""
    lengths = batch["attention_mask"].sum(dim=1).tolist()
    return [
        line[:length] for line, length in zip(logits.float().cpu().numpy(), lengths, strict=True)
    ]


def decode(
    features: Features, outputs: Sequence[Output], rows: Sequence[Row], settings: TaskSettings
) -> list[dict[str, Any]]:
    """{"text": best span, "na": null score minus the span's} of each row, over all its windows.

    The larger `na`, the likelier there is no answer.
    """
    best: list[tuple[float, str]] = [(-np.inf, "")] * len(rows)
    null = np.full(len(rows), np.inf)
    for window, (row, logits) in enumerate(zip(features.rows.tolist(), outputs, strict=True)):
        null[row] = min(null[row], float(logits[NULL, 0] + logits[NULL, 1]))
        span = _best_span(features, window, logits, settings)
        if span and span[0] > best[row][0]:
            context = rows[row]["context"]
            start, end = _characters(features, window, *span[1:], context)
            best[row] = (span[0], context[start:end])
    answers = []
    for (score, text), nothing in zip(best, null.tolist(), strict=True):
        margin = nothing - score if np.isfinite(score) else 1e4
        answers.append({"text": text, "na": round(margin, 6)})
    return answers


def _best_span(
    features: Features, window: int, logits: Output, settings: TaskSettings
) -> tuple[float, int, int] | None:
    """(score, first piece, last) of the best allowed span of a window's n-best starts and ends."""
    starts, ends = features.columns["char_start"][window], features.columns["char_end"][window]
    allowed = np.flatnonzero((starts != NO_CONTEXT) & (ends > starts))
    counted = allowed[features.columns["best"][window][allowed] == 1]  # as starts, only here
    if not len(counted):
        return None
    n = settings.n_best
    first = counted[np.argsort(-logits[counted, 0], kind="stable")[:n]]
    last = allowed[np.argsort(-logits[allowed, 1], kind="stable")[:n]]
    scores = logits[first, 0][:, None] + logits[last, 1][None, :]
    length = last[None, :] - first[:, None] + 1
    scores = np.where((length >= 1) & (length <= settings.max_answer), scores, -np.inf)
    a, b = np.unravel_index(int(scores.argmax()), scores.shape)
    if not np.isfinite(scores[a, b]):
        return None
    return float(scores[a, b]), int(first[a]), int(last[b])


def score(
    predictions: Sequence[Mapping[str, Any]],
    rows: Sequence[Row],
    language: str,
    settings: TaskSettings,
) -> dict[str, float]:
    """Exact match and F1 by the rules that the record names: SQuAD 1.1's, 2.0's or MLQA's.

    MLQA has rules for its seven languages; in others SQuAD 1.1's apply.
    """
    answers = {
        row["id"]: prediction["text"] for row, prediction in zip(rows, predictions, strict=True)
    }
    gold = {row["id"]: [answer["text"] for answer in row["answers"]] for row in rows}
    if settings.no_answer:
        margins = {
            row["id"]: prediction["na"] for row, prediction in zip(rows, predictions, strict=True)
        }
        scores = squad.squad2(answers, gold, margins, threshold=0.0)
    elif settings.convention == "mlqa" and language in mlqa.LANGUAGES:
        scores = mlqa.mlqa(answers, list(gold.items()), language)
    else:
        scores = squad.squad1(answers, list(gold.items()))
    return {metric: scores[metric] for metric in settings.metrics}


def labelled(rows: Sequence[Row]) -> bool:
    return all_have(rows, "answers")


def passport_entries(settings: TaskSettings, thresholds: Mapping[str, float]) -> dict[str, Any]:
    whole = cut_to_length(settings)["truncation"]
    windows = f"in windows that share {settings.doc_stride}; answers of {settings.max_answer}"
    return {"truncation": f"{whole} {windows}"}
