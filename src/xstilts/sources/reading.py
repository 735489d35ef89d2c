"""The rows that a source gives for one split and language, and how they were counted."""

from __future__ import annotations

from dataclasses import dataclass, field

from xstilts.formats.tables import Row


@dataclass(frozen=True)
class Reading:
    """Rows and their counts: "read", and "dropped: REASON" for each reason."""

    rows: list[Row]
    counts: dict[str, int] = field(default_factory=dict)
    note: str = ""  # what a stand-in stands for: shown on the card
