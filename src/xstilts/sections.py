"""What a section of params.yaml is; those of studies, of members, of a phase's training.

What enters: values. What leaves: frozen settings, or the errors that `invalid` puts in words.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    PositiveFloat,
    PositiveInt,
    field_validator,
    model_validator,
)


def _ordered(bounds: tuple[Any, Any]) -> tuple[Any, Any]:
    if bounds[0] > bounds[1]:
        raise ValueError(f"{list(bounds)}; expected low <= high")
    return bounds


PoolingName = Literal["mean", "cls"]  # all pieces of a sentence, or the first
Number = TypeVar("Number")
Bounds = Annotated[tuple[Number, Number], AfterValidator(_ordered)]
Ratio = Annotated[float, Field(ge=0, le=1)]


class Section(BaseModel):
    """A part of params.yaml: frozen, with finite numbers; an unknown key is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class SearchSettings(Section):
    """What every study says; 0 trials: nothing is searched."""

    trials: int = Field(default=0, ge=0)  # the first is params' own values
    learning_rate: Bounds[PositiveFloat] = (1e-6, 1e-4)  # searched on a log scale
    parallel: int = Field(default=1, ge=1)  # trials of a round, which know those before it alone
    seed: int = Field(default=1, ge=0)


class StudySettings(SearchSettings):
    """The search for settings of an intermediate or a target; null: that one is not searched."""

    epochs: Bounds[PositiveInt] = (1, 10)
    batch_size: list[PositiveInt] | None = Field(default=None, min_length=1)  # choices
    warmup_ratio: Bounds[Ratio] | None = None
    weight_decay: Bounds[PositiveFloat] | None = None  # searched on a log scale
    prune: bool = False  # end a trial that is below the median of earlier ones of as many epochs

    @model_validator(mode="after")
    def _pruning_has_earlier_rounds(self) -> StudySettings:
        if self.prune and 0 < self.trials <= self.parallel:
            raise ValueError("prune: true, and all trials are one round; lower parallel")
        return self


class PretrainStudySettings(SearchSettings):
    """The search for phase 1's learning rate and steps, where an encoder is trained here."""

    learning_rate: Bounds[PositiveFloat] = (1e-4, 1e-2)
    steps: Bounds[PositiveInt] = (500, 5000)  # searched on a log scale


class Studies(Section):
    pretrain: PretrainStudySettings = PretrainStudySettings()
    intermediate: dict[str, StudySettings] = {}
    target: dict[str, StudySettings] = {}


class MemberSettings(Section):
    """Which English train rows of a task an intermediate takes, and whose labels they have."""

    limit: PositiveInt | None = None  # rows; smaller limits' rows are among larger ones'
    # Only rows of this part, as ANLI+, MNLI (genres), HellaSwag (sources) and the world's NLI
    # (domains) have them, or source.tasks names them.
    part: str | None = None
    labels: Literal["own", "shuffled"] = "own"  # shuffled: a control, which has nothing to learn
    language: str = "en"  # another: the same rows in source.tasks.TASK.translated; English selects


def taken(value: int | MemberSettings | None) -> MemberSettings:
    """What a value of `members` says."""
    return value if isinstance(value, MemberSettings) else MemberSettings(limit=value)


class SpanSettings(Section):
    """How questions and contexts become windows, and how long an answer may be."""

    doc_stride: int = Field(default=128, ge=1)  # pieces that two windows share
    max_question: int = Field(default=64, ge=1)  # pieces; the rest is cut and counted
    max_answer: int = Field(default=30, ge=1)  # pieces
    n_best: int = Field(default=20, ge=1)


class PhaseSettings(Section):
    """How a task is trained in its phase."""

    learning_rate: float = Field(default=1e-5, gt=0)
    epochs: float = Field(default=2.0, gt=0)
    batch_size: int = Field(default=32, ge=1)  # examples an optimiser step
    max_length: int = Field(default=256, ge=8)  # pieces
    span: SpanSettings | None = None  # for span tasks, and only there

    @property
    def trained(self) -> PhaseSettings | None:
        """How it trains."""
        return self


class LikelihoodSettings(PhaseSettings):
    """A target of choices that a decoder scores by log p of each, after a prompt."""

    likelihood: Literal["sum", "mean"] = "sum"  # of a choice's pieces; mean: whatever their number
    prompt: str = "{context} {question}"  # what stands before the choice
    epochs: float = Field(default=0.0, ge=0)  # 0: nothing is trained, the decoder is asked

    @field_validator("prompt")
    @classmethod
    def _names_what_there_is(cls, prompt: str) -> str:
        try:
            prompt.format(context="", question="")
        except (KeyError, IndexError, ValueError, AttributeError):
            raise ValueError(
                f"'{prompt}'; expected a text with {{context}} and perhaps {{question}}"
            ) from None
        return prompt

    @property
    def trained(self) -> PhaseSettings | None:
        return self if self.epochs else None


class FrozenSettings(Section):
    """A target that trains no head: sentence vectors straight from the phase-2 encoder."""

    tuning: PhaseSettings | None = None  # XTREME-R's Tatoeba: trains the encoder on SQuAD before
    layer: int = Field(default=14, ge=0)  # 0: the embeddings' output; 14 as in jiant
    pooling: PoolingName = "mean"
    max_length: int = Field(default=512, ge=8)

    @property
    def trained(self) -> PhaseSettings | None:
        """How the encoder is trained before; None where it is not."""
        return self.tuning
