"""`xstilts archive`: the cards of a grid's finished cells and models, to keep in git.

What enters: cells/, models/, studies/ and params.yaml. What leaves: a folder with the same layout,
of cards, sums (a target's clusters are named once, in clusters/), curves, studies' files and
params.yaml, of which a report can be made again.
Predictions, tables, tokenizers and weights stay behind: a card holds numbers, settings, digests and
words of ours, sums hold numbers by a row's id, and neither has a text of a row.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from xstilts import paths
from xstilts.errors import UserError
from xstilts.formats.cards import Card, first_problem, read_card
from xstilts.formats.tables import write_text
from xstilts.params import AnswerSettings, GridSettings, Params, read_yaml
from xstilts.results.answers.sums import FILE as SUMS
from xstilts.results.answers.sums import Shared, as_text, read_sums, shared_file
from xstilts.results.report import report_stage, studies_of
from xstilts.running.logbook import commit
from xstilts.sections import Section

ARCHIVES = Path("docs/cards")
CARD, CURVE, ABOUT = "card.json", "history.csv", "README.md"
CURVE_BYTES = 50_000  # the most of a curve; phase 1's of 3,000 steps has 13,000
WIDTH = 160  # of a line: a table's counts fit


@dataclass(frozen=True)
class Archived:
    """What `archive` did. cells, missing: INTERMEDIATE/TARGET/REPLICATE."""

    folder: Path
    size: int  # of the grid, in cells
    cells: tuple[str, ...]  # in the archive as they are here
    changed: int  # files that are new or other than before
    missing: tuple[str, ...]  # cells of the grid without a card
    unlike: tuple[str, ...]  # a line for each card that params.yaml did not make; it is left out
    older: tuple[str, ...]  # files in the archive that come from no card here; --prune removes them


def archive(name: str, params: Params, prune: bool = False, archives: Path = ARCHIVES) -> Archived:
    """Bring the finished cells of the grid into the archive of that name.

    What is there and has not changed keeps its bytes. Raises UserError where there is nothing to
    keep, or where the archive is another experiment's.
    """
    folder = _folder(name, params, archives)
    files: dict[Path, str] = {paths.PARAMS: paths.PARAMS.read_text(encoding="utf-8")}
    cells, missing, unlike, names = [], [], [], dict[str, Shared]()
    for where, section in _phases(params):
        if not (where / CARD).is_file():
            missing += [_name(where)] if where.is_relative_to(paths.CELLS) else []
            continue
        card = read_card(where)
        if difference := _difference(card, section, params):
            unlike.append(f"{where}: {difference}")
            continue
        files[where / CARD] = compact(asdict(card)) + "\n"
        if card.phase == "target":
            cells.append(_name(where))
            sums = read_sums(where, card)
            shared = names.setdefault(
                card.target, Shared(card.target, {code: of.clusters for code, of in sums.items()})
            )
            files[shared_file(shared.name)] = shared.text()
            files[where / SUMS] = as_text(sums, shared)
        curve = where / CURVE
        if curve.is_file() and curve.stat().st_size <= CURVE_BYTES:
            files[curve] = curve.read_text(encoding="utf-8")
    if not cells:
        first = f"; {unlike[0]}" if unlike else ""
        raise UserError(
            f"{paths.CELLS}: no finished cell of the grid{first}; expected at least one; "
            "run `xstilts grid`"
        )
    files |= {path: path.read_text("utf-8") for path in studies_of(params.grid, paths.STUDIES)}
    older = [path for path in _files(folder) if path not in files and path != Path(ABOUT)]
    changed = [path for path, text in files.items() if _text(folder / path) != text]
    for path in changed:
        write_text(folder / path, files[path])
    for path in older if prune else ():
        _remove(folder, path)
    if changed or (older and prune):
        write_text(folder / ABOUT, _about(folder, params, len(cells)))
    left = () if prune else tuple(map(str, older))
    ours = (tuple(cells), len(changed), tuple(missing), tuple(unlike))
    return Archived(folder, _size(params), *ours, left)


def report_again(folder: Path, out: Path) -> None:
    """Write the report of an archive's grid; UserError where it is none, or lacks a cell."""
    experiment, grid, answers = grid_of(folder)
    report_stage(experiment, grid, answers, folder / paths.CELLS, out, folder / paths.STUDIES)


