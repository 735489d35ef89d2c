"""Muon in float32, for phase 1: torch.optim.Muon's update without its bfloat16.

torch's own turns gradients into bfloat16, which many CPUs emulate: ten times the time of float32
(docs/results.md). Matrices of one shape are multiplied together.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import Any

import torch
from torch import nn

MOMENTUM = 0.95
STEPS = 5
# Jordan et al. 2024: of x -> a x + b x^3 + c x^5, steep at 0, near 1 after five times.
COEFFICIENTS = (3.4445, -4.7750, 2.0315)


class Muon(torch.optim.Optimizer):
    """A matrix moves by its momentum with all singular values near 1 (Jordan et al. 2024).

    The move's size is AdamW's, 0.2 sqrt(larger side) (Liu et al. 2025), so one learning rate serves
    both; decay is decoupled. Every parameter of `groups` has two axes and a gradient at each step.
    """

    def __init__(self, groups: Iterable[dict[str, Any]], weight_decay: float) -> None:
        super().__init__(groups, {"lr": 0.0, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        for group in self.param_groups:
            alike = defaultdict[torch.Size, list[nn.Parameter]](list)
            for parameter in group["params"]:
                alike[parameter.shape].append(parameter)
            for (rows, columns), parameters in alike.items():
                updates = near_orthogonal(torch.stack([self._momentum(p) for p in parameters]))
                size = group["lr"] * 0.2 * max(rows, columns) ** 0.5
                for parameter, update in zip(parameters, updates, strict=True):
                    parameter.mul_(1 - group["lr"] * group["weight_decay"])
                    parameter.add_(update, alpha=-size)

    def _momentum(self, parameter: nn.Parameter) -> torch.Tensor:
        """Nesterov's: the gradient, and what it adds to the mean of those before."""
        state, gradient = self.state[parameter], parameter.grad
        assert gradient is not None
        if not state:
            state["momentum_buffer"] = torch.zeros_like(gradient)
        state["momentum_buffer"].lerp_(gradient, 1 - MOMENTUM)
        return torch.lerp(gradient, state["momentum_buffer"], MOMENTUM)


def near_orthogonal(matrices: torch.Tensor) -> torch.Tensor:
    """(matrices, rows, columns) -> the same shape: all singular values between 0.5 and 1.5."""
    a, b, c = COEFFICIENTS
    tall = matrices.shape[1] > matrices.shape[2]
    x: torch.Tensor = matrices.mT if tall else matrices
    x = x / x.norm(dim=(1, 2), keepdim=True).clamp(min=1e-7)
    for _ in range(STEPS):
        gram = x @ x.mT
        x = a * x + (b * gram + c * gram @ gram) @ x
    return x.mT if tall else x
