"""Sentence mining (BUCC) against the plain matrix product of the same vectors: time and memory.

    python benchmarks/mining.py
    python benchmarks/mining.py --rows 400000 --kinds mining --repeats 1

Both sides have `--rows` made-up vectors, every other one with a noisy copy on the other side. The
product multiplies them block by block and keeps nothing: no mining in blocks can be faster. Each of
the two runs in a process of its own, in turn, `--repeats` times; the fastest counts. Prints JSON:
seconds and peak memory of each, `ratio`, mining's time over the product's, and the same of the
processor's time, which what else the machine does moves less (read it with one thread). 400,000
rows of 1,024 numbers take 3.3 GB for the vectors; docs/results.md says how long that took.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import Any

KINDS = ("product", "mining")
SIDES = ("source", "target")
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=30_000, help="of each side")
    parser.add_argument("--dimension", type=int, default=1024)
    parser.add_argument("--block", type=int, default=4096, help="rows of a side at a time")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=KINDS, help="which to run")
    parser.add_argument("--one", choices=KINDS, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        print(json.dumps(run(arguments.one, arguments.folder, arguments.block)))
        return
    environment = {**os.environ, **dict.fromkeys(THREADS, str(arguments.threads))}
    results: dict[str, list[dict[str, Any]]] = {kind: [] for kind in arguments.kinds}
    with tempfile.TemporaryDirectory() as folder:
        write_vectors(Path(folder), arguments.rows, arguments.dimension)
        for kind in [*arguments.kinds] * arguments.repeats:
            command = [sys.executable, __file__, *sys.argv[1:], "--one", kind, "--folder", folder]
            done = subprocess.run(command, check=True, stdout=subprocess.PIPE, env=environment)
            results[kind].append(json.loads(done.stdout.splitlines()[-1]))
    print(json.dumps(summary(arguments, results), indent=1))


def write_vectors(folder: Path, rows: int, dimension: int, at_once: int = 10_000) -> None:
    """Two files of float32, made by blocks: never in memory as a whole."""
    import numpy as np

    random, shape = np.random.default_rng(1), (rows, dimension)
    sides = [
        np.lib.format.open_memmap(folder / f"{side}.npy", "w+", np.float32, shape) for side in SIDES
    ]
    for start in range(0, rows, at_once):
        size = min(at_once, rows - start)
        source, target = (random.standard_normal((size, dimension), np.float32) for _ in sides)
        target[::2] = 0.5 * target[::2] + source[::2]
        sides[0][start : start + size], sides[1][start : start + size] = source, target


def run(kind: str, folder: Path, block: int) -> dict[str, Any]:
    """One pass over all pairs, in this process."""
    import numpy as np

    source, target = (np.load(folder / f"{side}.npy") for side in SIDES)
    start, processor = time.perf_counter(), time.process_time()
    if kind == "product":
        found = product(source, target, block)
    else:
        from xstilts.tasks.metrics import mining

        texts = [str(number) for number in range(len(source))]
        candidates = mining.mine(
            source, target, texts, texts, search=partial(mining.neighbours_of, block=block)
        )
        right = candidates.sources == candidates.targets
        found = int((right & (candidates.sources % 2 == 0)).sum())
    used = {"seconds": time.perf_counter() - start, "processor": time.process_time() - processor}
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    return {**used, "peak_gib": peak, "found": found}


def product(source: Any, target: Any, block: int) -> int:
    """Every block of source @ target.T, into one buffer; how many products there were."""
    import numpy as np

    buffer = np.empty((block, block), dtype=np.float32)
    for row in range(0, len(source), block):
        left = source[row : row + block]
        for column in range(0, len(target), block):
            right = target[column : column + block]
            np.matmul(left, right.T, out=buffer[: len(left), : len(right)])
    return len(source) * len(target)


def summary(arguments: argparse.Namespace, results: dict[str, list[dict[str, Any]]]) -> Any:
    fastest, processor = (
        {kind: min(one[clock] for one in found) for kind, found in results.items()}
        for clock in ("seconds", "processor")
    )
    shown: dict[str, Any] = {
        "rows": arguments.rows,
        "dimension": arguments.dimension,
        "block": arguments.block,
        "threads": arguments.threads,
    }
    for kind, found in results.items():
        shown[f"{kind}_s"] = round(fastest[kind], 2)
        shown[f"{kind}_peak_gib"] = round(max(one["peak_gib"] for one in found), 2)
    if "mining" in results:
        shown["copies"] = (arguments.rows + 1) // 2
        shown["copies_found"] = results["mining"][0]["found"]
    if set(KINDS) <= set(results):
        shown["ratio"] = round(fastest["mining"] / fastest["product"], 3)
        shown["processor_ratio"] = round(processor["mining"] / processor["product"], 3)
    return shown


if __name__ == "__main__":
    main()
