"""The source `hub`: repositories of the Hugging Face Hub, or of a folder that mirrors it.

What enters: a task's record, a split, a language. What leaves: rows and counts, and on the card the
revision that they are of. `source.path` is a folder of lock files, TASK.lock, which pin revisions;
what is not pinned is read at its branch's head. `source.mirror` is a cache folder of
huggingface_hub (what `hf download --cache-dir` leaves): then nothing touches the network. Where a
revision cannot be read, it is an error: no other is read in its place.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from datasets import ClassLabel, Features, List, Value

from xstilts.errors import UserError, nearest
from xstilts.formats.tables import ENGLISH, Record, Split, read_json, write_json
from xstilts.params import SourceSettings
from xstilts.sources import files, snapshots
from xstilts.sources.codes import FORMER_NAMES, ISO3, LANGUAGE_NAMES
from xstilts.sources.readers.columns import TABLES, Columns
from xstilts.sources.reading import Reading
from xstilts.tasks import catalogue
from xstilts.tasks.catalogue.entry import Copies, Repository

SHOWN_HEX = 12  # digits of a commit, of 40


def languages(record: Record, source: SourceSettings) -> tuple[str, ...]:
    """The task's languages in the record's order. The Hub has no plain text for phase 1."""
    if record.is_text:
        return ()
    _copies(record)
    return files.languages(record, source)


@dataclass(frozen=True)
class Place:
    """The files of a table in one repository. config: the name that it has in this revision."""

    repository: Repository
    snapshot: snapshots.Snapshot
    config: str
    files: list[str]


def locate(record: Record, split: Split, language: str, source: SourceSettings) -> list[str] | None:
    """The repositories and revisions of a table; None where there is no such table.

    UserError for a repository, revision or file that should be there.
    """
    places = located(record, split, language, source)
    if places is None:
        return None
    return [f"{place.snapshot.id} at {place.snapshot.revision[:SHOWN_HEX]}" for place in places]


def located(
    record: Record, split: Split, language: str, source: SourceSettings
) -> list[Place] | None:
    """A table's files, which are looked up and not read; None where there is no such table.

    Train rows are English. UserError for a repository, revision or file that should be there.
    """
    copy = _copy(record, source)
    if files.task_files(record, source).translated:
        raise UserError(
            f"params.yaml: source.tasks.{record.name}.translated: the Hub's copies have English "
            "train rows; expected translations as files (source.name: files); empty it"
        )
    foreign_train = split == "train" and language != ENGLISH
    published = catalogue.is_published(record, split, language)  # with or without a known size
    if not published or foreign_train or language not in languages(record, source):
        return None
    places = []
    for repository in copy:
        _require_language(repository, record, language)
        snapshot = _snapshot(repository, record, source)
        configs = _filled(repository.configs, language)
        config, found = snapshots.files_of(snapshot, configs, repository.splits[split])
        places.append(Place(repository, snapshot, config, found))
    return places


def read(record: Record, split: Split, language: str, source: SourceSettings) -> Reading | None:
    """The rows of a split and language, or None. Train rows are English."""
    places = located(record, split, language, source)
    if places is None:
        return None
    official = catalogue.official_size(record, split, language)
    readings, notes = [], []
    for place in places:
        readings.append(_read_place(place, record, split, language))
        notes += [f"Hub: {place.snapshot.id} at {place.snapshot.revision}", place.repository.note]
        official = place.repository.sizes.get(f"{split}-{language}", official)
    joined = files.joined(readings, record, [place.repository.id for place in places])
    given = files.task_files(record, source).note
    note = "; ".join(dict.fromkeys(filter(None, [*notes, given])))
    counts = joined.counts if official is None else {**joined.counts, "official": official}
    return Reading(joined.rows, counts, note)


def pin(names: Iterable[str], source: SourceSettings) -> list[str]:
    """Write today's revisions into the tasks' lock files; what is pinned stays as it is.

    Returns a line for each repository. Plain text has none.
    """
    lines = []
    for name in names:
        record = catalogue.record(name)
        if record.is_text:
            continue
        lock, pins = _lock(record, source), _pins(record, source)
        for repository in {part.id: part for part in _copy(record, source)}.values():
            snapshot = _snapshot(repository, record, source)
            known = "pinned already" if repository.id in pins else "pinned now"
            pins[repository.id] = snapshot.revision
            lines.append(f"{lock}: {snapshot.id} {snapshot.revision} ({known})")
        write_json(lock, pins)
    return lines


def _copies(record: Record) -> Copies:
    """The repositories that are known to hold a task; a task without any is an error."""
    entry = catalogue.ENTRIES.get(record.name)
    if entry is not None and entry.refused:
        raise UserError(
            f"{record.name}: not read from the Hub: {entry.refused}; expected the official "
            "files; take it out of the grid, or use the source `files`"
        )
    if entry is None or not entry.repositories:
        raise UserError(
            f"{record.name}: nobody knows which repository of the Hub holds it; expected one in "
            "`repositories` of its entry in tasks/catalogue; add it there"
        )
    return entry.repositories


def _copy(record: Record, source: SourceSettings) -> tuple[Repository, ...]:
    """The repositories of the copy of a task that params name, or of the first known copy."""
    given = files.task_files(record, source)
    where = f"params.yaml: source.tasks.{record.name}"
    for split in ("train", "dev", "test"):
        if getattr(given, split) is not None:
            raise UserError(f"{where}.{split}: the source `hub` reads no files; remove it")
    copies = {copy[0].id: copy for copy in _copies(record)}
    if not given.repository:
        return next(iter(copies.values()))
    if given.repository not in copies:
        known = nearest(given.repository, copies)
        raise UserError(f"{where}.repository: '{given.repository}' is not a copy of it{known}")
    return copies[given.repository]


def _require_language(repository: Repository, record: Record, language: str) -> None:
    """UserError where a copy lacks a language that XTREME-R added.

    Another copy may have it, but has other rows: which is read is for params to say.
    """
    if repository.xtreme_alone and language in catalogue.added(record.name):
        others = [copy[0].id for copy in _copies(record) if not copy[0].xtreme_alone]
        where = f"params.yaml: source.tasks.{record.name}"
        raise UserError(
            f"{where}: {repository.id} has no {language}, which XTREME-R adds; expected a copy "
            f"with it; set repository: {' or '.join(others)}, or name languages without {language}"
        )


def _lock(record: Record, source: SourceSettings) -> Path:
    return Path(source.path) / f"{record.name}.lock"


def _pins(record: Record, source: SourceSettings) -> dict[str, str]:
    """{repository: commit} of the task's lock file; nothing where there is none."""
    path = _lock(record, source)
    if not path.parent.is_dir():
        raise UserError(
            f"{path.parent}: no such folder; expected source.path to be the folder of lock files "
            "(TASK.lock); make it, then `xstilts data --pin`"
        )
    if not path.exists():
        return {}
    try:
        pins: Any = read_json(path)
    except ValueError:
        pins = None
    if not isinstance(pins, dict) or not all(
        isinstance(commit, str) and re.fullmatch("[0-9a-f]{40}", commit) for commit in pins.values()
    ):
        raise UserError(
            f'{path}: not a lock file; expected {{"OWNER/NAME": a commit of 40 hex digits}}; '
            "remove it and run `xstilts data --pin`"
        )
    return pins


