"""The loop: micro-batches add up, a killed run ends like any other, English dev alone selects."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from accelerate.state import AcceleratorState
from transformers import get_linear_schedule_with_warmup

from tests.models import tiny_encoder
from tests.rows import record, rows, section
from xstilts.errors import UserError
from xstilts.formats.tables import Table
from xstilts.params import RunSettings, TrainingSettings
from xstilts.phases.stage import build
from xstilts.training import encoder as encoders
from xstilts.training import loop
from xstilts.training import progress as progress_module
from xstilts.training.context import Context
from xstilts.training.devices import accelerator_for
from xstilts.training.encoder import Model
from xstilts.training.evaluation import predictions
from xstilts.training.loop import (
    Member,
    Plan,
    _schedule,
    step_batches,
    take_step,
    train,
)
from xstilts.training.progress import Meter, Progress
from xstilts.training.steps import Trained, optimiser_step
from xstilts.training.task import task

CPU = TrainingSettings(device="cpu", token_budget=128, evaluations=4)
OFTEN = RunSettings(checkpoint_every_s=0)


def member(family: str, tokenizer: encoders.Tokenizer, repeat: int = 1) -> Member:
    one = task(record(family), section(family))
    found = [{**row, "id": f"{k}-{row['id']}"} for k in range(repeat) for row in rows(family)]
    table = Table(one.name, "train", "en", found)
    select = Table(one.name, "select", "en", found)
    features = one.family.encode(found, tokenizer, one.settings)
    index = np.arange(len(features))
    return Member(one, (table,), features, index, record(family).main, select, features)


@pytest.mark.parametrize("family", ["classification", "choice", "tagging", "span"])
def test_gradient_of_micro_batches_equals_the_padded_batch(family: str, tmp_path: Path) -> None:
    """By the loop's own step, whose optimiser keeps what it is given."""
    ref = tiny_encoder("xlm-r", tmp_path / "model", dropout=0.0)
    tokenizer = encoders.load_tokenizer(ref)
    ours = member(family, tokenizer)
    torch.manual_seed(0)
    model = build(encoders.load_encoder(ref), [ours.task], ref, CPU)
    small = CPU.model_copy(update={"token_budget": 64})
    context = Context(small, tokenizer, tmp_path, tmp_path)
    accelerator = accelerator_for(CPU)
    whole = [ours.task.family.collate(ours.features, ours.index, context.tokens, (1, 0))]
    parts = step_batches(accelerator, ours, ours.index, context, (1, 0))
    assert len(parts) > 1
    kept = Kept(model)
    for batches, clip in ((whole, 1e6), (parts, 1e6), (parts, 1e-4)):
        trained = Trained(accelerator, model, [kept], clip)
        loss, seen = optimiser_step(trained, ours.task, batches)
        kept.losses.append(float(loss))
        assert seen == ours.features.columns["input_ids"].lengths.sum()
    assert kept.losses == pytest.approx([kept.losses[0]] * 3, rel=1e-5)
    one, other, clipped = kept.gradients
    assert norm({name: other[name] - gradient for name, gradient in one.items()}) < 1e-4 * norm(one)
    assert norm(one) > 5e-4 and norm(clipped) == pytest.approx(1e-4, rel=1e-2)


class Kept:
    """In the place of an optimiser: the gradients of each step; no weight moves."""

    def __init__(self, model: Model) -> None:
        self.model = model
        self.losses: list[float] = []
        self.gradients: list[dict[str, torch.Tensor]] = []

    def step(self) -> None:
        named = self.model.named_parameters()
        self.gradients.append({name: p.grad.clone() for name, p in named if p.grad is not None})

    def zero_grad(self) -> None:
        self.model.zero_grad()


def norm(tensors: dict[str, torch.Tensor]) -> float:
    return float(torch.stack([tensor.double().norm() for tensor in tensors.values()]).norm())


