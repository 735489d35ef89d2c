"""Another design of the loop, on a GPU: flat tokens, no syncs, graphs, compilation. JSON lines.

    python benchmarks/gpu_flat.py --out DIR             # all groups, under 150 s on one H100 / H200
    python benchmarks/gpu_flat.py --out DIR --groups graph-nli,overlap --seconds 60
    python benchmarks/gpu_flat.py --out DIR --tiny      # CPU: every path that needs no CUDA

Needs torch, transformers, numpy; Triton for the embedding gradient. Random weights in XLM-R
Large's shape (24 x 1024, 16 heads, 250,002 rows), bf16 autocast over fp32, dropout 0.1, AdamW
fused, clip 1. Each group is a process with a time limit: all import at once, then run in turn. A
group that a CUDA error ends is started again, without what it has done. Each line of
DIR/flat.jsonl: {"group", "name", figures or "error", "at_s"}.

Figures of a step: `ms` median between two CUDA events (a step), `ms_mean` all steps' time over
their number, `host_ms` what the host took to enqueue one (near `ms`: the host is the limit),
`tokens_s` real tokens, `mfu` (6 x layer parameters + attention) x real tokens over the card's own
8192^3 bf16 rate, `padding` read tokens over real ones, `peak_gb` allocated. a padded whole batch;
b our micro-batch cut; c flat, stock embeddings, today's copies; d flat, one pinned block, own
embedding gradient; e = d + layer.compile(); f = d as a CUDA graph a bucket (forward, backward,
clip, AdamW); g = e + f; i = clip inside AdamW (grad_scale); j = bf16 Linear leaves, fp32 masters.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import traceback
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve()
# In order of running; seconds: the group's limit, and what it is expected to take after imports.
GROUPS: dict[str, tuple[int, int]] = {
    "card": (20, 5),
    "parity": (35, 12),
    "steps-nli": (30, 9),
    "graph-nli": (60, 30),
    "steps-span": (30, 11),
    "graph-span": (50, 22),
    "small": (25, 9),
    "overlap": (45, 16),
    "infer": (20, 7),
    "compile": (80, 40),
}
SCRATCH = Path(os.environ.get("FLAT_SCRATCH", f"{tempfile.gettempdir()}/flat-{os.getpid()}"))
RATE = 790e12  # until `card` has measured it


# --- the driver --------------------------------------------------------------------------------


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--tiny", action="store_true", help="tiny shapes on the CPU")
    parser.add_argument("--groups", default=",".join(GROUPS))
    parser.add_argument("--seconds", type=float, default=150, help="for all groups together")
    parser.add_argument("--group", help="run one group in this process")
    parser.add_argument("--pair", help="a folder: one of two processes of the group overlap")
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    if arguments.pair:
        pair_process(arguments)
    elif arguments.group:
        run_group(arguments)
    else:
        drive(arguments)


def start_group(arguments: argparse.Namespace, name: str) -> subprocess.Popen[str]:
    """Started, it imports, touches its file in `ready`, and waits for a line on its stdin."""
    command = [sys.executable, str(HERE), "--out", str(arguments.out), "--group", name]
    environment = os.environ | {
        "FLAT_SCRATCH": str(SCRATCH),  # not under --out: what lies there is carried home
        "TORCHINDUCTOR_CACHE_DIR": str(SCRATCH / "inductor"),
        "HF_HUB_OFFLINE": "1",
        "PYTHONUNBUFFERED": "1",
    }
    return subprocess.Popen(
        command, stdin=subprocess.PIPE, env=environment, text=True, start_new_session=True
    )


def drive(arguments: argparse.Namespace) -> None:
    begin = time.monotonic()
    wanted = [name for name in arguments.groups.split(",") if name in GROUPS]
    (arguments.out / "flat.jsonl").unlink(missing_ok=True)
    (SCRATCH / "ready").mkdir(parents=True, exist_ok=True)
    if arguments.tiny:  # in this process: imports once; Dynamo's own import only if asked for
        if arguments.groups == ",".join(GROUPS):
            wanted.remove("compile")
        for arguments.group in wanted:
            run_group(arguments)
        return
    started = {name: start_group(arguments, name) for name in wanted}
    for name in wanted:
        for attempt in range(4):
            left = arguments.seconds - (time.monotonic() - begin)
            if left < 5:
                emit(arguments.out, name, "group", error="no time left")
                break
            process = started.pop(name, None) or start_group(arguments, name)
            waited = wait_for(SCRATCH / "ready" / str(process.pid), min(60, left))
            at = time.monotonic()
            code = finish(process, min(GROUPS[name][0], left - waited))
            seconds = round(time.monotonic() - at, 1)
            emit(arguments.out, name, "group", exit=code, seconds=seconds, imports_s=waited)
            if code not in (3, -signal.SIGABRT, -signal.SIGSEGV) or attempt == 3:
                break
    for process in started.values():
        end(process)
    emit(arguments.out, "all", "group", seconds=round(time.monotonic() - begin, 1))


def wait_for(path: Path, limit: float) -> float:
    begin = time.monotonic()
    while not path.exists() and time.monotonic() - begin < limit:
        time.sleep(0.02)
    return round(time.monotonic() - begin, 1)


def end(process: subprocess.Popen[str]) -> None:
    """A group's process and what it has started, by its own session."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def finish(process: subprocess.Popen[str], limit: float) -> int | str:
    try:
        process.communicate("go\n", timeout=max(1.0, limit))
    except subprocess.TimeoutExpired:
        end(process)
        return "time limit"
    except BrokenPipeError:
        pass
    return process.wait()


def emit(out: Path, group: str, name: str, **figures: Any) -> None:
    line = json.dumps({"group": group, "name": name, **figures}, default=str)
    print(line, flush=True)
    with (out / "flat.jsonl").open("a") as file:
        file.write(line + "\n")


def lines(out: Path) -> list[dict[str, Any]]:
    path = out / "flat.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


