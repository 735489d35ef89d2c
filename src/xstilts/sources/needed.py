"""The tables that the data stages of a grid read, and whether each is where it should be.

What enters: the names of a grid. What leaves: for each task and split its languages that are there
and that are missing, where they lie, and what would be looked for. Rows are looked up, and none is
read: that is for the first seconds of a grid, before anything is trained.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from xstilts.errors import Unreachable, UserError
from xstilts.formats.tables import ENGLISH, POOL, Record, Split
from xstilts.params import SourceSettings
from xstilts.sources import Source, source_named
from xstilts.sources.prepare import REPORTED
from xstilts.tasks.catalogue import record as record_of

Table = tuple[Record, Split, str]


@dataclass
class Looked:
    """A task's split, looked up in every language that the grid reads of it."""

    record: Record
    split: Split
    there: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    places: list[str] = field(default_factory=list)  # of those that are there, each once
    problems: list[str] = field(default_factory=list)  # what was looked for, each once

    def look(self, language: str, rows_from: Source, source: SourceSettings) -> None:
        """Look a language up, once; of a split that a task has not in it nothing is noted."""
        if language in self.there or language in self.missing:
            return
        try:
            places = rows_from.locate(self.record, self.split, language, source)
        except Unreachable:
            raise
        except UserError as error:
            self.missing.append(language)
            self.problems = list(dict.fromkeys([*self.problems, str(error)]))
            return
        if places is not None:
            self.there.append(language)
            self.places = list(dict.fromkeys([*self.places, *places]))

    @property
    def line(self) -> str:
        """The first problem, and of how many more languages there is one."""
        more = len(self.problems) - 1
        return f"{self.problems[0]}{f' (and {more} more languages of it)' if more else ''}"


@dataclass
class Needed:
    """All that a grid reads.

    absent: that source.path is not there. problems: of names and the source, which are no table's.
    """

    tables: dict[tuple[str, Split], Looked] = field(default_factory=dict)
    absent: str = ""
    problems: list[str] = field(default_factory=list)

    @property
    def lines(self) -> list[str]:
        """A line for each problem, and for each task and split that cannot be read."""
        missing = [looked.line for looked in self.tables.values() if looked.problems]
        return list(dict.fromkeys(filter(None, [self.absent, *self.problems, *missing])))


def look_up(
    members: Iterable[str], targets: Iterable[str], benchmark: str, source: SourceSettings
) -> Needed:
    """Look up every table of a grid's tasks. members: of all intermediates."""
    found = Needed()
    try:
        rows_from = source_named(source.name)
    except UserError as error:
        found.problems.append(str(error))
        return found
    if not Path(source.path).exists():
        expected = "the folder of the source's files; make it, or a link, or correct the path"
        where = f"params.yaml: source.path: {source.path}"
        found.absent = f"{where}: no such folder; expected {expected}"
    for kind, names, tables_of in (
        ("intermediates.*.members", members, _of_member),
        ("targets", targets, _of_target),
    ):
        for name in dict.fromkeys(names):
            try:
                record = record_of(name, benchmark)
            except UserError as error:
                found.problems.append(f"params.yaml: {kind}: {error}")
                continue
            try:
                for owner, split, language in tables_of(record, rows_from, source):
                    table = found.tables.setdefault((owner.name, split), Looked(owner, split))
                    table.look(language, rows_from, source)
            except Unreachable as error:
                found.problems.append(str(error))
                return found
            except UserError as error:  # of a task's languages: once, and not for each table
                found.problems.append(str(error))
    return found


def _of_member(record: Record, rows_from: Source, source: SourceSettings) -> Iterator[Table]:
    if record.is_text:
        yield from ((record, "train", code) for code in rows_from.languages(record, source))
    else:
        yield from _english(record, record, rows_from, source)
        files = source.tasks.get(record.name)
        yield from ((record, "train", code) for code in (files.translated if files else ()))


def _of_target(record: Record, rows_from: Source, source: SourceSettings) -> Iterator[Table]:
    for split in REPORTED:
        pool = [POOL] if f"{split}-{POOL}" in record.sizes else []
        for language in (*rows_from.languages(record, source), *pool):
            yield record, split, language
    if not record.trained and not record.train_from:
        return
    own = record.trained and _is_given(record, "train", rows_from, source)
    steps = [record] if own else [record_of(name) for name in record.train_from]
    for step in steps:
        yield from _english(step, record, rows_from, source)


def _is_given(record: Record, split: Split, rows_from: Source, source: SourceSettings) -> bool:
    """Whether a task has such a table in English, be its files there or missing."""
    try:
        return rows_from.locate(record, split, ENGLISH, source) is not None
    except Unreachable:
        raise
    except UserError:
        return True


def _english(
    step: Record, owner: Record, rows_from: Source, source: SourceSettings
) -> Iterator[Table]:
    """What trains and selects, and whose contexts are kept apart, as `prepare` reads them."""
    yield step, "train", ENGLISH
    last = step == owner or step.name == owner.train_from[-1]
    if owner.select_from:
        yield record_of(owner.select_from), "dev", ENGLISH
    elif "select" in owner.splits:
        yield owner, "select", ENGLISH
    elif last and _is_given(owner, "dev", rows_from, source):
        yield owner, "dev", ENGLISH
    else:
        yield step, "dev", ENGLISH
    for other in (*step.exclude_contexts_of, *owner.exclude_contexts_of):
        # In the benchmark with the most languages: params may name any, English alone is read.
        yield from ((record_of(other, "xtreme-r"), split, ENGLISH) for split in REPORTED)
