"""Every layer and pooling from one pass: the numbers that cells of those settings have."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from tests.models import tiny_encoder
from tests.test_phases import PARAMS, MadeUp, sentence
from xstilts.errors import UserError
from xstilts.formats.cards import read_card
from xstilts.formats.tables import write_record, write_table, write_text
from xstilts.looking import layers
from xstilts.looking.layers import Score
from xstilts.params import Params, check
from xstilts.phases.intermediate import intermediate_stage
from xstilts.phases.pretrain import encoder_stage, pretrain_stage
from xstilts.phases.target import target_stage
from xstilts.sources import prepare
from xstilts.tasks.catalogue import record
from xstilts.training import encoder as encoders

LONG = sentence(9, 9)


@pytest.fixture(scope="module", params=["xlm-r", "modernbert"])
def folder(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp(request.param)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("XSTILTS_TRACKING", "off")
        patch.setattr(prepare, "source_named", lambda name: MadeUp())
        tiny_encoder(request.param, Path("encoder"))
        for name in ("bucc2018", "tatoeba", "xnli"):
            prepare.prepare_target(name, params().source, Path("data/target", name))
            write_text(Path("studies/target", f"{name}.yaml"), "{}\n")
        prepare.prepare_intermediate({}, params().source, Path("data/intermediate/none"))
        write_text(Path("studies/intermediate/none.yaml"), "{}\n")
        pretrain_stage(params())
        encoder_stage(1, params())
        intermediate_stage("none", 1, params())
        yield folder


@pytest.fixture(autouse=True)
def _inside(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)


def params(name: str = "tatoeba", layer: int = 0, pooling: str = "mean") -> Params:
    section = {"layer": layer, "pooling": pooling, "max_length": 48}
    changed = {**PARAMS, "targets": {**PARAMS["targets"], name: section}}
    return check(changed, Path("params.yaml"))


def found(name: str) -> list[Score]:
    ref = encoders.read_ref(Path("models/intermediate/none/1"))
    data = Path("data/target", name)
    return layers.layers_of(ref, data, params().training, 48, Path("work/features"))


@pytest.mark.parametrize("name", ["bucc2018", "tatoeba"])
def test_scores_are_those_of_cells(name: str) -> None:
    scores = found(name)
    splits = {"bucc2018": 2, "tatoeba": 1}[name]
    assert len(scores) == splits * 3 * 2 and {one.language for one in scores} == {"de"}
    for one in scores:
        target_stage("none", name, 1, params(name, one.layer, one.pooling))
        card = read_card(Path("cells/none", name, "1"))
        main = {"bucc2018": "f1", "tatoeba": "accuracy"}[name]
        assert one.value == pytest.approx(card.scores[one.split][one.language][main]), one


def test_the_encoder_reads_each_sentence_once() -> None:
    rows = 0

    def count(module: torch.nn.Module, given: object, output: object) -> None:
        nonlocal rows
        if type(module).__name__.endswith("Model"):
            rows += len(output.last_hidden_state)  # type: ignore[attr-defined]

    hook = torch.nn.modules.module.register_module_forward_hook(count)
    try:
        found("tatoeba")
    finally:
        hook.remove()
    assert rows == 14  # seven sentences on each side


def test_a_target_without_vectors_is_refused() -> None:
    with pytest.raises(
        UserError, match="xnli: a classification target; expected one that compares vectors"
    ):
        found("xnli")


def test_rankings_are_by_cosine_among_all_languages(tmp_path: Path) -> None:
    """As plain transformers and a sort give it: mAP@20 with one or two right candidates."""
    texts = {
        "en": ["The dog saw a cat .", "In Paris yesterday ."],
        "de": ["Der Hund .", "Am Fluss ."],
    }
    data = tmp_path / "lareqa"
    for language, candidates in texts.items():
        rows = [
            {"id": f"{language}-q{n}", "query": text, "candidate": None, "context": None,
             "gold": [str(n)]} for n, text in enumerate(candidates)
        ] + [
            {"id": f"{language}-c{n}", "query": None, "candidate": text, "context": LONG,
             "gold": [str(n)]} for n, text in enumerate(candidates)
        ]  # fmt: skip
        write_table(data, "ranking", "test", language, rows)
    write_record(data, record("lareqa", "xtreme-r"))
    ref = encoders.read_ref(Path("models/intermediate/none/1"))
    scores = layers.layers_of(ref, data, params().training, 64, tmp_path / "features")
    assert {(s.layer, s.pooling, s.language) for s in scores} == {
        (layer, pooling, code)
        for layer in range(3)
        for pooling in layers.POOLINGS
        for code in texts
    }
    model, tokenizer = encoders.load_encoder(ref).eval(), encoders.load_tokenizer(ref)

    def vector(layer: int, *text: str) -> torch.Tensor:
        with torch.inference_mode():
            read = model(**tokenizer(*text, return_tensors="pt"), output_hidden_states=True)
        states = [*read.hidden_states[:2], read.last_hidden_state][layer][0]
        return torch.nn.functional.normalize(states.mean(0), dim=0)

    for score in (s for s in scores if s.pooling == "mean"):
        pool = {(code, n): vector(score.layer, text, LONG)
                for code, of in texts.items() for n, text in enumerate(of)}  # fmt: skip
        wanted = []
        for n, text in enumerate(texts[score.language]):
            query = vector(score.layer, text)
            order = sorted(pool, key=lambda key: -float(query @ pool[key]))
            places = [at for at, (_, other) in enumerate(order, 1) if other == n]
            wanted.append(sum(k / at for k, at in enumerate(places, 1)) / len(places))
        assert score.value == pytest.approx(sum(wanted) / len(wanted)), score


def test_table_and_picture(tmp_path: Path) -> None:
    scores = [
        Score("test", language, layer, pooling, value / 10)
        for language, value in (("de", 2), ("fr", 4))
        for layer in (0, 1)
        for pooling in layers.POOLINGS
    ]
    text = layers.write_layers({"none": scores, "mnli": scores[:4]}, "a title", tmp_path / "out")
    assert "| 1 | 30.0 | 30.0 | 20.0 | 20.0 |" in text and "- test: de fr" in text
    with (tmp_path / "out/layers.csv").open() as file:
        lines = list(csv.DictReader(file))
    assert len(lines) == 12 and lines[7]["score"] == "0.4"
    assert (tmp_path / "out/layers.md").read_text() == text
    assert (tmp_path / "out/layers.png").read_bytes()[1:4] == b"PNG"
