"""Training with the rows that are read is the same training; the others only decay."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from tests.models import tiny_encoder
from tests.test_training import member, record, section
from xstilts.formats.features import Batch
from xstilts.formats.tables import Table
from xstilts.params import RunSettings, TrainingSettings
from xstilts.phases.stage import build
from xstilts.training import encoder as encoders
from xstilts.training import loop, trimming
from xstilts.training.context import Context
from xstilts.training.embeddings import Rows, by_row
from xstilts.training.encoder import Model
from xstilts.training.loop import Member, Plan, train
from xstilts.training.task import task

# A decay so strong that it shows in fp32 after a few steps, and a clip that is always at work.
CPU = TrainingSettings(device="cpu", token_budget=128, evaluations=4, weight_decay=0.5, clip=0.1)
UNREAD = 300  # rows of the table that no text reads


@pytest.fixture(autouse=True)
def _small_tables_count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trimming, "LEAST", 0)


def widened(architecture: str, folder: Path) -> tuple[encoders.EncoderRef, encoders.Tokenizer]:
    """An encoder whose vocabulary is much larger than what any text reads."""
    ref = tiny_encoder(architecture, folder)
    encoder = encoders.load_encoder(ref)
    words: Any = encoder.resize_token_embeddings(encoder.config.vocab_size + UNREAD)
    torch.manual_seed(2)
    nn.init.normal_(words.weight[-UNREAD:], std=0.1)
    encoder.save_pretrained(folder)
    return ref, encoders.load_tokenizer(ref)


def trained(
    ref: encoders.EncoderRef,
    ours: Member,
    work: Path,
    steps: int,
    trim: bool = True,
    checkpoint_every_s: float = 60.0,
) -> tuple[Model, Context]:
    settings = CPU.model_copy(update={"trim": trim})
    run = RunSettings(checkpoint_every_s=checkpoint_every_s)
    context = Context(settings, encoders.load_tokenizer(ref), work, work, run=run)
    torch.manual_seed(3)
    model = build(encoders.load_encoder(ref), [ours.task], ref, settings)
    train(model, [ours], Plan(1e-3, steps, 4, 3), context)
    return model, context


@pytest.mark.parametrize("architecture", ["xlm-r", "bert", "modernbert", "deberta-v2"])
def test_every_weight_is_as_without_it(
    architecture: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ref, tokenizer = widened(architecture, tmp_path / "model")
    ours = member("classification", tokenizer)
    found, sizes = [], []
    spied = loop.optimizers_for

    def told(model: nn.Module, *more: Any) -> Any:
        sizes.append(len(model.encoder.get_input_embeddings().weight))  # type: ignore[operator, union-attr]
        return spied(model, *more)

    monkeypatch.setattr(loop, "optimizers_for", told)
    for trim in (True, False):
        steps = 200 if architecture == "xlm-r" else 40
        model, _ = trained(ref, ours, tmp_path / str(trim), steps, trim)
        found.append({name: value.clone() for name, value in model.state_dict().items()})
    trimmed, whole = found
    table = encoders.load_encoder(ref).get_input_embeddings().weight  # type: ignore[union-attr]
    assert sizes[0] < UNREAD and sizes[1] == len(table)
    assert trimmed.keys() == whole.keys()
    for name, value in whole.items():
        assert (trimmed[name] - value).abs().max() <= 1e-5, name
    (name,) = (name for name, value in whole.items() if len(value) == len(table))
    unread = whole[name][-UNREAD:]
    assert (unread - table[-UNREAD:]).abs().max() > 1e-3  # their decay is seen


def test_decay_reaches_the_step_whose_weights_are_kept() -> None:
    """The best evaluation's weights are the result, so that later steps decay nothing."""
    plan = Plan(1e-3, 40, 4, 3)
    by_hand = 1.0
    for step in range(10):
        by_hand *= 1 - 0.5 * 1e-3 * loop._schedule(step, 40, CPU.warmup_ratio)
    assert loop._decay(plan, CPU, 10) == pytest.approx(by_hand, rel=1e-12)
    assert loop._decay(plan, CPU, 0) == 1.0


