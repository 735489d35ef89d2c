"""How a step's tokens lie: as params say, the machine has, and the encoder can."""

from __future__ import annotations

from xstilts.errors import UserError
from xstilts.params import TrainingSettings
from xstilts.training import flat
from xstilts.training.devices import autocast_for, device_for
from xstilts.training.embeddings import own_gradients
from xstilts.training.encoder import Model


def facts(model: Model, training: TrainingSettings) -> dict[str, str]:
    """What a card says of how a model was trained and predicts."""
    precision = "bf16" if autocast_for(training) else "fp32"
    return {"device": device_for(training), "precision": precision, "layout": model.layout}


def choose(model: Model, training: TrainingSettings) -> Model:
    """The model, on its device, with its layout chosen and its encoder made ready for it.

    Raises UserError where params name a layout that cannot be had; `auto` then takes the next.
    """
    cuda, asked = device_for(training) == "cuda", training.layout
    if asked == "graphs" and not cuda:
        raise UserError(
            "params.yaml: training.layout: graphs, but no GPU is used; set it to auto, flat or "
            "padded"
        )
    by_itself = cuda and autocast_for(training)  # where benchmarks/gpu.py found it faster
    if asked == "padded" or (asked == "auto" and not by_itself):
        return model
    reason = flat.refusal(model.encoder)
    if not reason:
        # Off a GPU torch's own gradients wait for nothing.
        unknown = own_gradients(model.encoder) if cuda else ""
        model.reading = flat.flat_input_of(model.encoder, own=cuda and not unknown)
        graphs = asked != "flat" and cuda and not unknown
        model.layout = "graphs" if graphs else "flat"
        reason = unknown if asked == "graphs" else ""
    if reason and asked != "auto":
        raise UserError(
            f"params.yaml: training.layout: {asked}: {model.encoder.config.model_type}: {reason}; "
            "set it to auto or padded"
        )
    return model
