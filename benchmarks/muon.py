"""A step of Muon on the world's encoder, in milliseconds: ours in float32, torch's in bfloat16.

python benchmarks/muon.py
"""

from __future__ import annotations

import time

import torch
from torch import nn

from xstilts.training.muon import Muon

SHAPES = [(192, 64)] * 3 + [(64, 64)] * 4 + [(256, 64)] * 3 + [(64, 128)] * 3
STEPS = 50


def main() -> None:
    torch.set_num_threads(1)
    for name in ("ours", "torch"):
        weights = [nn.Parameter(torch.randn(shape)) for shape in SHAPES]
        for weight in weights:
            weight.grad = torch.randn_like(weight)
        made = Muon([{"params": weights}], 0.01) if name == "ours" else torch.optim.Muon(weights)
        made.step()
        start = time.process_time()
        for _ in range(STEPS):
            made.step()
        print(f"{name}: {1000 * (time.process_time() - start) / STEPS:.1f} ms")


if __name__ == "__main__":
    main()
