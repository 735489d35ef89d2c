"""One set of predictions under several conventions; the own one is always the card's number."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from tests.small_world import ROWS, TARGETS
from xstilts.cli.main import app
from xstilts.errors import UserError
from xstilts.formats.cards import Card, read_card, task_number, write_card
from xstilts.formats.kept import cell_folder
from xstilts.formats.tables import GOLD, write_table, write_text
from xstilts.results.rescoring import Rescored, _settings, render, rescore
from xstilts.tasks.catalogue import record
from xstilts.tasks.families import FAMILIES

OLD, NEW, WORDS = "f1 (seqeval-0.0.12)", "f1 (seqeval-1.2.2)", "accuracy of words"


@pytest.fixture(autouse=True)
def _inside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


METRICS = {
    "classification": {"accuracy": "plain"},
    "tagging": {"f1": "seqeval-0.0.12", "accuracy": "seqeval-0.0.12"},
    "span": {"f1": "mlqa", "exact_match": "mlqa"},
    "retrieval": {"accuracy": "nearest"},
    "ranking": {"map@20": "plain"},
    "qqp": {"accuracy": "plain", "f1": "plain"},
}
MAIN = {
    "qqp": ("accuracy", "f1"),
    "ranking": ("map@20",),
    "tagging": ("f1",),
    "span": ("f1", "exact_match"),
}
Lines = list[tuple[Any, Any]]  # (prediction, gold) of each row


def cell(family: Any, tables: dict[str, Lines], task: str = "made_up", **inputs: str) -> Path:
    """A cell with these predictions, and a card that says what they score."""
    card = Card(
        "target", "none", task, 1, family,
        main=MAIN.get(task, MAIN.get(family, ("accuracy",))),
        passport={"metrics": METRICS.get(task, METRICS[family])},
        counts={name: {"predicted": len(lines)} for name, lines in tables.items()},
        inputs=inputs,
    )  # fmt: skip
    folder = Path("cells/none", task, "1")
    for name, lines in tables.items():
        split, language = name.split("-")
        objects = [{"id": str(n), "prediction": p, "gold": g} for n, (p, g) in enumerate(lines)]
        text = "".join(json.dumps(one, ensure_ascii=False) + "\n" for one in objects)
        write_text(folder / f"predictions/{name}.jsonl", text)
        rows = [{"id": str(n), GOLD[family]: gold} for n, (_, gold) in enumerate(lines)]
        for row in rows if family == "retrieval" else ():
            row["side"] = "english" if row["gold"] is None else "foreign"
        found = [prediction for prediction, _ in lines]
        scores = FAMILIES[family].score(found, rows, language, _settings(card))
        card.scores.setdefault(split, {})[language] = scores
    write_card(folder, card)
    return folder


def answer(text: str, *golds: str) -> tuple[Any, Any]:
    return {"text": text, "na": 0.0}, [{"text": gold, "start": 0} for gold in golds]


def only(folder: Path, **settings: int) -> Rescored:
    (one,) = rescore(folder, **settings)
    return one


@pytest.mark.parametrize("task", TARGETS)
def test_own_number_is_the_cards_on_every_task(
    small_world: Path, monkeypatch: pytest.MonkeyPatch, task: str
) -> None:
    monkeypatch.chdir(small_world)
    folder = cell_folder(f"none/{task}/1")
    card = read_card(folder)
    found = rescore(folder)
    assert {one.split for one in found} == set(card.scores)
    for one in found:
        numbers = {
            code: task_number(scores, card.main) for code, scores in card.scores[one.split].items()
        }
        assert one.own == pytest.approx(numbers)
        assert not one.hidden
        assert render(one).count("own") == 2


def test_old_and_new_seqeval_and_accuracy_differ() -> None:
    """Facts section 6: CCONJ and SCONJ share a type in seqeval 1.2.2."""
    folder = cell(
        "tagging",
        {
            "test-en": [(["SCONJ", "NOUN", "CCONJ"], ["CCONJ", "NOUN", "SCONJ"])],
            "test-de": [(["NOUN", "VERB", "VERB"], ["NOUN", "NOUN", "VERB"])],
        },
    )
    one = only(folder)
    assert list(one.conventions) == [OLD, NEW, WORDS]
    assert one.conventions[OLD] == {"en": pytest.approx(1 / 3), "de": 0.0}
    assert one.conventions[NEW] == {"en": 1.0, "de": 0.0}
    assert one.conventions[WORDS] == {"en": pytest.approx(1 / 3), "de": pytest.approx(2 / 3)}
    assert one.spread(["en"]) == (pytest.approx(2 / 3), OLD, NEW)
    assert one.spread(["de"]) == (pytest.approx(2 / 3), OLD, WORDS)
    text = render(one)
    assert "spread 33.33 points: f1 (seqeval-0.0.12) to" in text
    assert text.count("en +66.67") == 1 and text.count("de +66.67") == 1


def test_mlqas_and_squads_normalisers_differ() -> None:
    """German articles go in one, English ones in the other; no rule of MLQA's for Thai."""
    german = [answer("der Hund", "Hund"), answer("the Hund", "Hund")]
    folder = cell("span", {"test-de": german, "test-th": [answer("the Hund", "Hund")]})
    one = only(folder)
    own, squad = (f"mean of f1 and exact_match ({name}'s normaliser)" for name in ("MLQA", "SQuAD"))
    assert next(iter(one.conventions)) == own
    f1 = pytest.approx((1 + 2 / 3) / 2)
    assert one.conventions["f1 (MLQA's normaliser)"] == {"de": f1}
    assert one.conventions["f1 (SQuAD's normaliser)"] == {"de": f1, "th": 1.0}
    assert one.conventions["exact_match (MLQA's normaliser)"] == {"de": 0.5}
    assert one.conventions[squad]["th"] == one.own["th"] == 1.0
    assert one.difference("f1 (MLQA's normaliser)", ["de", "th"]) == pytest.approx(1 / 6 / 2 * 2)
    assert one.notes == ["MLQA's normaliser has no rules for th: SQuAD's there"]


