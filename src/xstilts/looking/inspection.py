"""A task before it is trained: lengths, labels, pieces of a word, rows as the model reads them.

What enters: a data stage's tables and the tokenizer that would encode them. What leaves: text.
Everything is encoded by the family's own `encode` with the settings of params.yaml, so what is
shown is what a training would see. Nothing is trained, and nothing is written.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from xstilts.console import aligned, bar
from xstilts.errors import UserError, nearest
from xstilts.formats.tables import ENGLISH, Record, Row, Table, read_record, read_table, tables_in
from xstilts.looking.examples import Example, Printer
from xstilts.looking.families import LOOKS, Seen
from xstilts.params import FrozenSettings, Params, PhaseSettings, TrainingSettings
from xstilts.paths import PRETRAIN, TEXT, intermediate_data, target_data, trainings
from xstilts.phases import pretraining
from xstilts.phases.members import check_span, check_target, chosen_rows, label_set
from xstilts.tasks.families import FAMILIES
from xstilts.tasks.families.protocol import TaskSettings
from xstilts.training import encoder as encoders
from xstilts.training.encoder import EncoderRef, Tokenizer
from xstilts.training.task import Task, task

# Columns that hold a text.
TEXTS = ("text_a", "text_b", "context", "question", "text", "pair", "query", "candidate")
SPLITS = ("train", "select", "dev", "test")
LABELS = 20  # that a line of the histogram shows


@dataclass(frozen=True)
class InspectOptions:
    """What to show: how many rows of a table are encoded (0: all), how many are examples.

    languages: only these; (): all. width: of the terminal. whole: long sequences are not cut.
    """

    rows: int = 1000
    examples: int = 2
    languages: tuple[str, ...] = ()
    width: int = 100
    whole: bool = False


@dataclass(frozen=True)
class Part:
    """A folder of tables, and the task that would encode them."""

    title: str  # of one training among several; "" elsewhere
    folder: Path
    task: Task
    mask_probability: float = 0.15  # of a mixture's member (phases)


def inspect(params: Params, name: str, intermediate: str, options: InspectOptions) -> Iterator[str]:
    """The lines to print: lengths and pieces of each table, labels, examples of each language."""
    parts = _parts(params, name, intermediate)
    tokenizer, origin = tokenizer_of(params)
    first = parts[-1].task
    yield f"{name}: {first.family_name}, at most {first.settings.max_length} pieces, {origin}"
    silent = params.run.silent
    tables = [seen for part in parts for seen in _tables(part, tokenizer, options, silent)]
    if not tables:
        raise UserError(
            f"{parts[-1].folder}: no table in {' '.join(options.languages)}; expected languages "
            "that it has; leave --language out to see them"
        )
    yield from ("", *aligned(_sizes(tables, tokenizer)))
    yield "median, 95 %, longest: pieces of a sequence that the model reads; sequences: of a row"
    yield "pieces/word, chars/piece, unknown: of uncut texts; words are what white space separates"
    yield from ("", LOOKS[first.family_name].title, *_histograms(tables))
    if counted := [line for seen in tables if (line := _counted(seen))]:
        yield from ("", "of the encoded rows", *counted)
    tokens = encoders.special_tokens(tokenizer, parts[-1].mask_probability)
    for seen in _one_a_language(tables) if options.examples else ():
        yield from ("", f"== {seen.name}")
        printer = Printer(tokenizer, seen.task, tokens, options.width, options.whole)
        for example in _examples(seen, options.examples):
            yield from printer.lines(example, seen.rows)


# Which tables, encoded how


def _parts(params: Params, name: str, intermediate: str) -> list[Part]:
    """The folders to show: of a target, of an intermediate's member, or the text of phase 1."""
    if not intermediate and name in params.targets:
        return _target_parts(name, params.targets[name])
    having = [key for key, mixture in params.intermediates.items() if name in mixture.members]
    first = intermediate or next(iter(having), "")
    if first and name in params.intermediates[first].members:
        section = params.intermediates[first]
        folder = _prepared(intermediate_data(first) / name, f"intermediate@{first}")
        record = read_record(folder)
        check_span(record, section)
        return [Part("", folder, _task(record, section, folder))]
    if not intermediate and name == "text":
        folder = _prepared(TEXT, "")
        settings = TaskSettings(params.pretrain.max_length)  # as pretraining has it
        text = Task(name, "masked_lm", FAMILIES["masked_lm"], settings, name)
        return [Part("", folder, text, params.pretrain.mask_probability)]
    members = {member for mixture in params.intermediates.values() for member in mixture.members}
    known = (
        params.intermediates[intermediate].members
        if intermediate
        else {*params.targets, *members, "text"}
    )
    where = (
        f"intermediates.{intermediate}.members"
        if intermediate
        else "targets and members of intermediates"
    )
    raise UserError(f"params.yaml: {where}: '{name}' is not there{nearest(name, known)}")


