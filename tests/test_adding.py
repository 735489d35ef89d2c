"""docs/adding.md, done to a copy: a task, a source and a family are added and trained."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.models import tiny_encoder

ROOT = Path(__file__).parent.parent
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LABELS = ("entailment", "not_entailment")
TOUCHED = {
    "src/xstilts/tasks/catalogue/classification.py",
    "src/xstilts/sources/readers/table.py",
    "src/xstilts/sources/readers/__init__.py",
    "experiments/rte.yaml",
    "src/xstilts/sources/jsonl.py",
    "src/xstilts/sources/__init__.py",
    "src/xstilts/tasks/families/multilabel.py",
    "src/xstilts/tasks/families/__init__.py",
    "src/xstilts/formats/tables.py",
    "src/xstilts/looking/families.py",
    "src/xstilts/results/formats.py",
    "src/xstilts/results/conventions.py",
    "src/xstilts/leaving/rows.py",
    "tests/rows.py",
    "tests/families/test_families.py",
}


def apply_document(folder: Path) -> list[str]:
    """Do what every block of the document says; the files that it touched, in its order."""
    touched = []
    for kind, text in BLOCK.findall((ROOT / "docs/adding.md").read_text(encoding="utf-8")):
        if kind == "diff":
            for part in re.split(r"^(?=--- )", text, flags=re.MULTILINE)[1:]:
                header, _, hunks = part.partition("\n")
                touched.append(header.removeprefix("--- "))
                for hunk in re.split(r"^@@\n", hunks, flags=re.MULTILINE):
                    _change(folder / touched[-1], hunk)
        else:
            header, _, content = text.partition("\n")
            touched.append(header.removeprefix("# "))
            assert not (folder / touched[-1]).exists()
            (folder / touched[-1]).write_text(content, encoding="utf-8")
    return touched


def _change(path: Path, hunk: str) -> None:
    lines = [(line[:1], line[1:]) for line in hunk.splitlines(keepends=True)]
    assert {sign for sign, _ in lines} <= {" ", "-", "+", "\n"}, hunk
    old = "".join(line or "\n" for sign, line in lines if sign != "+")
    new = "".join(line or "\n" for sign, line in lines if sign != "-")
    text = path.read_text(encoding="utf-8")
    assert text.count(old) == 1, f"{path.name} has this {text.count(old)} times:\n{old}"
    path.write_text(text.replace(old, new), encoding="utf-8")


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The package, its tests and experiments after all that the document says."""
    folder = tmp_path_factory.mktemp("adding")
    ignored = shutil.ignore_patterns("__pycache__", "golden", "*.tar.xz")
    for name in ("src", "tests", "experiments"):
        shutil.copytree(ROOT / name, folder / name, ignore=ignored)
    shutil.copy(ROOT / "pyproject.toml", folder)
    assert set(apply_document(folder)) == TOUCHED
    tiny_encoder("xlm-r", folder / "encoder")
    return folder


