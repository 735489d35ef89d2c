"""`xstilts ui` before a browser: ports, addresses, and what keeps it from starting."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.graphs import environment
from xstilts import params
from xstilts.errors import UserError
from xstilts.running import ui, views


@pytest.fixture
def busy() -> Iterator[int]:
    with socket.socket() as listening:
        listening.bind((ui.HOST, 0))
        listening.listen()
        yield listening.getsockname()[1]


def test_a_busy_port_is_said_and_another_found(busy: int, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UserError, match=f"^--port {busy}: something else listens there"):
        ui.free_port(busy)
    monkeypatch.setattr(ui, "USUAL", busy)
    assert ui.free_port(0) not in (0, busy)


def test_a_busy_port_is_one_line_and_exit_2(tmp_path: Path, busy: int) -> None:
    grid = {"intermediates": ["none"], "targets": ["xnli"]}
    given = {"intermediates": {"none": {}}, "targets": {"xnli": {}}, "grid": grid}
    params.write(params.check(given, Path("params.yaml")), tmp_path / "params.yaml", "a test's")
    done = subprocess.run(
        [sys.executable, "-m", "xstilts", "ui", "--port", str(busy)],
        cwd=tmp_path, env=environment(tmp_path), capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (2, "")
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"xstilts: --port {busy}: ")


def test_an_address_opens_model_training_at_a_view() -> None:
    assert views.address("http://host:5000/", "7", "language-xnli") == (
        "http://host:5000/#/experiments/7/runs?"
        "workflowType=machine_learning&viewStateShareKey=language-xnli"
    )
