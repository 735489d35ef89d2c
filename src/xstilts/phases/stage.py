"""What the three phases share: a stage's begin and end, a model's heads, how trainings went.

A stage reads its inputs from the folders that dvc.yaml names and replaces its own output; what is
unfinished lies under work/, keyed by params, inputs and code, so that a killed stage resumes and a
changed one does not.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch
from transformers import PreTrainedModel

from xstilts import paths
from xstilts.errors import UserError
from xstilts.formats.cards import Card, Selection
from xstilts.formats.tables import remove_unfinished
from xstilts.params import RunSettings, TrainingSettings
from xstilts.phases.members import Counts
from xstilts.phases.provenance import work_folder
from xstilts.running.tracking import Run, open_run
from xstilts.training import encoder as encoders
from xstilts.training.context import Context
from xstilts.training.devices import device_for
from xstilts.training.encoder import EncoderRef, Model
from xstilts.training.layout import choose
from xstilts.training.progress import Reporter
from xstilts.training.task import Task


@dataclass(frozen=True)
class Outcome:
    """How a phase's trainings went: what its card and its curve say of them."""

    selection: Selection | None = None  # of several trainings in order the last one's
    flags: tuple[str, ...] = ()
    history: list[dict[str, float]] = field(default_factory=list)
    counts: Counts = field(default_factory=dict)
    notes: tuple[str, ...] = ()  # of the tables that trained and selected
    inputs: dict[str, str] = field(default_factory=dict)  # their digests


def begin(experiment: str, name: str, key: str, out: Path) -> tuple[Run, Path]:
    """A stage's run and work folder; what a killed process left beside its output is removed."""
    remove_unfinished(out)
    return open_run(experiment, name, paths.WORK), work_folder(name, key)


def context_of(
    training: TrainingSettings,
    base: EncoderRef,
    work: Path,
    reporter: Reporter | None,
    run: RunSettings,
) -> Context:
    """The context of trainings that start from an encoder: its tokenizer, the shared cache."""
    tokenizer = encoders.load_tokenizer(base)
    return Context(training, tokenizer, work, paths.FEATURES, reporter, run=run)


def finish(run: Run, card: Card, out: Path, work: Path) -> None:
    """Report the finished stage to its run, and remove its work folder."""
    run.finish(card, out)
    shutil.rmtree(work, ignore_errors=True)


def build(
    encoder: PreTrainedModel, tasks: Sequence[Task], base: EncoderRef, training: TrainingSettings
) -> Model:
    """The encoder with a fresh head for each head's name among the tasks.

    A masked_lm head is no fresh one: it starts from the encoder's own, where one was saved; nor is
    that of a decoder's likelihood.
    """
    heads: dict[str, torch.nn.Module] = {}
    for task in tasks:
        encoders.check_length(encoder, task.settings.max_length)
        if task.head not in heads:
            heads[task.head] = task.family.head(encoders.config_copy(encoder), task.settings)
            if task.family_name == "masked_lm":
                encoders.adopt_lm_head(heads[task.head], encoder, base)
            if task.settings.likelihood:
                encoders.adopt_output(heads[task.head], encoder, base)
    return choose(Model(encoder, heads).to(device_for(training)), training)


# A study's function: (values, seed, folder of its checkpoints, reporter) -> the score of a trial
Objective = Callable[[Mapping[str, float], int, Path, Reporter | None], float]


def dev_score(outcome: Outcome) -> float:
    """The English dev score of a training: all that a study sees of it."""
    if outcome.selection is None:
        raise UserError("no member of it has an English dev set; set its study's trials to 0")
    return outcome.selection.score
