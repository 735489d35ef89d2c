"""The parts of gpu_flat.py: flat tokens, own embedding gradient, one block a step, graphs.

Nothing here imports xstilts. A batch is a list of sequences of piece ids; `Block` lays everything
that a step reads into one int32 array, so that one pinned copy feeds it. Flat tokens have the
shape (1, T): the sequences one after another, then a dummy tail up to the bucket.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional
from transformers import AutoModel, BertConfig, XLMRobertaConfig
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

try:
    import triton
    import triton.language as tl
except ImportError:  # CPU wheels
    triton = None

NAME = "xstilts_probe"
BUCKET = 128  # tokens: a GEMM tile
SHAPES = {
    "large": {"layers": 24, "hidden": 1024, "heads": 16, "vocabulary": 250_002, "kind": "xlmr"},
    "small": {"layers": 12, "hidden": 384, "heads": 12, "vocabulary": 250_037, "kind": "bert"},
    "tiny": {"layers": 2, "hidden": 64, "heads": 4, "vocabulary": 500, "kind": "xlmr"},
    "tiny-small": {"layers": 2, "hidden": 64, "heads": 4, "vocabulary": 500, "kind": "bert"},
}


# --- attention ---------------------------------------------------------------------------------


def attend(  # noqa: PLR0913
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
    **kwargs: Any,
) -> tuple[torch.Tensor, None]:
    """(1, heads, T, dim) -> (1, T, heads, dim). CUDA in half precision: the flash op; else SDPA."""
    assert cu_seqlens is not None and place is not None
    query, key, value = (part[0].transpose(0, 1) for part in (query, key, value))
    if query.is_cuda and query.dtype in (torch.bfloat16, torch.float16):
        return flash(query, key, value, cu_seqlens, max_len, dropout, scaling)[None], None
    return padded_sdpa(query, key, value, cu_seqlens, max_len, place, dropout, scaling)[None], None


def flash(  # noqa: PLR0913
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    cu_seqlens: torch.Tensor,
    max_len: int,
    dropout: float = 0.0,
    scaling: float | None = None,
) -> torch.Tensor:
    """(T, heads, dim), bf16 -> the same. The private op beneath torch's varlen_attn: it has
    dropout. Signature read in torch 2.11 and 2.13: ten positional, the rest by keyword."""
    return torch.ops.aten._flash_attention_forward(
        query, key, value, cu_seqlens, cu_seqlens, max_len, max_len, dropout, False, False,
        scale=scaling,
    )[0]  # fmt: skip


def padded_sdpa(  # noqa: PLR0913
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    cu_seqlens: torch.Tensor,
    max_len: int,
    place: torch.Tensor,
    dropout: float = 0.0,
    scaling: float | None = None,
) -> torch.Tensor:
    """The oracle: q, k, v alone are padded to (sequences, heads, max_len, dim)."""
    count = cu_seqlens.shape[0] - 1
    tokens, heads, dim = query.shape
    parts = []
    for part in (query, key, value):
        padded = part.new_zeros(count * max_len, heads * dim)
        padded = padded.index_copy(0, place, part.reshape(tokens, heads * dim))
        parts.append(padded.view(count, max_len, heads, dim).transpose(1, 2))
    lengths = cu_seqlens[1:] - cu_seqlens[:-1]
    real = torch.arange(max_len, device=query.device)[None] < lengths[:, None]
    # A sequence without tokens would be all -inf: it sees its (unread) zeros instead.
    mask = (real | (lengths == 0)[:, None])[:, None, None]
    out = functional.scaled_dot_product_attention(
        *parts, attn_mask=mask, dropout_p=dropout, scale=scaling
    )
    out = out.transpose(1, 2).reshape(count * max_len, heads * dim)
    return out.index_select(0, place).view(tokens, heads, dim)


ALL_ATTENTION_FUNCTIONS.register(NAME, attend)


# --- embeddings --------------------------------------------------------------------------------

if triton is not None:

    @triton.jit
    def _segment_kernel(  # noqa: PLR0913
        grad, order, offsets, rows, out, dim, BLOCK_D: tl.constexpr, BLOCK_R: tl.constexpr
    ):
        """One program: one distinct row, BLOCK_D of its columns; sums its tokens' gradients."""
        unit = tl.program_id(0)
        row = tl.load(rows + unit).to(tl.int64)
        if row >= 0:
            column = tl.program_id(1) * BLOCK_D + tl.arange(0, BLOCK_D)
            start = tl.load(offsets + unit)
            end = tl.load(offsets + unit + 1)
            total = tl.zeros((BLOCK_D,), tl.float32)
            for first in range(start, end, BLOCK_R):
                index = first + tl.arange(0, BLOCK_R)
                token = tl.load(order + index, mask=index < end, other=0).to(tl.int64)
                mask = (index < end)[:, None] & (column < dim)[None, :]
                part = tl.load(grad + token[:, None] * dim + column[None, :], mask=mask, other=0.0)
                total += tl.sum(part.to(tl.float32), axis=0)
            tl.store(out + row * dim + column, total, mask=column < dim)


