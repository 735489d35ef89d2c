"""The grid as a whole in MLflow: its run, report and children, views, studies, copied checkouts."""

from __future__ import annotations

import json
import shutil
import sqlite3
import statistics
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from tests.test_tracking import Place, cell, home, model, place  # noqa: F401 (fixtures)
from xstilts.errors import UserError
from xstilts.formats.cards import Card
from xstilts.formats.tables import write_text
from xstilts.params import GridSettings
from xstilts.paths import predictions
from xstilts.results.report.cells import numbers, read_results
from xstilts.running import copied, logbook, ui, views
from xstilts.running.examples import ROWS, examples_of, spread
from xstilts.running.logbook import MODE, headline, title
from xstilts.running.monitor import start_monitor, stop_monitor
from xstilts.running.overview import CUT, shortened
from xstilts.running.server import PARENT, Server, open_server
from xstilts.running.tracking import log_missing, open_run, send_study

NOTE = "mlflow.note.content"


TARGETS = """intermediate,target,score,difference,low,high,verdict,text
mnli,xnli,56.0,6.0,5.0,7.0,up,+6.0 ▲
mnli,udpos,50.0,-1.0,-3.0,1.0,undecided,-1.0 ?
mnli,panx,50.0,-1.0,,,,-1.0
"""
Grid = tuple[Place, list[Path], Path]  # its place, the cells' folders, the report's


def made(place: Place, *names: str) -> Grid:  # noqa: F811
    """Cells of two targets and two replicates for each intermediate, and a report."""
    cells = []
    for at, (name, target, replicate) in enumerate(product(names, ("xnli", "pawsx"), (1, 2))):
        place.write(replace(model(), intermediate=name, replicate=replicate, key=name))
        numbers = {"en": 0.9, "de": 0.5 + at / 30, "sw": 0.4}
        scores = {"test": {language: {"accuracy": value} for language, value in numbers.items()}}
        card = replace(cell(row=name), target=target, replicate=replicate, scores=scores)
        cells.append(place.write(card))
    reports = place.folder / "reports"
    write_text(reports / "report.md", "# Report\n")
    write_text(reports / "targets.csv", TARGETS)
    return place, cells, reports