def test_normalisers_apply_in_their_own_language() -> None:
    folder = cell("span", {"test-de": [answer("der Hund", "Hund")]})
    one = only(folder)
    assert one.conventions["exact_match (MLQA's normaliser)"] == {"de": 1.0}
    assert one.conventions["exact_match (SQuAD's normaliser)"] == {"de": 0.0}


def test_a_part_of_dev_is_another_number_and_never_of_test() -> None:
    lines: Lines = [("a", "a")] * 3 + [("a", "b")] * 7
    tables = {"dev-en": lines, "test-en": lines, "dev-de": lines[:3], "test-de": lines}
    dev, test = rescore(cell("classification", tables), dev_rows=3)
    assert dev.conventions["first 3 rows (jiant)"] == {"en": 1.0}  # German dev has no more than 3
    assert dev.conventions["3 rows drawn (seed 1)"]["en"] in (0.0, *(n / 3 for n in range(1, 4)))
    assert list(test.conventions) == ["accuracy"]
    assert dev.own == pytest.approx({"en": 0.3, "de": 1.0})
    whole = only(cell("classification", {"dev-en": lines}, "other"), dev_rows=500)
    assert list(whole.conventions) == ["accuracy"]


def test_f1_is_of_the_records_last_label() -> None:
    """QQP: 2 of 3 duplicates found among 4 that are named; 3 of 6 rows right."""
    no, yes = record("qqp").labels
    lines: Lines = [(yes, yes), (yes, yes), (no, yes), (yes, no), (yes, no), (no, no)]
    one = only(cell("classification", {"test-en": lines}, "qqp"))
    assert one.own == {"en": pytest.approx((3 / 6 + 4 / 7) / 2)}
    assert list(one.conventions) == ["mean of accuracy and f1"]


def pairs(texts: list[str]) -> str:
    """data/target/made_up/test-en with these second texts; its digest."""
    rows = [{"id": str(n), "text_a": "A dog .", "text_b": text, "label": "1", "part": None}
            for n, text in enumerate(texts)]  # fmt: skip
    from xstilts.formats.tables import file_digest

    return file_digest(
        write_table(Path("data/target/made_up"), "classification", "test", "en", rows)
    )


def test_placeholder_rows_are_left_out_beside() -> None:
    folder = cell(
        "classification",
        {"test-en": [("1", "1"), ("0", "1"), ("1", "1")]},
        **{"test-en": pairs(["A cat .", "NS", "NS !"])},
    )
    one = only(folder)
    assert one.own == {"en": pytest.approx(2 / 3)}
    assert one.conventions["without rows that are 'NS' (PAWS-X's paper)"] == {"en": 1.0}
    assert one.notes == []


def test_tables_of_another_run_are_not_read() -> None:
    pairs(["A cat .", "NS", "NS !"])
    lines: Lines = [("1", "1"), ("0", "1"), ("1", "1")]
    one = only(cell("classification", {"test-en": lines}, **{"test-en": "another digest"}))
    assert list(one.conventions) == ["accuracy"]
    assert "not this cell's tables" in one.notes[0] and one.notes[0] in render(one)


def test_equal_english_sentences_are_equally_right() -> None:
    from xstilts.formats.tables import file_digest

    english = {"3": "Yes .", "4": "Yes .", "5": "No ."}
    rows = [{"id": str(n), "side": "foreign", "text": f"F{n}", "gold": [str(n + 3)]}
            for n in range(3)]  # fmt: skip
    rows += [{"id": i, "side": "english", "text": t, "gold": None} for i, t in english.items()]
    path = write_table(Path("data/target/made_up"), "retrieval", "test", "de", rows)
    guesses = [None, None, None, {"id": "1"}, {"id": "0"}, {"id": "0"}]
    lines = list(zip(guesses, [row["gold"] for row in rows], strict=True))
    one = only(cell("retrieval", {"test-de": lines}, **{"test-de": file_digest(path)}))
    assert one.own == {"de": 0.0}
    name = "equal English sentences equally right"
    assert one.conventions[name] == {"de": pytest.approx(2 / 3)}