@pytest.mark.parametrize(
    ("steps", "warmup_ratio"), [(1, 0.0), (7, 0.0), (10, 0.1), (23, 0.3), (40, 0.01), (5, 1.0)]
)
def test_schedule_is_transformers_with_warmup_a_step_ahead(steps: int, warmup_ratio: float) -> None:
    warmup = math.ceil(steps * warmup_ratio)
    sgd = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    official = get_linear_schedule_with_warmup(sgd, warmup, steps).lr_lambdas[0]
    ours = [_schedule(step, steps, warmup_ratio) for step in range(steps)]
    assert ours[:warmup] == pytest.approx([*map(official, range(1, warmup)), *[1.0][:warmup]])
    assert ours[warmup:] == pytest.approx([official(step) for step in range(warmup, steps)])
    assert ours[0] == (1 / warmup if warmup else 1.0)


class Told:
    """A reporter that keeps what it is told."""

    def __init__(self) -> None:
        self.said: list[tuple[int, Mapping[str, float]]] = []

    def begin(self, step: int) -> None: ...

    def step(self, step: int, metrics: Mapping[str, float]) -> None:
        self.said.append((step, metrics))


def test_speed_leaves_evaluation_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A step takes 2 seconds of a clock that tests alone turn, an evaluation 1,000."""
    now, seen, told = [0.0], [], Told()
    monkeypatch.setattr(progress_module, "time", SimpleNamespace(monotonic=lambda: now[0]))

    def timed_step(*arguments: Any) -> Any:
        now[0] += 2
        loss, tokens = take_step(*arguments)
        seen.append(tokens)
        return loss, tokens

    def timed_predictions(*arguments: Any) -> Any:
        now[0] += 1000
        return predictions(*arguments)

    monkeypatch.setattr(loop, "take_step", timed_step)
    monkeypatch.setattr(loop, "predictions", timed_predictions)
    ref = tiny_encoder("xlm-r", tmp_path / "model")
    tokenizer = encoders.load_tokenizer(ref)
    ours = member("classification", tokenizer)
    settings = CPU.model_copy(update={"evaluate_every_steps": 4})
    model = build(encoders.load_encoder(ref), [ours.task], ref, settings)
    context = Context(settings, tokenizer, tmp_path, tmp_path, told)
    train(model, [ours], Plan(1e-3, 14, 4, seed=1), context)
    name = "train.tokens_per_second"
    speeds = {step: said[name] for step, said in told.said if name in said}
    ends = [0, 4, 8, 10, 12, 14]  # evaluations at 4, 8, 12, 14; a report at 10
    assert speeds == {
        end: pytest.approx(sum(seen[start:end]) / (2 * (end - start)))
        for start, end in pairwise(ends)
    }


def test_meter_reports_the_mean_since_its_last_report() -> None:
    progress, told = Progress(), Told()
    meter = Meter(progress, told)
    assert meter.report() == {} and not told.said
    for step, loss in enumerate((1.0, 3.0, 8.0)):
        progress.step = step + 1
        meter.add(torch.tensor(loss), 5, 0.1 * step, lambda: "rows")
        if step == 1:
            assert meter.report()["loss"] == "2.000"
    assert meter.report()["loss"] == "8.000"
    assert progress.history == [
        {"step": 2, "loss": 2.0, "learning_rate": pytest.approx(0.1)},
        {"step": 3, "loss": 8.0, "learning_rate": pytest.approx(0.2)},
    ]
    assert [(step, said["train.loss"]) for step, said in told.said] == [(2, 2.0), (3, 8.0)]


def test_meter_names_the_step_and_rows_of_a_loss_that_is_no_number() -> None:
    progress = Progress(step=12)
    meter = Meter(progress, None)
    for loss, rows_of_it in ((1.0, "rows a"), (math.inf, "rows b"), (1.0, "rows c")):
        meter.add(torch.tensor(loss), 1, 0.1, lambda rows_of_it=rows_of_it: rows_of_it)
    with pytest.raises(UserError, match=r"^step 11: the loss is not a number; rows b; lower"):
        meter.report()


@pytest.fixture
def _fresh_accelerate() -> Iterator[None]:
    """Accelerate keeps one precision a process; a test of two starts it anew."""
    AcceleratorState._reset_state(reset_partial_state=True)
    yield
    AcceleratorState._reset_state(reset_partial_state=True)


@pytest.mark.usefixtures("_fresh_accelerate")
def test_bf16_trains_near_fp32_and_keeps_its_masters(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop, "end", lambda *_: None)  # which removes the checkpoint
    ref = tiny_encoder("xlm-r", tmp_path / "model", dropout=0.0)
    tokenizer = encoders.load_tokenizer(ref)
    ours = member("classification", tokenizer)
    losses = {}
    for precision in ("fp32", "bf16"):
        settings = CPU.model_copy(update={"precision": precision})
        torch.manual_seed(3)
        model = build(encoders.load_encoder(ref), [ours.task], ref, settings)
        context = Context(settings, tokenizer, tmp_path / precision, tmp_path, run=OFTEN)
        AcceleratorState._reset_state(reset_partial_state=True)
        progress, selection = train(model, [ours], Plan(5e-3, 30, 4, seed=1), context)
        losses[precision] = [line["loss"] for line in progress.history if "loss" in line]
        saved = torch.load(tmp_path / precision / "checkpoint.pt")
        masters = [*model.state_dict().values(), *saved["model"].values()]
        moments = [m for s in saved["optimizers"][0]["state"].values() for m in s.values()]
        assert {t.dtype for t in (*masters, *moments) if t.is_floating_point()} == {torch.float32}
        assert selection is not None and context.bf16 == (precision == "bf16")
    assert losses["bf16"] != losses["fp32"]  # autocast was on
    assert losses["bf16"] == pytest.approx(losses["fp32"], abs=0.02)
    assert losses["fp32"][-1] < losses["fp32"][0] - 0.03  # and something was learnt


@pytest.mark.parametrize(
    ("split", "language"), [("dev", "de"), ("select", "de"), ("test", "en"), ("dev", "en")]
)
def test_only_english_select_tables_can_select(split: str, language: str, tmp_path: Path) -> None:
    tokenizer = encoders.load_tokenizer(tiny_encoder("xlm-r", tmp_path))
    good = member("classification", tokenizer)
    table = Table("tiny", split, language, rows("classification"))  # type: ignore[arg-type]
    with pytest.raises(UserError, match="may not select"):
        Member(good.task, good.train, good.features, good.index, good.main, table, good.features)


@pytest.mark.parametrize(("split", "language"), [("train", "de"), ("test", "en"), ("dev", "en")])
def test_only_english_train_tables_can_train(split: str, language: str, tmp_path: Path) -> None:
    tokenizer = encoders.load_tokenizer(tiny_encoder("xlm-r", tmp_path))
    good = member("classification", tokenizer)
    table = Table("tiny", split, language, rows("classification"))  # type: ignore[arg-type]
    with pytest.raises(UserError, match="may not train"):
        Member(good.task, (table,), good.features, good.index, good.main)
    # Translations of English train rows, where params ask for them; dev and test never.
    if split == "train":
        Member(good.task, (table,), good.features, good.index, good.main, translated=True)
    else:
        with pytest.raises(UserError, match="may not train"):
            Member(good.task, (table,), good.features, good.index, good.main, translated=True)


def test_a_loss_that_is_no_number_names_step_and_rows(tmp_path: Path) -> None:
    ref = tiny_encoder("xlm-r", tmp_path / "model")
    tokenizer = encoders.load_tokenizer(ref)
    ours = member("classification", tokenizer)
    model = build(encoders.load_encoder(ref), [ours.task], ref, CPU)
    context = Context(CPU, tokenizer, tmp_path, tmp_path)
    with pytest.raises(
        UserError, match=r"step \d+: the loss is not a number; tiny_classification rows 0"
    ):
        train(model, [ours], Plan(1e30, 6, 4, seed=1), context)


def test_early_stopping_keeps_the_best_checkpoint(tmp_path: Path) -> None:
    ref = tiny_encoder("xlm-r", tmp_path / "model")
    tokenizer = encoders.load_tokenizer(ref)
    ours = member("classification", tokenizer)
    settings = CPU.model_copy(update={"patience": 2, "evaluate_every_steps": 1})
    model = build(encoders.load_encoder(ref), [ours.task], ref, settings)
    context = Context(settings, tokenizer, tmp_path, tmp_path)
    progress, selection = train(model, [ours], Plan(1e-9, 50, 4, seed=1), context)
    assert selection is not None
    assert (selection.step, progress.step) == (1, 3)
    best = torch.load(tmp_path / "best.pt")
    for name, value in model.state_dict().items():  # the third's weights are gone
        assert torch.equal(value, best[name]), name
