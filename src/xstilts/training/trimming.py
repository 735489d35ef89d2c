"""The word table cut to the pieces that a training reads: the same training, in less memory.

Of XLM-R's 250,002 rows an English task reads some tens of thousands. A row whose piece is in no
batch has a gradient of zero, so AdamW's moments of it stay zero and only the decoupled weight decay
(Loshchilov & Hutter 2019) acts on it, by one factor for all such rows. So a training computes with
the rows that its tables read, and at the end the others are decayed once. What enters: a model and
the members that train and select it. What leaves, after `restore`: the model with its whole table.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from xstilts.formats.features import Features
from xstilts.tasks.families.protocol import Tokens
from xstilts.training.embeddings import Rows
from xstilts.training.encoder import Model

MOST = 0.6  # of the rows: with more of them little is saved
LEAST = 2**22  # numbers that are saved: the tables of small encoders cost next to nothing


@dataclass(frozen=True)
class Trimmed:
    """A model's word table while a training computes with some of its rows.

    whole: (pieces, dim), as it was, on the CPU. kept: (rows,), the pieces that are read, rising.
    """

    table: Rows
    whole: torch.Tensor
    kept: torch.Tensor

    def restore(self, decay: float) -> None:
        """Give the model its whole table: the rows that were trained, the others times `decay`."""
        weight, whole = self.table.weight, self.whole
        if decay != 1.0:
            whole.mul_(decay)
        whole[self.kept] = weight.detach().to(whole.device, whole.dtype)
        padding = self.table.padding_idx
        self.table.padding_idx = None if padding is None else int(self.kept[padding])
        self.table.row_of = None
        self.table.weight = nn.Parameter(whole.to(weight.device))


def trim(model: Model, features: Sequence[Features], tokens: Tokens) -> Trimmed | None:
    """Cut the model's word table, in place; None where it is not cut, or would hardly be smaller.

    features: all that the model will read before `restore`; the special pieces are kept as well.
    """
    words: Any = model.encoder.get_input_embeddings()
    if type(words) not in (nn.Embedding, Rows) or _shared(model, words.weight):
        return None  # a table of its own kind, or one that a head reads, too
    kept = pieces_of(features, tokens)
    total, dim = words.weight.shape
    if len(kept) > MOST * total or (total - len(kept)) * dim < LEAST:
        return None
    device, padding = words.weight.device, words.padding_idx
    chosen = torch.from_numpy(kept)
    row_of = torch.full((total,), -1, dtype=torch.int64)
    row_of[chosen] = torch.arange(len(kept))
    whole = words.weight.detach().cpu()
    words.__class__ = Rows  # in place, as `own_gradients` does
    words.weight = nn.Parameter(whole[chosen].to(device))
    words.padding_idx = None if padding is None else int(row_of[padding])
    words.row_of = row_of.to(device)
    return Trimmed(words, whole, chosen)


def pieces_of(features: Sequence[Features], tokens: Tokens) -> NDArray[np.int64]:
    """The pieces in any of the features, and the special ones: rising, each once."""
    known = np.zeros(tokens.vocabulary, bool)
    known[[tokens.pad, *tokens.special]] = True
    for encoded in features:
        known[encoded.columns["input_ids"].values] = True
    return np.flatnonzero(known)


def _shared(model: Model, weight: torch.Tensor) -> bool:
    names = [name for name, it in model.named_parameters(remove_duplicate=False) if it is weight]
    return len(names) > 1
