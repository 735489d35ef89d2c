"""XTREME's folder from the world's cells: whole, read back to the cards' numbers, and refused."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from tests.small_world import LANGUAGES, ROWS, TARGETS, settings
from xstilts.cli.main import app
from xstilts.errors import UserError
from xstilts.formats.cards import read_card, write_card
from xstilts.formats.kept import read_kept
from xstilts.formats.tables import read_json, read_table, write_json, write_table, write_text
from xstilts.results.scoring import MANIFEST, score_submission
from xstilts.results.submission import SubmissionOptions, Written, write_submission
from xstilts.tasks.metrics.benchmark import TASKS


@pytest.fixture(autouse=True)
def world(small_world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A copy to spoil."""
    for name in ("params.yaml", "cells", "data"):
        copy = shutil.copytree if (small_world / name).is_dir() else shutil.copy
        copy(small_world / name, tmp_path / name)
    monkeypatch.chdir(tmp_path)


def write(labels: str | None = None, **asked: Any) -> Written:
    grid = asked.pop("grid", {})
    place = Path(labels) if labels else None
    return write_submission(settings(**grid), SubmissionOptions(**asked), Path("out"), place)


def another(row: str, dev: dict[str, float], gain: float = 0.0) -> None:
    """A second intermediate: the cells of `none`, with other English dev scores."""
    for task in TARGETS:
        shutil.copytree(f"cells/none/{task}", f"cells/{row}/{task}")
        folder = Path(f"cells/{row}/{task}/1")
        card = replace(read_card(folder), intermediate=row)
        if card.selection:
            score = dev.get(task, card.selection.score + gain)
            card = replace(card, selection=replace(card.selection, score=score))
        write_card(folder, card)


def test_written_folder_scores_as_the_cards_say() -> None:
    written = write(labels="gold")
    assert (written.missing, written.unlabelled) == ([], [])
    result = score_submission(Path("out"), Path("gold"))
    assert result["not_scored"] == [] and result["partial"] == {}
    compared = 0
    for task in TASKS["xtreme"]:
        card = read_card(Path(f"cells/none/{task}/1"))
        assert len(card.scores["test"]) >= LANGUAGES - 1
        for language, scores in card.scores["test"].items():
            both = {metric: value for metric, value in scores.items() if metric in result[task]}
            assert set(card.main) <= set(both)
            for metric, value in both.items():
                assert result[task][metric][language] == pytest.approx(100 * value, abs=1e-9)
                compared += 1
    assert compared > 9 * LANGUAGES
    means = [result[task]["avg_metric"] for task in TASKS["xtreme"]]
    assert result["all_task"] == pytest.approx(sum(means) / 9)


def test_gold_as_predictions_scores_a_hundred() -> None:
    """The two writers of each kind agree on order, ids and line ends."""
    for task in TARGETS:
        folder = Path(f"cells/none/{task}/1")
        record, card = read_json(Path(f"data/target/{task}/record.json")), read_card(folder)
        for language in card.scores["test"]:
            path = folder / f"predictions/test-{language}.jsonl"
            rows = read_table(Path("data/target", task), "test", language).rows
            kept = read_kept(folder, card, "test", language)
            found = right(record, rows)
            lines = zip(kept.ids, found, kept.gold, strict=True)
            text = [json.dumps({"id": i, "prediction": p, "gold": g}) for i, p, g in lines]
            write_text(path, "".join(f"{line}\n" for line in text))
    write(labels="gold")
    result = score_submission(Path("out"), Path("gold"))
    assert result["all_task"] == pytest.approx(100)


def right(record: dict[str, Any], rows: list[dict[str, Any]]) -> list[Any]:
    family = record["family"]
    if family == "classification":
        return [row["label"] for row in rows]
    if family == "tagging":
        return [row["tags"] for row in rows]
    if family == "span":
        return [{"text": row["answers"][0]["text"], "na": 0.0} for row in rows]
    if record["convention"] == "mining":
        return [{"id": row["gold"][0], "score": 1.0} if row["gold"] else None for row in rows]
    foreign = {name: row["id"] for row in rows for name in row["gold"] or ()}
    return [{"id": foreign[row["id"]]} if row["side"] == "english" else None for row in rows]


