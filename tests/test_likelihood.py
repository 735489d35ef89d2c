"""Choices by a decoder's likelihood: against a direct sum, prompted and trained, and as a cell."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from transformers import AutoModelForCausalLM

import xstilts_world as world
from tests.models import DECODERS, tiny_decoder, tiny_encoder
from tests.rows import record, rows
from tests.test_training import CPU
from xstilts import params, paths
from xstilts.errors import UserError
from xstilts.formats.cards import read_card
from xstilts.formats.tables import Table, read_json, write_text
from xstilts.params import LikelihoodSettings, check
from xstilts.phases.intermediate import intermediate_stage
from xstilts.phases.members import check_target
from xstilts.phases.pretrain import encoder_stage, pretrain_stage
from xstilts.phases.stage import build
from xstilts.phases.target import target_stage
from xstilts.sources import prepare
from xstilts.tasks.families import choice, likelihood
from xstilts.training import encoder as encoders
from xstilts.training.context import Context
from xstilts.training.encoder import EncoderRef
from xstilts.training.loop import Member, Plan, train
from xstilts.training.saved import read_model
from xstilts.training.task import task

SECTION = LikelihoodSettings(max_length=128, prompt="{context} {question} so")


# Of prompts that are not cut.
SHORT = [row for row in rows("choice") if max(map(len, (row["context"], *row["choices"]))) < 60]


def asked(ref: EncoderRef, section: LikelihoodSettings) -> torch.Tensor:
    """(examples * choices,): what the head gives the choices of all rows, in one batch."""
    one = task(record("choice"), section)
    tokenizer = encoders.load_tokenizer(ref)
    features = choice.encode(SHORT, tokenizer, one.settings)
    batch = choice.collate(
        features, np.arange(len(features)), encoders.special_tokens(tokenizer), (0,)
    )
    model = build(encoders.load_encoder(ref), [one], ref, CPU).eval()
    with torch.inference_mode():
        return model(one.head, batch)[:, 0]


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("architecture", DECODERS)
def test_likelihood_is_the_direct_sum(architecture: str, tied: bool, tmp_path: Path) -> None:
    ref = tiny_decoder(architecture, tmp_path / "model", tied=tied)
    whole = AutoModelForCausalLM.from_pretrained(tmp_path / "model").eval()
    tokenizer = encoders.load_tokenizer(ref)
    sums, means = [], []
    for row in SHORT:
        start = tokenizer(likelihood.prompt_of(row, SECTION.prompt), add_special_tokens=False)
        for one in row["choices"]:
            end = tokenizer(f" {one}", add_special_tokens=False)["input_ids"]
            ids = torch.tensor([[*start["input_ids"], *end]])
            with torch.inference_mode():
                log_p = whole(ids).logits[0, :-1].log_softmax(dim=-1)
            own = [float(log_p[place - 1, ids[0, place]])
                   for place in range(ids.shape[1] - len(end), ids.shape[1])]  # fmt: skip
            sums.append(sum(own))
            means.append(sum(own) / len(own))
    assert asked(ref, SECTION).tolist() == pytest.approx(sums, abs=1e-4)
    mean = SECTION.model_copy(update={"likelihood": "mean"})
    assert asked(ref, mean).tolist() == pytest.approx(means, abs=1e-4)


def test_a_long_prompt_is_cut_at_its_beginning(tmp_path: Path) -> None:
    ref = tiny_decoder("llama", tmp_path / "model", tied=True)
    tokenizer = encoders.load_tokenizer(ref)
    settings = task(record("choice"), LikelihoodSettings(max_length=40)).settings
    row = {**SHORT[0], "context": "The old dog saw a small cat near the river . " * 9}
    columns, cut = likelihood.columns_of([row], tokenizer, settings)
    assert cut == len(row["choices"])
    for number, one in enumerate(row["choices"]):
        end = tokenizer(f" {one}", add_special_tokens=False)["input_ids"]
        ids = columns["input_ids"][number].tolist()
        assert len(ids) == 40 and ids[-len(end) :] == end == columns["targets"][number].tolist()
        assert columns["places"][number].tolist() == list(range(39 - len(end), 39))


def test_it_may_be_trained_too(tmp_path: Path) -> None:
    ref = tiny_decoder("llama", tmp_path / "model", tied=True)
    tokenizer = encoders.load_tokenizer(ref)
    one = task(record("choice"), LikelihoodSettings(max_length=96, epochs=3))
    found = [{**row, "id": f"{k}-{row['id']}"} for k in range(4) for row in rows("choice")]
    tables = [Table(one.name, split, "en", found) for split in ("train", "select")]  # type: ignore[arg-type]
    features = choice.encode(found, tokenizer, one.settings)
    ours = Member(
        one, (tables[0],), features, np.arange(len(features)), ("accuracy",), tables[1], features
    )
    model = build(encoders.load_encoder(ref), [one], ref, CPU)
    context = Context(CPU, tokenizer, tmp_path / "work", tmp_path / "features")
    progress, _ = train(model, [ours], Plan(1e-2, 40, 4, seed=1), context)
    losses = [line["loss"] for line in progress.history if "loss" in line]
    assert losses[-1] < 0.8 * losses[0]


def test_what_predicts_no_next_piece_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="xlm-roberta encoder reads both ways"):
        asked(tiny_encoder("xlm-r", tmp_path / "encoder"), SECTION)
    with pytest.raises(UserError, match="was saved without its output layer"):
        asked(tiny_decoder("llama", tmp_path / "bare"), SECTION)
    with pytest.raises(UserError, match=r"likelihood: tiny_tagging has no choices"):
        check_target(record("tagging"), SECTION)
    with pytest.raises(ValidationError, match=r"expected a text with \{context\}"):
        LikelihoodSettings(prompt="{premise}")
    with pytest.raises(ValidationError, match=r"expected a text with \{context\}"):
        LikelihoodSettings(prompt="{context.text}")
    ref = tiny_decoder("llama", tmp_path / "model", tied=True)
    settings = task(record("choice"), LikelihoodSettings(prompt="{question}")).settings
    empty = {**SHORT[0], "question": None}
    with pytest.raises(UserError, match=r"^2: a prompt or a choice without pieces"):
        likelihood.columns_of([empty], encoders.load_tokenizer(ref), settings)


def test_a_cell_is_asked_without_training_and_its_model_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XSTILTS_TRACKING", "off")
    sizes = {name: (make, *(min(12, n) for n in of)) for name, (make, *of) in world.TASKS.items()}
    monkeypatch.setattr(world, "TASKS", sizes)
    tiny_decoder("llama", Path("decoder"), tied=True)
    given: dict[str, Any] = {
        "experiment": "asked",
        "pretrain": {"encoder": "decoder"},
        "training": {"device": "cpu"},
        "intermediates": {"none": {}},
        "targets": {"xcopa": {"likelihood": "mean", "prompt": "{context}", "max_length": 96}},
        "grid": {"intermediates": ["none"], "targets": ["xcopa"], "replicates": [1]},
        "run": {"keep_model": True},
    }
    settings = check(given, Path("params.yaml"))
    params.write(settings, Path("params.yaml"), "a test's")
    assert params.load().targets["xcopa"] == settings.targets["xcopa"]
    pretrain_stage(settings)
    encoder_stage(1, settings)
    for name in ("intermediate/none", "target/xcopa"):
        write_text(Path(f"studies/{name}.yaml"), "{}\n")
    prepare.prepare_intermediate({}, settings.source, paths.intermediate_data("none"))
    prepare.prepare_target("xcopa", settings.source, paths.target_data("xcopa"))
    intermediate_stage("none", 1, settings)
    target_stage("none", "xcopa", 1, settings)
    card = read_card(paths.cell("none", "xcopa", 1))
    assert card.selection is None and card.passport["selection"] == "none: nothing is trained"
    assert card.passport["scored by"] == "log p of the choice, a piece"
    assert card.passport["prompt"] == "{context}"
    assert set(card.scores["test"]) == {"en", "qal", "qcy", "qgr", "qdv", "qun"}
    kept = (paths.cell("none", "xcopa", 1) / "predictions/test-qcy.jsonl").read_text().splitlines()
    assert len(kept) == 12
    kept_model = read_model(paths.kept_model("none", "xcopa", 1))
    output = kept_model.model.heads["xcopa"].output.weight
    assert torch.equal(output, kept_model.model.encoder.get_input_embeddings().weight)
    assert "training" not in read_json(paths.cell("none", "xcopa", 1) / "card.json")["inputs"]
