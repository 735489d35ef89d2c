"""The source `files`: official files as they are distributed, or XTREME's download/, from a folder.

What enters: a task's record, a split, a language. What leaves: rows and counts. Where the files lie
stands in the task's entry of the catalogue; an experiment may name single files in their place
(stand-ins). This room must not know which family reads the rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from xstilts.errors import UserError, nearest
from xstilts.formats.tables import ENGLISH, GOLD, POOL, Record, Row, Split
from xstilts.params import FileSpec, SourceSettings, TaskFiles
from xstilts.sources.codes import ISO3
from xstilts.sources.readers import READERS, RawFile
from xstilts.sources.readers.squad import TYDIQA_NAMES
from xstilts.sources.reading import DOMAIN, Reading
from xstilts.sources.splits import contexts_of, normalised, split_groups
from xstilts.tasks import catalogue

SELECT_SHARE = 0.1  # of a stand-in that serves for training and for selecting


def languages(record: Record, source: SourceSettings) -> tuple[str, ...]:
    """The task's languages that the folder has, in the record's order."""
    files = task_files(record, source)
    if files.languages is None:
        return record.languages
    if unknown := [code for code in files.languages if code not in record.languages]:
        where = f"params.yaml: source.tasks.{record.name}.languages"
        raise UserError(
            f"{where}: '{unknown[0]}' is not one{nearest(unknown[0], record.languages)}"
        )
    return tuple(code for code in record.languages if code in files.languages)


Place = tuple[FileSpec, list[Path]]  # a file or pattern, and the files that it names


def locate(record: Record, split: Split, language: str, source: SourceSettings) -> list[str] | None:
    """The files or patterns of a table, below source.path; None where there is no such table.

    UserError for a file that should be there.
    """
    places = _places(record, split, language, source)
    return None if places is None else [spec.path for spec, _ in places]


def _places(
    record: Record, split: Split, language: str, source: SourceSettings
) -> list[Place] | None:
    """A table's files, which are looked up and not read; None where there is no such table.

    Train rows are English, but for plain text and for translations that params name. UserError for
    a file that should be there.
    """
    files = task_files(record, source)
    named: list[FileSpec] | None = getattr(files, split, None)
    given = (ENGLISH, *files.translated)
    if split == "train" and language not in given and not record.is_text:
        return None
    if named is not None:
        # XCOPA has no English: a path for all of its languages is none for English dev.
        spoken = split == "train" or language in (*record.languages, POOL)
        translated = split == "train" and language in files.translated
        named = [
            spec
            for spec in named
            if (
                language in spec.languages
                if spec.languages is not None
                else spoken and (not translated or "{language}" in spec.path)
            )
        ]
        return [_place(record, spec, language, source) for spec in named] or None
    if split == "train" and language in files.translated:
        raise UserError(
            f"params.yaml: source.tasks.{record.name}.translated: {language}, and no file of it; "
            f"expected one under source.tasks.{record.name}.train with languages: [{language}]"
        )
    if language not in (*languages(record, source), POOL) or not _exists(record, split, language):
        return None
    entry = catalogue.ENTRIES.get(record.name)
    if entry is None or split not in entry.files:
        raise UserError(
            f"params.yaml: source.tasks.{record.name}.{split}: nobody knows where its files "
            "lie; expected them here, or `files` of its entry in tasks/catalogue"
        )
    return [_first(record, split, slot, language, source) for slot in entry.files[split]]


def read(record: Record, split: Split, language: str, source: SourceSettings) -> Reading | None:
    """The rows of a split and language, or None. Train rows are English, but for plain text."""
    places = _places(record, split, language, source)
    if places is None:
        return None
    readings = [
        _read_place(spec, paths, record, (split, language), source) for spec, paths in places
    ]
    whole = joined(readings, record, [_shown(spec, language, source) for spec, _ in places])
    official = catalogue.official_size(record, split, language)
    counts = whole.counts if official is None else {**whole.counts, "official": official}
    return Reading(whole.rows, counts, task_files(record, source).note)


def task_files(record: Record, source: SourceSettings) -> TaskFiles:
    """What params say of a task's files; UserError where they name an unknown task."""
    for name in source.tasks:
        if name not in catalogue.RECORDS:
            raise UserError(
                f"params.yaml: source.tasks.{name} is not a task{nearest(name, catalogue.RECORDS)}"
            )
    return source.tasks.get(record.name, TaskFiles())


def _exists(record: Record, split: Split, language: str) -> bool:
    """Whether the official distribution has this split in this language."""
    return record.is_text or catalogue.is_published(record, split, language)


def _filled(path: str, language: str) -> str:
    """A path with its fields filled in for a language; of several files `a + b`."""
    names = {code: name for name, code in TYDIQA_NAMES.items()}
    try:
        return path.format(
            # Language-independent files lie beside the English ones.
            language=ENGLISH if language == POOL else language,
            iso3=ISO3.get(language, ""),
            name=names.get(language, ""),
            ud="2.7" if language in catalogue.added("udpos") else "2.5",
        )
    except (KeyError, IndexError, ValueError, AttributeError):
        raise UserError(
            f"params.yaml: source.tasks: path '{path}' has an unknown field; expected {{language}}"
        ) from None


def _shown(spec: FileSpec, language: str, source: SourceSettings) -> str:
    """A spec's files as an error names them."""
    return f"{source.path}/{_filled(spec.path, language)}"


