"""Gradients of the embeddings without a wait for the GPU, and the same in every run.

torch's own backward waits for the GPU where a batch has more than 3,072 tokens (pytorch#82886,
4,096 on Hopper), so a CUDA graph cannot hold it. Here the host sorts a batch's tokens by row while
the GPU computes an earlier step, and the GPU sums each row's tokens in that order.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional
from transformers import PreTrainedModel

from xstilts.formats.features import Batch

try:
    import triton
    import triton.language as tl
except ImportError:  # torch without CUDA
    triton = None

COLUMNS, TOKENS = 256, 16  # a program's block of a row; tokens it adds at once
PARTS = ("order", "offsets", "rows")
Ints = NDArray[np.int32]


def by_row(keys: NDArray[Any], tokens: int, padding: int | None) -> tuple[Ints, Ints, Ints]:
    """The first `tokens` of keys (size,) sorted by key, those equal to `padding` left out.

    order (size,): token numbers; rows (size,): the distinct keys, then -1; offsets (size + 1,):
    row rows[u] has the tokens order[offsets[u]:offsets[u + 1]].
    """
    size = len(keys)
    real = np.flatnonzero(keys[:tokens] != (-1 if padding is None else padding))
    order, rows = np.zeros(size, np.int32), np.full(size, -1, np.int32)
    offsets = np.full(size + 1, len(real), np.int32)
    order[: len(real)] = real[np.argsort(keys[real], kind="stable")]
    found, starts = np.unique(keys[order[: len(real)]], return_index=True)
    rows[: len(found)], offsets[: len(found)] = found, starts
    return order, offsets, rows


if triton is not None:

    @triton.jit  # type: ignore[untyped-decorator]
    def _sum_kernel(  # type: ignore[no-untyped-def]  # noqa: PLR0913
        gradient, order, offsets, rows, out, dim, BLOCK_D: tl.constexpr, BLOCK_R: tl.constexpr
    ):
        """One program: BLOCK_D columns of one row, the sum over its tokens."""
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
                part = tl.load(
                    gradient + token[:, None] * dim + column[None, :], mask=mask, other=0.0
                )
                total += tl.sum(part.to(tl.float32), axis=0)
            tl.store(out + row * dim + column, total, mask=column < dim)


def row_sums(gradient: torch.Tensor, parts: tuple[torch.Tensor, ...], count: int) -> torch.Tensor:
    """(T, dim) -> (count, dim) in fp32: each row's tokens summed. parts: of `by_row`."""
    order, offsets, rows = parts
    gradient = gradient.contiguous()
    out = torch.zeros(count, gradient.shape[1], device=gradient.device)
    if gradient.is_cuda:
        if triton is None:
            raise RuntimeError("torch with CUDA, but without Triton; install triton")
        grid = (len(rows), triton.cdiv(gradient.shape[1], COLUMNS))
        _sum_kernel[grid](
            gradient, order, offsets, rows, out, gradient.shape[1], BLOCK_D=COLUMNS, BLOCK_R=TOKENS
        )
        return out
    used = int((rows >= 0).sum())
    counts = (offsets[1 : used + 1] - offsets[:used]).long()
    index = rows[:used].long().repeat_interleave(counts)
    return out.index_add_(0, index, gradient.float()[order[: len(index)].long()])


class _Lookup(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, weight: torch.Tensor, ids: torch.Tensor, *parts: torch.Tensor) -> Any:
        ctx.save_for_backward(*parts)
        ctx.count = len(weight)
        return functional.embedding(ids, weight)

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> Any:
        flat = gradient.reshape(-1, gradient.shape[-1])
        return row_sums(flat, ctx.saved_tensors, ctx.count), None, None, None, None


class Rows(nn.Embedding):
    """A table of words or positions: its gradient is ours where `parts` are set.

    row_of: (pieces,), where each piece's row stands in a table that was cut (trimming.py).
    """

    parts: tuple[torch.Tensor, ...] | None = None
    row_of: torch.Tensor | None = None

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        ids = input if self.row_of is None else self.row_of[input]
        if self.parts is None:
            return super().forward(ids)
        order, offsets, rows = self.parts
        if self.row_of is not None:  # a batch is sorted by piece
            rows = torch.where(rows < 0, rows, self.row_of[rows.clamp(min=0)])
        found: torch.Tensor = _Lookup.apply(self.weight, ids, order, offsets, rows)  # type: ignore[no-untyped-call]
        return found


class Kinds(nn.Embedding):
    """A table of one row or two (a text's first and second part), read without a lookup."""

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        first = self.weight[0].expand(*input.shape, -1)
        if len(self.weight) == 1:
            return first
        return torch.where(input[..., None] == 1, self.weight[1], first)


def own_gradients(encoder: PreTrainedModel) -> str:
    """Make an encoder's tables ours, in place; why that cannot be, where a table is unknown."""
    words: Any = encoder.get_input_embeddings()
    chosen: dict[nn.Embedding, type[nn.Embedding]] = {}
    for name, table in encoder.named_modules():
        if not isinstance(table, nn.Embedding) or isinstance(table, Rows | Kinds):
            continue
        if type(table) is not nn.Embedding or table.max_norm or table.scale_grad_by_freq:
            return f"{name} is a table of its own kind"
        if table is words or name.endswith("position_embeddings"):
            chosen[table] = Rows
        elif name.endswith("token_type_embeddings") and table.num_embeddings <= 2:
            chosen[table] = Kinds
        else:
            return f"{name} is an unknown table"
    for table, ours in chosen.items():
        table.__class__ = ours  # in place: heads may be tied to its weight
    return ""


def hand_parts(encoder: PreTrainedModel, batch: Batch) -> None:
    """Tell the tables how a batch's tokens are sorted; a batch without that leaves torch's own."""
    words: Any = encoder.get_input_embeddings()
    for table in encoder.modules():
        if isinstance(table, Rows):
            names = [f"flat_{'words' if table is words else 'positions'}_{part}" for part in PARTS]
            known = names[0] in batch
            table.parts = tuple(batch[name] for name in names) if known else None
