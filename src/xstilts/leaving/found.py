"""A cell by its name, and the model that was kept of it."""

from __future__ import annotations

from pathlib import Path

from xstilts import paths
from xstilts.errors import UserError, nearest
from xstilts.formats.cards import Card
from xstilts.training.saved import ABOUT, predictions_digest, read_about

STAGE = "target@"


def cell_named(name: str) -> Path:
    """The folder of a cell: mnli/xnli/1, its folder, or its stage target@mnli-xnli-1."""
    known = {path.parent for path in paths.CELLS.glob("*/*/*/card.json")}
    names = {folder.relative_to(paths.CELLS).as_posix(): folder for folder in known}
    stages = {STAGE + name.replace("/", "-"): folder for name, folder in names.items()}
    for folder in (Path(name), names.get(name), stages.get(name)):
        if folder and (folder / "card.json").is_file():
            return folder
    close = nearest(name, stages if name.startswith(STAGE) else names)
    raise UserError(f"{name}: no such cell{close}; `xstilts grid` makes them")


def kept_of(cell: Path, card: Card) -> tuple[Path, str]:
    """Where a cell's model is kept, and why it cannot be taken: "" where it can."""
    folder = paths.kept_model(card.intermediate, card.target, card.replicate)
    if not (folder / ABOUT).is_file():
        return folder, "no model of it is kept"
    about = read_about(folder)
    if (about.key, about.predictions) != (card.key, predictions_digest(cell)):
        return folder, f"{folder} is of another run of it, with other predictions"
    return folder, ""
