from __future__ import annotations

import json
import resource
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from xstilts.cli.main import app
from xstilts.errors import UserError
from xstilts.results.scoring import render, score_submission
from xstilts.tasks.metrics.benchmark import TASKS

OWN_KEYS = {"benchmark", "convention", "unanswered", "not_scored"}
FILES = {"seqeval-1.2.2": "expected.json", "seqeval-0.0.12": "expected_seqeval_0.0.12.json"}
# XTREME's evaluate_test.py: its own constants for its mock data.
MOCK = {
    "pawsx": {"avg_accuracy": 51.42857142857143},
    "xnli": {"avg_accuracy": 30.666666666666668},
    "panx": {
        "avg_f1": 57.50793650793652,
        "avg_precision": 54.729166666666664,
        "avg_recall": 62.750000000000014,
    },
    "udpos": {
        "avg_f1": 70.21746048354693,
        "avg_precision": 71.02232625883823,
        "avg_recall": 69.54982073976082,
    },
    "bucc2018": {"avg_f1": 55.0, "avg_precision": 55.0, "avg_recall": 55.0},
    "tatoeba": {"avg_accuracy": 53.611111111111114},
    "xquad": {"avg_exact_match": 77.27272727272727, "avg_f1": 79.9586776859504},
    "mlqa": {"avg_exact_match": 57.142857142857146, "avg_f1": 81.76870748299321},
    "tydiqa": {"avg_exact_match": 88.88888888888889, "avg_f1": 97.22222222222223},
}


def flat(result, prefix=""):
    """Nested dicts -> {path: number}, without what evaluate.py does not write."""
    found = {}
    for name, value in result.items():
        if prefix or name not in OWN_KEYS:
            path = f"{prefix}/{name}"
            found |= flat(value, path) if isinstance(value, dict) else {path: value}
    return found


@pytest.fixture
def case(golden, tmp_path):
    """A copy of case_a to spoil: (predictions, labels)."""
    folder = tmp_path / "case"
    shutil.copytree(golden("xtreme/case_a"), folder)
    return folder / "predictions", folder / "labels"


@pytest.fixture
def only(case):
    """A copy of case_a reduced to one task."""

    def keep(task):
        for folder in case[0].iterdir():
            if folder.name != task:
                shutil.rmtree(folder)
        return case

    return keep


@pytest.mark.parametrize("name", ["case_a", "case_b"])
@pytest.mark.parametrize("convention", list(FILES))
def test_submission_golden(golden, read, name, convention) -> None:
    folder = golden(f"xtreme/{name}")
    result = score_submission(folder / "predictions", folder / "labels", convention=convention)
    expected = read(f"xtreme/{name}/{FILES[convention]}")
    assert flat(result) == pytest.approx(flat(expected), abs=1e-9)
    assert result["not_scored"] == []


@pytest.mark.parametrize("name", ["case_a", "case_b"])
def test_submission_without_two_tasks_golden(golden, read, tmp_path, name) -> None:
    predictions, labels = tmp_path / "predictions", golden(f"xtreme/{name}/labels")
    shutil.copytree(golden(f"xtreme/{name}/predictions"), predictions)
    for task in ("udpos", "bucc2018"):
        shutil.rmtree(predictions / task)
    result = score_submission(predictions, labels)
    totals = {key: value for key, value in result.items() if isinstance(value, float)}
    expected = read(f"xtreme/{name}/expected_without_udpos_bucc2018.json")
    assert totals == pytest.approx(expected, abs=1e-9)
    assert result["not_scored"] == ["udpos", "bucc2018"]


def test_mock_submission_as_evaluate_test(mock_submission) -> None:
    result = score_submission(mock_submission / "predictions", mock_submission / "labels")
    for task, expected in MOCK.items():
        found = {name: result[task][name] for name in expected}
        assert found == pytest.approx(expected, abs=1e-9), task


def test_unanswered_questions_are_counted(golden) -> None:
    folder = golden("xtreme/case_b")
    counts = score_submission(folder / "predictions", folder / "labels")["unanswered"]
    predicted = json.loads((folder / "predictions/xquad/test-es.json").read_text("utf-8"))
    labels = json.loads((folder / "labels/xquad/test-es.json").read_text("utf-8"))
    articles = labels["data"] if isinstance(labels, dict) else labels
    ids = [qa["id"] for article in articles for p in article["paragraphs"] for qa in p["qas"]]
    assert counts["xquad"]["es"] == sum(name not in predicted for name in ids) == 4
    assert set(counts) == {"xquad", "mlqa", "tydiqa", "pawsx", "xnli"}
    assert counts["xnli"] == {"de": 3, "en": 1}  # `maybe`, `NEUTRAL!` and the like


