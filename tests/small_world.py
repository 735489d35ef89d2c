"""All nine targets on a few rows of the world, with a tiny encoder: cells as a grid leaves them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import xstilts_world as world
from tests.models import tiny_encoder
from xstilts import params
from xstilts.formats.tables import write_text
from xstilts.params import Params, check
from xstilts.phases.intermediate import intermediate_stage
from xstilts.phases.pretrain import encoder_stage, pretrain_stage
from xstilts.phases.target import target_stage
from xstilts.sources import prepare

TRAIN = {"learning_rate": 1e-3, "epochs": 1, "batch_size": 16, "max_length": 96}
SPAN = {**TRAIN, "span": {"doc_stride": 8, "max_question": 24, "max_answer": 8}}
FROZEN = {"layer": 1, "max_length": 64}
TARGETS: dict[str, Any] = {
    "xnli": TRAIN, "pawsx": TRAIN, "udpos": TRAIN, "panx": TRAIN, "xquad": SPAN, "mlqa": SPAN,
    "tydiqa": SPAN, "bucc2018": FROZEN, "tatoeba": FROZEN,
}  # fmt: skip
SETTINGS: dict[str, Any] = {
    "experiment": "small world",
    "pretrain": {"encoder": "encoder"},
    "training": {"device": "cpu", "evaluations": 1},
    "intermediates": {"none": {}, "mnli": {**TRAIN, "members": {"mnli": None}}},
    "targets": TARGETS,
    "grid": {"intermediates": ["none"], "targets": list(TARGETS), "replicates": [1]},
}
ROWS = (24, 12, 20)  # train, dev, test
LANGUAGES = 6


def settings(**grid: object) -> Params:
    return check({**SETTINGS, "grid": {**SETTINGS["grid"], **grid}}, Path("params.yaml"))


def make(folder: Path, patch: pytest.MonkeyPatch) -> None:
    """params.yaml, data/ and cells/none/*/1 in `folder`, which becomes the current one.

    Tests take the fixture `small_world`. data/intermediate/x is of a mixture that nothing trains.
    """
    patch.chdir(folder)
    patch.setenv("XSTILTS_TRACKING", "off")
    sizes = {
        name: (make, *(few if n else 0 for n, few in zip(rows, ROWS, strict=True)))
        for name, (make, *rows) in world.TASKS.items()
    }
    patch.setattr(world, "TASKS", sizes)
    tiny_encoder("xlm-r", Path("encoder"))
    params.write(settings(), Path("params.yaml"), "a small world")
    pretrain_stage(settings())
    encoder_stage(1, settings())
    write_text(Path("studies/intermediate/none.yaml"), "{}\n")
    prepare.prepare_text(settings().source, Path("data/text"))
    for row, members in (("none", {}), ("x", {"mnli": None, "ccg": 8})):
        prepare.prepare_intermediate(members, settings().source, Path("data/intermediate", row))
    intermediate_stage("none", 1, settings())
    for name in TARGETS:
        write_text(Path("studies/target", f"{name}.yaml"), "{}\n")
        prepare.prepare_target(name, settings().source, Path("data/target", name))
        target_stage("none", name, 1, settings())
    # XQuAD and MLQA have train rows of their own here: none waits for the other's training.
    assert not list(Path("work").glob("trainings/*"))
