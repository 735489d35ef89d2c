"""A task's record, the columns of each family, and tables on disk.

What enters: rows (plain dicts) from a source. What leaves: Parquet files of equal bytes for equal
rows, and `Table`s read back. This room must not know where rows come from nor how they are encoded.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from glob import escape
from pathlib import Path
from typing import Any, Literal, get_args

import pyarrow as pa
import pyarrow.parquet as pq

from xstilts.errors import UserError

FamilyName = Literal[
    "classification", "choice", "tagging", "span", "retrieval", "ranking", "masked_lm"
]
Split = Literal["train", "select", "dev", "test"]
Role = Literal["intermediate", "target", "text"]
Group = Literal["NLI", "paraphrase", "QA", "choice", "syntactic", "retrieval", "text"]
Row = dict[str, Any]

ENGLISH = "en"
POOL = "all"  # stands for a language: candidates to rank that are no one language's

_ANSWER = pa.struct([("text", pa.string()), ("start", pa.int64())])

# Gold may be absent (null): such a split is predicted, never scored.
COLUMNS: dict[str, pa.Schema] = {
    "classification": pa.schema(
        [
            ("id", pa.string()),
            ("text_a", pa.string()),
            ("text_b", pa.string()),  # null: a single text
            ("label", pa.string()),  # the label's name, never a number of somebody's order
            ("part", pa.string()),  # ANLI+'s parts; null elsewhere
        ]
    ),
    "choice": pa.schema(
        [
            ("id", pa.string()),
            ("context", pa.string()),
            ("question", pa.string()),  # null: none
            ("choices", pa.list_(pa.string())),
            ("label", pa.int64()),  # 0-based index of the right choice
        ]
    ),
    "tagging": pa.schema(
        [("id", pa.string()), ("tokens", pa.list_(pa.string())), ("tags", pa.list_(pa.string()))]
    ),
    "span": pa.schema(
        [
            ("id", pa.string()),
            ("context", pa.string()),
            ("question", pa.string()),
            (
                "answers",
                pa.list_(_ANSWER),
            ),  # start counts code points; empty list: no answer; null: hidden
            ("answerable", pa.bool_()),
            ("group", pa.string()),  # the article: rows of one group are never split apart
        ]
    ),
    "retrieval": pa.schema(
        [
            ("id", pa.string()),
            ("side", pa.string()),  # "foreign" or "english"
            ("text", pa.string()),
            (
                "gold",
                pa.list_(pa.string()),
            ),  # of a foreign row: ids of its English partners; null: hidden
        ]
    ),
    "ranking": pa.schema(
        [
            ("id", pa.string()),
            ("query", pa.string()),  # null: the row is a candidate alone
            ("candidate", pa.string()),  # null: a query alone; English tables have both, a pair
            ("context", pa.string()),  # the candidate's paragraph; null: none
            # A query belongs to the candidates that share a name with it; null: hidden
            ("gold", pa.list_(pa.string())),
        ]
    ),
    "masked_lm": pa.schema(
        [("text", pa.string()), ("pair", pa.string())]
    ),  # pair: translation or retelling
}
GOLD = {
    "classification": "label",
    "choice": "label",
    "tagging": "tags",
    "span": "answers",
    "retrieval": "gold",
    "ranking": "gold",
}


@dataclass(frozen=True)
class Record:
    """What a task is; the catalogue has one for each, a data stage writes it beside the tables.

    `languages`: in the benchmark's order, English included where the task has it. `labels`: the
    official order. `labelled`: splits whose official distribution carries gold.
    `train_from`/`select_from`: the records whose English train rows train, and whose English dev
    rows select, where not the task's own. `select_share`: where a task has no dev of its own, this
    share of train's groups selects. `exclude_contexts_of`: contexts of that task's rows are left
    out of what selects (XQuAD is SQuAD dev). `metrics`: what `score` gives; `main`: the metrics
    whose mean is the task's number.
    """

    name: str
    family: FamilyName
    roles: tuple[Role, ...]
    group: Group
    languages: tuple[str, ...]
    metrics: tuple[str, ...]
    main: tuple[str, ...]
    licence: str
    title: str
    labels: tuple[str, ...] = ()
    labelled: tuple[Split, ...] = ("train", "dev", "test")
    splits: tuple[Split, ...] = ("train", "dev", "test")
    train_from: tuple[str, ...] = ()
    select_from: str = ""
    select_share: float = 0.0
    exclude_contexts_of: tuple[str, ...] = ()
    parts: tuple[str, ...] = ()
    choices: int = 0
    no_answer: bool = False
    trained: bool = True
    convention: str = (
        ""  # tags: the seqeval rule; spans: whose normaliser ("squad1", "squad2", "mlqa")
    )
    sizes: dict[str, int] = field(
        default_factory=dict
    )  # official rows, "train-en": 392702, "dev": 2490 (each)
    version: int = 1

    @property
    def english_only(self) -> bool:
        """Whether English is its only language."""
        return self.languages == (ENGLISH,)

    @property
    def is_text(self) -> bool:
        """Whether it is plain text: rows without ids and gold, in any language."""
        return self.family not in GOLD

    @property
    def open_labels(self) -> bool:
        """Whether its labels are whatever the tables hold, as CCG's 1,363 supertags."""
        return self.family == "tagging" and not self.labels


