"""What an encoder's own masked-LM loss says of languages, where the loss is known."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from transformers import AutoModel, AutoModelForMaskedLM

from tests.models import tiny_encoder
from xstilts.errors import UserError
from xstilts.looking.exposure import bits_a_character
from xstilts.looking.facts import exposure
from xstilts.params import TrainingSettings, load
from xstilts.training import encoder as encoders
from xstilts.training.encoder import EncoderRef

TRAINING = TrainingSettings(device="cpu", threads=1)


@pytest.mark.parametrize("architecture", ["xlm-r", "modernbert"])
def test_an_encoder_that_knows_nothing_gives_every_piece_the_same_chance(
    architecture: str, tmp_path: Path
) -> None:
    ref = tiny_encoder(architecture, tmp_path / "encoder")
    model = AutoModelForMaskedLM.from_pretrained(tmp_path / "encoder")
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if weight.ndim == 1 and ("lm_head" in name or "head.norm" in name or "decoder" in name):
                weight.zero_()
    model.save_pretrained(tmp_path / "encoder")
    texts = {
        "en": ["the old dog sleeps"] * 40 + ["a cat", "big birds sing"],
        "de": ["so it is now"],
    }
    texts["de"] += [f"{one} and {one}" for one in texts["en"][-2:]]
    found = bits_a_character(ref, texts, TRAINING, silent=True)
    tokenizer = encoders.load_tokenizer(ref)
    for language, lines in texts.items():
        own = list(dict.fromkeys(lines))
        ids = tokenizer(own, add_special_tokens=False)["input_ids"]
        pieces = sum(one not in tokenizer.all_special_ids for line in ids for one in line)
        wanted = math.log2(len(tokenizer)) * pieces / sum(map(len, own))
        assert found[language] == pytest.approx(wanted, rel=1e-5)


def test_an_encoder_without_its_head_is_refused(tmp_path: Path) -> None:
    tiny_encoder("xlm-r", tmp_path / "encoder")
    bare = AutoModel.from_pretrained(tmp_path / "encoder")
    bare.save_pretrained(tmp_path / "bare")
    encoders.load_tokenizer(EncoderRef("", str(tmp_path / "encoder"), None, "")).save_pretrained(
        tmp_path / "bare"
    )
    ref = EncoderRef("bare", str(tmp_path / "bare"), None, "")
    with pytest.raises(UserError, match="bare was saved without its masked-LM head"):
        bits_a_character(ref, {"en": ["a cat"]}, TRAINING, silent=True)


def test_a_targets_languages_are_read(small_world: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(small_world)
    (facts,) = exposure("xnli", load()).values()
    assert len(facts) == 6 and all(0 < value < 20 for value in facts.values())
    with pytest.raises(UserError, match="mewslix: no tables; expected the target's"):
        exposure("mewslix", load())
