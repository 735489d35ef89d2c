"""The story: pretrain, intermediate, target. What each phase does, a page each.

A stage reads its inputs from the folders that dvc.yaml names and replaces its own output; what is
unfinished lies under work/, keyed by params, inputs and code, so that a killed stage resumes and a
changed one does not.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch
from transformers import PreTrainedModel

from xstilts.errors import UserError
from xstilts.formats.cards import Card, Selection
from xstilts.formats.features import steps_per_epoch
from xstilts.formats.tables import (
    digest,
    file_digest,
    folder_digest,
    fresh_folder,
    read_json,
    read_record,
)
from xstilts.params import (
    FrozenSettings,
    Params,
    PhaseSettings,
    RowSettings,
    TrainingSettings,
)
from xstilts.phases import pretraining
from xstilts.phases.members import Counts, Reading, check_target, inputs_of, members_of, weigh
from xstilts.phases.provenance import (
    WORK,
    key_of,
    origins,
    phase_seed,
    with_study,
    work_folder,
    write_phase,
)
from xstilts.running.tracking import Run, open_run
from xstilts.tasks.families import retrieval
from xstilts.training import encoder as encoders
from xstilts.training.devices import autocast_for, device_for
from xstilts.training.encoder import EncoderRef, Model
from xstilts.training.evaluation import Inference, Predictor, Task, evaluate_target, passport, task
from xstilts.training.loop import Member, Plan, Setup, train
from xstilts.training.progress import Progress

DATA, MODELS, CELLS, STUDIES = (Path(name) for name in ("data", "models", "cells", "studies"))
PRETRAIN = MODELS / "pretrain"
FEATURES = WORK / "features"  # encoded tables, by content


# Phase 1


def pretrain_stage(params: Params) -> None:
    """A tokenizer and an encoder trained on data/text, or a reference to the encoder that params
    name."""
    settings = params.pretrain
    named = settings.encoder is not None
    key = key_of(settings, params.training, None if named else folder_digest(DATA / "text"))
    run, work = open_run(params.experiment, "pretrain", WORK), work_folder("pretrain", key)
    with fresh_folder(PRETRAIN) as out:
        if settings.encoder is not None:
            commit = encoders.hub_revision(settings.encoder, settings.revision)
            known = commit or folder_digest(Path(settings.encoder))
            ref, progress = (
                EncoderRef(settings.encoder, settings.encoder, commit, known),
                Progress(),
            )
        else:
            model, tokenizer, progress = pretraining.pretrain(
                settings, params.training, DATA / "text", work, run
            )
            pretraining.save(model, tokenizer, out)
            layers = settings.keep_layers or settings.layers
            name = f"pretrained here, {layers} x {settings.hidden}"
            ref = EncoderRef(name, str(PRETRAIN), None, file_digest(out / "model.safetensors"))
        encoders.write_ref(out, ref)
        text = DATA / "text"
        card = Card(
            "pretrain",
            encoder=ref.name,
            source=params.source.name,
            key=key,
            settings=origins(settings),
            counts={} if named else read_json(text / "counts.json"),
            inputs={"encoder": ref.digest} if named else {"text": folder_digest(text)},
        )
        write_phase(out, card, progress.history)
    run.finish(card, PRETRAIN)
    shutil.rmtree(work, ignore_errors=True)


# Phase 2


def intermediate_stage(row: str, replicate: int, params: Params) -> None:
    """Train the encoder on a row's English members; `none` has none and keeps a reference, not a
    copy."""
    data, out_folder = DATA / "intermediate" / row, MODELS / "intermediate" / row / str(replicate)
    section, settings = with_study(
        params.intermediates[row], STUDIES / "intermediate" / f"{row}.yaml"
    )
    base = encoders.read_ref(PRETRAIN)
    key = key_of(section, params.training, replicate, base.digest, folder_digest(data))
    name = f"intermediate-{row}-{replicate}"
    run, work = open_run(params.experiment, name, WORK), work_folder(name, key)
    card = Card(
        "intermediate",
        row,
        replicate=replicate,
        encoder=base.name,
        source=params.source.name,
        key=key,
        settings=settings,
    )
    with fresh_folder(out_folder) as out:
        if section.members:
            seed = phase_seed(params.training.seed, 2, replicate)
            trained = train_row(data, section, params.training, base, Place(work, run, seed))
            encoders.save(trained.model.encoder, trained.tokenizer, out)
            ref = EncoderRef(
                base.name, str(out_folder), None, file_digest(out / "model.safetensors")
            )
            card = trained.onto(card)
            write_phase(out, card, trained.progress.history)
        else:
            ref = base
            write_phase(out, card, [])
        encoders.write_ref(out, ref)
    run.finish(card, out_folder)
    shutil.rmtree(work, ignore_errors=True)


def train_row(
    data: Path, section: RowSettings, training: TrainingSettings, base: EncoderRef, place: Place
) -> Trained:
    """A shared encoder and one head a member (a task's parts share theirs), one task a step."""
    tokenizer = encoders.load_tokenizer(base)
    reading = Reading(tokenizer, training, FEATURES)
    members: list[Member] = []
    counts: Counts = {}
    notes: list[str] = []
    for name in section.members:
        found, seen = members_of(data / name, section, reading)
        members += found
        counts |= {f"{name}/{key}": value for key, value in seen.items()}
        notes += read_json(data / name / "notes.json")
    if section.span and not any(member.task.family_name == "span" for member in members):
        raise UserError(
            f"params.yaml: intermediates: span is given, and none of {', '.join(section.members)} "
            "is a span task; expected null; remove it"
        )
    weighed, steps = weigh(members, section)
    torch.manual_seed(place.seed)
    encoder = encoders.load_encoder(base)
    model = build(encoder, [member.task for member in weighed], base, training)
    plan = Plan(section.learning_rate, steps, section.batch_size, place.seed)
    setup = Setup(training, encoders.special_tokens(tokenizer), place.work, place.run)
    progress, selection = train(model, weighed, plan, setup)
    inputs = {"encoder": base.digest, **inputs_of(weighed)}
    return Trained(
        model, tokenizer, progress, selection, counts, tuple(dict.fromkeys(notes)), inputs
    )


# Phase 3


def target_stage(row: str, name: str, replicate: int, params: Params) -> None:
    """A cell: train a fresh head (and the encoder) on English, then score every language; frozen
    for retrieval."""
    data, source = DATA / "target" / name, MODELS / "intermediate" / row / str(replicate)
    out_folder = CELLS / row / name / str(replicate)
    section, settings = with_study(params.targets[name], STUDIES / "target" / f"{name}.yaml")
    base = encoders.read_ref(source)
    record = read_record(data)
    check_target(record, section)
    key = key_of(section, params.training, replicate, base.digest, folder_digest(data))
    cell = f"target-{row}-{name}-{replicate}"
    run, work = open_run(params.experiment, cell, WORK), work_folder(cell, key)
    seed = phase_seed(params.training.seed, 3, replicate)
    card = Card(
        "target", row, name, replicate, record.family, base.name, params.source.name, key, settings,
        main=record.main, notes=tuple(read_json(data / "notes.json")),
    )  # fmt: skip
    if isinstance(section, FrozenSettings):
        trained = freeze(data, section, params.training, base, Place(work, run, seed))
    else:
        trained = train_target(data, section, params.training, base, Place(work, run, seed))
    with fresh_folder(out_folder) as out:
        predictor = trained.predictor(params.training)
        evaluated = evaluate_target(predictor, data, out)
        evaluated.inputs.update(trained.inputs)  # a number means what it was trained on, too
        card = replace(
            trained.onto(card),
            scores=evaluated.scores,
            inputs={"encoder": base.digest, **evaluated.inputs},
            counts={**trained.counts, **evaluated.counts},
            passport={
                **passport(record, predictor.task, trained.selection, evaluated),
                "seed": seed,
            },
        )
        write_phase(out, card, trained.progress.history)
        if params.training.keep_encoder and not isinstance(section, FrozenSettings):
            encoders.save(trained.model.encoder, trained.tokenizer, out / "encoder")
    run.finish(card, out_folder)
    shutil.rmtree(work, ignore_errors=True)


def train_target(
    data: Path, section: PhaseSettings, training: TrainingSettings, base: EncoderRef, place: Place
) -> Trained:
    """The steps under data/train, one after another (COPA after SIQA), with one fresh head.
    English only."""
    record = read_record(data)
    tokenizer = encoders.load_tokenizer(base)
    reading = Reading(tokenizer, training, FEATURES)
    steps = sorted(path for path in (data / "train").iterdir() if path.is_dir())
    read = [members_of(path, section, reading) for path in steps]
    counts = {
        f"train/{p.name}/{k}": v
        for p, (_, seen) in zip(steps, read, strict=True)
        for k, v in seen.items()
    }
    torch.manual_seed(place.seed)
    encoder = encoders.load_encoder(base)
    last = read[-1][0][0].task
    target = task(record, section, last.settings.labels) if record.trained else last
    model = build(encoder, [target], base, training)
    for number, (members, _) in enumerate(read):
        ours = [replace(member, task=replace(member.task, head=target.head)) for member in members]
        length = max(
            1,
            round(
                section.epochs
                * sum(steps_per_epoch(len(m.index), section.batch_size) for m in ours)
            ),
        )
        plan = Plan(section.learning_rate, length, section.batch_size, place.seed + number)
        work = place.work / f"step-{number + 1}"
        setup = Setup(training, encoders.special_tokens(tokenizer), work, place.run)
        progress, selection = train(model, ours, plan, setup)
    inputs = inputs_of([member for members, _ in read for member in members])
    return Trained(model, tokenizer, progress, selection, counts, (), inputs, target)


def freeze(
    data: Path, section: FrozenSettings, training: TrainingSettings, base: EncoderRef, place: Place
) -> Trained:
    """Sentence vectors of one layer, of the encoder as it is or tuned before on another task's
    English rows (XTREME-R); nothing above the layer is computed."""
    target = task(read_record(data), section)
    if section.tuning is not None:
        tuned = train_target(data, section.tuning, training, base, place)
        encoder = encoders.truncate(tuned.model.encoder, section.layer)
        return replace(tuned, model=build(encoder, [target], base, training), target=target)
    tokenizer = encoders.load_tokenizer(base)
    torch.set_num_threads(training.threads)
    model = build(encoders.load_encoder(base, section.layer), [target], base, training)
    return Trained(model, tokenizer, Progress(), target=target)


# Studies: the same trainings, seen through their English dev score alone


def intermediate_objective(
    row: str, params: Params, work: Path
) -> Callable[[float, float, int, Run | None], float]:
    """(learning rate, epochs, seed, run) -> mean English dev score of the row's members."""
    base, data = encoders.read_ref(PRETRAIN), DATA / "intermediate" / row

    def score(learning_rate: float, epochs: float, seed: int, run: Run | None) -> float:
        section = params.intermediates[row].model_copy(
            update={"learning_rate": learning_rate, "epochs": epochs}
        )
        place = Place(
            work / digest(learning_rate, epochs, seed),
            run,
            phase_seed(params.training.seed, 2, 0, seed),
        )
        return _dev_score(train_row(data, section, params.training, base, place))

    return score


def target_objective(
    name: str, params: Params, work: Path
) -> Callable[[float, float, int, Run | None], float]:
    """(learning rate, epochs, seed, run) -> English dev score of the target after
    models/pretrain."""
    base, data, given = encoders.read_ref(PRETRAIN), DATA / "target" / name, params.targets[name]
    if isinstance(given, FrozenSettings):
        raise UserError(
            f"params.yaml: study.target.{name}: this target has no English dev; set its trials to 0"
        )

    def score(learning_rate: float, epochs: float, seed: int, run: Run | None) -> float:
        section = given.model_copy(update={"learning_rate": learning_rate, "epochs": epochs})
        place = Place(
            work / digest(learning_rate, epochs, seed),
            run,
            phase_seed(params.training.seed, 3, 0, seed),
        )
        return _dev_score(train_target(data, section, params.training, base, place))

    return score


def _dev_score(trained: Trained) -> float:
    if trained.selection is None:
        raise UserError("this row has no member with an English dev set; set its trials to 0")
    return trained.selection.score


# What the phases share


@dataclass(frozen=True)
class Trained:
    """A trained (or frozen) model and how it came about."""

    model: Model
    tokenizer: encoders.Tokenizer
    progress: Progress
    selection: Selection | None = None
    counts: Counts = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    inputs: dict[str, str] = field(default_factory=dict)  # digests of what trained and selected
    target: Task | None = None

    def onto(self, card: Card) -> Card:
        """The card with what the training adds to it."""
        flags = (self.progress.flag,) if self.progress.flag else ()
        notes = tuple(dict.fromkeys((*card.notes, *self.notes)))
        return replace(
            card,
            selection=self.selection,
            counts=self.counts,
            flags=flags,
            notes=notes,
            inputs=self.inputs,
        )

    def predictor(self, training: TrainingSettings) -> Predictor:
        assert self.target is not None
        inference = Inference(
            encoders.special_tokens(self.tokenizer), training.token_budget, autocast_for(training)
        )
        settle = retrieval.settle if self.target.family_name == "retrieval" else None
        return Predictor(self.model, self.tokenizer, self.target, inference, FEATURES, settle)


@dataclass(frozen=True)
class Place:
    """Where a training leaves its checkpoints, whom it tells, and its seed."""

    work: Path
    run: Run | None
    seed: int


def build(
    encoder: PreTrainedModel,
    tasks: Sequence[Task],
    base: EncoderRef,
    training: TrainingSettings,
) -> Model:
    """Fresh heads by name; a masked_lm head starts from the encoder's own where it was saved with
    one."""
    heads: dict[str, torch.nn.Module] = {}
    for one in tasks:
        encoders.check_length(encoder, one.settings.max_length)
        if one.head not in heads:
            heads[one.head] = one.family.head(encoders.config_copy(encoder), one.settings)
            if one.family_name == "masked_lm":
                encoders.adopt_lm_head(heads[one.head], encoder, base)
    return Model(encoder, heads).to(device_for(training))
