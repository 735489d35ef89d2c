"""What a source gives for one split and language."""

from __future__ import annotations

from dataclasses import dataclass, field

from xstilts.formats.tables import Row


@dataclass(frozen=True)
class Reading:
    """Rows and how they were counted: "read", and "dropped: REASON" for each reason."""

    rows: list[Row]
    counts: dict[str, int] = field(default_factory=dict)
    note: str = ""  # what a stand-in stands for: shown on the card
