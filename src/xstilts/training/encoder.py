"""Encoders: loaded, saved, cut off above a layer, and with heads on them.

What enters: `encoder.json` of a phase's folder, which says where the encoder is: {"name",
"location", "revision", "digest"}; location is a Hub id, or a folder relative to the repository, so
that no weights are copied for a baseline. What leaves: a model and its tokenizer.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal, cast

import torch
import transformers
from torch import nn
from transformers import (
    AutoConfig,
    AutoModel,
    AutoModelForCausalLM,
    AutoModelForMaskedLM,
    AutoTokenizer,
    PretrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)

from xstilts.errors import UserError
from xstilts.formats.features import Batch
from xstilts.formats.tables import read_json, write_json
from xstilts.tasks.families.protocol import Tokens
from xstilts.training import decoders, embeddings, flat

transformers.logging.set_verbosity_error()  # type: ignore[no-untyped-call]  # else each load prints a table of unused weights
transformers.utils.logging.disable_progress_bar()  # type: ignore[no-untyped-call]

Tokenizer = PreTrainedTokenizerBase
RESTARTS = "positions_restart_at_pair"  # in the config of an encoder pretrained here
ENCODER_INPUTS = ("input_ids", "attention_mask", "token_type_ids")
LAST_NORMS = ("final_norm", "norm")  # ModernBERT, decoders: only their last state is normed


@dataclass(frozen=True)
class EncoderRef:
    """Where an encoder is, and which weights it has."""

    name: str  # as params give it, or the shape of one pretrained here
    location: str
    revision: str | None
    digest: str  # of the weights (a folder) or the resolved revision (the Hub)


def read_ref(folder: Path) -> EncoderRef:
    return EncoderRef(**read_json(folder / "encoder.json"))


def write_ref(folder: Path, ref: EncoderRef) -> None:
    write_json(folder / "encoder.json", asdict(ref))


def load_tokenizer(ref: EncoderRef) -> Tokenizer:
    """The encoder's own fast tokenizer, which ends its texts; UserError where there is none."""
    try:
        tokenizer: Tokenizer = AutoTokenizer.from_pretrained(ref.location, revision=ref.revision)
    except (OSError, ValueError) as error:
        raise _unavailable(ref, error) from None
    if not tokenizer.is_fast:
        raise UserError(
            f"{ref.location}: its tokenizer is not a fast one, which spans need; "
            "choose another encoder"
        )
    if tokenizer.pad_token_id is None:  # decoders: padding is masked, so any piece will do
        tokenizer.pad_token = tokenizer.eos_token
    return decoders.with_end(tokenizer, ref.location)


def load_encoder(ref: EncoderRef, layers: int | None = None) -> PreTrainedModel:
    """The bare encoder in fp32. layers: cut off above this hidden state (0: the embeddings)."""
    try:
        encoder: PreTrainedModel = AutoModel.from_pretrained(
            ref.location, revision=ref.revision, dtype=torch.float32
        )
    except (OSError, ValueError) as error:
        raise _unavailable(ref, error) from None
    return prepare(encoder) if layers is None else truncate(prepare(encoder), layers)


def _unavailable(ref: EncoderRef, error: Exception) -> UserError:
    return UserError(
        f"pretrain.encoder: {ref.location}: cannot be loaded: {str(error).splitlines()[0]}; "
        "expected a Hub id that can be reached, or a folder with config.json and weights; correct "
        "params.yaml"
    )


def prepare(encoder: PreTrainedModel) -> PreTrainedModel:
    """The encoder without its pooler, which no head reads and AdamW would let drift; marked."""
    if getattr(encoder, "pooler", None) is not None:
        encoder.pooler = None  # type: ignore[assignment]
    return decoders.mark(encoder)


def truncate(encoder: PreTrainedModel, layers: int) -> PreTrainedModel:
    """The encoder cut so that hidden_states[layers] is its last; UserError where it has fewer."""
    stack = encoder.get_submodule(_stack_name(encoder))
    assert isinstance(stack, nn.ModuleList)
    if layers > len(stack):
        raise UserError(
            f"params.yaml: targets.*.layer: {layers}; expected 0 to {len(stack)}, the encoder's "
            "layers; correct it"
        )
    if layers < len(stack):
        drop_top(encoder, layers)
        drop_last_norm(encoder)
    return encoder


