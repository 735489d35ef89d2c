"""training.layout is obeyed, and whichever it is, a training and its predictions are the same."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from tests.models import tiny_encoder
from tests.rows import record, rows, section
from tests.test_training import CPU, OFTEN, member
from xstilts.errors import UserError
from xstilts.formats.tables import Table
from xstilts.params import TrainingSettings
from xstilts.phases.stage import build
from xstilts.training import encoder as encoders
from xstilts.training import flat, layout
from xstilts.training.context import Context
from xstilts.training.encoder import Model
from xstilts.training.evaluation import predict
from xstilts.training.loop import Member, Plan, train
from xstilts.training.task import task

FLAT = CPU.model_copy(update={"layout": "flat"})
FAMILIES = ["classification", "choice", "tagging", "span", "ranking", "masked_lm"]


def any_member(family: str, tokenizer: encoders.Tokenizer, repeat: int = 1) -> Member:
    """As `member`; text, which has no ids and selects nothing, too."""
    if family != "masked_lm":
        return member(family, tokenizer, repeat)
    one = task(record(family), section(family))
    table = Table(one.name, "train", "en", rows(family) * repeat)
    features = one.family.encode(table.rows, tokenizer, one.settings)
    return Member(one, (table,), features, np.arange(len(features)))


def trained(
    family: str, architecture: str, folder: Path, settings: TrainingSettings
) -> tuple[list[float], list[np.ndarray], Model]:
    """The losses of 12 steps, and what is then predicted."""
    ref = tiny_encoder(architecture, folder / "model", dropout=0.0)
    tokenizer = encoders.load_tokenizer(ref)
    ours = any_member(family, tokenizer)
    torch.manual_seed(4)
    model = build(encoders.load_encoder(ref), [ours.task], ref, settings)
    context = Context(settings, tokenizer, folder / settings.layout, folder, run=OFTEN)
    progress, _ = train(model, [ours], Plan(1e-3, 12, 4, seed=1), context)
    outputs = predict(model, ours.task, ours.features, context)
    return [line["loss"] for line in progress.history if "loss" in line], outputs, model


@pytest.mark.parametrize("family", FAMILIES)
def test_flat_trains_and_predicts_as_padded(family: str, tmp_path: Path) -> None:
    # Which pieces are masked depends on a micro-batch's width: one micro-batch, then.
    budget = {"token_budget": 4096 if family == "masked_lm" else CPU.token_budget}
    wanted, outputs, padded = trained(family, "xlm-r", tmp_path, CPU.model_copy(update=budget))
    found, flat_outputs, model = trained(family, "xlm-r", tmp_path, FLAT.model_copy(update=budget))
    assert (padded.layout, model.layout) == ("padded", "flat")
    assert model.encoder.config._attn_implementation == flat.NAME
    assert found == pytest.approx(wanted, rel=1e-4)
    for one, other in zip(outputs, flat_outputs, strict=True):
        assert one.shape == other.shape
        assert np.abs(one - other).max(initial=0) <= 1e-3 * (1 + np.abs(one).max(initial=0))


def test_positions_restart_at_a_pair_in_both(tmp_path: Path) -> None:
    ref = tiny_encoder("xlm-r", tmp_path, dropout=0.0)
    ours = member("classification", encoders.load_tokenizer(ref))
    tokens = encoders.special_tokens(encoders.load_tokenizer(ref))
    batch = ours.task.family.collate(ours.features, ours.index, tokens, (0,))
    states = {}
    for settings in (CPU, FLAT):
        torch.manual_seed(0)
        model = build(encoders.load_encoder(ref), [ours.task], ref, settings).eval()
        for restarts in (False, True):
            setattr(model.encoder.config, encoders.RESTARTS, restarts)
            states[settings.layout, restarts] = model(ours.task.head, model.laid_out(batch))
    for restarts in (False, True):
        assert torch.allclose(states["flat", restarts], states["auto", restarts], atol=1e-7)
    assert not torch.allclose(states["flat", True], states["flat", False], atol=1e-5)


def test_auto_is_padded_on_a_cpu_and_its_attention_stays(tmp_path: Path) -> None:
    ref = tiny_encoder("xlm-r", tmp_path)
    ours = member("classification", encoders.load_tokenizer(ref))
    model = build(encoders.load_encoder(ref), [ours.task], ref, CPU)
    assert CPU.layout == "auto" and model.layout == "padded" and model.reading is None
    assert model.encoder.config._attn_implementation == "sdpa"
    assert layout.facts(model, CPU) == {"device": "cpu", "precision": "fp32", "layout": "padded"}


def test_auto_takes_the_next_where_an_encoder_does_not_qualify(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on a GPU in bf16, which only names the choice here: nothing is computed on it."""
    monkeypatch.setattr(layout, "device_for", lambda settings: "cuda")
    monkeypatch.setattr(layout, "autocast_for", lambda settings: True)
    found = {}
    for architecture in ("xlm-r", "deberta-v2"):
        ref = tiny_encoder(architecture, tmp_path / architecture)
        model = layout.choose(Model(encoders.load_encoder(ref), {}), TrainingSettings())
        found[architecture] = model.layout
    assert found == {"xlm-r": "graphs", "deberta-v2": "padded"}


@pytest.mark.parametrize(
    ("architecture", "wanted", "said"),
    [
        ("deberta-v2", "flat", "layout: flat: deberta-v2: .* no exchangeable attention; set it"),
        ("xlm-r", "graphs", "layout: graphs, but no GPU is used; set it to auto, flat or padded"),
    ],
)
def test_layout_that_cannot_be_had_is_an_error(
    architecture: str, wanted: str, said: str, tmp_path: Path
) -> None:
    ref = tiny_encoder(architecture, tmp_path)
    settings = CPU.model_copy(update={"layout": wanted})
    with pytest.raises(UserError, match=said):
        layout.choose(Model(encoders.load_encoder(ref), {}), settings)


def test_saved_encoder_does_not_tell_how_it_was_computed(tmp_path: Path) -> None:
    ref = tiny_encoder("xlm-r", tmp_path / "model")
    tokenizer = encoders.load_tokenizer(ref)
    for settings in (CPU, FLAT):
        model = layout.choose(Model(encoders.load_encoder(ref), {}), settings)
        encoders.save(model.encoder, tokenizer, tmp_path / settings.layout)
    for name in ("config.json", "model.safetensors"):
        assert (tmp_path / "flat" / name).read_bytes() == (tmp_path / "auto" / name).read_bytes()
