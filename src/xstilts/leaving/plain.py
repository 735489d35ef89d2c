"""Our heads as transformers' own classes, where those compute the same.

What enters: an encoder with our head. What leaves: a model of AutoModelFor... with equal logits, or
the reason why there is none. tests/test_leaving.py compares logits; an export does so again, on
the folder that it wrote.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
import transformers
from transformers import PreTrainedModel

from xstilts.formats.features import Batch
from xstilts.formats.tables import FamilyName
from xstilts.training.encoder import RESTARTS
from xstilts.training.saved import Saved

TOLERANCE = 1e-4  # of logits in fp32; seen: 0 but for the order of a matrix product's sums


@dataclass(frozen=True)
class Plain:
    """A class of transformers, and where each module of our head stands in it.

    config: what makes its head ours. pairs: it reads pairs of texts. grouped: one example is
    several sequences.
    """

    name: str
    head: Mapping[str, str]
    config: Mapping[str, Any] = field(default_factory=dict)
    pairs: bool = True
    grouped: bool = False


def _classes(
    label: Mapping[str, str], choice: Mapping[str, str], **config: str
) -> dict[FamilyName, Plain]:
    """label, choice: where the two layers of `PooledHead` stand in those classes."""
    return {
        "classification": Plain("AutoModelForSequenceClassification", label, config),
        "choice": Plain("AutoModelForMultipleChoice", choice, config, grouped=True),
        "tagging": Plain("AutoModelForTokenClassification", {"out": "classifier"}, pairs=False),
        "span": Plain("AutoModelForQuestionAnswering", {"out": "qa_outputs"}),
    }


# By the encoder's model_type. A pooler of theirs is the first layer of our head.
_ROBERTA = _classes(
    {"dense": "classifier.dense", "out": "classifier.out_proj"},
    {"dense": "roberta.pooler.dense", "out": "classifier"},
)
_BERT = {"dense": "bert.pooler.dense", "out": "classifier"}
_DEBERTA = {"dense": "pooler.dense", "out": "classifier"}
PLAIN: dict[str, dict[FamilyName, Plain]] = {
    "xlm-roberta": _ROBERTA,
    "roberta": _ROBERTA,
    "bert": _classes(_BERT, _BERT),
    "deberta-v2": _classes(_DEBERTA, _DEBERTA, pooler_hidden_act="tanh"),  # its own is gelu
}


def plain_of(saved: Saved) -> Plain | str:
    """The class of transformers for a model, or why none computes what it does."""
    family, config = saved.task.family_name, saved.model.encoder.config
    known = PLAIN.get(config.model_type, {})
    if not any(family in classes for classes in PLAIN.values()):
        return f"transformers has no class for a {family} model"
    if family not in known:
        return f"the head of transformers' {config.model_type} classes is not the one trained here"
    if getattr(config, RESTARTS, False) and known[family].pairs:
        return (
            "this encoder's positions begin again with the second text of a pair, which "
            "transformers' classes do not do"
        )
    return known[family]


def plain_model(saved: Saved, plain: Plain) -> PreTrainedModel:
    """The model in transformers' class. Raises RuntimeError where a weight has no place in it."""
    config = copy.deepcopy(saved.model.encoder.config)
    for name, value in plain.config.items():
        setattr(config, name, value)
    if labels := saved.task.settings.labels:
        config.id2label = dict(enumerate(labels))
        config.label2id = {label: number for number, label in enumerate(labels)}
    model: PreTrainedModel = getattr(transformers, plain.name).from_config(config)
    base = model.base_model
    missing, unexpected = base.load_state_dict(saved.model.encoder.state_dict(), strict=False)
    head = saved.model.heads[saved.task.head]
    for ours, theirs in plain.head.items():
        model.get_submodule(theirs).load_state_dict(head.get_submodule(ours).state_dict())
    left = {
        f"{model.base_model_prefix}.{name}"
        for name in missing
        if not f"{model.base_model_prefix}.{name}".startswith(tuple(plain.head.values()))
    }
    if left or unexpected:
        raise RuntimeError(f"{plain.name}: no weights for {left}, no place for {unexpected}")
    model.train(False)
    return model


@torch.inference_mode()
def difference(saved: Saved, plain: Plain, folder: Path) -> float:
    """The largest difference between our logits and those of the folder as transformers loads it.

    Of a pair of texts and one with the two the other way round, padded to one length.
    """
    theirs = getattr(transformers, plain.name).from_pretrained(folder).eval()
    record = saved.about.record
    texts = [record.title, f"{record.name} {record.group}"]
    other = texts[::-1] if plain.pairs else None
    batch: Batch = dict(saved.tokenizer(texts, other, padding=True, return_tensors="pt"))
    ids, real = batch["input_ids"], batch["attention_mask"].bool()
    every = torch.arange(ids.shape[1]).expand(ids.shape)  # as if each piece began a word
    ours = saved.model(saved.task.head, {**batch, "word_starts": every})
    given = {name: tensor[None] if plain.grouped else tensor for name, tensor in batch.items()}
    said = theirs(**given)
    spans = "start_logits" in said
    their = torch.stack([said.start_logits, said.end_logits], -1) if spans else said.logits
    if ours.dim() == 3:  # of pieces: those of padding are nobody's
        ours, their = ours[real], their[real]
    return float((ours.reshape(-1) - their.reshape(-1)).abs().max())
