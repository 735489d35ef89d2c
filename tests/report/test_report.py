"""The report on made-up cards: exactly the grid's cells, differences, passports, equal bytes."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from xstilts.errors import UserError
from xstilts.formats.cards import Card, Selection, write_card
from xstilts.formats.tables import write_text
from xstilts.params import AnswerSettings, GridSettings
from xstilts.results.report import report_stage
from xstilts.results.report.terminal import show

NINE = ["xnli", "pawsx", "udpos", "panx", "xquad", "mlqa", "tydiqa", "bucc2018", "tatoeba"]


def card(row: str, task: str, replicate: int, de: float, en: float = 0.8) -> Card:
    return Card(
        "target",
        row,
        task,
        replicate,
        "classification",
        "tiny",
        "world",
        selection=Selection("accuracy", 0.75, 3, 4, 100),
        scores={"test": {"en": {"accuracy": en}, "de": {"accuracy": de}}},
        main=("accuracy",),
        passport={"metrics": {"accuracy": "plain"}, "scorer": "s1", "seed": replicate},
    )


def write(cells: Path, *cards: Card) -> Path:
    for one in cards:
        write_card(cells / one.intermediate / one.target / str(one.replicate), one)
    return cells


def grid(rows: list[str], targets: list[str], replicates: tuple[int, ...] = (1,)) -> GridSettings:
    return GridSettings(intermediates=rows, targets=targets, replicates=list(replicates))


def report(tmp_path: Path, settings: GridSettings) -> str:
    folders = [tmp_path / name for name in ("cells", "reports", "studies")]
    report_stage("made up", settings, AnswerSettings(), *folders)
    return (tmp_path / "reports/report.md").read_text(encoding="utf-8")


def read_csv(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(path.read_text(encoding="utf-8").splitlines()))


def two_rows(tmp_path: Path) -> GridSettings:
    write(tmp_path / "cells", card("none", "xnli", 1, 0.5), card("mnli", "xnli", 1, 0.56))
    return grid(["none", "mnli"], ["xnli"])


def test_report_shows_differences_to_the_baseline(tmp_path: Path) -> None:
    text = report(tmp_path, two_rows(tmp_path))
    assert "| mnli | 68.0 (+3.0) |" in text  # with English
    assert "| mnli | 56.0 (+6.0) |" in text  # zero-shot
    assert "| de | 50.0 | 56.0 (+6.0) |" in text


def test_scores_csv_is_long_and_in_fractions(tmp_path: Path) -> None:
    report(tmp_path, two_rows(tmp_path))
    lines = read_csv(tmp_path / "reports/scores.csv")
    found = [line for line in lines if line["intermediate"] == "mnli" and line["language"] == "de"]
    assert [(line["split"], line["value"]) for line in found] == [("test", "0.56")]
    assert sum(line["split"] == "select" for line in lines) == 2


def test_plots_and_metrics_are_in_percent(tmp_path: Path) -> None:
    report(tmp_path, two_rows(tmp_path))
    line = read_csv(tmp_path / "reports/targets.csv")[0]
    assert (line["intermediate"], line["target"]) == ("mnli", "xnli")
    assert float(line["difference"]) == pytest.approx(6.0)
    assert (line["text"], line["low"], line["verdict"]) == ("+6.0", "", "")  # cards alone
    metrics = json.loads((tmp_path / "reports/metrics.json").read_text(encoding="utf-8"))
    assert metrics["mnli"]["zero-shot"] == {"mean": 56.0, "xnli": 56.0}


def test_missing_cell_is_named(tmp_path: Path) -> None:
    settings = two_rows(tmp_path)
    (tmp_path / "cells/mnli/xnli/1/card.json").unlink()
    with pytest.raises(UserError, match=r"mnli/xnli/1: no card;.*target@mnli-xnli-1"):
        report(tmp_path, settings)


def test_leftover_cells_are_named_not_read(tmp_path: Path) -> None:
    settings = two_rows(tmp_path)
    write(tmp_path / "cells", card("old", "xnli", 1, 0.99))
    text = report(tmp_path, settings)
    assert "- cells/old/xnli/1" in text
    assert "99.0" not in text


@pytest.mark.parametrize(
    "change",
    [
        {"passport": {"metrics": {"accuracy": "plain"}, "scorer": "s2", "seed": 1}},
        {"encoder": "other"},
        {"scores": {"test": {"en": {"accuracy": 0.8}}}},
    ],
)
def test_unlike_passports_are_refused(tmp_path: Path, change: dict[str, object]) -> None:
    settings = two_rows(tmp_path)
    write(tmp_path / "cells", replace(card("mnli", "xnli", 1, 0.6), **change))
    with pytest.raises(UserError, match=r"mnli/xnli/1: .*none/xnli/1.*one meaning"):
        report(tmp_path, settings)


def test_seeds_and_thresholds_may_differ(tmp_path: Path) -> None:
    settings = two_rows(tmp_path)
    other = card("mnli", "xnli", 1, 0.6)
    passport = {**other.passport, "seed": 7, "thresholds (set on dev)": {"de": 0.3}}
    write(tmp_path / "cells", replace(other, passport=passport))
    assert "| mnli | 70.0 (+5.0) |" in report(tmp_path, settings)


def test_same_cards_give_the_same_bytes(tmp_path: Path) -> None:
    settings = two_rows(tmp_path)
    report(tmp_path, settings)
    first = {path.name: path.read_bytes() for path in (tmp_path / "reports").iterdir()}
    report(tmp_path, settings)
    assert {path.name: path.read_bytes() for path in (tmp_path / "reports").iterdir()} == first
    assert len(first) == 8


def test_replicates_give_mean_and_spread_of_paired_gains(tmp_path: Path) -> None:
    for replicate, (base, other) in enumerate([(0.5, 0.6), (0.6, 0.7)], 1):
        ours = card("none", "xnli", replicate, base), card("mnli", "xnli", replicate, other)
        write(tmp_path / "cells", *ours)
    text = report(tmp_path, grid(["none", "mnli"], ["xnli"], (1, 2)))
    assert "| mnli | 65.0 ± 7.1 (+10.0 ± 0.0) |" in text


def test_xtreme_average_needs_all_nine(tmp_path: Path) -> None:
    cards = [card(row, task, 1, 0.5) for row in ("none", "mnli") for task in NINE]
    write(tmp_path / "cells", *cards)
    whole = report(tmp_path, grid(["none", "mnli"], NINE))
    assert "XTREME (all nine)" in whole
    assert "without retrieval" in whole
    assert "XTREME (all nine)" not in report(tmp_path, grid(["none", "mnli"], NINE[:8]))


def test_xtreme_r_has_an_average_of_its_own(tmp_path: Path) -> None:
    """The plain mean of ten, which XTREME's own script can never form."""
    ten = [*NINE[:1], *NINE[2:7], "tatoeba", "xcopa", "lareqa", "mewslix"]
    numbers = {task: 0.1 * place for place, task in enumerate(ten)}
    write(tmp_path / "cells", *(card("none", task, 1, numbers[task], en=0.0) for task in ten))
    settings = grid(["none"], ten).model_copy(update={"benchmark": "xtreme-r"})
    whole = report(tmp_path, settings)
    assert "XTREME-R (all ten)" in whole and "XTREME (all nine)" not in whole
    lines = read_csv(tmp_path / "reports/grid.csv")
    (found,) = (x for x in lines if x["target"] == "all" and x["languages"] == "zero-shot")
    assert float(found["score"]) == pytest.approx(0.45)