def test_layout_is_xtremes() -> None:
    write(labels="gold")
    text = Path("out/udpos/test-en.tsv").read_text()
    assert text.count("\n\n") == ROWS[2] and text.endswith("\n\n")
    labels = Path("out/pawsx/test-en.tsv").read_text().split("\n")
    assert len(labels) == ROWS[2] + 1 and set(labels[:-1]) <= {"0", "1"}
    answers = read_json(Path("out/mlqa/test-en.json"))
    assert len(answers) == ROWS[2] and all(isinstance(text, str) for text in answers.values())
    pairs = [
        line.split("\t") for line in Path("gold/bucc2018/test-qal.tsv").read_text().splitlines()
    ]
    assert pairs and all(len(pair) == 2 for pair in pairs)
    rows = read_table(Path("data/target/tatoeba"), "test", "qal").rows
    english = sorted(row["text"].strip() for row in rows if row["side"] == "english")
    foreign = [row for row in rows if row["side"] == "foreign"]
    by_id = {row["id"]: row["text"] for row in rows}
    lines = Path("gold/tatoeba/test-qal.tsv").read_text().splitlines()
    for sentence, line in zip(english, lines, strict=True):
        assert by_id[foreign[int(line)]["gold"][0]].strip() == sentence


def test_manifest_names_cell_seed_commit_and_dev() -> None:
    write()
    manifest = read_json(Path("out") / MANIFEST)
    assert manifest["complete"] and set(manifest["tasks"]) == set(TASKS["xtreme"])
    assert set(manifest["written by"]) == {"commit", "dirty"}
    card, one = read_card(Path("cells/none/xnli/1")), manifest["tasks"]["xnli"]
    assert card.selection is not None
    assert (one["cell"], one["key"]) == ("cells/none/xnli/1", card.key)
    assert one["seed"] == card.passport["seed"]
    assert one["dev"]["score"] == card.selection.score
    assert one["candidates, English dev"] == {"none/1": card.selection.score}
    assert len(one["languages"]) == LANGUAGES
    assert one["languages"]["qal"]["rows"] == ROWS[2]
    assert manifest["tasks"]["tatoeba"]["dev"] is None


def test_a_cells_own_commit_is_named_where_its_curve_is_kept() -> None:
    key = read_card(Path("cells/none/xnli/1")).key
    line = {"finished": key, "commit": "abc", "dirty": "false"}
    write_text(Path("work/history/target-none-xnli-1.jsonl"), json.dumps(line) + "\n")
    tasks = write().manifest["tasks"]
    assert tasks["xnli"]["trained by"] == {"commit": "abc", "dirty": "false"}
    assert tasks["pawsx"]["trained by"]["commit"] == "unknown"


@pytest.mark.parametrize(("gain", "frozen"), [(0.1, "mnli"), (-0.1, "none")])
def test_best_of_each_target_is_english_devs(gain: float, frozen: str) -> None:
    """Retrieval has no English dev: the encoder with the best mean of the others'."""
    another("mnli", {"xnli": 0.99, "udpos": -1.0}, gain)
    grid = {"intermediates": ["none", "mnli"]}
    tasks = write(grid=grid).manifest["tasks"]
    assert tasks["xnli"]["intermediate"] == "mnli"
    assert tasks["udpos"]["intermediate"] == "none"
    assert tasks["tatoeba"]["intermediate"] == tasks["bucc2018"]["intermediate"] == frozen
    assert set(tasks["xnli"]["candidates, English dev"]) == {"none/1", "mnli/1"}
    assert "mean over the trained targets" in tasks["tatoeba"]["chosen as"]


def test_test_scores_do_not_choose() -> None:
    another("mnli", {}, gain=-0.1)
    for task in TARGETS:  # perfect tests, worse English dev
        folder = Path(f"cells/mnli/{task}/1")
        card = read_card(folder)
        best = {name: dict.fromkeys(scores, 1.0) for name, scores in card.scores["test"].items()}
        write_card(folder, replace(card, scores={"dev": best, "test": best}))
    tasks = write(grid={"intermediates": ["none", "mnli"]}).manifest["tasks"]
    assert {one["intermediate"] for one in tasks.values()} == {"none"}


def test_named_row_and_replicate_are_taken() -> None:
    another("mnli", {}, gain=-0.1)
    tasks = write(intermediate="mnli", replicate=1).manifest["tasks"]
    assert {one["cell"].split("/")[1] for one in tasks.values()} == {"mnli"}


def test_unlike_selections_are_not_compared() -> None:
    another("mnli", {})
    folder = Path("cells/mnli/xnli/1")
    card = read_card(folder)
    write_card(folder, replace(card, passport={**card.passport, "selection": "of 3 rows"}))
    with pytest.raises(UserError, match=r"^cells/mnli/xnli/1: selected by of 3 rows .*; expected"):
        write(grid={"intermediates": ["none", "mnli"]})


def test_missing_cell_is_refused_and_written_only_when_asked() -> None:
    shutil.rmtree("cells/none/xquad")
    with pytest.raises(UserError, match="incomplete: cells/none/xquad/1 has no card"):
        write(labels="gold")
    assert not Path("out").exists() and not Path("gold").exists()
    written = write(labels="gold", incomplete=True)
    assert written.missing == ["cells/none/xquad/1 has no card"]
    assert not written.manifest["complete"] and not Path("out/xquad").exists()
    result = score_submission(Path("out"), Path("gold"))
    assert result["not_scored"] == ["xquad"]
    assert "all_task" not in result and "qa" not in result and "tagging" in result


