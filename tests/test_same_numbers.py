"""What is equal on every machine, held to digests: the world's rows, the tokenizer, every batch.

Weights are not, from the first steps on: kernels add in another order on another CPU (README,
benchmarks/same_numbers.py). A digest that changes here means that older tables are of other data.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from xstilts.formats.tables import Table, digest, read_table, tables_in
from xstilts.params import PretrainSettings, TrainingSettings
from xstilts.phases import pretraining
from xstilts.phases.members import text_member
from xstilts.tasks.families import FAMILIES
from xstilts.tasks.families.protocol import TaskSettings
from xstilts.training.batches import draw_members
from xstilts.training.context import Context
from xstilts.training.devices import accelerator_for
from xstilts.training.loop import Plan, drawn, step_batches
from xstilts.training.task import Task

GOLDEN = {
    "rows": "3fd429bc98b7600a",
    "pieces": "821684edf5cef382",
    "batches": "29c129270085134b",
    "order": "999ea58474fc458e",
}


def tables(folder: Path) -> list[Table]:
    return [read_table(folder, split, language) for split, language in tables_in(folder)]


def test_data_tokenizer_and_batches_are_the_same_everywhere(
    small_world: Path, tmp_path: Path
) -> None:
    folders = sorted(path.parent for path in (small_world / "data").rglob("record.json"))
    rows = [(table.task, table.split, table.language, table.rows)
            for folder in folders for table in tables(folder)]  # fmt: skip
    texts = tables(small_world / "data/text")
    section = PretrainSettings(vocabulary=300)
    tokenizer = pretraining.train_tokenizer(texts, section)
    training = TrainingSettings(device="cpu", token_budget=256)
    context = Context(training, tokenizer, tmp_path / "work", tmp_path / "cache", None, 0.3)
    task = Task("text", "masked_lm", FAMILIES["masked_lm"], TaskSettings(48), "masked_lm")
    member, plan = text_member(task, texts, 0.7, context), Plan(1e-3, 8, 16, seed=1)
    seen = [
        {name: tensor.tolist() for name, tensor in sorted(batch.items())}
        for step, one, examples in drawn([member], plan, 0)
        for batch in step_batches(accelerator_for(training), one, examples, context, (1, step))
    ]
    found = {
        "rows": digest(rows),
        "pieces": digest(tokenizer.backend_tokenizer.to_str()),
        "batches": digest(seen),
        "order": digest(np.asarray(draw_members([3.0, 1.0, 2.0], 60, seed=1)).tolist()),
    }
    assert found == GOLDEN
