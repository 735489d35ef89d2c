"""What stales what: changes to a copy of the sources, and the kinds of command whose digest moves.

A forgotten module is a wrong result that looks fresh; one too many trains again for nothing.
"""

from __future__ import annotations

import ast
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import grimp
import pytest

from xstilts import code
from xstilts.code import COMMANDS, EXCEPTIONS, Code, tree_digest
from xstilts.params import read_yaml

ROOT = Path(__file__).parent.parent
STAGES: dict[str, Any] = read_yaml(ROOT / "dvc.yaml")["stages"]
KINDS = set(COMMANDS)
TRAININGS = {"pretrain", "study", "intermediate", "target"}
CELLS = TRAININGS | {"lab"}

# Pinned: every Python gives this digest, or an upgrade of Python would train everything again.
EVERYTHING = '''
"""A docstring."""
import a.b as c
from d import (e, f as g)
@wraps(e, key=1)
class A(B, metaclass=C):
    x: int = 1
    """Of a field."""
    async def f(self, a, /, b: "str" = 'b', *c, d: list[int] | None = None, **e) -> None:
        """Of a function."""
        async with a as b, c: await d
        return [x async for x in y if not x]
def g(*, a=1, b): global h; return (yield a), (lambda x, *y: x if y else ~x), {**a, 1: 2}
match x:
    case [1, *rest] | {"a": None, **more}: pass
    case A(x=1 as y) if (z := 2) > 1 != 3: del z
    case _: ...
try: x[1:2, ::3] @= 1j
except* (E, F) as e: raise e from None
else: assert x, 1.5e300
finally: y = b"\\xff" + "\\u1234\\U0001fa75" + 'a' 'b'
for i, in j: x = f"a{b!r:>{c}.{d:x}}" f'{e=} {{}}' "g" f"{h:%Y}{i['j']}"
'''
DIGEST = "b27ab523d6fd4ad3"


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of src; a test that changes what counts puts it back."""
    folder = tmp_path_factory.mktemp("code") / "src"
    return shutil.copytree(ROOT / "src", folder, ignore=shutil.ignore_patterns("__pycache__"))


@cache
def texts() -> dict[str, str]:
    return {kind: Code().of_kind(kind) for kind in KINDS}


def stale(package: Path) -> set[str]:
    """The kinds whose digest is not that of our own sources."""
    after = Code(package)
    return {kind for kind in KINDS if after.of_kind(kind) != texts()[kind]}


def stale_after(path: Path, old: str = "", new: str = "CHANGED = 1\n") -> set[str]:
    """The kinds that go stale where a file has `new` for `old`, or at its end."""
    text = path.read_text(encoding="utf-8")
    assert not old or text.count(old) == 1
    path.write_text(text.replace(old, new) if old else text + new, encoding="utf-8")
    found = stale(next(folder for folder in path.parents if folder.name == "xstilts"))
    path.write_text(text, encoding="utf-8")
    return found


def with_other_comments(text: str) -> str:
    """Other docstrings, and a comment above every definition and import at the top."""
    lines, tree = text.splitlines(), ast.parse(text)
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and ast.get_docstring(
            node
        ):
            at = node.body[0].lineno - 1
            lines[at] = lines[at].replace('"""', '"""Otherwise. ', 1)
    for node in tree.body[1:]:
        lines[node.lineno - 1] = f"# What follows\n{lines[node.lineno - 1]}"
    return "\n".join(lines) + "\n# The end\n"


@pytest.mark.parametrize(
    ("name", "old", "new", "kinds"),
    [
        ("formats/features.py", "IGNORE_INDEX = -100", "IGNORE_INDEX = -101", CELLS),
        (
            "training/loop.py",
            "may not train; expected",
            "may not train; wanted",
            TRAININGS | {"lab"},
        ),
        ("tasks/metrics/squad.py", "", "CHANGED = 1", CELLS | {"report"}),
        ("tasks/families/__init__.py", "", "CHANGED = 1", CELLS),
        ("studies/space.py", "n_ei_candidates=24", "n_ei_candidates=25", {"study"}),
        ("sources/readers/conllu.py", "", "CHANGED = 1", {"data"}),
        ("sources/hub.py", "", "CHANGED = 1", {"data"}),
        ("tasks/catalogue/spans.py", "", "CHANGED = 1", {"data", "report"}),
        ("results/report/texts.py", "", "CHANGED = 1", {"report"}),
        ("formats/tables.py", "", "CHANGED = 1", KINDS),
    ],
)
def test_change_stales_the_kinds_that_import_it(
    source: Path, name: str, old: str, new: str, kinds: set[str]
) -> None:
    assert stale_after(source / "xstilts" / name, old, new) == kinds


def test_command_of_a_kind_is_part_of_it(source: Path) -> None:
    call = "target_stage(intermediate, task, replicate, params)"
    other = "target_stage(intermediate, task, 1, params)"
    assert stale_after(source / "xstilts/cli/main.py", call, other) == {"target"}


@pytest.mark.parametrize(
    "name",
    [
        "cli/main.py",
        "cli/mlflow.py",
        "cli/tools.py",
        "cli/leaving.py",
        "leaving/export.py",
        "leaving/predict.py",
        "looking/inspection.py",
        "looking/listing.py",
        "results/scoring.py",
        "results/rescoring.py",
        "results/submission.py",
        "results/submitted.py",
        "running/experiments.py",
        "running/grid.py",
        *(f"{name.partition('.')[2].replace('.', '/')}.py" for name in EXCEPTIONS),
    ],
)
def test_change_of_what_makes_no_number_stales_nothing(source: Path, name: str) -> None:
    assert stale_after(source / "xstilts" / name) == set()


def test_comments_docstrings_and_format_stale_nothing(tmp_path: Path) -> None:
    folder = shutil.copytree(ROOT / "src/xstilts", tmp_path / "xstilts")
    files = sorted(folder.rglob("*.py"))
    before = [path.read_text(encoding="utf-8") for path in files]
    for path, text in zip(files, before, strict=True):
        path.write_text(with_other_comments(text), encoding="utf-8")
    commented = [path.read_text(encoding="utf-8") for path in files]
    assert all(text != other for text, other in zip(before, commented, strict=True))
    assert stale(folder) == set()
    narrow = ["--isolated", "--line-length", "60", "--config", "format.quote-style='single'"]
    subprocess.run([sys.executable, "-m", "ruff", "format", "--quiet", *narrow, folder], check=True)
    assert sum(path.read_text() != text for path, text in zip(files, commented, strict=True)) > 50
    assert stale(folder) == set()


def test_change_of_the_world_stales_no_code(source: Path) -> None:
    """Only `${source.path}` leads to it: an experiment on other data depends on none of it."""
    for path in sorted((source / "xstilts_world").glob("*.py")):
        path.write_text(path.read_text(encoding="utf-8") + "CHANGED = 1\n", encoding="utf-8")
    assert stale(source / "xstilts") == set()
    named = {dep for stage in STAGES.values() for dep in stage["deps"] if "src" in Path(dep).parts}
    assert named == {"src/xstilts"}


@pytest.mark.parametrize("name", EXCEPTIONS)
def test_exception_is_a_module_that_trainings_import(name: str) -> None:
    sources = Code()
    assert name in sources.files
    imported = [sources.named(one) for one in sources.closure(["xstilts.studies.stage"])]
    assert any(name in names for names in imported)


@cache
def imported() -> grimp.ImportGraph:
    graph = grimp.build_graph("xstilts", cache_dir=None, exclude_type_checking_imports=True)
    for name in EXCEPTIONS:
        graph.remove_module(name)
    return graph


@pytest.mark.parametrize("kind", COMMANDS)
def test_closure_holds_all_that_is_imported(kind: str) -> None:
    """As grimp, which reads imports in its own way, has it; and what a command names."""
    graph = imported()
    names = {line.partition(" ")[0] for line in texts()[kind].splitlines()}
    modules = {name for name in names if ":" not in name}
    upstream = {up for name in modules for up in graph.find_modules_directly_imported_by(name)}
    assert upstream <= modules
    assert {f"xstilts.cli.main:{name}" for name in COMMANDS[kind]} == names - modules
    assert len(modules) > 10


def test_closure_follows_functions_strings_and_folders(tmp_path: Path) -> None:
    for name, text in {
        "__init__.py": "",
        "a.py": "def f():\n    from p.b import c\n",
        "b/__init__.py": "from . import d",
        "b/c.py": "NAME = 'p.e'",
        "b/d.py": "from .. import errors",
        "e.py": "import p",
        "errors.py": "import p.f",
        "f.py": "",
        "g.py": "import p.a",
    }.items():
        (tmp_path / "p/b").mkdir(parents=True, exist_ok=True)
        (tmp_path / "p" / name).write_text(text)
    found = Code(tmp_path / "p").closure(["p.a"])
    assert found == {"p", "p.a", "p.b", "p.b.c", "p.b.d", "p.e", "p.errors", "p.f"}


@pytest.mark.parametrize("name", [name for name in STAGES if name != "code"])
def test_stage_depends_on_the_code_of_its_command(name: str) -> None:
    _, kind, *rest = STAGES[name]["cmd"].split()
    function = f"{kind}_{rest[0]}" if kind == "data" else kind
    assert function in COMMANDS[kind]
    assert [dep for dep in STAGES[name]["deps"] if dep.startswith("code")] == [f"code/{kind}.txt"]


def test_stage_code_writes_each_kinds_file(tmp_path: Path) -> None:
    code.write(tmp_path)
    assert {f"code/{path.name}" for path in tmp_path.iterdir()} == set(STAGES["code"]["outs"])
    assert len({path.read_text() for path in tmp_path.iterdir()}) == len(COMMANDS)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("1", "True"),
        ("1", "1.0"),
        ("'a'", "b'a'"),
        ("...", "None"),
        ("'a', 'b'", "'a, b'"),
        ("{**a}", "{None: a}"),
        ("x[a:]", "x[:a]"),
        ("f(a)", "f(*a)"),
        ("f'{a}b'", "f'{a!s}b'"),
        ("f'{a}b'", "f'a{b}'"),
        ("f'{a}'", "'{a}'"),
        ("x = 0", "x: int = 0"),
        ("def f(a, b=1): pass", "def f(a, *, b=1): pass"),
        ("raise E('one')", "raise E('other')"),
    ],
)
def test_other_code_has_another_digest(one: str, other: str) -> None:
    assert tree_digest(ast.parse(one)) != tree_digest(ast.parse(other))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("u'a'", '"a"'),
        ("'a' 'b'", "('ab')"),
        ("f'a' 'b{c}' f'{d}'", "f'ab{{c}}{d}'"),
        ("1_000; 0XF; 1E5", "1000\n15\n100000.0"),
        ("def f(): 'text'", "def f():\n  '''Another.'''"),
    ],
)
def test_equal_code_has_an_equal_digest(one: str, other: str) -> None:
    assert tree_digest(ast.parse(one)) == tree_digest(ast.parse(other))


def test_digest_is_the_same_on_every_python() -> None:
    assert tree_digest(ast.parse(EVERYTHING)) == DIGEST


@pytest.mark.parametrize("python", ["python3.11", "python3.12", "python3.13", "python3.14"])
def test_other_python_gives_the_same_files(python: str, tmp_path: Path) -> None:
    program = (
        "import pathlib, sys; from xstilts.code import write; write(pathlib.Path(sys.argv[1]))"
    )
    command = [python, "-c", program, str(tmp_path)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src"), "PYTHONDONTWRITEBYTECODE": "1"}
    if not shutil.which(python) or subprocess.run([python, "-c", ""], check=False).returncode:
        pytest.skip(f"no {python} here")
    subprocess.run(command, env=environment, check=True)
    made = {path.stem: path.read_text() for path in tmp_path.iterdir()}
    assert made == texts()


@pytest.fixture
def parsed(
    tmp_path: Path, source: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[[str], tuple[str, int]]]:
    """What a new process in this folder finds for a kind, and how many files it parses for it."""
    files: list[bytes] = []

    def parse(text: bytes) -> ast.Module:
        files.append(text)
        return ast.parse(text)

    def look(kind: str) -> tuple[str, int]:
        files.clear()
        code.kind_digest.cache_clear()
        return code.kind_digest(kind), len(set(files))

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(code, "PACKAGE", source / "xstilts")
    monkeypatch.setattr(code, "_parsed", parse)
    yield look
    code.kind_digest.cache_clear()


def test_only_what_changed_is_parsed_again(source: Path, parsed: Any) -> None:
    before, many = parsed("target")
    assert many > 30
    assert parsed("target") == (before, 0)
    path = source / "xstilts/training/loop.py"
    text = path.read_text(encoding="utf-8")
    path.write_text(text + "CHANGED = 1\n", encoding="utf-8")
    after = code._short(Code(source / "xstilts").of_kind("target"))
    assert after != before and parsed("target") == (after, 1) and parsed("target") == (after, 0)
    path.write_text(text, encoding="utf-8")
    assert parsed("target") == (before, 1)


def test_processes_that_keep_at_once_are_both_right(parsed: Any) -> None:
    """The second ends while the first is at work, and loses what it kept; neither is wrong."""
    with code._ours() as one:
        found = {"target": one.of_kind("target")}
        with code._ours() as other:
            found["data"] = other.of_kind("data")
        assert parsed("data")[1] == 0
    assert found == {kind: texts()[kind] for kind in found}
    assert parsed("target") == (code._short(texts()["target"]), 0)
    assert parsed("data")[0] == code._short(texts()["data"])
    assert [path.name for path in code.KEPT.parent.iterdir()] == [code.KEPT.name]


@pytest.mark.parametrize("text", ["", '{"by": "1", "fac', '{"by": "1", "facts": {"a": [1]}}'])
def test_what_is_kept_by_no_such_code_is_not_read(parsed: Any, text: str) -> None:
    before = parsed("report")
    code.KEPT.write_text(text)
    assert parsed("report") == before
    assert parsed("report") == (before[0], 0)


def test_rooms_and_kinds_have_digests_of_their_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    rooms = {code.room_digest(f"xstilts.tasks.{room}") for room in ("families", "metrics")}
    assert len(rooms | {code.kind_digest(kind) for kind in COMMANDS}) == 2 + len(COMMANDS)


def test_world_imports_only_what_any_source_needs() -> None:
    both = grimp.build_graph("xstilts", "xstilts_world", cache_dir=None)
    own = {name for name in both.modules if name.partition(".")[0] == "xstilts_world"}
    imported = {other for name in own for other in both.find_modules_directly_imported_by(name)}
    needed = {"formats.tables", "sources.reading", "params", "errors"}
    assert imported - own == {f"xstilts.{name}" for name in needed}
