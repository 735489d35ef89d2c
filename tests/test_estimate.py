"""What is left of a grid: by hand, from what ran, and from what a log's last line says."""

from __future__ import annotations

from pathlib import Path

import pytest

from xstilts import console
from xstilts.running.estimate import Estimates, left


def test_left_is_what_the_machine_would_take() -> None:
    none: frozenset[str] = frozenset()
    needs = {"a": none, "b": none, "c": frozenset("a"), "d": frozenset("bc"), "e": frozenset("x")}
    seconds = {"a": 3.0, "b": 1.0, "c": 2.0, "d": 4.0, "e": 5.0}  # x has ended long ago
    assert left("abcde", needs, seconds, jobs=1) == 15
    assert left("abcde", needs, seconds, jobs=2) == 9  # b and e beside a, c and d
    assert left("abcde", needs, seconds, jobs=9) == 9
    assert left("abcde", needs, {"a": 3.0}, jobs=2) == 3  # what is not known counts nothing
    assert left("", needs, seconds, jobs=2) == 0


def test_seconds_come_from_work_and_the_speed_seen() -> None:
    work = {"pretrain": 1000.0, "target@a-x-1": 500.0, "target@a-y-1": 100.0, "target@a-z-1": 300.0}
    estimates = Estimates(work.get)
    assert estimates.seconds("target@a-x-1") is None
    estimates.add("data-target@x", 5.0)
    assert estimates.seconds("data-target@y") == 5
    assert estimates.seconds("target@a-x-1") is None  # no training has shown its speed
    estimates.add("pretrain", 105.0)
    assert estimates.seconds("target@a-x-1") == 5 + 500 * 100 / 1000
    estimates.add("target@a-y-1", 25.0)  # the group's own speed is better known than phase 1's
    assert estimates.seconds("target@a-z-1") == 5 + 300 * 20 / 100
    assert estimates.seconds("report") is None


def test_a_bar_leaves_lines_that_the_driver_reads(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setattr(console, "EVERY_S", 0.0)
    shown = console.bar(40, "xnli", "steps", done=10)
    for _ in range(10):
        shown.update()
    shown.set_postfix({"loss": "1.234"})
    shown.close()
    log = capsys.readouterr().err
    assert "\r" not in log and log.endswith("\n")
    path = tmp_path / "stage.log"
    path.write_text(log + "\n")
    text, seconds = console.last_line(path)
    assert text.startswith("xnli: 20/40 steps, loss=1.234, ") and ", left 00:0" in text
    assert seconds is not None and seconds < 60


def test_seconds_left_of_a_line(tmp_path: Path) -> None:
    path = tmp_path / "stage.log"
    assert console.last_line(path) == ("", None)
    path.write_text("x" * 9000 + "\npawsx: 3/9 steps, 1.00steps/s, left 1:02:03\n\n")
    assert console.last_line(path).left_s == 3723
    path.write_text("xnli: 3/9 steps, ?steps/s, left ?\n")  # before the first step
    assert console.last_line(path).left_s is None
    path.write_text("tokenizer: 1,000 pieces\n")
    assert console.last_line(path) == ("tokenizer: 1,000 pieces", None)