def segment_sum(
    grad: torch.Tensor, order: torch.Tensor, offsets: torch.Tensor, rows: torch.Tensor, count: int
) -> torch.Tensor:
    """(T, dim) -> (count, dim): row rows[u] gets the sum of grad[order[offsets[u]:offsets[u+1]]].

    rows is as long as T and ends in -1. Deterministic, no sync; on a CPU without Triton's
    interpreter by segment_reduce.
    """
    grad = grad.contiguous()
    out = torch.zeros(count, grad.shape[1], dtype=torch.float32, device=grad.device)
    if triton is not None and (grad.is_cuda or os.environ.get("TRITON_INTERPRET") == "1"):
        columns = 256
        grid = (rows.shape[0], triton.cdiv(grad.shape[1], columns))
        _segment_kernel[grid](
            grad, order, offsets, rows, out, grad.shape[1], BLOCK_D=columns, BLOCK_R=16
        )
        return out
    used = int((rows >= 0).sum())
    lengths = (offsets[1 : used + 1] - offsets[:used]).long()
    sums = torch.segment_reduce(
        grad.float()[order.long()[: int(offsets[used])]], "sum", lengths=lengths
    )
    out[rows[:used].long()] = sums
    return out


class _Rows(torch.autograd.Function):
    @staticmethod
    def forward(ctx, weight, ids, order, offsets, rows):  # type: ignore[no-untyped-def]
        ctx.save_for_backward(order, offsets, rows)
        ctx.count = weight.shape[0]
        return functional.embedding(ids, weight)

    @staticmethod
    def backward(ctx, grad):  # type: ignore[no-untyped-def]
        order, offsets, rows = ctx.saved_tensors
        flat = grad.reshape(-1, grad.shape[-1])
        return segment_sum(flat, order, offsets, rows, ctx.count), None, None, None, None


class OwnEmbedding(nn.Module):
    """nn.Embedding with its weight, and our gradient wherever `segments` are set."""

    def __init__(self, old: nn.Embedding) -> None:
        super().__init__()
        self.weight = old.weight
        self.padding_idx = old.padding_idx
        self.segments: tuple[torch.Tensor, ...] | None = None

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        if self.segments is None:
            return functional.embedding(ids, self.weight, self.padding_idx)
        return _Rows.apply(self.weight, ids, *self.segments)  # type: ignore[no-any-return]


class TypeEmbedding(nn.Module):
    """One or two segment kinds without a lookup: its gradient is a sum, which needs no sync."""

    def __init__(self, old: nn.Embedding) -> None:
        super().__init__()
        self.weight = old.weight

    def forward(self, kinds: torch.Tensor) -> torch.Tensor:
        first = self.weight[0].expand(*kinds.shape, -1)
        if self.weight.shape[0] == 1:
            return first
        return first + kinds[..., None].to(first.dtype) * (self.weight[1] - self.weight[0])


def own_embeddings(encoder: nn.Module) -> None:
    parts = encoder.embeddings
    parts.word_embeddings = OwnEmbedding(parts.word_embeddings)
    parts.position_embeddings = OwnEmbedding(parts.position_embeddings)
    parts.token_type_embeddings = TypeEmbedding(parts.token_type_embeddings)


