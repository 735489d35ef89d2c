"""The selection lab: its checkpoints are the cell's own, and nothing can learn from it."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from statistics import fmean

import pytest

from tests.conftest import ROOT
from tests.small_world import settings
from xstilts import lab, paths
from xstilts.errors import UserError
from xstilts.formats.cards import read_card
from xstilts.formats.tables import folder_digest, read_json
from xstilts.params import Params, read_yaml
from xstilts.phases.target import target_stage


@pytest.fixture
def params(small_world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Params:
    """A copy of the small world, whose XNLI cell has four evaluations."""
    folder = shutil.copytree(small_world, tmp_path / "world")
    monkeypatch.chdir(folder)
    monkeypatch.setenv("XSTILTS_TRACKING", "off")
    chosen = settings()
    training = chosen.training.model_copy(update={"evaluations": 4})
    section = chosen.targets["xnli"].model_copy(update={"epochs": 4})
    targets = {**chosen.targets, "xnli": section}
    chosen = chosen.model_copy(update={"training": training, "targets": targets})
    target_stage("none", "xnli", 1, chosen)
    return chosen


def test_rules_choose_among_the_cells_own_checkpoints(params: Params) -> None:
    cell = paths.cell("none", "xnli", 1)
    before, card = folder_digest(cell), read_card(cell)
    lab.lab_stage("none", "xnli", 1, params)
    assert folder_digest(cell) == before and not list(Path("work").glob("lab-*"))
    about = read_json(paths.lab("none", "xnli", 1) / lab.CARD)
    assert len(about["numbers"]) == 4 and "en" not in about["languages"]
    assert card.selection is not None
    picked = about["picked"]
    assert set(picked[lab.ENGLISH_DEV].values()) == {card.selection.step}
    assert set(picked[lab.LAST].values()) == {card.selection.steps}
    found = lab.rules_of("none", "xnli", [1], 0.95)
    own = fmean(card.scores["test"][code]["accuracy"] for code in about["languages"])
    assert found.numbers[lab.ENGLISH_DEV] == pytest.approx(own)
    for code, step in picked[lab.ORACLE].items():
        dev = {number: of["dev"][code] for number, of in about["numbers"].items()}
        assert dev[str(step)] == max(dev.values())
    assert {"mean of the last 3", lab.ALL} <= set(found.numbers)
    assert len(about["pivots"]) == len(about["languages"])
    assert found.best == lab.ORACLE and set(found.losses) == set(found.numbers) - {lab.ORACLE}
    text = lab.render(found, "none", "xnli")
    assert "none/xnli: zero-shot languages, 1 replicates" in text and lab.ALL in text


def test_another_training_than_the_cells_is_refused(params: Params) -> None:
    curve = paths.cell("none", "xnli", 1) / "history.csv"
    lines = curve.read_text().splitlines()
    at = next(number for number, line in enumerate(lines) if number and line.split(",")[-1])
    lines[at] = f"{lines[at].rpartition(',')[0]},0.123"
    curve.write_text("\n".join(lines) + "\n")
    with pytest.raises(UserError, match=r"English dev .* where the cell has .*0\.123"):
        lab.lab_stage("none", "xnli", 1, params)
    assert not paths.lab("none", "xnli", 1).exists()
    with pytest.raises(UserError, match="tatoeba: it is frozen when it is scored"):
        lab.lab_stage("none", "tatoeba", 1, params)
    with pytest.raises(UserError, match="run `xstilts lab none xnli`"):
        lab.rules_of("none", "xnli", [1], 0.95)


def test_nothing_can_read_what_the_lab_writes() -> None:
    """No stage depends on it; but for its command, no module imports it or names its folder."""
    stages = read_yaml(ROOT / "dvc.yaml")["stages"]
    for name, stage in stages.items():
        assert not any(str(dep).startswith(paths.LAB.name) for dep in stage.get("deps", [])), name
    source = ROOT / "src/xstilts"
    readers = {
        path.relative_to(source).as_posix()
        for path in source.rglob("*.py")
        if re.search(
            r"xstilts\.lab\b|import lab\b|paths\.lab\(|paths\.LAB\b", path.read_text("utf-8")
        )
    }
    # looking/check.py asks how much room the lab will need, of folders that are not there yet.
    assert readers == {"lab.py", "cli/main.py", "looking/check.py"}
