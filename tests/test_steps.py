"""A step waits for nothing; batches come in order, from a side thread or not; graphs replay it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from tests.models import tiny_encoder
from tests.test_layout import FAMILIES, any_member
from tests.test_layout import FLAT as SMALL
from tests.test_training import CPU, OFTEN, member
from xstilts.params import TrainingSettings
from xstilts.phases.stage import build
from xstilts.training import embeddings, loop
from xstilts.training import encoder as encoders
from xstilts.training.context import Context
from xstilts.training.devices import accelerator_for
from xstilts.training.encoder import Model
from xstilts.training.graphs import Graphs
from xstilts.training.loop import Member, Plan, step_batches, train
from xstilts.training.optimizers import optimizers_for, set_recordable
from xstilts.training.steps import Trained, ahead, counted, update

FLAT = SMALL.model_copy(update={"token_budget": 4096})  # a step is one micro-batch, not several
WAITS = ("_local_scalar_dense", "nonzero", "masked_select", "_unique2", "unique_dim",
         "repeat_interleave.Tensor", "is_nonzero", "equal")  # fmt: skip


class Waits(TorchDispatchMode):
    """Counts what a GPU's host would wait for: a value, or a shape that depends on values."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        name = func._schema.name.removeprefix("aten::")
        by_mask = name.startswith("index") and any(
            isinstance(one, torch.Tensor) and one.dtype == torch.bool
            for one in (args[1] if len(args) > 1 and isinstance(args[1], list | tuple) else ())
        )
        if name in WAITS or f"{name}.{func._overloadname}" in WAITS or by_mask:
            self.found.append(name)
        return func(*args, **(kwargs or {}))


def table_sums(gradient: torch.Tensor, parts: tuple[torch.Tensor, ...], count: int) -> torch.Tensor:
    """As on a GPU, where a kernel needs no number of rows: every token is added to a row."""
    order, offsets, rows = parts
    unit = torch.searchsorted(offsets, torch.arange(len(order), dtype=torch.int32), right=True) - 1
    row = rows[unit.clamp(max=len(rows) - 1)].long()
    out = torch.zeros(count + 1, gradient.shape[1])
    return out.index_add_(0, row.where(row >= 0, count), gradient[order.long()])[:-1]


def ready(
    family: str, folder: Path, settings: TrainingSettings, dropout: float = 0.1, repeat: int = 1
) -> tuple[Model, Member, Context]:
    ref = tiny_encoder("xlm-r", folder / "model", dropout)
    tokenizer = encoders.load_tokenizer(ref)
    ours = any_member(family, tokenizer, repeat)
    torch.manual_seed(4)
    model = build(encoders.load_encoder(ref), [ours.task], ref, settings)
    return model, ours, Context(settings, tokenizer, folder / "work", folder, run=OFTEN)


def weights(model: Model) -> list[float]:
    return [p.detach().double().sum().item() for p in model.parameters()]


