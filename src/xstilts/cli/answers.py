"""The commands that say what the table decides, and what would decide more of it.

As in `cli`, nothing heavy is imported until one of them runs.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from xstilts.cli.tools import load_params, section_of
from xstilts.errors import UserError

answering = typer.Typer()


@answering.command()
def compare(
    first: Annotated[str, typer.Argument(help="An intermediate of the grid.")] = "",
    second: Annotated[str, typer.Argument(help="The other; with --with, of that folder.")] = "",
    target: Annotated[
        list[str] | None, typer.Option(help="Only these, by language; none: all of the grid's.")
    ] = None,
    other: Annotated[
        Path | None, typer.Option("--with", help="An archive, or a project's folder.")
    ] = None,
) -> None:
    """Whether two lines differ: interval, verdict, the replicates that would find how much.

    With --with alone: the cells that differ from another machine's by more than their seeds do.

    Example: xstilts compare mnli none --target xnli; xstilts compare --with docs/cards/files-small
    """
    from xstilts import paths

    given = paths.to_root(*([other] if other else []))
    params = load_params()
    from xstilts.results import compare as room

    here = room.Grid(params.grid, paths.CELLS)
    there = room.grid_at(given[0]) if given else here
    if not first and given:
        lines, count = room.differing(here, there, params.answers)
        print("\n".join([f"{count} cells in both; {len(lines)} differ", *lines]))
        return
    if not first or not second:
        raise UserError(
            "compare: expected two intermediates, or --with FOLDER; as `xstilts compare mnli none`"
        )
    for name in target or ():
        section_of(params.targets, "targets", name)
    both = [name for name in params.grid.targets if name in there.settings.targets]
    found = room.compare((here, first), (there, second), target or both, params.answers)
    print("\n".join(room.render(one, bool(target)) for one in found))
