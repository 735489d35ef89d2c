"""What a section of params.yaml is; those of studies, whose defaults search nothing; members.

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
    model_validator,
)


def _ordered(bounds: tuple[Any, Any]) -> tuple[Any, Any]:
    if bounds[0] > bounds[1]:
        raise ValueError(f"{list(bounds)}; expected low <= high")
    return bounds


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
    part: str | None = (
        None  # only rows of this part: as ANLI+, MNLI (genres) and HellaSwag (sources)
    )
    # have them, or source.tasks names them; the world's NLI has five domains
    labels: Literal["own", "shuffled"] = "own"  # shuffled: a control, which has nothing to learn
    language: str = "en"  # another: the same rows in source.tasks.TASK.translated; English selects


def taken(value: int | MemberSettings | None) -> MemberSettings:
    """What a value of `members` says."""
    return value if isinstance(value, MemberSettings) else MemberSettings(limit=value)