def test_target_outside_the_grid_is_missing() -> None:
    with pytest.raises(UserError, match=r"incomplete: panx is not in grid\.targets"):
        write(grid={"targets": [task for task in TARGETS if task != "panx"]})


def test_missing_language_leaves_no_total() -> None:
    Path("cells/none/udpos/1/predictions/test-qun.jsonl").unlink()
    with pytest.raises(UserError, match="incomplete: udpos test-qun was not predicted"):
        write()
    write(labels="gold", incomplete=True)
    result = score_submission(Path("out"), Path("gold"))
    assert result["partial"] == {"udpos": ["qun"]}
    assert "all_task" not in result and "tagging" not in result and "qa" in result


def test_unofficial_number_of_rows_is_incomplete() -> None:
    """files-small has 300 of XNLI's 5,010 rows: no submission."""
    folder = Path("cells/none/xnli/1")
    card = read_card(folder)
    counts = {**card.counts, "test-qal": {**card.counts["test-qal"], "official": 5010}}
    write_card(folder, replace(card, counts=counts))
    with pytest.raises(UserError, match=r"xnli test-qal .*20 rows; official: 5010 rows"):
        write()


def test_sources_of_xtremes_languages_owe_all_of_them(monkeypatch: pytest.MonkeyPatch) -> None:
    import xstilts_world as world

    monkeypatch.setattr(world, "languages", lambda record, settings: ("en",))
    missing = write(incomplete=True).missing
    assert "xnli test-sw was not predicted" in missing
    assert not any("xnli test-en" in line for line in missing)


@pytest.mark.parametrize("change", ["order", "text"])
def test_tables_of_another_run_are_refused(change: str) -> None:
    folder = Path("data/target/tatoeba")
    rows = read_table(folder, "test", "qal").rows
    other = rows[::-1] if change == "order" else [{**row, "text": "A ."} for row in rows]
    write_table(folder, "retrieval", "test", "qal", other)
    with pytest.raises(UserError, match=r"test-qal.parquet: not the table that cells/none/tatoeba"):
        write()


def test_broken_predictions_are_named_by_line() -> None:
    path = Path("cells/none/xnli/1/predictions/test-qal.jsonl")
    lines = path.read_text().split("\n")
    path.write_text("\n".join([lines[0], '{"id": 1}', *lines[2:]]))
    with pytest.raises(UserError, match=r"test-qal.jsonl:2: not a kept prediction"):
        write()
    path.write_text("\n".join(lines[1:]))
    with pytest.raises(UserError, match=r"19 predictions; expected 20, as the card counts"):
        write()


def test_hidden_labels_are_not_written() -> None:
    folder = Path("cells/none/xnli/1")
    card = read_card(folder)
    del card.scores["test"]["qal"]
    write_card(folder, card)
    with pytest.raises(UserError, match="gold: not written: xnli has languages with hidden"):
        write(labels="gold")
    assert not Path("out").exists()
    assert write(labels="gold", incomplete=True).unlabelled == ["xnli"]
    assert score_submission(Path("out"), Path("gold"))["not_scored"] == ["xnli"]


def test_existing_folder_is_never_replaced() -> None:
    Path("out").mkdir()
    with pytest.raises(UserError, match=r"^out: is there already; expected"):
        write()


@pytest.mark.parametrize("labels", ["out", "./out/", "out/gold", "x/../out", "."])
def test_predictions_and_labels_are_two_folders(labels: str) -> None:
    with pytest.raises(UserError, match=r"^\S+: (--labels is --out|is there already)"):
        write(labels=labels)
    assert not Path("out").exists()


def test_predictions_inside_the_labels_are_refused() -> None:
    with pytest.raises(UserError, match=r"^gold: --labels is --out \(gold/out\), or one is inside"):
        write_submission(settings(), SubmissionOptions("none"), Path("gold/out"), Path("gold"))
    assert not Path("gold").exists()


def test_broken_manifest_is_one_line() -> None:
    write(labels="gold")
    write_json(Path("out") / MANIFEST, {"benchmark": "xtreme", "tasks": {"xnli": {}}})
    with pytest.raises(UserError, match=r"manifest.json: not a manifest; expected tasks"):
        score_submission(Path("out"), Path("gold"))


def test_commands_write_and_read_back() -> None:
    run = CliRunner().invoke
    done = run(app, ["submission", "none", "--out", "mine", "--labels", "gold"])
    assert done.exit_code == 0, done.output
    assert "mine/xnli: 6 languages of cells/none/xnli/1" in done.output
    scored = run(app, ["score", "mine", "gold", "--json"])
    assert "all_task" in json.loads(scored.output)
