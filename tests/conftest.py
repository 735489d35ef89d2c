"""What several rooms' tests need."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

import pytest
from hypothesis import settings

ROOT = Path(__file__).parents[1]

# The files that take longest, longest first: begun last, one of them would be waited for alone.
LONG = (
    "test_daily.py", "test_story.py", "test_world.py", "test_driver.py", "test_grid.py",
    "test_adding.py", "test_pretraining.py", "test_round_trip.py", "test_processes.py",
    "test_prepare.py", "test_submission.py", "test_skeleton.py",
    "test_code.py", "test_spans.py", "test_hub.py",
)  # fmt: skip

# A busy machine is no failure. New examples are drawn where somebody can look at them; in CI they
# are the same every time, so that it depends on the commit alone.
settings.register_profile("ours", deadline=None, derandomize=bool(os.environ.get("CI")))
settings.load_profile("ours")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Several workers take files in this order (`make test`); one alone, in the folders' order."""
    if "PYTEST_XDIST_WORKER" in os.environ:
        places = {name: place for place, name in enumerate(LONG)}
        items.sort(key=lambda item: places.get(item.path.name, len(LONG)))


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


@pytest.fixture(scope="session")
def small_world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of tests/small_world.py, to read alone: a worker makes it, the others wait."""
    from tests import small_world  # which imports torch, as few tests here do

    root = tmp_path_factory.getbasetemp()
    root = root.parent if "PYTEST_XDIST_WORKER" in os.environ else root
    folder = root / "small-world"
    with (root / "small-world.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.exists():
            made = tmp_path_factory.mktemp("small-world")
            with pytest.MonkeyPatch.context() as patch:
                small_world.make(made, patch)
            made.rename(folder)
    return folder
