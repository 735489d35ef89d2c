"""How long the report of a large grid takes, and a plan of it: made-up cells with their sums.

    python benchmarks/answers.py
    python benchmarks/answers.py --intermediates 10 --targets 9 --replicates 3 --languages 40

Each language of a cell has --rows right and wrong rows, the same in all languages, as an archive
has them: no study's pictures are in it. Prints JSON: seconds of the whole report, of what decides
in it (intervals, verdicts, the spread over languages) and of `xstilts plan`.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path

import numpy as np

from xstilts.formats.cards import Card, Selection, write_card
from xstilts.formats.tables import write_text
from xstilts.params import AnswerSettings, GridSettings
from xstilts.results.answers.measure import Sums
from xstilts.results.answers.sums import as_text


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--intermediates", type=int, default=10)
    parser.add_argument("--targets", type=int, default=9)
    parser.add_argument("--replicates", type=int, default=3)
    parser.add_argument("--languages", type=int, default=40)
    parser.add_argument("--rows", type=int, default=300)
    arguments = parser.parse_args()
    from xstilts.results.plan import plan
    from xstilts.results.report import report_stage
    from xstilts.results.report.beyond import beyond
    from xstilts.results.report.cells import read_results
    from xstilts.results.report.decided import answers_of, readable

    with tempfile.TemporaryDirectory() as work:
        folder, section = Path(work), AnswerSettings()
        grid = made(folder, arguments)
        start = time.perf_counter()
        report_stage("made up", grid, section, *(folder / n for n in ("cells", "out", "studies")))
        whole = time.perf_counter()
        results = read_results("", grid, folder / "cells")
        columns = readable(results, folder / "cells")
        read = time.perf_counter()
        answers_of(results, columns, section)
        beyond(columns, section, blocks=False)
        decided = time.perf_counter()
        plan(grid, section, None, folder / "cells")
        planned = time.perf_counter()
    seconds = {"report": whole - start, "reading": read - whole, "deciding": decided - read,
               "plan": planned - decided}  # fmt: skip
    print(json.dumps({**vars(arguments), **{k: round(v, 2) for k, v in seconds.items()}}, indent=1))


def made(folder: Path, size: argparse.Namespace) -> GridSettings:
    """The cells: rows are right by chance, more of them where the language is easy."""
    random = np.random.default_rng(1)
    names = ["none", *(f"row-{n}" for n in range(1, size.intermediates))]
    targets = [f"target-{n}" for n in range(size.targets)]
    codes = [f"l{n}" for n in range(size.languages)]
    clusters = tuple(map(str, range(size.rows)))
    easy = random.uniform(0.3, 0.8, (size.targets, size.languages))
    for column, target in enumerate(targets):
        for name in names:
            for run in range(1, size.replicates + 1):
                right = random.random((size.languages, size.rows)) < easy[column][:, None]
                sums = {
                    code: Sums(clusters, {"accuracy": np.stack([row, np.ones(size.rows)], 1)})
                    for code, row in zip(codes, right.astype(float), strict=True)
                }
                card = Card(
                    "target", name, target, run, "classification", "made up", "made up",
                    selection=Selection("accuracy", 0.7, 3, 4, 100),
                    scores={"test": {code: {"accuracy": of.score("accuracy")}
                                     for code, of in sums.items()}},
                    main=("accuracy",), passport={"metrics": {"accuracy": "plain"}},
                    inputs={"encoder": "e"},
                )  # fmt: skip
                where = folder / "cells" / name / target / str(run)
                write_card(where, card)
                write_text(where / "sums.json", as_text(sums))
    return GridSettings(
        intermediates=names, targets=targets, replicates=[*range(1, size.replicates + 1)]
    )


if __name__ == "__main__":
    main()
