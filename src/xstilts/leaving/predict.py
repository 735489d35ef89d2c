"""A kept or exported model's predictions of new rows.

What enters: a model that was read back, and rows without gold. What leaves: {"id", "prediction"} of
each row. The way is that of a cell's own evaluation: `family.encode`, `evaluation.pooled`. So the
rows of a cell's table, in its order, have the predictions that the cell keeps.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from xstilts.errors import UserError, nearest
from xstilts.formats.kept import cell_card
from xstilts.formats.tables import Row, Table
from xstilts.leaving.found import cell_named, kept_of
from xstilts.params import RunSettings, TrainingSettings
from xstilts.tasks.families import retrieval
from xstilts.training.context import Context
from xstilts.training.evaluation import pooled
from xstilts.training.layout import facts
from xstilts.training.saved import ABOUT, About, Saved, read_about, read_model


def model_folder(name: str) -> Path:
    """The folder of an exported model, or of the one that is kept of a cell."""
    if (Path(name) / ABOUT).is_file():
        return Path(name)
    cell = cell_named(name)
    folder, problem = kept_of(cell, cell_card(cell))
    if problem:
        short = cell.as_posix().removeprefix("cells/")
        raise UserError(
            f"{name}: {problem}; expected {folder}; `xstilts export {short} OUT` makes a folder to "
            "predict with, and run.keep_model: true in params.yaml keeps those of new cells"
        )
    return folder


def load(folder: Path) -> tuple[Saved, str]:
    """The model of a folder, and a note where it predicts otherwise than its card's numbers."""
    about = read_about(folder)
    training = here(about)
    torch.set_num_threads(training.threads)
    found = read_model(folder, training)
    computed = facts(found.model, training)
    if computed == about.computed:
        return found, ""
    ours, cards = (", ".join(how[name] for name in computed) for how in (computed, about.computed))
    return found, (
        f"note: predicted on {ours}; the card's numbers are of {cards}: single predictions may "
        "differ"
    )


def here(about: About) -> TrainingSettings:
    """The settings of a model's cell, on the device that computed it, where this machine has it."""
    device = about.computed.get("device", "cpu")
    if device == "cuda" and not torch.cuda.is_available():
        cpu = {"device": "cpu", "precision": "fp32", "layout": "auto"}
        return about.training.model_copy(update=cpu)
    return about.training.model_copy(update={"device": device})


def predict(
    saved: Saved, tables: Sequence[Sequence[Row]], language: str, run: RunSettings
) -> list[dict[str, Any]]:
    """A line for each row of each table; what is searched are the rows of all tables.

    language: whose threshold counts, where sentence pairs are mined.
    """
    about, chosen = saved.about, saved.task
    threshold = _threshold(about, language)
    places = Path()  # nothing is trained, and nothing kept
    context = Context(here(about), saved.tokenizer, places, places, run=run)
    settings = chosen.settings.for_encoding()
    try:
        parts = [chosen.family.encode(rows, saved.tokenizer, settings) for rows in tables]
    except ValueError as error:  # rows of two kinds
        raise UserError(f"the rows: {error}; correct them") from None
    given = [Table(about.record.name, "test", language, list(rows)) for rows in tables]
    found = pooled(saved.model, chosen, given, parts, context)
    if threshold is not None:
        found = [retrieval.passed(lines, threshold) for lines in found]
    return [
        {"id": row["id"], "prediction": one}
        for rows, lines in zip(tables, found, strict=True)
        for row, one in zip(rows, lines, strict=True)
    ]


def _threshold(about: About, language: str) -> float | None:
    """Of mined pairs, which each language has its own of; UserError where it has not."""
    task, known = about.record.name, about.thresholds
    if not known:
        if language:
            raise UserError(f"--language {language}: {task} has no settings by language; remove it")
        return None
    if language not in known:
        raise UserError(
            f"--language {language}: {task} keeps the pairs over a threshold that is a language's "
            f"own{nearest(language, known)}"
        )
    return known[language]