class _Padded(torch.autograd.Function):
    """(T, dim) -> (rows * width, dim), zeros where no token is: a gather either way.

    index_copy would do; under deterministic algorithms it sorts.
    """

    @staticmethod
    def forward(ctx, hidden, source, place):  # type: ignore[no-untyped-def]
        ctx.save_for_backward(place)
        zero = hidden.new_zeros(1, hidden.shape[1])
        return torch.cat([hidden, zero]).index_select(0, source)

    @staticmethod
    def backward(ctx, grad):  # type: ignore[no-untyped-def]
        (place,) = ctx.saved_tensors
        return grad.index_select(0, place), None, None


# --- batches -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Kind:
    """What a task's batches look like. width: the longest sequence; labels: a sequence's."""

    name: str
    count: int
    mean: float
    spread: float  # sigma of the lognormal of the lengths
    low: int
    width: int
    labels: int
    step: int = BUCKET  # between two buckets; the dummy tail, shorter, must fit in `width`


KINDS = {
    "nli": Kind("nli", 32, 43, 0.48, 8, 128, 1),
    "span": Kind("span", 32, 195, 0.42, 40, 384, 2, 256),
    "tiny-nli": Kind("tiny-nli", 4, 9, 0.4, 4, 128, 1),
    "tiny-span": Kind("tiny-span", 4, 30, 0.4, 8, 128, 2),
}


@dataclass(frozen=True)
class Examples:
    """A step's examples. ids: lists of pieces, begin and end included; labels: (count, labels)."""

    ids: list[np.ndarray]
    labels: np.ndarray

    @property
    def lengths(self) -> np.ndarray:
        return np.array([len(ids) for ids in self.ids])

    @property
    def tokens(self) -> int:
        return int(self.lengths.sum())


def draw(kind: Kind, steps: int, vocabulary: int, seed: int = 1) -> list[Examples]:
    """Made-up steps: lognormal lengths of the kind's mean, Zipf-like ids over up to 45,000 rows.

    Lengths do not depend on the vocabulary.
    """
    rng, by_length = np.random.default_rng(seed), np.random.default_rng([seed, 1])
    known = rng.permutation(np.arange(4, vocabulary))[:45_000]
    found = []
    for _ in range(steps):
        middle = np.log(kind.mean) - kind.spread**2 / 2
        lengths = np.exp(by_length.normal(middle, kind.spread, kind.count)).round().astype(int)
        lengths = lengths.clip(kind.low, kind.width)
        ids = []
        for length in lengths:
            rank = (len(known) ** rng.random(length)).astype(int) - 1  # p(rank) ~ 1 / rank
            line = known[rank]
            line[0], line[-1] = 0, 2
            ids.append(line.astype(np.int32))
        labels = (
            rng.integers(0, 3, (kind.count, 1))
            if kind.labels == 1
            else np.stack([rng.integers(0, lengths), rng.integers(0, lengths)], axis=1)
        )
        found.append(Examples(ids, labels.astype(np.int32)))
    return found