def drop_last_norm(encoder: PreTrainedModel) -> None:
    """Leave out the norm after the last layer, which no state below had."""
    for name in LAST_NORMS:
        if isinstance(getattr(encoder, name, None), nn.Module):
            setattr(encoder, name, nn.Identity())


def lacks_last_norm(encoder: PreTrainedModel) -> bool:
    """Whether `drop_last_norm` has left one out; a config does not say so."""
    return any(isinstance(getattr(encoder, name, None), nn.Identity) for name in LAST_NORMS)


def check_length(encoder: PreTrainedModel, length: int) -> None:
    """UserError where a sequence of so many pieces is longer than the encoder's positions go."""
    config = encoder.config
    places = getattr(config, "max_position_embeddings", None)
    if places is None or not getattr(config, "position_biased_input", True):
        return  # distances alone, as DeBERTa's: any length
    if "roberta" in config.model_type:  # counts from its padding piece + 1
        places -= config.pad_token_id + 1
    if length > places:
        raise UserError(
            f"params.yaml: max_length: {length}; expected at most {places}, which is as far as the "
            "encoder's positions go; lower it"
        )


def drop_top(encoder: PreTrainedModel, layers: int) -> None:
    """Delete the layers above `layers`, in the config too, so that it saves as a smaller encoder.

    The upper ones of a small encoder choose the language in which a masked word is written; what
    reads their states learns a task in that language alone (docs/results.md).
    """
    stack = encoder.get_submodule(_stack_name(encoder))
    assert isinstance(stack, nn.ModuleList)
    del stack[layers:]
    encoder.config.num_hidden_layers = layers
    if kinds := getattr(encoder.config, "layer_types", None):
        encoder.config.layer_types = kinds[:layers]


def _stack_name(encoder: PreTrainedModel) -> str:
    """The name of the module that holds the layers: the ModuleList as long as the config says."""
    name: str
    wanted = encoder.config.num_hidden_layers
    for name, module in encoder.named_modules():
        if isinstance(module, nn.ModuleList) and len(module) == wanted:
            return name
    raise UserError(
        f"{type(encoder).__name__}: no list of {wanted} layers found; choose another encoder"
    )


def save(encoder: PreTrainedModel, tokenizer: Tokenizer, folder: Path) -> None:
    """Save weights, config and tokenizer as any transformers program loads them."""
    encoder.save_pretrained(folder)
    save_tokenizer(tokenizer, folder)


def save_tokenizer(tokenizer: Tokenizer, folder: Path) -> None:
    """Save a tokenizer alone, as one that was never called."""
    # How it was last called would be saved too, and differs where features came from the cache.
    tokenizer.backend_tokenizer.no_truncation()
    tokenizer.backend_tokenizer.no_padding()
    tokenizer.save_pretrained(folder)


def special_tokens(tokenizer: Tokenizer, mask_probability: float = 0.15) -> Tokens:
    """The tokenizer's ids that padding and masking need."""
    return Tokens(
        pad=tokenizer.pad_token_id,
        mask=tokenizer.mask_token_id,
        special=tuple(sorted(tokenizer.all_special_ids)),
        vocabulary=len(tokenizer),
        mask_probability=mask_probability,
    )


