"""The data stages: from a source's rows to folders of tables, with records, counts and notes.

What enters: the section `source` of the params and names of tasks. What leaves:
    data/text/                              record, counts, notes, train-LANG
    data/intermediate/NAME/members.json     the intermediate's members ([] for the baseline)
    data/intermediate/NAME/MEMBER/          a member folder
    data/target/TASK/                       record, counts, notes; dev-LANG and test-LANG
    data/target/TASK/train/N-NAME/          a member folder for each training, in order
A member folder: record.json, counts.json, notes.json, train-en and select-en. Training reads
English tables alone: no other language's labels are in a member folder, but for an intermediate
that params want in translation (train-LANG), of which nothing selects.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from xstilts.errors import UserError
from xstilts.formats.tables import (
    ENGLISH,
    GOLD,
    POOL,
    Record,
    Row,
    Split,
    fresh_folder,
    write_json,
    write_record,
    write_table,
)
from xstilts.params import (
    GridSettings,
    IntermediateSettings,
    MemberSettings,
    SourceSettings,
    taken,
)
from xstilts.paths import training_data
from xstilts.sources import Source, source_named
from xstilts.sources.reading import DOMAIN, Reading
from xstilts.sources.sentences import answering
from xstilts.sources.shares import limit_of, of_part, taken_rows, within
from xstilts.sources.splits import (
    content,
    contexts_of,
    limited,
    repeated,
    split_groups,
    texts_of,
)
from xstilts.sources.translations import in_language
from xstilts.tasks.catalogue import record as record_of

ALL = MemberSettings()
REPORTED: tuple[Split, ...] = ("dev", "test")

__all__ = ["prepare_intermediate", "prepare_target", "prepare_text", "split_groups"]


@dataclass
class _Writer:
    """Writes the tables of one folder, and collects their counts and notes."""

    folder: Path
    record: Record
    counts: dict[str, dict[str, int]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    unlike: list[str] = field(default_factory=list)  # official sizes that were not met

    def table(self, split: Split, language: str, rows: list[Row], counts: dict[str, int]) -> None:
        """Write one table and note its counts; UserError where it has no rows."""
        name = f"{split}-{language}"
        if not rows:
            raise UserError(
                f"{self.record.name} {name}: no rows are left of {counts.get('read', 0)} read; "
                "expected some; correct source.tasks in params.yaml"
            )
        columns = [{key: row[key] for key in row if key != DOMAIN} for row in rows]
        write_table(self.folder, self.record.family, split, language, columns)
        shown = {**counts, "rows": len(rows)}
        if not self.record.is_text and (again := repeated(rows)):
            shown["repeated"] = again
        self.counts[name] = shown

    def close(self) -> None:
        """Write what was collected: the record, counts and notes."""
        write_record(self.folder, self.record)
        write_json(self.folder / "counts.json", self.counts)
        write_json(self.folder / "notes.json", list(dict.fromkeys(filter(None, self.notes))))


@dataclass
class _Side:
    """The English rows that train, or those that select, and how they were counted."""

    rows: list[Row]
    counts: dict[str, int]

    def keep(self, kept: list[Row], reason: str) -> None:
        """Keep only these rows, and count the others as dropped for the reason."""
        if len(kept) < len(self.rows):
            self.counts[f"dropped: {reason}"] = len(self.rows) - len(kept)
        self.rows = kept

    def drop_shared(self, texts: set[str], reason: str) -> None:
        """Drop the rows that have one of these texts or contexts."""
        self.keep([row for row in self.rows if not texts_of(row) & texts], reason)


def tasks_of(grid: GridSettings, intermediates: Mapping[str, IntermediateSettings]) -> list[str]:
    """The names of all tasks whose rows the data stages of a grid read."""
    names = [member for name in grid.intermediates for member in intermediates[name].members]
    names += grid.targets
    for record in map(record_of, list(names)):
        names += [*record.train_from, record.select_from, *record.exclude_contexts_of]
    return list(dict.fromkeys(filter(None, names)))


def prepare_text(source: SourceSettings, out: Path) -> None:
    """Write data/text: multilingual text for the tokenizer and the encoder."""
    with fresh_folder(out) as folder:
        _write_text(folder, record_of("text"), source, None)


def prepare_intermediate(
    members: Mapping[str, int | MemberSettings | None], source: SourceSettings, out: Path
) -> None:
    """Write an intermediate's member folders: train rows up to the limit, and rows that select."""
    unlike: list[str] = []
    with fresh_folder(out) as folder:
        write_json(folder / "members.json", list(members))
        for name, value in members.items():
            record, take = record_of(name), taken(value)
            if "intermediate" not in record.roles:
                raise UserError(
                    f"params.yaml: intermediates: '{name}' is a {record.roles[0]}; expected a task "
                    "of the role intermediate; `xstilts tasks` lists them"
                )
            if record.is_text:
                if not source_named(source.name).languages(record, source):
                    raise UserError(
                        f"params.yaml: intermediates: {name} is a member, and the source has none; "
                        "expected some, in source.tasks.text.languages; or remove the member"
                    )
                if take.part or take.labels != "own" or take.language != ENGLISH:
                    raise UserError(
                        f"params.yaml: intermediates: {name}: part, labels or language; text has "
                        "none of them; expected a limit alone; remove them"
                    )
                _write_text(folder / name, record, source, take.limit)
            else:
                unlike += _write_member(folder / name, record, record, source, take)
        _check_sizes(unlike, source)


