"""Parts of gpu.py that need no model: the card's own limits, and sentence mining.

Rates are medians over repeats, timed by events on the device, on random data, after a warm-up.
"""

from __future__ import annotations

import math
import os
import shutil
import statistics
import subprocess
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import torch
from gpu import Cases, Context, Figures

GIB = 2**30
SHAPES = ((1024, 4096), (4096, 1024), (1024, 1024))  # of XLM-R Large's linear layers
ROWS = (1376, 6240)  # pieces of a step of 32: NLI's 43 each, spans' 195


def device() -> torch.device:
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def synchronize() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def seconds(work: Callable[[], object], repeats: int = 20, warmup: int = 5) -> float:
    """Median time of one call."""
    for _ in range(warmup):
        work()
    synchronize()
    times = []
    for _ in range(repeats):
        if torch.cuda.is_available():
            begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
            begin.record()
            work()
            end.record()
            end.synchronize()
            times.append(begin.elapsed_time(end) / 1000)
        else:
            start = time.perf_counter()
            work()
            times.append(time.perf_counter() - start)
    return statistics.median(times)


def gemm_rate(rows: int, inner: int, columns: int, dtype: torch.dtype) -> float:
    """TFLOP/s of (rows, inner) @ (inner, columns); the matrices rotate, so that none is read from
    the cache where they are small."""
    sets = max(2, min(16, 2**27 // (inner * columns * 2)))
    make = {"device": device(), "dtype": dtype}
    pairs = [(torch.randn(rows, inner, **make), torch.randn(inner, columns, **make))  # type: ignore[arg-type]
             for _ in range(sets)]  # fmt: skip
    number = [0]

    def multiply() -> torch.Tensor:
        number[0] = (number[0] + 1) % sets
        return pairs[number[0]][0] @ pairs[number[0]][1]

    return 2 * rows * inner * columns / seconds(multiply) / 1e12


def peak_rate(tiny: bool) -> float:
    """TFLOP/s in bf16 of 8192^3 (256^3): what MFU is measured against."""
    size = 256 if tiny else 8192
    return gemm_rate(size, size, size, torch.bfloat16)


def card(context: Context) -> Cases:
    size, peak = (256 if context.tiny else 8192), [0.0]

    def large(dtype: torch.dtype, precision: str) -> Figures:
        torch.set_float32_matmul_precision(precision)
        rate = gemm_rate(size, size, size, dtype)
        torch.set_float32_matmul_precision("highest")
        peak[0] = rate if dtype == torch.bfloat16 else peak[0]
        return {"tflops": rate}

    def linear(rows: int, inner: int, columns: int) -> Figures:
        rate = gemm_rate(rows, inner, columns, torch.bfloat16)
        return {"tflops": rate, "of_large": rate / peak[0]} if peak[0] else {"tflops": rate}

    yield "machine", _machine
    yield "copy", lambda: _copy(2**24 if context.tiny else 4 * GIB)
    yield f"bf16 {size}^3", lambda: large(torch.bfloat16, "highest")
    yield f"fp32 {size}^3", lambda: large(torch.float32, "highest")
    yield f"tf32 {size}^3", lambda: large(torch.float32, "high")
    for rows in (64,) if context.tiny else ROWS:
        for inner, columns in ((64, 256), (256, 64)) if context.tiny else SHAPES:
            yield f"bf16 {rows} x {inner} -> {columns}", lambda r=rows, i=inner, c=columns: linear(r, i, c)  # fmt: skip  # noqa: E501


def _machine() -> Figures:
    import accelerate
    import transformers

    found: Figures = {
        "torch": torch.__version__,
        "transformers": transformers.__version__,
        "accelerate": accelerate.__version__,
        "cores": os.cpu_count() or 0,
    }
    if torch.cuda.is_available():
        properties = torch.cuda.get_device_properties(0)
        found |= {"card": properties.name, "gib": properties.total_memory / GIB}
        if shutil.which("nvidia-smi"):
            query = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
            told = subprocess.run(query, capture_output=True, text=True, check=False)
            found["driver"] = told.stdout.strip()
    return found


def _copy(size: int) -> Figures:
    """Bytes read and bytes written."""
    source = torch.empty(size, dtype=torch.uint8, device=device()).random_()
    target = torch.empty_like(source)
    return {"gb_per_s": 2 * size / seconds(lambda: target.copy_(source)) / 1e9}


def mining(context: Context) -> Cases:
    """BUCC's rule on the processor and here, the same pairs; many rows; and a bound: products and
    each side's four best, block by block, without margins or picking."""
    rows, many, dimension = (500, 900, 64) if context.tiny else (30_000, 200_000, 1024)
    yield f"mine {rows} x {rows}, both ways", lambda: _both_ways(rows, dimension)
    yield f"mine {many} x {many}", lambda: _mined(many, dimension)[1]
    dimension, block = (64, 128) if context.tiny else (1024, 4096)
    for size, blocks in ((500, 4), (1000, 2)) if context.tiny else ((100_000, 25), (400_000, 6)):
        for name, precision in (("fp32", "highest"), ("tf32", "high")):
            yield f"product and top 4, {size} x {size}, {name}", lambda s=size, b=blocks, p=precision: _product(s, dimension, block, b, p)  # fmt: skip  # noqa: E501


def _both_ways(rows: int, dimension: int) -> Figures:
    from xstilts.tasks.metrics.mining import neighbours_of

    (ours, first), (theirs, other) = _mined(rows, dimension, neighbours_of), _mined(rows, dimension)
    same = len(ours.sources) == len(theirs.sources)
    pairs = [set(zip(c.sources.tolist(), c.targets.tolist(), strict=True)) for c in (ours, theirs)]
    return {
        "processor_s": first["seconds"],
        "seconds": other["seconds"],
        "pairs": len(ours.sources),
        "pairs_not_in_both": len(pairs[0] ^ pairs[1]),
        "scores_apart": float(abs(ours.scores - theirs.scores).max()) if same else math.nan,
    }


def _mined(rows: int, dimension: int, search: Any = None) -> tuple[Any, Figures]:
    """What was mined, and how long it took. search: none: by torch, on the device."""
    from xstilts.tasks.metrics import mining
    from xstilts.tasks.metrics.mining_gpu import neighbours_on

    random, shape = np.random.default_rng(1), (rows, dimension)
    source, target = (random.standard_normal(shape, np.float32) for _ in range(2))
    target[::2] = 0.5 * target[::2] + source[::2]
    texts = [str(number) for number in range(rows)]
    torch.mm(*torch.zeros(2, 8, 8, device=device()))  # cuBLAS is loaded
    start = time.perf_counter()
    found = mining.mine(source, target, texts, texts, search=search or partial(neighbours_on, device()))  # fmt: skip  # noqa: E501
    used = time.perf_counter() - start
    right = (found.sources == found.targets) & (found.sources % 2 == 0)
    return found, {"seconds": used, "tflops": 2 * rows**2 * dimension / used / 1e12,
                   "copies_found_share": float(right.sum()) / ((rows + 1) // 2)}  # fmt: skip


def _product(rows: int, dimension: int, block: int, blocks: int, precision: str) -> Figures:
    """`blocks` strips of `block` rows against all; seconds for all strips by their share."""
    torch.set_float32_matmul_precision(precision)
    left, right = (
        torch.nn.functional.normalize(torch.randn(rows, dimension, device=device()))
        for _ in range(2)
    )
    strips = [left[at : at + block] for at in range(0, rows, block)]
    timed = strips[:blocks]

    def run(kinds: str) -> float:
        def work() -> Any:
            for strip in timed:
                scores = strip @ right.T
                if "rows" in kinds:
                    scores.topk(4, dim=1)
                if "columns" in kinds:
                    scores.topk(4, dim=0)

        return seconds(work, repeats=1, warmup=1) * rows / sum(len(strip) for strip in timed)

    product, one, both = run(""), run("rows"), run("rows columns")
    torch.set_float32_matmul_precision("highest")
    return {"product_s": product, "with_rows_best_s": one, "seconds": both,
            "tflops": 2 * rows**2 * dimension / product / 1e12,
            "timed_share": sum(map(len, timed)) / rows}  # fmt: skip
