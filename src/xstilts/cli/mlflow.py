"""The commands that talk to MLflow: log, ui.

As in `main`, nothing heavy is imported until one of them runs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from xstilts.cli.tools import load_params
from xstilts.errors import UserError

if TYPE_CHECKING:
    from xstilts.params import Params

sending = typer.Typer()


@sending.command()
def log(
    moved: Annotated[
        bool, typer.Option("--moved", help="First bring mlflow.db's artefacts here: it is a copy.")
    ] = False,
) -> None:
    """Send to MLflow what is on disk and not there yet; mark the runs that are current.

    Example: xstilts log; in a copied checkout: xstilts log --moved
    """
    params = load_params()
    if moved:
        from xstilts.running import copied
        from xstilts.running.server import database_of, tracking_uri

        database = database_of(tracking_uri())
        if database is None or not database.is_file():
            raise UserError(
                f"--moved: {tracking_uri()}: no such SQLite file; expected the mlflow.db of a "
                "copied checkout; leave --moved out"
            )
        print(f"{database.name}: {copied.bring_here(database)} places now below {database.parent}")
    raise typer.Exit(send(params))


@sending.command()
def ui(
    port: Annotated[int, typer.Option(help="0: MLflow's usual one, or any that is free.")] = 0,
    opens: Annotated[bool, typer.Option("--open", help="Open a browser there.")] = False,
) -> None:
    """MLflow's pages, at a table of all intermediates and targets, until Ctrl-C.

    Example: xstilts ui --open
    """
    params = load_params()
    from xstilts import paths
    from xstilts.running.ui import free_port, show

    free_port(port)  # said before anything is sent
    send(params)
    show(params.experiment, paths.WORK, port, opens)


def send(params: Params) -> int:
    """Send what is missing and say so; 1 where something could not be sent, else 0."""
    from xstilts import paths
    from xstilts.running import tracking

    folders = [paths.cell(*cell) for cell in params.grid.cells()]
    cells = [folder for folder in folders if folder.is_dir()]
    sent, marked, failed = tracking.log_missing(params.experiment, cells, paths.WORK)
    if sent or marked:
        print(f"MLflow: {sent} runs sent, {marked} cells marked anew")
    return 1 if failed else 0
