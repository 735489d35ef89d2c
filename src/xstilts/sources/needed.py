"""The tables that the data stages of a grid read, and whether each is where it should be.

What enters: the names of a grid. What leaves: a line for what is missing. Rows are looked up, and
none is read: that is for the first seconds of a grid, before anything is trained.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from xstilts.errors import Unreachable, UserError
from xstilts.formats.tables import ENGLISH, POOL, Record, Split
from xstilts.params import SourceSettings
from xstilts.sources import Source, source_named
from xstilts.sources.prepare import REPORTED
from xstilts.tasks.catalogue import record as record_of

Table = tuple[Record, Split, str]


def missing_tables(
    members: Iterable[str], targets: Iterable[str], benchmark: str, source: SourceSettings
) -> list[str]:
    """A line for each task and split that cannot be read. members: of all intermediates."""
    try:
        rows_from = source_named(source.name)
    except UserError as error:
        return [str(error)]
    if not Path(source.path).exists():
        expected = "the folder of the source's files; make it, or a link, or correct the path"
        return [f"params.yaml: source.path: {source.path}: no such folder; expected {expected}"]
    problems: dict[tuple[str, str], list[str]] = defaultdict(list)
    for where, names, tables_of in (
        ("intermediates.*.members", members, _of_member),
        ("targets", targets, _of_target),
    ):
        for name in dict.fromkeys(names):
            try:
                record = record_of(name, benchmark)
            except UserError as error:
                problems[name, where].append(f"params.yaml: {where}: {error}")
                continue
            try:
                for table in tables_of(record, rows_from, source):
                    _try(table, rows_from, source, problems)
            except Unreachable as error:
                return [*map(_one_line, problems.values()), str(error)]
            except UserError as error:  # of a task's languages: once, and not for each table
                problems[name, where].append(str(error))
    return list(dict.fromkeys(map(_one_line, problems.values())))


def _try(
    table: Table,
    rows_from: Source,
    source: SourceSettings,
    problems: dict[tuple[str, str], list[str]],
) -> None:
    record, split, language = table
    try:
        rows_from.locate(record, split, language, source)
    except Unreachable:
        raise
    except UserError as error:
        lines = problems[record.name, split]
        if str(error) not in lines:  # of a task that trains and is scored
            lines.append(str(error))


def _one_line(lines: Sequence[str]) -> str:
    """The first of a split's problems, and of how many more languages there is one."""
    more = f" (and {len(lines) - 1} more languages of it)" if len(lines) > 1 else ""
    return f"{lines[0]}{more}"


def _of_member(record: Record, rows_from: Source, source: SourceSettings) -> Iterator[Table]:
    if record.is_text:
        yield from ((record, "train", code) for code in rows_from.languages(record, source))
    else:
        yield from _english(record, record, rows_from, source)


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
