"""What leaves: a cell's model as a folder that transformers loads, and predictions of new rows."""

from __future__ import annotations

import csv
import io
import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from huggingface_hub import ModelCard
from typer.testing import CliRunner

from tests.models import tiny_encoder
from tests.rows import record, rows, section
from tests.small_world import settings
from tests.test_phases import TRAIN
from tests.test_xtreme_r import PARAMS, Ranked
from xstilts import console
from xstilts import params as sections
from xstilts.cli.main import app
from xstilts.cli.tools import load_params
from xstilts.errors import UserError
from xstilts.formats.cards import read_card
from xstilts.formats.features import Batch
from xstilts.formats.tables import (
    GOLD,
    Row,
    folder_digest,
    read_record,
    read_table,
    write_text,
)
from xstilts.leaving import predict as room
from xstilts.leaving.card import readme
from xstilts.leaving.export import export_cell
from xstilts.leaving.plain import PLAIN, Plain, difference, plain_model, plain_of
from xstilts.leaving.rows import ASKED, read_rows
from xstilts.params import Params, RunSettings, TrainingSettings, check
from xstilts.paths import kept_model
from xstilts.phases.intermediate import intermediate_stage
from xstilts.phases.pretrain import encoder_stage, pretrain_stage
from xstilts.phases.stage import context_of
from xstilts.phases.target import cell_of, make_cell, target_stage
from xstilts.running import logbook
from xstilts.sources import prepare
from xstilts.tasks.catalogue import RECORDS
from xstilts.tasks.families import FAMILIES
from xstilts.training import encoder as encoders
from xstilts.training import saved
from xstilts.training.encoder import RESTARTS, Model
from xstilts.training.task import task

ROOT = Path(__file__).parent.parent
CPU = TrainingSettings(device="cpu")
CLASSES = ("classification", "choice", "tagging", "span")
QUIET = RunSettings(progress="off")
MADE_UP = {**PARAMS, "targets": {"xcopa": TRAIN, "lareqa": TRAIN}}


@pytest.fixture(scope="module")
def folder(small_world: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The small world; cells of its targets whose models are kept are made as they are needed."""
    place = tmp_path_factory.mktemp("leaving") / "world"
    shutil.copytree(small_world, place)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place)
        patch.setenv("XSTILTS_TRACKING", "off")
        yield place


@pytest.fixture(scope="module")
def made_up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Choices and rankings, which the small world has not, with their models kept."""
    place = tmp_path_factory.mktemp("leaving") / "made-up"
    place.mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place)
        patch.setenv("XSTILTS_TRACKING", "off")
        patch.setattr(prepare, "source_named", lambda name: Ranked())
        tiny_encoder("xlm-r", Path("encoder"))
        chosen = check({**MADE_UP, "run": {"keep_model": True}}, Path("params.yaml"))
        prepare.prepare_intermediate({}, chosen.source, Path("data/intermediate/none"))
        write_text(Path("studies/intermediate/none.yaml"), "{}\n")
        pretrain_stage(chosen)
        encoder_stage(1, chosen)
        intermediate_stage("none", 1, chosen)
        for name in chosen.targets:
            prepare.prepare_target(name, chosen.source, Path("data/target", name), "xtreme-r")
            write_text(Path("studies/target", f"{name}.yaml"), "{}\n")
            target_stage("none", name, 1, chosen)
        yield place


@pytest.fixture
def _in_world(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)


def kept(name: str) -> Path:
    """Where a cell's model is kept; made where no test did so before."""
    place = kept_model("none", name, 1)
    if not place.exists():
        before = folder_digest(Path("cells/none", name, "1"))
        target_stage("none", name, 1, with_run(keep_model=True))
        assert folder_digest(Path("cells/none", name, "1")) == before
    return place


def with_run(**run: object) -> Params:
    return settings().model_copy(update={"run": RunSettings(**run)})  # type: ignore[arg-type]


def said(words: list[str], status: int = 0) -> str:
    """What a command prints; a UserError's line where it ends with status 2."""
    done = CliRunner().invoke(app, words, catch_exceptions=True)
    if isinstance(done.exception, UserError):
        assert status == 2, done.exception
        return str(done.exception)
    assert done.exit_code == status, (done.output, done.exception)
    return done.output