def _snapshot(repository: Repository, record: Record, source: SourceSettings) -> snapshots.Snapshot:
    """The repository at the revision that the lock file pins, else at its branch's head."""
    pinned = _pins(record, source).get(repository.id)
    lock = _lock(record, source) if pinned else None
    revision = pinned or repository.branch
    return snapshots.at_revision(repository.id, revision, source.mirror, lock)


def _filled(configs: Sequence[str], language: str) -> list[str]:
    """A repository's configurations in a language."""
    name = LANGUAGE_NAMES.get(language, "")
    fields = {"language": language, "iso3": ISO3.get(language, ""), "name": name}
    fields["former"] = FORMER_NAMES.get(name, name)
    return [config.format(**fields) for config in configs]


def _read_place(place: Place, record: Record, split: Split, language: str) -> Reading:
    """A repository's rows of one split and language, read as its columns are."""
    repository, snapshot = place.repository, place.snapshot
    where = (
        f"{snapshot.id}@{snapshot.revision[:SHOWN_HEX]}/{place.config}/{repository.splits[split]}"
    )
    raw = Columns(Path(where), record, split, language)
    try:
        features, rows = snapshots.table([snapshot.local(file) for file in place.files])
    except UnicodeDecodeError as error:  # Parquet does not check its texts
        raise raw.at(None, f"a text that is not UTF-8: {error}; fetch it again") from None
    _require_columns(raw, repository.columns.split(), features)
    named = [{key: _named(row[key], features[key]) for key in features} for row in rows]
    reading = TABLES[repository.reader](replace(raw, records=named))
    if not repository.part:
        return reading
    # Parts may call their rows alike: the part's name makes the ids unlike.
    parts = [
        {**row, "part": repository.part, "id": f"{repository.part}-{row['id']}"}
        for row in reading.rows
    ]
    return Reading(parts, reading.counts)


def _require_columns(raw: Columns, expected: Sequence[str], features: Features) -> None:
    """UserError where columns are not those expected, or labels are numbers without names."""
    needed = [name for name in expected if name != "*" and not name.endswith("?")]
    known = {name.rstrip("?") for name in expected}
    if missing := [name for name in needed if name not in features]:
        raise raw.at(None, f"no column '{missing[0]}'; expected {', '.join(needed)}; pin another")
    if "*" not in known and (more := [name for name in features if name not in known]):
        raise raw.at(None, f"unexpected column '{more[0]}'; expected {', '.join(needed)}")
    if raw.record.choices:
        return  # a choice's integer is a place among the choices
    for name in {"label", "gold_label", "ner_tags", "pos_tags", "upos"} & set(features):
        feature = features[name]
        inner = feature.feature if isinstance(feature, List) else feature
        if not isinstance(inner, ClassLabel) and inner != Value("string"):
            raise raw.at(
                None, f"column '{name}' is {inner}: labels without names; expected names, or text"
            )


def _named(value: Any, feature: Any) -> Any:
    """A value with labels' numbers replaced by their names; -1, a hidden label, becomes None.

    The numbers' order differs from copy to copy. One without a name stays a number, which every
    reader refuses.
    """
    if isinstance(feature, ClassLabel):
        if value is None or value == -1:
            return None
        return feature.names[value] if 0 <= value < feature.num_classes else value
    if isinstance(feature, List) and isinstance(feature.feature, ClassLabel):
        return [_named(item, feature.feature) for item in value or ()]
    return value
