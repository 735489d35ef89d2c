"""Phase 3: a cell. A fresh head is trained on English, or none; every language is scored.

What enters: the encoder that phase 2 left and a target's tables. What leaves: the cell's card,
curve and predictions.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import torch
from filelock import FileLock

from xstilts import paths
from xstilts.code import kind_digest
from xstilts.console import note
from xstilts.errors import UserError
from xstilts.formats.cards import Card, Setting
from xstilts.formats.tables import (
    Record,
    file_digest,
    folder_digest,
    fresh_folder,
    read_json,
    read_record,
)
from xstilts.params import FrozenSettings, Params, PhaseSettings, TrainingSettings
from xstilts.phases.members import check_target, inputs_of, members_of
from xstilts.phases.provenance import key_of, phase_seed, with_study, with_values, write_phase
from xstilts.phases.stage import Objective, Outcome, begin, build, context_of, dev_score, finish
from xstilts.tasks.families import retrieval
from xstilts.training import encoder as encoders
from xstilts.training import saved
from xstilts.training.batches import steps_per_epoch
from xstilts.training.context import Context
from xstilts.training.encoder import EncoderRef, Model
from xstilts.training.evaluation import Predictor, evaluate_target, passport
from xstilts.training.layout import facts
from xstilts.training.loop import Plan, train
from xstilts.training.progress import Progress, Reporter
from xstilts.training.task import Task, task


@dataclass(frozen=True)
class Cell:
    """What decides a cell besides code: its inputs, its target's section, its seed. key: of them.

    section, training: with what a study chose; origins: where each setting came from.
    """

    intermediate: str
    target: str
    replicate: int
    data: Path
    base: EncoderRef
    record: Record
    section: PhaseSettings | FrozenSettings
    training: TrainingSettings
    origins: dict[str, Setting]
    key: str

    @property
    def name(self) -> str:
        return f"target-{self.intermediate}-{self.target}-{self.replicate}"

    @cached_property
    def training_key(self) -> str:
        """A digest of all that decides the training; empty where nothing trains.

        The target's name is no part of it: MLQA's training is XQuAD's.
        """
        if self.section.trained is None:
            return ""
        tables = [
            (folder.name, path.name, file_digest(path))
            for folder in paths.trainings(self.data)
            for path in sorted([*folder.glob("*.parquet"), folder / "record.json"])
        ]
        seed = phase_seed(self.training.seed, 3, self.replicate)
        code = kind_digest("target")
        return key_of(self.base.digest, tables, self.section.trained, self.training, seed, code)


def cell_of(intermediate: str, name: str, replicate: int, params: Params) -> Cell:
    """The cell that params, a study and the folders before it say; UserError where they do not."""
    data, source = paths.target_data(name), paths.intermediate_model(intermediate, replicate)
    section, training, origins = with_study(
        params.targets[name], params.training, paths.study("target", name)
    )
    base = encoders.read_ref(source)
    record = read_record(data)
    check_target(record, section)
    key = key_of(section, training, replicate, base.digest, folder_digest(data))
    return Cell(intermediate, name, replicate, data, base, record, section, training, origins, key)


def target_stage(intermediate: str, name: str, replicate: int, params: Params) -> None:
    """Make a cell: train the target's head and the encoder on English, then score every language.

    A retrieval target trains nothing. With run.keep_model its model is kept beside it.
    """
    cell = cell_of(intermediate, name, replicate, params)
    out = paths.cell(intermediate, name, replicate)
    run, work = begin(params.experiment, cell.name, cell.key, out)
    keep = paths.kept_model(intermediate, name, replicate) if params.run.keep_model else None
    with training_folder(cell, twins_of(cell, params), work) as folder:
        context = context_of(cell.training, cell.base, folder, run, params.run)
        card = make_cell(cell, params.source.name, context, out, keep)
    finish(run, card, out, work)


def twins_of(cell: Cell, params: Params) -> tuple[str, ...]:
    """The other targets of the grid with the same training, as far as their tables are there."""
    key, trained = cell.training_key, cell.section.trained
    alike = []
    for name in params.grid.targets:
        data, study = paths.target_data(name), paths.study("target", name)
        if name == cell.target or trained is None or not (data.is_dir() and study.is_file()):
            continue
        section, training, _ = with_study(params.targets[name], params.training, study)
        other = replace(cell, target=name, data=data, section=section, training=training)
        if section.trained == trained and other.training_key == key:
            alike.append(name)
    return tuple(alike)


@contextmanager
def training_folder(cell: Cell, others: Sequence[str], work: Path) -> Iterator[Path]:
    """The folder of a cell's training: `work`, or the one that it shares with `others`.

    A shared one is held by one cell at a time, and is there until each of them has its card.
    """
    if not others:
        yield work
        return
    key = cell.training_key
    folder = paths.TRAININGS / key
    with FileLock(folder.with_suffix(".lock")):
        if folder.exists():
            note(
                f"{cell.name}: its training is that of {', '.join(others)}, and goes on from there"
            )
        yield folder
        cells = [paths.cell(cell.intermediate, other, cell.replicate) for other in others]
        if all(_trained_by(path / "card.json") == key for path in cells):
            shutil.rmtree(folder)


def _trained_by(card: Path) -> str | None:
    """The key of the training of a card; None where there is no card."""
    return read_json(card)["inputs"].get("training") if card.is_file() else None


def make_cell(
    cell: Cell, source: str, context: Context, out_folder: Path, keep: Path | None
) -> Card:
    """Train, predict and score; write the cell to a folder, and its model to `keep`, if given.

    source: where its rows are from.
    """
    data, section, record = cell.data, cell.section, cell.record
    seed = phase_seed(cell.training.seed, 3, cell.replicate)
    if isinstance(section, FrozenSettings):
        model, target, outcome = freeze(data, section, cell.base, seed, context)
    elif section.trained is None:
        model, target, outcome = ask(data, section, cell.base, context)
    else:
        model, target, outcome = train_target(data, section, cell.base, seed, context)
    trained = {"training": key} if (key := cell.training_key) else {}
    settle = retrieval.settle if record.family == "retrieval" else None
    with fresh_folder(out_folder) as out:
        evaluated = evaluate_target(Predictor(model, target, context, settle), data, out)
        # A number means what it was trained on, too.
        evaluated = replace(evaluated, inputs={**evaluated.inputs, **outcome.inputs})
        meaning = passport(record, target, outcome.selection, evaluated)
        card = Card(
            "target",
            cell.intermediate,
            cell.target,
            cell.replicate,
            family=record.family,
            encoder=cell.base.name,
            source=source,
            key=cell.key,
            settings=cell.origins,
            computed=facts(model, cell.training),
            selection=outcome.selection,
            scores=evaluated.scores,
            main=record.main,
            passport={**meaning, "seed": seed},
            counts={**outcome.counts, **evaluated.counts},
            flags=outcome.flags,
            notes=tuple(dict.fromkeys((*read_json(data / "notes.json"), *outcome.notes))),
            inputs={"encoder": cell.base.digest, **trained, **evaluated.inputs},
        )
        write_phase(out, card, outcome.history)
    if keep is not None:
        about = saved.About(
            f"{cell.intermediate}/{cell.target}/{cell.replicate}",
            cell.key,
            saved.predictions_digest(out_folder),
            cell.base,
            record,
            target.settings.labels,
            section,
            cell.training,
            evaluated.thresholds,
            card.computed,
        )
        with fresh_folder(keep) as folder:
            saved.write_model(folder, model, target.head, context.tokenizer, about)
    return card


def train_target(
    data: Path, section: PhaseSettings, base: EncoderRef, seed: int, context: Context
) -> tuple[Model, Task, Outcome]:
    """Run the trainings under data/train in order, with one fresh head, on English alone.

    There are several where a target's record says so: COPA after Social IQa, for XCOPA.
    """
    record = read_record(data)
    folders = paths.trainings(data)
    loaded = [members_of(path, section, context) for path in folders]
    torch.manual_seed(seed)
    encoder = encoders.load_encoder(base)
    last = loaded[-1][0][0].task
    target = last
    if record.trained:
        # The training's name is its head's, too: twins read one another's weights.
        target = replace(task(record, section, last.settings.labels), head=last.head)
    model = build(encoder, [target], base, context.training)
    went: dict[str, Progress] = {}
    for number, (members, _, _) in enumerate(loaded):
        # A training's own head has its task's name; here all train the target's one head.
        shared = [replace(m, task=replace(m.task, head=target.head)) for m in members]
        epoch = sum(steps_per_epoch(len(m.index), section.batch_size) for m in shared)
        steps = max(1, round(section.epochs * epoch))
        plan = Plan(section.learning_rate, steps, section.batch_size, seed + number)
        kept = context.evaluations if number == len(loaded) - 1 else None
        inside = replace(context, work=training_work(context.work, number), evaluations=kept)
        went[folders[number].name], selection = train(model, shared, plan, inside)
    counts = {
        f"train/{path.name}/{table}": value
        for path, (_, counted, _) in zip(folders, loaded, strict=True)
        for table, value in counted.items()
    }
    return (
        model,
        target,
        Outcome(
            selection=selection,
            flags=_flags(went),
            history=_one_curve(list(went.values())),
            counts=counts,
            notes=tuple(dict.fromkeys(note for _, _, notes in loaded for note in notes)),
            inputs=inputs_of([member for members, _, _ in loaded for member in members]),
        ),
    )


def training_work(work: Path, number: int) -> Path:
    """The folder of the checkpoints of one of a target's trainings, counted from 0."""
    return work / f"step-{number + 1}"


