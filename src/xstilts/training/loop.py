"""THE loop: every phase, study and benchmark trains here.

What enters: a model, the members of a mixture (one for a single task) with their English tables, a
plan. What leaves: the model with the weights that English dev chose, and how the training went.
Each optimiser step is `batch_size` examples of one member, computed in length-sorted micro-batches
whose gradients add up to the one padded batch's. Data, masks and dropout are functions of (seed,
step), so a training that is killed and started again is the training that was never killed.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from numpy.typing import NDArray

from xstilts import console
from xstilts.errors import UserError
from xstilts.formats.cards import Selection, task_number
from xstilts.formats.features import Batch, Features
from xstilts.formats.tables import ENGLISH, GOLD, Table
from xstilts.params import TrainingSettings
from xstilts.training.batches import draw_members, flat_batches, micro_batches, step_examples
from xstilts.training.context import Context
from xstilts.training.devices import accelerator_for
from xstilts.training.encoder import Model
from xstilts.training.evaluation import majority_flag, predictions
from xstilts.training.graphs import Graphs
from xstilts.training.optimizers import (
    OptimizerName,
    optimizers_for,
    set_learning_rate,
    set_recordable,
)
from xstilts.training.progress import Meter, Progress, end, ended, resume, save, write
from xstilts.training.steps import AHEAD, Trained, ahead, optimiser_step, pinned
from xstilts.training.task import Task
from xstilts.training.trimming import Trimmed, trim

REPORT_EVERY = 10  # steps between two lines of loss and speed
# What one more micro-batch costs, in padded tokens: kernels start for nothing (measured,
# docs/results.md).
OVERHEAD = {"cpu": 64, "cuda": 2048}


@dataclass(frozen=True)
class Member:
    """A task to train, with the English tables that train it and select its checkpoint.

    Unlabelled text (masked_lm) may be of any language; it never selects. index: the examples of an
    epoch. translated: its labelled rows are translations of English ones, which params ask for.
    """

    task: Task
    train: tuple[Table, ...]
    features: Features
    index: NDArray[np.int64]
    main: tuple[str, ...] = ()
    select: Table | None = None
    select_features: Features | None = None
    weight: float = 1.0
    translated: bool = False

    def __post_init__(self) -> None:
        for table in self.train:
            if table.split != "train" or (
                table.language != ENGLISH and self.task.family_name in GOLD and not self.translated
            ):
                raise UserError(
                    f"{table.task}: {table.split}-{table.language} may not train; expected train-en"
                )
        if self.select is not None and (self.select.split, self.select.language) != (
            "select",
            ENGLISH,
        ):
            raise UserError(
                f"{self.select.task}: {self.select.split}-{self.select.language} may not select; "
                "expected select-en: zero-shot transfer chooses on English dev alone"
            )

    def of_fixed_widths(self) -> Member:
        """With features whose batches all have the widths of the longest: for CUDA graphs."""
        columns = self.features.columns.items()
        widths = {name: int(column.lengths.max(initial=0)) for name, column in columns}
        return replace(self, features=replace(self.features, widths=widths))

    def name_rows(self, examples: NDArray[np.int64]) -> str:
        """The ids behind some examples, for a message."""
        rows = [row for table in self.train for row in table.rows]
        numbers = self.features.rows[self.features.sequences(examples)]
        ids = sorted({str(rows[number].get("id", number)) for number in numbers})
        return f"{self.task.name} rows {', '.join(ids[:8])}{', ...' if len(ids) > 8 else ''}"


@dataclass(frozen=True)
class Plan:
    """How long a training is and how fast it learns; learning_rate is the schedule's highest."""

    learning_rate: float
    steps: int
    batch_size: int
    seed: int
    optimizer: OptimizerName = "adamw"


def train(
    model: Model, members: Sequence[Member], plan: Plan, context: Context
) -> tuple[Progress, Selection | None]:
    """Train the model in place; it ends with the weights of the best evaluation on English dev.

    Without a table that selects it ends with the last step's. Raises UserError where the loss is
    not a number, naming step and rows.
    """
    trimmed = _trimmed(model, members, context)
    progress = ended(context.work)
    if progress is None:
        progress = _run(model, members, plan, context)
    selection = _finish(model, members, progress, context.work)
    if trimmed is not None:
        trimmed.restore(
            _decay(plan, context.training, selection.step if selection else progress.step)
        )
    return progress, selection


