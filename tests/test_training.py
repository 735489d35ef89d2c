"""The loop: micro-batches add up, a killed run ends like any other, English dev alone selects."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.models import tiny_encoder
from tests.rows import record, rows, section
from xstilts.errors import UserError
from xstilts.formats.features import Features
from xstilts.formats.tables import Table
from xstilts.params import TrainingSettings
from xstilts.phases.stage import build
from xstilts.training import encoder as encoders
from xstilts.training.context import Context
from xstilts.training.devices import accelerator_for
from xstilts.training.loop import Member, Plan, step_batches, train
from xstilts.training.task import task

CPU = TrainingSettings(device="cpu", token_budget=128, checkpoint_every_s=0, evaluations=4)


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
    ref = tiny_encoder("xlm-r", tmp_path / "model", dropout=0.0)
    tokenizer = encoders.load_tokenizer(ref)
    ours = member(family, tokenizer)
    gradients = []
    for budget in (10**6, 64):
        settings = CPU.model_copy(update={"token_budget": budget})
        torch.manual_seed(0)
        model = build(encoders.load_encoder(ref), [ours.task], ref, settings).eval()
        context = Context(settings, tokenizer, tmp_path, tmp_path)
        accelerator = accelerator_for(settings)
        batches = step_batches(accelerator, ours, ours.index, context, (1, 0))
        if budget == 10**6:
            whole = ours.task.family.collate(ours.features, ours.index, context.tokens, (1, 0))
            batches = [whole]
        else:
            assert len(batches) > 1
        units = sum(ours.task.family.units(batch) for batch in batches)
        for batch in batches:
            (ours.task.family.loss(model(ours.task.head, batch), batch) / units).backward()
        gradients.append(
            {name: p.grad for name, p in model.named_parameters() if p.grad is not None}
        )
    for name, gradient in gradients[0].items():
        torch.testing.assert_close(gradients[1][name], gradient, rtol=1e-4, atol=1e-6, msg=name)


RUN = """
import sys
from pathlib import Path
import torch
from tests.models import tiny_encoder
from tests.test_training import CPU, member
from xstilts.training import encoder as encoders
from xstilts.training.encoder import EncoderRef
from xstilts.phases.stage import build
from xstilts.training.context import Context
from xstilts.training.loop import Plan, train

folder, work = Path(sys.argv[1]), Path(sys.argv[2])
ref = EncoderRef("xlm-r", str(folder), None, "x")
tokenizer = encoders.load_tokenizer(ref)
members = [member("classification", tokenizer, 7), member("tagging", tokenizer, 5)]
torch.manual_seed(3)
model = build(encoders.load_encoder(ref), [m.task for m in members], ref, CPU)
context = Context(CPU, tokenizer, work, work)
print("started", flush=True)
progress, selection = train(model, members, Plan(1e-3, 120, 4, seed=5), context)
total = sum(float(p.double().sum()) for p in model.parameters())
print(progress.history, selection, repr(total))
"""


def _run(folder: Path, work: Path, kill_after: float | None = None) -> str:
    process = subprocess.Popen(
        [sys.executable, "-c", RUN, str(folder), str(work)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None and process.stdout.readline() == "started\n"
    if kill_after is not None:
        checkpoint = work / "checkpoint.pt"
        while not checkpoint.exists() and process.poll() is None:
            time.sleep(0.005)
        time.sleep(kill_after)
        process.send_signal(signal.SIGKILL)
    return process.communicate()[0]


def test_training_killed_twice_ends_as_one_never_killed(tmp_path: Path) -> None:
    tiny_encoder("xlm-r", tmp_path / "model")
    straight = _run(tmp_path / "model", tmp_path / "straight")
    work = tmp_path / "killed"
    steps = []
    for delay in (0.05, 0.2):
        _run(tmp_path / "model", work, delay)
        steps.append(torch.load(work / "checkpoint.pt")["progress"]["step"])
    assert 0 < steps[0] <= steps[1] < 120
    assert _run(tmp_path / "model", work) == straight


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
    assert isinstance(ours.features, Features)
