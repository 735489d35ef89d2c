"""The commands that take a model away, and predict with it.

As in `main`, nothing heavy is imported until one of them runs.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from xstilts.cli.tools import load_params
from xstilts.errors import UserError

if TYPE_CHECKING:
    from xstilts.params import RunSettings

leaving = typer.Typer()


@leaving.command()
def export(
    cell: Annotated[str, typer.Argument(help="As mnli/xnli/1, or its stage target@mnli-xnli-1.")],
    out: Annotated[Path, typer.Argument(help="The new folder.")],
    force: Annotated[
        bool, typer.Option("--force", help="Replace an earlier export of that name.")
    ] = False,
) -> None:
    """A cell's whole model as a folder: weights, tokenizer, a card with each language's result.

    transformers loads it by itself where its own classes compute the same; the folder says so. A
    cell whose model was not kept (run.keep_model) is run again, and must give equal predictions.

    Example: xstilts export mnli/xnli/1 xnli-model; xstilts export target@none-udpos-1 tagger
    """
    from xstilts import paths

    there = Path(cell).exists()
    moved, out = paths.to_root(Path(cell), out)
    params = load_params()
    from xstilts.leaving.export import export_cell

    for line in export_cell(str(moved) if there else cell, out, force, params):
        print(line)


@leaving.command()
def predict(
    cell: Annotated[str, typer.Argument(help="As mnli/xnli/1, or an exported folder.")],
    files: Annotated[
        list[Path] | None,
        typer.Argument(help="JSON lines, CSV or TSV in the family's columns; - is standard input."),
    ] = None,
    text: Annotated[str, typer.Option(help="One text, of a classifier or tagger.")] = "",
    pair: Annotated[str | None, typer.Option(help="The text that goes with --text.")] = None,
    language: Annotated[str, typer.Option(help="Of the rows, where sentences are mined.")] = "",
    out: Annotated[Path | None, typer.Option(help="A file to write; none: the terminal.")] = None,
) -> None:
    """Predict new rows with a cell's kept model or an exported one: {"id", "prediction"} a line.

    A cell's own table gives the cell's own predictions. Several files are searched as one.

    Example: xstilts predict xnli-model rows.jsonl --out found.jsonl;
    xstilts predict xnli-model --text "It rains." --pair "It is wet."
    """
    if bool(files) == bool(text):
        raise UserError("predict: expected FILE, or --text TEXT; give one of the two")
    if pair is not None and not text:
        raise UserError("--pair: it goes with --text; expected --text TEXT; add it")
    from xstilts import paths

    there = Path(cell).exists()
    moved, *rest = paths.to_root(Path(cell), *([out] if out else []), *(files or []))
    from xstilts.leaving import predict as room
    from xstilts.leaving import rows
    from xstilts.training import saved

    folder = room.model_folder(str(moved) if there else cell)
    family = saved.read_about(folder).record.family
    given = rest[1:] if out else rest
    names = [rows.STDIN if str(name) == rows.STDIN else str(path)
             for name, path in zip(files or [], given, strict=True)]  # fmt: skip
    tables = [rows.read_rows(family, name) for name in names]
    tables = tables or [[rows.row_of_text(family, text, pair)]]
    model, note = room.load(folder)
    if note:
        print(note, file=sys.stderr)
    lines = room.predict(model, tables, language, _run_settings())
    written = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)
    if out:
        from xstilts.formats.tables import write_text

        write_text(rest[0], written)
    else:
        print(written, end="")


def _run_settings() -> RunSettings:
    """Those of params.yaml, where there is one: an exported folder is read without."""
    from xstilts import paths
    from xstilts.params import RunSettings, load

    return load().run if paths.PARAMS.is_file() else RunSettings()
