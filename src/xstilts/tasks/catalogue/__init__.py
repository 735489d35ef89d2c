"""The catalogue: what every task is, where its rows lie, and how XTREME counts it.

What enters: a name. What leaves: its `Entry`, or its `Record` as a benchmark has it. One entry a
task, one file a family. Training imports none of it: a data stage writes a task's own record beside
its tables, so that a new entry retrains nothing. Sizes: "train-en" is one table, "dev" the size of
that split in each language. A split and language that has no size does not exist (but for
XTREME-R's added languages, whose sizes no source gives: `is_published`). Of bucc2018 they count
gold pairs, of a ranking task queries: what is published.
"""

from __future__ import annotations

from dataclasses import replace

from xstilts.errors import UserError, nearest
from xstilts.formats.tables import Record
from xstilts.tasks.catalogue import choice, classification, ranking, retrieval, spans, tagging
from xstilts.tasks.catalogue.entry import Entry, slot

# In this order evaluate.py means its tasks, and a sum of floats depends on it.
_TASKS = (
    *classification.ENTRIES,
    *choice.ENTRIES,
    *tagging.ENTRIES,
    *retrieval.ENTRIES,
    *ranking.ENTRIES,
    *spans.ENTRIES,
)

_TEXT = Entry(
    Record(
        name="text",
        title="multilingual plain text",
        roles=("text", "intermediate"),
        group="text",
        family="masked_lm",
        languages=tuple(
            sorted({c for one in _TASKS if "xtreme" in one.benchmarks for c in one.ordered})
        ),  # XTREME's 40
        splits=("train",),
        labelled=(),
        metrics=(),
        main=(),
        licence="one for each collection",
    ),
    files={"train": [slot("text text/{language}.txt")]},
)

ENTRIES = {entry.record.name: entry for entry in (*_TASKS, _TEXT)}
RECORDS = {name: entry.record for name, entry in ENTRIES.items()}


def record(name: str, benchmark: str = "xtreme") -> Record:
    """The record of that name, as the benchmark has it, or a UserError with the nearest one."""
    if name not in RECORDS:
        raise UserError(f"'{name}' is not a task of the catalogue{nearest(name, RECORDS)}")
    return RECORDS[name] if benchmark == "xtreme" else _as_xtreme_r(RECORDS[name])


def added(name: str) -> tuple[str, ...]:
    """The languages that XTREME-R has beyond XTREME's; no source says how many rows most have."""
    return ENTRIES[name].added if name in ENTRIES else ()


def _as_xtreme_r(task: Record) -> Record:
    """With the languages that it adds; Tatoeba's vectors are those of an encoder tuned on SQuAD."""
    task = replace(task, languages=(*task.languages, *added(task.name)))
    if task.name == "tatoeba":
        squad = ("squad1",)
        return replace(task, train_from=squad, select_from=squad[0], exclude_contexts_of=("xquad",))
    return task


def official_size(task: Record, split: str, language: str) -> int | None:
    """How many rows (gold pairs of bucc2018, queries of a ranking task) the official split has.

    None: there is no such split, or its official size is unknown (`is_published`).
    """
    return task.sizes.get(f"{split}-{language}", task.sizes.get(split))


def is_published(task: Record, split: str, language: str) -> bool:
    """Whether the official distribution has this split in this language."""
    if official_size(task, split, language):
        return True
    if language not in task.languages or language not in added(task.name):
        return False
    return any(key.startswith(f"{split}-") for key in task.sizes)