def _run(model: Model, members: Sequence[Member], plan: Plan, context: Context) -> Progress:
    """All steps that are left. Where something selects, the best weights are on disk at the end."""
    training = context.training
    accelerator = accelerator_for(training)
    made = optimizers_for(model, plan.optimizer, training)
    wrapped, *optimizers = accelerator.prepare(model, *made)
    progress = resume(context.work, model, optimizers)
    recorded = model.layout == "graphs"
    set_recordable(optimizers, accelerator.device if recorded else None)
    trained = Trained(accelerator, wrapped, optimizers, training.clip)
    graphs = Graphs(trained) if recorded else None
    members = [member.of_fixed_widths() for member in members] if recorded else members
    evaluate_at = _evaluation_steps(plan.steps, members, training)
    meter = Meter(progress, context.reporter)
    if context.reporter:
        context.reporter.begin(progress.step)
    saved = time.monotonic()
    model.train()
    bar = progress_bar(members, plan.steps, progress.step, context.run.silent)
    make = partial(_made_ready, accelerator, model, context, plan.seed)
    steps = AHEAD if accelerator.device.type == "cuda" else 0
    with closing(ahead(drawn(members, plan, progress.step), make, steps)) as ready:
        for step, member, examples, batches in ready:
            if progress.since_best >= training.patience:
                break
            rate = plan.learning_rate * _schedule(step, plan.steps, training.warmup_ratio)
            set_learning_rate(optimizers, rate)
            loss, seen = take_step(trained, graphs, _mix(plan.seed, step), member.task, batches)
            progress.step = step + 1
            meter.add(loss, seen, rate, partial(member.name_rows, examples))
            bar.update()
            evaluating, ends = progress.step in evaluate_at, progress.step == plan.steps
            if not (evaluating or ends or progress.step % REPORT_EVERY == 0):
                continue
            bar.set_postfix(meter.report(), refresh=False)
            if evaluating:
                _evaluate(model, members, progress, context)
                meter.restart()
            if not ends and time.monotonic() - saved >= context.run.checkpoint_every_s:
                save(context.work / "checkpoint.pt", model, optimizers, progress)
                saved = time.monotonic()
    bar.close()
    if any(member.select for member in members):
        end(context.work, progress)
    return progress


def _trimmed(model: Model, members: Sequence[Member], context: Context) -> Trimmed | None:
    """Cut the word table to what is read; not where a masked piece may become any other."""
    if not context.training.trim or any(m.task.family_name == "masked_lm" for m in members):
        return None
    tables = [(member.features, member.select_features) for member in members]
    return trim(model, [it for both in tables for it in both if it is not None], context.tokens)


def _decay(plan: Plan, training: TrainingSettings, steps: int) -> float:
    """What `steps` steps of AdamW's decoupled weight decay leave of a row without a gradient."""
    rates = (
        plan.learning_rate * _schedule(k, plan.steps, training.warmup_ratio) for k in range(steps)
    )
    return math.prod(1.0 - rate * training.weight_decay for rate in rates)


def take_step(
    trained: Trained, graphs: Graphs | None, seed: int, task: Task, batches: Sequence[Batch]
) -> tuple[torch.Tensor, int]:
    """The loss, and the real tokens that were read. seed: of this step, dropout included."""
    if graphs is not None:
        return graphs.step(seed, task, batches)
    torch.manual_seed(seed)
    return optimiser_step(trained, task, batches)


def drawn(
    members: Sequence[Member], plan: Plan, start: int
) -> Iterator[tuple[int, Member, NDArray[np.int64]]]:
    """Each step from `start` on, with the member and the examples that it trains."""
    schedule = draw_members([member.weight for member in members], plan.steps, plan.seed)
    taken = np.bincount(schedule[:start], minlength=len(members))
    for step in range(start, plan.steps):
        which = int(schedule[step])
        index, seed = members[which].index, plan.seed + which
        yield step, members[which], step_examples(index, plan.batch_size, seed, int(taken[which]))
        taken[which] += 1


def _made_ready(
    accelerator: Accelerator,
    model: Model,
    context: Context,
    seed: int,
    drawn: tuple[int, Member, NDArray[np.int64]],
) -> tuple[int, Member, NDArray[np.int64], list[Batch]]:
    """What `drawn` gave, and its batches on the CPU, as the model's layout reads them."""
    step, member, examples = drawn
    flat = model.reading is not None
    cut = step_batches(accelerator, member, examples, context, (seed, step), flat)
    laid = (model.laid_out(batch, training=True) for batch in cut)
    return step, member, examples, [pinned(batch, accelerator.device) for batch in laid]