class Model(nn.Module):
    """A shared encoder and a head for each name. layout, reading: set by `layout.choose`."""

    def __init__(self, encoder: PreTrainedModel, heads: Mapping[str, nn.Module]) -> None:
        super().__init__()
        self.encoder = encoder
        self.heads = nn.ModuleDict(dict(heads))
        self.layout: Literal["padded", "flat", "graphs"] = "padded"
        self.reading: flat.FlatInput | None = None

    def inputs(self, batch: Batch) -> dict[str, torch.Tensor]:
        """The tensors of a batch that the encoder reads."""
        inputs = {name: batch[name] for name in ENCODER_INPUTS if name in batch}
        positions = self._positions(batch)
        return inputs if positions is None else {**inputs, "position_ids": positions}

    def _positions(self, batch: Batch) -> torch.Tensor | None:
        config = self.encoder.config
        if not getattr(config, RESTARTS, False):
            return None
        return pair_positions(batch["input_ids"], config.eos_token_id, config.pad_token_id)

    def laid_out(self, batch: Batch, training: bool = False) -> Batch:
        """A batch on the CPU as `forward` reads it in this layout.

        training: with what our own gradients need, and in a graph's buckets.
        """
        if self.reading is None:
            return batch
        reading = self.reading if training else replace(self.reading, own=False)
        bucket = training and self.layout == "graphs"
        return flat.lay_out(batch, reading, self._positions(batch), bucket)

    def forward(self, head: str, batch: Batch) -> torch.Tensor:
        if "flat_ids" in batch:
            embeddings.hand_parts(self.encoder, batch)
            hidden = flat.hidden_states(self.encoder, batch)
        else:
            hidden = self.encoder(**self.inputs(batch)).last_hidden_state
        logits: torch.Tensor = self.heads[head](hidden, batch)
        return logits


def pair_positions(input_ids: torch.Tensor, eos: int, pad: int) -> torch.Tensor:
    """XLM-R's positions, which begin (at pad + 1) again with a pair's second text.

    As in TLM (Conneau & Lample 2019): words that mean the same have like positions. The second text
    begins with the second of two `</s>` in a row.
    """
    seam = (input_ids[:, :-1] == eos) & (input_ids[:, 1:] == eos)
    second = nn.functional.pad(seam.long(), (1, 0)).cumsum(dim=1) > 0
    start = (~second).sum(dim=1, keepdim=True) * second
    return torch.arange(input_ids.shape[1], device=input_ids.device) - start + pad + 1


def config_copy(encoder: PreTrainedModel) -> PretrainedConfig:
    """A copy of the encoder's config, as transformers may change one that it builds from."""
    return copy.deepcopy(encoder.config)


def hub_revision(name: str, revision: str | None) -> str | None:
    """The commit that a Hub id resolves to today; None for a folder.

    UserError where neither has an encoder's config, or it cannot be reached.
    """
    try:
        config: Any = AutoConfig.from_pretrained(name, revision=revision)
    except (OSError, ValueError) as error:
        raise _unavailable(EncoderRef(name, name, revision, ""), error) from None
    commit: str | None = None if Path(name).exists() else config._commit_hash
    return commit


def adopt_lm_head(head: nn.Module, encoder: PreTrainedModel, ref: EncoderRef) -> bool:
    """Tie a masked_lm head to the encoder, with the pretrained head's weights where it has some.

    Returns whether the checkpoint has all of them.
    """
    load: Any = AutoModelForMaskedLM.from_pretrained
    full, loaded = load(
        ref.location, revision=ref.revision, dtype=torch.float32, output_loading_info=True
    )
    head.model = full
    head.tie(encoder)  # type: ignore[operator]
    return not loaded["missing_keys"]


def adopt_output(head: nn.Module, decoder: PreTrainedModel, ref: EncoderRef) -> None:
    """Give a head the decoder's own output layer: its word table, where the two are one.

    UserError where the decoder was saved without an output layer of its own.
    """
    load: Any = AutoModelForCausalLM.from_pretrained
    whole, loaded = load(
        ref.location, revision=ref.revision, dtype=torch.float32, output_loading_info=True
    )
    output = whole.get_output_embeddings()
    tied = output.weight is whole.get_input_embeddings().weight
    if not tied and any("lm_head" in name for name in loaded["missing_keys"]):
        raise UserError(
            f"likelihood: {ref.location} was saved without its output layer, which is not its word "
            "table; expected the decoder as it was published; leave the intermediate out"
        )
    words: Any = decoder.get_input_embeddings()
    cast(Any, head).output.weight = words.weight if tied else output.weight
