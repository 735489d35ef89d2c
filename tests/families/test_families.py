"""One contract for every family, over every architecture."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.models import ARCHITECTURES, tiny_encoder
from tests.rows import record, rows, section
from xstilts.formats.features import IGNORE_INDEX, Batch
from xstilts.formats.tables import GOLD, Table
from xstilts.params import TrainingSettings
from xstilts.phases.stage import build
from xstilts.tasks.families import FAMILIES
from xstilts.training import encoder as encoders
from xstilts.training.context import Context
from xstilts.training.encoder import Model
from xstilts.training.evaluation import predictions
from xstilts.training.loop import Member, Plan, train
from xstilts.training.task import task

TRAINED = [name for name in FAMILIES if name != "retrieval"]
CPU = TrainingSettings(device="cpu", token_budget=256)


@pytest.fixture(scope="module", params=ARCHITECTURES)
def ref(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> encoders.EncoderRef:
    return tiny_encoder(request.param, tmp_path_factory.mktemp(request.param))


def _member(name: str, tokenizer: encoders.Tokenizer) -> Member:
    one = task(record(name), section(name))
    table = Table(one.name, "train", "en", rows(name))
    features = one.family.encode(table.rows, tokenizer, one.settings)
    select = None if name == "masked_lm" else Table(one.name, "select", "en", rows(name))
    return Member(
        one, (table,), features, np.arange(len(features)), record(name).main, select, features
    )


@pytest.mark.parametrize("name", TRAINED)
def test_family_trains_two_steps_on_every_architecture(
    ref: encoders.EncoderRef, name: str, tmp_path: Path
) -> None:
    tokenizer = encoders.load_tokenizer(ref)
    member = _member(name, tokenizer)
    model = build(encoders.load_encoder(ref), [member.task], ref, CPU)
    before = {key: value.clone() for key, value in model.state_dict().items()}
    context = Context(CPU, tokenizer, tmp_path, tmp_path)
    progress, _ = train(model, [member], Plan(1e-3, 2, 4, seed=1), context)
    after = model.state_dict()
    assert progress.step == 2
    for side in ("encoder.", "heads."):
        assert any(
            not torch.equal(before[key], after[key]) for key in after if key.startswith(side)
        ), side


@pytest.mark.parametrize("name", FAMILIES)
def test_padding_changes_no_number(ref: encoders.EncoderRef, name: str) -> None:
    """Logits of each sequence alone, and of the same one padded to the longest of all."""
    tokenizer = encoders.load_tokenizer(ref)
    one = task(record(name), section(name))
    model = build(encoders.load_encoder(ref), [one], ref, CPU).eval()
    # A group's sequences apart: those of a choice would pad one another.
    features = replace(one.family.encode(rows(name), tokenizer, one.settings), group=1)
    lengths = features.lengths.tolist()
    assert min(lengths) + 16 < max(lengths)
    # Every other piece is masked: which ones they are may depend on the batch's width.
    tokens = encoders.special_tokens(tokenizer, mask_probability=0.5)
    together = one.family.collate(features, np.arange(len(features)), tokens, (1,))
    with torch.no_grad():
        padded = split_logits(model(one.head, together), together, name)
        for sequence, length in enumerate(lengths):
            if name == "masked_lm":
                lone = {key: value[[sequence], :length] for key, value in together.items()}
            else:
                lone = one.family.collate(features, np.array([sequence]), tokens, (1,))
            (alone,) = split_logits(model(one.head, lone), lone, name)
            within = padded[sequence][: len(alone)]  # words and pieces: the rest is padding
            torch.testing.assert_close(within, alone, rtol=1e-4, atol=2e-6)


def split_logits(logits: torch.Tensor, batch: Batch, family: str) -> list[torch.Tensor]:
    """A tensor a sequence."""
    if family != "masked_lm":
        return list(logits)
    masked = (batch["labels"] != IGNORE_INDEX).sum(dim=1).tolist()
    return list(torch.split(logits, masked))


@pytest.mark.parametrize("name", FAMILIES)
def test_every_row_has_one_prediction_whatever_the_batches(
    ref: encoders.EncoderRef, name: str, tmp_path: Path
) -> None:
    tokenizer = encoders.load_tokenizer(ref)
    one = task(record(name), section(name))
    model = build(encoders.load_encoder(ref), [one], ref, CPU)
    table = Table(one.name, "test", "en", rows(name))
    features = one.family.encode(table.rows, tokenizer, one.settings)
    contexts = [
        Context(CPU.model_copy(update={"token_budget": budget}), tokenizer, tmp_path, tmp_path)
        for budget in (64, 8192)
    ]
    found = [predictions(model, one, table, features, context) for context in contexts]
    assert len(found[0]) == len(table.rows)
    if name == "tagging":
        assert [len(tags) for tags in found[0]] == [len(row["tokens"]) for row in table.rows]
    if name == "ranking":  # a random model's candidates lie too near one another for an order
        found = [[sorted(ids) for ids in one] for one in found]
    if name != "masked_lm":  # its masks are the batch's
        for narrow, wide in zip(*found, strict=True):
            # margins of spans and mining: the last digits move with the width of a batch
            assert narrow == (pytest.approx(wide, abs=1e-5) if isinstance(wide, dict) else wide)


@pytest.mark.parametrize("name", [name for name in GOLD if name != "retrieval"])
def test_gold_survives_encode_and_decode(name: str) -> None:
    from tests.models import tiny_tokenizer

    one = task(record(name), section(name))
    table = Table(one.name, "dev", "en", rows(name))
    features = one.family.encode(table.rows, tiny_tokenizer(), one.settings)
    found = one.family.decode(
        features, perfect(one.family_name, features), table.rows, one.settings
    )
    scores = one.family.score(found, table.rows, "en", one.settings)
    assert set(scores.values()) == {1.0}


def perfect(family: str, features: object) -> list[np.ndarray]:
    """Outputs of a model that is always right, from the encoded labels."""
    columns = features.columns  # type: ignore[attr-defined]
    labels = columns.get("labels", columns.get("side"))
    lengths = features.columns["input_ids"].lengths  # type: ignore[attr-defined]
    found: list[np.ndarray] = []
    for sequence, length in enumerate(lengths):
        gold = labels[sequence]
        if family == "tagging":
            found.append(np.asarray(gold, np.int64))
        elif family == "span":
            logits = np.full((length, 2), -10.0, np.float32)
            logits[gold[0], 0] = logits[gold[1], 1] = 10.0
            found.append(logits)
        elif family == "ranking":  # pairs 0 and 2 have the same candidate
            vector = np.zeros(8, np.float32)
            vector[(sequence // 2) % 2 if sequence < 6 else 3] = 1.0
            found.append(vector)
        elif family == "classification":
            found.append(np.eye(3, dtype=np.float32)[gold[0]])
        else:
            found.append(np.array([float(sequence % 3 == gold[0])], np.float32))
    return found


def test_frozen_encoder_stops_at_the_layer_that_is_read(ref: encoders.EncoderRef) -> None:
    tokenizer = encoders.load_tokenizer(ref)
    batch = dict(tokenizer("The dog saw a cat .", return_tensors="pt"))
    full, cut = encoders.load_encoder(ref), encoders.load_encoder(ref, layers=1)
    full.eval(), cut.eval()
    with torch.no_grad():
        states = full(**batch, output_hidden_states=True).hidden_states
        torch.testing.assert_close(cut(**batch).last_hidden_state, states[1])
    assert Model(cut, {}).encoder.config.num_hidden_layers == 1
