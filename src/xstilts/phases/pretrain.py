"""Phase 1: a reference to a public encoder, or a tokenizer and an encoder trained on data/text."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from xstilts.formats.cards import Card
from xstilts.formats.tables import file_digest, folder_digest, fresh_folder, read_json
from xstilts.params import Params
from xstilts.paths import FEATURES, PRETRAIN, TEXT, study
from xstilts.phases import pretraining
from xstilts.phases.provenance import (
    key_of,
    origins,
    phase_seed,
    with_study,
    with_values,
    write_phase,
)
from xstilts.phases.stage import Objective, begin, finish
from xstilts.training import encoder as encoders
from xstilts.training.context import Context
from xstilts.training.encoder import EncoderRef
from xstilts.training.layout import facts
from xstilts.training.progress import Reporter


def pretrain_stage(params: Params) -> None:
    """Write models/pretrain: weights and tokenizer, or the name of the encoder that params give."""
    if params.pretrain.encoder is not None:
        _name_encoder(params.pretrain.encoder, params)
        return
    section, training, settings = with_study(params.pretrain, params.training, study("pretrain"))
    text = folder_digest(TEXT)
    # The key says whether a checkpoint is this stage's: the text counts, not where it came from.
    key = key_of(section, training, text)
    run, work = begin(params.experiment, "pretrain", key, PRETRAIN)
    tables = pretraining.read_texts(TEXT)
    tokenizer = pretraining.train_tokenizer(tables, section)
    share = section.mask_probability
    context = Context(training, tokenizer, work, FEATURES, run, share, params.run)
    model, progress = pretraining.pretrain(section, tables, context)
    name = f"pretrained here, {section.keep_layers or section.layers} x {section.hidden}"
    card = _card(params, key, name, {"text": text}, read_json(TEXT / "counts.json"))
    card = replace(card, settings=settings, computed=facts(model, training))
    with fresh_folder(PRETRAIN) as out:
        pretraining.save(model, tokenizer, out)
        weights = file_digest(out / "model.safetensors")
        encoders.write_ref(out, EncoderRef(name, str(PRETRAIN), None, weights))
        write_phase(out, card, progress.history)
    finish(run, card, PRETRAIN, work)


def _name_encoder(name: str, params: Params) -> None:
    """Write which public encoder it is: a Hub id's commit, or a folder's digest; no weights."""
    key = key_of(params.pretrain, params.training, None)
    run, work = begin(params.experiment, "pretrain", key, PRETRAIN)
    commit = encoders.hub_revision(name, params.pretrain.revision)
    ref = EncoderRef(name, name, commit, commit or folder_digest(Path(name)))
    encoders.load_tokenizer(ref)  # what has none is said now, and not by the first training
    card = _card(params, key, name, {"encoder": ref.digest}, {})
    with fresh_folder(PRETRAIN) as out:
        encoders.write_ref(out, ref)
        write_phase(out, card, [])
    finish(run, card, PRETRAIN, work)


def _card(
    params: Params,
    key: str,
    encoder: str,
    inputs: dict[str, str],
    counts: dict[str, dict[str, int]],
) -> Card:
    return Card(
        "pretrain",
        encoder=encoder,
        source=params.source.name,
        key=key,
        settings=origins(params.pretrain),
        counts=counts,
        inputs=inputs,
    )


# A study: the same training on a part of the text, judged by its loss on the other, English part


def pretrain_objective(params: Params) -> Objective:
    """A trial's score: the loss on English text that its training does not read."""
    rest, held = pretraining.hold_out(pretraining.read_texts(TEXT), params.study.pretrain.seed)
    tokenizer = pretraining.train_tokenizer(rest, params.pretrain)

    def score(
        values: Mapping[str, float], seed: int, folder: Path, reporter: Reporter | None
    ) -> float:
        section, training = with_values(params.pretrain, params.training, values)
        own_seed = {"seed": phase_seed(training.seed, 1, 0, seed)}
        training = training.model_copy(update=own_seed)
        context = Context(training, tokenizer, folder, FEATURES, reporter, section.mask_probability)
        return pretraining.held_out_loss(section, rest, held, context)

    return score