def _flags(went: dict[str, Progress]) -> tuple[str, ...]:
    """The trainings' flags; of several, each begins with the name of its training's folder."""
    several = len(went) > 1
    return tuple(
        f"{name}: {progress.flag}" if several else progress.flag
        for name, progress in went.items()
        if progress.flag
    )


def _one_curve(trainings: Sequence[Progress]) -> list[dict[str, float]]:
    """The trainings' curves as one, whose steps count on from training to training."""
    lines, done = [], 0
    for progress in trainings:
        lines += [{**line, "step": line["step"] + done} for line in progress.history]
        done += progress.step
    return lines


def freeze(
    data: Path, section: FrozenSettings, base: EncoderRef, seed: int, context: Context
) -> tuple[Model, Task, Outcome]:
    """A model that gives one layer's sentence vectors; nothing above the layer is computed.

    With `tuning` (XTREME-R) the encoder is trained on another task's English rows before.
    """
    target = task(read_record(data), section)
    if section.tuning is not None:
        tuned, _, outcome = train_target(data, section.tuning, base, seed, context)
        encoder = encoders.truncate(tuned.encoder, section.layer)
        return build(encoder, [target], base, context.training), target, outcome
    torch.set_num_threads(context.training.threads)
    encoder = encoders.load_encoder(base, section.layer)
    return build(encoder, [target], base, context.training), target, Outcome()


def ask(
    data: Path, section: PhaseSettings, base: EncoderRef, context: Context
) -> tuple[Model, Task, Outcome]:
    """A decoder that scores choices by their likelihood, and is trained on none."""
    target = task(read_record(data), section)
    torch.set_num_threads(context.training.threads)
    return build(encoders.load_encoder(base), [target], base, context.training), target, Outcome()


# A study: the same training, seen through its English dev score alone


def target_objective(name: str, params: Params) -> Objective:
    """A trial's score: English dev after models/pretrain."""
    base, data = encoders.read_ref(paths.PRETRAIN), paths.target_data(name)
    given = params.targets[name]
    if isinstance(given, FrozenSettings) or given.trained is None:
        raise UserError(
            f"params.yaml: study.target.{name}: this target has no English dev; set its trials to 0"
        )

    def score(
        values: Mapping[str, float], seed: int, folder: Path, reporter: Reporter | None
    ) -> float:
        section, training = with_values(given, params.training, values)
        context = context_of(training, base, folder, reporter, params.run)
        trial_seed = phase_seed(training.seed, 3, 0, seed)
        return dev_score(train_target(data, section, base, trial_seed, context)[2])

    return score
