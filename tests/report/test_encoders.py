"""Encoders side by side: on the cards that are kept in git, and where the truth is known."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from tests.answers.made_up import Regime, column
from tests.conftest import ROOT
from xstilts.cli.main import app
from xstilts.errors import UserError
from xstilts.params import BASELINE, AnswerSettings
from xstilts.results.compare import compare, grid_at
from xstilts.results.encoders import Side, baselines, gains, gaps, report, sides

SMALL, ENGLISH = ROOT / "docs/cards/real-small", ROOT / "docs/cards/files-english"
SECTION = AnswerSettings()


def renamed(folder: Path, name: str) -> Path:
    """A copy of an archive under another experiment's name: XNLI and Tatoeba of three lines."""
    for line in ("none", "mnli", "squad2"):
        for target in ("xnli", "tatoeba"):
            place = f"cells/{line}/{target}"
            shutil.copytree(SMALL / place, folder / place)
    shutil.copytree(SMALL / "clusters", folder / "clusters")
    text = (SMALL / "params.yaml").read_text(encoding="utf-8")
    text = text.replace("experiment: real-small", f"experiment: {name}")
    (folder / "params.yaml").write_text(text, encoding="utf-8")
    return folder


def test_a_gain_and_how_much_more_it_is(tmp_path: Path) -> None:
    first, second = sides([SMALL, renamed(tmp_path, "again")])
    assert list(first.columns) == ["xnli", "tatoeba"]
    assert {line for line, _ in first.columns["xnli"].trainings} == {"none", "mnli", "squad2"}
    own = gains(first, SECTION)
    alone = compare((grid_at(tmp_path), "mnli"), (grid_at(tmp_path), "none"), ["xnli"], SECTION)
    assert own["mnli", "xnli"].interval.difference == alone[0].answer.interval.difference
    for one in gaps(first, second, SECTION).values():  # the same cells: no difference, some width
        interval = one.interval
        assert interval.difference == pytest.approx(0, abs=1e-12)
        assert interval.low < 0 < interval.high and one.verdict in ("undecided", "equal")
    assert "## What `mnli` adds" in report([first, second], SECTION)


def test_an_encoder_that_gains_more_is_told_from_one_that_does_not() -> None:
    rng = np.random.default_rng(1)
    lines = {BASELINE: 3, "a": 3, "b": 3}
    more = Regime(0.5, 400, 4, lines=3, slope=(8.0,) * 4)
    still = Regime(0.5, 400, 4, lines=3)
    first, second = (
        Side(name, "", {"t": column(regime, lines, rng)}, frozenset(), False)
        for name, regime in (("still", still), ("more", more))
    )
    found, back = gaps(first, second, SECTION), gaps(second, first, SECTION)
    for place, one in found.items():
        assert one.verdict == "up" and back[place].verdict == "down"
        assert one.interval.low == pytest.approx(-back[place].interval.high)
        parts = [gains(side, SECTION)[place].interval.difference for side in (second, first)]
        assert one.interval.difference == pytest.approx(parts[0] - parts[1])
    assert baselines(first, second, SECTION)[BASELINE, "t"].verdict != "up"


def test_the_command_writes_two_archives_side_by_side(tmp_path: Path) -> None:
    given = ["report", "--from", str(SMALL), "--from", str(ENGLISH), "--out", str(tmp_path / "out")]
    done = CliRunner().invoke(app, given)
    assert done.exit_code == 0, done.output
    text = (tmp_path / "out/report.md").read_text(encoding="utf-8")
    # Of XNLI, UDPOS and Tatoeba alone, and an encoder without other languages is far behind.
    assert re.search(r"^\| udpos \| 69.4 \| 26.5 \| -42.9 \[", text, re.MULTILINE)
    assert "panx" not in text and "all-minilm-l6-v2" in text
    assert "One replicate: files-english;" in text and "## What `squad2` adds" in text


def test_what_cannot_stand_side_by_side_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"real-small twice; expected folders of unlike encoders"):
        sides([SMALL, SMALL])
    copy = renamed(tmp_path / "copy", "again")
    for path in copy.glob("cells/*/xnli/*/card.json"):
        text = path.read_text(encoding="utf-8")
        path.write_text(text.replace('"truncation": "128', '"truncation": "99'))
    with pytest.raises(UserError, match=r'xnli: truncation is "128 .* "99 .*expected one meaning'):
        sides([SMALL, copy])
    shutil.rmtree(copy / "cells/none")
    with pytest.raises(UserError, match="no zero-shot target with 'none' in all of them"):
        sides([SMALL, copy])
