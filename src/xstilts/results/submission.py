"""XTREME's submission folder, made of a grid's cells: of one intermediate, or of the best.

What enters: cells with their kept predictions, and the test tables that these were made from. What
leaves: TASK/test-LANGUAGE.tsv (.json for question answering) as XTREME's README asks for them, and
manifest.json, which says where each came from; on request a folder of labels in the same layout,
for `xstilts score`. The best is, for each target, the best on English dev, and on nothing else.
Nothing is predicted here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from itertools import product
from pathlib import Path
from statistics import fmean
from typing import Any

from xstilts import paths
from xstilts.errors import UserError
from xstilts.formats.cards import Card
from xstilts.formats.kept import Kept, cell_card, read_kept, tables_of
from xstilts.formats.tables import (
    Row,
    Split,
    file_digest,
    fresh_folder,
    read_record,
    read_table,
    write_json,
    write_text,
)
from xstilts.params import Params, SourceSettings
from xstilts.results.formats import Format, format_of
from xstilts.results.scoring import MANIFEST, file_name
from xstilts.running import logbook
from xstilts.sources import source_named
from xstilts.tasks.metrics.benchmark import TASKS

SPLIT: Split = "test"
BENCHMARK = "xtreme"

Place = tuple[str, int]  # an intermediate and a replicate


@dataclass(frozen=True)
class SubmissionOptions:
    """Which cells to write: one intermediate's ("": the best), of one replicate (0: of all).

    incomplete: whether to write what there is where something is missing.
    """

    intermediate: str = ""
    replicate: int = 0
    incomplete: bool = False


@dataclass(frozen=True)
class Chosen:
    """The cell chosen for a task, why, and the English dev scores that it was chosen from."""

    card: Card
    folder: Path
    why: str
    candidates: Mapping[str, float]


@dataclass
class Written:
    """The manifest of a submission that was written, and what is missing from it."""

    manifest: dict[str, Any]
    missing: list[str]
    unlabelled: list[str] = field(default_factory=list)  # tasks with hidden gold


def write_submission(
    params: Params, options: SubmissionOptions, out: Path, labels: Path | None
) -> Written:
    """Write the whole folder; UserError where something is missing, unless `incomplete`."""
    for folder in filter(None, (out, labels)):
        if folder.exists():
            raise UserError(
                f"{folder}: is there already; expected the name of a new folder; remove it, or "
                "choose another with --out or --labels"
            )
    if labels and _nested(out.resolve(), labels.resolve()):
        raise UserError(
            f"{labels}: --labels is --out ({out}), or one is inside the other; expected two "
            "folders beside each other; choose another with --out or --labels"
        )
    cards, missing = _cells(params, options)
    chosen = _choose(cards, options)
    tables = {task: _tables(cell, params.source, missing) for task, cell in chosen.items()}
    chosen = {task: cell for task, cell in chosen.items() if tables[task]}
    if not chosen or (missing and not options.incomplete):
        others = f" (and {len(missing) - 1} more)" if len(missing) > 1 else ""
        raise UserError(
            f"{out}: not written, as it would be incomplete: {missing[0]}{others}; expected the "
            "nine tasks of XTREME in every test language; run `xstilts grid`, or see --incomplete"
        )
    manifest: dict[str, Any] = {
        "benchmark": BENCHMARK,
        "experiment": params.experiment,
        "source": params.source.name,
        "asked for": options.intermediate or "the best intermediate of each target on English dev",
        "complete": not missing,
        "missing": missing,
        "written by": logbook.commit(),
        "tasks": {},
    }
    written = Written(manifest, missing)
    with ExitStack() as stack:
        folders = [stack.enter_context(fresh_folder(path)) for path in (out, labels) if path]
        for task, cell in chosen.items():
            files = _write_task(folders[0] / task, cell, tables[task])
            manifest["tasks"][task] = _origin(cell, files, _expected(task, params.source))
            if labels and not _write_labels(folders[1] / task, cell, tables[task]):
                written.unlabelled.append(task)
        if written.unlabelled and not options.incomplete:
            raise UserError(
                f"{labels}: not written: {written.unlabelled[0]} has languages with hidden test "
                "labels; expected the gold of every language; leave --labels out"
            )
        write_json(folders[0] / MANIFEST, manifest)
    return written


def _nested(one: Path, other: Path) -> bool:
    """Whether the folders are the same, or one is inside the other."""
    return one.is_relative_to(other) or other.is_relative_to(one)


# Which cells


def _cells(
    params: Params, options: SubmissionOptions
) -> tuple[dict[str, dict[Place, Card]], list[str]]:
    """The cards to choose from, for each task of XTREME; and which cells are missing."""
    grid = params.grid
    intermediates = [options.intermediate] if options.intermediate else grid.intermediates
    replicates = [options.replicate] if options.replicate else grid.replicates
    cards: dict[str, dict[Place, Card]] = {}
    missing = []
    for task in TASKS["xtreme"]:
        if task not in grid.targets:
            missing.append(f"{task} is not in grid.targets of params.yaml")
            continue
        for place in product(intermediates, replicates):
            folder = _folder(task, place)
            if (folder / "card.json").is_file():
                cards.setdefault(task, {})[place] = cell_card(folder)
            else:
                missing.append(f"{folder} has no card")
    return cards, missing


def _folder(task: str, place: Place) -> Path:
    return paths.cell(place[0], task, place[1])


def _choose(
    by_task: Mapping[str, Mapping[Place, Card]], options: SubmissionOptions
) -> dict[str, Chosen]:
    """For each task the cell with the highest English dev score; of equal ones the grid's first.

    Retrieval trains nothing and has no English dev (its dev gold is other languages', which must
    not select): there the encoder with the highest mean English dev over the trained targets.
    """
    dev = {task: _dev_scores(task, cards) for task, cards in by_task.items()}
    trained = [scores for scores in dev.values() if scores]
    places = {place for cards in by_task.values() for place in cards}
    means = {
        place: fmean(scores[place] for scores in trained)
        for place in places
        if trained and all(place in scores for scores in trained)
    }
    chosen = {}
    for task, cards in by_task.items():
        scores = {place: (dev[task] or means).get(place) for place in cards}
        known = {place: score for place, score in scores.items() if score is not None}
        if len(cards) == 1:
            place, why = next(iter(cards)), "the only cell that was asked for"
        elif known:
            place = max(known, key=known.__getitem__)
            of = "" if dev[task] else "mean over the trained targets of the "
            why = f"highest {of}English dev score of {len(known)} cells"
        else:
            raise UserError(
                f"{task}: nothing trains it, so it has no English dev score, and no encoder has "
                "the cells of all trained targets; expected those to choose by; name an "
                "intermediate"
            )
        shown = {f"{name}/{replicate}": score for (name, replicate), score in known.items()}
        chosen[task] = Chosen(cards[place], _folder(task, place), why, shown)
    return chosen


def _dev_scores(task: str, cards: Mapping[Place, Card]) -> dict[Place, float]:
    """Each trained cell's English dev score; UserError where they cannot be compared."""
    chosen = {place: card.selection for place, card in cards.items() if card.selection}
    meanings = {
        (card.passport["selection"], card.encoder, card.source): place
        for place, card in cards.items()
    }
    if len(meanings) > 1:
        (expected, first), (found, other), *_ = meanings.items()
        raise UserError(
            f"{_folder(task, other)}: selected by {found[0]} with {found[1]}; expected "
            f"{expected[0]} with {expected[1]} as {_folder(task, first)}; run `dvc repro target`"
        )
    return {place: selection.score for place, selection in chosen.items()}


