"""What every training and prediction needs, whatever the task."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from xstilts.params import RunSettings, TrainingSettings
from xstilts.tasks.families.protocol import Tokens
from xstilts.training.devices import autocast_for
from xstilts.training.encoder import Tokenizer, special_tokens
from xstilts.training.progress import Reporter


@dataclass(frozen=True)
class Context:
    """The settings, tokenizer, folders and reporter that a training or prediction runs with.

    work: the folder of checkpoints, which the caller names by what decides the result and removes
    at the end. cache: the folder of encoded tables, named by content. evaluations: where each
    evaluation's weights are kept, STEP.pt; None: nowhere. Members, steps and seed are no part of
    it: those are the training's own.
    """

    training: TrainingSettings
    tokenizer: Tokenizer
    work: Path
    cache: Path
    reporter: Reporter | None = None
    mask_probability: float = Tokens.mask_probability
    run: RunSettings = field(default_factory=RunSettings)
    evaluations: Path | None = None

    @cached_property
    def tokens(self) -> Tokens:
        """What padding and masking need of the tokenizer."""
        return special_tokens(self.tokenizer, self.mask_probability)

    @property
    def bf16(self) -> bool:
        """Whether predictions run under autocast, as the training's steps do."""
        return autocast_for(self.training)
