"""The device and the precision that a training computes with."""

from __future__ import annotations

import torch
from accelerate import Accelerator, DistributedDataParallelKwargs

from xstilts.errors import UserError
from xstilts.params import TrainingSettings


def accelerator_for(training: TrainingSettings) -> Accelerator:
    """An accelerator with params' device and precision; a GPU that is missing is an error."""
    device = device_for(training)
    torch.set_num_threads(training.threads)
    # cuDNN's attention makes a plan for every new shape, and ours are nearly all new: on an H200 a
    # step of spans took 301 ms with it and 154 without (docs/results.md, "On a GPU").
    torch.backends.cuda.enable_cudnn_sdp(False)
    unused = DistributedDataParallelKwargs(
        find_unused_parameters=True
    )  # a step trains one head of several
    return Accelerator(
        cpu=device == "cpu",
        mixed_precision="bf16" if autocast_for(training) else "no",
        kwargs_handlers=[unused],
    )


def device_for(training: TrainingSettings) -> str:
    """cpu or cuda; UserError where params ask for a GPU and there is none."""
    if training.device == "cuda" and not torch.cuda.is_available():
        raise UserError(
            "params.yaml: training.device: cuda, but no GPU answers; set it to auto or cpu"
        )
    return "cpu" if training.device == "cpu" or not torch.cuda.is_available() else "cuda"


def autocast_for(training: TrainingSettings) -> bool:
    """Whether bf16 autocast is on: where params ask for it, by default on GPUs that have it."""
    if training.precision == "auto":
        return device_for(training) == "cuda" and torch.cuda.is_bf16_supported()
    return training.precision == "bf16"
