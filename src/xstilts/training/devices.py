"""The device and the precision that a training computes with."""

from __future__ import annotations

import torch
from accelerate import Accelerator, DistributedDataParallelKwargs

from xstilts.console import note
from xstilts.errors import UserError
from xstilts.params import TrainingSettings


def accelerator_for(training: TrainingSettings) -> Accelerator:
    """An accelerator with params' device and precision; a GPU that is missing is an error."""
    device = device_for(training)
    if device == "cpu" and training.precision == "bf16" and not cpu_has_bf16():
        note(
            "training.precision: bf16, and this CPU computes no bf16 (avx512_bf16 or amx_bf16): "
            "each step takes many times as long as with fp32"
        )
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


def cpu_has_bf16() -> bool:
    """Whether the CPU has instructions for bf16 products; without them autocast is slow.

    True where an older torch cannot say.
    """
    if not hasattr(torch.cpu, "get_capabilities"):
        return True
    has = torch.cpu.get_capabilities()
    return bool(has.get("avx512_bf16") or has.get("amx_bf16") or has.get("bf16"))


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
