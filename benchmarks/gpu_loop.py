"""Parts of gpu.py: transformers' Trainer and our loop, same rows and shape, in one process.

Both: XLM-R Large's shape with random weights, batches of 32, AdamW, clipping at 1, bf16 autocast
on a GPU. Trainer pads each batch to its longest sequence and takes a list for a data set. WARM
steps are not counted. Real pieces are those of the rows, padded ones what the device computes.

MFU counts real pieces: 6 x the layers' parameters x pieces, and for attention 12 x layers x hidden
x the sum of squared lengths (two products, forward and backward), over the time and over a rate:
that of an 8192^3 product in bf16 in the same process, or the data sheet's 990 TFLOP/s.
"""

from __future__ import annotations

import gc
import resource
import tempfile
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import gpu_rows as made
import torch
from gpu import Cases, Context, Figures
from gpu_card import device, peak_rate, synchronize
from gpu_parity import fresh

from xstilts.formats.features import Batch, Features
from xstilts.training import loop as training
from xstilts.training.devices import accelerator_for
from xstilts.training.layout import choose
from xstilts.training.loop import Plan, train

WARM, SHEET = 10, 990.0
BUDGET = 8192  # tokens a micro-batch, the default
FAMILIES = {"nli": "classification", "spans": "span"}


class Clock:
    """From the end of step WARM to the end of the last; a Reporter for our loop."""

    def __init__(self, steps: int) -> None:
        self.steps, self.started, self.seconds = steps, 0.0, 0.0

    def begin(self, step: int) -> None:
        pass

    def step(self, step: int, metrics: Mapping[str, float]) -> None:
        if step not in (WARM, self.steps):
            return
        synchronize()
        if step == WARM:
            self.started = time.perf_counter()
        else:
            self.seconds = time.perf_counter() - self.started


def loop(context: Context) -> Cases:
    shape = made.TINY if context.tiny else made.LARGE
    steps = WARM + (10 if context.tiny else 40)
    peak = [0.0]

    def measured(run: Any, kind: str, features: Features, *more: Any) -> Figures:
        clean()
        held = torch.cuda.memory_allocated() / 1e9 if torch.cuda.is_available() else 0.0
        clock = Clock(steps)
        counts = run(shape, FAMILIES[kind], features, clock, *more)
        return {**figures(shape, clock, counts, peak[0]), "held_before_gb": held}

    def rate() -> Figures:
        peak[0] = peak_rate(context.tiny)
        return {"tflops": peak[0]}

    yield "a large product in bf16", rate
    for kind, family in FAMILIES.items():
        texts = made.lengths(kind, 32 * steps, 1, 64 if context.tiny else 512)
        features = made.features(family, texts, shape["vocab_size"], 1)
        yield f"{kind}: rows", lambda f=features: made.summary(f)
        yield f"{kind}: Trainer", lambda k=kind, f=features: measured(trainer, k, f)
        for layout in ("padded", "auto"):
            yield f"{kind}: ours, {layout}", lambda k=kind, f=features, y=layout: measured(ours, k, f, BUDGET, y)  # fmt: skip  # noqa: E501


def with_cudnn(context: Context) -> Cases:
    """Our loop as in `loop`, but with cuDNN's attention, which accelerator_for turns off.

    Shapes new, then met before: what a new one costs here alone is the plan that cuDNN makes.
    """
    torch.backends.cuda.enable_cudnn_sdp = lambda on: None
    shape = made.TINY if context.tiny else made.LARGE
    steps = WARM + (10 if context.tiny else 40)
    for kind, family in FAMILIES.items():
        texts = made.lengths(kind, 32 * steps, 1, 64 if context.tiny else 512)
        features = made.features(family, texts, shape["vocab_size"], 1)

        def measured(family: str = family, features: Features = features) -> Figures:
            clean()
            clock = Clock(steps)
            return figures(shape, clock, ours(shape, family, features, clock, BUDGET), 0.0)

        yield f"{kind}: ours, new shapes", measured
        yield f"{kind}: ours, the same again", measured


def figures(shape: dict[str, int], clock: Clock, counts: Counter[str], peak: float) -> Figures:
    """counts: of the steps that were timed."""
    layers, hidden, wide = (
        shape[name] for name in ("num_hidden_layers", "hidden_size", "intermediate_size")
    )
    parameters = layers * (4 * hidden * (hidden + 1) + 2 * hidden * wide + wide + 5 * hidden)
    work = 6 * parameters * counts["real"] + 12 * layers * hidden * counts["squares"]
    steps, tflops = clock.steps - WARM, work / clock.seconds / 1e12
    return {
        "ms_a_step": 1000 * clock.seconds / steps,
        "examples_per_s": counts["examples"] / clock.seconds,
        "real_tokens_per_s": counts["real"] / clock.seconds,
        "padded_over_real": counts["padded"] / counts["real"],
        "micro_batches": counts["batches"] / steps,
        "tflops": tflops,
        "mfu_of_measured": tflops / peak if peak else 0.0,
        "mfu_of_990": tflops / SHEET,
        "peak_gb": peak_gb(),
    }


def counted(batches: Sequence[Batch]) -> Counter[str]:
    found: Counter[str] = Counter()
    for batch in batches:
        lengths = batch["attention_mask"].sum(dim=1)
        found["batches"] += 1
        found["examples"] += len(lengths)  # these families have one sequence an example
        found["real"] += int(lengths.sum())
        found["padded"] += batch["input_ids"].numel()
        found["squares"] += int((lengths**2).sum())
    return found


def clean() -> None:
    fresh()
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()


def peak_gb() -> float:
    """On a GPU of one training; on a CPU of the process so far."""
    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated() / 1e9
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9