def run(folder: Path, *words: str) -> str:
    """A command in the copy, with the copy's sources."""
    source = os.pathsep.join([str(folder / "src"), str(folder)])
    inherited = {k: v for k, v in os.environ.items() if not k.startswith("PYTEST_")}
    done = subprocess.run(
        [sys.executable, *words],
        cwd=folder,
        env={**inherited, "PYTHONPATH": source, "XSTILTS_TRACKING": "off"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_added_code_keeps_the_style(copy: Path) -> None:
    files = [name for name in TOUCHED if name.startswith("src")]
    run(copy, "-m", "ruff", "check", "--no-cache", *files)
    run(copy, "-m", "ruff", "format", "--no-cache", "--check", *files)


STAGES = """
import json
from dataclasses import asdict
from pathlib import Path
from xstilts.phases.intermediate import intermediate_stage
from xstilts.phases.pretrain import encoder_stage, pretrain_stage
from xstilts.phases.target import target_stage
from xstilts.running import experiments
from xstilts.formats.cards import read_card
from xstilts.tasks.catalogue import RECORDS
from xstilts.params import PhaseSettings, IntermediateSettings, SourceSettings
from xstilts.sources.prepare import prepare_intermediate, prepare_target
from xstilts.formats.tables import Record, write_text

RECORDS["topics"] = Record(
    name="topics", family="multilabel", roles=("target",), group="text", languages=("en", "de"),
    metrics=("accuracy",), main=("accuracy",), licence="none", title="made up",
    labels=("animals", "places"),
)
given = experiments.resolve(Path("experiments/rte.yaml"))
two_steps = {"epochs": 1.0, "batch_size": 4}
row = given.intermediates["rte"].model_copy(update=two_steps)
chosen = given.model_copy(update={
    "source": SourceSettings(name="files", path="raw"),
    "pretrain": given.pretrain.model_copy(update={"encoder": "encoder"}),
    "intermediates": {"none": IntermediateSettings(), "rte": row},
    "targets": {"topics": PhaseSettings(max_length=48, **two_steps)},
    "grid": given.grid.model_copy(update={"targets": ["topics"]}),
})
prepare_intermediate(row.members, chosen.source, Path("data/intermediate/rte"))
prepare_intermediate({}, chosen.source, Path("data/intermediate/none"))
prepare_target("topics", SourceSettings(name="jsonl", path="mine"), Path("data/target/topics"))
for study in ("intermediate/rte", "intermediate/none", "target/topics"):
    write_text(Path(f"studies/{study}.yaml"), "{}")
pretrain_stage(chosen)
encoder_stage(1, chosen)
for name in ("none", "rte"):
    intermediate_stage(name, 1, chosen)
    target_stage(name, "topics", 1, chosen)
cards = {name: Path(name) for name in ("models/intermediate/rte/1", "cells/rte/topics/1")}
print(json.dumps({name: asdict(read_card(path)) for name, path in cards.items()}))
"""


def test_what_was_added_is_prepared_trained_and_scored(copy: Path) -> None:
    rte = copy / "raw/rte/RTE"
    rte.mkdir(parents=True)
    for split, size in (("train", 8), ("dev", 4)):
        lines = [f"{n}\tThe dog saw a cat .\tA cat .\t{LABELS[n % 2]}" for n in range(size)]
        text = "\n".join(["index\tsentence1\tsentence2\tlabel", *lines, ""])
        (rte / f"{split}.tsv").write_text(text)
    topics = copy / "mine/topics"
    topics.mkdir(parents=True)
    for split, language in (("train", "en"), ("dev", "en"), ("dev", "de"), ("test", "de")):
        rows = [{"id": str(n), "text": "Der Hund .", "labels": ["animals"]} for n in range(8)]
        hidden = {"labels": None} if split == "test" else {}
        text = "".join(json.dumps({**row, **hidden}) + "\n" for row in rows)
        (topics / f"{split}-{language}.jsonl").write_text(text)

    cards = json.loads(run(copy, "-W", "error", "-c", STAGES).splitlines()[-1])
    model, cell = cards["models/intermediate/rte/1"], cards["cells/rte/topics/1"]
    assert _selection(model) == ("rte: accuracy", 2, 4)
    assert model["counts"]["rte/train-en"]["official"] == 2490
    assert _selection(cell) == ("topics: accuracy", 2, 8)
    assert set(cell["scores"]["dev"]) == {"de", "en"} and "test" not in cell["scores"]
    assert cell["counts"]["test-de"]["predicted"] == 8


def _selection(card: dict[str, Any]) -> tuple[str, int, int]:
    chosen = card["selection"]
    return chosen["metric"], chosen["steps"], chosen["rows"]


def test_malformed_rows_are_one_line(copy: Path) -> None:
    (copy / "raw/bad/rte/RTE").mkdir(parents=True)
    bad = "index\tsentence1\tsentence2\tlabel\n0\ta\tb\tentails\n"
    (copy / "raw/bad/rte/RTE/train.tsv").write_text(bad)
    (copy / "mine/bad/topics").mkdir(parents=True)
    (copy / "mine/bad/topics/dev-en.jsonl").write_text('{"id": "0"}\n{"id"\n')
    code = """
from dataclasses import replace
from xstilts.tasks.catalogue import RECORDS
from xstilts.errors import UserError
from xstilts.params import SourceSettings
from xstilts.sources import source_named
topics = replace(RECORDS["rte"], name="topics", languages=("en",))
asked = [("files", "raw/bad", RECORDS["rte"], "train"), ("jsonl", "mine/bad", topics, "dev")]
for name, path, record, split in asked:
    try:
        source_named(name).read(record, split, "en", SourceSettings(name=name, path=path))
    except UserError as error:
        print(error)
"""
    first, second = run(copy, "-c", code).splitlines()
    assert first.startswith("raw/bad/rte/RTE/train.tsv:2: label 'entails' is not one of")
    assert second.startswith("mine/bad/topics/dev-en.jsonl:2: not JSON")


def test_new_family_is_under_the_contract_of_all(copy: Path) -> None:
    words = ["-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/families"]
    names = "multilabel and not (bert or roberta or deberta)"
    assert " passed" in run(copy, *words, "-k", names)