def compact(value: Any, indent: str = "") -> str:
    """JSON with sorted keys, of which a part that fits is a line: `git diff` shows what moved."""
    line = json.dumps(value, sort_keys=True, ensure_ascii=False, allow_nan=False)
    if not isinstance(value, dict) or len(indent) + len(line) <= WIDTH:
        return line
    inner = f"{indent} "
    lines = [
        f"{inner}{json.dumps(key, ensure_ascii=False)}: {compact(value[key], inner)}"
        for key in sorted(value)
    ]
    return "\n".join(["{", ",\n".join(lines), f"{indent}}}"])


def _folder(name: str, params: Params, archives: Path) -> Path:
    if not re.fullmatch(r"[\w-][\w.-]*", name):
        raise UserError(f"archive {name}: expected a plain name, as files-small; correct it")
    folder = archives / name
    if folder.exists() and (there := grid_of(folder)[0]) != params.experiment:
        raise UserError(
            f"{folder}: the archive of the experiment '{there}', and params.yaml has "
            f"'{params.experiment}'; expected one experiment; choose another name"
        )
    return folder


def grid_of(folder: Path) -> tuple[str, GridSettings, AnswerSettings]:
    """The experiment and grid of an archive, and what counts as an answer.

    The rest of its params.yaml may be older than this version's settings, and decides no table.
    """
    path = folder / paths.PARAMS
    if not path.is_file():
        raise UserError(
            f"{folder}: no archive; expected {paths.PARAMS} and {paths.CELLS}/, as `xstilts "
            "archive NAME` leaves them; correct the path"
        )
    raw = read_yaml(path)
    try:
        grid, answers = raw["grid"], raw.get("answers", {})
        experiment = str(raw["experiment"])
        return (
            experiment, GridSettings.model_validate(grid), AnswerSettings.model_validate(answers)
        )  # fmt: skip
    except (KeyError, TypeError):
        problem = "no experiment and grid in it"
    except ValidationError as errors:
        problem = f"grid: {first_problem(errors)}"
    raise UserError(f"{path}: {problem}; expected the params of a grid; archive it again")


def _phases(params: Params) -> Iterator[tuple[Path, Section]]:
    """The folder of each phase's card, and the section of params that made it."""
    grid = params.grid
    yield paths.PRETRAIN, params.pretrain
    for replicate in grid.replicates:  # where these have encoders of their own
        yield paths.encoder(replicate), params.pretrain
    for name, replicate in grid.models():
        yield paths.intermediate_model(name, replicate), params.intermediates[name]
    for name, target, replicate in grid.cells():
        yield paths.cell(name, target, replicate), params.targets[target]


def _difference(card: Card, section: Section, params: Params) -> str:
    """What of params.yaml is not what a card was made with; '' where it may have made it."""
    now = section.model_dump(mode="json")
    own = {name: one.value for name, one in card.settings.items() if one.origin != "study"}
    pairs = [(name, value, now.get(name)) for name, value in own.items()]
    pairs.append(("source", card.source, params.source.name))
    if params.pretrain.encoder is not None:
        pairs.append(("encoder", card.encoder, params.pretrain.encoder))
    for name, was, wanted in pairs:
        if was != wanted:
            return f"made with {name} {was}, and params.yaml says {wanted}"
    return ""


def _about(folder: Path, params: Params, cells: int) -> str:
    """The archive's README: what it is, and which commit it comes from."""
    made = commit()
    changes = " and changes" if made["dirty"] == "true" else ""
    return (
        f"# {params.experiment}\n\nThe cards of {cells} of {_size(params)} cells, those of their "
        "encoders, what studies found, and the params.yaml\nthat all were made with. No prediction "
        "and no text of a data set is in here.\n\n"
        f"Commit: {made['commit']}{changes}\n\n    xstilts report --from {folder.as_posix()}\n"
    )


def _size(params: Params) -> int:
    return len(params.grid.cells())


def _name(cell: Path) -> str:
    return cell.relative_to(paths.CELLS).as_posix()


def _text(path: Path) -> str | None:
    return path.read_text(encoding="utf-8") if path.is_file() else None


def _files(folder: Path) -> list[Path]:
    return sorted(path.relative_to(folder) for path in folder.rglob("*") if path.is_file())


def _remove(folder: Path, path: Path) -> None:
    """Remove a file, and what folders it leaves empty."""
    (folder / path).unlink()
    for parent in path.parents[:-1]:
        if any((folder / parent).iterdir()):
            break
        (folder / parent).rmdir()
