"""Part of gpu.py: the same model and batch on CPU and GPU, in fp32 and bf16; killed and resumed.

Errors are relative, ||a - b|| / ||b||; gradients are all of a model's in one vector. Dropout is 0
where devices are compared, whose generators differ, and 0.1 where a training is resumed. First
weights are wider than an encoder's own, where devices are compared: else all sequences give nearly
one vector, and what choices and ranking learn from is the difference of these.
"""

from __future__ import annotations

import copy
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import gpu_rows as made
import numpy as np
import torch
from gpu import Cases, Context, Figures
from gpu_card import device

from xstilts.formats.features import Batch
from xstilts.training.context import Context as Around
from xstilts.training.encoder import Model
from xstilts.training.layout import choose
from xstilts.training.loop import Plan, train
from xstilts.training.task import Task

STEPS, KILLED_AT = 30, 20  # checkpoints stand at 10, 20: the kill comes before the second


def parity(context: Context) -> Cases:
    shape = made.TINY if context.tiny else made.SMALL
    for family in made.TRAINED:
        yield family, lambda f=family: compared(f, shape)
    for strict in (False, True):
        for precision in ("fp32",) if context.tiny else ("fp32", "bf16"):
            name = f"killed and resumed, {precision}{', deterministic' if strict else ''}"
            yield name, lambda p=precision, s=strict: resumed(shape, p, s)


def compared(family: str, shape: dict[str, Any]) -> Figures:
    """GPU fp32 against CPU fp32, and GPU bf16 autocast against GPU fp32."""
    model, task = made.model_of(
        family,
        {**shape, "initializer_range": 0.05},
        1,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
    )
    count = 8 * made.GROUPS.get(family, 1)
    texts = made.lengths("nli", count, 1, 64)
    features = made.features(family, texts, shape["vocab_size"], 1)
    tokens = made.tokens(shape["vocab_size"])
    batch = task.family.collate(features, np.arange(len(features)), tokens, (1, 1))
    model.train()
    other = copy.deepcopy(model).to(device())
    if family == "masked_lm":  # a copy on another device unties nothing, but say so if it did
        encoder = other.encoder.get_input_embeddings().weight
        assert other.heads[family].model.get_output_embeddings().weight is encoder  # type: ignore
    there = {name: tensor.to(device()) for name, tensor in batch.items()}
    on_cpu, on_gpu = gradients(model, task, batch), gradients(other, task, there)
    half = gradients(other, task, there, bf16=True)
    found: Figures = {"loss": float(on_cpu[0])}
    for name, one, against in (("fp32", on_gpu, on_cpu), ("bf16", half, on_gpu)):
        found[f"{name}_loss_error"] = abs(one[0] - against[0]) / abs(against[0])
        difference = (one[1] - against[1]).norm() / against[1].norm()
        found[f"{name}_gradient_error"] = float(difference)
    return found


def gradients(
    model: Model, task: Task, batch: Batch, bf16: bool = False
) -> tuple[float, torch.Tensor]:
    """Mean loss, and every gradient in one float64 vector on the CPU."""
    model.zero_grad()
    kind = batch["input_ids"].device.type
    with torch.autocast(kind, torch.bfloat16, enabled=bf16):
        loss = task.family.loss(model(task.head, batch), batch) / task.family.units(batch)
    loss.backward()  # type: ignore[no-untyped-call]
    parts = [p.grad.flatten().double().cpu() for p in model.parameters() if p.grad is not None]
    return float(loss.detach()), torch.cat(parts)


class Killed(Exception):
    pass


class _Killer:
    """Ends a training at a step, as a signal would: after a checkpoint, before the next."""

    def begin(self, step: int) -> None:
        pass

    def step(self, step: int, metrics: Mapping[str, float]) -> None:
        if step == KILLED_AT:
            raise Killed


def resumed(shape: dict[str, Any], precision: str, strict: bool, layout: str = "padded") -> Figures:
    """The largest difference of any weight: between a training and the same again, and between it
    and one that was killed and resumed."""
    texts = made.lengths("nli", 32 * STEPS, 1, 32 if shape["hidden_size"] < 64 else 256)
    features = made.features("classification", texts, shape["vocab_size"], 1)

    def trained(around: Around) -> dict[str, torch.Tensor]:
        fresh()
        model, task = made.model_of("classification", shape, 1)
        choose(model.to(device()), around.training)
        train(model, [made.member(task, features)], Plan(1e-4, STEPS, 32, 1), around)
        return {name: value.double().cpu() for name, value in model.state_dict().items()}

    def difference(one: dict[str, torch.Tensor], two: dict[str, torch.Tensor]) -> float:
        return max(float((one[name] - two[name]).abs().max()) for name in one)

    torch.use_deterministic_algorithms(strict)
    try:
        with tempfile.TemporaryDirectory() as name:
            folder, size = Path(name), shape["vocab_size"]
            how = {"precision": precision, "layout": layout}
            whole = trained(made.context(folder / "a", size, **how))
            again = trained(made.context(folder / "b", size, **how))
            often = {**how, "every_s": 0}
            try:
                trained(made.context(folder / "c", size, _Killer(), **often))
            except Killed:
                assert (folder / "c" / "checkpoint.pt").exists()
            parts = trained(made.context(folder / "c", size, **often))
    finally:
        torch.use_deterministic_algorithms(False)
    return {"run_again_difference": difference(whole, again),
            "resumed_difference": difference(whole, parts)}  # fmt: skip


def fresh() -> None:
    """One process, several precisions: accelerate keeps the first, and Trainer's own, otherwise."""
    from accelerate.state import AcceleratorState

    AcceleratorState._reset_state(reset_partial_state=True)
