"""Parts of gpu.py: the same training padded, flat and as CUDA graphs (params: training.layout).

`flat`: the three compute the same, in every family, killed and resumed too, and no step waits for
the GPU. `flat speed`: milliseconds a step at XLM-R Large's shape and at 12 x 384, and prediction.
Weights are random, rows made up (gpu_rows.py). On a CPU there are no graphs, and bf16 is left out.

Errors are relative, ||a - b|| / ||b||, gradients all in one vector; `*_difference` is the largest
of any weight, 0 where two trainings are equal to the last bit.
"""

from __future__ import annotations

import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import gpu_rows as made
import numpy as np
import torch
from gpu import Cases, Context, Figures
from gpu_card import device, synchronize
from gpu_loop import clean, peak_gb
from gpu_parity import resumed
from transformers import AutoModel, BertConfig, LlamaConfig, ModernBertConfig, XLMRobertaConfig

from xstilts.formats.features import Features
from xstilts.training import embeddings, flat, steps
from xstilts.training import loop as training
from xstilts.training.encoder import Model, config_copy, prepare
from xstilts.training.evaluation import predict
from xstilts.training.graphs import Graphs
from xstilts.training.layout import choose
from xstilts.training.loop import Member, Plan, train
from xstilts.training.task import Task

CUDA = torch.cuda.is_available()
LAYOUTS = ("padded", "flat", "graphs") if CUDA else ("padded", "flat")
EAGER = "eager"  # graphs' own steps, without a graph: what a replay must equal
WARM, TIMED = 40, 40  # steps; within the first 40 nearly every shape is met twice, and recorded
SIZES = {
    "large": made.LARGE,
    "12 x 384": {**made.LARGE, "hidden_size": 384, "num_hidden_layers": 12,
                 "num_attention_heads": 12, "intermediate_size": 1536},
}  # fmt: skip
KINDS = {"nli": "classification", "spans": "span"}


# --- one training ------------------------------------------------------------------------------


class Watched:
    """The graphs of the trainings within: what they recorded and said; `eager`: none at all."""

    def __init__(self, layout: str) -> None:
        self.layout, self.made, self.real = layout, [], training.Graphs

    def __enter__(self) -> Watched:
        def make(trained: steps.Trained) -> Graphs:
            self.made.append(Graphs(trained, fails if self.layout == EAGER else None))
            return self.made[-1]

        training.Graphs = make  # type: ignore[assignment,misc]
        return self

    def __exit__(self, *_: Any) -> None:
        training.Graphs = self.real  # type: ignore[misc]

    def figures(self) -> Figures:
        said = "; ".join(sorted(text for graphs in self.made for text in graphs.said))
        return {"graphs": sum(len(graphs.known) for graphs in self.made), "said": said or "-"}


def fails(function: Callable[[], torch.Tensor]) -> Callable[[], torch.Tensor]:
    raise RuntimeError("asked for without a graph")


def model_of(families: Sequence[str], shape: dict[str, Any], **more: Any) -> tuple[Model, list[Task]]:  # fmt: skip  # noqa: E501
    """A random encoder with a head for each family, on the device."""
    with torch.device(device()):
        model, first = made.model_of(families[0], shape, 1, **more)
        tasks = [first]
        for family in families[1:]:
            other = made.model_of(family, {**shape, "num_hidden_layers": 1}, 1)[1]
            model.heads[other.head] = other.family.head(config_copy(model.encoder), other.settings)
            tasks.append(other)
    return model, tasks


def trained(
    layout: str,
    model: Model,
    members: Sequence[Member],
    plan: Plan,
    reporter: Any = None,
    **settings: Any,
) -> list[float]:
    """Mean losses of ten steps each; the model is then trained."""
    name = "graphs" if layout == EAGER else layout
    vocabulary = model.encoder.config.vocab_size
    clean_state()
    with tempfile.TemporaryDirectory() as work:
        around = made.context(Path(work), vocabulary, reporter, layout=name, **settings)
        chosen = choose(model, around.training)
        if chosen.layout != name:
            raise RuntimeError(f"{chosen.layout} in the place of {name}")
        progress, _ = train(chosen, members, plan, around)
    return [line["loss"] for line in progress.history if "loss" in line]


def clean_state() -> None:
    """One process, several precisions: accelerate keeps the first otherwise."""
    from gpu_parity import fresh

    fresh()


def vector(model: Model) -> torch.Tensor:
    return torch.cat([p.detach().flatten().double().cpu() for p in model.parameters()])


