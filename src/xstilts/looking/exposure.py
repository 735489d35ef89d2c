"""How well an encoder knows a language's text before any task: its own masked-LM loss.

What enters: an encoder with the head it was pretrained with, and texts by language. What leaves:
bits a character, which compares languages that are cut into unlike pieces. No label is read.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
import torch

from xstilts.console import bar
from xstilts.errors import UserError
from xstilts.formats.features import Features
from xstilts.formats.tables import Row
from xstilts.params import TrainingSettings
from xstilts.tasks.families import masked_lm
from xstilts.tasks.families.protocol import TaskSettings
from xstilts.training import encoder as encoders
from xstilts.training.batches import sorted_batches
from xstilts.training.devices import device_for
from xstilts.training.encoder import EncoderRef, Model

PIECES = 128  # of a text, at most
MASKED = 0.15


def bits_a_character(
    ref: EncoderRef, texts: Mapping[str, Sequence[str]], training: TrainingSettings, silent: bool
) -> dict[str, float]:
    """By language. UserError where the encoder was saved without its head for masked pieces.

    The loss of the masked pieces stands for that of all: times the pieces, over the characters. An
    unknown piece costs nothing, so a language with many looks easier than it is.
    """
    tokenizer = encoders.load_tokenizer(ref)
    torch.set_num_threads(training.threads)
    device = torch.device(device_for(training))
    encoder = encoders.load_encoder(ref)
    settings = TaskSettings(max_length=PIECES)
    head = masked_lm.head(encoders.config_copy(encoder), settings)
    if not encoders.adopt_lm_head(head, encoder, ref):
        raise UserError(
            f"--exposure: {ref.name} was saved without its masked-LM head, or was cut below it; "
            "expected an encoder that can fill a gap; leave --exposure out"
        )
    model = Model(encoder, {"masked_lm": head}).to(device).eval()
    tokens = encoders.special_tokens(tokenizer, MASKED)
    found = {}
    shown = bar(len(texts), "masked-LM loss", "languages", silent=silent)
    for language, lines in texts.items():
        own = list(dict.fromkeys(lines))
        rows: list[Row] = [{"text": text, "pair": None} for text in own]
        features = masked_lm.encode(rows, tokenizer, settings)
        loss, masks = 0.0, 0
        for examples in sorted_batches(features, training.token_budget):
            batch = masked_lm.collate(features, examples, tokens, (0,))
            batch = {name: tensor.to(device) for name, tensor in batch.items()}
            if (units := masked_lm.units(batch)) == 0:
                continue
            with torch.inference_mode():
                loss += float(masked_lm.loss(model("masked_lm", batch), batch))
            masks += units
        characters = sum(map(len, own))
        if masks and characters:
            found[language] = loss / masks * _own_pieces(features, tokens.special) / characters
            found[language] /= math.log(2)
        shown.update()
    shown.close()
    return found


def _own_pieces(features: Features, special: tuple[int, ...]) -> int:
    """The pieces of the texts that can be masked: neither unknown, nor a sequence's ends."""
    return int((~np.isin(features.columns["input_ids"].values, special)).sum())
