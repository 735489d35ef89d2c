"""Unpacks the golden cases once a session and finds the shared real files."""

from __future__ import annotations

import json
import os
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]

Golden = Callable[[str], Path]
Read = Callable[[str], Any]


@pytest.fixture(scope="session")
def golden(tmp_path_factory: pytest.TempPathFactory) -> Golden:
    """'squad2/case_1/pred.json' -> its path in the unpacked archive of its area."""
    folder = tmp_path_factory.mktemp("golden")

    def find(path: str) -> Path:
        area = path.split("/")[0]
        if not (folder / area).exists():
            with tarfile.open(ROOT / "tests" / "golden" / f"{area}.tar.xz") as archive:
                archive.extractall(folder, filter="data")
        return folder / path

    return find


@pytest.fixture(scope="session")
def read(golden: Golden) -> Read:
    """The content of a golden JSON file."""
    return lambda path: json.loads(golden(path).read_text(encoding="utf-8"))


@pytest.fixture
def mock_submission() -> Path:
    """XTREME's own mock labels and predictions."""
    shared = Path(os.environ.get("XSTILTS_SHARED", ROOT.parent / "shared"))
    folder = shared / "data" / "xtreme_mock_test_data"
    if not folder.is_dir():
        pytest.skip(f"no {folder}; set XSTILTS_SHARED")
    return folder