def _target_parts(name: str, section: PhaseSettings | FrozenSettings) -> list[Part]:
    folder = _prepared(target_data(name), f"target@{name}")
    record = read_record(folder)
    check_target(record, section)
    if isinstance(section, PhaseSettings):
        check_span(record, section)
    steps = trainings(folder)
    titles = [path.name if len(steps) > 1 else "" for path in steps]
    parts = [
        Part(title, path, _task(read_record(path), section, path))
        for title, path in zip(titles, steps, strict=True)
    ]
    reported = _task(record, section, steps[-1] if steps else folder)
    return [*parts, Part("", folder, reported)]


def _prepared(folder: Path, stage: str) -> Path:
    if not (folder / "record.json").is_file():
        run = f"dvc repro data-{stage}" if stage else "dvc repro text"
        raise UserError(f"{folder}: no tables; expected a data stage's; run `{run}`")
    return folder


def _task(record: Record, section: PhaseSettings | FrozenSettings, folder: Path) -> Task:
    """The task of a record; its labels are those of the folder's tables if the record has none."""
    if record.open_labels:
        tables = [read_table(folder, split, language) for split, language in tables_in(folder)]
        return task(record, section, label_set(record, tables))
    return task(record, section)


def encoder_of(params: Params) -> EncoderRef:
    """The encoder that params name, or that phase 1 left."""
    settings = params.pretrain
    if settings.encoder is not None:
        return EncoderRef(settings.encoder, settings.encoder, settings.revision, "")
    return encoders.read_ref(PRETRAIN)


def tokenizer_of(params: Params) -> tuple[Tokenizer, str]:
    """The tokenizer that params name, or phase 1 left or would train; and which of them it is."""
    settings = params.pretrain
    if settings.encoder is not None:
        return encoders.load_tokenizer(encoder_of(params)), f"tokenizer of {settings.encoder}"
    if (PRETRAIN / "encoder.json").is_file():
        return encoders.load_tokenizer(encoder_of(params)), f"tokenizer of {PRETRAIN}"
    folder = _prepared(TEXT, "")
    tables = [read_table(folder, split, language) for split, language in tables_in(folder)]
    return pretraining.train_tokenizer(tables, settings), "tokenizer as phase 1 would train it"


def _tables(
    part: Part, tokenizer: Tokenizer, options: InspectOptions, silent: bool = False
) -> Iterator[Seen]:
    """A folder's tables, encoded: English first, then by language, train before dev before test."""
    names = sorted(
        tables_in(part.folder),
        key=lambda name: (name[1] != ENGLISH, name[1], SPLITS.index(name[0])),
    )
    names = [name for name in names if not options.languages or name[1] in options.languages]
    what = f"{part.folder}: encode"
    shown = bar(len(names), what, "tables", silent=silent)
    for split, language in names:
        table = read_table(part.folder, split, language)
        drawn = _drawn(table, options.rows)
        features = part.task.family.encode(drawn, tokenizer, part.task.settings)
        name = f"{part.title} {split}-{language}".strip()
        shown.update()
        yield Seen(name, language, part.task, table.rows, drawn, features)
    shown.close()


def _drawn(table: Table, rows: int) -> list[Row]:
    """A seeded choice of a table's rows (0: all): the first may all be from one source."""
    chosen = chosen_rows(len(table.rows), TrainingSettings(dev_rows=rows or None))
    return [table.rows[number] for number in chosen]


# Numbers