def without_gold(name: str, split: str, language: str) -> tuple[list[Row], str]:
    """A target's table as somebody would hand it in, and its family."""
    data = Path("data/target", name)
    family = read_record(data).family
    gold = {GOLD[family], "answerable", "group", "part"}
    table = read_table(data, split, language)  # type: ignore[arg-type]
    return [{k: v for k, v in row.items() if k not in gold} for row in table.rows], family


def as_json(found: list[Row], path: Path) -> str:
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in found))
    return str(path)


def as_csv(found: list[Row], path: Path) -> str:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(found[0]))
        writer.writeheader()
        for row in found:
            lists = {k: json.dumps(v) for k, v in row.items() if isinstance(v, list)}
            writer.writerow({**row, **lists})
    return str(path)


def of_the_cell(name: str, table: str) -> list[dict[str, Any]]:
    text = Path("cells/none", name, f"1/predictions/{table}.jsonl").read_text(encoding="utf-8")
    lines = [json.loads(line) for line in text.removesuffix("\n").split("\n")]
    return [{"id": line["id"], "prediction": line["prediction"]} for line in lines]


def a_language(name: str) -> str:
    """One that a target of the world is scored in on test, and not English."""
    return max(code for code in read_card(Path("cells/none", name, "1")).scores["test"])


def lines_of(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.removesuffix("\n").split("\n")]


def made(family: str, encoder: Any, tokenizer: Any, folder: Path) -> saved.Saved:
    """A model of random weights with a head of that family, written in our layout and read back."""
    chosen = task(record(family), section(family))
    torch.manual_seed(7)
    head = FAMILIES[family].head(encoders.config_copy(encoder), chosen.settings)  # type: ignore[index]
    for weight in head.parameters():
        torch.nn.init.normal_(weight, std=0.5)
    ref = encoders.EncoderRef("tiny", "tiny", None, "")
    about = saved.About("none/tiny/1", "key", "", ref, record(family), chosen.settings.labels,
                        section(family), CPU, {}, {})  # fmt: skip
    saved.write_model(folder, Model(encoder, {chosen.head: head}), chosen.head, tokenizer, about)
    return saved.read_model(folder)


def batch_of(model: saved.Saved, family: str) -> Batch:
    found = rows(family)
    features = model.task.family.encode(found, model.tokenizer, model.task.settings)
    import numpy as np

    tokens = encoders.special_tokens(model.tokenizer)
    return model.task.family.collate(features, np.arange(len(features)), tokens, (0,))


# A kept model predicts what its cell did


@pytest.mark.parametrize("form", [as_json, as_csv])
@pytest.mark.parametrize("name", ["xnli", "udpos", "xquad", "bucc2018", "tatoeba"])
def test_predict_gives_the_cells_own_predictions(
    _in_world: None, name: str, form: Any, tmp_path: Path
) -> None:
    kept(name)
    language = a_language(name)
    found, _ = without_gold(name, "test", language)
    file = form(found, tmp_path / ("rows.csv" if form is as_csv else "rows.jsonl"))
    words = ["predict", f"none/{name}/1", file, "--out", str(tmp_path / "found.jsonl")]
    said([*words, *(["--language", language] if name == "bucc2018" else [])])
    got = lines_of((tmp_path / "found.jsonl").read_text(encoding="utf-8"))
    assert got == of_the_cell(name, f"test-{language}")