def test_predictions_that_are_no_label_are_refused(only) -> None:
    """Labels as numbers, which evaluate.py scores 0 in silence."""
    predictions, labels = only("xnli")
    path = predictions / "xnli/test-de.tsv"
    numbers = ["0"] * len(path.read_text("utf-8").splitlines())
    path.write_text("\n".join(numbers) + "\n", encoding="utf-8")
    with pytest.raises(
        UserError, match=r"test-de.tsv: no line is a label, as '0'; expected contra"
    ):
        score_submission(predictions, labels)


def test_case_a_under_five_seconds_without_heavy_imports(golden) -> None:
    folder = golden("xtreme/case_a")
    code = (
        "import sys; from pathlib import Path; from xstilts.results import scoring; "
        "result = scoring.score_submission(*map(Path, sys.argv[1:])); scoring.render(result); "
        "assert not {'torch', 'pandas', 'mlflow', 'transformers'} & set(sys.modules)"
    )
    command = [sys.executable, "-c", code, str(folder / "predictions"), str(folder / "labels")]
    took_s = []
    for _ in range(3):  # processor time, the best of three: the machine may be busy
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run(command, check=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        took_s.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
        if took_s[-1] < 5:
            break
    assert min(took_s) < 5


def test_render_names_every_number(golden) -> None:
    folder = golden("xtreme/case_b")
    text = render(score_submission(folder / "predictions", folder / "labels"))
    assert "all_task" in text
    assert all(task in text for task in TASKS["xtreme"])
    assert "unanswered, scored 0: xquad 68 (es 4," in text


def test_render_says_what_is_missing(only) -> None:
    text = render(score_submission(*only("xnli")))
    assert "all_task" not in text
    assert "not scored, so no total: pawsx, panx" in text


@pytest.mark.parametrize(
    ("task", "name", "content", "message"),
    [
        ("xnli", "test-sw.tsv", "neutral\n", r"xnli/test-sw.tsv: 1 lines; expected \d+ as in"),
        ("tatoeba", "test-af.tsv", "", r"tatoeba/test-af.tsv: 0 lines; expected"),
        ("udpos", "test-de.tsv", "NOUN\n", r"udpos/test-de.tsv: 1 sentences; expected \d+"),
        ("xquad", "test-de.json", '{"a":\n"b",}', r"xquad/test-de.json:2: not JSON"),
        ("xquad", "test-de.json", "[]", r"xquad/test-de.json: not one JSON object"),
    ],
)
def test_bad_predictions_name_file(only, task, name, content, message) -> None:
    predictions, labels = only(task)
    (predictions / task / name).write_text(content, encoding="utf-8")
    with pytest.raises(UserError, match=message):
        score_submission(predictions, labels)


def test_short_sentence_names_its_line(only) -> None:
    predictions, labels = only("panx")
    path = predictions / "panx" / "test-en.tsv"
    sentences = (labels / "panx" / "test-en.tsv").read_text("utf-8").split("\n\n")
    sentences[1] = "O"
    path.write_text("\n\n".join(sentences), encoding="utf-8")
    line = sentences[0].count("\n") + 3
    with pytest.raises(UserError, match=rf"panx/test-en.tsv:{line}: 1 tags in this sentence"):
        score_submission(predictions, labels)


def test_answer_that_is_not_text_names_its_id(only) -> None:
    predictions, labels = only("tydiqa")
    path = predictions / "tydiqa" / "test-fi.json"
    answers = json.loads(path.read_text("utf-8"))
    name = next(iter(answers))
    path.write_text(json.dumps({**answers, name: None}), encoding="utf-8")
    with pytest.raises(UserError, match=f"answer to {name} is not text"):
        score_submission(predictions, labels)


def test_other_encoding_names_its_line(only) -> None:
    predictions, labels = only("xnli")
    (predictions / "xnli" / "test-de.tsv").write_bytes(b"neutral\n\xe9\n")
    with pytest.raises(UserError, match=r"test-de.tsv:2: not UTF-8"):
        score_submission(predictions, labels)


@pytest.mark.parametrize("side", [0, 1])
def test_missing_language_is_named(only, side) -> None:
    folders = only("xquad")
    (folders[side] / "xquad" / "test-el.json").unlink()
    with pytest.raises(UserError, match=r"xquad/test-el.json: missing"):
        score_submission(*folders)


def test_folders_and_benchmark_are_checked(only, tmp_path) -> None:
    predictions, labels = only("xnli")
    with pytest.raises(UserError, match="no such folder"):
        score_submission(tmp_path / "none", labels)
    with pytest.raises(UserError, match="no task in common"):
        score_submission(predictions, tmp_path)
    with pytest.raises(UserError, match="nearest: xtreme-r"):
        score_submission(predictions, labels, "xtremer")
    with pytest.raises(UserError, match="not a convention"):
        score_submission(predictions, labels, convention="seqeval-0.0.13")


def blank_answers(text: str) -> str:
    content = json.loads(text)
    for article in content["data"]:
        for paragraph in article["paragraphs"]:
            for question in paragraph["qas"]:
                question["answers"] = [{"text": "", "answer_start": 0}]
    return json.dumps(content)


@pytest.mark.parametrize(
    ("task", "name", "blank"),
    [
        ("xquad", "test-en.json", blank_answers),
        ("mlqa", "test-hi.json", blank_answers),
        ("tydiqa", "test-te.json", blank_answers),
        ("xnli", "test-fr.tsv", lambda text: "a sentence\tanother\n" * text.count("\n")),
        ("pawsx", "test-ko.tsv", lambda text: "\n" * text.count("\n")),
        ("udpos", "test-el.tsv", lambda text: "λέξη\n" * 9),
        ("panx", "test-pt.tsv", lambda text: "O\nmenino\ne\na\nmenina\n"),
        ("tatoeba", "test-jv.tsv", lambda text: "0\n" * text.count("\n")),
        ("tatoeba", "test-jv.tsv", lambda text: "ukara\n" * text.count("\n")),
        ("bucc2018", "test-fr.tsv", lambda text: ""),
    ],
)
def test_blanked_labels_are_refused(only, task, name, blank) -> None:
    predictions, labels = only(task)
    path = labels / task / name
    path.write_text(blank(path.read_text("utf-8")), encoding="utf-8")
    with pytest.raises(UserError, match=f"{name}: holds no gold labels"):
        score_submission(predictions, labels)


@pytest.mark.parametrize("name", ["case_a", "case_b"])
@pytest.mark.parametrize("convention", list(FILES))
def test_the_command_has_both_conventions(golden, read, name, convention) -> None:
    folder = golden(f"xtreme/{name}")
    given = [str(folder / "predictions"), str(folder / "labels"), "--convention", convention]
    done = CliRunner().invoke(app, ["score", *given, "--json"])
    assert done.exit_code == 0, done.output
    expected = read(f"xtreme/{name}/{FILES[convention]}")
    assert flat(json.loads(done.output)) == pytest.approx(flat(expected), abs=1e-9)


@pytest.mark.parametrize(
    "text",
    [
        '{"data": [{"paragraphs": [{"qas": [{"id": "1", "answers": [{"text": null}]}]}]}]}',
        '{"data": [{"paragraphs": [{"qas": [{"id": ["1"], "answers": [{"text": "a"}]}]}]}]}',
        "[" * 100_000,
        '{"data": ' + "1" * 5000 + "}",
    ],
)
def test_odd_gold_is_one_line(only, text) -> None:
    predictions, labels = only("xquad")
    (labels / "xquad" / "test-en.json").write_text(text, encoding="utf-8")
    with pytest.raises(UserError, match=r"test-en\.json"):
        score_submission(predictions, labels)


@pytest.mark.parametrize(("languages", "wanted"), [({}, ["en"]), (3, ["en"]), ({"en": 1}, 3)])
def test_odd_manifest_is_one_line(only, languages, wanted) -> None:
    predictions, labels = only("xnli")
    tasks = {"xnli": {"languages": languages, "expected languages": wanted}}
    manifest = {"benchmark": "xtreme", "tasks": tasks}
    (predictions / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(UserError, match="not a manifest"):
        score_submission(predictions, labels)


def test_question_without_answers_is_refused(only) -> None:
    predictions, labels = only("xquad")
    path = labels / "xquad" / "test-en.json"
    content = json.loads(path.read_text("utf-8"))
    content["data"][0]["paragraphs"][0]["qas"][0]["answers"] = []
    path.write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(UserError, match="has no answer"):
        score_submission(predictions, labels)
    path.write_text('{"data": [{"title": "x"}]}', encoding="utf-8")
    with pytest.raises(UserError, match="not a SQuAD file"):
        score_submission(predictions, labels)


def write_gold(folder: Path, task: str) -> None:
    """A tiny perfect XTREME-R task: the same files serve as labels and predictions."""
    (folder / task).mkdir(parents=True)
    question = {"id": "q", "answers": [{"text": "wort", "answer_start": 0}]}
    contents = {
        "xnli": "neutral\nentailment\n",
        "udpos": "NOUN\nVERB\n\n",
        "panx": "B-PER\nO\n\n",
        "tatoeba": "1\n0\n",
        "xcopa": '{"label": 0}\n{"label": 1}\n',
        "lareqa": '{"q": ["a", "b"]}',
        "mewslix": '{"q": ["Q1"]}',
    }
    squad = json.dumps({"data": [{"paragraphs": [{"qas": [question]}]}]})
    for language in TASKS["xtreme-r"][task]:
        suffix = {"xcopa": "jsonl", "lareqa": "json", "mewslix": "json"}.get(task, "tsv")
        suffix = suffix if task in contents else "json"
        text = contents.get(task, squad)
        (folder / task / f"test-{language}.{suffix}").write_text(text, encoding="utf-8")


@pytest.fixture
def xtreme_r(tmp_path):
    for side in ("predictions", "labels"):
        for task in TASKS["xtreme-r"]:
            write_gold(tmp_path / side, task)
    for task in ("xquad", "mlqa", "tydiqa"):
        for path in (tmp_path / "predictions" / task).iterdir():
            path.write_text('{"q": "wort"}', encoding="utf-8")
    return tmp_path / "predictions", tmp_path / "labels"


def test_xtreme_r_forms_a_total(xtreme_r) -> None:
    result = score_submission(*xtreme_r, "xtreme-r")
    assert {k: v for k, v in result.items() if isinstance(v, float)} == dict.fromkeys(
        ("all_task", "classification", "tagging", "qa", "retrieval"), 100.0
    )
    assert "all_task" in render(result)


def test_xtreme_r_mewslix_golden(golden, read, xtreme_r) -> None:
    for side, folder in zip(("predictions", "labels"), xtreme_r, strict=True):
        shutil.copytree(golden(f"mewslix/{side}"), folder / "mewslix", dirs_exist_ok=True)
    result, expected = score_submission(*xtreme_r, "xtreme-r"), read("mewslix/expected.json")
    assert result["mewslix"]["map@20"] == pytest.approx(expected["map@20"], abs=1e-9)
    assert result["mewslix"]["avg_metric"] == pytest.approx(expected["macro_average"], abs=1e-9)
    counts = {code: count for code, count in expected["not_predicted"].items() if count}
    assert result["unanswered"]["mewslix"] == counts


def test_xtreme_r_lines_are_checked(xtreme_r) -> None:
    path = xtreme_r[0] / "xcopa" / "test-qu.jsonl"
    path.write_text('{"label": 0}\n{"lable": 1}\n', encoding="utf-8")
    with pytest.raises(UserError, match=r"test-qu.jsonl:2: expected"):
        score_submission(*xtreme_r, "xtreme-r")
    path.write_text('{"label": 0}\n{"label": 1}\n', encoding="utf-8")
    (xtreme_r[1] / "lareqa" / "test-hi.json").write_text('{"q": []}', encoding="utf-8")
    with pytest.raises(UserError, match=r"test-hi.json: holds no gold labels"):
        score_submission(*xtreme_r, "xtreme-r")


@pytest.mark.parametrize("task", ["lareqa", "mewslix"])
@pytest.mark.parametrize("side", ["predictions", "labels"])
@pytest.mark.parametrize(
    ("ids", "place"),
    [
        ([[]], r"q\[0\]: list"),
        ([[1]], r"q\[0\]: list"),
        (["a", 5], r"q\[1\]: int"),
        ([["x"]], r"q\[0\]: list"),
        ([{"a": 1}], r"q\[0\]: dict"),
        ([None], r"q\[0\]: NoneType"),
    ],
)
def test_ids_that_are_no_text_are_one_line(xtreme_r, task, side, ids, place) -> None:
    folder = xtreme_r[side == "labels"]
    (folder / task / "test-de.json").write_text(json.dumps({"q": ids}), encoding="utf-8")
    message = rf"{side}/{task}/test-de\.json: {place}; expected an id as text"
    with pytest.raises(UserError, match=message) as caught:
        score_submission(*xtreme_r, "xtreme-r")
    assert "\n" not in str(caught.value)