def ours(
    shape: dict[str, int],
    family: str,
    features: Features,
    clock: Clock,
    budget: int,
    layout: str = "padded",
) -> Counter[str]:
    """training.train as it is; then the timed steps' batches are made again and counted."""
    with torch.device(device()):
        model, task = made.model_of(family, shape, 1)
    member, plan = made.member(task, features), Plan(1e-5, clock.steps, 32, 1)
    with tempfile.TemporaryDirectory() as work:
        around = made.context(
            Path(work), shape["vocab_size"], clock, token_budget=budget, layout=layout
        )
        train(choose(model, around.training), [member], plan, around)
    accelerator, found = accelerator_for(around.training), Counter[str]()
    for step, one, examples in training.drawn([member], plan, WARM):
        found += counted(training.step_batches(accelerator, one, examples, around, (1, step)))
    return found


def trainer(shape: dict[str, int], family: str, features: Features, clock: Clock) -> Counter[str]:
    from transformers import (
        DataCollatorWithPadding,
        Trainer,
        TrainerCallback,
        TrainingArguments,
        XLMRobertaConfig,
        XLMRobertaForQuestionAnswering,
        XLMRobertaForSequenceClassification,
    )

    pad, seen = DataCollatorWithPadding(made.tokenizer(shape["vocab_size"])), []

    def collate(rows: list[dict[str, Any]]) -> Any:
        batch = pad(rows)
        seen.append(counted([batch]))
        return batch

    class Ticks(TrainerCallback):
        def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            clock.step(state.global_step, {})

    names = ("labels",) if family == "classification" else ("start_positions", "end_positions")
    rows = [
        {"input_ids": features.columns["input_ids"][n].tolist(),
         **dict(zip(names, features.columns["labels"][n].tolist(), strict=True))}
        for n in range(len(features.rows))
    ]  # fmt: skip
    kind = (
        XLMRobertaForSequenceClassification
        if family == "classification"
        else XLMRobertaForQuestionAnswering
    )
    on_gpu = torch.cuda.is_available()
    torch.backends.cuda.enable_cudnn_sdp(True)  # as Trainer has it: our loop turns it off
    torch.manual_seed(1)
    with torch.device(device()):
        model = kind(XLMRobertaConfig(**shape, num_labels=3 if family == "classification" else 2))
    with tempfile.TemporaryDirectory() as work:
        settings = TrainingArguments(
            output_dir=work, max_steps=clock.steps, per_device_train_batch_size=32,
            learning_rate=1e-5, weight_decay=0.01, max_grad_norm=1.0, bf16=on_gpu,
            use_cpu=not on_gpu, save_strategy="no", report_to="none",
            disable_tqdm=True, dataloader_pin_memory=on_gpu,
        )  # fmt: skip
        Trainer(model, settings, collate, rows, callbacks=[Ticks()]).train()
    return sum(seen[WARM : clock.steps], Counter[str]())


def profile(context: Context) -> Cases:
    yield "nli: ours, 8192", lambda: profiled(context, 3)


def profiled(context: Context, active: int) -> Figures:
    """Ten steps timed without the profiler, then `active` steps with it, out of our own loop."""
    from torch.profiler import ProfilerActivity
    from torch.profiler import profile as record

    shape = made.TINY if context.tiny else made.LARGE
    steps = 2 * WARM + active
    texts = made.lengths("nli", 32 * steps, 1, 64 if context.tiny else 512)
    features = made.features("classification", texts, shape["vocab_size"], 1)
    cuda = [ProfilerActivity.CUDA] if torch.cuda.is_available() else []
    recorder, clock = record(activities=[ProfilerActivity.CPU, *cuda]), Clock(2 * WARM)
    real = training.take_step
    number = [0]

    def step(*arguments: Any) -> Any:
        found = real(*arguments)
        number[0] += 1
        clock.step(number[0], {})
        if number[0] == 2 * WARM:
            recorder.start()
        if number[0] == steps:
            synchronize()
            recorder.stop()
        return found

    training.take_step = step  # the loop's own steps, seen from outside
    try:
        clean()
        ours(shape, "classification", features, _Silent(steps), 8192)
    finally:
        training.take_step = real
    return totals(recorder.key_averages(), clock.seconds * 1000 / WARM, active)


class _Silent(Clock):
    def step(self, step: int, metrics: Mapping[str, float]) -> None:
        pass


CALLS = (
    "cudaStreamSynchronize", "cudaDeviceSynchronize", "cudaMemcpyAsync", "aten::item",
    "aten::nonzero", "cudaLaunchKernel", "cudaLaunchKernelExC", "cuLaunchKernelEx",
)  # fmt: skip


def totals(averages: Any, step_ms: float, active: int) -> Figures:
    """A step's: time of kernels over the time of an unprofiled step, calls of the host, the eight
    dearest kernels (operators on a CPU)."""
    on_gpu = torch.cuda.is_available()
    wanted = torch.autograd.DeviceType.CUDA if on_gpu else torch.autograd.DeviceType.CPU
    events = [e for e in averages if e.device_type == wanted and not e.is_user_annotation]
    times = {e.key: (e.self_device_time_total if on_gpu else e.self_cpu_time_total) / 1000 / active
             for e in events}  # fmt: skip
    busy = sum(times.values())
    calls = {e.key: e.count / active for e in averages if e.key in CALLS}
    found: Figures = {"ms_a_step": step_ms, "kernels_ms": busy, "busy_share": busy / step_ms}
    found |= {name: calls.get(name, 0.0) for name in CALLS}
    for place, name in enumerate(sorted(times, key=lambda one: -times[one])[:8], 1):
        found[f"top {place}"] = f"{times[name]:.2f} ms {name[:90]}"
    return found
