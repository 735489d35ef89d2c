"""Device and precision, as params say and the machine has."""

from __future__ import annotations

import torch
from accelerate import Accelerator, DistributedDataParallelKwargs

from xstilts.errors import UserError
from xstilts.params import TrainingSettings


def accelerator_for(settings: TrainingSettings) -> Accelerator:
    """Device and precision as params say; a GPU that is asked for and missing is an error."""
    device = device_for(settings)
    torch.set_num_threads(settings.threads)
    # cuDNN's attention makes a plan for every new shape, and ours are nearly all new: on an H200 a
    # step of spans took 301 ms with it and 154 without (docs/results.md, "On a GPU").
    torch.backends.cuda.enable_cudnn_sdp(False)
    unused = DistributedDataParallelKwargs(
        find_unused_parameters=True
    )  # a step trains one head of several
    return Accelerator(
        cpu=device == "cpu",
        mixed_precision="bf16" if autocast_for(settings) else "no",
        kwargs_handlers=[unused],
    )


def device_for(settings: TrainingSettings) -> str:
    if settings.device == "cuda" and not torch.cuda.is_available():
        raise UserError(
            "params.yaml: training.device: cuda, but no GPU answers; set it to auto or cpu"
        )
    return "cpu" if settings.device == "cpu" or not torch.cuda.is_available() else "cuda"


def autocast_for(settings: TrainingSettings) -> bool:
    """bf16 autocast: where params ask for it, and by default on GPUs that compute in it."""
    if settings.precision == "auto":
        return device_for(settings) == "cuda" and torch.cuda.is_bf16_supported()
    return settings.precision == "bf16"
