"""AdamW, or for phase 1 Muon: their parameter groups and each group's learning rate."""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import nn

from xstilts.params import TrainingSettings
from xstilts.training.muon import Muon

OptimizerName = Literal["adamw", "muon"]
# Of the learning rate, for Muon's matrices: measured on the world's encoder, 3 x 64.
MUON_SCALE = 3.0


def optimizers_for(
    model: nn.Module, name: OptimizerName, training: TrainingSettings
) -> list[torch.optim.Optimizer]:
    """The optimisers of a model's parameters: AdamW alone, or Muon for the layers' matrices too.

    The caller sets each group's learning rate at every step: the schedule's times `scale`.
    """
    named = [(key, value) for key, value in model.named_parameters() if value.requires_grad]
    matrices = [] if name == "adamw" else [(k, p) for k, p in named if _is_matrix(k, p)]
    chosen = {key for key, _ in matrices}
    rest = [(key, value) for key, value in named if key not in chosen]
    optimizers: list[torch.optim.Optimizer] = [
        torch.optim.AdamW(_groups(rest, training), eps=training.adam_epsilon, fused=True)
    ]
    if matrices:
        group = {"params": [value for _, value in matrices], "scale": MUON_SCALE}
        optimizers.append(Muon([group], training.weight_decay))
    return optimizers


def set_learning_rate(optimizers: list[torch.optim.Optimizer], rate: float) -> None:
    """Set every group's learning rate to `rate` times the group's scale."""
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            if isinstance(group["lr"], torch.Tensor):
                group["lr"].fill_(rate * group["scale"])  # where a CUDA graph reads it
            else:
                group["lr"] = rate * group["scale"]


def set_recordable(optimizers: list[torch.optim.Optimizer], device: torch.device | None) -> None:
    """Whether steps may be recorded in a CUDA graph: learning rates then live on its device.

    To call after a checkpoint was read, which may have been written by the other kind of training.
    """
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            if "capturable" in group:  # AdamW's; Muon has none
                group["capturable"] = device is not None
                group["lr"] = 0.0 if device is None else torch.zeros((), device=device)
        inner: Any = getattr(optimizer, "optimizer", optimizer)  # accelerate's wrapper has one
        # Steps beside the graphs are meant: torch would warn of each such optimiser.
        inner._warned_capturable_if_run_uncaptured = True


def _groups(named: list[tuple[str, nn.Parameter]], training: TrainingSettings) -> list[Any]:
    """Two groups: biases and norm weights do not decay (Devlin et al. 2019)."""
    plain = [p for key, p in named if _decays(key)]
    rest = [p for key, p in named if not _decays(key)]
    return [
        {"params": plain, "weight_decay": training.weight_decay, "scale": 1.0},
        {"params": rest, "weight_decay": 0.0, "scale": 1.0},
    ]


def _decays(name: str) -> bool:
    return not (name.endswith("bias") or "norm" in name.lower())


def _is_matrix(name: str, parameter: nn.Parameter) -> bool:
    """Whether it is a layer's matrix: Muon takes no embeddings and no output layer tied to them."""
    return parameter.ndim == 2 and "embed" not in name and "decoder" not in name
