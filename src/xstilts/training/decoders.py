"""Decoders as encoders: which ones they are, and an end for their texts.

A decoder's piece sees what stands before it. So heads read a text off its last piece, a word off
its last, and a question stands before its context (families ask `common.reads_left`). Its tokenizer
was made for text that goes on: it says neither where a text ends nor where a pair's second begins.
Both get the end-of-text piece, as in `A<end>` and `A<end>B<end>`.
"""

from __future__ import annotations

from tokenizers import processors
from torch import nn
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from xstilts.errors import UserError
from xstilts.tasks.families.common import READS_LEFT, frame


def mark(encoder: PreTrainedModel) -> PreTrainedModel:
    """The model, whose config says from now on whether it reads from the left alone."""
    causal = any(_is_causal(module) for module in encoder.modules())
    if causal:
        setattr(encoder.config, READS_LEFT, True)
        encoder.config.use_cache = False  # of keys and values, for text that would go on
    return encoder


def _is_causal(module: nn.Module) -> bool:
    return getattr(module, "is_causal", False) is True


def with_end(tokenizer: PreTrainedTokenizerBase, name: str) -> PreTrainedTokenizerBase:
    """The tokenizer; where it puts nothing after a text, it ends texts from now on.

    UserError where it has no end-of-text piece.
    """
    before, after = frame(tokenizer)
    if after:
        return tokenizer
    if tokenizer.eos_token is None:
        raise UserError(
            f"{name}: its tokenizer ends no text and has no end-of-text piece, which heads read a "
            "decoder's texts off; expected an eos_token; choose another encoder"
        )
    starts = tokenizer.convert_ids_to_tokens(before)
    end = tokenizer.eos_token
    first = " ".join([*(f"{piece}:0" for piece in starts), "$A:0", f"{end}:0"])
    pieces = {piece: tokenizer.convert_tokens_to_ids(piece) for piece in (*starts, end)}
    tokenizer.backend_tokenizer.post_processor = processors.TemplateProcessing(
        single=first, pair=f"{first} $B:1 {end}:1", special_tokens=list(pieces.items())
    )
    return tokenizer
