"""Ctrl-C and SIGTERM noted instead of obeyed, for commands that end their children first."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def caught_signals() -> Iterator[list[int]]:
    """The SIGINT and SIGTERM that came while the block ran, which they do not interrupt."""
    came: list[int] = []  # uninterrupted, no child is lost between its start and our note of it

    def note(number: int, _: FrameType | None) -> None:
        came.append(number)

    before = {name: signal.signal(name, note) for name in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield came
    finally:
        for name, handler in before.items():
            signal.signal(name, handler)
