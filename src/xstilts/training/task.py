"""A task that is trained or predicted: its record, joined with its section of params."""

from __future__ import annotations

from dataclasses import dataclass, replace

from xstilts.formats.tables import FamilyName, Record
from xstilts.params import FrozenSettings, PhaseSettings
from xstilts.tasks.families import FAMILIES
from xstilts.tasks.families.protocol import Family, TaskSettings


@dataclass(frozen=True)
class Task:
    """A record's family with its settings: what encodes, predicts and scores its tables."""

    name: str
    family_name: FamilyName
    family: Family
    settings: TaskSettings
    head: str


def task(
    record: Record, section: PhaseSettings | FrozenSettings, labels: tuple[str, ...] = ()
) -> Task:
    """A record joined with its section of params. labels: where the record lists none (CCG)."""
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