def test_dev_is_reported_where_test_has_no_gold(tmp_path: Path) -> None:
    cards = [
        replace(card(row, "bucc2018", 1, 0.5), scores={"dev": {"zh": {"accuracy": 0.4}}})
        for row in ("none", "mnli")
    ]
    write(tmp_path / "cells", *cards)
    text = report(tmp_path, grid(["none", "mnli"], ["bucc2018"]))
    assert "### bucc2018 (dev)" in text
    assert "1: zh (no English)" in text


def test_flags_and_notes_are_shown_once(tmp_path: Path) -> None:
    cards = [
        replace(
            card(row, "xnli", 1, 0.5), flags=("collapsed",) * (row == "mnli"), notes=("stood in",)
        )
        for row in ("none", "mnli")
    ]
    write(tmp_path / "cells", *cards)
    text = report(tmp_path, grid(["none", "mnli"], ["xnli"]))
    assert "- mnli/xnli/1: collapsed" in text
    assert "- xnli: stood in" in text


def test_a_grid_without_baseline_shows_scores_alone(tmp_path: Path) -> None:
    write(tmp_path / "cells", card("mnli", "xnli", 1, 0.5))
    assert "| mnli | 65.0 |" in report(tmp_path, grid(["mnli"], ["xnli"]))


def test_a_linked_output_keeps_its_other_end(tmp_path: Path) -> None:
    settings = two_rows(tmp_path)
    report(tmp_path, settings)
    kept = tmp_path / "cache"
    kept.hardlink_to(tmp_path / "reports/report.md")
    before = kept.read_bytes()
    write(tmp_path / "cells", card("mnli", "xnli", 1, 0.9))
    report(tmp_path, settings)
    assert kept.read_bytes() == before


