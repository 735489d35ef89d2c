"""What a grid's end shows: the table on the terminal, where the rest is, what to do next."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
from rich import box
from rich.console import Console
from rich.table import Table

from xstilts.paths import REPORTS
from xstilts.results.answers.verdicts import SIGNS
from xstilts.results.report.cells import AVERAGES
from xstilts.results.report.texts import TITLES

HIDDEN = set(AVERAGES) - {"without_retrieval"}  # the report has them
NEXT = "more: {report}; `xstilts ui`; `dvc plots show --open`; `xstilts inspect TASK`"


def show(console: Console, reports: Path = REPORTS, more: str = NEXT) -> None:
    """Print reports/grid.csv for zero-shot languages, percent; in brackets the gain.

    more: the line below it, with the place of the {report}.
    """
    grid = pd.read_csv(reports / "grid.csv")
    grid = grid[(grid["languages"] == "zero-shot") & ~grid["target"].isin(HIDDEN)]
    names = list(dict.fromkeys(grid["intermediate"]))
    table = Table("zero-shot, percent", *names, box=box.SIMPLE_HEAD)
    for target, cells in grid.groupby("target", sort=False):
        by_name = cells.set_index("intermediate")
        title = TITLES.get(str(target), str(target))
        table.add_row(title, *(_cell(by_name.loc[name]) for name in names))
    console.print(table)
    console.print(
        more.format(report=reports / "report.md"), markup=False, highlight=False, soft_wrap=True
    )


def _cell(numbers: pd.Series) -> str:
    sign = SIGNS.get(numbers["verdict"], "")
    gain = "" if pd.isna(numbers["gain"]) else f" ({100 * numbers['gain']:+.1f}{sign})"
    return f"{100 * numbers['score']:.1f}{gain}"
