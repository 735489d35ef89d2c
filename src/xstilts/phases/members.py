"""From member folders to what the loop trains: tasks, parts of tasks, text; and their weights.

A member folder holds record.json, train-LANG.parquet, select-en.parquet, counts.json and
notes.json.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from xstilts.errors import UserError
from xstilts.formats.features import concatenate
from xstilts.formats.tables import (
    ENGLISH,
    Record,
    Table,
    digest,
    read_json,
    read_record,
    read_table,
    tables_in,
)
from xstilts.params import (
    FrozenSettings,
    IntermediateSettings,
    LikelihoodSettings,
    PhaseSettings,
    TrainingSettings,
)
from xstilts.training.batches import balanced_index, steps_per_epoch
from xstilts.training.context import Context
from xstilts.training.evaluation import encode
from xstilts.training.loop import Member
from xstilts.training.task import Task, task

Counts = dict[str, dict[str, int]]
TEXT_TEMPERATURE = 0.7  # of a masked_lm member: p(language) ~ rows ** 0.7, as XLM's


def members_of(
    folder: Path, section: PhaseSettings, context: Context
) -> tuple[list[Member], Counts, list[str]]:
    """(members of a folder, what was counted of its tables, its notes).

    A folder is one member, or one for each part of a task in parts, which share a head.
    """
    record = read_record(folder)
    check_span(record, section)
    counts: Counts = dict(read_json(folder / "counts.json"))
    notes: list[str] = read_json(folder / "notes.json")
    if record.is_text:
        chosen = task(record, replace_span(section))
        tables = [read_table(folder, split, language) for split, language in tables_in(folder)]
        return [text_member(chosen, tables, TEXT_TEMPERATURE, context, record.main)], counts, notes
    train = read_table(folder, "train", train_language(folder))
    select = subset(read_table(folder, "select", ENGLISH), context.training)
    chosen = task(record, section, label_set(record, [train, select]))
    members = []
    for part in record.parts or ("",):
        named = replace(chosen, name=f"{record.name}.{part}") if part else chosen
        members.append(_member(named, record, _part(train, part), _part(select, part), context))
    for member in members:
        name = f"{member.task.name} train-{train.language}"
        counts[name] = {**counts.get(name, {}), **member.features.counts}
    return members, counts, notes


def train_language(folder: Path) -> str:
    """English, or that of the translations which an intermediate trains on in its place."""
    spoken = [language for split, language in tables_in(folder) if split == "train"]
    return spoken[0] if len(spoken) == 1 else ENGLISH


def inputs_of(members: Sequence[Member]) -> dict[str, str]:
    """Digests of the tables that train and select."""
    return {
        f"{member.task.name} {table.split}-{table.language}": table.digest
        for member in members
        for table in (*member.train, *([member.select] if member.select else []))
    }


def _member(task: Task, record: Record, train: Table, select: Table, context: Context) -> Member:
    if not train.rows or not select.rows:
        raise UserError(
            f"{task.name}: {len(train.rows)} rows train, {len(select.rows)} select; "
            "expected some of both; correct source.tasks, or raise training.dev_rows"
        )
    features = encode(train, task, context.tokenizer, context.cache)
    return Member(
        task=task,
        train=(train,),
        translated=train.language != ENGLISH,
        features=features,
        index=np.arange(len(features), dtype=np.int64),
        main=record.main,
        select=select,
        select_features=encode(select, task, context.tokenizer, context.cache),
    )


def text_member(
    task: Task,
    tables: Sequence[Table],
    temperature: float,
    context: Context,
    main: tuple[str, ...] = (),
) -> Member:
    """A member of masked text in several languages, drawn by p(language) ~ rows ** temperature."""
    parts = [encode(table, task, context.tokenizer, context.cache) for table in tables]
    index = balanced_index([len(part) for part in parts], temperature)
    return Member(task, tuple(tables), concatenate(parts), index, main)


def replace_span(section: PhaseSettings) -> PhaseSettings:
    """The section without span settings, which in a mixture are for its span members alone."""
    return section.model_copy(update={"span": None})


def check_span(record: Record, section: PhaseSettings) -> None:
    """UserError where a span task has no span settings, or windows that would not move forward."""
    if record.family != "span":
        return
    span = section.span
    if span is None:
        raise UserError(
            f"params.yaml: {record.name} is a span task and its section has no `span`; "
            "expected span: {doc_stride: 128, max_question: 64, max_answer: 30, n_best: 20}"
        )
    if section.max_length - span.max_question - 8 <= span.doc_stride:
        raise UserError(
            f"params.yaml: {record.name}: max_length {section.max_length} leaves no room for new "
            f"context beside max_question {span.max_question} and doc_stride {span.doc_stride}; "
            "raise the first or lower the others"
        )


def check_target(record: Record, section: PhaseSettings | FrozenSettings) -> None:
    """UserError where a target's section has other settings than its record asks for."""
    where = f"params.yaml: targets.{record.name}"
    if record.trained and isinstance(section, FrozenSettings):
        raise UserError(
            f"{where}: {record.name} is trained; expected learning_rate, epochs, batch_size, "
            "max_length; remove layer and pooling"
        )
    if not record.trained and not isinstance(section, FrozenSettings):
        raise UserError(
            f"{where}: nothing trains {record.name}; expected layer, pooling, max_length; "
            "write those instead"
        )
    if isinstance(section, FrozenSettings) and bool(record.train_from) != bool(section.tuning):
        wanted = "settings to train on " + ", ".join(record.train_from)
        raise UserError(
            f"{where}.tuning: grid.benchmark says that the encoder is"
            f"{'' if record.train_from else ' not'} tuned before; expected "
            f"{wanted if record.train_from else 'null'}; correct it"
        )
    if isinstance(section, LikelihoodSettings) and not record.choices:
        raise UserError(
            f"{where}.likelihood: {record.name} has no choices; expected a task that has; remove it"
        )
    if record.family != "span" and isinstance(section, PhaseSettings) and section.span:
        raise UserError(
            f"{where}.span: {record.name} is a {record.family} task; expected null; remove it"
        )