def prepare_target(task: str, source: SourceSettings, out: Path, benchmark: str = "xtreme") -> None:
    """Write a target's tables of every language, and a member folder for each of its trainings."""
    record, rows_from = record_of(task, benchmark), source_named(source.name)
    if "target" not in record.roles:
        raise UserError(f"'{task}' is not a target; expected one; `xstilts tasks` lists them")
    with fresh_folder(out) as folder:
        writer = _Writer(folder, record)
        english: dict[str, list[Row]] = {}
        for split in REPORTED:
            pool = [POOL] if f"{split}-{POOL}" in record.sizes else []
            for language in (*rows_from.languages(record, source), *pool):
                reading = rows_from.read(record, split, language, source)
                if reading is None:
                    continue
                counts = _official(reading, f"{task} {split}-{language}", writer.unlike)
                rows = within(reading.rows, record, split, source, counts)
                writer.table(split, language, rows, counts)
                writer.notes.append(reading.note)
                if language == ENGLISH:
                    english[split] = rows
        if not writer.counts:
            raise UserError(f"{task}: the source has no dev or test rows of it; expected some")
        for number, step in enumerate(_steps(record, rows_from, source), 1):
            target = training_data(folder, number, step.name)
            writer.unlike += _write_member(target, step, record, source, reported=english)
        writer.close()
        _check_sizes(writer.unlike, source)


def _steps(target: Record, rows_from: Source, source: SourceSettings) -> list[Record]:
    """The tasks that a target trains on, in order: itself where the source has train rows of it."""
    if not target.trained and not target.train_from:
        return []
    if not target.trained:  # the encoder is tuned before its vectors are taken (XTREME-R's Tatoeba)
        return [record_of(name) for name in target.train_from]
    if rows_from.locate(target, "train", ENGLISH, source) is not None or not target.train_from:
        return [target]
    return [record_of(name) for name in target.train_from]


