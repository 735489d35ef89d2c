"""Guessing before paying: LogME's published numbers, regret and chance by counting, the command."""

from __future__ import annotations

import math
import shutil
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from tests.conftest import ROOT
from xstilts import paths
from xstilts.cli.main import app
from xstilts.errors import UserError
from xstilts.looking.probing import carried, esm, logme, probe, vectors_of, with_constant
from xstilts.params import load
from xstilts.results.answers.choosing import agreement, halves, regret, regret_by_chance
from xstilts.results.choose import gains_of, kinds, rank, sizes_of
from xstilts.results.compare import grid_at
from xstilts.training import encoder as encoders

ARCHIVE = ROOT / "docs/cards/real-small"
GAINS = st.dictionaries(st.sampled_from("abcdefg"), st.floats(-1, 1), min_size=2)


@pytest.mark.parametrize(
    ("seed", "shape", "wanted"),
    [
        (0, (200, 16, 3), -0.7544488042708304),
        (1, (60, 40, 2), -1.0552537172652992),
        (2, (30, 50, 4), 1.405566486010564),  # fewer rows than numbers
    ],
)
def test_logme_is_that_of_its_authors(
    seed: int, shape: tuple[int, int, int], wanted: float
) -> None:
    """github.com/thuml/LogME, _fit_fixed_point, on the same rows."""
    rows, width, classes = shape
    random = np.random.default_rng(seed)
    labels = random.integers(0, classes, rows)
    vectors = random.normal(size=(rows, width))
    vectors[:, 0] += labels
    vectors[:, 1:] *= np.linspace(0.1, 2, width - 1)
    assert logme(vectors, labels) == pytest.approx(wanted, abs=1e-12)


def test_a_probe_finds_what_is_there_and_nothing_else() -> None:
    random = np.random.default_rng(4)
    labels = random.integers(0, 3, 600)
    vectors = random.normal(size=(600, 8))
    assert abs(probe(vectors, labels)) < 0.1
    vectors[np.arange(600), labels] += 4
    assert probe(vectors, labels) > 0.5
    assert logme(vectors, labels) > logme(random.normal(size=(600, 8)), labels)


@settings(max_examples=40, deadline=None)
@given(GAINS, st.integers(1, 4))
def test_regret_by_chance_is_the_mean_over_all_draws(gains: dict[str, float], k: int) -> None:
    k = min(k, len(gains))
    best = max(gains.values())
    lost = [best - max(chosen) for chosen in combinations(gains.values(), k)]
    assert regret_by_chance(gains, k) == pytest.approx(float(np.mean(lost)), abs=1e-12)
    assert regret(dict.fromkeys(gains, 0.0), gains, k) == pytest.approx(float(np.mean(lost)))
    assert regret(gains, gains, k) == 0


def test_halves_of_the_replicates_and_ranks() -> None:
    assert halves([1, 2, 3]) == [((1,), [2, 3]), ((2,), [1, 3]), ((3,), [1, 2])]
    assert halves([4]) == [([4], [4])]
    assert agreement({"a": 1, "b": 3}, {"a": 2, "b": 1}) == pytest.approx(-1)
    assert math.isnan(agreement({"a": 1, "b": 1}, {"a": 1, "b": 2}))


def test_the_target_that_is_asked_and_its_twins_are_no_part_of_its_guess() -> None:
    grid = grid_at(ARCHIVE)
    gains, twins = gains_of(grid.settings, grid.cells)
    sizes = sizes_of(grid.settings, ARCHIVE / "models")
    assert twins["xquad"] == {"xquad", "mlqa"} and twins["tydiqa"] == {"tydiqa"}
    ways = {way.name: way for way in kinds(gains, twins, sizes, {})}
    before = ways["mean of other targets"].of("xquad", [1, 2])
    wild = {name: dict.fromkeys(of, 9.0) for name, of in gains["xquad"].items()}
    changed = {
        way.name: way for way in kinds({**gains, "xquad": wild, "mlqa": wild}, twins, sizes, {})
    }
    assert changed["mean of other targets"].of("xquad", [1, 2]) == before
    assert changed["mean of other targets"].of("xnli", [1, 2]) != ways["mean of other targets"].of(
        "xnli", [1, 2]
    )
    assert ways["retrieval"].of("tatoeba", [1]) != ways["retrieval"].of("xnli", [1])
    assert ways["rows"].of("xnli", [1])["mnli"] == 3253
    found = rank("xnli", gains, list(ways.values()), grid.settings.targets)
    assert len(found.targets) == 11 and not found.left_out and found.own is not None
    assert found.own.regret[0] < found.chance[0]


