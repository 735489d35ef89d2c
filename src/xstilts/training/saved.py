"""A trained model with its head as a folder: written by a cell or an export, and read back.

What enters: an encoder with a head, and what must be known to predict with them. What leaves: a
folder with `xstilts.json` (`About`), tokenizer and weights, and the model that it holds. There are
two layouts. own: the encoder, as transformers saves it, in `encoder/`, and the head's weights in
head.safetensors. plain: a model of transformers' own classes, head included, at the folder's top
(leaving/plain.py). No score depends on this module, and `code.EXCEPTIONS` names it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import torch
from pydantic import ConfigDict, TypeAdapter, ValidationError
from safetensors import safe_open
from safetensors.torch import save_file
from torch import nn
from transformers import PretrainedConfig, PreTrainedModel

from xstilts.errors import UserError
from xstilts.formats.cards import first_problem
from xstilts.formats.tables import Record, digest, file_digest, read_output, write_json
from xstilts.params import Target, TrainingSettings
from xstilts.paths import predictions
from xstilts.training import encoder as encoders
from xstilts.training.devices import device_for
from xstilts.training.encoder import EncoderRef, Model, Tokenizer
from xstilts.training.layout import choose
from xstilts.training.task import Task, task

ABOUT, HEAD, ENCODER = "xstilts.json", "head.safetensors", "encoder"


@dataclass(frozen=True)
class About:
    """What a model's folder says of it: xstilts.json."""

    __pydantic_config__ = ConfigDict(extra="forbid")
    cell: str  # INTERMEDIATE/TASK/REPLICATE
    key: str  # the card's
    predictions: str  # digest of the cell's predictions
    encoder: EncoderRef  # that phase 3 began with
    record: Record
    labels: tuple[str, ...]
    section: Target  # of params.yaml, with what a study chose
    training: TrainingSettings
    thresholds: dict[str, float]  # of each language, where something mines
    computed: dict[str, str]  # the card's
    layers: int | None = None  # that a cut encoder has left, without the last one's norm
    layout: Literal["own", "plain"] = "own"
    head: dict[str, str] = field(default_factory=dict)  # plain: our head's modules -> theirs
    format: Literal[1] = 1


_ABOUT = TypeAdapter(About)


def predictions_digest(cell: Path) -> str:
    """Of all predictions that a cell keeps: they say whether a model is the one that made them."""
    folder = predictions(cell)
    return digest([(path.name, file_digest(path)) for path in sorted(folder.glob("*.jsonl"))])


def write_model(folder: Path, model: Model, head: str, tokenizer: Tokenizer, about: About) -> None:
    """Write a model in our own layout. head: the name of its head that is kept."""
    own = model.encoder.config
    if own.num_hidden_layers == 0 or encoders.lacks_last_norm(model.encoder):
        about = replace(about, layers=own.num_hidden_layers)
    try:
        model.encoder.config = _with_a_layer(model.encoder)
        encoders.save(model.encoder, tokenizer, folder / ENCODER)
    finally:
        model.encoder.config = own
    if weights := model.heads[head].state_dict():  # pooling has none
        save_file(
            {name: value.detach().cpu().contiguous() for name, value in weights.items()},
            folder / HEAD,
        )
    write_about(folder, about)


def _with_a_layer(encoder: PreTrainedModel) -> PretrainedConfig:
    """The config; of an encoder without layers with one, as not all classes load without.

    `read_model` drops it.
    """
    config = encoders.config_copy(encoder)
    if config.num_hidden_layers == 0:
        config.num_hidden_layers = 1
        if hasattr(config, "layer_types"):
            config.layer_types = ["full_attention"]
    return config


def write_about(folder: Path, about: About) -> None:
    values = asdict(about)
    values["section"] = about.section.model_dump(mode="json")
    values["training"] = about.training.model_dump(mode="json")
    write_json(folder / ABOUT, values)


def read_about(folder: Path) -> About:
    """What a folder's xstilts.json says; UserError where it is missing or of another version."""
    path = folder / ABOUT
    text = read_output(path)
    try:
        return _ABOUT.validate_json(text)
    except ValidationError as errors:
        raise UserError(
            f"{path}: not a model's description: {first_problem(errors)}; expected what this "
            "version of `xstilts export` writes; export it again"
        ) from None


@dataclass(frozen=True)
class Saved:
    """A model that was read back, ready to predict."""

    about: About
    model: Model
    task: Task
    tokenizer: Tokenizer


def read_model(folder: Path, training: TrainingSettings | None = None) -> Saved:
    """The model of a folder, on its device. training: in the place of the settings of its cell."""
    about = read_about(folder)
    place = folder / ENCODER if about.layout == "own" else folder
    if not (place / "config.json").is_file():
        raise UserError(
            f"{place / 'config.json'}: no such file; expected a model's folder, whole; export it "
            "again"
        )
    ref = EncoderRef(about.encoder.name, str(place), None, "")
    tokenizer, encoder = encoders.load_tokenizer(ref), encoders.load_encoder(ref)
    if about.layers is not None:
        encoders.drop_top(encoder, about.layers)
        encoders.drop_last_norm(encoder)
    chosen = task(about.record, about.section, about.labels)
    head = chosen.family.head(encoders.config_copy(encoder), chosen.settings)
    _fill(head, folder, about)
    training = training or about.training
    model = Model(encoder, {chosen.head: head}).to(device_for(training))
    return Saved(about, choose(model, training).eval(), chosen, tokenizer)


def _fill(head: nn.Module, folder: Path, about: About) -> None:
    """Load a head's weights from its file, or by their other names from transformers' own."""
    wanted = {name: _theirs(name, about.head) for name in head.state_dict()}
    files = [folder / HEAD] if about.layout == "own" else sorted(folder.glob("*.safetensors"))
    found = dict(_tensors(files if wanted else [], set(wanted.values())))
    if lacking := set(wanted.values()) - found.keys():
        raise UserError(
            f"{folder}: no weights of {', '.join(sorted(lacking))}; expected a model's folder, "
            "whole; export it again"
        )
    head.load_state_dict({ours: found[theirs] for ours, theirs in wanted.items()})


def _theirs(name: str, head: dict[str, str]) -> str:
    """The name of a weight of ours in a model of transformers' own; the same where none is said."""
    module, _, weight = name.rpartition(".")
    return f"{head[module]}.{weight}" if module in head else name


def _tensors(files: Iterable[Path], names: set[str]) -> Iterable[tuple[str, torch.Tensor]]:
    for path in files:
        if not path.is_file():
            continue
        opened: Any = safe_open(path, framework="pt")
        with opened as file:
            for name in names & set(file.keys()):
                yield name, file.get_tensor(name)