def _write_member(
    folder: Path,
    step: Record,
    owner: Record,
    source: SourceSettings,
    take: MemberSettings = ALL,
    reported: Mapping[str, list[Row]] | None = None,
) -> list[str]:
    """Write a member folder: the English rows of task `step` that train and select for `owner`.

    An intermediate's member is its own owner, a target owns each of its trainings. reported: the
    owner's English tables by split. Returns the official sizes that were not met.
    """
    rows_from = source_named(source.name)
    # Trained once, a target gives the rows its own labels, metrics and name; of several trainings
    # in order (Social IQa, then COPA) each keeps its own record.
    once = owner.trained and (len(owner.train_from) <= 1 or step == owner)
    writer = _Writer(folder, owner if once else step)
    selector, train, select = _sides(rows_from, step, owner, source, writer)
    if once and owner.select_from == step.name and step.family == owner.family:
        # SQuAD's dev rows select by SQuAD's own metric: XQuAD's training is MLQA's.
        writer.record = step
    for other in sorted({*step.exclude_contexts_of, *owner.exclude_contexts_of}):
        # In the benchmark with the most languages: params may name any, English alone is read.
        contexts = _english_contexts(rows_from, record_of(other, "xtreme-r"), source)
        for side in (train, select):
            side.drop_shared(contexts, f"context of {other}")
    if step.name in source.tasks and source.tasks[step.name].train is not None:
        also_selects = "dev" if selector == owner.name else ""
        others = [rows for split, rows in (reported or {}).items() if split != also_selects]
        _keep_apart(train, select, others, f"text of a reported {owner.name} row")
    elif again := len(train.rows) - len(_without(train.rows, select.rows)):
        train.counts["also in what selects"] = again  # inside an official split: it stays
    if writer.record.family == "ranking" and step.family == "span":
        for side in (train, select):
            side.rows, lost = answering(side.rows)
            side.counts |= {"dropped: answer in no sentence": lost} if lost else {}
    writer.record = _with_labels(writer.record, train, select)
    limits = [limit_of(record, "train", source) for record in (step, owner)]
    kept = taken_rows(train.rows, take, step, [take.limit, *limits], source.seed, train.counts)
    kept = in_language(kept, step, take.language, rows_from, source, writer.notes)
    if take.part:  # a task of parts is then one member, selected on all of them
        writer.record = replace(writer.record, parts=())
    if take.labels == "shuffled":
        writer.notes.append(f"{step.name}: labels of the train rows are shuffled: a control")
    writer.table("train", take.language, kept, train.counts)
    writer.table("select", ENGLISH, select.rows, select.counts)
    writer.close()
    return writer.unlike


def _keep_apart(
    train: _Side, select: _Side, reported: Sequence[Sequence[Row]], reason: str
) -> None:
    """Drop rows that share a text with a reported row, and train rows that also select.

    Only of rows that we chose ourselves: official splits stay as they are.
    """
    texts = {text for rows in reported for row in rows for text in texts_of(row)}
    for side in (train, select):
        side.drop_shared(texts, reason)
    train.keep(_without(train.rows, select.rows), "also selects")


def _without(rows: Sequence[Row], others: Sequence[Row]) -> list[Row]:
    """The rows whose content is none of the others'."""
    contents = {content(row) for row in others}
    return [row for row in rows if content(row) not in contents]


def _sides(
    rows_from: Source, step: Record, owner: Record, source: SourceSettings, writer: _Writer
) -> tuple[str, _Side, _Side]:
    """(whose rows select, the rows that train, the rows that select); UserError without labels."""
    train = _required(rows_from, step, "train", source)
    selector, select, train_rows = _selecting(rows_from, step, owner, train, source)
    _require_gold(train, f"{step.name} train", step)
    _require_gold(select, f"{selector} dev", step)
    train_counts = _official(train, f"{step.name} train-{ENGLISH}", writer.unlike)
    select_counts = _official(select, f"{selector} dev-{ENGLISH}", writer.unlike)
    if moved := len(train.rows) - len(train_rows):
        train_counts["dropped: selects"] = moved
    train_rows = of_part(train_rows, step, source, train_counts)
    rows = within(select.rows, record_of(selector), "dev", source, select_counts)
    writer.notes += [train.note, select.note]
    return selector, _Side(train_rows, train_counts), _Side(rows, select_counts)


def _selecting(
    rows_from: Source, step: Record, owner: Record, train: Reading, source: SourceSettings
) -> tuple[str, Reading, list[Row]]:
    """(whose rows select, its English rows, the train rows that are left)."""
    if owner.select_from:
        selector = record_of(owner.select_from)
        return selector.name, _required(rows_from, selector, "dev", source), train.rows
    if "select" in owner.splits:  # Mewsli-X: Wikipedia selects, the news is reported
        return owner.name, _required(rows_from, owner, "select", source), train.rows
    # Of several trainings in order (Social IQa, then COPA), an earlier one selects on its own dev.
    last = step == owner or step.name == owner.train_from[-1]
    for selector in (owner, step) if last else (step,):
        reading = rows_from.read(selector, "dev", ENGLISH, source)
        if reading is not None:
            return selector.name, reading, train.rows
    if not step.select_share:
        raise UserError(
            f"{step.name}: the source has no English dev rows and nothing else selects; expected a "
            f"dev split; name one under source.tasks.{step.name}.dev"
        )
    left, taken = split_groups(train.rows, step.select_share, source.seed)
    counts = {"read": len(train.rows), "dropped: trains": len(left)}
    return step.name, Reading(taken, counts, train.note), left