@dataclass(frozen=True)
class Table:
    """The rows of one split and language of a task. digest: of the bytes of the table's file."""

    task: str
    split: Split
    language: str
    rows: list[Row]
    digest: str = ""


def table_path(folder: Path, split: Split, language: str) -> Path:
    return folder / f"{split}-{language}.parquet"


def write_table(
    folder: Path, family: FamilyName, split: Split, language: str, rows: Sequence[Row]
) -> Path:
    """Write one Parquet file; equal rows give equal bytes.

    Raises ValueError for a column that is not the family's.
    """
    schema = COLUMNS[family]
    for number, row in enumerate(rows):
        if unknown := set(row) - set(schema.names):
            raise ValueError(
                f"row {number} of {split}-{language}: columns {sorted(unknown)} are not {family}'s"
            )
    path = table_path(folder, split, language)
    path.parent.mkdir(parents=True, exist_ok=True)
    table = pa.Table.from_pylist(list(rows), schema=schema)
    pq.write_table(table, path, compression="zstd", store_schema=False)
    return path


def read_table(folder: Path, split: Split, language: str) -> Table:
    """The table of one file; UserError where it is missing, which never means an empty language."""
    path = table_path(folder, split, language)
    if not path.is_file():
        raise UserError(
            f"{path}: no such table; expected a data stage to have written it; run `dvc repro`"
        )
    return Table(folder.name, split, language, pq.read_table(path).to_pylist(), file_digest(path))


def tables_in(folder: Path) -> Iterator[tuple[Split, str]]:
    """The (split, language) pairs of a task's folder, sorted by split then language."""
    for path in sorted(folder.glob("*.parquet")):
        split, _, language = path.stem.partition("-")
        if split not in get_args(Split):
            raise UserError(
                f"{path}: '{split}' is not a split; expected SPLIT-LANGUAGE.parquet; remove it"
            )
        yield split, language  # type: ignore[misc]


def write_record(folder: Path, record: Record) -> None:
    write_json(folder / "record.json", asdict(record))


def read_record(folder: Path) -> Record:
    """The record that a data stage wrote beside its tables."""
    values = read_json(folder / "record.json")
    lists_as_tuples: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value for name, value in values.items()
    }
    return Record(**lists_as_tuples)


def read_output(path: Path) -> bytes:
    """The bytes of a file that a stage writes; UserError where it has not."""
    if not path.is_file():
        raise UserError(
            f"{path}: no such file; expected a stage to have written it; run `dvc repro`"
        )
    return path.read_bytes()


def read_json(path: Path) -> Any:
    return json.loads(read_output(path))


def write_json(path: Path, value: Any) -> None:
    """Write JSON at once, with sorted keys: equal values give equal bytes."""
    text = json.dumps(value, indent=1, sort_keys=True, ensure_ascii=False, allow_nan=False) + "\n"
    write_text(path, text)


def write_text(path: Path, text: str) -> None:
    """Replace a file at once: a reader sees the old or the new text; a link's target is left."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(
        "w", encoding="utf-8", newline="\n", dir=path.parent, delete=False
    ) as file:
        file.write(text)
    os.chmod(file.name, 0o644)
    os.replace(file.name, path)


def digest(*values: Any) -> str:
    """A short stable name of plain values: 16 hex digits of SHA-256 over sorted JSON."""
    text = json.dumps(values, sort_keys=True, ensure_ascii=False, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def file_digest(path: Path) -> str:
    """16 hex digits of SHA-256 over a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:16]


def folder_digest(folder: Path) -> str:
    """One digest over every file's relative name and bytes."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return digest([(str(path.relative_to(folder)), file_digest(path)) for path in files])


@contextmanager
def fresh_folder(target: Path) -> Iterator[Path]:
    """A new folder that takes the place of `target` when the block ends well, and else vanishes.

    Outputs may be links into DVC's cache: nothing that exists is ever opened for writing, the old
    folder is removed (which only unlinks) and the new one renamed.
    """
    remove_unfinished(target)
    target.parent.mkdir(parents=True, exist_ok=True)
    new = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
    os.chmod(new, 0o755)
    try:
        yield new
        if target.is_symlink() or target.is_file():
            target.unlink()
        elif target.exists():
            shutil.rmtree(target)
        os.replace(new, target)
    finally:
        shutil.rmtree(new, ignore_errors=True)


def remove_unfinished(target: Path) -> None:
    """Remove what killed processes left of their `fresh_folder(target)`; one writes at a time."""
    for path in target.parent.glob(f".{escape(target.name)}.{'?' * 8}"):  # as mkdtemp names them
        shutil.rmtree(path, ignore_errors=True)
