"""Phase 2: the encoder trained on an intermediate's English tasks; `none` trains nothing."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch

from xstilts import paths
from xstilts.errors import UserError
from xstilts.formats.cards import Card
from xstilts.formats.tables import file_digest, folder_digest, fresh_folder
from xstilts.params import IntermediateSettings, Params
from xstilts.phases.members import Counts, inputs_of, members_of, weigh
from xstilts.phases.provenance import key_of, phase_seed, with_study, with_values, write_phase
from xstilts.phases.stage import Objective, Outcome, begin, build, context_of, dev_score, finish
from xstilts.training import encoder as encoders
from xstilts.training.context import Context
from xstilts.training.encoder import EncoderRef, Model
from xstilts.training.layout import facts
from xstilts.training.loop import Member, Plan, train
from xstilts.training.progress import Reporter


def intermediate_stage(name: str, replicate: int, params: Params) -> None:
    """Train the encoder on an intermediate's members; without any, refer to the encoder itself."""
    data, out_folder = paths.intermediate_data(name), paths.intermediate_model(name, replicate)
    section, training, origins = with_study(
        params.intermediates[name], params.training, paths.study("intermediate", name)
    )
    base = encoders.read_ref(paths.encoder(replicate))
    key = key_of(section, training, replicate, base.digest, folder_digest(data))
    run, work = begin(params.experiment, f"intermediate-{name}-{replicate}", key, out_folder)
    trained, outcome, computed = None, Outcome(), {}
    if section.members:
        context = context_of(training, base, work, run, params.run)
        seed = phase_seed(training.seed, 2, replicate)
        model, outcome = train_intermediate(data, section, base, seed, context)
        trained = model.encoder, context.tokenizer
        computed = facts(model, training)
    card = Card(
        "intermediate",
        name,
        replicate=replicate,
        encoder=base.name,
        source=params.source.name,
        key=key,
        settings=origins,
        computed=computed,
        selection=outcome.selection,
        counts=outcome.counts,
        flags=outcome.flags,
        notes=outcome.notes,
        inputs=outcome.inputs,
    )
    with fresh_folder(out_folder) as out:
        ref = base
        if trained is not None:
            encoders.save(*trained, out)
            weights = file_digest(out / "model.safetensors")
            ref = EncoderRef(base.name, str(out_folder), None, weights)
        encoders.write_ref(out, ref)
        write_phase(out, card, outcome.history)
    finish(run, card, out_folder, work)


def train_intermediate(
    data: Path, section: IntermediateSettings, base: EncoderRef, seed: int, context: Context
) -> tuple[Model, Outcome]:
    """Train a shared encoder with a head for each member; the parts of one task share theirs."""
    members: list[Member] = []
    counts: Counts = {}
    notes: list[str] = []
    for member in section.members:
        loaded, counted, its_notes = members_of(data / member, section, context)
        members += loaded
        counts |= {f"{member}/{key}": value for key, value in counted.items()}
        notes += its_notes
    if section.span and not any(member.task.family_name == "span" for member in members):
        raise UserError(
            f"params.yaml: intermediates: span is given, and none of {', '.join(section.members)} "
            "is a span task; expected null; remove it"
        )
    weighed, steps = weigh(members, section)
    torch.manual_seed(seed)
    encoder = encoders.load_encoder(base)
    model = build(encoder, [member.task for member in weighed], base, context.training)
    plan = Plan(section.learning_rate, steps, section.batch_size, seed)
    progress, selection = train(model, weighed, plan, context)
    return model, Outcome(
        selection=selection,
        flags=(progress.flag,) if progress.flag else (),
        history=progress.history,
        counts=counts,
        notes=tuple(dict.fromkeys(notes)),
        inputs={"encoder": base.digest, **inputs_of(weighed)},
    )


# A study: the same training, seen through its English dev score alone


def intermediate_objective(name: str, params: Params) -> Objective:
    """A trial's score: the mean English dev score of the members."""
    base, data = encoders.read_ref(paths.PRETRAIN), paths.intermediate_data(name)

    def score(
        values: Mapping[str, float], seed: int, folder: Path, reporter: Reporter | None
    ) -> float:
        section, training = with_values(params.intermediates[name], params.training, values)
        context = context_of(training, base, folder, reporter, params.run)
        trial_seed = phase_seed(training.seed, 2, 0, seed)
        return dev_score(train_intermediate(data, section, base, trial_seed, context)[1])

    return score
