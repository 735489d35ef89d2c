"""How often runs that differ in seeds alone are called different, with the report's own intervals.

    xstilts use alike-world && xstilts grid --jobs 2 && python benchmarks/alike.py

Draws handfuls of a line's replicates, without putting back, and compares the one with the other as
the report compares an intermediate with the baseline: ▲ and ▼ are decided. What is called
different at random should be 5 percent or less, whatever shape the seeds' spread has.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np

from xstilts.console import bar
from xstilts.params import BASELINE, AnswerSettings
from xstilts.results.answers.measure import Summed, measure
from xstilts.results.answers.table import DECIDED, compared, judged
from xstilts.results.compare import grid_at
from xstilts.results.report.decided import sums_of


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "folder", type=Path, nargs="?", default=Path("."), help="project or archive"
    )
    parser.add_argument("--line", default=BASELINE)
    parser.add_argument("--target", default="xnli")
    parser.add_argument("--draws", type=int, default=2000)
    parser.add_argument("--replicates", type=int, nargs="+", default=[3, 5])
    given = parser.parse_args()
    grid = grid_at(given.folder)
    column = grid.column(given.target, given.line)
    whole = sums_of(column, grid.cells)
    runs = [place for place in whole.trainings if place[0] == given.line]
    numbers = 100 * measure([whole]).values
    print(
        f"{given.line} on {given.target}: {len(runs)} runs, {numbers.mean():.1f} "
        f"± {numbers.std(ddof=1):.1f}, from {numbers.min():.1f} to {numbers.max():.1f}"
    )
    for many in given.replicates:
        share = called(whole, runs, many, given.draws)
        print(f"{many} against {many}, {given.draws} draws: {100 * share:.1f} % decided")


def called(whole: Summed, runs: list[tuple[str, int]], many: int, draws: int) -> float:
    """The share of draws in which one handful is called better or worse than the other."""
    random, section = np.random.default_rng(1), AnswerSettings()
    shown = bar(draws, f"{many} against {many}", "draws")
    hits = 0
    for _ in range(draws):
        chosen = random.permutation(len(runs))[: 2 * many]
        names = [BASELINE] * many + ["other"] * many
        trainings = {
            (name, place): whole.trainings[runs[number]]
            for place, (name, number) in enumerate(zip(names, chosen, strict=True), 1)
        }
        measured = measure([replace(whole, trainings=trainings)])
        found = judged(compared(measured, section, fixed=False, blocks=False), section)
        hits += found["other"].verdict in DECIDED
        shown.update()
    shown.close()
    return hits / draws


if __name__ == "__main__":
    main()
