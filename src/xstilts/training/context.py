"""What surrounds a training and a prediction, whatever the task."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from xstilts.params import TrainingSettings
from xstilts.tasks.families.protocol import Tokens
from xstilts.training.devices import autocast_for
from xstilts.training.encoder import Tokenizer, special_tokens
from xstilts.training.progress import Reporter


@dataclass(frozen=True)
class Context:
    """How to compute, which pieces texts become, where what is unfinished lies, whom to tell.

    work: checkpoints, for resuming; the caller names it by what decides the result and removes it
    at the end. cache: encoded tables, by content. What a training is (its members, steps and seed)
    is no part of it.
    """

    settings: TrainingSettings
    tokenizer: Tokenizer
    work: Path
    cache: Path
    reporter: Reporter | None = None
    mask_probability: float = Tokens.mask_probability

    @cached_property
    def tokens(self) -> Tokens:
        """What padding and masking need of the tokenizer."""
        return special_tokens(self.tokenizer, self.mask_probability)

    @property
    def bf16(self) -> bool:
        """Whether predictions run under autocast, as the training's steps do."""
        return autocast_for(self.settings)
