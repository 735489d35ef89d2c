"""What an entry of the catalogue says, and the words that entries are written in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from xstilts.formats.tables import ENGLISH, Record, Split
from xstilts.params import FileSpec

Benchmark = Literal["xtreme", "xtreme-r"]
Slot = tuple[FileSpec, ...]
Scored = Literal[
    "", "labels", "tags", "pairs", "line numbers", "answers", "choices", "rankings", "mewslix"
]

MAIN, CONVERTED = "main", "refs/convert/parquet"  # the second: the Hub's own Parquet of any copy
_SPLITS: dict[Split, str] = {"train": "train", "dev": "validation", "test": "test"}
DEV_IS_TEST: dict[Split, str] = {"train": "train", "test": "validation"}
XTREME_COPY = "google/xtreme"


@dataclass(frozen=True)
class Repository:
    """A copy of a task's rows on the Hub: where it is, and what its columns are.

    `columns`: all that its tables have; a name that ends in ? is not in every revision, and * alone
    stands for more that nobody reads. `configs`: the present name, then former ones. {language},
    {iso3}, {name} and {former} (`sources.codes`) are filled in; * and [] match as in file names.
    """

    id: str
    configs: tuple[str, ...]
    reader: str  # a name in sources/readers/columns.py
    columns: str
    splits: dict[Split, str] = field(default_factory=lambda: _SPLITS)
    branch: str = MAIN
    part: str = ""  # of a task with parts
    sizes: dict[str, int] = field(default_factory=dict)  # where this copy lost rows: what it has
    xtreme_alone: bool = False  # it lacks the languages that XTREME-R adds
    note: str = ""  # how this copy differs from the official files; shown on the card


Copies = tuple[tuple[Repository, ...], ...]


@dataclass(frozen=True)
class Entry:
    """All that is known of one task: what it is, where its rows lie, how benchmarks count it.

    `files`: for the source `files`, each split's slots, which are all read, one after the other. A
    slot's places are tried in order and the first that exists is read: originals with labels before
    XTREME's copies, whose test labels are stripped. {language}, {iso3}, {name} and {ud} (the
    treebanks' release) are filled in; * matches any name.
    `repositories`: for the source `hub`, the known copies, of which the first is read unless
    `source.tasks.TASK.repository` names another; a task of several parts has one for each.
    `refused`: why no repository can serve it.
    `withheld`: why its texts are shown to nobody else, as on a tracking server: a licence that lets
    its holder use them and not pass them on. '' where passing on is allowed, be it with conditions
    (attribution, the same licence, no commerce).
    `scored`: how `xstilts score` reads and scores a submission's files of it.
    `benchmarks`: the category that counts it, in each benchmark that has it. `ordered`: XTREME's
    languages (of a task that only XTREME-R has: those) as evaluate.py sums them. `added`: those
    that XTREME-R has beyond them.
    """

    record: Record
    files: Mapping[Split, list[Slot]]
    repositories: Copies = ()
    refused: str = ""
    withheld: str = ""
    scored: Scored = ""
    benchmarks: Mapping[Benchmark, str] = field(default_factory=dict)
    ordered: tuple[str, ...] = ()
    added: tuple[str, ...] = ()


def words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


def intermediate(name: str, title: str, train: int, dev: int, **rest: Any) -> Record:
    """An English task that is trained before the targets."""
    english = {
        "roles": ("intermediate",),
        "languages": (ENGLISH,),
        "splits": ("train", "dev"),
        "labelled": ("train", "dev"),
        "sizes": {"train-en": train, "dev-en": dev},
    }
    return Record(name=name, title=title, **{**english, **rest})


def target(name: str, title: str, ordered: tuple[str, ...], **rest: Any) -> Record:
    """A task in many languages, by code."""
    return Record(
        name=name, title=title, roles=("target",), languages=tuple(sorted(ordered)), **rest
    )


def hub(id: str, configs: str, reader: str, columns: str, **rest: Any) -> tuple[Repository]:
    """A copy in one repository. configs: the present name, then former ones."""
    return (Repository(id, words(configs), reader, columns, **rest),)


def slot(*places: str, part: str = "") -> Slot:
    """Of "reader path" each."""
    pairs = [place.split(" ", 1) for place in places]
    return tuple(FileSpec(reader=reader, path=path, part=part) for reader, path in pairs)


def english_files(reader: str, train: str, dev: str) -> dict[Split, list[Slot]]:
    """Of an English task: one reader for its files, in a folder of its name or beside it."""
    files: dict[Split, str] = {"train": train, "dev": dev}
    return {
        split: [slot(f"{reader} {file}", f"{reader} {file.split('/', 1)[1]}")]
        for split, file in files.items()
    }


def by_language(text: str) -> dict[str, tuple[int, ...]]:
    """de 10/20 fr 30/40 -> {"de": (10, 20), "fr": (30, 40)}."""
    parts = iter(text.split())
    return {
        code: tuple(map(int, sizes.split("/"))) for code, sizes in zip(parts, parts, strict=True)
    }


def sizes_of(table: Mapping[str, tuple[int, ...]], *splits: Split) -> dict[str, int]:
    """{"dev-de": 10, ...} of a table with one number for each split; what is 0 does not exist."""
    return {
        f"{split}-{language}": size
        for language, sizes in table.items()
        for split, size in zip(splits, sizes, strict=True)
        if size
    }