class Run:
    """A group's measurements: each guarded, each written when it is done."""

    def __init__(self, arguments: argparse.Namespace, group: str) -> None:
        self.out, self.group, self.tiny = arguments.out, group, arguments.tiny
        self.device = "cpu" if self.tiny else "cuda"
        self.begin = time.monotonic()
        self.done = {
            line["name"]: line for line in lines(self.out) if line["group"] == group
        }  # an earlier attempt's
        self.kept: dict[str, Any] = {}

    def measure(self, name: str, function: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        if name in self.done:
            return self.done[name]
        try:
            figures = function()
        except Exception as error:
            figures = {"error": one_line(error)}
        figures["at_s"] = round(time.monotonic() - self.begin, 1)
        emit(self.out, self.group, name, **figures)
        self.done[name] = figures
        text = figures.get("error", "").lower()
        if not self.tiny and any(word in text for word in ("cuda error", "captur", "out of mem")):
            sys.stdout.flush()
            os._exit(3)  # nothing after it in this process would mean anything
        return figures

    def keep(self, name: str, make: Callable[[], Any]) -> Any:
        """Made once in this process: a measurement that an earlier attempt did is not repeated."""
        if name not in self.kept:
            self.kept[name] = make()
        return self.kept[name]

    def rate(self) -> float:
        for line in lines(self.out):
            if line["name"] == "gemm 8192" and "tflops" in line:
                return float(line["tflops"]) * 1e12
        return RATE


def one_line(error: BaseException) -> str:
    """The reason, its cause, and the last place of ours."""
    places = [
        f"{Path(frame.filename).name}:{frame.lineno}"
        for frame in traceback.extract_tb(error.__traceback__)
    ]
    text = f"{type(error).__name__}: {str(error).strip()[:600]}"
    if error.__context__ is not None:
        text += f" || during: {type(error.__context__).__name__}: {str(error.__context__)[:300]}"
    return " ".join(f"{text} @ {' < '.join(places[::-1][:4])}".split())


def run_group(arguments: argparse.Namespace) -> None:
    sys.path.insert(0, str(HERE.parent))
    global torch, parts
    import flat_parts as parts
    import torch
    import transformers

    transformers.logging.set_verbosity_error()
    if arguments.tiny:
        torch.set_num_threads(1)
    else:
        (SCRATCH / "ready").mkdir(parents=True, exist_ok=True)
        (SCRATCH / "ready" / str(os.getpid())).touch()
        if not sys.stdin.readline():  # the driver is gone
            return
        torch.cuda.init()
    warnings.simplefilter("ignore")
    run = Run(arguments, arguments.group)
    kind, _, task = arguments.group.partition("-")
    function = {
        "card": card,
        "parity": parity,
        "steps": partial(steps, task=task),
        "graph": partial(graphs, task=task),
        "small": small,
        "compile": compiled,
        "overlap": overlap,
        "infer": infer,
    }[kind]
    function(run)


# --- timing ------------------------------------------------------------------------------------


def sync(run: Run) -> None:
    if run.device == "cuda":
        torch.cuda.synchronize()


def clock(run: Run, step: Callable[[int], Any], warm: int, count: int) -> dict[str, Any]:
    """step(i) for i in range(warm + count); the last `count` are timed."""
    if run.tiny:
        warm, count = 1, 2
    for index in range(warm):
        step(index)
    sync(run)
    if run.device == "cuda":
        torch.cuda.reset_peak_memory_stats()
        events = [torch.cuda.Event(enable_timing=True) for _ in range(count + 1)]
        events[0].record()
        begin = time.perf_counter()
        for index in range(count):
            step(warm + index)
            events[index + 1].record()
        host = time.perf_counter() - begin
        torch.cuda.synchronize()
        times = [a.elapsed_time(b) for a, b in itertools.pairwise(events)]
        peak = torch.cuda.max_memory_allocated() / 1e9
    else:
        times = []
        for index in range(count):
            begin = time.perf_counter()
            step(warm + index)
            times.append(1e3 * (time.perf_counter() - begin))
        host, peak = sum(times) / 1e3, 0.0
    return {
        "ms": round(statistics.median(times), 3),
        "ms_mean": round(sum(times) / count, 3),
        "ms_min": round(min(times), 3),
        "host_ms": round(1e3 * host / count, 3),
        "peak_gb": round(peak, 2),
        "from": warm,
        "count": count,
    }


def timed_steps(
    run: Run, model: Any, drawn: list[Any], step: Callable[[Any, int], int], sizes: tuple[int, int]
) -> dict[str, Any]:
    """step(examples, number) -> tokens read. sizes: (warm, timed) steps."""
    read: dict[int, int] = {}

    def one(index: int) -> None:
        read[index] = step(drawn[index % len(drawn)], index % len(drawn))

    figures = clock(run, one, *sizes)
    used = [drawn[(figures["from"] + i) % len(drawn)] for i in range(figures["count"])]
    real = sum(examples.tokens for examples in used)
    seen = sum(read[figures["from"] + i] for i in range(figures["count"]))
    seconds = figures["ms_mean"] * figures["count"] / 1e3
    flop = sum(parts.training_flop(model, examples) for examples in used)
    return figures | {
        "tokens": round(real / len(used)),
        "padding": round(seen / real, 3),
        "tokens_s": round(real / seconds),
        "mfu": round(flop / seconds / run.rate(), 3),
        "loss": LOSS[-1].item() if LOSS else None,
    }


LOSS: list[Any] = []  # the last step's, kept on the device: a number that is not one would show


def keep_loss(loss: Any) -> None:
    LOSS[:] = [loss]


# --- card --------------------------------------------------------------------------------------


def card(run: Run) -> None:
    def facts() -> dict[str, Any]:
        import platform

        import numpy
        import transformers

        found = {
            "torch": torch.__version__,
            "transformers": transformers.__version__,
            "numpy": numpy.__version__,
            "python": platform.python_version(),
            "triton": getattr(parts.triton, "__version__", None),
            "flash_schema": str(torch.ops.aten._flash_attention_forward.default._schema),
        }
        if run.device == "cuda":
            found |= {
                "card": torch.cuda.get_device_name(),
                "memory_gb": round(torch.cuda.get_device_properties(0).total_memory / 1e9, 1),
                "cuda": torch.version.cuda,
                "cpus": os.cpu_count(),
            }
        return found

    run.measure("facts", facts)
    run.measure("copy", partial(copy_rate, run))
    sizes = [(8192, 8192, 8192)]
    for rows in (1376, 1408, 5248, 6240, 6272):
        sizes += [(rows, 1024, 1024), (rows, 4096, 1024), (rows, 1024, 4096)]
    for m, n, k in sizes if not run.tiny else [(64, 32, 32)]:
        name = f"gemm {m}" if m == n == k else f"gemm {m} x {n} x {k}"
        run.measure(name, partial(gemm_rate, run, m, n, k))


def copy_rate(run: Run) -> dict[str, Any]:
    source = torch.empty(10**5 if run.tiny else 10**9, dtype=torch.float32, device=run.device)
    source.normal_()
    target = torch.empty_like(source)
    ms = clock(run, lambda _: target.copy_(source), 2, 8)["ms"]
    return {"gb_s": round(8 * source.numel() / ms / 1e6), "ms": ms}


def gemm_rate(run: Run, m: int, n: int, k: int) -> dict[str, Any]:
    """Random data, bf16; rotating over several inputs, in one graph: no launch gaps."""
    pairs = [
        (
            torch.randn(m, k, device=run.device, dtype=torch.bfloat16),
            torch.randn(n, k, device=run.device, dtype=torch.bfloat16),
        )
        for _ in range(1 if m == n == k else 12)
    ]

    def all_pairs(_: int = 0) -> None:
        for a, b in pairs:
            torch.nn.functional.linear(a, b)

    step: Callable[[int], Any] = all_pairs
    if run.device == "cuda" and len(pairs) > 1:
        all_pairs()
        torch.cuda.synchronize()
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            all_pairs()
        step = lambda _: graph.replay()  # noqa: E731
    ms = clock(run, step, 3, 10)["ms"] / len(pairs)
    return {"tflops": round(2 * m * n * k / ms / 1e9, 1), "ms": round(ms, 4)}


# --- parity ------------------------------------------------------------------------------------


def parity(run: Run) -> None:
    cuda = run.device == "cuda"
    if cuda:
        run.measure("flash: against fp32", partial(flash_against_fp32, run))
        run.measure("flash: dropout's mean, seed, backward mask", partial(flash_dropout, run))
        for dropout in (0.0, 0.1):
            run.measure(f"flash: graph, dropout {dropout}", partial(flash_graph, run, dropout))
        for name in ("nli", "span"):
            run.measure(f"flash: deterministic, {name}", partial(flash_deterministic, run, name))
    for name in ("nli", "span"):
        kind = parts.KINDS["tiny-" + name if run.tiny else name]
        run.measure(f"embedding gradient: {name}", partial(embedding_gradient, run, kind))
    for shape in ("tiny", "tiny-small") if run.tiny else ("large", "small"):
        run.measure(f"model: {shape}", partial(model_parity, run, shape))
    run.measure("grad_scale against clip_grad_norm_", partial(clip_parity, run))


def random_flash(kind: Any, heads: int = 16, dim: int = 64) -> tuple[Any, ...]:
    """q, k, v (T, heads, dim), cu and width of one batch, with an empty last sequence."""
    examples = parts.draw(kind, 1, 1000)[0]
    lengths = [*examples.lengths.tolist(), 0]
    torch.manual_seed(0)
    made = [
        torch.randn(examples.tokens, heads, dim, device="cuda").bfloat16().requires_grad_()
        for _ in range(3)
    ]
    cu = torch.tensor([0, *lengths], device="cuda").cumsum(0).int()
    place = torch.cat(
        [torch.arange(length) + row * kind.width for row, length in enumerate(lengths)]
    )
    return *made, cu, kind.width, place.cuda()


def apart(found: Any, wanted: Any) -> float:
    """|found - wanted| / |wanted|."""
    wanted = wanted.double()
    return float(((found.double() - wanted).norm() / wanted.norm()).item())


def flash_against_fp32(run: Run) -> dict[str, Any]:
    figures: dict[str, Any] = {}
    for name in ("nli", "span"):
        q, k, v, cu, width, place = random_flash(parts.KINDS[name])
        out = parts.flash(q, k, v, cu, width, 0.0, 0.125)
        weight = torch.randn_like(out)
        found = torch.autograd.grad((out * weight).float().sum(), (q, k, v))
        exact = [part.detach().float().requires_grad_() for part in (q, k, v)]
        right = parts.padded_sdpa(*exact, cu, width, place, 0.0, 0.125)
        wanted = torch.autograd.grad((right * weight.float()).sum(), exact)
        figures[name] = {"out": apart(out, right)} | {
            each: apart(a, b) for each, a, b in zip("qkv", found, wanted, strict=True)
        }
    return figures


def flash_dropout(run: Run) -> dict[str, Any]:
    """z: 1 where the mean over draws misses dropout 0 by sampling alone. mask: <dv, v> is
    <out, out> where backward uses forward's mask, about 10 % less where it does not."""
    q, k, v, cu, width, _ = random_flash(parts.KINDS["span"])
    exact = parts.flash(q, k, v, cu, width, 0.0, 0.125).float().detach()
    total, squares, draws = torch.zeros_like(exact), torch.zeros_like(exact), 400
    with torch.no_grad():
        for _ in range(draws):
            out = parts.flash(q, k, v, cu, width, 0.1, 0.125).float()
            total += out
            squares += out * out
    mean = total / draws
    deviation = (squares / draws - mean**2).clamp(min=1e-12).sqrt() / draws**0.5
    z = ((mean - exact) / deviation)[deviation > 1e-4]
    torch.manual_seed(7)
    first = parts.flash(q, k, v, cu, width, 0.1, 0.125)
    second = parts.flash(q, k, v, cu, width, 0.1, 0.125)
    torch.manual_seed(7)
    again = parts.flash(q, k, v, cu, width, 0.1, 0.125)
    (dv,) = torch.autograd.grad(again, v, again.detach())
    own = (again.double() ** 2).sum()
    return {
        "z_rms": round(float(z.pow(2).mean().sqrt()), 3),
        "z_mean": round(float(z.mean()), 4),
        "mean_apart": apart(mean, exact),
        "seed_equal": torch.equal(first, again),
        "next_differs": not torch.equal(first, second),
        "mask": round(float((dv.double() * v.double()).sum() / own), 4),
        "other_mask_would_be": round(float((second.double() * again.double()).sum() / own), 4),
    }


def flash_graph(run: Run, dropout: float) -> dict[str, Any]:
    """Forward and backward of the op in a graph; what a replay draws, and whether eager draws it
    too."""
    q, k, v, cu, width, _ = random_flash(parts.KINDS["nli"])

    def step() -> tuple[Any, Any]:
        out = parts.flash(q, k, v, cu, width, dropout, 0.125)
        return out.detach(), torch.autograd.grad(out, v, out.detach())[0]

    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(2):
            step()
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        out, dv = step()

    def replay(seed: int | None = None, offset: int | None = None) -> Any:
        if seed is not None:
            torch.cuda.manual_seed(seed)
        if offset is not None:
            torch.cuda.default_generators[0].set_offset(offset)
        graph.replay()
        return out.clone()

    one, two, three = replay(7), replay(), replay(7)
    mask = float((dv.double() * v.double()).sum() / (out.double() ** 2).sum())
    four, five, six = replay(8), replay(7, 4096), replay(7, 4096)
    torch.cuda.manual_seed(7)
    eager = step()[0]
    return {
        "same_seed_equal": torch.equal(one, three),
        "next_replay_differs": not torch.equal(one, two),
        "other_seed_differs": not torch.equal(one, four),
        "other_offset_differs": not torch.equal(one, five),
        "same_offset_equal": torch.equal(five, six),
        "eager_equal": torch.equal(one, eager),
        "mask": round(mask, 4),
    }


def flash_deterministic(run: Run, name: str) -> dict[str, Any]:
    """ms of one layer's forward + backward, both ways; are two backward passes bit-equal."""
    q, k, v, cu, width, _ = random_flash(parts.KINDS[name])
    weight = torch.randn_like(q)
    figures: dict[str, Any] = {}
    for wanted in (False, True):
        torch.use_deterministic_algorithms(wanted)
        torch.utils.deterministic.fill_uninitialized_memory = False
        try:
            torch.manual_seed(3)
            out = parts.flash(q, k, v, cu, width, 0.1, 0.125)
            passes = [
                torch.autograd.grad(out, (q, k, v), weight, retain_graph=True) for _ in range(4)
            ]

            def step(_: int) -> None:
                found = parts.flash(q, k, v, cu, width, 0.1, 0.125)
                torch.autograd.grad(found, (q, k, v), weight)

            label = "deterministic" if wanted else "default"
            figures[f"{label}_ms"] = clock(run, step, 5, 30)["ms"]
            figures[f"{label}_equal"] = all(
                torch.equal(a, b)
                for each in passes[1:]
                for a, b in zip(passes[0], each, strict=True)
            )
        finally:
            torch.use_deterministic_algorithms(False)
    return figures


def embedding_gradient(run: Run, kind: Any) -> dict[str, Any]:
    """Ours, index_add_, and torch's own backward: how far from a float64 sum, ms, repeatable."""
    vocabulary, dim = (500, 64) if run.tiny else (250_002, 1024)
    examples = parts.draw(kind, 1, vocabulary)[0]
    size = parts.bucket(examples.tokens)
    block = parts.Block(size, kind)
    read = block.read(block.fill(examples, 2).to(run.device))
    grad = torch.randn(size, dim, device=run.device)
    segments = (read["word_order"], read["word_offsets"], read["word_rows"])
    ids = read["ids"].long()
    real = examples.tokens
    oracle = torch.zeros(vocabulary, dim, device=run.device, dtype=torch.float64)
    oracle.index_add_(0, ids[:real], grad[:real].double())

    def ours(_: int = 0) -> Any:
        return parts.segment_sum(grad, *segments, vocabulary)

    def add(_: int = 0) -> Any:
        out = torch.zeros(vocabulary, dim, device=run.device)
        return out.index_add_(0, ids[:real], grad[:real])

    def stock(_: int = 0) -> Any:
        return torch.ops.aten.embedding_dense_backward(
            grad[:real], ids[:real], vocabulary, 1, False
        )

    figures: dict[str, Any] = {"tokens": real, "rows": int((read["word_rows"] >= 0).sum())}
    for name, function in (("ours", ours), ("index_add", add), ("stock", stock)):
        found = function()
        figures[name] = {
            "apart": apart(found, oracle),
            "repeats": torch.equal(found, function()),
            "ms": clock(run, function, 3, 15)["ms"],
        }
    figures["zeros_ms"] = clock(
        run, lambda _: torch.zeros(vocabulary, dim, device=run.device), 3, 15
    )["ms"]
    position = (read["position_order"], read["position_offsets"], read["position_rows"])
    wanted = torch.zeros(514, dim, device=run.device, dtype=torch.float64)
    wanted.index_add_(0, read["positions"].long()[:real], grad[:real].double())
    figures["positions_apart"] = apart(parts.segment_sum(grad, *position, 514), wanted)
    return figures


def model_parity(run: Run, shape: str) -> dict[str, Any]:
    """Hidden states and gradients, dropout 0, from padded fp32: padded bf16, flat bf16, flat fp32
    (q, k, v padded, SDPA). Real tokens alone; key biases, whose gradient is 0, are left out."""
    name = "tiny-span" if run.tiny else "span"
    kind = parts.KINDS[name]
    model = parts.build(shape, run.device, attention_dropout=0.0, dropout=0.0)
    model.eval()
    examples = parts.draw(kind, 1, model.encoder.config.vocab_size)[0]
    examples = parts.Examples(examples.ids[:6], examples.labels[:6])
    kind = parts.Kind(name, 6 if not run.tiny else 4, *list(vars(kind).values())[2:])
    block = parts.Block(parts.bucket(examples.tokens), kind)
    read = block.read(block.fill(examples, model.first_position).to(run.device))
    padded = {key: value.to(run.device) for key, value in parts.pad(examples, range(len(examples.ids))).items()}  # fmt: skip  # noqa: E501
    torch.manual_seed(5)
    weight = torch.randn(examples.tokens, model.encoder.config.hidden_size, device=run.device)

    def hidden(flat: bool, half: bool) -> Any:
        parts.set_attention(model, parts.NAME if flat else "sdpa")
        with torch.autocast(run.device, dtype=torch.bfloat16, enabled=half):
            if flat:
                return parts.flat_hidden(model, read, kind.width)[: examples.tokens]
            found = model.encoder(
                input_ids=padded["input_ids"], attention_mask=padded["attention_mask"]
            ).last_hidden_state
        return found[padded["attention_mask"].bool()]

    def gradients(flat: bool, half: bool) -> tuple[Any, dict[str, Any]]:
        model.zero_grad(set_to_none=True)
        states = hidden(flat, half)
        (states.float() * weight).mean().backward()
        return states.detach().float(), {
            key: value.grad
            for key, value in model.encoder.named_parameters()
            if value.grad is not None and not key.endswith("key.bias")
        }

    states, wanted = gradients(False, False)
    figures: dict[str, Any] = {"tokens": examples.tokens}
    variants = [("flat fp32", True, False), ("padded bf16", False, True), ("flat bf16", True, True)]
    if run.tiny:  # without CUDA the op is not there: bf16 runs through SDPA as well
        variants = variants[:1]
    own = [("flat fp32, own embeddings", True, False)]
    for label, flat, half in variants + own:
        if label.endswith("own embeddings"):
            parts.own_embeddings(model.encoder)
        found_states, found = gradients(flat, half)
        each = {key: apart(found[key], wanted[key]) for key in wanted}
        worst = max(each, key=lambda key: each[key])
        square = sum(float(((found[key] - wanted[key]).double() ** 2).sum()) for key in wanted)
        norm = sum(float((wanted[key].double() ** 2).sum()) for key in wanted)
        figures[label] = {
            "hidden": apart(found_states, states),
            "gradients": (square / norm) ** 0.5,
            "worst": [worst, each[worst]],
            "finite": all(bool(value.isfinite().all()) for value in found.values()),
        }
    return figures


def clip_parity(run: Run) -> dict[str, Any]:
    """Three AdamW steps with the clip inside (`grad_scale`) and before: how far apart."""
    found = []
    for fused in (False, True):
        torch.manual_seed(0)
        with torch.device(run.device):
            model = torch.nn.Sequential(torch.nn.Linear(256, 512), torch.nn.Linear(512, 64))
        optimizer = parts.adamw(model, run.device, capturable=run.device == "cuda")
        data = torch.randn(64, 256, device=run.device) * 30
        for _ in range(3):
            optimizer.zero_grad()
            (model(data) ** 2).sum().backward()
            parts.update(model, optimizer, fused)
        found.append(torch.cat([value.detach().flatten() for value in model.parameters()]))
    return {"apart": apart(found[1], found[0])}


# --- eager steps -------------------------------------------------------------------------------


def names(run: Run, task: str) -> tuple[str, Any]:
    return ("tiny" if run.tiny else "large"), parts.KINDS["tiny-" + task if run.tiny else task]


def sizes(task: str) -> tuple[int, int]:
    return (4, 20) if task == "nli" else (3, 10)


def pinned(run: Run, model: Any, kind: Any, drawn: list[Any]) -> list[tuple[Any, int]]:
    """(block, size) of each step, as the side thread would have them ready."""
    made = []
    for examples in drawn:
        size = parts.bucket(examples.tokens, kind.step)
        block = parts.Block(size, kind).fill(examples, model.first_position)
        made.append((block.pin_memory() if run.device == "cuda" else block, size))
    return made


def stock_step(
    run: Run, model: Any, optimizer: Any, kind: Any, cut: Callable[[Any], list[Any]] | None
) -> Callable[[Any, int], int]:
    """Today's optimiser_step, without accelerate: collate, copy, sum over units, clip, AdamW."""

    def step(examples: Any, _: int) -> int:
        rows = cut(examples) if cut else [range(len(examples.ids))]
        units = torch.tensor(len(examples.ids), device=run.device)
        total, read = torch.zeros((), device=run.device), 0
        for each in rows:
            batch = parts.pad(examples, each)
            read += batch["input_ids"].numel()
            batch = {key: value.to(run.device, non_blocking=True) for key, value in batch.items()}
            with torch.autocast(run.device, dtype=torch.bfloat16, enabled=run.device == "cuda"):
                loss = parts.padded_loss(model, batch, kind) / units
            loss.backward()
            total += loss.detach()
        parts.update(model, optimizer, False)
        optimizer.zero_grad()
        keep_loss(total)
        return read

    return step


def flat_step(run: Run, model: Any, optimizer: Any, kind: Any) -> Callable[[Any, int], int]:
    """c: flat, everything else as today."""

    def step(examples: Any, _: int) -> int:
        block = parts.Block(examples.tokens, kind)
        made = block.read(block.fill(examples, model.first_position))
        read = {key: value.to(run.device, non_blocking=True) for key, value in made.items()}
        read["units"] = torch.tensor([len(examples.ids)], device=run.device)
        with torch.autocast(run.device, dtype=torch.bfloat16, enabled=run.device == "cuda"):
            loss = parts.flat_loss(model, read, kind)
        loss.backward()
        parts.update(model, optimizer, False)
        optimizer.zero_grad()
        keep_loss(loss.detach())
        return examples.tokens

    return step


def our_cut() -> Callable[[Any], list[Any]]:
    """As training.py cuts for CUDA; ImportError where xstilts.batches cannot be had."""
    sys.path.insert(0, str(HERE.parents[1] / "src"))
    from xstilts.formats.features import micro_batches

    return lambda examples: list(micro_batches(examples.lengths, 1, 8192, 2048))


def steps(run: Run, task: str) -> None:
    shape, kind = names(run, task)
    model = parts.build(shape, run.device)
    drawn = parts.draw(kind, 12, model.encoder.config.vocab_size)
    timed = partial(timed_steps, run, model, drawn, sizes=sizes(task))
    todays_steps(run, model, kind, drawn, timed)
    free(run)
    parts.own_embeddings(model.encoder)
    parts.set_attention(model, parts.NAME)
    stepper = parts.Stepper(model, kind, run.device)
    ready = pinned(run, model, kind, drawn)
    quiet = quiet_step(run, stepper, ready)
    run.measure("d flat, one pinned block", lambda: timed(step=quiet))
    if run.device == "cuda":
        run.measure("d syncs", partial(find_syncs, run, quiet, drawn[0]))
        run.measure("d deterministic", partial(deterministic, lambda: timed(step=quiet)))
    stepper.fused_clip = True
    run.measure("d + grad_scale", lambda: timed(step=quiet))


def todays_steps(
    run: Run, model: Any, kind: Any, drawn: list[Any], timed: Callable[..., dict[str, Any]]
) -> None:
    """a, b, c: stock embeddings, copies and units as training.py has them."""
    optimizer = parts.adamw(model, run.device, capturable=False)

    def stock(cut: Callable[[], Any]) -> dict[str, Any]:
        parts.set_attention(model, "sdpa")
        return timed(step=stock_step(run, model, optimizer, kind, cut()))

    def flat() -> dict[str, Any]:
        parts.set_attention(model, parts.NAME)
        return timed(step=flat_step(run, model, optimizer, kind))

    run.measure("a padded", partial(stock, lambda: None))
    run.measure("b cut", partial(stock, our_cut))
    run.measure("c flat", flat)
    if run.device == "cuda":
        step = flat_step(run, model, optimizer, kind)
        parts.set_attention(model, parts.NAME)
        run.measure("c syncs", partial(find_syncs, run, step, drawn[0]))
        step = stock_step(run, model, optimizer, kind, None)
        parts.set_attention(model, "sdpa")
        run.measure("a syncs", partial(find_syncs, run, step, drawn[0]))


def quiet_step(run: Run, stepper: Any, ready: list[tuple[Any, int]]) -> Callable[[Any, int], int]:
    """d: one copy, then eager."""

    def step(_: Any, number: int) -> int:
        block, size = ready[number]
        keep_loss(stepper.body(block.to(run.device, non_blocking=True), size))
        return size

    return step


def deterministic(function: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """With torch.use_deterministic_algorithms, without filling empty memory."""
    # Asked for by torch, read when a product runs; cuBLAS itself keeps the workspace it began with.
    os.environ["CUBLAS_WORKSPACE_CONFIG"] = ":4096:8"
    torch.use_deterministic_algorithms(True)
    torch.utils.deterministic.fill_uninitialized_memory = False
    try:
        return function()
    finally:
        torch.use_deterministic_algorithms(False)


def find_syncs(run: Run, step: Callable[[Any, int], int], examples: Any) -> dict[str, Any]:
    """Where a step waits for the GPU: each warning's place; and whether mode "error" passes."""
    step(examples, 0)
    torch.cuda.synchronize()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        torch.cuda.set_sync_debug_mode("warn")
        try:
            step(examples, 0)
        finally:
            torch.cuda.set_sync_debug_mode("default")
    places: dict[str, int] = {}
    for warning in caught:
        if "synchroniz" in str(warning.message):
            place = "/".join([*Path(warning.filename).parts[-2:], str(warning.lineno)])
            places[place] = places.get(place, 0) + 1
    torch.cuda.set_sync_debug_mode("error")
    try:
        step(examples, 0)
        passes: Any = True
    except RuntimeError as error:
        passes = one_line(error)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    torch.cuda.synchronize()
    return {"syncs": sum(places.values()), "places": places, "error_mode_passes": passes}


# --- graphs ------------------------------------------------------------------------------------


def prepared(
    run: Run, task: str, vocabulary: int | None = None, halves: bool = False, **given: Any
) -> tuple[Any, list[Any], list[tuple[Any, int]]]:
    """A stepper on a fresh flat model, the drawn steps, and their blocks."""
    free(run)
    shape, kind = names(run, task)
    vocabulary = 300 if vocabulary and run.tiny else vocabulary
    fused_clip = given.pop("fused_clip", False)
    model = parts.build(shape, run.device, vocabulary=vocabulary, **given)
    parts.own_embeddings(model.encoder)
    parts.set_attention(model, parts.NAME)
    drawn = parts.draw(kind, 12, model.encoder.config.vocab_size)
    leaves = parts.HalfLinears(model) if halves else None
    stepper = parts.Stepper(model, kind, run.device, fused_clip, leaves)
    return stepper, drawn, pinned(run, model, kind, drawn)


def graphed(
    run: Run, stepper: Any, drawn: list[Any], ready: list[tuple[Any, int]], task: str
) -> dict[str, Any]:
    """Capture every bucket, largest first, then replay."""
    if run.device != "cuda":
        return timed_steps(run, stepper.model, drawn, quiet_step(run, stepper, ready), sizes(task))
    seconds = []
    largest = sorted({size: block for block, size in ready}.items(), reverse=True)
    torch.cuda.reset_peak_memory_stats()
    warm_begin = time.perf_counter()
    stepper.warm(largest[0][1].cuda(), largest[0][0])
    torch.cuda.synchronize()
    warm = time.perf_counter() - warm_begin
    for size, block in largest:
        begin = time.perf_counter()
        stepper.capture(block.cuda(), size)
        torch.cuda.synchronize()
        seconds.append(time.perf_counter() - begin)
    peak = torch.cuda.max_memory_allocated() / 1e9  # a replay's activations are in the pool

    def step(_: Any, number: int) -> int:
        keep_loss(stepper.replay(*ready[number]))
        return ready[number][1]

    figures = timed_steps(run, stepper.model, drawn, step, sizes(task))
    figures["peak_gb"] = round(peak, 2)
    figures["reserved_gb"] = round(torch.cuda.memory_reserved() / 1e9, 2)
    return figures | {
        "buckets": [size for size, _ in largest],
        "capture_s": [round(value, 2) for value in seconds],
        "warm_s": round(warm, 2),
    }


def free(run: Run) -> None:
    import gc

    LOSS.clear()
    gc.collect()
    if run.device == "cuda":
        torch.cuda.empty_cache()


def graph_variant(run: Run, task: str, **given: Any) -> dict[str, Any]:
    try:
        return graphed(run, *prepared(run, task, **given), task)
    finally:
        free(run)


def graphs(run: Run, task: str) -> None:
    run.measure("f = eager, 5 steps", partial(graph_is_eager, run, task, False))
    run.measure("f graph", partial(graph_and_profile, run, task))
    if "error" in run.done["f graph"]:  # is it the attention's dropout?
        run.measure(
            "f graph, no attention dropout",
            partial(graph_variant, run, task, attention_dropout=0.0),
        )
    run.measure("f + i grad_scale", partial(graph_variant, run, task, fused_clip=True))
    for rows in (30_000, 60_000) if task == "nli" else (30_000,):
        run.measure(
            f"f + i + h {rows} rows",
            partial(graph_variant, run, task, vocabulary=rows, fused_clip=True),
        )
    run.measure(
        "f + i + h 30000 + j bf16 leaves",
        partial(graph_variant, run, task, vocabulary=30_000, fused_clip=True, halves=True),
    )
    if task == "nli":
        run.measure("optimiser alone", partial(optimiser_alone, run))
    if run.device == "cuda":  # last: what is not deterministic raises, perhaps within a capture
        run.measure(
            "f = eager, 5 steps, deterministic",
            lambda: deterministic(partial(graph_is_eager, run, task, True)),
        )
        run.measure("f deterministic", lambda: deterministic(partial(graph_variant, run, task)))


def graph_is_eager(run: Run, task: str, fused_clip: bool) -> dict[str, Any]:
    """Four layers, 30,000 rows: five reseeded steps eager, and again from the graph; the losses,
    the parameters' distance, and whether a replay without a new seed draws new dropout."""
    given = {"vocabulary": 30_000, "fused_clip": fused_clip}
    layers = {} if run.tiny else {"layers": 4}
    runs = []
    for use_graph in (False, run.device == "cuda"):
        stepper, _, ready = prepared(run, task, **given, **layers)
        losses = []
        if use_graph:
            saved = [value.detach().clone() for value in stepper.model.parameters()]
            stepper.warm(ready[0][0].cuda(), ready[0][1])
            for block, size in ready[:5]:
                if size not in stepper.graphs:
                    stepper.capture(block.cuda(), size)
            restore(stepper, saved)
        for number, (block, size) in enumerate(ready[:5]):
            torch.manual_seed(100 + number)
            if use_graph:
                losses.append(stepper.replay(block, size).clone())
            else:
                losses.append(stepper.body(block.to(run.device), size).clone())
        flat = torch.cat([value.detach().flatten() for value in stepper.model.parameters()])
        runs.append(([float(loss) for loss in losses], flat))
    (eager, wanted), (found, weights) = runs
    figures = {
        "losses": eager,
        "losses_equal": eager == found,
        "loss_apart": max(abs(a - b) for a, b in zip(eager, found, strict=True)),
        "weights_apart": apart(weights, wanted),
        "weights_equal": torch.equal(weights, wanted),
    }
    if run.device == "cuda":
        stepper.optimizer.param_groups[0]["lr"].zero_()  # the weights stay
        stepper.optimizer.param_groups[1]["lr"].zero_()

        def replayed(seed: int | None) -> float:
            if seed is not None:
                torch.manual_seed(seed)
            return float(stepper.replay(*ready[0]))

        one, two, three = replayed(9), replayed(None), replayed(9)
        figures |= {"new_dropout": one != two, "seed_decides": one == three}
    free(run)
    return figures


def restore(stepper: Any, saved: list[Any]) -> None:
    """Weights as before the warm-up; the optimiser's state as before its first step."""
    with torch.no_grad():
        for value, old in zip(stepper.model.parameters(), saved, strict=True):
            value.copy_(old)
        for state in stepper.optimizer.state.values():
            for value in state.values():
                value.zero_()


def graph_and_profile(run: Run, task: str) -> dict[str, Any]:
    stepper, drawn, ready = prepared(run, task)
    figures = graphed(run, stepper, drawn, ready, task)
    try:
        if run.device == "cuda":
            run.measure("f profile", partial(profile, run, lambda: stepper.replay(*ready[0])))
    finally:
        free(run)
    return figures


CLASSES = {
    "attention": ("flash", "fmha"),
    "optimiser": ("multi_tensor", "adam", "foreach"),
    "gemm": ("gemm", "cutlass", "nvjet", "xmma", "cublas", "splitk"),
    "norm": ("layer_norm", "layernorm", "gammabeta"),
    "dropout": ("dropout",),
    "embedding": ("segment_kernel", "embedding", "index"),
    "reduce": ("reduce",),
    "memory": ("memset", "memcpy", "fill"),
    "cast, copy": ("copy",),
    "elementwise": ("elementwise", "triton"),
}


def profile(run: Run, step: Callable[[], Any], times: int = 3) -> dict[str, Any]:
    """Kernel time a step by class, the largest kernels, and their number; `busy` is their sum."""
    from torch.profiler import ProfilerActivity
    from torch.profiler import profile as profiler

    step()
    torch.cuda.synchronize()
    with profiler(activities=[ProfilerActivity.CUDA]) as seen:
        for _ in range(times):
            step()
        torch.cuda.synchronize()
    kernels: dict[str, list[float]] = {}
    for event in seen.events():
        if "cuda" in str(event.device_type).lower():
            length = getattr(event, "self_device_time_total", None) or event.time_range.elapsed_us()
            kernels.setdefault(event.name, []).append(length)
    if not kernels:
        raise RuntimeError("the profiler saw no kernel")
    classes: dict[str, float] = {}
    for name, lengths in kernels.items():
        low = name.lower()
        kind = next(
            (key for key, words in CLASSES.items() if any(word in low for word in words)), "other"
        )
        classes[kind] = classes.get(kind, 0.0) + sum(lengths) / times / 1e3
    busy = sum(classes.values())
    top = sorted(kernels.items(), key=lambda item: -sum(item[1]))[:18]
    return {
        "busy_ms": round(busy, 3),
        "kernels": round(sum(len(each) for each in kernels.values()) / times),
        "ms": {key: round(value, 3) for key, value in sorted(classes.items(), key=lambda i: -i[1])},
        "share": {key: round(value / busy, 3) for key, value in classes.items()},
        "top": [
            [name[:110], round(sum(each) / times / 1e3, 3), round(len(each) / times)]
            for name, each in top
        ],
    }


def optimiser_alone(run: Run) -> dict[str, Any]:
    """clip + AdamW of all 559 M parameters, and with 30,000 rows: ms, and GB/s over the bytes that
    each must move (norm 4, scale 8, AdamW 28 a parameter; with grad_scale 32 and no scale)."""
    figures: dict[str, Any] = {}
    for rows in (None, 30_000):
        model = parts.build(names(run, "nli")[0], run.device, vocabulary=300 if run.tiny else rows)
        optimizer = parts.adamw(model, run.device, capturable=run.device == "cuda")
        for value in model.parameters():
            value.grad = torch.randn_like(value)
        count = sum(value.numel() for value in model.parameters())
        for fused, width in ((False, 40), (True, 36)):
            step = partial(lambda m, o, f, _: parts.update(m, o, f), model, optimizer, fused)
            ms = clock(run, step, 2, 8)["ms"]
            name = f"{rows or 'all'} rows, {'grad_scale' if fused else 'clip'}"
            figures[name] = {"ms": ms, "gb_s": round(width * count / ms / 1e6)}
        del model, optimizer
        free(run)
    return figures


# --- a small model, compilation, overlap, inference --------------------------------------------


def small(run: Run) -> None:
    shape = "tiny-small" if run.tiny else "small"
    kind = parts.KINDS["tiny-nli" if run.tiny else "nli"]
    model = parts.build(shape, run.device)
    drawn = parts.draw(kind, 12, model.encoder.config.vocab_size)
    optimizer = parts.adamw(model, run.device, capturable=False)
    timed = partial(timed_steps, run, model, drawn, sizes=(5, 30))
    run.measure("a padded", lambda: timed(step=stock_step(run, model, optimizer, kind, None)))
    run.measure("b cut", lambda: timed(step=stock_step(run, model, optimizer, kind, our_cut())))

    def flat() -> dict[str, Any]:
        parts.set_attention(model, parts.NAME)
        return timed(step=flat_step(run, model, optimizer, kind))

    run.measure("c flat", flat)
    for vocabulary in (None, 30_000):
        label = "" if vocabulary is None else f" {vocabulary} rows"
        fresh = parts.build(shape, run.device, vocabulary=300 if run.tiny else vocabulary)
        parts.own_embeddings(fresh.encoder)
        parts.set_attention(fresh, parts.NAME)
        given = parts.draw(kind, 12, fresh.encoder.config.vocab_size)
        stepper = parts.Stepper(fresh, kind, run.device, fused_clip=True)
        ready = pinned(run, fresh, kind, given)
        run.measure(
            f"d + i flat, pinned{label}",
            partial(timed_steps, run, fresh, given, quiet_step(run, stepper, ready), (5, 30)),
        )
        run.measure(f"f + i graph{label}", partial(graphed, run, stepper, given, ready, "nli"))
        if run.device == "cuda" and stepper.graphs:
            run.measure(
                f"f + i profile{label}",
                partial(profile, run, partial(stepper.replay, *ready[0])),
            )


def compiled(run: Run) -> None:
    """e and g. cold_s: the first step's seconds with an empty cache, over an eager step."""
    tasks = ("nli", "span")
    for task in tasks:
        for dynamic in (True,):
            run.measure(
                f"e compile, {task}", partial(compile_steps, run, task, dynamic, graph=False)
            )
            run.measure(
                f"g compile + graph, {task}",
                partial(compile_steps, run, task, dynamic, graph=True),
            )


def compile_steps(run: Run, task: str, dynamic: bool, graph: bool) -> dict[str, Any]:
    kept = f"compile {task}"
    if kept not in run.kept:
        run.kept.clear()  # the other task's model
        free(run)
    first = kept not in run.kept
    stepper, drawn, ready = run.keep(kept, partial(prepared, run, task, fused_clip=True))
    figures: dict[str, Any] = {}
    if first:
        for layer in stepper.model.encoder.encoder.layer:
            layer.compile(dynamic=dynamic, backend="aot_eager" if run.tiny else "inductor")
        for label in ("cold_s", "second_s", "third_s"):  # other sizes: does it compile again?
            block, size = ready[("cold_s", "second_s", "third_s").index(label)]
            begin = time.perf_counter()
            keep_loss(stepper.body(block.to(run.device), size))
            sync(run)
            figures[label] = round(time.perf_counter() - begin, 2)
        emit(run.out, run.group, f"compile seconds, {task}", **figures)
    counters = torch._dynamo.utils.counters
    figures |= {
        "unique_graphs": counters["stats"].get("unique_graphs", 0),
        "graph_breaks": len(counters["graph_break"]),
        "recompiles": len(counters.get("recompiles", {})),
    }
    if graph:
        return figures | graphed(run, stepper, drawn, ready, task)
    step = quiet_step(run, stepper, ready)
    return figures | timed_steps(run, stepper.model, drawn, step, sizes(task))


def overlap(run: Run) -> None:
    """Two trainings of one bucket of NLI: ms a step of both together against one after another."""
    if run.device != "cuda":
        run.measure("two streams", lambda: {"skipped": "no CUDA"})
        return
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, str(HERE), "--out", str(run.out), "--pair"]
        children = [subprocess.Popen([*command, f"{folder}/{number}"]) for number in range(2)]
        try:  # they import while the streams are measured, and wait
            run.measure("two streams", partial(two_streams, run))
            free(run)
            run.measure("two processes", partial(two_processes, Path(folder), children))
        finally:
            for child in children:
                child.kill()


def one_bucket(run: Run) -> tuple[Any, Any, int]:
    stepper, _, ready = prepared(run, "nli", fused_clip=True)
    block, size = ready[0]
    stepper.warm(block.cuda(), size)
    stepper.capture(block.cuda(), size)
    return stepper, block, size


def two_streams(run: Run) -> dict[str, Any]:
    """gain: time one after another over time together. Both draw from one generator, so together
    their dropout is not a function of the step; time alone is measured here."""
    pairs = [one_bucket(run) for _ in range(2)]
    streams = [torch.cuda.Stream() for _ in range(2)]
    count = 20

    def go(apart: bool) -> float:
        torch.cuda.synchronize()
        begin = time.perf_counter()
        for _ in range(count):
            for number, (stepper, block, size) in enumerate(pairs):
                with torch.cuda.stream(streams[0 if apart else number]):
                    stepper.replay(block, size)
        torch.cuda.synchronize()
        return 1e3 * (time.perf_counter() - begin) / count / 2

    go(True)
    serial, together = [], []
    for _ in range(3):
        serial.append(go(True))
        together.append(go(False))
    one, two = statistics.median(serial), statistics.median(together)
    return {
        "ms_a_step_serial": round(one, 3),
        "ms_a_step_together": round(two, 3),
        "gain": round(one / two, 3),
        "size": pairs[0][2],
    }


def two_processes(folder: Path, children: list[Any]) -> dict[str, Any]:
    """Each builds and captures, one then runs alone, then both: ms a step of the pair. No MPS."""
    (folder / "begin").touch()
    codes = [child.wait(timeout=30) for child in children]
    if any(codes):
        raise RuntimeError(f"exit {codes}")
    found = [json.loads((folder / f"{number}.json").read_text()) for number in range(2)]
    together = max(each["together_ms"] for each in found) / 2
    return {
        "ms_a_step_alone": found[0]["alone_ms"],
        "ms_a_step_together": round(together, 3),
        "gain": round(found[0]["alone_ms"] / together, 3),
        "each": found,
    }


def pair_process(arguments: argparse.Namespace) -> None:
    """A child of `two_processes`; files in the folder are the barriers."""
    sys.path.insert(0, str(HERE.parent))
    global torch, parts
    import flat_parts as parts
    import torch

    folder, number = Path(arguments.pair).parent, int(Path(arguments.pair).name)

    def wait(name: str) -> None:
        if wait_for(folder / name, 60) >= 60:
            raise TimeoutError(name)

    wait("begin")
    run = Run(arguments, "overlap")
    stepper, block, size = one_bucket(run)

    def go(count: int) -> float:
        torch.cuda.synchronize()
        begin = time.perf_counter()
        for _ in range(count):
            stepper.replay(block, size)
        torch.cuda.synchronize()
        return round(1e3 * (time.perf_counter() - begin) / count, 3)

    go(5)
    (folder / f"ready{number}").touch()
    wait(f"ready{1 - number}")
    alone = go(40) if number == 0 else 0.0
    if number == 0:
        (folder / "both").touch()
    wait("both")
    together = go(60)
    (folder / f"{number}.json").write_text(
        json.dumps({"alone_ms": alone, "together_ms": together, "size": size})
    )


def infer(run: Run) -> None:
    """Real tokens a second of the forward pass, flat; `weights`: fp32 under autocast, or bf16."""
    shape, _ = names(run, "nli")
    model = parts.build(shape, run.device).eval()
    parts.set_attention(model, parts.NAME)
    flop_token = 2 * parts.layer_parameters(model)
    for weights in ("autocast", "bf16"):
        if weights == "bf16":
            model.to(torch.bfloat16 if run.device == "cuda" else torch.float32)
        for task in ("nli", "span"):
            for budget in (16_384, 65_536) if not run.tiny else (128,):
                run.measure(
                    f"{task}, {budget} tokens, {weights}",
                    partial(infer_rate, run, model, (task, budget, flop_token)),
                )


def infer_rate(run: Run, model: Any, what: tuple[str, int, int]) -> dict[str, Any]:
    task, budget, flop_token = what
    kind = names(run, task)[1]
    rows = parts.draw(kind, -(-2 * budget // round(kind.mean * kind.count)), 500)
    ids = [line for examples in rows for line in examples.ids]
    count = 0
    while count < len(ids) and sum(map(len, ids[: count + 1])) <= budget:
        count += 1
    examples = parts.Examples(ids[:count], rows[0].labels[:1].repeat(count, axis=0))
    kind = parts.Kind(kind.name, count, *list(vars(kind).values())[2:])
    block = parts.Block(parts.bucket(examples.tokens), kind)
    read = block.read(block.fill(examples, model.first_position).to(run.device))
    half = run.device == "cuda" and model.pooled[0].weight.dtype == torch.float32

    def step(_: int) -> None:
        with torch.no_grad(), torch.autocast(run.device, dtype=torch.bfloat16, enabled=half):
            parts.flat_hidden(model, read, kind.width)

    figures = clock(run, step, 3, 10)
    return figures | {
        "tokens": examples.tokens,
        "sequences": count,
        "tokens_s": round(1e3 * examples.tokens / figures["ms"]),
        "mfu": round(flop_token * examples.tokens / figures["ms"] * 1e3 / run.rate(), 3),
    }


if __name__ == "__main__":
    main()