# Which tables


@dataclass(frozen=True)
class _Pair:
    """A test table and what a cell predicted for it, row by row."""

    rows: list[Row]
    kept: Kept


def _expected(task: str, source: SourceSettings) -> list[str]:
    """A task's languages in XTREME; or the source's, where it has languages of its own."""
    record, official = read_record(paths.target_data(task)), TASKS["xtreme"][task]
    languages = source_named(source.name).languages(record, source)
    return list(official if set(languages) <= set(official) else languages)


def _tables(chosen: Chosen, source: SourceSettings, missing: list[str]) -> dict[str, _Pair]:
    """Each language's test table, in order; what is missing is added to `missing`."""
    card, pairs = chosen.card, {}
    kept = {language for split, language in tables_of(chosen.folder) if split == SPLIT}
    for language in _expected(card.target, source):
        name = f"{card.target} {SPLIT}-{language}"
        if language not in kept:
            missing.append(f"{name} was not predicted")
            continue
        pairs[language] = _pair(chosen, language)
        counts = card.counts[f"{SPLIT}-{language}"]
        if "official" in counts:  # the data stage names it where it was not met
            missing.append(
                f"{name} is not the official table ({counts['rows']} rows; official: "
                f"{counts['official']} {_format(card).unit})"
            )
    return pairs