@pytest.fixture(scope="module")
def sent(home: Path) -> Iterator[Grid]:  # noqa: F811
    """A grid that was sent; to read alone. Without charts, which take most of the time."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("MLFLOW_TRACKING_URI", PARENT, MODE):
            patch.delenv(name, raising=False)
        patch.chdir(home)
        patch.setattr(logbook, "draw", lambda card, path: path.touch())
        grid = made(Place("a grid", home / "grid"), "none", "mnli")
        assert log_missing("a grid", grid[1], grid[0].work, grid[2]) == (12, 0, 0)
        yield grid


@pytest.fixture(autouse=True)
def no_charts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logbook, "draw", lambda card, path: path.touch())


def server_of(place: Place) -> Server:  # noqa: F811
    return open_server(place.experiment, place.work)


def run_of(place: Place, kind: str, name: str) -> Any:  # noqa: F811
    (run,) = server_of(place).search(f"tags.`xstilts.{kind}_run` = '{name}'")
    return run


def tags_of(place: Place) -> dict[str, str]:  # noqa: F811
    server = server_of(place)
    return dict(server.client.get_experiment(server.id).tags)


def test_a_grid_is_one_run_with_its_report_and_children(sent: Grid) -> None:
    place, _, _ = sent  # noqa: F811
    whole = run_of(place, "grid", place.experiment)
    assert (whole.info.run_name, whole.data.tags[NOTE]) == (place.experiment, "# Report\n")
    client = server_of(place).client
    names = {file.path for file in client.list_artifacts(whole.info.run_id)}
    assert names == {"report.md", "targets.csv"}
    answers = {name: value for name, value in whole.data.metrics.items() if "/" in name}
    assert answers == {
        "mnli/xnli.difference": 6.0, "mnli/xnli.low": 5.0, "mnli/xnli.high": 7.0,
        "mnli/udpos.difference": -1.0, "mnli/udpos.low": -3.0, "mnli/udpos.high": 1.0,
    }  # fmt: skip
    assert whole.data.tags["xstilts.decided"] == "mnli on xnli +6.0 ▲"
    parents = {run.data.tags["mlflow.parentRunId"] for run in place.runs()}
    assert parents == {whole.info.run_id}
    shown = {run.info.run_name for run in place.runs("tags.`xstilts.target` = 'xnli'")}
    assert shown == {"none -> xnli", "none -> xnli #2", "mnli -> xnli", "mnli -> xnli #2"}


def test_a_changed_report_replaces_the_old_one(place: Place) -> None:  # noqa: F811
    reports, runs = place.folder / "reports", set()
    for text in ("# Old\n", "# New\n", "# New\n"):
        write_text(reports / "report.md", text)
        assert log_missing(place.experiment, [], place.work, reports) == (0, 0, 0)
        run = run_of(place, "grid", place.experiment)
        runs.add(run.info.run_id)
        assert run.data.tags[NOTE] == text
    assert len(runs) == 1


def test_a_long_report_is_cut_between_its_tables() -> None:
    assert shortened("short", 100) == "short"
    text = "\n\n".join(f"| block {n} |" for n in range(1000))
    cut = shortened(text, 8000)
    assert len(cut) <= 8000 and cut.endswith(CUT)
    assert text.startswith(cut.removesuffix(CUT)) and cut.removesuffix(CUT).endswith("|")


def test_means_of_the_first_view_are_the_reports_own(sent: Grid) -> None:
    place, _, _ = sent  # noqa: F811
    settings = GridSettings(
        intermediates=["none", "mnli"], targets=["xnli", "pawsx"], replicates=[1, 2]
    )
    report = numbers(read_results("", settings, place.folder / "cells"), zero_shot=True)
    view = views.unpacked(tags_of(place)[views.TAG + views.FIRST])[1]
    assert view["selectedColumns"] == ["metrics.`mean`", "metrics.`xnli`", "metrics.`pawsx`"]
    shown: dict[str, list[Any]] = {}
    for run in server_of(place).search(view["searchFilter"]):
        shown.setdefault(run.data.tags["xstilts.intermediate"], []).append(run.data.metrics)
    for name, replicates in report.items():
        for column in ("xnli", "pawsx", "mean"):
            ours = statistics.fmean(metrics[column] for metrics in shown[name])
            assert ours == statistics.fmean(values[column] for values in replicates.values())


def test_views_are_written_once_and_read_back(sent: Grid) -> None:
    place, cells, reports = sent  # noqa: F811
    first = {key: value for key, value in tags_of(place).items() if key.startswith(views.TAG)}
    found = {key.removeprefix(views.TAG): views.unpacked(value) for key, value in first.items()}
    assert {key: name for key, (name, _) in found.items()} == {
        "cells": "cells by intermediate",
        "language-xnli": "xnli by language",
        "language-pawsx": "pawsx by language",
    }
    state = found["language-xnli"][1]
    columns = ["xnli", "test.en", "test.de", "test.sw"]
    assert state["selectedColumns"] == [f"metrics.`{name}`" for name in columns]
    assert len(list(server_of(place).search(state["searchFilter"]))) == 4
    assert log_missing(place.experiment, cells, place.work, reports) == (0, 0, 0)
    again = tags_of(place)
    assert all(again[key] == value for key, value in first.items())


def test_a_view_of_forty_languages_fits_into_a_tag() -> None:
    names = [f"test.l{number}" for number in range(40)]
    made = views.views_of({"xnli": names}, map(str, range(50)), ["learning_rate"])
    assert max(len(views.packed(view, 1)) for view in made.values()) < 5000
    assert set(made) == {"cells", "language-xnli", "studies"}
    assert views.unpacked("of another client") == views.unpacked("[]") == ("", {})


def test_a_view_that_fails_costs_no_run(
    place: Place,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    _, cells, reports = made(place, "none")
    server = server_of(place)
    monkeypatch.setattr(server.client, "set_experiment_tag", None)  # as of an MLflow without it
    assert log_missing(place.experiment, cells, place.work, reports) == (6, 0, 0)
    lines = capsys.readouterr().err.splitlines()
    assert [line.split(":")[:2] for line in lines] == [["warning", " a view is missing in MLflow"]]


def test_a_study_holds_its_trials_and_what_it_found(place: Place) -> None:  # noqa: F811
    run = open_run(place.experiment, "study-target-xnli-0", place.work)
    run.step(1, {"train.loss": 1.0})
    run.finish_trial({"learning_rate": 1e-3, "epochs": 2.0}, 0.5, "s1", "accuracy")
    folder = place.folder / "study"
    for name in ("importance.png", "trials.csv", "notes.txt"):
        write_text(folder / name, "x")
    values = {"learning_rate": 1e-3, "metric": "accuracy", "score": 0.5, "trial": 0, "trials": 1}
    send_study(place.experiment, "target", "xnli", values, folder, place.work)
    whole = run_of(place, "study", "study target/xnli")
    assert "| learning_rate | 0.001 |" in whole.data.tags[NOTE]
    assert whole.data.metrics == {"score": 0.5}
    files = server_of(place).client.list_artifacts(whole.info.run_id)
    assert {file.path for file in files} == {"importance.png", "trials.csv"}
    (trial,) = place.runs()
    assert trial.info.run_name == "trial 0"
    assert trial.data.tags["mlflow.parentRunId"] == whole.info.run_id
    grid_run = run_of(place, "grid", place.experiment)
    assert whole.data.tags["mlflow.parentRunId"] == grid_run.info.run_id


def test_log_sends_a_study_that_was_not_sent(
    place: Place,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for mode in ("later", "on"):
        monkeypatch.setenv(MODE, mode)
        if mode == "later":
            send_study(
                place.experiment, "target", "xnli", {"score": 0.5}, Path("absent"), place.work
            )
        log_missing(place.experiment, [], place.work, place.folder / "reports")
    assert run_of(place, "study", "study target/xnli").data.metrics == {"score": 0.5}


def test_unreachable_mlflow_loses_no_study(
    place: Place,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    send_study(place.experiment, "target", "xnli", {"score": 0.5}, Path("absent"), place.work)
    assert capsys.readouterr().err.startswith("warning: study target/xnli: not sent to MLflow")


@pytest.mark.parametrize(
    ("key", "wanted"),
    [
        ("target-mnli-xnli-1", "mnli -> xnli"),
        ("target-mnli-10k-xnli-3", "mnli-10k -> xnli #3"),
        ("intermediate-mnli-10k-1", "intermediate mnli-10k"),
        ("intermediate-none-2", "intermediate none #2"),
        ("pretrain", "pretrain"),
        ("study-intermediate-mnli-10k-3", "trial 3"),
    ],
)
def test_runs_have_names_that_people_read(key: str, wanted: str) -> None:
    assert title(key) == wanted


def test_headline_says_numbers_selection_and_what_to_mind() -> None:
    scores = {"test": {"en": {"accuracy": 0.8}, "de": {"accuracy": 0.7}, "sw": {"accuracy": 0.5}}}
    lines = headline(replace(cell(), scores=scores, flags=("collapsed: all 'neutral'",)))
    assert lines.split("\n\n") == [
        "**60.0** zero-shot, English 80.0, best de 70.0, lowest sw 50.0 "
        "(accuracy, test, 2 languages beside English)",
        "Checkpoint of step 2 of 2: English dev 50.0 (accuracy, 100 rows)",
        "Mind: collapsed: all 'neutral'",
    ]
    assert headline(Card("pretrain")) == ""


def test_a_checkout_that_was_copied_is_found_and_mended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    there, here = tmp_path / "first é", tmp_path / "copy é"
    for folder in (there, here):
        monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
        if folder == there:
            folder.mkdir()
        else:
            shutil.copytree(there, here)
        monkeypatch.chdir(folder)
        if folder == there:
            place = Place("small world", folder / "x")
            place.finish(cell(), chart=False)
    with pytest.raises(UserError, match=r"^mlflow.db: its artefacts lie in .*xstilts log --moved"):
        open_server("small world", here / "work")
    assert copied.bring_here(here / "mlflow.db") > 0
    assert copied.bring_here(here / "mlflow.db") == 0
    server = open_server("small world", here / "work")
    (run,) = server.by_cell()["target-mnli-xnli-1"]
    assert run.info.artifact_uri.startswith((here / "mlartifacts").as_uri())
    assert "card.json" in {file.path for file in server.client.list_artifacts(run.info.run_id)}
    with closing(sqlite3.connect(here / "mlflow.db")) as connection:
        connection.execute("VACUUM")  # what updates left on free pages
    assert f"{there.as_uri()}/".encode() not in (here / "mlflow.db").read_bytes()


def test_a_store_with_nothing_to_show_is_said(
    place: Place,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with pytest.raises(UserError, match=r"nothing of '.*' to show; expected a finished cell"):
        ui.show(place.experiment, place.work, 0, False)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with pytest.raises(UserError, match=r"^http://127\.0\.0\.1:9: does not answer: "):
        ui.show(place.experiment, place.work, 0, False)


def test_the_machines_metrics_are_on_the_run(place: Place) -> None:  # noqa: F811
    server = server_of(place)
    run = server.create("target-mnli-xnli-1", 1)
    monitor = start_monitor(server, run)
    monitor.collect_metrics()
    monitor.publish_metrics(monitor.aggregate_metrics())
    stop_monitor(monitor)
    (found,) = place.runs()
    assert "system/cpu_utilization_percentage" in found.data.metrics


def test_examples_are_the_same_rows_for_all_cells(small_world: Path) -> None:
    from xstilts.formats.cards import read_card

    for target, texts in (("xnli", True), ("xquad", True), ("udpos", True), ("bucc2018", False)):
        folder = small_world / "cells/none" / target / "1"
        table = examples_of(folder, read_card(folder))
        assert list(table) == ["id", "prediction", "gold", "text", "language"]
        assert len(set(table["id"])) == len(table["id"]) > 0
        assert any(table["text"]) == texts
        assert any(table["prediction"]) and any(table["gold"])
    assert [len(spread(range(n))) for n in (5, ROWS, ROWS + 1, 10_000)] == [5, ROWS, ROWS, ROWS]
    assert len(set(spread(range(ROWS + 1)))) == ROWS


def test_texts_of_another_table_are_not_shown(tmp_path: Path, small_world: Path) -> None:
    from xstilts.formats.cards import read_card

    shutil.copytree(small_world / "cells/none/xnli", tmp_path / "cells/none/xnli")
    folder = tmp_path / "cells/none/xnli/1"
    assert not any(examples_of(folder, read_card(folder))["text"])  # no table beside the cell
    shutil.copytree(small_world / "data/target/pawsx", tmp_path / "data/target/xnli")
    assert not any(examples_of(folder, read_card(folder))["text"])
    for path in predictions(folder).iterdir():
        assert json.loads(path.read_text(encoding="utf-8").split("\n")[0])["id"]
