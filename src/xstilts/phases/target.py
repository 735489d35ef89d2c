"""Phase 3: a cell. A fresh head is trained on English, or none; every language is scored."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch

from xstilts.errors import UserError
from xstilts.formats.cards import Card
from xstilts.formats.features import steps_per_epoch
from xstilts.formats.tables import digest, folder_digest, fresh_folder, read_json, read_record
from xstilts.params import FrozenSettings, Params, PhaseSettings, TrainingSettings
from xstilts.phases.members import Reading, check_target, inputs_of, members_of
from xstilts.phases.provenance import (
    WORK,
    key_of,
    phase_seed,
    with_study,
    work_folder,
    write_phase,
)
from xstilts.phases.stage import (
    CELLS,
    DATA,
    FEATURES,
    MODELS,
    PRETRAIN,
    STUDIES,
    Place,
    Trained,
    build,
    dev_score,
)
from xstilts.running.tracking import Run, open_run
from xstilts.training import encoder as encoders
from xstilts.training.encoder import EncoderRef
from xstilts.training.evaluation import evaluate_target, passport, task
from xstilts.training.loop import Plan, Setup, train
from xstilts.training.progress import Progress


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


# A study: the same training, seen through its English dev score alone


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
        return dev_score(train_target(data, section, params.training, base, place))

    return score