def error(found: torch.Tensor, wanted: torch.Tensor) -> float:
    return float((found.double() - wanted.double()).norm() / wanted.double().norm())


# --- the three compute the same ----------------------------------------------------------------


def equal(context: Context) -> Cases:
    shape = made.TINY if context.tiny else made.SMALL
    yield "machine", machine
    for name in CONFIGS:
        yield f"states and gradients: {name}", lambda n=name: against_fp32(n, context.tiny)
    yield "losses of 30 steps, no dropout", lambda: curves(shape)
    for layout in LAYOUTS:
        yield f"waits for the GPU in a step: {layout}", lambda y=layout: waits(shape, y)
    if CUDA:
        yield from graph_cases(["classification", "span"], shape, (False, True))
    for layout in LAYOUTS[1:]:
        for strict in (False, True):
            name = f"killed and resumed, {layout}{', deterministic' if strict else ''}"
            precision = "bf16" if CUDA else "fp32"
            yield name, lambda y=layout, s=strict, p=precision: resumed(shape, p, s, y)
    if CUDA:  # last: a recording that fails may spoil what this process does afterwards
        yield (
            "graph is eager: two heads, deterministic",
            lambda: graph_is_eager(["classification", "span"], shape, True),
        )
        yield (
            "graph is eager: several micro-batches, deterministic",
            lambda: graph_is_eager(["span"], shape, True, token_budget=800),
        )
        others = [family for family in made.TRAINED if family not in ("classification", "span")]
        yield from graph_cases(others, shape, (False, True))


def graph_cases(families: Sequence[str], shape: dict[str, Any], ways: Sequence[bool]) -> Cases:
    for strict in ways:
        for family in families:
            name = f"graph is eager: {family}{', deterministic' if strict else ''}"
            yield name, lambda f=family, s=strict: graph_is_eager([f], shape, s)


def machine() -> Figures:
    import transformers

    name = torch.cuda.get_device_name() if CUDA else "CPU"
    op = str(torch.ops.aten._flash_attention_forward.default._schema)
    triton = getattr(embeddings.triton, "__version__", "none")
    return {"device": name, "torch": torch.__version__, "transformers": transformers.__version__,
            "triton": triton, "op": op}  # fmt: skip


COMMON = {"vocab_size": 900, "pad_token_id": 1, "bos_token_id": 0, "eos_token_id": 2,
          "max_position_embeddings": 520, "initializer_range": 0.05}  # fmt: skip
CONFIGS: dict[str, Callable[[dict[str, int]], Any]] = {
    "xlm-r": lambda size: XLMRobertaConfig(**COMMON, **size),
    "bert": lambda size: BertConfig(**COMMON, **size),
    "modernbert, windows": lambda size: ModernBertConfig(
        **COMMON, **size, local_attention=64, global_attn_every_n_layers=2,
        cls_token_id=0, sep_token_id=2,
    ),
    "llama, grouped": lambda size: LlamaConfig(**COMMON, **size, num_key_value_heads=2),
}  # fmt: skip


def against_fp32(name: str, tiny: bool) -> Figures:
    """From padded fp32: flat fp32, padded bf16, flat bf16 with buckets and our own gradients."""
    size = {"hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4} if tiny else {
        "hidden_size": 256, "num_hidden_layers": 4, "num_attention_heads": 4}  # fmt: skip
    config = CONFIGS[name]({**size, "intermediate_size": 2 * size["hidden_size"]})
    torch.manual_seed(1)
    encoder = prepare(AutoModel.from_config(config)).to(device()).eval()
    random = np.random.default_rng(3)
    lengths = random.integers(3, 60 if tiny else 384, 6 if tiny else 24)
    mask = np.arange(lengths.max()) < lengths[:, None]
    batch = {"input_ids": torch.tensor(np.where(mask, random.integers(5, 900, mask.shape), 1)),
             "attention_mask": torch.tensor(mask.astype(np.int64))}  # fmt: skip
    real = torch.tensor(mask, device=device())
    weights = torch.randn(int(mask.sum()), size["hidden_size"], device=device())
    there = steps.sent(batch, device())

    def computed(read: Callable[[], torch.Tensor], half: bool) -> tuple[torch.Tensor, torch.Tensor]:
        encoder.zero_grad()
        with torch.autocast(device().type, torch.bfloat16, enabled=half):
            states = read()[real].float()
        (states * weights).mean().backward()
        kept = [p.grad.flatten() for name, p in encoder.named_parameters()
                if p.grad is not None and not name.endswith("key.bias")]  # fmt: skip
        return states.detach(), torch.cat(kept)

    def padded() -> torch.Tensor:
        return encoder(**there, use_cache=False).last_hidden_state  # type: ignore[no-any-return]

    def flat_states() -> torch.Tensor:
        embeddings.hand_parts(encoder, laid)
        return flat.hidden_states(encoder, laid)

    wanted = computed(padded, False)
    found = {"padded bf16": computed(padded, True)} if CUDA else {}
    reason = flat.refusal(encoder) or embeddings.own_gradients(encoder)
    if reason:
        raise RuntimeError(reason)
    made_flat = flat.lay_out(batch, flat.flat_input_of(encoder, own=True), bucket=True)
    laid = steps.sent(made_flat, device())
    found["flat fp32"] = computed(flat_states, False)
    if CUDA:
        found["flat bf16"] = computed(flat_states, True)
    figures: Figures = {"tokens": int(mask.sum()), "with the bucket": len(laid["flat_ids"])}
    for label, (states, gradients) in found.items():
        figures[f"{label}: states"] = error(states, wanted[0])
        figures[f"{label}: gradients"] = error(gradients, wanted[1])
    return figures


