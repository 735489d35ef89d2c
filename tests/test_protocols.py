"""docs/protocols.md claims nothing without a test: each row names some, and all of them exist."""

from __future__ import annotations

import re
from pathlib import Path

from xstilts.tasks.catalogue import RECORDS

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "docs/protocols.md").read_text(encoding="utf-8")
ROWS = [line.strip("|").split(" | ") for line in TEXT.splitlines() if line.startswith("| ")]
DEFINED = re.compile(r"^ *def (test_\w+)\(", re.MULTILINE)


def test_every_row_names_tests_that_exist() -> None:
    known = {
        name
        for path in (ROOT / "tests").rglob("test_*.py")
        for name in DEFINED.findall(path.read_text(encoding="utf-8"))
    }
    claims = [row for row in ROWS if row[0].strip() != "official code"]
    assert len(claims) > 40
    for row in claims:
        assert len(row) == 3, row
        named = re.findall(r"`(\w+)`", row[2])
        assert named and row[2].strip() == ", ".join(f"`{name}`" for name in named), row
        assert set(named) <= known, set(named) - known


def test_every_task_has_its_table() -> None:
    titles = " ".join(line for line in TEXT.splitlines() if line.startswith("## ")).lower()
    words = titles.replace(" ", "").replace("-", "")
    shown = {"anli_plus": "anli+", "squad1": "squadv1.1", "squad2": "v2.0", "siqa": "xcopa"}
    shown |= {"copa": "xcopa", "text": "", "ud_relations": "udrelations", "ud_chunks": "udchunks"}
    assert [name for name in RECORDS if shown.get(name, name) not in words] == []