@pytest.mark.parametrize("name", ["xcopa", "lareqa"])
def test_predict_of_choices_and_rankings(
    made_up: Path, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a ranking the candidates of all languages are searched: a file each."""
    monkeypatch.chdir(made_up)
    languages = ["de", "en"] if name == "lareqa" else ["de"]
    files = [
        as_json(without_gold(name, "test", code)[0], tmp_path / f"{code}.jsonl")
        for code in languages
    ]
    got = [line for line in lines_of(said(["predict", f"none/{name}/1", *files]))
           if line["prediction"] is not None]  # fmt: skip
    assert got == [line for code in languages for line in of_the_cell(name, f"test-{code}")]


def test_every_family_of_a_target_was_walked() -> None:
    named = {"xnli", "udpos", "xquad", "bucc2018", "tatoeba", "xcopa", "lareqa"}
    walked = {RECORDS[name].family for name in named}
    assert walked == {family for family, asked in ASKED.items() if asked}


# Transformers' own classes


@pytest.mark.parametrize("family", CLASSES)
@pytest.mark.parametrize("architecture", ["xlm-r", "roberta", "bert", "deberta-v2"])
def test_transformers_loads_a_model_with_equal_logits(
    architecture: str, family: str, tmp_path: Path
) -> None:
    """By its own Auto class, tokenizer and label names: on rows of the family, padding left out."""
    ref = tiny_encoder(architecture, tmp_path / "encoder")
    tokenizer, encoder = encoders.load_tokenizer(ref), encoders.load_encoder(ref)
    model = made(family, encoder, tokenizer, tmp_path / "own")
    plain = plain_of(model)
    assert isinstance(plain, Plain), plain
    plain_model(model, plain).save_pretrained(tmp_path / "plain")
    theirs = getattr(transformers, plain.name).from_pretrained(tmp_path / "plain").eval()
    batch = batch_of(model, family)
    ours, their = both(model, theirs, batch, family)
    assert ours.shape == their.shape and ours.std() > 1e-3  # rows of unlike logits
    torch.testing.assert_close(their, ours, atol=1e-6, rtol=0)
    if labels := model.task.settings.labels:
        assert tuple(theirs.config.id2label[n] for n in range(len(labels))) == labels
    encoders.save_tokenizer(tokenizer, tmp_path / "plain")
    assert difference(model, plain, tmp_path / "plain") <= 1e-6


@torch.inference_mode()
def both(
    model: saved.Saved, theirs: Any, batch: Batch, family: str
) -> tuple[torch.Tensor, torch.Tensor]:
    """Our logits and theirs, as a user of either would get them."""
    given = {name: batch[name] for name in encoders.ENCODER_INPUTS if name in batch}
    ours = model.model(model.task.head, batch)
    if family == "choice":  # (examples, choices, pieces) -> (examples, choices)
        count = len(batch["labels"])
        grouped = {name: value.view(count, -1, value.shape[-1]) for name, value in given.items()}
        return ours.view(count, -1), theirs(**grouped).logits
    out = theirs(**given)
    if family == "tagging":
        places, real = batch["word_starts"].clamp(min=0), batch["word_starts"] >= 0
        index = places[..., None].expand(-1, -1, out.logits.shape[-1])
        return ours[real], out.logits.gather(1, index)[real]
    if family == "span":
        real = batch["attention_mask"].bool()
        return ours[real], torch.stack([out.start_logits, out.end_logits], -1)[real]
    return ours, out.logits


@pytest.mark.parametrize(("family", "same"), [("tagging", True), ("classification", False)])
def test_positions_that_restart_are_no_plain_xlm_r_where_pairs_are_read(
    family: str, same: bool, tmp_path: Path
) -> None:
    ref = tiny_encoder("xlm-r", tmp_path / "encoder")
    tokenizer, encoder = encoders.load_tokenizer(ref), encoders.load_encoder(ref)
    setattr(encoder.config, RESTARTS, True)
    model = made(family, encoder, tokenizer, tmp_path / "own")
    plain = PLAIN["xlm-roberta"][family]  # type: ignore[index]
    plain_model(model, plain).save_pretrained(tmp_path / "plain")
    assert (difference(model, plain, tmp_path / "plain") < 1e-6) == same
    chosen = plain_of(model)
    assert chosen == plain if same else "second text of a pair" in str(chosen)


@pytest.mark.parametrize(
    ("architecture", "family", "why"),
    [
        ("modernbert", "classification", "modernbert classes is not the one trained here"),
        ("modernbert", "span", "modernbert classes is not the one trained here"),
        ("xlm-r", "ranking", "no class for a ranking model"),
        ("xlm-r", "retrieval", "no class for a retrieval model"),
    ],
)
def test_where_no_class_is_ours_the_reason_is_said(
    architecture: str, family: str, why: str, tmp_path: Path
) -> None:
    ref = tiny_encoder(architecture, tmp_path / "encoder")
    tokenizer, encoder = encoders.load_tokenizer(ref), encoders.load_encoder(ref)
    assert why in str(plain_of(made(family, encoder, tokenizer, tmp_path / "own")))


@pytest.mark.parametrize("architecture", ["xlm-r", "modernbert"])
@pytest.mark.parametrize("layer", [0, 1, 2])
def test_cut_encoder_comes_back_without_its_last_norm(
    architecture: str, layer: int, tmp_path: Path
) -> None:
    ref = tiny_encoder(architecture, tmp_path / "encoder")
    tokenizer, encoder = encoders.load_tokenizer(ref), encoders.load_encoder(ref, layer)
    if hasattr(encoder, "final_norm") and layer == 2:
        torch.nn.init.uniform_(encoder.final_norm.weight)
    model = made("retrieval", encoder, tokenizer, tmp_path / "own")
    batch = batch_of(model, "retrieval")
    wanted = Model(encoder, {"tiny_retrieval": model.model.heads["tiny_retrieval"]}).eval()
    with torch.inference_mode():
        torch.testing.assert_close(
            model.model(model.task.head, batch), wanted(model.task.head, batch), atol=0, rtol=0
        )


# A cell as a folder


def test_export_of_a_cell_whose_model_was_not_kept_runs_it_again(
    _in_world: None, tmp_path: Path
) -> None:
    """Beside the cell: its bytes stay, and nothing else is left behind."""
    shutil.rmtree(kept_model("none", "pawsx", 1), ignore_errors=True)
    before, out = folder_digest(Path("cells/none/pawsx/1")), tmp_path / "model"
    text = said(["export", "target@none-pawsx-1", str(out)])
    assert "no model of it is kept; it is run again" in text
    assert "AutoModelForSequenceClassification.from_pretrained loads it" in text
    assert folder_digest(Path("cells/none/pawsx/1")) == before
    assert not kept_model("none", "pawsx", 1).exists()
    assert not list(Path("work/export").iterdir())
    model = transformers.AutoModelForSequenceClassification.from_pretrained(out)
    assert set(model.config.label2id) == set(RECORDS["pawsx"].labels)
    found, _ = without_gold("pawsx", "test", a_language("pawsx"))
    file = as_json(found, tmp_path / "rows.jsonl")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path)  # far from any repository
        got = lines_of(said(["predict", "model", file]))
    assert got == of_the_cell("pawsx", f"test-{a_language('pawsx')}")


def test_export_takes_the_kept_model_and_a_card_with_every_number(
    _in_world: None, tmp_path: Path
) -> None:
    kept("udpos")
    out = tmp_path / "tagger"
    assert "run again" not in said(["export", "none/udpos/1", str(out)])
    card = read_card(Path("cells/none/udpos/1"))
    data = ModelCard.load(out / "README.md").data
    numbers = {
        (one.dataset_split, one.dataset_config, one.metric_type): one.metric_value
        for one in data.eval_results
    }
    assert numbers == {
        (split, language, metric): value
        for split, languages in card.scores.items()
        for language, scores in languages.items()
        for metric, value in scores.items()
    }
    f1 = next(one for one in data.eval_results if one.metric_type == "f1")
    assert f1.metric_args == {"convention": card.passport["metrics"]["f1"]}
    assert data.language[0] == "en" and set(data.language) == set(card.scores["test"])
    assert (data.library_name, data.pipeline_tag) == ("transformers", "token-classification")
    text = (out / "README.md").read_text(encoding="utf-8")
    assert "FIRST piece" in text and "say nothing of the official data" in text
    assert all("made by the source world" in one.dataset_name for one in data.eval_results)
    assert (out / "card.json").read_bytes() == Path("cells/none/udpos/1/card.json").read_bytes()


def test_export_without_a_class_of_transformers_says_so(_in_world: None, tmp_path: Path) -> None:
    kept("tatoeba")
    out = tmp_path / "vectors"
    assert "own layout, since transformers has no class for a retrieval model" in said(
        ["export", "none/tatoeba/1", str(out)]
    )
    assert "In xstilts' own layout" in (out / "README.md").read_text(encoding="utf-8")
    found, _ = without_gold("tatoeba", "test", a_language("tatoeba"))
    file = as_json(found, tmp_path / "rows.jsonl")
    assert lines_of(said(["predict", str(out), file])) == of_the_cell(
        "tatoeba", f"test-{a_language('tatoeba')}"
    )


def test_export_replaces_nothing_but_an_earlier_export(_in_world: None, tmp_path: Path) -> None:
    kept("tatoeba")
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "thesis.txt").write_text("mine")
    for more in ([], ["--force"]):
        assert "it is there; expected no folder" in said(
            ["export", "none/tatoeba/1", str(mine), *more], 2
        )
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]
    out = str(tmp_path / "vectors")
    said(["export", "none/tatoeba/1", out])
    before = folder_digest(Path(out))
    assert "it is there" in said(["export", "none/tatoeba/1", out], 2)
    said(["export", "none/tatoeba/1", out, "--force"])
    assert folder_digest(Path(out)) == before


def test_export_refuses_a_cell_that_does_not_come_back(_in_world: None, tmp_path: Path) -> None:
    cell, out = Path("cells/none/panx/1"), tmp_path / "model"
    file = cell / "predictions/test-en.jsonl"
    text = file.read_text(encoding="utf-8")
    file.write_text(text.replace('"O"', '"B-LOC"', 1))
    try:
        line = said(["export", "none/panx/1", str(out)], 2)
    finally:
        file.write_text(text)
    assert "run again it has other predictions" in line
    assert "`dvc repro --force target@none-panx-1`" in line
    assert list(tmp_path.iterdir()) == [] and not list(Path("work/export").iterdir())
    assert not kept_model("none", "panx", 1).exists()


def test_export_of_a_stale_cell_names_its_stage(_in_world: None, tmp_path: Path) -> None:
    moved = settings().model_copy(update={"training": TrainingSettings(device="cpu", seed=2)})
    with pytest.raises(UserError, match=r"other settings .*`xstilts grid target@none-mlqa-1`"):
        list(export_cell("none/mlqa/1", tmp_path / "model", False, moved))
    assert list(tmp_path.iterdir()) == []


def test_export_keeps_the_model_where_params_say_so(_in_world: None, tmp_path: Path) -> None:
    list(export_cell("none/tydiqa/1", tmp_path / "qa", False, with_run(keep_model=True)))
    assert saved.read_about(kept_model("none", "tydiqa", 1)).cell == "none/tydiqa/1"
    assert "run again" not in said(["export", "none/tydiqa/1", str(tmp_path / "again")])
    assert folder_digest(tmp_path / "qa") == folder_digest(tmp_path / "again")


@pytest.mark.parametrize(
    ("text", "name", "expected"),
    [
        ('{"text_a": "a"}\n{"text_a": "b", "text_c": "c"}', "a.jsonl",
         "a.jsonl:2: 'text_c' is no column of a classification row; nearest: text_b"),
        ('{"text_b": "b"}', "a.jsonl", "a.jsonl:1: no column 'text_a'; expected text_a"),
        ('{"text_a": "a"}\n{"text_a": 7}', "a.jsonl", "a.jsonl:2: text_a: 7; expected a string"),
        ('{"text_a": "a"}\n\n{"text_a": ', "a.jsonl", "a.jsonl:3: not JSON: Expecting value"),
        ("[1]", "a.jsonl", "a.jsonl:1: [1]; expected a JSON object"),
        ("", "a.jsonl", "a.jsonl: no rows; expected a line a row"),
        ("text,text_b\na,b", "a.csv",
         "a.csv:2: 'text' is no column of a classification row; nearest: text_a"),
        ("text_a,text_b\na,b\nc", "a.csv", "a.csv:3: other than 2 fields"),
        ("text_a,text_b\na,b,c", "a.csv", "a.csv:2: other than 2 fields"),
        ("text_a\n\"a", "a.csv", "unexpected end of data; expected CSV"),
    ],
)  # fmt: skip
def test_wrong_row_is_one_line_with_its_place(
    text: str, name: str, expected: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path(name).write_text(text)
    with pytest.raises(UserError) as error:
        read_rows("classification", name)
    assert expected in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("family", "line", "expected"),
    [
        ("retrieval", '{"side": "englsh", "text": "a"}', "side: 'englsh'; nearest: english"),
        ("tagging", '{"tokens": ["a", 1]}', "expected a list of strings"),
        ("ranking", '{"context": "a"}', "neither query nor candidate"),
        ("span", '{"context": "a"}', "no column 'question'; expected context, question"),
        ("choice", '{"context": "a", "choices": 3}', "choices: 3; expected a list of strings"),
    ],
)
def test_each_familys_rows_are_asked_for_their_columns(
    family: Any, line: str, expected: str, tmp_path: Path
) -> None:
    (tmp_path / "a.jsonl").write_text(line)
    with pytest.raises(UserError, match=expected):
        read_rows(family, str(tmp_path / "a.jsonl"))


def test_standard_input_is_json_lines_or_csv(monkeypatch: pytest.MonkeyPatch) -> None:
    for text in ('{"tokens": ["a", "b c"]}', 'tokens\n"[""a"", ""b c""]"\n'):
        monkeypatch.setattr("sys.stdin", io.StringIO(text))
        assert [row["tokens"] for row in read_rows("tagging", "-")] == [["a", "b c"]]
    monkeypatch.setattr("sys.stdin", io.StringIO("tokens\nI saw it\n"))
    assert read_rows("tagging", "-") == [{"id": "1", "tokens": ["I", "saw", "it"], "tags": None}]


def test_texts_of_the_command_line_are_rows(_in_world: None) -> None:
    kept("xnli"), kept("udpos"), kept("xquad")
    (one,) = lines_of(said(["predict", "none/xnli/1", "--text", "a b", "--pair", "b"]))
    assert one["id"] == "1" and one["prediction"] in RECORDS["xnli"].labels
    (tagged,) = lines_of(said(["predict", "none/udpos/1", "--text", "a b c"]))
    assert len(tagged["prediction"]) == 3
    assert "--pair: words of one" in said(
        ["predict", "none/udpos/1", "--text", "a", "--pair", "b"], 2
    )
    assert "a span model reads context, question" in said(
        ["predict", "none/xquad/1", "--text", "a"], 2
    )


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (
            ["none/xnly/1", "a.jsonl"],
            "none/xnly/1: no such cell; nearest: none/xnli/1",
        ),
        (["target@none-xnli-2", "a.jsonl"], "nearest: target@none-xnli-1"),
        (["none/mlqa/1", "a.jsonl"], "no model of it is kept; expected kept/none/mlqa/1"),
        (["none/xnli/1"], "expected FILE, or --text TEXT"),
        (["none/xnli/1", "--pair", "a"], "expected FILE, or --text TEXT"),
        (["none/xnli/1", "a.jsonl", "--pair", "a"], "--pair: it goes with --text"),
        (["none/xnli/1", "a.jsonl"], "a.jsonl: no such file"),
        (["none/xnli/1", "--text", "a", "--language", "de"], "has no settings by language"),
    ],
)
def test_predict_says_in_a_line_what_it_lacks(
    _in_world: None, words: list[str], expected: str
) -> None:
    kept("xnli")
    shutil.rmtree(kept_model("none", "mlqa", 1), ignore_errors=True)
    assert expected in said(["predict", *words], 2)


def test_mined_pairs_need_a_language_of_the_cell(_in_world: None, tmp_path: Path) -> None:
    kept("bucc2018")
    file = as_json(
        without_gold("bucc2018", "test", a_language("bucc2018"))[0], tmp_path / "a.jsonl"
    )
    for language in ("", "xx"):
        words = ["predict", "none/bucc2018/1", file, "--language", language]
        assert f"--language {language}: bucc2018 keeps the pairs over a threshold" in said(words, 2)


def test_model_of_another_run_of_the_cell_is_not_taken(_in_world: None) -> None:
    """With the same key: the code was changed, or the machine."""
    kept("xnli")
    file = Path("cells/none/xnli/1/predictions/test-en.jsonl")
    text = file.read_text(encoding="utf-8")
    file.write_text(text + "\n")
    try:
        line = said(["predict", "none/xnli/1", "--text", "a"], 2)
    finally:
        file.write_text(text)
    assert "kept/none/xnli/1 is of another run of it" in line
    assert "`xstilts export none/xnli/1 OUT`" in line


def test_predict_says_where_a_card_is_of_another_device(
    _in_world: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    about = saved.read_about(kept("xnli"))
    folder = shutil.copytree(kept("xnli"), tmp_path / "gpu")
    training = about.training.model_copy(update={"device": "cuda", "layout": "graphs"})
    computed = {"device": "cuda", "precision": "bf16", "layout": "graphs"}
    saved.write_about(folder, replace(about, training=training, computed=computed))
    _, note = room.load(folder)
    assert "predicted on cpu, fp32, padded; the card's numbers are of cuda, bf16, graphs" in note
    assert room.load(kept("xnli"))[1] == ""


def test_card_of_the_hubs_rows_names_commits_licences_and_base(_in_world: None) -> None:
    """As one of real data would read; the numbers are the small world's."""
    about = saved.read_about(kept("xnli"))
    note = f"Hub: facebook/xnli at {'a' * 40}; its test is the official one"
    card = replace(read_card(Path("cells/none/xnli/1")), source="hub", notes=(note,))
    about = replace(about, encoder=replace(about.encoder, name="FacebookAI/xlm-roberta-large"))
    name = "AutoModelForSequenceClassification"
    text = readme(about, card, ("mnli",), name, "")
    data = ModelCard(text).data
    assert data.base_model == "FacebookAI/xlm-roberta-large"
    assert (data.license, data.license_name) == ("other", "see-licences-below")
    assert {(one.dataset_type, one.dataset_revision) for one in data.eval_results} == {
        ("facebook/xnli", "a" * 40)
    }
    for one in ("mnli", "xnli"):
        assert f"- {RECORDS[one].title} ({one}): {RECORDS[one].licence}" in text
    assert note in text and "the official data" not in text
    assert ModelCard(readme(about, card, ("xnli",), name, "")).data.license == "cc-by-nc-4.0"


def test_tracking_of_params_counts_where_no_variable_is_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For every command, and what it runs. `on` leaves a grid's stages to its end, as none does."""
    monkeypatch.chdir(tmp_path)
    for tracking, outside, told in (
        ("on", "", None),
        ("off", "", "off"),
        ("off", "later", "later"),
    ):
        sections.write(with_run(tracking=tracking), Path("params.yaml"), "made")
        monkeypatch.setenv(logbook.MODE, outside)
        if not outside:
            del os.environ[logbook.MODE]
        load_params()
        assert os.environ.get(logbook.MODE) == told
        assert logbook.mode() == (told or "on")


def test_progress_off_draws_no_bar(
    _in_world: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[bool] = []
    drawn = console.bar

    def bar(*given: Any, silent: bool = False) -> Any:
        asked.append(given[4] if len(given) > 4 else silent)
        return drawn(*given[:4], silent=asked[-1])

    monkeypatch.setattr(console, "bar", bar)
    monkeypatch.setattr("xstilts.training.evaluation.bar", bar)
    for progress, silent in (("auto", False), ("off", True)):
        cell = cell_of("none", "xnli", 1, settings())
        chosen = with_run(progress=progress)
        context = context_of(cell.training, cell.base, tmp_path / progress, None, chosen.run)
        make_cell(cell, "world", context, tmp_path / f"cell-{progress}", None)
        assert len(asked) > 2 and set(asked) == {silent}
        asked.clear()


def test_silent_bar_writes_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    for silent in (False, True):
        shown = console.bar(2, "a", "steps", silent=silent)
        shown.delay = shown.mininterval = 0  # as if ten seconds had passed
        shown.update(2)
        shown.refresh()
        shown.close()
        assert bool(capsys.readouterr().err) != silent
