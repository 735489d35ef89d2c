"""A cell's model as a folder to take away.

What enters: a cell, by name. What leaves: a new folder with weights, tokenizer, the cell's card and
a README. A cell whose model was not kept is run again, beside it, and must give the predictions and
scores that it has: nothing of the cell is replaced.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from xstilts import paths
from xstilts.errors import UserError
from xstilts.formats.cards import Card, read_card
from xstilts.formats.kept import cell_card
from xstilts.formats.tables import fresh_folder, write_text
from xstilts.leaving import card as cards
from xstilts.leaving.found import cell_named, kept_of
from xstilts.leaving.plain import TOLERANCE, Plain, difference, plain_model, plain_of
from xstilts.params import Params
from xstilts.phases.provenance import work_folder
from xstilts.phases.stage import context_of
from xstilts.phases.target import cell_of, make_cell
from xstilts.training import encoder as encoders
from xstilts.training.saved import (
    ABOUT,
    Saved,
    predictions_digest,
    read_about,
    read_model,
    write_about,
)


def export_cell(name: str, out: Path, force: bool, params: Params) -> Iterator[str]:
    """Write a cell's model to a new folder, whole or not at all; lines that say what it is."""
    cell = cell_named(name)
    card = cell_card(cell)
    if out.exists() and not (force and (out / ABOUT).is_file()):
        wanted = "no folder, or with --force an earlier export"
        raise UserError(f"{out}: it is there; expected {wanted}; name another")
    kept, problem = kept_of(cell, card)
    if problem:
        yield f"{cell}: {problem}; it is run again, and its predictions are compared"
        with _made_again(cell, card, params) as made:
            if params.run.keep_model:
                with fresh_folder(kept) as new:
                    shutil.copytree(made, new, dirs_exist_ok=True)
            yield _write(made, cell, card, out)
        return
    yield _write(kept, cell, card, out)


@contextmanager
def _made_again(cell: Path, card: Card, params: Params) -> Iterator[Path]:
    """The model of a cell that is computed once more, in a folder that then vanishes.

    A killed one goes on from its checkpoint. UserError where the cell is stale, or has other scores
    or predictions than now.
    """
    stage = f"target@{card.intermediate}-{card.target}-{card.replicate}"
    known = card.target in params.targets and card.intermediate in params.intermediates
    what = cell_of(card.intermediate, card.target, card.replicate, params) if known else None
    if what is None or what.key != card.key:
        raise UserError(
            f"{cell}: made with other settings or inputs than params.yaml and its folders now "
            f"have; expected a cell that is up to date; `xstilts grid {stage}`"
        )
    work = paths.exports(work_folder(what.name, what.key).name)
    context = context_of(what.training, what.base, work / "training", None, params.run)
    again, model = work / "cell", work / "model"
    card_again = make_cell(what, card.source, context, again, model)
    try:
        equal = card_again.scores == card.scores
        if not equal or predictions_digest(again) != predictions_digest(cell):
            raise UserError(
                f"{cell}: run again it has other {'predictions' if equal else 'scores'}; expected "
                "the card's; its code, this machine or its libraries are not those of then; "
                f"`dvc repro --force {stage}` makes the cell anew"
            )
        yield model
    finally:
        shutil.rmtree(work)


def _write(source: Path, cell: Path, card: Card, out: Path) -> str:
    """Write the folder from a model in our layout; a line that says how it is loaded."""
    on_cpu = {"device": "cpu", "precision": "fp32", "layout": "padded"}
    saved = read_model(source, read_about(source).training.model_copy(update=on_cpu))
    with fresh_folder(out) as new:
        plain = _as_plain(saved, new)
        if isinstance(plain, str):
            shutil.copytree(source, new, dirs_exist_ok=True)
        shutil.copyfile(cell / "card.json", new / "card.json")
        name, why = (plain.name, "") if isinstance(plain, Plain) else ("", plain)
        write_text(new / "README.md", cards.readme(saved.about, card, trained_on(card), name, why))
    if why:
        return f"{out}: in xstilts' own layout, since {why}; `xstilts predict {out} FILE` reads it"
    return f"{out}: transformers' {name}.from_pretrained loads it, as does `xstilts predict`"


def _as_plain(saved: Saved, folder: Path) -> Plain | str:
    """Write the model in transformers' class, and compare logits; or why that cannot be."""
    plain = plain_of(saved)
    if isinstance(plain, str):
        return plain
    plain_model(saved, plain).save_pretrained(folder)
    encoders.save_tokenizer(saved.tokenizer, folder)
    write_about(folder, replace(saved.about, layout="plain", head=dict(plain.head)))
    far = difference(saved, plain, folder)
    if far <= TOLERANCE:
        return plain
    for path in folder.iterdir():
        path.unlink()
    return f"{plain.name} gives logits that differ by {far:.2g}"


def trained_on(card: Card) -> tuple[str, ...]:
    """The tasks that trained a cell's model: phase 2's, then phase 3's; () of none."""
    phase_2 = read_card(paths.intermediate_model(card.intermediate, card.replicate))
    folders = {name.split("/")[0]: None for name in phase_2.counts}
    own = {name.split("/")[1].partition("-")[2]: None for name in card.counts
           if name.startswith("train/")}  # fmt: skip
    return (*folders, *own)
