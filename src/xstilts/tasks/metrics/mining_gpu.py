"""Each row's nearest partners as `mining.neighbours_of` finds them, by torch: BUCC on a GPU.

One side lies whole on the device (400,000 x 1,024 numbers: 1.6 GB), of the other a strip. Products
are fp32 (never TF32), summed in another order than the processor's, so that cosines may differ in
their last bits. What may be among the best comes back; the comparing is the processor's own.
"""

from __future__ import annotations

import numpy as np
import torch

from xstilts.tasks.metrics.mining import Indices, Nearest, Offers, SideVectors

STRIP, WIDTH = 8192, 16384  # rows of a product and its columns: 0.5 GB


def neighbours_on(
    device: torch.device,
    x: SideVectors,
    y: SideVectors,
    neighbours: int,
    shape: tuple[int, int] = (STRIP, WIDTH),
) -> tuple[Nearest, Nearest]:
    """The nearest targets of every source and the reverse. shape: of a product at a time."""
    forward = Nearest(len(x), min(neighbours, len(y)))
    backward = Nearest(len(y), min(neighbours, len(x)))
    height, width = shape
    before = torch.backends.cuda.matmul.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = False
    try:
        blocks = range(0, len(y), width)
        others = [torch.from_numpy(y.block(column, width)).to(device) for column in blocks]
        for first in range(0, len(x), height):
            strip = torch.from_numpy(x.block(first, height)).to(device)
            for column, other in zip(blocks, others, strict=True):
                cosines, place = strip @ other.T, (first, column)
                for nearest, axis in ((forward, 1), (backward, 0)):
                    nearest.offer(*_promising(cosines, nearest, place, axis))
    finally:
        torch.backends.cuda.matmul.allow_tf32 = before
    return forward, backward


def _promising(
    cosines: torch.Tensor, nearest: Nearest, place: tuple[int, int], axis: int
) -> Offers:
    """As `mining._promising`: what may enter the k best along `axis`, by owner and partner."""
    width, start = nearest.scores.shape[1], place[1 - axis]
    worst = nearest.scores[start : start + cosines.shape[1 - axis], -1].copy()
    floor = torch.from_numpy(worst).to(cosines.device)
    if cosines.shape[axis] > width and np.isneginf(worst).any():
        parts = cosines.tensor_split(min(8 * width, cosines.shape[axis]), dim=axis)
        peaks = torch.stack([part.amax(dim=axis) for part in parts], dim=axis)
        bound = peaks.topk(width, dim=axis).values.select(axis, width - 1)
        floor = torch.maximum(floor, torch.nextafter(bound, torch.full_like(bound, -torch.inf)))
    found = torch.nonzero(cosines > floor.unsqueeze(axis), as_tuple=True)
    values = cosines[found].cpu().numpy()
    pair: list[Indices] = [found[side].cpu().numpy() + place[side] for side in (1 - axis, axis)]
    return pair[0], pair[1], values
