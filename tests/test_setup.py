"""scripts/setup, with stand-ins for Python, pip and uv that write down what they were asked."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PYTHON = """\
#!/bin/bash
echo "$*" >> "$ASKED"
case "$*" in
  "-m venv"*) mkdir -p .venv/bin; cp "$0" .venv/bin/python; cp "$0" .venv/bin/uv ;;
  *importlib.metadata*) exit 1 ;;  # no torch yet
  *--no-index*) exit $NO_WHEEL ;;
  *--index-url*) exit $NO_INDEX ;;
esac
"""


def set_up(folder: Path, **more: str) -> tuple[int, str, list[str]]:
    """(exit status, what is said, the words of each call)."""
    (folder / "scripts").mkdir(exist_ok=True)
    shutil.copy(ROOT / "scripts/setup", folder / "scripts/setup")
    shutil.copy(ROOT / "constraints.txt", folder)
    for name in ("python", "nvidia-smi"):
        (folder / name).write_text(PYTHON if name == "python" else "#!/bin/sh\nexit $NO_GPU\n")
        (folder / name).chmod(0o755)
    asked = folder / "asked"
    asked.unlink(missing_ok=True)
    told = {"PYTHON": str(folder / "python"), "ASKED": str(asked), "NO_WHEEL": "0", "NO_INDEX": "0"}
    path = f"{folder}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        [folder / "scripts/setup"], env={**told, "NO_GPU": "1", "PATH": path, **more},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    return done.returncode, done.stderr, asked.read_text().splitlines()


@pytest.mark.parametrize(
    ("told", "tried"),
    [
        ({}, 1),
        ({"NO_WHEEL": "1"}, 2),
        ({"NO_WHEEL": "1", "NO_INDEX": "1"}, 2),
        ({"NO_GPU": "0"}, 0),
    ],
    ids=["a wheel at hand", "PyTorch's index", "neither", "a GPU"],
)
def test_set_up_ends_with_a_torch(tmp_path: Path, told: dict[str, str], tried: int) -> None:
    status, said, asked = set_up(tmp_path, **told)
    assert status == 0, said
    assert sum(" torch==" in line for line in asked) == tried
    assert asked[-1].endswith("--constraint constraints.txt --editable .[dev]")
    assert ("CUDA's libraries (gigabytes)" in said) == ("NO_INDEX" in told)
    assert ("the CPU build" in said) == ("NO_GPU" not in told)


def test_other_extras_are_another_set_up(tmp_path: Path) -> None:
    set_up(tmp_path)
    assert set_up(tmp_path, EXTRAS="dev,gpu")[2][-1].endswith(".[dev,gpu]")
    assert {path.name for path in (tmp_path / ".venv").glob(".ready*")} == {
        ".ready-dev",
        ".ready-dev,gpu",
    }
