"""Processes of their own: two on gloo compute the step of one; a killed one is gone on from."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.forked import start
from tests.models import tiny_encoder
from tests.moments import moments
from tests.test_training import CPU, OFTEN, member
from xstilts.phases.stage import build
from xstilts.training import encoder as encoders
from xstilts.training.context import Context
from xstilts.training.encoder import EncoderRef
from xstilts.training.loop import Plan, train

# Adam forgets a gradient's size, clipping too: with this epsilon and without clipping a gradient
# that is twice too large, as by a mean in the place of a sum, is seen in the weights.
SETTINGS = CPU.model_copy(update={"adam_epsilon": 0.1, "clip": 1e6, "evaluations": 1})
# 5 rows in batches of 4: an epoch's last step has one example, and a process would have none.
TRAININGS = {"mixture": ("classification", "tagging"), "ranking": ("ranking",)}


def trained(names: Sequence[str], ref: EncoderRef, work: Path) -> dict[str, Any]:
    """The curve and the final weights of 12 steps without dropout."""
    tokenizer = encoders.load_tokenizer(ref)
    members = [member(name, tokenizer, 2 if name == "ranking" else 1) for name in names]
    torch.manual_seed(3)
    model = build(encoders.load_encoder(ref), [m.task for m in members], ref, SETTINGS)
    context = Context(SETTINGS, tokenizer, work, work, run=OFTEN)
    progress, _ = train(model, members, Plan(0.05, 12, 4, seed=5), context)
    losses = [line["loss"] for line in progress.history if "loss" in line]
    return {"losses": losses, "weights": model.state_dict()}


def process(_: Connection, folder: Path, environment: dict[str, str]) -> None:
    """Body of one of several: every training, the first process's results kept in `folder`."""
    os.environ |= environment
    ref, rank = EncoderRef("xlm-r", str(folder / "model"), None, "x"), environment["RANK"]
    for name, families in TRAININGS.items():
        found = trained(families, ref, folder / name / rank)
        assert torch.distributed.get_world_size() == 2
        torch.save(found, folder / f"{name}-{rank}.pt")
    torch.distributed.destroy_process_group()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where two processes have trained everything."""
    made = tmp_path_factory.mktemp("processes")
    tiny_encoder("xlm-r", made / "model", dropout=0.0)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    shared = {"WORLD_SIZE": 2, "LOCAL_WORLD_SIZE": 2, "MASTER_ADDR": "127.0.0.1",
              "MASTER_PORT": port}  # fmt: skip
    started = []
    for rank in range(2):
        own = {**shared, "RANK": rank, "LOCAL_RANK": rank}
        started.append(start(process, made, {name: str(value) for name, value in own.items()})[0])
    try:
        for one in started:
            one.join(timeout=300)
        assert [one.exitcode for one in started] == [0, 0]
    finally:
        for one in started:
            one.kill()
    return made


@pytest.mark.parametrize("name", TRAININGS)
def test_two_processes_train_as_one(folder: Path, name: str, tmp_path: Path) -> None:
    ref = EncoderRef("xlm-r", str(folder / "model"), None, "x")
    initial = {k: v.clone() for k, v in encoders.load_encoder(ref).state_dict().items()}
    one = trained(TRAININGS[name], ref, tmp_path)
    for rank in range(2):
        two = torch.load(folder / f"{name}-{rank}.pt")
        assert two["losses"] == pytest.approx(one["losses"], abs=1e-6)
        for key, value in one["weights"].items():
            torch.testing.assert_close(two["weights"][key], value, rtol=0, atol=1e-5, msg=key)
    moved = max((one["weights"][f"encoder.{k}"] - v).abs().max() for k, v in initial.items())
    assert moved > 1e-3  # else equal weights would say nothing


def killable(told: Connection, folder: Path, work: Path) -> None:
    ref = encoders.EncoderRef("xlm-r", str(folder), None, "x")
    tokenizer = encoders.load_tokenizer(ref)
    members = [member("classification", tokenizer, 7), member("tagging", tokenizer, 5)]
    torch.manual_seed(3)
    model = build(encoders.load_encoder(ref), [m.task for m in members], ref, CPU)
    context = Context(CPU, tokenizer, work, work, run=OFTEN)
    told.send("started")
    progress, selection = train(model, members, Plan(1e-3, 120, 4, seed=5), context)
    total = sum(float(p.double().sum()) for p in model.parameters())
    told.send(f"{progress.history} {selection} {total!r}")


def run(folder: Path, work: Path, kill_after: float | None = None) -> str:
    process, told = start(killable, folder, work)
    assert told.recv() == "started"
    if kill_after is not None:
        checkpoint = work / "checkpoint.pt"
        while not checkpoint.exists() and process.is_alive():
            time.sleep(0.005)
        time.sleep(kill_after)
        process.kill()
    process.join()
    return str(told.recv()) if process.exitcode == 0 else ""


def test_training_killed_twice_ends_as_one_never_killed(tmp_path: Path) -> None:
    tiny_encoder("xlm-r", tmp_path / "model")
    straight = run(tmp_path / "model", tmp_path / "straight")
    work = tmp_path / "killed"
    steps, moment = [], moments()
    for longest in (0.1, 0.4):
        delay = moment.uniform(0.02, longest)
        print(f"killed {delay:.3f} s after its first checkpoint")
        run(tmp_path / "model", work, delay)
        steps.append(torch.load(work / "checkpoint.pt")["progress"]["step"])
    assert 0 < steps[0] <= steps[1] < 120
    assert run(tmp_path / "model", work) == straight