def _paths(spec: FileSpec, language: str, source: SourceSettings) -> list[Path]:
    """The files that a spec names, in sorted order; none where one of several is missing."""
    root, paths = Path(source.path), list[Path]()
    for pattern in _filled(spec.path, language).split(" + "):
        exact = [root / pattern] if (root / pattern).is_file() else []
        matching = sorted(root.glob(pattern)) if "*" in pattern else exact
        if not matching:
            return []
        paths += matching
    return paths


def _place(record: Record, spec: FileSpec, language: str, source: SourceSettings) -> Place:
    """A spec of params with its files; UserError where they are missing."""
    paths = _paths(spec, language, source)
    if not paths:
        raise UserError(
            f"{_shown(spec, language, source)}: no such file for {record.name} in {language}; "
            "expected what params.yaml names; correct source.tasks or fetch it"
        )
    return spec, paths


def _first(
    record: Record, split: Split, slot: Sequence[FileSpec], language: str, source: SourceSettings
) -> Place:
    """The first spec of a slot whose files exist, and these; UserError where none does."""
    for spec in slot:
        if paths := _paths(spec, language, source):
            return spec, paths
    tried = ", ".join(_filled(spec.path, language) for spec in slot)
    raise UserError(
        f"{source.path}: no file for {record.name} {split} {language}; expected one of {tried}; "
        f"fetch it, or name what there is under source.tasks.{record.name}"
    )


def _read_place(
    spec: FileSpec,
    paths: Sequence[Path],
    record: Record,
    table: tuple[Split, str],
    source: SourceSettings,
) -> Reading:
    """The rows of a spec's files, cut and filtered as it says."""
    if spec.reader not in READERS:
        raise UserError(
            f"params.yaml: reader '{spec.reader}' is not one{nearest(spec.reader, READERS)}"
        )
    split, language = table
    raws = [
        RawFile(path, record, split, language, spec.rows, labels_elsewhere=bool(spec.labels))
        for path in paths
    ]
    readings = [READERS[spec.reader](raw) for raw in raws]
    if not record.no_answer and spec.keep == "all":
        for raw, reading in zip(raws, readings, strict=True):
            _refuse_unanswerable(reading.rows, raw)
    whole = joined(readings, record, [str(path) for path in paths])
    rows, counts = whole.rows, dict(whole.counts)
    if spec.part:
        rows = [{**row, "part" if record.parts else DOMAIN: spec.part} for row in rows]
    if spec.labels:
        rows = _labelled(rows, raws[0], spec, source)
    if spec.group == "paragraph":
        rows = [{**row, "group": row["context"]} for row in rows]
    if spec.keep == "answerable":
        kept = [row for row in rows if row["answerable"] is not False]
        _count(counts, "dropped: no answer", len(rows) - len(kept))
        rows = kept
    if spec.exclude_contexts_in:
        rows = _excluding(rows, counts, spec, record, source)
    if spec.share != "all":
        sides = split_groups(rows, SELECT_SHARE, source.seed)
        kept = sides[0] if spec.share == "train" else sides[1]
        _count(counts, "dropped: the other side of the split", len(rows) - len(kept))
        rows = kept
    return Reading(rows, counts)


def _refuse_unanswerable(rows: list[Row], raw: RawFile) -> None:
    """UserError where a task whose questions all have answers gets one that has none."""
    if impossible := [row["id"] for row in rows if row.get("answerable") is False]:
        raise raw.at(
            None,
            f"question '{impossible[0]}' has no answer; expected one of each, as {raw.record.name} "
            "has; `keep: answerable` leaves such questions out",
        )


def _labelled(rows: list[Row], raw: RawFile, spec: FileSpec, source: SourceSettings) -> list[Row]:
    """The rows, each with the label of the same row of another file, in another language."""
    path = Path(source.path) / spec.labels
    other = RawFile(path, raw.record, raw.split, raw.language, raw.rows)
    golds = READERS[spec.reader](other).rows
    if len(golds) != len(rows):
        raise other.at(None, f"{len(golds)} rows; expected {len(rows)}, those of {raw.path.name}")
    gold = GOLD[raw.record.family]
    if any(row[gold] is None for row in golds):
        raise other.at(None, "no labels in it; expected the file that labels the rows")
    return [{**row, gold: other_row[gold]} for row, other_row in zip(rows, golds, strict=True)]


def _excluding(
    rows: list[Row],
    counts: dict[str, int],
    spec: FileSpec,
    record: Record,
    source: SourceSettings,
) -> list[Row]:
    """The rows whose context is in no row of a SQuAD-type file; the others are counted."""
    path = Path(source.path) / spec.exclude_contexts_in
    other = READERS["squad"](RawFile(path, record, "test", ENGLISH))
    contexts = contexts_of(other.rows)
    kept = [row for row in rows if normalised(row["context"]) not in contexts]
    _count(counts, f"dropped: context of {path.name}", len(rows) - len(kept))
    return kept


def joined(readings: Sequence[Reading], record: Record, places: Sequence[str]) -> Reading:
    """Several readings as one; UserError where an id is in two of them. places: their files."""
    rows: list[Row] = []
    counts: dict[str, int] = {}
    seen: dict[str, str] = {}
    for reading, place in zip(readings, places, strict=True):
        rows += reading.rows
        for key, number in reading.counts.items():
            _count(counts, key, number)
        for row in reading.rows if not record.is_text and len(readings) > 1 else ():
            if row["id"] in seen:
                raise UserError(
                    f"{place}: id '{row['id']}' is in two files, the other is {seen[row['id']]}; "
                    "expected each once; remove one file from source.tasks"
                )
            seen[row["id"]] = place
    return Reading(rows, counts)


def _count(counts: dict[str, int], key: str, number: int) -> None:
    if number:
        counts[key] = counts.get(key, 0) + number
