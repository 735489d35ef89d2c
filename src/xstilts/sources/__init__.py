"""Where rows come from: a source is a module with the functions of `Source`, named in SOURCES.

What enters: a task's record, a split, a language. What leaves: rows. No source knows families.
"""

from __future__ import annotations

from importlib import import_module
from typing import Protocol, cast

from xstilts.errors import UserError, nearest
from xstilts.formats.tables import Record, Split
from xstilts.params import SourceSettings
from xstilts.sources.reading import Reading


class Source(Protocol):
    """The functions of a source module, which depend on arguments and the files they name alone."""

    def languages(self, record: Record, source: SourceSettings) -> tuple[str, ...]:
        """The task's languages that this source has, in the record's order."""
        ...

    def locate(
        self, record: Record, split: Split, language: str, source: SourceSettings
    ) -> list[str] | None:
        """Where a table's rows lie, in words, none being read; None where `read` gives None.

        Raises UserError for a file that should be there and is not.
        """
        ...

    def read(
        self, record: Record, split: Split, language: str, source: SourceSettings
    ) -> Reading | None:
        """The rows of one split and language; None only where the task has no such split in it.

        Raises UserError for a file that should be there and is not, or a malformed record.
        """
        ...


SOURCES = {
    "world": "xstilts_world",
    "files": "xstilts.sources.files",
    "hub": "xstilts.sources.hub",
}


def source_named(name: str) -> Source:
    """The source of that name, a key of SOURCES; UserError where there is none."""
    if name not in SOURCES:
        known = nearest(name, SOURCES)
        raise UserError(f"params.yaml: source.name: '{name}' is not a source{known}")
    return cast(Source, import_module(SOURCES[name]))
