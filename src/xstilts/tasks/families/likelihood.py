"""Choices by a decoder's own likelihood: log p of a choice's pieces after its prompt.

What enters: prompts and choices, and a decoder with its output layer. What leaves: one number for
each pair, the higher the likelier, as of the family's other head, so that all else stays. It may be
trained, by a softmax over the choices; or not, which is prompting. Summed, longer choices are less
likely; the mean over pieces does not mind the length and is another score: passports say which.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import nn
from transformers import PretrainedConfig, PreTrainedTokenizerBase

from xstilts.errors import UserError
from xstilts.formats.features import Ragged
from xstilts.formats.tables import Row
from xstilts.tasks.families.common import frame, reads_left
from xstilts.tasks.families.protocol import TaskSettings

NOWHERE = -1
FIELDS = ("context", "question")  # what a prompt may name, in {}


def columns_of(
    rows: Sequence[Row], tokenizer: PreTrainedTokenizerBase, settings: TaskSettings
) -> tuple[dict[str, Ragged], int]:
    """(columns, pairs cut) of each row's prompt with each choice.

    places: those whose next piece is the choice's; targets: these pieces. What is too long is cut
    at the prompt's beginning; a choice alone that fills the window, at its end. UserError for a
    prompt or choice without pieces.
    """
    before, _ = frame(tokenizer)
    prompts = [prompt_of(row, settings.prompt) for row in rows]
    starts = tokenizer(prompts, add_special_tokens=False)["input_ids"] if rows else []
    choices = [f" {choice}" for row in rows for choice in row["choices"]]
    ends = tokenizer(choices, add_special_tokens=False)["input_ids"] if rows else []
    ids, places, targets, cut = list[list[int]](), list[list[int]](), list[list[int]](), 0
    for number, whole in enumerate(ends):
        row = rows[number // settings.choices]
        prompt = starts[number // settings.choices]
        # The first piece of all is predicted from nothing: one stands before it at least.
        end = list(whole[: settings.max_length - 1 - len(before)])
        room = settings.max_length - len(before) - len(end)
        cut += len(prompt) > room or len(end) < len(whole)
        start = [*before, *prompt[max(0, len(prompt) - room) :]]
        if not start or not end:
            raise UserError(
                f"{row['id']}: a prompt or a choice without pieces; expected text in both; correct "
                "the row, or targets.*.prompt"
            )
        ids.append(start + end)
        places.append(list(range(len(start) - 1, len(start) + len(end) - 1)))
        targets.append(end)
    made = {"input_ids": ids, "places": places, "targets": targets}
    return {name: Ragged.of(lines) for name, lines in made.items()}, cut


def prompt_of(row: Row, template: str) -> str:
    """The template with the row's texts; without the white space that a missing one leaves."""
    return " ".join(template.format(**{name: row[name] or "" for name in FIELDS}).split())


class LikelihoodHead(nn.Module):
    """(sequences, length, dim) -> (sequences, 1): log p of the choice, by the output layer."""

    def __init__(self, config: PretrainedConfig, settings: TaskSettings) -> None:
        super().__init__()
        if not reads_left(config):
            raise UserError(
                f"likelihood: a {config.model_type} encoder reads both ways and predicts no next "
                "piece; expected a decoder; remove likelihood, or choose another encoder"
            )
        self.mean = settings.likelihood == "mean"
        # Its weights come from the decoder, or from a kept model.
        size = (config.hidden_size, config.vocab_size)
        self.output: nn.Linear = nn.utils.skip_init(nn.Linear, *size, bias=False)  # type: ignore[no-untyped-call]

    def forward(self, hidden: torch.Tensor, batch: Mapping[str, torch.Tensor]) -> torch.Tensor:
        places = batch["places"]
        there = places != NOWHERE
        read = places.clamp(min=0)[..., None].expand(-1, -1, hidden.shape[-1])
        logits = self.output(hidden.gather(1, read)).float()
        chosen = logits.gather(-1, batch["targets"][..., None].long())[..., 0]
        each = (chosen - logits.logsumexp(dim=-1)) * there
        total: torch.Tensor = each.sum(dim=1, keepdim=True)
        return total / there.sum(dim=1, keepdim=True) if self.mean else total