def step_batches(
    accelerator: Accelerator,
    member: Member,
    examples: NDArray[np.int64],
    context: Context,
    seed: Sequence[int],
    flat: bool = False,
) -> list[Batch]:
    """This process's share of a step's examples, in length-sorted micro-batches.

    One micro-batch, whatever the token budget, where each example is set against the others, as in
    ranking. flat: they will be read without padding, which then costs and counts nothing.
    """
    features = member.features
    # Where examples need one another, or are too few for all processes, each computes the whole
    # step: units then count once a process, and so do the sums, so that gradients are the same.
    undivided = features.whole or len(examples) < accelerator.num_processes
    first, every = (0, 1) if undivided else (accelerator.process_index, accelerator.num_processes)
    mine = examples[first::every]
    if features.whole:
        return [member.task.family.collate(features, mine, context.tokens, seed)]
    budget = context.training.token_budget
    overhead = OVERHEAD.get(accelerator.device.type, OVERHEAD["cuda"])
    cuts = (
        flat_batches(features.tokens[mine], budget)
        if flat
        else micro_batches(features.lengths[mine], features.group, budget, overhead)
    )
    return [member.task.family.collate(features, mine[cut], context.tokens, seed) for cut in cuts]


def _schedule(step: int, steps: int, warmup_ratio: float) -> float:
    """Linear warm-up to 1, then linear decay towards 0: the step's share of the learning rate.

    transformers' get_linear_schedule_with_warmup, but that warm-up is one step ahead: its first
    step trains with a rate of 0, ours with 1 / warmup. From step `warmup` on the two are equal.
    """
    warmup = math.ceil(steps * warmup_ratio)
    if step < warmup:
        return (step + 1) / warmup
    return max(0.0, (steps - step) / max(1, steps - warmup))


def _mix(seed: int, step: int) -> int:
    """One seed for torch from the training's seed and the step."""
    return int(np.random.SeedSequence([seed, step]).generate_state(1)[0])


def _evaluation_steps(
    steps: int, members: Sequence[Member], training: TrainingSettings
) -> set[int]:
    """The steps after which English dev is scored; none where no member has a table for it."""
    if not any(member.select for member in members):
        return set()
    every = training.evaluate_every_steps
    if every is not None:
        return {*range(every, steps, every), steps}
    shares = [(k + 1) / training.evaluations for k in range(training.evaluations)]
    return {max(1, round(steps * share)) for share in shares}


def progress_bar(members: Sequence[Member], steps: int, done: int, silent: bool = False) -> Any:
    """Loss, tokens a second and time left."""
    names = list(dict.fromkeys(member.task.head for member in members))
    title = names[0] if len(names) == 1 else f"{len(names)} tasks"
    return console.bar(steps, title, "steps", done, silent)


def _evaluate(
    model: Model, members: Sequence[Member], progress: Progress, context: Context
) -> None:
    """Score English dev, the mean of the members' numbers, and keep the weights if it is a best."""
    values: dict[str, float] = {}
    numbers, flags = [], []
    for member in members:
        if member.select is None or member.select_features is None:
            continue
        found = predictions(model, member.task, member.select, member.select_features, context)
        scores = member.task.family.score(found, member.select.rows, ENGLISH, member.task.settings)
        numbers.append(task_number(scores, member.main))
        flags.append(majority_flag(member.task, found, member.select.rows))
        values |= {f"{member.task.name}.{metric}": value for metric, value in scores.items()}
    score = sum(numbers) / len(numbers)
    progress.since_best += 1
    if score > progress.best_score:
        progress.best_score, progress.best_step, progress.since_best = score, progress.step, 0
        progress.flag = "; ".join(flag for flag in flags if flag)
        progress.best_values = values
        write(context.work / "best.pt", model.state_dict())
    if context.evaluations is not None:
        write(context.evaluations / f"{progress.step}.pt", model.state_dict())
    progress.history.append({"step": progress.step, "dev": score})
    if context.reporter:
        named = {f"dev.{name}": value for name, value in values.items()}
        context.reporter.step(progress.step, {"dev.score": score, **named})


def _finish(
    model: Model, members: Sequence[Member], progress: Progress, work: Path
) -> Selection | None:
    """Load the best weights and say how they were chosen; None where nothing selects."""
    selecting = [member for member in members if member.select is not None]
    if not selecting:
        return None
    model.load_state_dict(
        torch.load(work / "best.pt", map_location=next(model.parameters()).device)
    )
    return Selection(
        metric=" + ".join(f"{member.task.name}: {'+'.join(member.main)}" for member in selecting),
        score=progress.best_score,
        step=progress.best_step,
        steps=progress.step,
        rows=sum(len(member.select.rows) for member in selecting if member.select),
        values=progress.best_values,
    )
