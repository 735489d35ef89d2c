"""Phase 1: a reference to a public encoder, or a tokenizer and an encoder trained on data/text."""

from __future__ import annotations

import shutil
from pathlib import Path

from xstilts.formats.cards import Card
from xstilts.formats.tables import file_digest, folder_digest, fresh_folder, read_json
from xstilts.params import Params
from xstilts.phases import pretraining
from xstilts.phases.provenance import WORK, key_of, origins, work_folder, write_phase
from xstilts.phases.stage import DATA, PRETRAIN
from xstilts.running.tracking import open_run
from xstilts.training import encoder as encoders
from xstilts.training.encoder import EncoderRef
from xstilts.training.progress import Progress


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