def test_a_killed_training_is_the_whole_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ref, tokenizer = widened("xlm-r", tmp_path / "model")
    ours = member("classification", tokenizer)
    never, _ = trained(ref, ours, tmp_path / "never", 40)
    steps, before = [0], loop.take_step

    def killed(*given: Any) -> Any:
        steps[0] += 1
        if steps[0] > 25:
            raise KeyboardInterrupt
        return before(*given)

    monkeypatch.setattr(loop, "take_step", killed)
    with pytest.raises(KeyboardInterrupt):
        trained(ref, ours, tmp_path / "killed", 40, checkpoint_every_s=0)
    monkeypatch.setattr(loop, "take_step", before)
    resumed, _ = trained(ref, ours, tmp_path / "killed", 40)
    for name, value in never.state_dict().items():
        assert torch.equal(resumed.state_dict()[name], value), name


@pytest.mark.parametrize("case", ["a head reads the table", "most rows are read", "small"])
def test_left_alone_where_it_is_not_exact_or_saves_little(
    case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ref, tokenizer = widened("xlm-r", tmp_path / "model")
    one = task(record("classification"), section("classification"))
    model = build(encoders.load_encoder(ref), [one], ref, CPU)
    context = Context(CPU, tokenizer, tmp_path, tmp_path)
    features = member("classification", tokenizer).features
    if case == "a head reads the table":
        model.heads["tied"] = nn.Linear(2, 2)
        model.heads["tied"].weight = model.encoder.get_input_embeddings().weight  # type: ignore[union-attr]
    elif case == "most rows are read":
        monkeypatch.setattr(trimming, "MOST", 0.01)
    else:
        monkeypatch.setattr(trimming, "LEAST", 2**22)
    assert trimming.trim(model, [features], context.tokens) is None


def test_masked_pieces_become_any_other(tmp_path: Path) -> None:
    ref, tokenizer = widened("xlm-r", tmp_path / "model")
    text = Table("text", "train", "de", [{"id": "1", "text": "Der alte Hund", "pair": None}])
    one = task(record("masked_lm"), section("masked_lm"))
    features = one.family.encode(text.rows, tokenizer, one.settings)
    ours = Member(one, (text,), features, np.arange(len(features)))
    model = build(encoders.load_encoder(ref), [one], ref, CPU)
    assert loop._trimmed(model, [ours], Context(CPU, tokenizer, tmp_path, tmp_path)) is None


def test_sorted_by_piece_the_gradient_is_the_cut_table_s() -> None:
    """As a GPU's steps have it: our own gradient, the batch sorted by piece on the host."""
    torch.manual_seed(0)
    pieces = torch.tensor([7, 2, 9, 7, 1, 2, 7])
    kept = torch.tensor([1, 2, 7, 9])
    row_of = torch.full((12,), -1)
    row_of[kept] = torch.arange(4)
    gradients = []
    for own in (False, True):
        table = Rows(4, 3, padding_idx=0)
        torch.manual_seed(1)
        nn.init.normal_(table.weight)
        table.row_of = row_of
        if own:
            sorted_by_piece = by_row(pieces.numpy(), len(pieces), padding=1)
            table.parts = tuple(torch.from_numpy(part) for part in sorted_by_piece)
        out = table(pieces)
        out.backward(torch.arange(21.0).view(7, 3))
        gradients.append(table.weight.grad)
    assert torch.equal(gradients[0], gradients[1])
    assert gradients[0][1:].abs().sum() > 0 and not gradients[0][0].any()


def batch_of(ids: torch.Tensor) -> Batch:
    return {"input_ids": ids, "attention_mask": torch.ones_like(ids)}


def test_every_piece_can_be_read_afterwards(tmp_path: Path) -> None:
    ref, tokenizer = widened("xlm-r", tmp_path / "model")
    ours = member("classification", tokenizer)
    model, _ = trained(ref, ours, tmp_path / "work", 8)
    last = model.encoder.config.vocab_size - 1
    with torch.inference_mode():
        hidden = model.encoder(**batch_of(torch.tensor([[0, last, 2]]))).last_hidden_state
    assert torch.isfinite(hidden).all()
    words: Any = model.encoder.get_input_embeddings()
    assert len(words.weight) == last + 1 and words.row_of is None and words.padding_idx == 1