def rows_for(family: str, shape: dict[str, Any], steps: int) -> Features:
    """As many as that; texts shorter where encoders are."""
    count = 32 * steps * made.GROUPS.get(family, 1)
    longest = 32 if shape["hidden_size"] < 64 else 128
    return made.features(family, made.lengths("nli", count, 1, longest), shape["vocab_size"], 1)


def curves(shape: dict[str, Any]) -> Figures:
    """Losses in each layout from padded's: bf16 where graphs are, no dropout."""
    found = {}
    for layout in LAYOUTS:
        none = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
        model, (task,) = model_of(["classification"], shape, **none)
        member = made.member(task, rows_for("classification", shape, 30))
        with Watched(layout):
            found[layout] = np.array(trained(layout, model, [member], Plan(1e-4, 30, 32, 1)))
    figures: Figures = {f"{layout}: last": float(found[layout][-1]) for layout in LAYOUTS}
    for layout in LAYOUTS[1:]:
        figures[f"{layout}: apart"] = float(np.abs(found[layout] - found["padded"]).max())
    return figures


def graph_is_eager(
    families: Sequence[str], shape: dict[str, Any], strict: bool, **settings: Any
) -> Figures:
    """24 steps with dropout, from graphs and without one."""
    found: dict[str, tuple[list[float], torch.Tensor]] = {}
    figures: Figures = {}
    torch.use_deterministic_algorithms(strict)
    try:
        for layout in (EAGER, "graphs"):
            model, tasks = model_of(families, shape)
            members = [made.member(t, rows_for(f, shape, 24))
                       for f, t in zip(families, tasks, strict=True)]  # fmt: skip
            with Watched(layout) as watched:
                losses = trained(layout, model, members, Plan(1e-4, 24, 32, 1), **settings)
            found[layout] = losses, vector(model)
            figures = watched.figures()
    finally:
        torch.use_deterministic_algorithms(False)
    (losses, weights), (other, others) = found[EAGER], found["graphs"]
    apart = max(abs(a - b) for a, b in zip(losses, other, strict=True))
    difference = float((weights - others).abs().max())
    return {"loss_difference": apart, "weights_difference": difference, **figures}


def waits(shape: dict[str, Any], layout: str) -> Figures:
    """Steps 8 to 15 of a training by torch's sync mode "warn": where the host waited; then to 23 by
    "error", if it had not. The padded path is transformers' own, whose masks wait."""
    places: Counter[str] = Counter()
    passes, number, real = ["not tried"], [0], training.take_step

    def mode(name: str) -> None:
        if CUDA:
            torch.cuda.set_sync_debug_mode(name)

    def watched(*arguments: Any) -> Any:
        number[0] += 1
        strict = number[0] >= 16 and not places
        if number[0] < 8:
            return real(*arguments)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            mode("error" if strict else "warn")
            try:
                found = real(*arguments)
                passes[0] = "yes" if strict else passes[0]
                return found
            except RuntimeError as problem:
                passes[0] = f"no: {problem}"[:200]
                raise
            finally:
                mode("default")
                for one in caught:
                    said = str(one.message)
                    if "synchroniz" in said and "debug mode" not in said:  # it warns of itself
                        places["/".join([*Path(one.filename).parts[-2:], str(one.lineno)])] += 1

    training.take_step = watched  # type: ignore[assignment]
    try:
        model, (task,) = model_of(["span"], shape)
        member = made.member(task, rows_for("span", shape, 8))  # epochs: shapes come again
        with Watched(layout) as graphs:
            trained(layout, model, [member], Plan(1e-4, 23, 32, 1))
    except RuntimeError:
        if not passes[0].startswith("no"):
            raise
    finally:
        training.take_step = real
    where = ", ".join(f"{place} {count}" for place, count in places.most_common(4))
    return {"waits": sum(places.values()), "mode error passes": passes[0], "where": where or "-",
            **graphs.figures()}  # fmt: skip