def test_kinds_are_judged_on_the_targets_that_all_of_them_have() -> None:
    gains = {
        name: {"a": {1: 0.1, 2: 0.1}, "b": {1: 0.0, 2: 0.0}} for name in ("xnli", "panx", "tatoeba")
    }
    twins = {name: frozenset({name}) for name in gains}
    right = {(row, name): float(row == "a") for row in "ab" for name in ("xnli", "panx")}
    ways = kinds(gains, twins, {"a": 1.0, "b": 2.0}, {"LogME": right})
    found = rank("udpos", gains, ways, [*gains, "udpos"])
    assert found.targets == ("xnli", "panx") and found.left_out == ("udpos",)
    assert found.judged["LogME"].regret[0] == 0 and found.judged["rows"].regret[0] == pytest.approx(
        10
    )
    assert found.chance[0] == pytest.approx(5)


def test_a_target_without_all_of_its_cells_is_left_out(tmp_path: Path) -> None:
    grid = grid_at(ARCHIVE)
    cells = shutil.copytree(grid.cells, tmp_path / "cells")
    shutil.rmtree(cells / "multi/xnli/3")
    gains, _ = gains_of(grid.settings, cells)
    assert "xnli" not in gains and len(gains) == 10
    with pytest.raises(UserError, match="expected 'none' and others"):
        gains_of(grid.settings.model_copy(update={"intermediates": ["none"]}), cells)
    with pytest.raises(UserError, match="no target with zero-shot languages has all of its cells"):
        gains_of(grid.settings, tmp_path / "nowhere")


def test_the_command_reads_an_archive() -> None:
    done = CliRunner().invoke(app, ["plan", "--rank", "tydiqa", "--with", str(ARCHIVE)])
    assert done.exit_code == 0, done.output
    assert (
        "tydiqa: what to train for it" in done.output and "its own other replicates" in done.output
    )


def test_vectors_carried_by_the_encoder_itself_say_the_same(
    small_world: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An intermediate that moves nothing: the map is none, and LogME what it was."""
    monkeypatch.chdir(small_world)
    params = load()
    ref = encoders.read_ref(paths.intermediate_model("none", 1))
    section, given = params.targets["xnli"], (params.training, Path("work/features"))
    member = paths.trainings(paths.target_data("xnli"))[-1]
    carrier = carried(ref, ref, [member], section, *given)  # type: ignore[arg-type]
    vectors, labels = vectors_of(ref, paths.target_data("xnli"), section, *given)  # type: ignore[arg-type]
    assert with_constant(vectors) @ carrier == pytest.approx(vectors, abs=0.05)
    assert esm(vectors, labels, carrier) == pytest.approx(logme(vectors, labels), abs=0.02)


def test_encoders_are_probed_on_every_family_that_trains(
    small_world: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(small_world)
    params = load()
    ref = encoders.read_ref(paths.intermediate_model("none", 1))
    seen = set()
    for target in params.grid.targets:
        data, section = paths.target_data(target), params.targets[target]
        if not paths.trainings(data):
            with pytest.raises(UserError, match="nothing is trained for it"):
                vectors_of(ref, data, section, params.training, Path("work/features"))  # type: ignore[arg-type]
            continue
        vectors, labels = vectors_of(ref, data, section, params.training, Path("work/features"))  # type: ignore[arg-type]
        assert len(vectors) == len(labels) and np.isfinite(vectors).all()
        assert set(labels.tolist()) == set(range(int(labels.max()) + 1))
        seen.add(target)
    assert {"xnli", "udpos"} <= seen
