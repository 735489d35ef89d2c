"""paths.py and dvc.yaml name the same places, and no other module builds them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from xstilts import paths
from xstilts.params import read_yaml

ROOT = Path(__file__).parent.parent
OUTS = {
    "text": paths.TEXT,
    "data-intermediate": paths.intermediate_data("${item.intermediate}"),
    "data-target": paths.target_data("${item.task}"),
    "pretrain": paths.PRETRAIN,
    "encoder": paths.encoder("${item.replicate}"),
    "study-pretrain": paths.study("pretrain"),
    "study-intermediate": paths.study("intermediate", "${item.intermediate}"),
    "study-target": paths.study("target", "${item.task}"),
    "intermediate": paths.intermediate_model("${item.intermediate}", "${item.replicate}"),
    "target": paths.cell("${item.intermediate}", "${item.task}", "${item.replicate}"),
    "baseline-encoder": paths.encoder("${item.replicate}"),
    "baseline-model": paths.intermediate_model("none", "${item.replicate}"),
    "baseline": paths.cell("none", "${item.task}", "${item.replicate}"),
    "lab": paths.lab("${item.intermediate}", "${item.task}", "${item.replicate}"),
    "report": paths.REPORTS,
}
BUILT = re.compile(r'"(data|models|cells|studies|reports|lab|work|predictions|history)(/[^"\s]*)?"')


@pytest.mark.parametrize("stage", OUTS)
def test_stage_writes_where_paths_says(stage: str) -> None:
    (out,) = read_yaml(ROOT / "dvc.yaml")["stages"][stage]["outs"]
    assert (out if isinstance(out, str) else next(iter(out))) == OUTS[stage].as_posix()


def test_every_stage_has_a_place() -> None:
    stages = read_yaml(ROOT / "dvc.yaml")["stages"]
    assert set(OUTS) == set(stages) - {"code"}
    assert {Path(out).parent for out in stages["code"]["outs"]} == {paths.CODE}


def test_no_other_module_builds_a_path() -> None:
    source = ROOT / "src/xstilts"
    found = {}
    for path in source.rglob("*.py"):
        name = path.relative_to(source).as_posix()
        lines = path.read_text(encoding="utf-8").splitlines()
        built = [line.strip() for line in lines if BUILT.search(line) and "Path(" in line]
        built += [
            line.strip() for line in lines if re.search(r'/ "\w+"', line) and BUILT.search(line)
        ]
        if built and name != "paths.py":
            found[name] = built
    assert found == {}


def test_trainings_are_in_order(tmp_path: Path) -> None:
    assert paths.trainings(tmp_path) == []
    steps = [paths.training_data(tmp_path, n, name) for n, name in ((1, "siqa"), (2, "copa"))]
    for step in reversed(steps):
        step.mkdir(parents=True)
    (tmp_path / "train/notes").write_text("")
    assert paths.trainings(tmp_path) == steps
