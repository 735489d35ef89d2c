"""`xstilts archive`: what is kept of a grid, and that its report can be made of that alone."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from tests.conftest import ROOT
from xstilts import paths
from xstilts.cli import main
from xstilts.errors import UserError
from xstilts.formats.cards import read_card, write_card
from xstilts.params import Params, load
from xstilts.results import archive as room
from xstilts.results.report import report_stage

STUDY = """\
learning_rate: 0.001
epochs: 1.0
tried:
- {learning_rate: 0.001, epochs: 1.0, score: 0.5, state: complete}
"""
SHORTEST = 12  # characters of a text that is looked for: shorter ones are words of anybody's


def contents(folder: Path) -> dict[str, bytes]:
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


@pytest.fixture
def grid(small_world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Params]:
    """The current folder: the small world's cards, curves and studies, without its tables."""
    folder = tmp_path / "grid"
    for name in ("cells", "models", "studies"):
        shutil.copytree(small_world / name, folder / name)
    shutil.copy(small_world / "params.yaml", folder)
    (folder / "dvc.yaml").write_text("")
    monkeypatch.chdir(folder)
    yield load()


def card_of(target: str, **changes: Any) -> Path:
    """The folder of a cell, with its card changed."""
    folder = paths.cell("none", target, 1)
    write_card(folder, replace(read_card(folder), **changes))
    return folder


def test_an_archives_report_is_the_grids(grid: Params, tmp_path: Path) -> None:
    """In another place, where there is neither a grid nor another params.yaml."""
    Path("studies/target/xnli.yaml").write_text(STUDY)
    report_stage(grid.experiment, grid.grid, grid.answers)
    done = room.archive("one", grid)
    assert (done.size, len(done.cells), done.missing, done.older) == (9, 9, (), ())
    moved = tmp_path / "elsewhere"
    shutil.copytree(done.folder, moved)
    room.report_again(moved, tmp_path / "again")
    real, again = contents(Path("reports")), contents(tmp_path / "again")
    assert real == again and {"report.md", "scores.csv", "heatmap.png"} <= set(real)
    assert any(name.startswith("studies/") for name in real)


def texts(value: Any) -> Iterator[str]:
    if isinstance(value, dict | list):
        for item in value.values() if isinstance(value, dict) else value:
            yield from texts(item)
    elif isinstance(value, str):
        yield value


def test_no_text_of_a_row_and_no_prediction_is_kept(grid: Params, small_world: Path) -> None:
    import pyarrow.parquet as pq

    done = room.archive("one", grid)
    kept = {re.sub(r"(cells|models)/.+/", r"\1/", name) for name in contents(done.folder)}
    models = {"models/card.json", "models/history.csv"}
    cells = {"cells/card.json", "cells/history.csv", "cells/sums.json"}
    studies = {f"studies/target/{name}.yaml" for name in grid.targets}
    studies.add("studies/intermediate/none.yaml")
    clusters = {name for name in kept if re.fullmatch(r"clusters/\w+-[0-9a-f]{8}\.json", name)}
    assert {name.partition("-")[0] for name in clusters} == {f"clusters/{t}" for t in grid.targets}
    assert kept == {"README.md", "params.yaml", *models, *cells, *clusters, *studies}
    whole = b"\n".join(contents(done.folder).values()).decode()
    rows = {
        text
        for path in small_world.glob("data/**/*.parquet")
        for text in texts(pq.read_table(path).to_pylist())
    }
    for path in small_world.glob("cells/**/*.jsonl"):
        for line in path.read_text(encoding="utf-8").splitlines():
            rows |= set(texts(json.loads(line)))
    looked_for = {text for text in rows if len(text) >= SHORTEST}
    labels = {label for record in small_world.glob("data/**/record.json")
              for label in json.loads(record.read_text())["labels"]}  # fmt: skip
    assert len(looked_for) > 1000
    assert [text for text in looked_for - labels if text in whole] == []


def test_again_only_what_changed_is_written(grid: Params) -> None:
    folder = room.archive("one", grid).folder
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    assert room.archive("one", grid).changed == 0
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == before
    card_of("pawsx", flags=("collapsed",))
    old = contents(folder)
    assert room.archive("one", grid).changed == 1
    differ = {name for name, text in contents(folder).items() if old[name] != text}
    assert differ == {"cells/none/pawsx/1/card.json"}
    assert read_card(folder / "cells/none/pawsx/1") == read_card(paths.cell("none", "pawsx", 1))


