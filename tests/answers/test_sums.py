"""From a cell's sums by cluster every score on its card comes out again, whatever the task."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.small_world import TARGETS
from xstilts.errors import UserError
from xstilts.formats.cards import Card, Scores, read_card, reported, write_card
from xstilts.formats.kept import cell_folder
from xstilts.formats.tables import GOLD, Row, read_table, tables_in, write_text
from xstilts.paths import WORK, cell, prediction_file, target_data
from xstilts.results.answers import sums as room
from xstilts.results.answers.sums import as_text, from_text, read_sums
from xstilts.running import experiments
from xstilts.sources.prepare import prepare_target
from xstilts.tasks.catalogue import record
from xstilts.tasks.families.ranking import right
from xstilts.training.evaluation import Evaluated, passport, write_predictions
from xstilts.training.task import task as task_of

ROOT = Path(__file__).parents[2]
FILES = experiments.resolve(ROOT / "experiments/files-small.yaml")


def same_scores(folder: Path) -> None:
    """What the sums give is what the card has, for each language and metric, and after a file."""
    card = read_card(folder)
    found = reported(card)
    assert found is not None
    sums = read_sums(folder, card)
    again = from_text(as_text(sums))
    assert list(again) == list(found[1])
    for code, scores in ((code, card.scores[found[0]][code]) for code in found[1]):
        assert set(again[code].metrics) == set(scores)
        for metric, score in scores.items():
            assert again[code].score(metric) == pytest.approx(score, abs=1e-9)
        assert again[code].clusters == sums[code].clusters
        influence = sums[code].influence(card.main)
        assert influence.sum() == pytest.approx(0, abs=1e-9)
        assert len(influence) > 1


@pytest.mark.parametrize("task", TARGETS)
def test_scores_of_the_world_come_out_of_sums(
    small_world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, task: str
) -> None:
    monkeypatch.chdir(small_world)
    monkeypatch.setattr(room, "WORK", tmp_path)  # the small world is shared, and read alone
    same_scores(cell_folder(f"none/{task}/1"))


@pytest.mark.slow
@pytest.mark.parametrize("name", FILES.targets)
def test_scores_of_real_files_come_out_of_sums(
    shared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """Real rows and gold, predictions made of the gold: some right, some of another row."""
    monkeypatch.chdir(tmp_path)
    source = FILES.source.model_copy(update={"path": str(shared / "data")})
    prepare_target(name, source, target_data(name))
    folder = made_cell(name)
    same_scores(folder)
    sums = read_sums(folder, read_card(folder))
    if record(name).family == "span":  # questions on one article stand or fall together
        assert all(len(of.clusters) < len(of_rows(name, code)) for code, of in sums.items())
    if name in ("xnli", "pawsx", "xquad", "xcopa", "lareqa"):
        assert len({of.clusters for of in sums.values()}) == 1  # the same rows in each language


def of_rows(name: str, code: str) -> list[Row]:
    return read_table(target_data(name), "dev" if name == "mlqa" else "test", code).rows


def made_cell(name: str) -> Path:
    """A cell of that target with made predictions and the card that its scorer gives them."""
    task, folder = task_of(record(name), FILES.targets[name]), cell("none", name, 1)
    rng = np.random.default_rng(3)
    scores: Scores = {}
    counts = {}
    tables = [
        (split, read_table(target_data(name), split, code))
        for split, code in tables_in(target_data(name))
    ]
    for split, table in tables:
        rows = table.rows
        if task.family_name == "ranking":
            every = [row for _, one in tables for row in one.rows]
            answers = dict(zip((row["id"] for row in every), right(every), strict=True))
            rows = [{"id": row["id"], "gold": answers[row["id"]]} for row in rows if row["query"]]
        if not task.family.labelled(table.rows):
            continue
        said = guesses(task.family_name, task.settings.convention, rows, rng)
        write_predictions(prediction_file(folder, split, table.language), task, rows, said)
        counts[f"{split}-{table.language}"] = {"predicted": len(said)}
        scores.setdefault(split, {})[table.language] = task.family.score(
            said, rows, table.language, task.settings
        )
    meant = passport(record(name), task, None, Evaluated())
    write_card(
        folder,
        Card(
            "target", "none", name, 1, task.family_name,
            main=record(name).main, scores=scores, passport=meant, counts=counts,
        ),
    )  # fmt: skip
    return folder


def guesses(
    family: str, convention: str, rows: Sequence[Row], rng: np.random.Generator
) -> list[Any]:
    """Half of them right, the others what is right for another row of the table."""
    gold = [row[GOLD[family]] for row in rows]
    other = rng.permutation(len(rows))
    keep = rng.random(len(rows)) < 0.5
    if family == "tagging":
        words = [[one if rng.random() < 0.8 else "B-LOC" for one in tags] for tags in gold]
        return words
    if family == "span":
        texts = [one[0]["text"] if one else "" for one in gold]
        return [
            {"text": texts[n] if keep[n] else texts[other[n]] + " " + texts[n], "na": 0.0}
            for n in range(len(rows))
        ]
    if family == "retrieval":
        return pairs(convention, rows, keep)
    if family == "ranking":
        return [
            one[::-1] if keep[n] else (gold[other[n]] or [])[:3] + (one or [])[:2]
            for n, one in enumerate(gold)
        ]
    return [one if keep[n] else gold[other[n]] for n, one in enumerate(gold)]


def pairs(convention: str, rows: Sequence[Row], keep: Any) -> list[Any]:
    """Mined for foreign rows, of which most have no partner; nearest for English ones."""
    english = [row["id"] for row in rows if row["gold"] is None]
    foreign = [row["id"] for row in rows if row["gold"] is not None]
    partner = {one: row["id"] for row in rows for one in row["gold"] or ()}
    said: list[Any] = []
    for n, row in enumerate(rows):
        if convention == "mining":
            right = row["gold"][0] if row["gold"] else english[n % len(english)]
            wrong = english[(7 * n) % len(english)]
            guess = {"id": right if keep[n] else wrong, "score": 1.0}
            said.append(guess if row["gold"] is not None and (row["gold"] or n % 3) else None)
        else:
            asked = row["gold"] is None
            guess = (
                {"id": partner[row["id"]] if keep[n] else foreign[n % len(foreign)]}
                if asked
                else {}
            )
            said.append(guess or None)
    return said


def test_sums_are_kept_by_the_card_and_a_wrong_card_is_an_error(
    small_world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(small_world)
    card = read_card(cell_folder("none/xnli/1"))
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "cells/none/xnli/1"
    folder.mkdir(parents=True)
    for path in (small_world / "cells/none/xnli/1").rglob("*"):
        if path.is_file():
            write_text(
                folder / path.relative_to(small_world / "cells/none/xnli/1"),
                path.read_text("utf-8"),
            )
    first = read_sums(folder, card)
    (kept,) = (WORK / "sums").iterdir()
    for path in (folder / "predictions").iterdir():
        path.unlink()
    assert as_text(read_sums(folder, card)) == as_text(first)
    kept.unlink()
    with pytest.raises(
        UserError, match=r"predictions/.*no such file; .*run `dvc repro target@none-xnli-1`"
    ):
        read_sums(folder, card)
