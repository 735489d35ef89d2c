"""scripts/same-scores: equal folders of cells are equal, and whatever differs is named."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from xstilts import paths
from xstilts.formats.cards import Card, write_card

SCRIPT = Path(__file__).parent.parent / "scripts/same-scores"
CARD = Card("target", "none", "xnli", 1, scores={"test": {"de": {"accuracy": 0.5}}}, key="before")


def cells(folder: Path, card: Card, prediction: str) -> Path:
    place = folder / paths.cell("none", "xnli", 1)
    write_card(place, card)
    file = paths.prediction_file(place, "test", "de")
    file.parent.mkdir()
    file.write_text(prediction)
    return folder


@pytest.mark.parametrize(
    ("score", "prediction", "said"),
    [
        (0.5, "a", "1 cards: equal scores, selections and predictions"),
        (0.6, "a", "cells/none/xnli/1: scores"),
        (0.5, "b", "cells/none/xnli/1: test-de.jsonl"),
    ],
)
def test_difference_is_named(tmp_path: Path, score: float, prediction: str, said: str) -> None:
    before = cells(tmp_path / "before", CARD, "a")
    scores = {"test": {"de": {"accuracy": score}}}
    after = cells(tmp_path / "after", replace(CARD, scores=scores, key="after"), prediction)
    done = subprocess.run(
        [sys.executable, SCRIPT, before, after], capture_output=True, text=True, check=False
    )
    assert (done.stdout.strip(), done.returncode) == (said, int("equal" not in said))


def test_card_on_one_side_alone_is_a_difference(tmp_path: Path) -> None:
    before = cells(tmp_path / "before", CARD, "a")
    done = subprocess.run(
        [sys.executable, SCRIPT, before, tmp_path], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1 and "cells/none/xnli/1: on one side alone" in done.stdout
