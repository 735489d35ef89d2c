"""Phase 1: a reference to a public encoder, or a tokenizer and an encoder trained on data/text."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from xstilts.formats.cards import Card
from xstilts.formats.tables import file_digest, folder_digest, fresh_folder, read_json
from xstilts.params import Params
from xstilts.paths import FEATURES, PRETRAIN, TEXT, encoder, study
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

FIRST = 1  # the replicate that starts from the encoder that studies read


def pretrain_stage(params: Params) -> None:
    """Write models/pretrain: weights and tokenizer, or the name of the encoder that params give."""
    if params.pretrain.encoder is not None:
        _name_encoder(params.pretrain.encoder, params)
    else:
        _train_encoder(params, PRETRAIN)


def encoder_stage(replicate: int, params: Params) -> None:
    """Write models/encoder/REPLICATE: a reference to models/pretrain, or an encoder of its own."""
    out_folder = encoder(replicate)
    trained_here = params.pretrain.encoder is None
    if trained_here and params.pretrain.each_replicate and replicate != FIRST:
        _train_encoder(params, out_folder, replicate)
        return
    with fresh_folder(out_folder) as out:
        encoders.write_ref(out, encoders.read_ref(PRETRAIN))


def _train_encoder(params: Params, out_folder: Path, replicate: int = 0) -> None:
    """Train a tokenizer and an encoder on data/text. replicate: 0 for the one that studies read.

    Of the same text all tokenizers are the same.
    """
    section, training, settings = with_study(params.pretrain, params.training, study("pretrain"))
    if replicate:
        own = {"seed": phase_seed(training.seed, 1, replicate)}
        training = training.model_copy(update=own)
    text = folder_digest(TEXT)
    # The key says whether a checkpoint is this stage's: the text counts, not where it came from.
    key = key_of(section, training, text)
    stage = f"pretrain-{replicate}" if replicate else "pretrain"
    run, work = begin(params.experiment, stage, key, out_folder)
    tables = pretraining.read_texts(TEXT)
    tokenizer = pretraining.train_tokenizer(tables, section)
    share = section.mask_probability
    context = Context(training, tokenizer, work, FEATURES, run, share, params.run)
    model, progress = pretraining.pretrain(section, tables, context)
    name = f"pretrained here, {section.keep_layers or section.layers} x {section.hidden}"
    card = _card(params, key, name, {"text": text}, read_json(TEXT / "counts.json"))
    card = replace(card, replicate=replicate, settings=settings, computed=facts(model, training))
    with fresh_folder(out_folder) as out:
        pretraining.save(model, tokenizer, out)
        weights = file_digest(out / "model.safetensors")
        encoders.write_ref(out, EncoderRef(name, str(out_folder), None, weights))
        write_phase(out, card, progress.history)
    finish(run, card, out_folder, work)


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
