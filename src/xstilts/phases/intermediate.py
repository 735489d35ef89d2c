"""Phase 2: the encoder trained on a row's English tasks; the baseline `none` trains nothing."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import torch

from xstilts.errors import UserError
from xstilts.formats.cards import Card
from xstilts.formats.tables import digest, file_digest, folder_digest, fresh_folder, read_json
from xstilts.params import Params, RowSettings, TrainingSettings
from xstilts.phases.members import Counts, Reading, inputs_of, members_of, weigh
from xstilts.phases.provenance import (
    WORK,
    key_of,
    phase_seed,
    with_study,
    work_folder,
    write_phase,
)
from xstilts.phases.stage import (
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
from xstilts.training.loop import Member, Plan, Setup, train


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


# A study: the same training, seen through its English dev score alone


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
        return dev_score(train_row(data, section, params.training, base, place))

    return score