def test_what_is_gone_stays_until_it_is_pruned(grid: Params) -> None:
    folder = room.archive("one", grid).folder
    shutil.rmtree(paths.cell("none", "pawsx", 1))
    done = room.archive("one", grid)
    older = tuple(
        f"cells/none/pawsx/1/{name}" for name in ("card.json", "history.csv", "sums.json")
    )
    (names,) = folder.glob("clusters/pawsx-*.json")
    older += (str(names.relative_to(folder)),)
    assert (done.missing, done.older, len(done.cells)) == (("none/pawsx/1",), older, 8)
    room.report_again(folder, Path("again"))
    assert room.archive("one", grid, prune=True).older == ()
    assert not (folder / "cells/none/pawsx").exists() and (folder / "cells/none/xnli/1").exists()
    assert "The cards of 8 of 9 cells" in (folder / "README.md").read_text()
    shutil.rmtree(folder / "cells/none/xnli")
    with pytest.raises(UserError, match=r"none/xnli/1: no card, nor have 1 more of the grid's 9 "):
        room.report_again(folder, Path("again"))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"encoder": "another"}, "made with encoder another, and params.yaml says encoder"),
        ({"source": "files"}, "made with source files, and params.yaml says world"),
    ],
)
def test_a_card_of_other_params_is_left_out(
    grid: Params, changes: dict[str, str], said: str
) -> None:
    where = card_of("xnli", **changes)
    done = room.archive("one", grid)
    assert done.unlike == (f"{where}: {said}",) and len(done.cells) == 8
    assert not (done.folder / where).exists()


def test_a_replicates_own_encoder_is_kept(grid: Params) -> None:
    own = paths.encoder(1)
    write_card(own, read_card(paths.PRETRAIN))
    folder = room.archive("one", grid).folder
    assert read_card(folder / own) == read_card(folder / paths.PRETRAIN) == read_card(own)


def test_a_setting_that_a_study_chose_is_no_difference(grid: Params) -> None:
    settings = read_card(paths.cell("none", "xnli", 1)).settings
    for origin, cells in (("study", 9), ("params", 8)):
        rate = replace(settings["learning_rate"], value=0.5, origin=origin)
        card_of("xnli", settings={**settings, "learning_rate": rate})
        assert len(room.archive(origin, grid).cells) == cells


def test_a_commands_mistakes_are_one_line(grid: Params) -> None:
    run = CliRunner()
    shown = run.invoke(main.app, ["archive", "one"])
    assert shown.exit_code == 0
    assert shown.stdout.startswith("docs/cards/one: 9 of 9 cells, ")
    again = run.invoke(main.app, ["report", "--from", "docs/cards/one"])
    assert again.exit_code == 0 and "more: work/reports/one/report.md" in again.stdout
    for words, said in (
        (["report", "--from", "docs"], r"docs: no archive; expected params.yaml and cells/, as .*"),
        (["report", "--out", "x"], "--out: it goes with --from; expected --from FOLDER; add it"),
        (["archive", "../one"], "archive ../one: expected a plain name, .*"),
    ):
        failed = run.invoke(main.app, words).exception
        assert isinstance(failed, UserError) and re.fullmatch(said, str(failed))
    other = grid.model_copy(update={"experiment": "other"})
    with pytest.raises(UserError, match="docs/cards/one: the archive of the experiment 'small wor"):
        room.archive("one", other)
    shutil.rmtree("cells")
    with pytest.raises(UserError, match="cells: no finished cell of the grid; expected at least"):
        room.archive("two", grid)
    assert not Path("docs/cards/two").exists()


def test_a_part_that_fits_is_a_line() -> None:
    value = {"b": {"x": 1, "y": "z"}, "a": {f"test-{n}": {"read": n, "rows": n} for n in range(9)}}
    lines = room.compact(value).splitlines()
    assert lines[:3] == ["{", ' "a": {', '  "test-0": {"read": 0, "rows": 0},']
    assert lines[-2:] == [' "b": {"x": 1, "y": "z"}', "}"]
    assert json.loads(room.compact(value)) == value


@pytest.mark.slow
def test_the_readmes_real_table_is_its_archives(tmp_path: Path) -> None:
    """Made again of the cards and sums in git, and by the code as it is."""
    room.report_again(ROOT / "docs/cards/real-small", tmp_path / "report")
    text = (tmp_path / "report/report.md").read_text(encoding="utf-8")
    zero_shot = text.partition("## Zero-shot languages")[2].partition("### Averages")[0]
    lines = [line for line in zero_shot.splitlines() if line.startswith("|")]
    assert len(lines) == 7 and "\n".join(lines) in (ROOT / "README.md").read_text(encoding="utf-8")
    assert "\n".join(lines) in (ROOT / "docs/results.md").read_text(encoding="utf-8")