def test_an_empty_grid_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="nothing to report"):
        report(tmp_path, GridSettings())


def test_headline_is_one_number_an_intermediate_and_one_without_retrieval(tmp_path: Path) -> None:
    report(tmp_path, two_rows(tmp_path))
    mean = json.loads((tmp_path / "reports/mean.json").read_text(encoding="utf-8"))
    assert mean == {"none": 50.0, "mnli": 56.0}  # no retrieval in this grid
    for intermediate, value in (("none", 0.9), ("mnli", 0.4)):
        write(tmp_path / "cells", card(intermediate, "tatoeba", 1, value))
    report(tmp_path, grid(["none", "mnli"], ["xnli", "tatoeba"]))
    mean = json.loads((tmp_path / "reports/mean.json").read_text(encoding="utf-8"))
    assert mean["none*"] == 50.0 and mean["mnli*"] == 56.0
    assert mean["mnli"] != mean["mnli*"]


def test_languages_have_a_line_each_but_for_the_baseline(tmp_path: Path) -> None:
    report(tmp_path, two_rows(tmp_path))
    lines = read_csv(tmp_path / "reports/languages.csv")
    assert {line["intermediate"] for line in lines} == {"mnli"}
    found = {line["language"]: float(line["difference"]) for line in lines}
    assert found["de"] == pytest.approx(6.0)
    assert set(found) == {"en", "de"}


def test_a_grids_end_shows_the_table_and_where_the_rest_is(tmp_path: Path) -> None:
    report(tmp_path, two_rows(tmp_path))
    console = Console(file=io.StringIO(), width=120)
    show(console, tmp_path / "reports")
    text = console.file.getvalue()  # type: ignore[attr-defined]
    lines = [line.split() for line in text.splitlines()]
    assert ["zero-shot,", "percent", "none", "mnli"] in lines
    assert ["xnli", "50.0", "56.0", "(+6.0)"] in lines
    assert ["mean", "of", "targets", "50.0", "56.0", "(+6.0)"] in lines
    assert "report.md" in text


STUDY = """\
learning_rate: 1.0e-05
epochs: 2.0
metric: accuracy
direction: maximize
score: 0.6
trial: 0
trials: 2
tried:
- {learning_rate: 1.0e-05, epochs: 2.0, score: 0.6, state: complete}
- {learning_rate: 3.0e-05, epochs: 3.0, score: null, state: failed}
"""


def test_report_has_what_the_grids_studies_tried(tmp_path: Path) -> None:
    for name, text in (("xnli", STUDY), ("pawsx", "{}\n"), ("gone", STUDY)):
        write_text(tmp_path / f"studies/target/{name}.yaml", text)
    report(tmp_path, two_rows(tmp_path))
    found = [path for path in (tmp_path / "reports/studies").rglob("*") if path.is_file()]
    assert [path.relative_to(tmp_path).as_posix() for path in found] == [
        "reports/studies/target/xnli/trials.csv"
    ]
    assert found[0].read_text(encoding="utf-8").splitlines() == [
        "trial,learning_rate,epochs,score,state",
        "0,1e-05,2.0,0.6,complete",
        "1,3e-05,3.0,,failed",
    ]
