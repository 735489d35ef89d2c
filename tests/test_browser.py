"""`xstilts ui` in headless Chromium: each saved view shows its table, a run's page its curves.

The grid is made up. XSTILTS_SCREENSHOTS=docs writes the pictures of docs/ anew.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import statistics
import subprocess
import sys
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from tests.graphs import environment
from xstilts import params
from xstilts.formats.cards import Card, Selection, Setting, write_card
from xstilts.formats.tables import write_text
from xstilts.running.tracking import open_run, send_study

CHROMIUM = shutil.which("chromium")
REASON = "no Chromium here (apt-get install chromium), or no playwright (make setup EXTRAS=browser)"
try:
    from playwright.sync_api import Locator, Page, sync_playwright
except ImportError:
    CHROMIUM = None
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason=REASON),
]

NAMES = ("none", "mnli", "squad1", "hellaswag", "multi")
TARGETS = {
    "xnli": ("classification", "en de sw ur zh"),
    "pawsx": ("classification", "en de ja ko"),
    "udpos": ("tagging", "en de hi zh"),
    "panx": ("tagging", "en de hi zh"),
    "xquad": ("span", "en de hi zh"),
    "mlqa": ("span", "en de hi zh"),
    "tydiqa": ("span", "en fi ko te"),
    "bucc2018": ("retrieval", "de fr ru"),
    "tatoeba": ("retrieval", "de hi sw"),
}
METRICS = {"classification": ("accuracy",), "tagging": ("f1",), "span": ("f1", "exact_match"),
           "retrieval": ("f1",)}  # fmt: skip
GIVEN = {"learning_rate": 1e-3, "epochs": 1, "batch_size": 16}
SPAN = {"span": {"doc_stride": 8, "max_question": 24, "max_answer": 8}}
SETTINGS: dict[str, Any] = {
    "experiment": "a made-up grid",
    "intermediates": {n: {**GIVEN, "members": {n: None}} if n != "none" else {} for n in NAMES},
    "targets": {
        name: {"layer": 1} if family == "retrieval" else {**GIVEN, **SPAN} if family == "span"
        else GIVEN for name, (family, _) in TARGETS.items()
    },
    "grid": {"intermediates": list(NAMES), "targets": list(TARGETS), "replicates": [1]},
}  # fmt: skip


def card(intermediate: str, target: str) -> Card:
    family, languages = TARGETS[target]
    drawn = random.Random(f"{intermediate} {target}")
    base = {"none": 0.5, "mnli": 0.56, "multi": 0.58}.get(intermediate, 0.53)
    scores = {
        language: {m: round(base + drawn.uniform(-0.08, 0.2), 4) for m in METRICS[family]}
        for language in languages.split()
    }
    chosen = None if family == "retrieval" else Selection(METRICS[family][0], 0.8, 80, 100, 500)
    return Card(
        "target", intermediate, target, 1, family, "made up", "world",
        f"{intermediate}-{target}", {"learning_rate": Setting(1e-3, "params")}, chosen,
        {"test": scores}, METRICS[family],
        counts={f"test-{language}": {"predicted": 6} for language in scores},
    )  # fmt: skip


def write_cell(folder: Path, made: Card) -> None:
    out = folder / "cells" / made.intermediate / made.target / "1"
    run = open_run("a made-up grid", f"target-{made.intermediate}-{made.target}-1", folder / "work")
    for step in range(10, 101, 10) if made.selection else ():
        run.step(step, {"train.loss": 30 / (step + 20), "dev.accuracy": 0.8 - 4 / step})
    write_card(out, made)
    drawn = random.Random(f"{made.intermediate} {made.target} predictions")
    for language in made.scores["test"]:
        lines = [
            {"id": str(n), "gold": "ABC"[n % 3], "prediction": drawn.choice("ABC")}
            for n in range(6)
        ]
        text = "".join(f"{json.dumps(line)}\n" for line in lines)
        write_text(out / f"predictions/test-{language}.jsonl", text)
    run.finish(made, out)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("made-up")
    params.write(params.check(SETTINGS, Path("params.yaml")), folder / "params.yaml", "made up")
    write_text(folder / "dvc.yaml", "stages: {}\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("XSTILTS_TRACKING", "off")
        for name in NAMES:
            model = Card("intermediate", name, replicate=1, encoder="made up", key=name)
            write_card(folder / "models/intermediate" / name / "1", model)
        for name, target in product(NAMES, TARGETS):
            write_cell(folder, card(name, target))
        for trial, rate in enumerate((1e-3, 3e-4, 2e-3)):
            run = open_run("a made-up grid", f"study-target-xnli-{trial}", folder / "work")
            values = {"learning_rate": rate, "epochs": 2.0}
            run.finish_trial(values, 0.8 - abs(rate - 1e-3) * 50, "s1", "accuracy")
        send_study("a made-up grid", "target", "xnli", {"score": 0.8}, folder, folder / "work")
    write_text(
        folder / "reports/report.md", "# A made-up grid\n\n| a | b |\n|---|---|\n| 1 | 2 |\n"
    )
    return folder


@pytest.fixture(scope="module")
def address(folder: Path) -> Iterator[str]:
    """The address that `xstilts ui` prints; at the end Ctrl-C must end it, and say nothing."""
    known = environment(folder)
    for name in ("MLFLOW_TRACKING_URI", "XSTILTS_TRACKING", "XSTILTS_PARENT_RUN"):
        known.pop(name, None)
    process = subprocess.Popen(
        [sys.executable, "-W", "ignore", "-m", "xstilts", "ui"],
        cwd=folder, env=known, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    assert process.stdout
    lines = []
    while not lines or not lines[-1].startswith("http"):
        lines.append(process.stdout.readline())
        assert lines[-1], process.communicate()[1]
    assert process.stdout.readline() == "Ctrl-C ends it\n"
    yield lines[-1].strip()
    process.send_signal(signal.SIGINT)
    out, error = process.communicate(timeout=30)
    assert (process.returncode, out, error) == (0, "", "")


@pytest.fixture(scope="module")
def page(address: str) -> Iterator[Page]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1280, "height": 520})
        page.set_default_timeout(60_000)
        page.goto(address)
        page.locator(".ag-center-cols-container .ag-row").first.wait_for()
        page.locator("button[aria-label*=lose i]").first.click()  # MLflow's assistant
        yield page
        browser.close()


@pytest.fixture
def shots(tmp_path: Path) -> Path:
    return Path(os.environ.get("XSTILTS_SCREENSHOTS", tmp_path)).resolve()


def table(page: Page, where: str) -> list[list[str]]:
    """The grid's lines at an address: what stands in the columns beside the names."""
    page.goto(where)
    page.locator(".ag-center-cols-container .ag-row").first.wait_for()
    page.wait_for_timeout(1500)  # a view's order of columns is laid over the first one
    rows = page.locator(".ag-center-cols-container .ag-row").all()
    rows.sort(key=lambda row: int(row.get_attribute("row-index") or 0))
    return [in_order(row.locator(".ag-cell")) for row in rows]


