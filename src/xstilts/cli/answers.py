"""The commands that say what the table decides, and what would decide more of it.

As in `cli`, nothing heavy is imported until one of them runs.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from xstilts.cli.tools import TargetName, load_params, section_of
from xstilts.errors import UserError, nearest

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
    print("\n".join(room.render(one, bool(target), len(found)) for one in found))


@answering.command()
def languages(
    target: TargetName,
    facts: Annotated[
        list[Path] | None,
        typer.Option(help="More facts: a CSV with the column language and columns of numbers."),
    ] = None,
    other: Annotated[
        Path | None, typer.Option("--with", help="The cells of an archive, or a project's folder.")
    ] = None,
    exposure: Annotated[
        bool,
        typer.Option("--exposure", help="Also how well the encoder fills gaps in each language."),
    ] = False,
) -> None:
    """Along what a target's gains lie: distance from English, script, how a language is cut.

    Example: xstilts languages udpos --exposure; xstilts languages panx --facts sizes.csv
    """
    from xstilts import paths

    given = paths.to_root(*(facts or []), *([other] if other else []))
    params = load_params()
    if exposure and other:
        raise UserError(
            "--exposure: it reads this project's encoder and tables, and --with another's cells; "
            "expected one of the two; remove one"
        )
    from xstilts.looking import facts as facts_of
    from xstilts.results import compare as rooms
    from xstilts.results import slopes as room

    here = rooms.Grid(params.grid, paths.CELLS)
    grid = rooms.grid_at(given[-1]) if other else here
    if not other:
        section_of(params.targets, "targets", target)
    known = facts_of.shipped() | facts_of.known_of(grid.source(target))
    if not other:
        known |= facts_of.counted(target, params)
    if exposure:
        known |= facts_of.exposure(target, params)
    for path in given[: len(facts or [])]:
        known |= facts_of.read_facts(path)
    print(room.render(room.slopes(grid, target, known, params.answers)))


@answering.command()
def plan(
    matters: Annotated[
        float | None,
        typer.Option(
            help="Points that a difference must be sure to; none: answers.matters.", min=0.01
        ),
    ] = None,
    budget: Annotated[
        str, typer.Option(help="What it may take, as 40m or 2h; none: what reaches --matters.")
    ] = "",
    rank: Annotated[
        str, typer.Option(help="A target: which intermediate to train for it, before it is paid.")
    ] = "",
    other: Annotated[
        Path | None, typer.Option("--with", help="For --rank: the cells of an archive or project.")
    ] = None,
) -> None:
    """How many more replicates would make differences how sure, and what they would take.

    From the spread of the grid's replicates, never from what they gained. With --rank: what to
    train before a target, by guesses that cost little, and how good these are.

    Example: xstilts plan --matters 2; xstilts plan --budget 2h; xstilts plan --rank tydiqa
    """
    if rank:
        _rank(rank, other)
        return
    params = load_params()
    from xstilts import paths
    from xstilts.results import plan as room
    from xstilts.running.estimate import times_seen

    settings = params.answers
    if matters is not None:
        settings = settings.model_copy(update={"matters": matters})
    costs = room.costs_of(params.grid, times_seen())
    seconds = _seconds(budget) if budget else None
    found = room.plan(params.grid, settings, costs, paths.CELLS, seconds)
    print(room.render(found, params.grid, params.experiment, settings.matters))


def _rank(target: str, other: Path | None) -> None:
    from xstilts import paths

    given = paths.to_root(*([other] if other else []))
    params = load_params()
    from xstilts.results import choose as room
    from xstilts.results.compare import grid_at
    from xstilts.results.rungs import curves_of, nested

    if other:
        grid = grid_at(given[0])
        known = {*grid.settings.targets, *params.targets}
        if target not in known:
            raise UserError(f"--rank {target}: no such target{nearest(target, known)}")
        cells, models, probed = grid.cells, given[0] / paths.MODELS, {}
        settings, section = grid.settings, grid.answers
    else:
        from xstilts.looking.probing import probed_models

        section_of(params.targets, "targets", target)
        settings, cells, models = params.grid, paths.CELLS, paths.MODELS
        section = params.answers
        probed = probed_models(params, target)
    gains, twins = room.gains_of(settings, cells)
    sizes = room.sizes_of(settings, models)
    ways = room.kinds(gains, twins, sizes, probed, curves_of(settings, cells))
    print(room.render(room.rank(target, gains, ways, settings.targets)))
    if found := nested(settings, section.sizes, gains, cells):
        print(f"\n{room.render_nested(found)}")


def _seconds(text: str) -> float:
    units = {"s": 1, "m": 60, "h": 3600, "d": 86400}
    try:
        return float(text[:-1]) * units[text[-1:]]
    except (ValueError, KeyError):
        raise UserError(f"--budget {text}: expected a number and s, m, h or d, as 40m") from None
