"""The kinds of task: how each is encoded, trained, decoded and scored.

What enters: rows. What leaves: features, a loss, predictions, scores. A new family is a file and a
line of FAMILIES.
"""

from __future__ import annotations

from xstilts.formats.tables import FamilyName
from xstilts.tasks.families import (
    choice,
    classification,
    masked_lm,
    ranking,
    retrieval,
    span,
    tagging,
)
from xstilts.tasks.families.protocol import Family

FAMILIES: dict[FamilyName, Family] = {
    "classification": classification,
    "choice": choice,
    "tagging": tagging,
    "span": span,
    "retrieval": retrieval,
    "ranking": ranking,
    "masked_lm": masked_lm,
}
