"""The code as far as it can change a number: a digest of all that a command imports, in the end.

What enters: the package's source text; no module is imported to be read. What leaves: a digest for
each kind of command, which the stages of dvc.yaml depend on and which names work folders, studies'
journals and encoded tables. A digest is of the syntax tree without docstrings, so that a comment, a
docstring and a formatting run move none, and equal on every Python from 3.11 on.
"""

from __future__ import annotations

import ast
import hashlib
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cache
from importlib.util import resolve_name
from pathlib import Path
from typing import Any

from xstilts.paths import WORK

PACKAGE = Path(__file__).parent
KEPT = WORK / "code"  # digests by the bytes they are of
# The functions of cli/main.py behind each kind of command; of cli nothing else counts.
COMMANDS = {
    "data": ("data_text", "data_intermediate", "data_target"),
    "pretrain": ("pretrain",),
    "study": ("study",),
    "intermediate": ("intermediate",),
    "target": ("target",),
    "report": ("report",),
}
# Every training imports them, and they cannot change a number: each setting stands in params.yaml,
# which DVC compares itself; the others raise an error, tell MLflow and keep the curve for it.
EXCEPTIONS = (
    "xstilts.params",
    "xstilts.errors",
    "xstilts.running.tracking",
    "xstilts.running.logbook",
)


def write(folder: Path) -> None:
    """The stage `code`: folder/KIND.txt for each kind."""
    code = Code()
    for kind in COMMANDS:
        _replace(folder / f"{kind}.txt", code.of_kind(kind))


@cache
def kind_digest(kind: str) -> str:
    """Of everything that can change what a command of this kind writes: 16 hex digits."""
    return _once(kind, lambda: _short(Code().of_kind(kind)))


@cache
def room_digest(room: str) -> str:
    """Of a folder's modules (`xstilts.tasks.metrics`) and all that they import: 16 hex digits."""
    return _once(room, lambda: _short(Code().of_room(room)))


class Code:
    """The modules of a package, each read when it is asked for."""

    def __init__(self, package: Path = PACKAGE) -> None:
        self.main = f"{package.name}.cli.main"
        names = {path: path.relative_to(package.parent) for path in package.rglob("*.py")}
        self.files = {_dotted(name): path for path, name in names.items()}

    def of_kind(self, kind: str) -> str:
        """A line for each of a kind's commands and each module in their closure: name, digest."""
        functions = {n.name: n for n in self.tree(self.main).body if isinstance(n, ast.FunctionDef)}
        own = {f"{self.main}:{name}": functions[name] for name in COMMANDS[kind]}
        roots = {name for function in own.values() for name in self.named(function, self.main)}
        lines = {name: tree_digest(function) for name, function in own.items()}
        return _lines(lines | self.digests(self.closure(roots)))

    def of_room(self, room: str) -> str:
        """The same lines for the modules of a folder and their closure."""
        roots = [name for name in self.files if f"{name}.".startswith(f"{room}.")]
        return _lines(self.digests(self.closure(roots)))

    def closure(self, roots: Iterable[str]) -> set[str]:
        """The modules that `roots` import in the end, at the top or in a function, with the
        `__init__` of each one's folders; without EXCEPTIONS, which are not followed either."""
        todo, seen = set(roots), set(EXCEPTIONS)
        while todo := todo - seen:
            name = todo.pop()
            seen.add(name)
            todo |= self.named(self.tree(name), name)
            todo |= {name.rpartition(".")[0]} & self.files.keys()
        return seen.difference(EXCEPTIONS)

    def named(self, tree: ast.AST, name: str) -> set[str]:
        """Our modules that a tree, which stands in module `name`, imports, or names in a string:
        that is how a source is found."""
        inside = name if self.files[name].stem == "__init__" else name.rpartition(".")[0]
        found = set()
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                found |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                origin = resolve_name("." * node.level + (node.module or ""), inside)
                found |= {origin, *(f"{origin}.{alias.name}" for alias in node.names)}
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                found.add(node.value)
        return found & self.files.keys()

    def digests(self, names: Iterable[str]) -> dict[str, str]:
        return {name: tree_digest(self.tree(name)) for name in names}

    def tree(self, name: str) -> ast.Module:
        return _parsed(self.files[name].read_bytes())


@cache
def _parsed(source: bytes) -> ast.Module:
    return ast.parse(source)


@cache  # of a tree that is in the cache above: a closure's modules are mostly another's, too
def tree_digest(tree: ast.AST) -> str:
    """Of types and fields that are there: a Python that knows more fields has them empty."""
    return _short("".join(_written(tree)))


def _written(value: Any) -> Iterator[str]:
    """A tree's parts in order. No two trees have equal ones: every string in it is quoted."""
    if isinstance(value, ast.AST):
        yield f"{type(value).__name__}("
        for name in value._fields:
            field = getattr(value, name, None)
            if name == "values" and isinstance(value, ast.JoinedStr):
                field = _pieces(value)
            # u"" is "" (`kind`); what stands left of = is stored (`ctx`)
            if field is not None and field != [] and name not in ("kind", "ctx"):
                yield f"{name}="
                yield from _written(field)
        yield ")"
    elif isinstance(value, list):
        yield "["
        for item in value:
            if not _is_text(item):
                yield from _written(item)
                yield ","
        yield "]"
    else:
        yield ascii(value)  # repr would follow the Unicode version in what is printable


def _is_text(node: Any) -> bool:
    """A string that stands alone does nothing: a docstring, of a module or under a field."""
    return (
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    )


def _pieces(node: ast.JoinedStr) -> list[Any]:
    """An f-string's parts with neighbouring strings joined: Pythons cut them in different places,
    and some leave empty ones."""
    parts: list[Any] = []
    for part in node.values:
        text = str(part.value) if isinstance(part, ast.Constant) else None
        if text is None:
            parts.append(part)
        elif parts and isinstance(parts[-1], str):
            parts[-1] += text
        elif text:
            parts.append(text)
    return parts


def _dotted(path: Path) -> str:
    """xstilts/a/b.py -> xstilts.a.b; a folder is its `__init__`."""
    parts = path.with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _lines(digests: Mapping[str, str]) -> str:
    return "".join(f"{name} {digest}\n" for name, digest in sorted(digests.items()))


def _short(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _once(name: str, make: Callable[[], str]) -> str:
    """make(), unless a process before this one did it for the very same bytes of source text:
    parsing takes 0.2 s, which a cell of the world would notice."""
    path = KEPT / f"{_bytes_digest()}-{name}"
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        _replace(path, text := make())
        return text


@cache
def _bytes_digest() -> str:
    files = sorted(PACKAGE.rglob("*.py"))
    parts = [f"{path.relative_to(PACKAGE)} {path.read_text(encoding='utf-8')}" for path in files]
    return _short("\0".join(parts))


def _replace(path: Path, text: str) -> None:
    """Never opens the old file, which may be a link into DVC's cache."""
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_name(f".{path.name}.{os.getpid()}")
    new.write_text(text, encoding="utf-8", newline="\n")
    os.replace(new, path)
