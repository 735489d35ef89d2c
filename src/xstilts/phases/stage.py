"""What the three phases share: their folders, a trained model, its heads.

A stage reads its inputs from the folders that dvc.yaml names and replaces its own output; what is
unfinished lies under work/, keyed by params, inputs and code, so that a killed stage resumes and a
changed one does not.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch
from transformers import PreTrainedModel

from xstilts.errors import UserError
from xstilts.formats.cards import Card, Selection
from xstilts.params import TrainingSettings
from xstilts.phases.members import Counts
from xstilts.phases.provenance import WORK
from xstilts.running.tracking import Run
from xstilts.tasks.families import retrieval
from xstilts.training import encoder as encoders
from xstilts.training.devices import autocast_for, device_for
from xstilts.training.encoder import EncoderRef, Model
from xstilts.training.evaluation import Inference, Predictor, Task
from xstilts.training.progress import Progress

DATA, MODELS, CELLS, STUDIES = (Path(name) for name in ("data", "models", "cells", "studies"))
PRETRAIN = MODELS / "pretrain"
FEATURES = WORK / "features"  # encoded tables, by content


@dataclass(frozen=True)
class Trained:
    """A trained (or frozen) model and how it came about."""

    model: Model
    tokenizer: encoders.Tokenizer
    progress: Progress
    selection: Selection | None = None
    counts: Counts = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    inputs: dict[str, str] = field(default_factory=dict)  # digests of what trained and selected
    target: Task | None = None

    def onto(self, card: Card) -> Card:
        """The card with what the training adds to it."""
        flags = (self.progress.flag,) if self.progress.flag else ()
        notes = tuple(dict.fromkeys((*card.notes, *self.notes)))
        return replace(
            card,
            selection=self.selection,
            counts=self.counts,
            flags=flags,
            notes=notes,
            inputs=self.inputs,
        )

    def predictor(self, training: TrainingSettings) -> Predictor:
        assert self.target is not None
        inference = Inference(
            encoders.special_tokens(self.tokenizer), training.token_budget, autocast_for(training)
        )
        settle = retrieval.settle if self.target.family_name == "retrieval" else None
        return Predictor(self.model, self.tokenizer, self.target, inference, FEATURES, settle)


@dataclass(frozen=True)
class Place:
    """Where a training leaves its checkpoints, whom it tells, and its seed."""

    work: Path
    run: Run | None
    seed: int


def build(
    encoder: PreTrainedModel,
    tasks: Sequence[Task],
    base: EncoderRef,
    training: TrainingSettings,
) -> Model:
    """Fresh heads by name; a masked_lm head starts from the encoder's own where it was saved with
    one."""
    heads: dict[str, torch.nn.Module] = {}
    for one in tasks:
        encoders.check_length(encoder, one.settings.max_length)
        if one.head not in heads:
            heads[one.head] = one.family.head(encoders.config_copy(encoder), one.settings)
            if one.family_name == "masked_lm":
                encoders.adopt_lm_head(heads[one.head], encoder, base)
    return Model(encoder, heads).to(device_for(training))


def dev_score(trained: Trained) -> float:
    if trained.selection is None:
        raise UserError("this row has no member with an English dev set; set its trials to 0")
    return trained.selection.score