def _pair(chosen: Chosen, language: str) -> _Pair:
    """A language's test table with its predictions; UserError where they do not belong together."""
    card, folder = chosen.card, paths.target_data(chosen.card.target)
    table = read_table(folder, SPLIT, language)
    name = f"{SPLIT}-{language}"
    kept = read_kept(chosen.folder, card, SPLIT, language)
    if table.digest != card.inputs[name] or [row["id"] for row in table.rows] != kept.ids:
        raise UserError(
            f"{folder}/{name}.parquet: not the table that {chosen.folder} predicted; expected the "
            f"same; run `dvc repro target@{card.intermediate}-{card.target}-{card.replicate}`"
        )
    return _Pair(table.rows, kept)


# Files


def _format(card: Card) -> Format:
    """The file format of a card's family; UserError where XTREME takes no file of that kind."""
    convention = next(iter(card.passport["metrics"].values()))
    file_format = format_of(card.family, convention)
    if file_format is None:
        raise UserError(
            f"{card.target}: a {card.family} target; expected one whose predictions XTREME takes"
        )
    return file_format


def _write_task(folder: Path, chosen: Chosen, tables: Mapping[str, _Pair]) -> dict[str, Any]:
    """Write a task's predictions; {language: rows and digest} of what was written."""
    files = {}
    write = _format(chosen.card).predictions
    for language, pair in tables.items():
        path = folder / file_name(folder.name, language)
        write_text(path, write(pair.rows, pair.kept.predictions))
        files[language] = {"rows": len(pair.rows), "digest": file_digest(path)}
    return files


def _write_labels(folder: Path, chosen: Chosen, tables: Mapping[str, _Pair]) -> bool:
    """Write a task's gold; False, and nothing is written, where a language's gold is hidden."""
    scored = chosen.card.scores.get(SPLIT, {})  # has what has gold
    if any(language not in scored for language in tables):
        return False
    write = _format(chosen.card).labels
    for language, pair in tables.items():
        write_text(folder / file_name(folder.name, language), write(pair.rows))
    return True


# The manifest


def _origin(chosen: Chosen, files: Mapping[str, Any], expected: Sequence[str]) -> dict[str, Any]:
    """The manifest's entry of a task: its cell, seed and commit, and its English dev score."""
    card = chosen.card
    curve = logbook.History(paths.WORK, logbook.cell_key(card)).lines()
    lines = logbook.belonging(curve, card.key)  # none where DVC's cache brought the cell
    trained = {key: lines[-1][key] if lines else "unknown" for key in ("commit", "dirty")}
    return {
        "intermediate": card.intermediate,
        "replicate": card.replicate,
        "cell": chosen.folder.as_posix(),
        "key": card.key,
        "encoder": card.encoder,
        "seed": card.passport["seed"],
        "trained by": trained,
        "chosen as": chosen.why,
        "dev": asdict(card.selection) if card.selection else None,
        "candidates, English dev": dict(chosen.candidates),
        "flags": list(card.flags),
        "notes": list(card.notes),
        "languages": dict(files),
        "expected languages": list(expected),
    }
