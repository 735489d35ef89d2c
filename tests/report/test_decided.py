"""The report says what is decided: made-up cells with their sums, as an archive has them."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from tests.answers.made_up import Regime, column
from xstilts.errors import UserError
from xstilts.formats.cards import Card, Scores, Selection, write_card
from xstilts.formats.tables import write_text
from xstilts.params import AnswerSettings, GridSettings
from xstilts.results.answers.sums import as_text
from xstilts.results.report import report_stage
from xstilts.results.report.terminal import show

REGIME = Regime(1.0, 400, 3)
NAMES = ("none", "mnli", "squad1")


def made(
    folder: Path, replicates: int, encoders: bool = False, frozen: bool = False
) -> GridSettings:
    """Cells of two targets; `mnli` gains twelve points, nothing else differs but by chance."""
    rng = np.random.default_rng(5)
    for target in ("xnli", "pawsx"):
        of = column(REGIME, dict.fromkeys(NAMES, replicates), rng)
        for (name, r), sums in of.trainings.items():
            for one in sums.values() if name == "mnli" else ():
                wrong = np.flatnonzero(one.metrics["accuracy"][:, 0] == 0)[:48]
                one.metrics["accuracy"][wrong, 0] = 1.0
            test = {code: {"accuracy": one.score("accuracy")} for code, one in sums.items()}
            scores: Scores = {"test": test}
            card = Card(
                "target", name, target, r, "classification", "tiny", "world",
                selection=None if frozen else Selection("accuracy", 0.7, 3, 4, 100),
                scores=scores, main=("accuracy",),
                passport={"metrics": {"accuracy": "plain"}},
                inputs={"encoder": f"e{r}" if encoders else "e"},
            )  # fmt: skip
            where = folder / "cells" / name / target / str(r)
            write_card(where, card)
            write_text(where / "sums.json", as_text(sums))
    return GridSettings(
        intermediates=list(NAMES),
        targets=["xnli", "pawsx"],
        replicates=list(range(1, replicates + 1)),
    )


def report(folder: Path, grid: GridSettings) -> str:
    parts = (folder / name for name in ("cells", "reports", "studies"))
    report_stage("made up", grid, AnswerSettings(), *parts)
    return (folder / "reports/report.md").read_text(encoding="utf-8")


def test_what_is_decided_is_signed_in_every_form(tmp_path: Path) -> None:
    text = report(tmp_path, made(tmp_path, 3))
    zero_shot = text[text.index("## Zero-shot languages") :]
    (line,) = [one for one in zero_shot.splitlines() if one.startswith("| mnli |")][:1]
    assert line.count("▲") == 2 and line.count("[+") == 2
    assert "- of 4 cells 2 are decided" in text
    assert "`mnli` on xnli: +1" in text and "helps in at least 3 of 3 languages" in text
    lines = csv.DictReader((tmp_path / "reports/grid.csv").read_text("utf-8").splitlines())
    found = {
        (one["intermediate"], one["target"]): one
        for one in lines
        if one["languages"] == "zero-shot"
    }
    one = found["mnli", "xnli"]
    assert one["verdict"] == "up" and float(one["low"]) > 0.02 and float(one["p_holm"]) < 0.05
    assert found["squad1", "xnli"]["verdict"] in ("undecided", "equal")
    assert found["none", "xnli"]["verdict"] == ""
    plotted = csv.DictReader((tmp_path / "reports/targets.csv").read_text("utf-8").splitlines())
    (same,) = [p for p in plotted if (p["intermediate"], p["target"]) == ("mnli", "xnli")]
    assert same["verdict"] == "up" and same["text"].endswith(" ▲")
    assert float(same["low"]) == pytest.approx(100 * float(one["low"]))
    assert (tmp_path / "reports/forest.png").stat().st_size > 5000
    assert (tmp_path / "reports/languages.png").stat().st_size > 5000
    of = csv.DictReader((tmp_path / "reports/languages.csv").read_text("utf-8").splitlines())
    assert all(float(one["low"]) < float(one["difference"]) < float(one["high"]) for one in of)
    console = Console(record=True, width=120)
    show(console, tmp_path / "reports")
    assert console.export_text().count("▲)") == 3  # and the mean of targets


def test_one_replicate_has_no_verdict(tmp_path: Path) -> None:
    text = report(tmp_path, made(tmp_path, 1))
    assert "nobody knows what another seed would give" in text
    assert "seeds unknown" in text and "▲" not in text.partition("## What is decided")[0]


def test_encoders_of_their_own_are_compared_replicate_by_replicate(tmp_path: Path) -> None:
    text = report(tmp_path, made(tmp_path, 3, encoders=True))
    assert "Replicates have encoders of their own" in text


def test_cards_alone_have_no_intervals(tmp_path: Path) -> None:
    grid = made(tmp_path, 3)
    for path in tmp_path.rglob("sums.json"):
        path.unlink()
    assert "No intervals" in report(tmp_path, grid)
    assert not (tmp_path / "reports/forest.png").exists()


def test_sums_that_are_not_the_cards_are_an_error(tmp_path: Path) -> None:
    grid = made(tmp_path, 3)
    path = tmp_path / "cells/mnli/xnli/2/sums.json"
    other = (tmp_path / "cells/none/xnli/2/sums.json").read_text(encoding="utf-8")
    write_text(path, other)
    with pytest.raises(UserError, match=r"mnli/xnli/2/sums.json: .* on the card"):
        report(tmp_path, grid)


def test_more_of_the_baseline_counts_and_is_a_stage_group_of_its_own(tmp_path: Path) -> None:
    """Six replicates of `none` beside three: its mean is over six, and differences are surer."""
    grid = made(tmp_path, 6)
    three = grid.model_copy(update={"replicates": [1, 2, 3]})
    more = three.model_copy(update={"more_baseline": [4, 5, 6]})
    widths = []
    for grid in (three, more):
        report(tmp_path, grid)
        lines = csv.DictReader((tmp_path / "reports/grid.csv").read_text("utf-8").splitlines())
        wanted = {"intermediate": "mnli", "target": "xnli", "languages": "zero-shot"}
        (line,) = (one for one in lines if wanted.items() <= one.items())
        widths.append(float(line["high"]) - float(line["low"]))
    assert widths[1] < widths[0]
    assert "(of the baseline, 3 more)" in (tmp_path / "reports/report.md").read_text("utf-8")
    assert more.stage("none", "xnli", 4) == "baseline@xnli-4"
    assert more.stage("none", "xnli", 3) == "target@none-xnli-3"
