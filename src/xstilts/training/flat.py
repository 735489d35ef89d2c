"""Tokens one after another instead of a padded rectangle.

For any encoder with the attention interface of transformers. What enters: a padded batch, as
families make them. What leaves: the same batch with what an encoder reads flat beside it, and
hidden states that are padded once, before the head: families know nothing of it. Where an encoder
does not qualify, `refusal` says why; it keeps the padded path.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional
from transformers import PreTrainedModel
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

from xstilts.errors import UserError
from xstilts.formats.features import Batch
from xstilts.training.embeddings import by_row

NAME = "xstilts"
BUCKET = 128  # tokens: a tile of the products, so that rounding up to it costs next to nothing
WIDE = 4096  # tokens from which buckets are twice as far apart: fewer graphs, 3 % more tokens
# What transformers hands to an attention function and what changes no score of it.
HARMLESS = {"position_ids", "deterministic", "use_cache", "cache_position", "output_attentions",
            "output_hidden_states", "return_dict", "layer_type"}  # fmt: skip
NEAR = 1e-3  # relative; fp32 differs by 1e-6, a wrong position or mask by more than 1e-2
LONGEST = 320  # pieces of the trial's longer text, where a window asks for more than 12


def attend(  # noqa: PLR0913 - transformers' own signature
    module: nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    dropout: float = 0.0,
    scaling: float | None = None,
    cu_seqlens: torch.Tensor | None = None,
    max_len: int = 0,
    place: torch.Tensor | None = None,
    sliding_window: int | None = None,
    is_causal: bool | None = None,
    **more: Any,
) -> tuple[torch.Tensor, None]:
    """(1, heads, T, dim) -> (1, T, heads, dim); key and value may have fewer heads.

    CUDA in half precision: torch's flash attention over cu_seqlens. Elsewhere q, k, v alone are
    padded and SDPA runs: the CPU's path, fp32's on a GPU, and what the other is tested against.
    Raises UserError where attention is asked for something unknown: never a wrong number.
    """
    unknown = sorted(name for name, it in more.items() if it is not None and name not in HARMLESS)
    if unknown or cu_seqlens is None or place is None or query.shape[0] != 1:
        what = f"takes {', '.join(unknown)}" if unknown else "is not told where sequences end"
        raise UserError(f"its attention ({type(module).__name__}) {what}")
    causal = getattr(module, "is_causal", True) if is_causal is None else is_causal
    window = -1 if sliding_window is None else sliding_window - 1
    parts = [part[0].transpose(0, 1) for part in (query, key, value)]
    if query.is_cuda and torch.is_autocast_enabled("cuda"):  # SDPA's own rule; rotary gives fp32
        parts = [part.to(torch.get_autocast_dtype("cuda")) for part in parts]
    half = parts[0].dtype in (torch.bfloat16, torch.float16)
    if query.is_cuda and half and query.shape[-1] % 8 == 0 and query.shape[-1] <= 256:
        # The private op beneath torch's varlen_attn, which has no dropout (pytorch#179390). Ten
        # positional arguments in torch 2.11 and 2.13; -1: no window on that side.
        out = torch.ops.aten._flash_attention_forward(
            *parts, cu_seqlens, cu_seqlens, max_len, max_len, dropout, causal, False,
            scale=scaling, window_size_left=window, window_size_right=0 if causal else window,
        )[0]  # fmt: skip
    else:
        seen = _seen(cu_seqlens, max_len, causal, window)
        out = _padded_sdpa(parts, seen, place, dropout, scaling)
    return out[None], None


ALL_ATTENTION_FUNCTIONS.register(NAME, attend)


def _seen(cu: torch.Tensor, width: int, causal: bool, window: int) -> torch.Tensor:
    """(sequences, 1, 1 or width, width): which keys a query reads. window: how far; -1: any."""
    at = torch.arange(width, device=cu.device)
    lengths = cu[1:] - cu[:-1]
    # A sequence without tokens would be all -inf: it sees its zeros, which nothing reads.
    mask = ((at < lengths[:, None]) | (lengths == 0)[:, None])[:, None, None]
    back = at[:, None] - at  # how far behind the query a key stands
    if causal:
        mask = mask & (back >= 0)
    if window >= 0:
        # Padding's rows see themselves: else a row may see nothing, and SDPA gives NaN.
        mask = (mask & (back <= window) & (back >= -window)) | (back == 0)
    return mask


def _padded_sdpa(
    parts: list[torch.Tensor],
    mask: torch.Tensor,
    place: torch.Tensor,
    dropout: float,
    scaling: float | None,
) -> torch.Tensor:
    """(T, heads, dim) each -> (T, heads, dim). place: where each token stands in the rectangle."""
    rows, width = mask.shape[0], mask.shape[-1]
    padded = []
    for part in parts:
        whole = part.new_zeros(rows * width, part.shape[1] * part.shape[2])
        whole = whole.index_copy(0, place, part.reshape(len(part), -1))
        padded.append(whole.view(rows, width, *part.shape[1:]).transpose(1, 2))
    query, key, value = padded
    grouped = query.shape[1] != key.shape[1]
    out = functional.scaled_dot_product_attention(
        query, key, value, mask, dropout, scale=scaling, enable_gqa=grouped
    )
    heads, dim = out.shape[1], out.shape[3]
    flat = out.transpose(1, 2).reshape(rows * width, heads * dim).index_select(0, place)
    return flat.view(-1, heads, dim)


@dataclass(frozen=True)
class FlatInput:
    """How an encoder reads flat tokens.

    start: the number of a text's first position. padding: the piece whose row of the word table is
    never trained. own: gradients of the embeddings are ours (embeddings.py), which needs each
    batch's tokens sorted by row.
    """

    start: int
    padding: int | None
    own: bool = False


def flat_input_of(encoder: PreTrainedModel, own: bool = False) -> FlatInput:
    """XLM-R and its like count positions from the padding piece + 1, most others from 0."""
    start = 0
    for name, module in encoder.named_modules():
        if name.endswith("position_embeddings") and isinstance(module, nn.Embedding):
            start = 0 if module.padding_idx is None else module.padding_idx + 1
    words: Any = encoder.get_input_embeddings()
    return FlatInput(start, words.padding_idx, own)


def lay_out(
    batch: Batch, reading: FlatInput, positions: torch.Tensor | None = None, bucket: bool = False
) -> Batch:
    """A batch on the CPU with flat_* beside its columns.

    positions: (sequences, length), where they are not a text's own count. bucket: rounded up to a
    number of tokens that other steps have, too, by sequences of padding at the end, none longer
    than `length`: past it the attention's kernel leaves rows unwritten, and NaN x 0 would reach the
    weights.
    """
    mask = batch["attention_mask"].numpy().astype(bool)
    rows, width = mask.shape
    lengths = mask.sum(axis=1)
    tokens = int(lengths.sum())
    step = (BUCKET if tokens <= WIDE else 2 * BUCKET) if bucket else 1
    size = -(-tokens // step) * step
    spare = -(-2 * BUCKET // width) if bucket else 0  # always as many: shapes must not vary
    tails = np.clip(size - tokens - width * np.arange(spare), 0, width)
    every = np.concatenate([lengths, tails])
    ends = np.cumsum(every)
    within = np.arange(size) - np.repeat(ends - every, every)
    place = np.repeat(np.arange(len(every)), every) * width + within
    source = np.full(len(every) * width, size)
    source[place] = np.arange(size)
    ids = np.full(size, 0 if reading.padding is None else reading.padding)
    ids[:tokens] = batch["input_ids"].numpy()[mask]
    where = within + reading.start
    if positions is not None:
        where[:tokens] = positions.numpy()[mask]
    found = {"ids": ids, "positions": where, "place": place, "source": source[: rows * width]}
    if "token_type_ids" in batch:
        found["types"] = np.zeros(size, np.int64)
        found["types"][:tokens] = batch["token_type_ids"].numpy()[mask]
    laid = {f"flat_{name}": torch.from_numpy(value) for name, value in found.items()}
    laid["flat_cu"] = torch.from_numpy(np.concatenate([[0], ends]).astype(np.int32))
    if reading.own:
        laid |= _sorted("words", ids, tokens, reading.padding)
        laid |= _sorted("positions", where, tokens, reading.start - 1)
    return {name: column for name, column in batch.items() if name != "token_type_ids"} | laid


def _sorted(kind: str, keys: NDArray[Any], tokens: int, padding: int | None) -> Batch:
    return {f"flat_{kind}_{name}": torch.from_numpy(value)
            for name, value in zip(("order", "offsets", "rows"), by_row(keys, tokens, padding),
                                   strict=True)}  # fmt: skip


def hidden_states(encoder: PreTrainedModel, batch: Batch) -> torch.Tensor:
    """(sequences, length, dim) of a batch that was laid out: zeros where no token is."""
    rows, width = batch["attention_mask"].shape
    place = batch["flat_place"]
    types = {"token_type_ids": batch["flat_types"][None]} if "flat_types" in batch else {}
    states = encoder(
        input_ids=batch["flat_ids"][None],
        position_ids=batch["flat_positions"][None],
        **types,
        use_cache=False,
        cu_seqlens=batch["flat_cu"],
        max_len=width,
        place=place,
    ).last_hidden_state[0]
    padded: torch.Tensor = _Padded.apply(states, batch["flat_source"], place)  # type: ignore[no-untyped-call]
    return padded.view(rows, width, -1)


class _Padded(torch.autograd.Function):
    """(T, dim) -> (rectangle, dim), a gather both ways.

    The gradient of index_copy would do, and sorts under deterministic algorithms. Tokens outside of
    the rectangle have none.
    """

    @staticmethod
    def forward(ctx: Any, states: torch.Tensor, source: torch.Tensor, place: torch.Tensor) -> Any:
        ctx.save_for_backward(place)
        return torch.cat([states, states.new_zeros(1, states.shape[1])]).index_select(0, source)

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> Any:
        (place,) = ctx.saved_tensors
        rows = len(gradient)
        more = torch.cat([gradient, gradient.new_zeros(1, gradient.shape[1])])
        return more.index_select(0, place.clamp(max=rows)), None, None


def refusal(encoder: PreTrainedModel) -> str:
    """Why an encoder cannot read flat tokens; empty: it can, and its attention is ours from here.

    Beside what it says of itself, two short texts decide: flat, their states are those of the
    padded path (NEAR). Runs once, without gradients and without a random number.
    """
    if not getattr(encoder, "_supports_attention_backend", False):
        return f"{encoder.config.model_type} has no exchangeable attention"
    before = encoder.config._attn_implementation
    if before == NAME:
        return ""
    batch, training = _two_texts(encoder), encoder.training
    device = next(encoder.parameters()).device
    encoder.eval()  # type: ignore[no-untyped-call]
    try:
        with torch.no_grad(), _full_precision(device.type):
            given = {name: column.to(device) for name, column in batch.items()}
            wanted = encoder(**given, use_cache=False).last_hidden_state
            encoder.set_attn_implementation(NAME)
            laid = lay_out(batch, flat_input_of(encoder))
            found = hidden_states(encoder, {name: it.to(device) for name, it in laid.items()})
        real = given["attention_mask"].bool()
        apart = float((found[real] - wanted[real]).norm() / wanted[real].norm())
        reason = "" if apart < NEAR else f"its states, read flat, are {apart:.2g} off (relative)"
    except UserError as error:
        reason = str(error)
    except (TypeError, ValueError, RuntimeError) as error:  # it takes no such keyword, or shape
        reason = f"it reads no flat tokens: {' '.join(str(error).split())[:200]}"
    finally:
        encoder.train(training)
    if reason:
        encoder.set_attn_implementation(before)
    return reason


@contextmanager
def _full_precision(kind: str) -> Iterator[None]:
    with torch.autocast(kind, enabled=False):
        yield


def _two_texts(encoder: PreTrainedModel) -> Batch:
    """Two texts of 5 pieces and of 12, or as many as reach beyond a window of attention."""
    config = encoder.config
    windows = (getattr(config, name, None) for name in ("sliding_window", "local_attention"))
    reach = max((window for window in windows if isinstance(window, int)), default=0)
    places = getattr(config, "max_position_embeddings", None) or LONGEST
    width = min(max(12, reach + 9), LONGEST, places - 3)
    words: Any = encoder.get_input_embeddings()
    ids = 5 + torch.arange(2 * width).view(2, width) % (words.num_embeddings - 5)
    lengths = torch.tensor([[5], [width]])
    mask = torch.arange(width) < lengths
    return {"input_ids": ids.where(mask, words.padding_idx or 0), "attention_mask": mask.long()}
