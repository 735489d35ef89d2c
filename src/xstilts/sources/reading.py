"""The rows that a source gives for one split and language, and how they were counted."""

from __future__ import annotations

from dataclasses import dataclass, field

from xstilts.formats.tables import Row

# A key of rows as they are read, and no column: which part of its task a row is of (a genre of
# MNLI, a source of HellaSwag), by which `shares` takes some. ANLI+'s parts have a column.
DOMAIN = "domain"


@dataclass(frozen=True)
class Reading:
    """Rows and their counts: "read", and "dropped: REASON" for each reason."""

    rows: list[Row]
    counts: dict[str, int] = field(default_factory=dict)
    note: str = ""  # what a stand-in stands for: shown on the card
