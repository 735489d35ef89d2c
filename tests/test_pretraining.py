"""Phase 1 where no public encoder is named: the same text and seed give the same bytes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from tests.models import TEXTS
from xstilts import paths
from xstilts.errors import UserError
from xstilts.formats.cards import read_card
from xstilts.formats.tables import Table, folder_digest, write_table, write_text
from xstilts.params import PretrainSettings, check
from xstilts.phases import pretraining
from xstilts.phases.pretrain import encoder_stage, pretrain_stage
from xstilts.running.logbook import cell_key
from xstilts.training import encoder as encoders
from xstilts.training.encoder import EncoderRef

RUN = """
import sys
from pathlib import Path
from xstilts.phases import pretraining
from xstilts.params import PretrainSettings, TrainingSettings
from xstilts.training.context import Context

text, outs = (Path(word) for word in sys.argv[1:3])
for architecture in sys.argv[3:]:
    settings = PretrainSettings(architecture=architecture, vocabulary=120, layers=2, keep_layers=1,
                                hidden=16, heads=2, intermediate=16, steps=4, batch_size=8,
                                max_length=32)
    work = outs / f"work-{architecture}"
    tables = pretraining.read_texts(text)
    tokenizer = pretraining.train_tokenizer(tables, settings)
    context = Context(TrainingSettings(device="cpu"), tokenizer, work / "w", work / "features")
    model, progress = pretraining.pretrain(settings, tables, context)
    pretraining.save(model, tokenizer, outs / architecture)
    assert len(progress.history) == 1 and progress.history[0]["loss"] > 0
"""
ARCHITECTURES = ("xlm-roberta", "modernbert")


@pytest.fixture(scope="module")
def twice(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """What each of two processes made of the same text; their hash seeds differ."""
    folder = tmp_path_factory.mktemp("pretraining")
    for language in ("en", "de"):
        rows = [{"text": text, "pair": TEXTS[0] if n else None} for n, text in enumerate(TEXTS * 4)]
        write_table(folder / "text", "masked_lm", "train", language, rows)
    for number in range(2):
        words = [str(folder / "text"), str(folder / str(number)), *ARCHITECTURES]
        environment = {**os.environ, "PYTHONHASHSEED": str(number)}
        subprocess.run([sys.executable, "-c", RUN, *words], check=True, env=environment)
    return [folder / str(number) for number in range(2)]


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_pretraining_twice_gives_equal_bytes_that_load(
    twice: list[Path], architecture: str
) -> None:
    outs = [folder / architecture for folder in twice]
    assert folder_digest(outs[0]) == folder_digest(outs[1])
    ref = EncoderRef("here", str(outs[0]), None, "")
    tokenizer = encoders.load_tokenizer(ref)
    assert tokenizer("The dog .", "The cat .")["input_ids"].count(tokenizer.eos_token_id) == 3
    loaded = encoders.load_encoder(ref)
    assert loaded.config.num_hidden_layers == 1
    weights = load_file(outs[0] / "model.safetensors")
    found = loaded.state_dict()
    assert all(
        any(torch.equal(value, kept) for kept in weights.values()) for value in found.values()
    )


def test_each_replicate_may_have_an_encoder_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first has the one that studies read; of one text all have the same tokenizer."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XSTILTS_TRACKING", "off")
    for language in ("en", "de"):
        rows = [{"text": text, "pair": None} for text in TEXTS * 4]
        write_table(paths.TEXT, "masked_lm", "train", language, rows)
    write_text(paths.TEXT / "counts.json", "{}")
    write_text(paths.study("pretrain"), "{}")
    shape = {"vocabulary": 120, "layers": 1, "hidden": 16, "heads": 2, "intermediate": 16}
    few = {"steps": 4, "batch_size": 8, "max_length": 32, "each_replicate": True}
    given = check({"pretrain": {**shape, **few}, "training": {"device": "cpu"}}, Path("p.yaml"))
    pretrain_stage(given)
    for replicate in (1, 2, 3):
        encoder_stage(replicate, given)
    refs = [
        encoders.read_ref(folder) for folder in (paths.PRETRAIN, *map(paths.encoder, (1, 2, 3)))
    ]
    assert refs[0] == refs[1] and not (paths.encoder(1) / "model.safetensors").exists()
    assert len({ref.digest for ref in refs}) == 3
    assert {ref.location for ref in refs[2:]} == {"models/encoder/2", "models/encoder/3"}
    pieces = [(Path(ref.location) / "tokenizer.json").read_bytes() for ref in refs]
    assert len(set(pieces)) == 1
    keys = {cell_key(read_card(Path(ref.location))) for ref in refs}
    assert keys == {"pretrain", "pretrain-2", "pretrain-3"}
    before = folder_digest(paths.encoder(2))
    encoder_stage(2, given)
    assert folder_digest(paths.encoder(2)) == before
    for change in ({"each_replicate": False}, {"encoder": "a public one"}):
        section = given.pretrain.model_copy(update=change)
        encoder_stage(2, given.model_copy(update={"pretrain": section}))
        assert encoders.read_ref(paths.encoder(2)) == refs[0]


def test_no_text_is_an_error(tmp_path: Path) -> None:
    write_table(tmp_path / "text", "masked_lm", "train", "en", [])
    with pytest.raises(UserError, match=r"pretrain\.encoder"):
        pretraining.read_texts(tmp_path / "text")


def test_words_without_spaces_between_them_are_the_same_pieces_everywhere() -> None:
    texts = ["ネコ dog", "the ネコ runs", "theネコ runs", "ネコ。", "a dog runs", "the the a a"] * 4
    table = Table("text", "train", "en", [{"text": text, "pair": None} for text in texts])
    tokenizer = pretraining.train_tokenizer([table], PretrainSettings(vocabulary=50))
    for text in ("ネコ", "the ネコ runs", "theネコ runs", "ネコ。"):
        pieces = [piece for piece in tokenizer.tokenize(text) if {*piece} & {*"▁ネコ"}]
        assert "ネコ" in "".join(pieces) and "▁" not in pieces
        assert not any("▁" in piece and {*piece} & {*"ネコ"} for piece in pieces)