def _required(rows_from: Source, record: Record, split: Split, source: SourceSettings) -> Reading:
    """A task's English rows of a split; UserError where the source has none."""
    reading = rows_from.read(record, split, ENGLISH, source)
    if reading is None:
        raise UserError(
            f"{record.name}: the source '{source.name}' has no English {split} rows of it; "
            f"expected some; name a file under source.tasks.{record.name}.{split}"
        )
    return reading


def _require_gold(reading: Reading, name: str, record: Record) -> None:
    """UserError where rows have no gold."""
    gold = GOLD[record.family]
    if hidden := sum(row[gold] is None for row in reading.rows):
        raise UserError(
            f"{name}: {hidden} of {len(reading.rows)} English rows have no labels (stripped?); "
            "expected all; name the files with labels under source.tasks"
        )


def _english_contexts(rows_from: Source, record: Record, source: SourceSettings) -> set[str]:
    """The contexts of a task's English dev and test rows; none where the source has no English."""
    if ENGLISH not in rows_from.languages(record, source):
        return set()
    readings = [rows_from.read(record, split, ENGLISH, source) for split in REPORTED]
    return {text for reading in readings if reading for text in contexts_of(reading.rows)}


def _with_labels(record: Record, train: _Side, select: _Side) -> Record:
    """The record with all tags that occur, sorted, where the catalogue lists none (CCG)."""
    if not record.open_labels:
        return record
    trained = {tag for row in train.rows for tag in row["tags"]}
    known = trained | {tag for row in select.rows for tag in row["tags"]}
    if unseen := len(known - trained):
        train.counts["labels unseen in train"] = unseen
    return replace(record, labels=tuple(sorted(known)))


def _official(reading: Reading, name: str, unlike: list[str]) -> dict[str, int]:
    """A reading's counts, with the "official" size only where the rows are not as many.

    Such tables are also named in `unlike`.
    """
    counts = dict(reading.counts)
    official = counts.pop("official", None)
    measured = sum(row.get("query") is not None for row in reading.rows) or len(reading.rows)
    if any("side" in row for row in reading.rows):  # of pairs to retrieve, the gold is what counts
        golds = [row["gold"] for row in reading.rows if row["gold"] is not None]
        measured = sum(map(len, golds))
        official = official if golds else None  # stripped: there is nothing to compare
    if official is not None and measured != official:
        counts["official"] = official
        unlike.append(f"{name} {measured} (official {official})")
    return counts


def _write_text(folder: Path, record: Record, source: SourceSettings, limit: int | None) -> None:
    """Write every language's text, each up to the limit, as a masked_lm member."""
    rows_from = source_named(source.name)
    writer = _Writer(folder, record)
    for language in rows_from.languages(record, source):
        reading = rows_from.read(record, "train", language, source)
        if reading is None:
            raise UserError(f"text: the source has none in {language}; expected some")
        rows = limited(reading.rows, limit, source.seed, record.family)
        counts = dict(reading.counts)
        if over := len(reading.rows) - len(rows):
            counts["dropped: over the limit"] = over
        writer.table("train", language, rows, counts)
        writer.notes.append(reading.note)
    writer.close()


def _check_sizes(unlike: list[str], source: SourceSettings) -> None:
    """UserError where the source is said to be complete and sizes are not the official ones."""
    if source.complete and unlike:
        shown = ", ".join(dict.fromkeys(unlike))
        raise UserError(
            f"{source.path}: {shown}; expected the official sizes, as source.complete is true; "
            "fetch the files again, or set source.complete: false"
        )
