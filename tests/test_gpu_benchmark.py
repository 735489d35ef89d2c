"""benchmarks/gpu.py with tiny shapes on a CPU: every part measures; a broken one stops no other."""

from __future__ import annotations

import importlib
import json
import math
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]
BROKEN = """
import os, time

def cases(context):
    yield "fine", lambda: {"figure": 1.5}
    yield "fails", lambda: {"figure": 1 / 0}
    yield "no number", lambda: {"figure": float("nan")}
    yield "fine again", lambda: {"figure": 2.5}

def dies(context):
    yield "fine", lambda: {"figure": 1.5}
    yield "dies", lambda: os._exit(3)

def hangs(context):
    yield "fine", lambda: {"figure": 1.5}
    yield "hangs", lambda: time.sleep(600)
"""


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    return importlib.import_module("gpu")


def tiny(out: Path, *parts: str) -> dict[str, Any]:
    """results.json of a run of the script, every figure of which is a finite number or a text."""
    options = ["--out", str(out), "--tiny", "--minutes", "30", "--parts", *parts]
    command = [sys.executable, "benchmarks/gpu.py", *options]
    environment = {**os.environ, "PYTHONPATH": "src", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    found: dict[str, Any] = json.loads((out / "results.json").read_text())["parts"]
    assert list(found) == list(parts)
    table = (out / "table.md").read_text()
    for part in found.values():
        assert part["error"] == "" and part["cases"]
        for name, figures in part["cases"].items():
            assert name in table and len(figures) > 1
            assert all(isinstance(v, str) or math.isfinite(v) for v in figures.values()), figures
    return {name: part["cases"] for name, part in found.items()}


@pytest.mark.slow
def test_every_measuring_part(tmp_path: Path) -> None:
    found = tiny(tmp_path, "card", "parity", "loop", "profile", "mining")
    parity = found["parity"]
    for family in ("classification", "choice", "tagging", "span", "ranking", "masked_lm"):
        figures = parity[family]
        assert figures["fp32_gradient_error"] < 1e-5  # a GPU's too, if one is here
        assert 0 < figures["bf16_gradient_error"] < 0.5  # the two were not the same computation
    assert parity["killed and resumed, fp32"]["resumed_difference"] < 1e-5
    loop = found["loop"]
    for kind in ("nli", "spans"):
        sides = [loop[f"{kind}: {side}"] for side in ("Trainer", "ours, padded", "ours, auto")]
        for side in sides:
            assert side["examples_per_s"] * side["ms_a_step"] / 1000 == pytest.approx(32)
            assert side["padded_over_real"] >= 1
        assert sides[0]["padded_over_real"] >= sides[1]["padded_over_real"]
    assert found["profile"]["nli: ours, 8192"]["top 1"]
    both = found["mining"]["mine 500 x 500, both ways"]
    assert both["pairs"] > 250 and both["pairs_not_in_both"] == 0 and both["scores_apart"] < 1e-5
    assert found["mining"]["mine 900 x 900"]["copies_found_share"] > 0.9


@pytest.mark.slow
def test_layouts(tmp_path: Path) -> None:
    found = tiny(tmp_path, "flat", "flat speed")
    states = [case for name, case in found["flat"].items() if name.startswith("states")]
    assert len(states) == 4 and all(case["flat fp32: gradients"] < 1e-5 for case in states)
    assert found["flat"]["killed and resumed, flat, deterministic"]["resumed_difference"] == 0
    speeds = [case for name, case in found["flat speed"].items() if "ms_a_step" in case]
    assert len(speeds) == 4 and all(case["real_tokens_per_s"] > 0 for case in speeds)
    assert found["flat speed"]["prediction, nli: flat"]["logits_apart"] < 1e-5


@pytest.mark.slow
def test_a_cell_and_a_study(tmp_path: Path) -> None:
    found = tiny(tmp_path, "cell", "study")
    cell = found["cell"]["xstilts target none xnli"]
    parts = ("imports_s", "to_training_s", "first_step_s", "training_s", "evaluation_s")
    assert all(cell[name] > 0 for name in parts)
    assert sum(cell[name] for name in parts) < cell["wall_s"]
    study = found["study"]["xstilts study target xnli"]
    assert study["trial_0_score"] > 0 and study["trial_1_score"] > 0


def test_a_broken_part_is_reported_and_stops_no_other(
    gpu: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "broken_parts.py").write_text(BROKEN)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    parts = {name: gpu.Part(f"broken_parts:{name}", 3.0) for name in ("hangs", "dies", "cases")}
    monkeypatch.setattr(gpu, "PARTS", parts)
    assert gpu.run_parts(tmp_path / "out", list(parts), False, 60.0) == 1
    found = json.loads((tmp_path / "out" / "results.json").read_text())["parts"]
    assert found["hangs"]["error"].startswith("stopped at its limit of 3 s")
    assert found["dies"]["error"].startswith("exit status 3")
    for name in parts:
        assert found[name]["cases"]["fine"]["figure"] == 1.5
    assert found["cases"]["error"] == ""
    assert "ZeroDivisionError at broken_parts.py" in found["cases"]["cases"]["fails"]["error"]
    assert "not finite: figure" in found["cases"]["cases"]["no number"]["error"]
    assert found["cases"]["cases"]["fine again"]["figure"] == 2.5


def test_parts_are_skipped_when_time_is_over(gpu: Any, tmp_path: Path) -> None:
    assert gpu.run_parts(tmp_path, ["card", "loop"], True, 1.0) == 1
    found = json.loads((tmp_path / "results.json").read_text())["parts"]
    assert all(part["error"].startswith("skipped") for part in found.values())
    assert "skipped" in (tmp_path / "table.md").read_text()