def label_set(record: Record, tables: Sequence[Table]) -> tuple[str, ...]:
    """The record's labels; without any (CCG), every tag of the English tables, sorted."""
    if not record.open_labels:
        return record.labels
    return tuple(sorted({tag for table in tables for row in table.rows for tag in row["tags"]}))


def subset(select: Table, training: TrainingSettings) -> Table:
    """The table that selects, or a seeded choice of its rows where params limit dev."""
    if training.dev_rows is None or training.dev_rows >= len(select.rows):
        return select
    return replace(
        select,
        rows=[select.rows[i] for i in chosen_rows(len(select.rows), training)],
        digest=digest(select.digest, training.dev_rows, training.seed),
    )


def chosen_rows(rows: int, training: TrainingSettings) -> list[int]:
    """The numbers of the rows that `training.dev_rows` draws of so many, in rising order.

    Not the first n, as jiant's `eval_subset_num`: files are sorted by source, genre or treebank.
    """
    order = np.random.default_rng(training.seed).permutation(rows)
    return [int(number) for number in np.sort(order[: training.dev_rows])]


def _part(table: Table, part: str) -> Table:
    """The rows of one part; all of them where the task has no parts."""
    if not part:
        return table
    return replace(
        table,
        rows=[row for row in table.rows if row["part"] == part],
        digest=digest(table.digest, part),
    )


def weigh(members: Sequence[Member], section: IntermediateSettings) -> tuple[list[Member], int]:
    """Members with their sampling weights, and the steps of the mixture, as jiant's samplers.

    p ~ min(n, cap) ** (1 / T): proportional T = 1, uniform any; steps = sum of
    epochs x ceil(min(n, cap) / batch).
    """
    # ANLI+'s parts count one by one, as five tasks do, though they share a head.
    sizes = [min(len(member.index), section.cap or len(member.index)) for member in members]
    powers = {"proportional": 1.0, "uniform": 0.0, "temperature": 1 / section.temperature}
    power = powers[section.sampling]
    weighed = [
        replace(m, weight=float(size**power)) for m, size in zip(members, sizes, strict=True)
    ]
    steps = sum(section.epochs * steps_per_epoch(size, section.batch_size) for size in sizes)
    return weighed, max(1, round(steps))
