"""Phase 1 where no public encoder is named: the same text and seed give the same bytes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.models import TEXTS
from xstilts import encoder as encoders
from xstilts.encoder import EncoderRef
from xstilts.tables import folder_digest, write_table

RUN = """
import sys
from pathlib import Path
from xstilts import pretraining
from xstilts.params import PretrainSettings, TrainingSettings

text, out, work = (Path(word) for word in sys.argv[1:])
settings = PretrainSettings(vocabulary=120, layers=1, hidden=16, heads=2, intermediate=16, steps=4,
                            batch_size=8, max_length=32)
training = TrainingSettings(device="cpu")
model, tokenizer, progress = pretraining.pretrain(settings, training, text, work, None)
pretraining.save(model, tokenizer, out)
assert len(progress.history) == 1 and progress.history[0]["loss"] > 0
"""


def test_pretraining_twice_gives_equal_bytes_that_load(tmp_path: Path) -> None:
    for language in ("en", "de"):
        rows = [{"text": text, "pair": TEXTS[0] if n else None} for n, text in enumerate(TEXTS * 4)]
        write_table(tmp_path / "text", "masked_lm", "train", language, rows)
    outs = [tmp_path / "a", tmp_path / "b"]
    for number, out in enumerate(outs):
        words = [str(tmp_path / "text"), str(out), str(tmp_path / f"work-{number}" / "w")]
        environment = {**os.environ, "PYTHONHASHSEED": str(number)}
        subprocess.run([sys.executable, "-c", RUN, *words], check=True, env=environment)
    assert folder_digest(outs[0]) == folder_digest(outs[1])
    ref = EncoderRef("here", str(outs[0]), None, "")
    tokenizer = encoders.load_tokenizer(ref)
    assert tokenizer("The dog .", "The cat .")["input_ids"].count(tokenizer.eos_token_id) == 3
    assert encoders.load_encoder(ref).config.num_hidden_layers == 1
