"""Decoders as encoders: texts that end, heads that read the last piece, all families trained."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.models import ARCHITECTURES, DECODERS, tiny_decoder, tiny_encoder
from tests.rows import record, rows, section
from tests.test_training import CPU, member
from xstilts.errors import UserError
from xstilts.formats.features import Batch
from xstilts.phases.stage import build
from xstilts.tasks.families.common import READS_LEFT, reads_left
from xstilts.tasks.families.span import NULL
from xstilts.tasks.families.tagging import word_ends
from xstilts.training import encoder as encoders
from xstilts.training.context import Context
from xstilts.training.decoders import with_end
from xstilts.training.encoder import EncoderRef, Model
from xstilts.training.evaluation import predictions
from xstilts.training.loop import Plan, train
from xstilts.training.task import task

FAMILIES = ["classification", "choice", "tagging", "span", "ranking"]


@pytest.fixture(scope="module")
def llama(tmp_path_factory: pytest.TempPathFactory) -> EncoderRef:
    return tiny_decoder("llama", tmp_path_factory.mktemp("llama"))


def model_of(ref: EncoderRef, family: str) -> Model:
    model = build(encoders.load_encoder(ref), [task(record(family), section(family))], ref, CPU)
    return model.eval()


def batch_of(ref: EncoderRef, family: str, table: list[Any]) -> Batch:
    one = task(record(family), section(family))
    tokenizer = encoders.load_tokenizer(ref)
    features = one.family.encode(table, tokenizer, one.settings)
    tokens = encoders.special_tokens(tokenizer)
    return one.family.collate(features, np.arange(len(features)), tokens, (0,))


def test_a_tokenizer_that_ends_no_text_ends_it(llama: EncoderRef, tmp_path: Path) -> None:
    tokenizer = encoders.load_tokenizer(llama)
    end = tokenizer.eos_token_id
    one, other = (
        tokenizer(text, add_special_tokens=False)["input_ids"] for text in ("a cat", "so")
    )
    assert tokenizer("a cat")["input_ids"] == [*one, end]
    assert tokenizer("a cat", "so")["input_ids"] == [*one, end, *other, end]
    assert (
        tokenizer("a cat", "so", truncation="longest_first", max_length=4)["input_ids"][-1] == end
    )
    encoders.save_tokenizer(tokenizer, tmp_path)  # as a phase does, and the next one loads it
    again = encoders.load_tokenizer(EncoderRef("", str(tmp_path), None, ""))
    assert again("a cat", "so")["input_ids"] == tokenizer("a cat", "so")["input_ids"]


def test_a_tokenizer_without_an_end_is_refused(llama: EncoderRef) -> None:
    tokenizer = encoders.load_tokenizer(llama)
    tokenizer.backend_tokenizer.post_processor = None
    tokenizer.eos_token = None
    with pytest.raises(UserError, match="ends no text and has no end-of-text piece"):
        with_end(tokenizer, "a decoder")


@pytest.mark.parametrize("architecture", [*ARCHITECTURES, *DECODERS])
def test_decoders_and_they_alone_are_marked(architecture: str, tmp_path: Path) -> None:
    make = tiny_decoder if architecture in DECODERS else tiny_encoder
    ref = make(architecture, tmp_path / "model")
    encoder = encoders.load_encoder(ref)
    assert reads_left(encoder.config) == (architecture in DECODERS)
    encoder.save_pretrained(tmp_path / "saved")
    again = encoders.load_encoder(EncoderRef("", str(tmp_path / "saved"), None, ""))
    assert getattr(again.config, READS_LEFT, False) == (architecture in DECODERS)


@pytest.mark.parametrize("family", [*FAMILIES, "retrieval"])
def test_what_stands_beside_a_text_in_a_batch_changes_nothing(
    family: str, llama: EncoderRef
) -> None:
    model, table = model_of(llama, family), rows(family)
    whole = batch_of(llama, family, table)
    head = next(iter(model.heads))
    together = model(head, whole)
    group = len(whole["input_ids"]) // max(1, len(whole["labels"])) if family == "choice" else 1
    for start in range(0, len(whole["input_ids"]), group):
        length = int(whole["attention_mask"][start : start + group].sum(dim=1).max())
        alone = {
            name: tensor[start : start + group]
            if len(tensor) == len(whole["input_ids"])
            else tensor
            for name, tensor in whole.items()
        }
        for name in ("input_ids", "attention_mask"):
            alone[name] = alone[name][:, :length]
        found = model(head, alone)
        wanted = together[start : start + group]
        if family == "span":
            wanted = wanted[:, :length]
        assert torch.allclose(found, wanted, atol=1e-5)


def test_a_text_is_read_off_its_last_piece(llama: EncoderRef) -> None:
    model = model_of(llama, "classification")
    batch = batch_of(llama, "classification", rows("classification"))
    head = next(iter(model.heads))
    before = model(head, batch)
    first = {**batch, "input_ids": batch["input_ids"].clone()}
    first["input_ids"][:, 0] = 7  # which every later piece has seen
    assert not torch.allclose(model(head, first), before, atol=1e-4)
    hidden = model.encoder(**model.inputs(batch)).last_hidden_state
    for row, length in enumerate(batch["attention_mask"].sum(dim=1).tolist()):
        alone = {"attention_mask": torch.ones(1, 1, dtype=torch.long)}
        pooled = model.heads[head](hidden[row : row + 1, length - 1 : length], alone)
        assert torch.allclose(pooled[0], before[row], atol=1e-5)


def test_a_word_is_read_off_its_last_piece_and_knows_none_after_it(llama: EncoderRef) -> None:
    batch = batch_of(llama, "tagging", rows("tagging"))
    ends, starts = word_ends(batch), batch["word_starts"]
    for row in range(len(starts)):
        words = int((starts[row] >= 0).sum())
        text_end = int(batch["attention_mask"][row].sum()) - 1  # the piece that ends the text
        assert ends[row, : words - 1].tolist() == (starts[row, 1:words] - 1).tolist()
        if words:
            assert int(ends[row, words - 1]) == text_end - 1
    model = model_of(llama, "tagging")
    head = next(iter(model.heads))
    before = model(head, batch)
    changed = {**batch, "input_ids": batch["input_ids"].clone()}
    changed["input_ids"][0, int(starts[0, 2])] = 9  # the third word
    after = model(head, changed)
    assert torch.allclose(after[0, :2], before[0, :2], atol=1e-6)
    assert not torch.allclose(after[0, 2], before[0, 2], atol=1e-4)


def test_no_answer_is_said_by_the_last_piece(llama: EncoderRef) -> None:
    model = model_of(llama, "span")
    batch = batch_of(llama, "span", rows("span"))
    head = next(iter(model.heads))
    logits = model(head, batch)
    hidden = model.encoder(**model.inputs(batch)).last_hidden_state
    own = model.heads[head].out(hidden)
    for row, length in enumerate(batch["attention_mask"].sum(dim=1).tolist()):
        assert torch.allclose(logits[row, NULL], own[row, length - 1], atol=1e-5)
        assert (logits[row, length - 1 :] == -1e4).all()
        assert torch.allclose(logits[row, 1 : length - 1], own[row, 1 : length - 1], atol=1e-5)


def test_a_decoder_fills_no_gaps(llama: EncoderRef) -> None:
    with pytest.raises(UserError, match="text: a llama decoder fills no gaps"):
        model_of(llama, "masked_lm")


@pytest.mark.parametrize("architecture", DECODERS)
@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_learns_from_a_decoder(family: str, architecture: str, tmp_path: Path) -> None:
    ref = tiny_decoder(architecture, tmp_path / "model")
    tokenizer = encoders.load_tokenizer(ref)
    ours = member(family, tokenizer)
    context = Context(CPU, tokenizer, tmp_path / "work", tmp_path / "features")
    model = build(encoders.load_encoder(ref), [ours.task], ref, CPU)
    progress, _ = train(model, [ours], Plan(5e-3, 24, 4, seed=1), context)
    losses = [line["loss"] for line in progress.history if "loss" in line]
    assert losses[-1] < losses[0]
    assert len(predictions(model, ours.task, ours.select, ours.select_features, context)) == len(
        rows(family)
    )
