"""Which weights decay, which go to Muon, and at which learning rate."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from tests.models import ARCHITECTURES, tiny_encoder
from tests.rows import record, section
from xstilts.params import TrainingSettings
from xstilts.phases.stage import build
from xstilts.training import encoder as encoders
from xstilts.training.encoder import Model
from xstilts.training.muon import Muon
from xstilts.training.optimizers import MUON_SCALE, optimizers_for, set_learning_rate
from xstilts.training.task import task

SETTINGS = TrainingSettings(device="cpu", weight_decay=0.5)
HEADS = ("classification", "tagging", "masked_lm")


@pytest.fixture(scope="module", params=ARCHITECTURES)
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Model:
    ref = tiny_encoder(request.param, tmp_path_factory.mktemp(request.param))
    tasks = [task(record(name), section(name)) for name in HEADS]
    return build(encoders.load_encoder(ref), tasks, ref, SETTINGS)


def test_matrices_decay_and_biases_and_norms_do_not(model: Model) -> None:
    """A step without gradients is decay alone; biases and norm weights are what has one axis."""
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    optimizers = optimizers_for(model, "adamw", SETTINGS)
    set_learning_rate(optimizers, 0.1)
    for parameter in model.parameters():
        parameter.grad = torch.zeros_like(parameter)
    for optimizer in optimizers:
        optimizer.step()
    for name, parameter in model.named_parameters():
        left = 0.95 if parameter.ndim > 1 else 1.0
        torch.testing.assert_close(parameter.detach(), before[name] * left, msg=name)


def test_muon_has_the_layers_matrices_alone(model: Model) -> None:
    """No embedding, nor the output layer that is tied to one; every parameter is trained once."""
    embeddings = {id(m.weight) for m in model.modules() if isinstance(m, nn.Embedding)}
    linear = {id(m.weight) for m in model.modules() if isinstance(m, nn.Linear)}
    adamw, muon = optimizers_for(model, "muon", SETTINGS)
    held = [{id(p) for g in one.param_groups for p in g["params"]} for one in (adamw, muon)]
    assert held[1] == linear - embeddings
    assert linear & embeddings  # the tied one
    assert held[0] == {id(p) for p in model.parameters()} - held[1]


def test_learning_rate_is_scaled_by_group(model: Model) -> None:
    optimizers = optimizers_for(model, "muon", SETTINGS)
    set_learning_rate(optimizers, 0.01)
    rates = [[group["lr"] for group in one.param_groups] for one in optimizers]
    assert rates == [[0.01, 0.01], [pytest.approx(0.01 * MUON_SCALE)]]


def test_a_first_step_of_muon_is_its_papers(tmp_path: Path) -> None:
    """Jordan et al. 2024: five Newton-Schulz steps on the gradient's singular values; Liu et al.
    2025: an update as large as AdamW's. Computed here by SVD."""
    model = Model(nn.Linear(32, 48), {})  # type: ignore[arg-type]
    weight = model.encoder.weight
    torch.manual_seed(2)
    gradient = torch.randn(48, 32)
    before, weight.grad = weight.detach().clone(), gradient.clone()
    model.encoder.bias.grad = torch.zeros(48)
    optimizers = optimizers_for(model, "muon", SETTINGS)
    set_learning_rate(optimizers, 0.01)
    for optimizer in optimizers:
        optimizer.step()
    u, values, v = torch.linalg.svd(gradient, full_matrices=False)
    values /= gradient.norm()
    for _ in range(5):
        values = 3.4445 * values - 4.7750 * values**3 + 2.0315 * values**5
    rate = 0.01 * MUON_SCALE
    update = rate * 0.2 * 48**0.5 * (u * values) @ v
    error = weight.detach() - (before * (1 - rate * SETTINGS.weight_decay) - update)
    assert error.norm() < 1e-4 * update.norm()


def test_muon_is_torchs_but_for_rounding() -> None:
    """Three steps of both, over shapes wide, tall and twice the same; torch's rounds to bf16."""
    torch.manual_seed(3)
    start = [torch.randn(shape) for shape in ((48, 32), (32, 48), (32, 48), (32, 32))]
    ours, theirs = ([nn.Parameter(one.clone()) for one in start] for _ in range(2))
    pair = (
        Muon([{"params": ours}], 0.1),
        torch.optim.Muon([{"params": theirs}], weight_decay=0.1, adjust_lr_fn="match_rms_adamw"),
    )
    for _ in range(3):
        for mine, torchs in zip(ours, theirs, strict=True):
            mine.grad = torch.randn_like(mine)
            torchs.grad = mine.grad.clone()
        for optimizer in pair:
            optimizer.param_groups[0]["lr"] = 0.01
            optimizer.step()
    for mine, torchs, before in zip(ours, theirs, start, strict=True):
        moved = (mine - before).norm()
        assert moved > 0.1
        assert (mine - torchs).norm() < 0.02 * moved