def test_rankings_are_scored_by_the_ids_of_their_right_candidates() -> None:
    """As kept: no candidates' rows; a query that nothing answers counts 0."""
    english: Lines = [(["a", "b"], ["a"]), (["b", "a"], ["a"]), (["a"], [])]
    tables = {"test-en": english, "test-de": [(["b", "c", "a"], ["a", "b"])], "dev-en": english}
    dev, test = rescore(cell("ranking", tables), dev_rows=2)
    assert test.conventions == {
        "map@20": {"en": pytest.approx(1.5 / 3), "de": pytest.approx((1 + 2 / 3) / 2)}
    }
    assert list(dev.conventions) == ["map@20"]  # jiant has no rankings, nor a part of their dev
    pooled = 100 * (1.5 + (1 + 2 / 3) / 2) / 4
    (note,) = test.notes
    assert note.endswith(f"all languages at once (LAReQA's): {pooled:.2f}") and note in render(test)


def test_hidden_gold_is_named_and_not_scored() -> None:
    folder = cell("classification", {"test-en": [("a", "a")]})
    card = read_card(folder)
    line = json.dumps({"id": "0", "prediction": "a", "gold": None}) + "\n"
    write_text(folder / "predictions/test-sw.jsonl", line)
    write_text(folder / "predictions/dev-sw.jsonl", line)
    counts = {**card.counts, "test-sw": {"predicted": 1}, "dev-sw": {"predicted": 1}}
    write_card(folder, replace(card, counts=counts))
    dev, test = rescore(folder)
    assert (test.own, test.hidden, dev.hidden) == ({"en": 1.0}, ["sw"], ["sw"])
    assert "no gold: sw" in render(test) and "no gold, so no number" in render(dev)


def test_answers_may_hold_line_separators() -> None:
    one = only(cell("span", {"test-en": [answer("a\u2028b", "a\u2028b"), answer("x", "y")]}))
    assert one.own == {"en": 0.5}


def test_card_and_predictions_that_differ_are_refused() -> None:
    folder = cell("classification", {"test-en": [("a", "a"), ("a", "b")]})
    card = read_card(folder)
    write_card(folder, replace(card, scores={"test": {"en": {"accuracy": 0.75}}}))
    with pytest.raises(
        UserError, match=r"cells/none/made_up/1: test-en accuracy is 0\.500000 .* 0\.750000 on"
    ):
        rescore(folder)


def test_what_is_no_cell_is_one_line() -> None:
    with pytest.raises(UserError, match=r"^none/xnli/1: no card.json there or in cells/none"):
        cell_folder("none/xnli/1")
    write_card(Path("models/pretrain"), Card("pretrain"))
    with pytest.raises(UserError, match=r"^models/pretrain: the card of phase pretrain; expected"):
        rescore(cell_folder("models/pretrain"))
    folder = cell("classification", {"test-en": [("a", "a")]})
    shutil.rmtree(folder / "predictions")
    with pytest.raises(UserError, match=r"predictions: nothing in it; expected"):
        rescore(folder)


@pytest.mark.parametrize(
    "text", ["", "{", "{}", "[]", "null", '{"settings": []}', '{"settings": {"a": 1}}', "\udcff"]
)
def test_a_card_that_is_none_is_one_line(text: str) -> None:
    folder = cell("classification", {"test-en": [("a", "a")]})
    (folder / "card.json").write_bytes(text.encode(errors="surrogateescape"))
    with pytest.raises(
        UserError, match=r"^cells/none/made_up/1/card.json: not a card: .*; expected"
    ):
        rescore(folder)


@pytest.mark.parametrize(
    ("change", "where"),
    [
        ({"main": None}, "main: "),
        ({"selection": {"metric": "f1"}}, "selection.score: "),
        ({"more": 1}, "more: "),
        ({"scores": {"test": {"en": {"accuracy": "high"}}}}, "scores.test.en.accuracy: "),
        ({"counts": {"test-en": 3}}, "counts.test-en: "),
        ({"settings": {"epochs": {"value": 1, "origin": "guess"}}}, "settings.epochs.origin: "),
    ],
)
def test_a_foreign_card_is_one_line(change: dict[str, Any], where: str) -> None:
    folder = cell("classification", {"test-en": [("a", "a")]})
    values = json.loads((folder / "card.json").read_text())
    write_text(folder / "card.json", json.dumps({**values, **change}))
    with pytest.raises(UserError, match=rf"card.json: not a card: {where}.*; expected"):
        rescore(folder)


def test_command_shows_and_prints_json(small_world: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(small_world)
    run = CliRunner().invoke
    shown = run(app, ["rescore", "none/udpos/1", "cells/none/mlqa/1", "--dev-rows", "5"])
    assert shown.exit_code == 0, shown.output
    assert OLD in shown.output and "SQuAD's normaliser" in shown.output
    done = run(app, ["rescore", "none/udpos/1", "--dev-rows", str(ROWS[1]), "--json"])
    (dev, test) = json.loads(done.output)
    card = read_card(Path("cells/none/udpos/1"))
    assert (dev["split"], test["own"]) == ("dev", OLD)
    for language, scores in card.scores["test"].items():
        assert test["conventions"][WORDS][language] == pytest.approx(100 * scores["accuracy"])