def in_order(cells: Locator) -> list[str]:
    """The texts of a line's cells from left to right, which is not their order in the page."""
    texts = [
        (int(one.get_attribute("aria-colindex") or 0), one.inner_text()) for one in cells.all()
    ]
    return [text.strip() for _, text in sorted(texts)]


def shot(page: Page, path: Path) -> None:
    page.screenshot(path=path)
    assert path.stat().st_size < 150_000


def test_first_view_is_the_grid(page: Page, address: str, shots: Path) -> None:
    lines = table(page, address)
    shot(page, shots / "mlflow-cells.png")
    names = page.locator(".ag-pinned-left-cols-container .ag-row").all_inner_texts()
    assert {name for name in NAMES for text in names if f"Group: {name}" in text} == set(NAMES)
    header = in_order(page.locator(".ag-header-viewport .ag-header-cell"))
    assert header[:10] == ["mean", *TARGETS]
    assert len(lines) == len(NAMES)
    cards = {name: [card(name, target) for target in TARGETS] for name in NAMES}
    means = sorted((statistics.fmean(map(zero_shot, own)) for own in cards.values()), reverse=True)
    assert [float(line[0].split()[0]) for line in lines] == pytest.approx(means)


def zero_shot(one: Card) -> float:
    scores = one.scores["test"]
    return statistics.fmean(
        statistics.fmean(values.values()) for name, values in scores.items() if name != "en"
    )


def test_a_target_by_language_and_the_studies(page: Page, address: str, shots: Path) -> None:
    lines = table(page, address.replace("=cells", "=language-xnli"))
    shot(page, shots / "mlflow-language.png")
    assert len(lines) == len(NAMES) and all(len(line) >= 6 for line in lines)
    names = page.locator(".ag-pinned-left-cols-container .ag-row").all_inner_texts()
    assert all(any(f"{name} -> xnli" in text for text in names) for name in NAMES)
    lines = table(page, address.replace("=cells", "=studies"))
    shot(page, shots / "mlflow-studies.png")
    assert len(lines) == 4  # the study, and its trials
    assert float(lines[0][0].split()[0]) == pytest.approx(0.8)


def test_a_runs_page_shows_its_curves_first(page: Page, address: str, shots: Path) -> None:
    table(page, address.replace("=cells", "=language-xnli"))
    page.locator("a", has_text="mnli -> xnli").first.click()
    page.get_by_role("tab", name="Model metrics").click()
    page.locator(".js-plotly-plot").first.wait_for()
    page.wait_for_timeout(2000)
    shot(page, shots / "mlflow-run.png")
    text = " ".join(page.locator("body").inner_text().split())
    assert 0 < text.find("dev (1)") < text.find("train (1)") < text.rfind("Model metrics (")
    first = page.locator(".js-plotly-plot").first
    assert first.locator(".scatterlayer .trace").count() > 0  # a line
    assert first.locator(".barlayer .trace").count() == 0


def test_two_cells_examples_stand_side_by_side(page: Page, address: str, shots: Path) -> None:
    where = address.replace("=cells", "=language-xnli")
    table(page, where)
    page.goto(f"{page.url}&compareRunsMode=ARTIFACT")
    page.wait_for_timeout(8000)
    shot(page, shots / "mlflow-examples.png")
    text = page.locator("body").inner_text()
    assert "de/0" in text