# --- speed -------------------------------------------------------------------------------------


class Marks:
    """A reporter: the time at the beginning, after WARM steps and at the end."""

    def __init__(self, warm: int, steps: int) -> None:
        self.at, self.wanted = {}, (warm, steps)

    def begin(self, step: int) -> None:
        self.mark(0)

    def step(self, step: int, metrics: Mapping[str, float]) -> None:
        if step in self.wanted:
            self.mark(step)

    def mark(self, step: int) -> None:
        synchronize()
        self.at[step] = time.perf_counter()


def speed(context: Context) -> Cases:
    warm, timed = (10, 10) if context.tiny else (WARM, TIMED)
    sizes = {"tiny": made.TINY} if context.tiny else SIZES
    for size, shape in sizes.items():
        for kind in KINDS if size != "12 x 384" else ("nli",):
            texts = made.lengths(kind, 32 * (warm + timed), 1, 64 if context.tiny else 512)
            rows = made.features(KINDS[kind], texts, shape["vocab_size"], 1)
            for layout in LAYOUTS:
                yield f"{size}, {kind}: {layout}", lambda s=shape, k=kind, r=rows, y=layout: timed_steps(s, KINDS[k], r, y, (warm, timed))  # fmt: skip  # noqa: E501
    for layout in LAYOUTS[:2]:
        shape = next(iter(sizes.values()))
        yield f"prediction, nli: {layout}", lambda s=shape, y=layout: predicted(s, y, context.tiny)


def timed_steps(
    shape: dict[str, Any], family: str, rows: Features, layout: str, counts: tuple[int, int]
) -> Figures:
    """ms a step of the last `timed`, and what the first ones took, recording included."""
    clean()
    warm, timed = counts
    model, (task,) = model_of([family], shape)
    marks = Marks(warm, warm + timed)
    with Watched(layout) as watched:
        trained(layout, model, [made.member(task, rows)], Plan(1e-5, warm + timed, 32, 1), marks)
    begin, middle, end = marks.at.values()
    order = np.random.default_rng([1, 0]).permutation(len(rows))  # as batches.step_examples
    real = int(rows.tokens[order[32 * warm :]].sum())
    reserved = torch.cuda.memory_reserved() / 1e9 if CUDA else 0.0
    return {
        "ms_a_step": 1000 * (end - middle) / timed,
        "real_tokens_per_s": real / (end - middle),
        "first_steps_s": middle - begin,
        "peak_gb": peak_gb(),
        "reserved_gb": reserved,
        **watched.figures(),
    }


def predicted(shape: dict[str, Any], layout: str, tiny: bool) -> Figures:
    """Real tokens a second, and how far the logits are from padded ones of the same model."""
    clean()
    texts = made.lengths("nli", 64 if tiny else 4096, 2, 64 if tiny else 512)
    rows = made.features("classification", texts, shape["vocab_size"], 2)
    model, (task,) = model_of(["classification"], shape)
    found = {}
    with tempfile.TemporaryDirectory() as work:
        for name in dict.fromkeys(("padded", layout)):
            around = made.context(Path(work), shape["vocab_size"], layout=name)
            chosen = choose(model, around.training)
            predict(chosen, task, rows, around)
            synchronize()
            start = time.perf_counter()
            outputs = np.stack(predict(chosen, task, rows, around))
            found[name] = outputs, time.perf_counter() - start
    apart = error(torch.tensor(found[layout][0]), torch.tensor(found["padded"][0]))
    seconds = found[layout][1]
    return {"real_tokens_per_s": int(rows.tokens.sum()) / seconds, "seconds": seconds,
            "logits_apart": apart}  # fmt: skip