def bucket(tokens: int, size: int = BUCKET) -> int:
    return -(-tokens // size) * size


def csr(keys: np.ndarray, size: int, skip_from: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Tokens sorted by row: order (size,), offsets (size + 1,), rows (size,) ending in -1.

    keys: (size,); tokens from `skip_from` on (the dummy tail) are left out.
    """
    order = np.zeros(size, np.int32)
    offsets = np.full(size + 1, skip_from, np.int32)
    rows = np.full(size, -1, np.int32)
    order[:skip_from] = np.argsort(keys[:skip_from], kind="stable")
    sorted_keys = keys[order[:skip_from]]
    starts = np.flatnonzero(np.r_[True, sorted_keys[1:] != sorted_keys[:-1]])
    rows[: len(starts)] = sorted_keys[starts]
    offsets[: len(starts)] = starts
    return order, offsets, rows


class Block:
    """Where each part of a step stands in its one int32 array."""

    def __init__(self, size: int, kind: Kind) -> None:
        self.size, self.kind = size, kind
        parts = {
            "ids": size,
            "positions": size,
            "place": size,
            "source": (kind.count + 1) * kind.width,
            "word_order": size,
            "word_offsets": size + 1,
            "word_rows": size,
            "position_order": size,
            "position_offsets": size + 1,
            "position_rows": size,
            "cu": kind.count + 2,
            "labels": kind.count * kind.labels,
            "units": 1,
        }
        self.at: dict[str, slice] = {}
        end = 0
        for name, length in parts.items():
            self.at[name] = slice(end, end + length)
            end += -(-length // 4) * 4  # each part begins on 16 bytes
        self.total = end

    def fill(self, examples: Examples, first_position: int) -> torch.Tensor:
        """(total,) int32 on the CPU. The dummy tail is sequence `count`, shorter than a step."""
        kind, lengths, tokens = self.kind, examples.lengths, examples.tokens
        out = np.zeros(self.total, np.int32)
        ids = np.ones(self.size, np.int32)
        ids[:tokens] = np.concatenate(examples.ids)
        all_lengths = np.r_[lengths, self.size - tokens]
        within = np.concatenate([np.arange(length) for length in all_lengths])
        which = np.repeat(np.arange(kind.count + 1), all_lengths)
        positions = (within + first_position).astype(np.int32)
        place = which * kind.width + within
        source = np.full((kind.count + 1) * kind.width, self.size)
        source[place] = np.arange(self.size)
        values = {
            "ids": ids,
            "positions": positions,
            "place": place,
            "source": source,
            "cu": np.r_[0, np.cumsum(all_lengths)],
            "labels": examples.labels.reshape(-1),
            "units": np.array([len(examples.labels)]),
        }
        for name, keys in (("word", ids), ("position", positions)):
            order, offsets, rows = csr(keys, self.size, tokens)
            values |= {f"{name}_order": order, f"{name}_offsets": offsets, f"{name}_rows": rows}
        for name, value in values.items():
            out[self.at[name]] = value
        return torch.from_numpy(out)

    def read(self, block: torch.Tensor) -> dict[str, torch.Tensor]:
        """Views into a block, on whichever device it is."""
        return {name: block[at] for name, at in self.at.items()}


# --- model -------------------------------------------------------------------------------------


def build(
    shape: str,
    device: str,
    vocabulary: int | None = None,
    layers: int | None = None,
    attention_dropout: float = 0.1,
    dropout: float = 0.1,
) -> nn.Module:
    """A bare random encoder in fp32 (no pooler) with two heads: `pooled` and `span`."""
    given = SHAPES[shape]
    common = {
        "vocab_size": vocabulary or given["vocabulary"],
        "hidden_size": given["hidden"],
        "num_hidden_layers": layers or given["layers"],
        "num_attention_heads": given["heads"],
        "intermediate_size": 4 * given["hidden"],
        "hidden_dropout_prob": dropout,
        "attention_probs_dropout_prob": attention_dropout,
    }
    if given["kind"] == "xlmr":
        config: Any = XLMRobertaConfig(
            max_position_embeddings=514, type_vocab_size=1, pad_token_id=1, bos_token_id=0,
            eos_token_id=2, layer_norm_eps=1e-5, **common,
        )  # fmt: skip
    else:
        config = BertConfig(
            max_position_embeddings=512, type_vocab_size=2, pad_token_id=1, **common
        )
    torch.manual_seed(0)
    with torch.device(device):
        encoder = AutoModel.from_config(config, attn_implementation="sdpa", add_pooling_layer=False)
        hidden = config.hidden_size
        model = nn.Module()
        model.encoder = encoder
        model.pooled = nn.Sequential(
            nn.Linear(hidden, hidden), nn.Tanh(), nn.Dropout(dropout), nn.Linear(hidden, 3)
        )
        model.span = nn.Linear(hidden, 2)
    # XLM-R counts from its padding piece + 1; BERT has no such row.
    padding = getattr(encoder.embeddings, "padding_idx", None)
    model.first_position = 0 if padding is None else padding + 1
    return model.train()


def set_attention(model: nn.Module, name: str) -> None:
    model.encoder.set_attn_implementation(name)
    if model.encoder.config._attn_implementation != name:
        raise RuntimeError(f"attention stayed {model.encoder.config._attn_implementation}")


def layer_parameters(model: nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.encoder.encoder.layer.parameters())


def training_flop(model: nn.Module, examples: Examples) -> float:
    """6 x layer parameters a token, and attention 12 x layers x hidden x length a token."""
    config = model.encoder.config
    attention = 12 * config.num_hidden_layers * config.hidden_size * (examples.lengths**2).sum()
    return float(6 * layer_parameters(model) * examples.tokens + attention)


def flat_hidden(
    model: nn.Module, parts: dict[str, torch.Tensor], width: int, own: bool = True
) -> torch.Tensor:
    """(T, dim). own: the CSR parts serve the embeddings' gradients."""
    embeddings = model.encoder.embeddings
    if isinstance(embeddings.word_embeddings, OwnEmbedding):
        for name in ("word", "position"):
            module = getattr(embeddings, f"{name}_embeddings")
            names = (f"{name}_order", f"{name}_offsets", f"{name}_rows")
            module.segments = tuple(parts[each] for each in names) if own else None
    ids = parts["ids"].long()[None]
    return model.encoder(  # type: ignore[no-any-return]
        input_ids=ids,
        position_ids=parts["positions"].long()[None],
        token_type_ids=torch.zeros_like(ids),
        cu_seqlens=parts["cu"],
        max_len=width,
        place=parts["place"].long(),
    ).last_hidden_state[0]


def flat_loss(
    model: nn.Module, parts: dict[str, torch.Tensor], kind: Kind, own: bool = True
) -> torch.Tensor:
    """The mean loss; heads see (sequences, width, dim), padded once, as they do today."""
    hidden = flat_hidden(model, parts, kind.width, own)
    rows = kind.count + 1
    padded = _Padded.apply(hidden, parts["source"].long(), parts["place"].long())
    padded = padded.view(rows, kind.width, -1)[: kind.count]
    lengths = (parts["cu"][1:] - parts["cu"][:-1])[: kind.count]
    real = torch.arange(kind.width, device=hidden.device)[None] < lengths[:, None]
    return head_loss(model, padded, real, parts["labels"].long(), kind) / parts["units"][0]


def head_loss(
    model: nn.Module, hidden: torch.Tensor, real: torch.Tensor, labels: torch.Tensor, kind: Kind
) -> torch.Tensor:
    """Sum over the sequences. hidden: (n, width, dim); real: (n, width); labels: (n * labels,)."""
    if kind.labels == 1:
        logits = model.pooled(hidden[:, 0]).float()
        return functional.cross_entropy(logits, labels, reduction="sum")
    logits = model.span(hidden).float().masked_fill(~real[..., None], float("-inf"))
    logits = logits.transpose(1, 2).reshape(-1, hidden.shape[1])  # start and end of each
    return functional.cross_entropy(logits, labels, reduction="sum")


def pad(examples: Examples, rows: Sequence[int]) -> dict[str, torch.Tensor]:
    """Columns of int64 padded to the longest of these rows, as xstilts.batches.pad makes them."""
    width = max(len(examples.ids[row]) for row in rows)
    ids = np.ones((len(rows), width), np.int64)
    mask = np.zeros((len(rows), width), np.int64)
    for line, real, row in zip(ids, mask, rows, strict=True):
        line[: len(examples.ids[row])] = examples.ids[row]
        real[: len(examples.ids[row])] = 1
    columns = {"input_ids": ids, "attention_mask": mask}
    columns["labels"] = examples.labels[list(rows)].astype(np.int64).reshape(-1)
    return {name: torch.from_numpy(value) for name, value in columns.items()}


def padded_loss(model: nn.Module, batch: dict[str, torch.Tensor], kind: Kind) -> torch.Tensor:
    """Sum over the batch's sequences, through transformers' own path."""
    hidden = model.encoder(
        input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]
    ).last_hidden_state
    return head_loss(model, hidden, batch["attention_mask"].bool(), batch["labels"], kind)


# --- optimiser and step ------------------------------------------------------------------------


def adamw(model: nn.Module, device: str, capturable: bool) -> torch.optim.Optimizer:
    """Ours: two groups (biases and norms do not decay), fused. capturable: lr is a tensor."""
    named = [(key, value) for key, value in model.named_parameters() if value.requires_grad]
    plain = [value for key, value in named if not (key.endswith("bias") or "norm" in key.lower())]
    chosen = {id(value) for value in plain}
    rest = [value for _, value in named if id(value) not in chosen]
    rate: Any = torch.tensor(1e-5, device=device) if capturable else 1e-5
    return torch.optim.AdamW(
        [{"params": plain, "weight_decay": 0.01}, {"params": rest, "weight_decay": 0.0}],
        lr=rate,
        fused=True,
        capturable=capturable,
    )


def update(model: nn.Module, optimizer: torch.optim.Optimizer, fused_clip: bool) -> None:
    """Clip to 1 and step; fused_clip: the clip is AdamW's own division (`grad_scale`)."""
    if not fused_clip:
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        return
    grads = [value.grad for value in model.parameters() if value.grad is not None]
    norm = nn.utils.get_total_norm(grads)
    optimizer.grad_scale = (norm + 1e-6).clamp(min=1.0)  # type: ignore[attr-defined]
    optimizer.step()
    del optimizer.grad_scale  # type: ignore[attr-defined]


class HalfLinears:
    """bf16 leaves for the layers' Linear parameters, fp32 masters for the optimiser.

    `before` is called after the backward pass (bf16 gradients -> the masters'), `after` after the
    optimiser's step (masters -> bf16). The masters are what `parameters` then gives.
    """

    def __init__(self, model: nn.Module) -> None:
        self.halves: list[nn.Parameter] = []
        self.masters: list[nn.Parameter] = []
        for module in model.encoder.encoder.layer.modules():
            if isinstance(module, nn.Linear):
                for name in ("weight", "bias"):
                    master = getattr(module, name)
                    half = nn.Parameter(master.detach().to(torch.bfloat16))
                    setattr(module, name, half)
                    self.halves.append(half)
                    self.masters.append(nn.Parameter(master.detach()))
        chosen = {id(half) for half in self.halves}
        self.rest = [value for value in model.parameters() if id(value) not in chosen]

    def holder(self) -> nn.Module:
        """A module whose parameters are what the optimiser updates (names lost: all decay)."""
        holder = nn.Module()
        holder.all = nn.ParameterList([*self.masters, *self.rest])
        return holder

    def before(self) -> None:
        # A head of another task has no gradient; the layers' parameters all have one.
        for master in self.masters:
            if master.grad is None:
                master.grad = torch.empty_like(master)
        torch._foreach_copy_([m.grad for m in self.masters], [h.grad for h in self.halves])

    def after(self) -> None:
        with torch.no_grad():
            torch._foreach_copy_(self.halves, self.masters)
        for half in self.halves:
            half.grad = None


class Stepper:
    """A training step on a block: eager, or from a CUDA graph a bucket."""

    def __init__(
        self,
        model: nn.Module,
        kind: Kind,
        device: str,
        fused_clip: bool = False,
        halves: HalfLinears | None = None,
    ) -> None:
        self.model, self.kind, self.device = model, kind, device
        self.fused_clip, self.halves = fused_clip, halves
        self.trained = halves.holder() if halves else model
        self.optimizer = adamw(self.trained, device, capturable=device == "cuda")
        self.graphs: dict[int, tuple[Any, torch.Tensor, torch.Tensor]] = {}
        self.pool: Any = None
        self.capture_s: list[float] = []

    def block(self, size: int) -> Block:
        return Block(size, self.kind)

    def body(self, block: torch.Tensor, size: int) -> torch.Tensor:
        """Forward, backward, clip, AdamW. Gradients stay until the next call."""
        self.optimizer.zero_grad(set_to_none=True)
        half = self.device == "cuda" or self.halves is not None
        with torch.autocast(self.device, dtype=torch.bfloat16, enabled=half):
            loss = flat_loss(self.model, self.block(size).read(block), self.kind)
        loss.backward()
        if self.halves:
            self.halves.before()
        update(self.trained, self.optimizer, self.fused_clip)
        if self.halves:
            self.halves.after()
        return loss.detach()

    def warm(self, block: torch.Tensor, size: int, times: int = 2) -> None:
        """On a side stream, as capture asks for: optimiser state, cuBLAS, Triton."""
        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            for _ in range(times):
                self.body(block, size)
        torch.cuda.current_stream().wait_stream(side)

    def capture(self, block: torch.Tensor, size: int) -> None:
        static = block.clone()
        self.optimizer.zero_grad(set_to_none=True)
        graph = torch.cuda.CUDAGraph()
        if self.pool is None:
            self.pool = torch.cuda.graph_pool_handle()
        with torch.cuda.graph(graph, pool=self.pool):
            loss = self.body(static, size)
        self.graphs[size] = (graph, static, loss)

    def replay(self, block: torch.Tensor, size: int) -> torch.Tensor:
        """block: pinned, on the host, or on the device."""
        graph, static, loss = self.graphs[size]
        static.copy_(block, non_blocking=True)
        graph.replay()
        return loss