def as_on_a_gpu(model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its layout, and our own gradients of the tables, whose GPU kernel is replaced."""
    monkeypatch.setattr(embeddings, "row_sums", table_sums)
    assert model.reading is not None and embeddings.own_gradients(model.encoder) == ""
    model.reading = encoders.replace(model.reading, own=True)
    model.layout = "graphs"


@pytest.mark.parametrize("family", [name for name in FAMILIES if name != "masked_lm"])
def test_step_waits_for_nothing(
    family: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, ours, context = ready(family, tmp_path, FLAT)
    as_on_a_gpu(model, monkeypatch)
    accelerator = accelerator_for(FLAT)
    optimizers = optimizers_for(model, "adamw", FLAT)
    trained = Trained(accelerator, model, optimizers, 1.0)
    cut = step_batches(accelerator, ours, ours.index, context, (1, 0), flat=True)
    batches = [model.laid_out(batch, training=True) for batch in cut]
    units = torch.full((), counted(ours.task, batches)[0])
    model.train()
    with Waits() as waits:
        losses = [update(trained, ours.task, batches, units) for _ in range(2)]
    assert waits.found == []
    assert losses[1] != losses[0]
    with Waits() as waits:  # it does count
        both = torch.stack(losses)
        float(both[both > 0].sum())
    assert waits.found == ["index", "_local_scalar_dense"]


@pytest.mark.parametrize("steps", [0, 1, 3, 50])
def test_ahead_keeps_order_and_brings_errors(steps: int) -> None:
    assert list(ahead(iter(range(20)), lambda n: n * n, steps)) == [n * n for n in range(20)]
    made: list[int] = []

    def make(number: int) -> int:
        made.append(number)
        if number == 5:
            raise ValueError("five")
        return number

    seen = []
    with pytest.raises(ValueError, match="five"):
        for number in ahead(iter(range(20)), make, steps):
            seen.append(number)
    assert seen == [0, 1, 2, 3, 4]
    assert threading.active_count() == 1 or all("Pool" not in t.name for t in threading.enumerate())


def test_ahead_is_at_most_so_many_steps_ahead() -> None:
    made: list[int] = []
    results = ahead(iter(range(20)), made.append, 3)
    next(results)
    results.close()
    assert len(made) <= 4


def test_training_is_the_same_from_a_side_thread(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sums = []
    for steps in (0, 8):
        monkeypatch.setattr(loop, "ahead", lambda items, make, _, n=steps: ahead(items, make, n))
        model, ours, context = ready("tagging", tmp_path, CPU)
        work = Context(CPU, context.tokenizer, tmp_path / f"work-{steps}", tmp_path, run=OFTEN)
        progress, _ = train(model, [ours], Plan(1e-3, 12, 4, seed=1), work)
        sums.append((progress.history, weights(model)))
    assert sums[0] == sums[1]


class Recorder:
    """In the place of CUDA's: a recording runs nothing, a replay runs the step again."""

    def __init__(self) -> None:
        self.recorded = 0

    def __call__(self, function: Callable[[], torch.Tensor]) -> Callable[[], torch.Tensor]:
        self.recorded += 1
        torch.randn(3)  # a recording may draw
        return function


def record_with(record: Any, monkeypatch: pytest.MonkeyPatch) -> list[Graphs]:
    """The loop's graphs from here on, made by `record`."""
    made: list[Graphs] = []

    def make(trained: Trained) -> Graphs:
        made.append(Graphs(trained, record))
        return made[-1]

    monkeypatch.setattr(loop, "Graphs", make)
    monkeypatch.setattr(loop, "set_recordable", lambda optimizers, device: None)
    return made


def fails(function: Callable[[], torch.Tensor]) -> Callable[[], torch.Tensor]:
    torch.randn(5)
    raise RuntimeError("operation not permitted when stream is capturing")


@pytest.mark.parametrize(
    ("family", "settings"), [*((family, FLAT) for family in FAMILIES), ("span", SMALL)]
)
def test_recorded_training_is_the_eager_one(
    family: str,
    settings: TrainingSettings,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """With dropout, masks, several micro-batches and short batches at the epoch's end; equal to
    the last bit."""
    found, recorder = {}, Recorder()
    for record in (fails, recorder):
        record_with(record, monkeypatch)
        model, ours, context = ready(family, tmp_path, settings, repeat=3)
        as_on_a_gpu(model, monkeypatch)
        work = Context(settings, context.tokenizer, tmp_path / str(len(found)), tmp_path, run=OFTEN)
        progress, _ = train(model, [ours], Plan(1e-3, 30, 4, seed=1), work)
        found[record] = progress.history, weights(model)
    assert found[fails] == found[recorder]
    said = capsys.readouterr().err
    assert (recorder.recorded > 0) == (family != "masked_lm")
    assert ("masked_lm has no fixed shape" in said) == (family == "masked_lm")
    assert said.count("no graph of a step: operation not permitted") == (family != "masked_lm")


def test_few_graphs_serve_a_mixture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ref = tiny_encoder("xlm-r", tmp_path / "model")
    tokenizer = encoders.load_tokenizer(ref)
    members = [member("classification", tokenizer, 8), member("span", tokenizer, 8)]
    model = build(encoders.load_encoder(ref), [m.task for m in members], ref, FLAT)
    as_on_a_gpu(model, monkeypatch)
    recorder = Recorder()
    made = record_with(recorder, monkeypatch)
    train(model, members, Plan(1e-3, 40, 4, seed=2), Context(FLAT, tokenizer, tmp_path, tmp_path))
    (graphs,) = made
    assert {head for head, _ in graphs.known} == {m.task.head for m in members}
    assert len(graphs.known) == recorder.recorded <= 8
    assert sum(graphs.met.values()) == 40


def test_learning_rates_can_live_where_a_graph_reads_them(tmp_path: Path) -> None:
    model, _, _ = ready("classification", tmp_path, CPU)
    optimizers = optimizers_for(model, "adamw", CPU)
    set_recordable(optimizers, torch.device("cpu"))
    rates = [group["lr"] for group in optimizers[0].param_groups]
    loop.set_learning_rate(optimizers, 0.25)
    assert all(isinstance(rate, torch.Tensor) and rate == 0.25 for rate in rates)
    assert all(group["capturable"] for group in optimizers[0].param_groups)
    set_recordable(optimizers, None)
    loop.set_learning_rate(optimizers, 0.5)
    assert [(g["lr"], g["capturable"]) for g in optimizers[0].param_groups] == [(0.5, False)] * 2


def test_fixed_widths_pad_every_column_and_change_no_loss(tmp_path: Path) -> None:
    for family in ("tagging", "span", "choice"):
        model, ours, context = ready(family, tmp_path / family, CPU, dropout=0.0)
        wide = ours.of_fixed_widths()
        few = ours.index[:1]
        batch, wider = (
            one.task.family.collate(one.features, few, context.tokens, (0,)) for one in (ours, wide)
        )
        longest = int(ours.features.columns["input_ids"].lengths.max())
        assert wider["input_ids"].shape[1] == longest
        with torch.no_grad():
            logits = [model.eval()(ours.task.head, one) for one in (batch, wider)]
        losses = [ours.task.family.loss(logits[n], one) for n, one in enumerate((batch, wider))]
        assert float(losses[1]) == pytest.approx(float(losses[0]), rel=1e-5)
        assert np.array_equal(few, ours.index[:1])
