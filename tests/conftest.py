"""What several rooms' tests need."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import settings

ROOT = Path(__file__).parents[1]

settings.register_profile("any speed", deadline=None)  # a busy machine is no failure
settings.load_profile("any speed")


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real files. Skipped only where it does not exist; in CI that is a failure."""
    folder = Path(os.environ.get("XSTILTS_SHARED", ROOT.parent / "shared"))
    if not folder.is_dir():
        reason = f"{folder}: no such folder; XSTILTS_SHARED names the folder of real files"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    return folder.resolve()
