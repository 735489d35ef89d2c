"""`xstilts languages`: facts of languages, gains along them; on the cards that are kept in git."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from tests.answers.made_up import Regime, column
from tests.conftest import ROOT
from xstilts.cli.main import app
from xstilts.errors import UserError
from xstilts.looking.facts import Facts, counted, known_of, read_facts, shipped
from xstilts.params import AnswerSettings, load
from xstilts.results.answers.languages import joint_slopes
from xstilts.results.compare import grid_at
from xstilts.results.slopes import render, slopes

ARCHIVE = ROOT / "docs/cards/real-small"


def test_distances_are_shipped_for_every_language_of_both_benchmarks() -> None:
    facts = shipped()
    assert set(facts) == {"syntactic", "genetic", "geographic"}
    for of in facts.values():
        assert len(of) == 50 and of["en"] == 0 and all(0 <= value <= 1 for value in of.values())
    assert facts["syntactic"]["nl"] < facts["syntactic"]["my"]
    assert facts["genetic"]["eu"] == 1  # of no family


def test_a_file_of_facts_is_read_and_what_is_no_number_refused(tmp_path: Path) -> None:
    path = tmp_path / "facts.csv"
    path.write_text("# ours\nlanguage,size\nde,3.5\nur,\n", encoding="utf-8")
    assert read_facts(path) == {"size": {"de": 3.5}}
    path.write_text("language,size\nde,much\n", encoding="utf-8")
    with pytest.raises(UserError, match="de, size: 'much'; expected a number"):
        read_facts(path)
    path.write_text("code,size\nde,1\n", encoding="utf-8")
    with pytest.raises(UserError, match="columns code, size; expected language"):
        read_facts(path)
    with pytest.raises(UserError, match="no such file"):
        read_facts(tmp_path / "none.csv")


def test_facts_of_texts_are_those_of_the_tokenizer(
    small_world: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(small_world)
    facts = counted("xnli", load())
    assert set(facts) == {"pieces a character", "unknown pieces, %", "Latin letters"}
    for of in facts.values():
        assert "en" in of and len(of) > 1
    assert facts["Latin letters"]["en"] > 0.9 and facts["pieces a character"]["en"] > 0
    assert counted("mewslix", load()) == {}  # no table lies here


def test_the_world_knows_its_languages() -> None:
    facts = known_of("world")
    assert facts["grammar"]["en"] == facts["words"]["en"] == 0
    assert min(facts["grammar"], key=lambda code: facts["grammar"][code] or 1) == "qal"  # West, too
    assert facts["words"]["qal"] == pytest.approx(0.7)
    assert known_of("files") == known_of("hub") == known_of("") == {}


def test_joint_slopes_are_those_of_least_squares() -> None:
    of = column(
        Regime(1.0, 50, 8, lines=2, apart=5.0), {"none": 1, "a": 1}, np.random.default_rng(1)
    )
    x = np.random.default_rng(2).normal(size=(8, 2))
    found = joint_slopes(of, {"one": x[:, 0], "other": x[:, 1]})
    design = np.column_stack([np.ones(8), x])
    wanted = np.linalg.lstsq(design, of.scores().T, rcond=None)[0]
    assert found["one"].values() == pytest.approx(wanted[1])
    assert found["other"].values() == pytest.approx(wanted[2])


def test_facts_that_say_nothing_are_left_out(tmp_path: Path) -> None:
    grid = grid_at(ARCHIVE)
    syntactic = shipped()["syntactic"]
    facts: Facts = {
        "syntactic": syntactic,
        "twice": {code: 2 * value for code, value in syntactic.items()},
        "same": dict.fromkeys(syntactic, 1.0),
        "few": {"de": 1.0, "el": 2.0},
    }
    found = slopes(grid, "xnli", facts, AnswerSettings())
    assert found.left_out == ("same", "few")
    one, other = found.single["syntactic", "mnli"], found.single["twice", "mnli"]
    assert one.interval.low == pytest.approx(other.interval.low)  # of one standard deviation
    assert set(found.inflation.values()) == {float("inf")}  # together they cannot be told apart
    assert "same, few" in render(found)
    with pytest.raises(UserError, match="no fact is known of 5 of its languages"):
        slopes(grid, "bucc2018", facts, AnswerSettings())


def test_the_command_reads_an_archive() -> None:
    done = CliRunner().invoke(app, ["languages", "udpos", "--with", str(ARCHIVE)])
    assert done.exit_code == 0, done.output
    assert re.search(r"^genetic +[+-]\d", done.output, re.MULTILINE)
    assert "VIF" in done.output and "32 languages" in done.output
