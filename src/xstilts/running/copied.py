"""A database whose artefacts lie in another folder: that of a checkout that was copied or moved.

MLflow keeps their place as a whole path, so a copy would write into the original. What enters: the
database file and the place that it names. What leaves: an error of one line, or the mended file.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from urllib.parse import unquote, urlparse

from xstilts.errors import UserError

ARTEFACTS = "mlartifacts"  # the folder beside the database
# What of MLflow's tables holds a place; a test asks the pinned MLflow whether that is still all.
PLACES = (
    ("experiments", "artifact_location"),
    ("runs", "artifact_uri"),
    ("logged_models", "artifact_location"),
)


def require_here(database: Path, location: str) -> None:
    """UserError where an experiment's artefacts lie in such a folder of another database."""
    if _base(location) not in (None, database.parent):
        raise UserError(
            f"{database.name}: its artefacts lie in {_base(location)}, as this checkout is a copy "
            f"or was moved; expected {database.parent}, or writes would go there; "
            "run `xstilts log --moved`"
        )


def bring_here(database: Path) -> int:
    """Rewrite, in one transaction, all places in folders of other checkouts; how many there were.

    Places that are elsewhere by somebody's choice (another folder's name, s3://) stay.
    """
    moved = 0
    with closing(sqlite3.connect(database)) as connection, connection:
        for table, column in PLACES:
            found = connection.execute(f"SELECT DISTINCT {column} FROM {table}").fetchall()
            for (place,) in found:
                base = _base(place or "")
                if base not in (None, database.parent):
                    here = database.parent.as_uri() + place.removeprefix(base.as_uri())
                    statement = f"UPDATE {table} SET {column} = ? WHERE {column} = ?"
                    moved += connection.execute(statement, (here, place)).rowcount
    return moved


def _base(location: str) -> Path | None:
    """FOLDER of file:///FOLDER/mlartifacts/EXPERIMENT...; None of any other place."""
    parts = urlparse(location)
    folders = Path(unquote(parts.path)).parts
    if parts.scheme != "file" or ARTEFACTS not in folders:
        return None
    return Path(*folders[: len(folders) - 1 - folders[::-1].index(ARTEFACTS)])
