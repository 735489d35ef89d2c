"""DVC does not follow imports: each stage's dependencies name every module that it imports.

A forgotten one is a wrong result that looks fresh; one too many trains again for nothing.
"""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path
from typing import Any

import grimp
import pytest

from xstilts.params import read_yaml

ROOT = Path(__file__).parent.parent
STAGES: dict[str, Any] = read_yaml(ROOT / "dvc.yaml")["stages"]

# They cannot change a number. params: every setting stands in params.yaml, which DVC compares.
WITHOUT_NUMBERS = {
    "xstilts.errors",
    "xstilts.params",
    "xstilts.running.tracking",
    "xstilts.running.logbook",
    *(
        f"xstilts.{room}"
        for room in ("formats", "tasks", "training", "phases", "running", "results")
    ),
}


@cache
def graph() -> grimp.ImportGraph:
    return grimp.build_graph("xstilts", cache_dir=None, exclude_type_checking_imports=True)


def path_of(module: str) -> Path:
    """src/xstilts/a/b.py, or the __init__.py of a package."""
    path = Path("src", *module.split("."))
    return path / "__init__.py" if (ROOT / path).is_dir() else path.with_suffix(".py")


def named_in(node: ast.AST) -> set[str]:
    """Our modules that code imports, or names in a string to import them by."""
    found = set()
    for part in ast.walk(node):
        if isinstance(part, ast.ImportFrom) and part.module:
            found |= {part.module} | {f"{part.module}.{alias.name}" for alias in part.names}
        elif isinstance(part, ast.Constant) and isinstance(part.value, str):
            found.add(part.value)
    return (found & graph().modules) - {"xstilts"}


def command(words: list[str]) -> ast.AST:
    """The function of cli/main.py behind `xstilts data text ...`."""
    tree = ast.parse((ROOT / "src/xstilts/cli/main.py").read_text(encoding="utf-8"))
    functions = {node.name: node for node in tree.body if isinstance(node, ast.FunctionDef)}
    return functions.get(f"{words[0]}_{words[1]}") or functions[words[0]]


def closure(stage: str) -> set[Path]:
    """Files of all modules that a stage's command imports, in the end."""
    cmd = (STAGES[stage]["cmd"] + " .").split()[1:]
    todo = named_in(command(cmd)) - WITHOUT_NUMBERS
    seen: set[str] = set()
    while todo:
        module = todo.pop()
        seen.add(module)
        code = ast.parse((ROOT / path_of(module)).read_text(encoding="utf-8"))
        more = graph().find_modules_directly_imported_by(module) | named_in(code)
        parents = {module.rpartition(".")[0]} - {"xstilts"}
        todo |= (more | parents) - seen - WITHOUT_NUMBERS - {"xstilts"}
    return {path_of(module) for module in seen}


def dependencies(stage: str) -> list[Path]:
    return [Path(dep) for dep in STAGES[stage]["deps"] if str(dep).startswith("src/")]


@pytest.mark.parametrize("stage", STAGES)
def test_stage_depends_on_all_it_imports(stage: str) -> None:
    deps = dependencies(stage)
    forgotten = {
        str(path) for path in closure(stage) if not any(path.is_relative_to(dep) for dep in deps)
    }
    assert forgotten == set()


@pytest.mark.parametrize("stage", STAGES)
def test_stage_depends_on_nothing_it_does_not_import(stage: str) -> None:
    files = closure(stage)
    idle = [str(d) for d in dependencies(stage) if not any(f.is_relative_to(d) for f in files)]
    assert idle == []


def test_modules_without_numbers_exist() -> None:
    assert graph().modules >= WITHOUT_NUMBERS
