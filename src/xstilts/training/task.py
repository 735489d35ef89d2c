"""The task that a model is trained on or predicts: a record joined with a section of params."""

from __future__ import annotations

from dataclasses import dataclass, replace

from xstilts.formats.tables import FamilyName, Record
from xstilts.params import FrozenSettings, LikelihoodSettings, PhaseSettings
from xstilts.tasks.families import FAMILIES
from xstilts.tasks.families.protocol import Family, TaskSettings


@dataclass(frozen=True)
class Task:
    """A family with a task's settings: what encodes, trains, predicts and scores its tables."""

    name: str
    family_name: FamilyName
    family: Family
    settings: TaskSettings
    head: str


def task(
    record: Record, section: PhaseSettings | FrozenSettings, labels: tuple[str, ...] = ()
) -> Task:
    """The task of a record and its section of params. labels: for a record without any (CCG)."""
    settings = TaskSettings(
        max_length=section.max_length,
        labels=record.labels or labels,
        metrics=record.metrics,
        convention=record.convention,
        choices=record.choices,
        no_answer=record.no_answer,
    )
    if isinstance(section, FrozenSettings):
        settings = replace(settings, pooling=section.pooling)
    elif isinstance(section, LikelihoodSettings):
        settings = replace(settings, likelihood=section.likelihood, prompt=section.prompt)
    elif section.span is not None:
        span = section.span
        settings = replace(
            settings,
            doc_stride=span.doc_stride,
            max_question=span.max_question,
            max_answer=span.max_answer,
            n_best=span.n_best,
        )
    return Task(record.name, record.family, FAMILIES[record.family], settings, record.name)
