"""A family says what is its own: other rooms look it up and do not ask which family it is."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import pytest

from xstilts.formats.tables import FamilyName

SOURCES = Path(__file__).parents[2] / "src"
NAMES = set(get_args(FamilyName))
KINDS = {"FrozenSettings", "PhaseSettings"}
CEILING = 19  # 64 before families had what is theirs; most of what is left stands in phases


def branches(code: str) -> Iterator[int]:
    """Lines that compare a family with a name, or ask which kind of settings a target has."""
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.Compare):
            asked = {getattr(side, "attr", getattr(side, "id", "")) for side in (
                node.left, *node.comparators)}  # fmt: skip
            named = {part.value for part in ast.walk(node) if isinstance(part, ast.Constant)}
            if asked & {"family", "family_name"} and named & NAMES:
                yield node.lineno
        elif isinstance(node, ast.Call) and getattr(node.func, "id", "") == "isinstance":
            kinds = {part.id for part in ast.walk(node.args[1]) if isinstance(part, ast.Name)}
            if kinds & KINDS:
                yield node.lineno


def found() -> dict[str, list[int]]:
    """{module: lines} outside the families' own folder."""
    modules = {
        path.relative_to(SOURCES).as_posix(): sorted(set(branches(path.read_text("utf-8"))))
        for path in sorted(SOURCES.rglob("*.py"))
    }
    own = "xstilts/tasks/families/"
    return {name: lines for name, lines in modules.items() if lines and not name.startswith(own)}


def test_branches_on_a_family_are_few() -> None:
    assert sum(map(len, found().values())) <= CEILING, found()


@pytest.mark.parametrize(
    ("code", "lines"),
    [
        ("if record.family == 'span': pass", [1]),
        ("x = 1 if family in ('choice', 'tagging') else 2", [1]),
        ("\nif not isinstance(section, (FrozenSettings, int)): pass", [2]),
        ("FAMILIES['span'].score(family == other)", []),
        ("record(family='span')", []),
    ],
)
def test_a_branch_is_seen(code: str, lines: list[int]) -> None:
    assert list(branches(code)) == lines
