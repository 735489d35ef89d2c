"""Made-up rows for gpu.py: features of every trained family, straight from lengths.

No tokenizer: pieces are drawn from `used` of the vocabulary's by a rank law, as text has them, so
that an embedding's gradient meets frequent and rare rows. Lengths are lognormal, to be like what
XLM-R's tokenizer makes of MNLI (pairs; mean 43 pieces, percentiles 5, 50, 95, 99: 23, 40, 77, 107)
and of SQuAD in windows of 384 (mean 196; 104, 184, 340, 384). `summary` gives what was drawn.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from large import LARGE, TRAINED
from numpy.typing import NDArray
from tokenizers import Tokenizer, models
from transformers import PreTrainedTokenizerFast, XLMRobertaConfig, XLMRobertaModel

from xstilts.formats.features import Features, Ragged
from xstilts.formats.tables import Table
from xstilts.params import RunSettings, TrainingSettings
from xstilts.tasks.families import FAMILIES
from xstilts.tasks.families.masked_lm import MaskedLMHead
from xstilts.tasks.families.protocol import TaskSettings, Tokens
from xstilts.training import encoder as encoders
from xstilts.training.context import Context
from xstilts.training.encoder import Model
from xstilts.training.loop import Member
from xstilts.training.task import Task

__all__ = ["LARGE", "TRAINED"]
START, PAD, END, MASK = 0, 1, 2, 4
SMALL = {**LARGE, "vocab_size": 3000, "hidden_size": 256, "num_hidden_layers": 4,
         "num_attention_heads": 4, "intermediate_size": 1024}  # fmt: skip
TINY = {**LARGE, "vocab_size": 500, "hidden_size": 32, "num_hidden_layers": 2,
        "num_attention_heads": 2, "intermediate_size": 64}  # fmt: skip
LABELS = {"classification": ("a", "b", "c"), "tagging": tuple("abcdefghijklmnopq")}
GROUPS = {"choice": 4, "ranking": 2}
# Of the first and the second text: median, sigma of the logarithm; pieces of a whole sequence.
LENGTHS = {
    "nli": ((22.0, 0.6), (12.2, 0.4), 256),
    "spans": ((13.0, 0.35), (166.0, 0.4), 384),
}


def lengths(kind: str, count: int, seed: int, longest: int) -> NDArray[np.int64]:
    """(count, 2): pieces of the two texts, with room for the four special pieces."""
    first, second, window = LENGTHS[kind]
    random = np.random.default_rng([seed, 1])
    drawn = [
        np.exp(random.normal(np.log(median), sigma, count)).round().astype(np.int64).clip(2)
        for median, sigma in (first, second)
    ]
    room = min(window, longest) - 4
    short = np.minimum(drawn[0], room // 2)
    return np.stack([short, np.minimum(drawn[1], room - short)], axis=1)


def summary(features: Features) -> dict[str, float]:
    found = features.columns["input_ids"].lengths
    parts = np.percentile(found, (5, 50, 95, 99))
    named = zip(("p5", "p50", "p95", "p99"), parts.tolist(), strict=True)
    return {"mean_pieces": float(found.mean()), **dict(named)}


def features(family: str, texts: NDArray[np.int64], vocabulary: int, seed: int) -> Features:
    """A family's columns as its `encode` fills them. texts: (sequences, 2), pieces of each text."""
    random = np.random.default_rng([seed, 2])
    used = max(50, min(45_000, vocabulary // 2))
    kinds = random.permutation(np.arange(5, vocabulary))[:used]
    weights = 1 / (np.arange(len(kinds)) + 20.0)
    drawn = random.choice(kinds, int(texts.sum()), p=weights / weights.sum()).tolist()
    ends = np.cumsum(texts.ravel()).tolist()
    sequences, places = [], iter(zip([0, *ends], ends, strict=False))
    for _ in texts:
        (a, b), (c, d) = next(places), next(places)
        sequences.append([START, *drawn[a:b], END, END, *drawn[c:d], END])
    count, group = len(sequences), GROUPS.get(family, 1)
    columns = {"input_ids": Ragged.of(sequences)}
    if family == "tagging":
        words = [list(range(1, len(line) - 1, 2)) for line in sequences]
        tags = [random.integers(0, len(LABELS[family]), len(line)).tolist() for line in words]
        columns |= {"word_starts": Ragged.of(words), "labels": Ragged.of(tags)}
    elif family == "span":  # somewhere in the second text
        starts = texts[:, 0] + 3 + random.integers(0, texts[:, 1])
        last = np.minimum(starts + 2, texts.sum(axis=1) + 2)
        columns["labels"] = Ragged.of(np.stack([starts, last], axis=1).tolist())
    elif family == "ranking":
        columns["side"] = Ragged.of([[number % 2] for number in range(count)])
    elif family != "masked_lm":
        right = random.integers(0, 3, count // group)
        columns["labels"] = Ragged.of([[int(one)] for one in right for _ in range(group)])
    rows = np.repeat(np.arange(count // group, dtype=np.int32), group)
    return Features(columns, rows, group, whole=family == "ranking")


def model_of(family: str, shape: dict[str, Any], seed: int, **more: Any) -> tuple[Model, Task]:
    """A random encoder with the family's head, on the default device."""
    torch.manual_seed(seed)
    encoder = encoders.prepare(XLMRobertaModel(XLMRobertaConfig(**{**shape, **more})))
    settings = TaskSettings(512, LABELS.get(family, ()), choices=4, max_answer=30)
    task = Task(family, family, FAMILIES[family], settings, family)  # type: ignore[arg-type,index]
    head = task.family.head(encoders.config_copy(encoder), settings)
    if isinstance(head, MaskedLMHead):
        head.tie(encoder)
    return Model(encoder, {family: head}), task


def member(task: Task, found: Features) -> Member:
    table = Table("made up", "train", "en", [])
    return Member(task, (table,), found, np.arange(len(found)))


def context(
    work: Path, vocabulary: int, reporter: Any = None, every_s: float = 1e9, **settings: Any
) -> Context:
    """Full speed where a GPU is; a checkpoint every so many seconds."""
    run = RunSettings(checkpoint_every_s=every_s)
    training = TrainingSettings(**settings)
    return Context(training, tokenizer(vocabulary), work, work, reporter, run=run)


def tokens(vocabulary: int) -> Tokens:
    return encoders.special_tokens(tokenizer(vocabulary))


@cache
def tokenizer(vocabulary: int) -> PreTrainedTokenizerFast:
    """XLM-R's special pieces, then one word a number: nothing here is text."""
    special = dict(zip(("bos", "pad", "eos", "unk", "mask"), range(5), strict=True))
    words = {f"<{name}>": number for name, number in special.items()}
    words |= {str(number): number for number in range(5, vocabulary)}
    model = Tokenizer(models.WordLevel(words, unk_token="<unk>"))
    named = {f"{name}_token": f"<{name}>" for name in special}
    return PreTrainedTokenizerFast(tokenizer_object=model, **named)
