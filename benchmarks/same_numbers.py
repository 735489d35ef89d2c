"""What is equal on every CPU and what is not: the world's phase 1 under other kernels.

    python benchmarks/same_numbers.py
    python benchmarks/same_numbers.py --steps 200

The same training in processes that differ in what torch and MKL choose by the CPU's instructions:
as they choose here, ATen held to AVX2, MKL held to its most compatible kernels, both, and two
threads. Prints digests of data, tokenizer and batches, the first step whose loss is another, and
how far losses and weights are apart at the end. Two minutes on two cores.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

WAYS: dict[str, dict[str, str]] = {
    "as it is here": {},
    "as it is here, again": {},
    "ATEN_CPU_CAPABILITY=avx2": {"ATEN_CPU_CAPABILITY": "avx2"},
    "MKL_CBWR=COMPATIBLE": {"MKL_CBWR": "COMPATIBLE"},
    "both": {"ATEN_CPU_CAPABILITY": "avx2", "MKL_CBWR": "COMPATIBLE"},
    "two threads": {"THREADS": "2"},
}


def train(text: Path, steps: int, out: Path) -> None:
    """One way's training: its digests, losses and weights, written to `out`."""
    import numpy as np
    import torch

    from xstilts.formats.tables import digest
    from xstilts.params import Params
    from xstilts.phases import pretraining
    from xstilts.running.experiments import resolve
    from xstilts.training import loop
    from xstilts.training.context import Context

    params: Params = resolve(Path(__file__).parent.parent / "experiments/world.yaml")
    section = params.pretrain.model_copy(update={"steps": steps})
    threads = {"threads": int(os.environ.get("THREADS", "1")), "device": "cpu"}
    training = params.training.model_copy(update=threads)
    losses: list[float] = []
    batches = hashlib.sha256()

    class Reporter:
        def begin(self, step: int) -> None: ...

        def step(self, step: int, metrics: dict[str, float]) -> None:
            losses.append(metrics["train.loss"])

    real = loop.step_batches

    def noted(*given: Any, **more: Any) -> Any:
        made = real(*given, **more)
        for batch in made:
            for name in sorted(batch):
                batches.update(np.ascontiguousarray(batch[name].numpy()).tobytes())
        return made

    loop.REPORT_EVERY, loop.step_batches = 1, noted
    tables = pretraining.read_texts(text)
    tokenizer = pretraining.train_tokenizer(tables, section)
    pieces = digest(tokenizer.backend_tokenizer.to_str())  # now: its use leaves truncation in it
    with tempfile.TemporaryDirectory() as work:
        context = Context(
            training, tokenizer, Path(work), text.parent / "features", Reporter(),
            section.mask_probability,
        )  # fmt: skip
        model, _ = pretraining.pretrain(section, tables, context)
    torch.save(model.encoder.state_dict(), out.with_suffix(".pt"))
    equal = {
        "data": digest([table.digest for table in tables]),
        "tokenizer": pieces,
        "batches": batches.hexdigest()[:16],
    }
    out.write_text(json.dumps({"equal": equal, "losses": losses}))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--child", nargs=2, type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        train(options.child[0], options.steps, options.child[1])
        return
    import torch

    from xstilts.params import SourceSettings
    from xstilts.sources.prepare import prepare_text

    with tempfile.TemporaryDirectory() as folder:
        text = Path(folder) / "text"
        prepare_text(SourceSettings(), text)
        found: dict[str, dict[str, Any]] = {}
        for number, (way, told) in enumerate(WAYS.items()):
            out = Path(folder) / f"{number}.json"
            command = [sys.executable, __file__, "--steps", str(options.steps)]
            subprocess.run(
                [*command, "--child", str(text), str(out)],
                env={**os.environ, "OMP_NUM_THREADS": "1", **told},
                stderr=subprocess.DEVNULL,
                check=True,
            )
            found[way] = {
                **json.loads(out.read_text()),
                "weights": torch.load(out.with_suffix(".pt")),
            }
    first = found["as it is here"]
    print(f"torch {torch.__version__}, {torch.backends.cpu.get_cpu_capability()}")
    print("way | data, tokenizer, batches | first other loss | loss | weights apart, at most")
    for way, one in found.items():
        others = [name for name, known in first["equal"].items() if one["equal"][name] != known]
        same = f"OTHER {', '.join(others)}" if others else "equal"
        pairs = enumerate(zip(first["losses"], one["losses"], strict=True), start=1)
        other = next((f"step {step}" for step, (a, b) in pairs if a != b), "none")
        weights = zip(first["weights"].values(), one["weights"].values(), strict=True)
        apart = max(float((a - b).abs().max()) for a, b in weights)
        print(f"{way} | {same} | {other} | {one['losses'][-1]:.6f} | {apart:.2g}")


if __name__ == "__main__":
    main()