def _sizes(tables: Iterable[Seen], tokenizer: Tokenizer) -> Iterator[list[str]]:
    """A header and a line for each table."""
    yield ["", "rows", "encoded", "median", "95 %", "longest", "sequences", "pieces/word",
           "chars/piece", "unknown"]  # fmt: skip
    for seen in tables:
        middle, high = np.percentile(seen.lengths, (50, 95))
        pieces, words, characters, unknown = pieces_of(seen.drawn, tokenizer)
        yield [
            seen.name,
            str(len(seen.rows)),
            str(len(seen.drawn)),
            f"{middle:.0f}",
            f"{high:.0f}",
            str(seen.lengths.max()),
            f"{len(seen.features.rows) / len(seen.drawn):.2f}",
            f"{pieces / max(1, words):.2f}",
            f"{characters / max(1, pieces):.2f}",
            f"{100 * unknown / max(1, pieces):.2f} %",
        ]


def pieces_of(rows: Sequence[Row], tokenizer: Tokenizer) -> tuple[int, int, int, int]:
    """(pieces, words, characters without white space, unknown pieces) of the distinct texts."""
    texts = list(dict.fromkeys(text for row in rows for text in texts_of(row)))
    if not texts:  # of a family whose columns are not among TEXTS; a tokenizer takes no empty list
        return 0, 0, 0, 0
    ids = tokenizer(texts, add_special_tokens=False)["input_ids"]
    unknown = tokenizer.unk_token_id
    words = [text.split() for text in texts]
    return (
        sum(map(len, ids)),
        sum(map(len, words)),
        sum(len(word) for line in words for word in line),
        sum(line.count(unknown) for line in ids) if unknown is not None else 0,
    )


def texts_of(row: Row) -> Iterator[str]:
    """All texts of a row, whichever family's: by the names of the columns."""
    yield from (row[name] for name in TEXTS if row.get(name))
    yield from row.get("choices") or ()
    if row.get("tokens"):
        yield " ".join(row["tokens"])


def _histograms(tables: Iterable[Seen]) -> Iterator[str]:
    """A line for each table: the share of each label, or of whatever else is to be learnt."""
    lines = []
    for seen in tables:
        look = LOOKS[seen.task.family_name]
        counts = Counter(look.learnt(seen))
        total = sum(counts.values())
        order = sorted(counts, key=lambda name: (-counts[name], name))
        if len(counts) <= LABELS:  # in the record's order; of very many the most frequent
            wanted = look.order or seen.task.settings.labels
            known = {name: rank for rank, name in enumerate(wanted)}
            order.sort(key=lambda name: known.get(name, len(known)))
        shown = [f"{name} {100 * counts[name] / total:.1f}" for name in order[:LABELS]]
        others = len(order) - len(shown)
        lines.append([seen.name, ", ".join([*shown, *([f"{others} others"] if others else [])])])
    width = max(len(name) for name, _ in lines)
    return (f"{name:{width}}  {text}" for name, text in lines)


def _counted(seen: Seen) -> str:
    """A line with how much encoding cut, split or did not know; "" where nothing."""
    counts = {name: count for name, count in seen.features.counts.items() if count}
    return (
        f"{seen.name}: {', '.join(f'{n} {name}' for name, n in counts.items())}" if counts else ""
    )


# Examples


def _one_a_language(tables: Iterable[Seen]) -> list[Seen]:
    """The first table of each language and task, for which examples are shown."""
    chosen: dict[tuple[str, str], Seen] = {}
    for seen in tables:
        chosen.setdefault((seen.language, seen.task.name), seen)
    return list(chosen.values())


def _examples(seen: Seen, wanted: int) -> Iterator[Example]:
    """Rows spread evenly from the median length to the longest."""
    by_row: dict[int, list[int]] = {}
    for sequence, number in enumerate(seen.features.rows.tolist()):
        if seen.drawn[number].get("side") != "english":  # shown beside its partner
            by_row.setdefault(number, []).append(sequence)
    order = sorted(by_row, key=lambda number: (sum(seen.lengths[by_row[number]]), number))
    ends = np.linspace(0.5, 1.0, wanted) if wanted > 1 else np.array([0.5])
    for place in dict.fromkeys(np.rint(ends * (len(order) - 1)).astype(int).tolist()):
        yield Example(seen.drawn[order[place]], seen.features, by_row[order[place]])
