"""Digests of the code that can change a number: of all modules that a command imports.

What enters: the package's source text; no module is imported to be read. What leaves: a digest for
each kind of command, which the stages of dvc.yaml depend on and which names work folders, studies'
journals and encoded tables. It is made of the syntax trees without docstrings: a comment, a
docstring or a formatting run changes none, and every Python from 3.11 on gives the same.
"""

from __future__ import annotations

import ast
import hashlib
import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import cache
from importlib.util import resolve_name
from pathlib import Path
from typing import Any, NamedTuple

from xstilts.paths import WORK

PACKAGE = Path(__file__).parent
KEPT = WORK / "code.json"  # what was found in each module, by the bytes that it was found in
# The functions of cli/main.py behind each kind of command; of cli nothing else counts.
COMMANDS = {
    "data": ("data_text", "data_intermediate", "data_target"),
    "pretrain": ("pretrain",),
    "study": ("study",),
    "intermediate": ("intermediate",),
    "target": ("target",),
    "report": ("report",),
    "lab": ("lab",),
}
# Every training imports them, and they cannot change a number: each setting stands in params.yaml,
# which DVC compares itself; the others raise an error, show progress or what a study tried, tell
# MLflow and keep the curve for it, and keep a model that has predicted all there is to predict.
EXCEPTIONS = (
    "xstilts.params",
    "xstilts.sections",
    "xstilts.errors",
    "xstilts.console",
    "xstilts.running.tracking",
    "xstilts.running.logbook",
    "xstilts.studies.plots",
    "xstilts.studies.shown",
    "xstilts.training.saved",
)


def write(folder: Path) -> None:
    """The stage `code`: write folder/KIND.txt for each kind of command."""
    with _ours() as code:
        for kind in COMMANDS:
            _replace(folder / f"{kind}.txt", code.of_kind(kind))


@cache
def kind_digest(kind: str) -> str:
    """A digest (16 hex digits) of all code that can change what a kind of command writes."""
    with _ours() as code:
        return _short(code.of_kind(kind))


@cache
def room_digest(room: str) -> str:
    """A digest (16 hex digits) of a folder's modules and all that they import.

    room: the folder as a module, `xstilts.tasks.metrics`.
    """
    with _ours() as code:
        return _short(code.of_room(room))


class Facts(NamedTuple):
    """What is known of a module or a function once it was parsed."""

    source: str  # digest of the file's name and bytes that this is of
    digest: str  # of the tree
    names: list[str]  # that are imported or stand in a string, of any module of the package


class Code:
    """The modules of a package and what they import; each is read once, when it is needed.

    facts: by module or MODULE:FUNCTION, perhaps of earlier bytes; what is new or other is added.
    """

    def __init__(self, package: Path = PACKAGE, facts: dict[str, Facts] | None = None) -> None:
        self.main = f"{package.name}.cli.main"
        names = {path: path.relative_to(package.parent) for path in package.rglob("*.py")}
        self.files = {_dotted(name): path for path, name in names.items()}
        self.facts = {} if facts is None else facts
        self.texts: dict[str, tuple[bytes, str]] = {}  # each file's bytes and their digest

    def of_kind(self, kind: str) -> str:
        """Lines of name and digest: a kind's commands, and each module in their closure."""
        commands = {f"{self.main}:{function}" for function in COMMANDS[kind]}
        roots = {name for command in commands for name in self.named(command)}
        return _lines(self.digests(commands | self.closure(roots)))

    def of_room(self, room: str) -> str:
        """Lines of name and digest for the modules of a folder and their closure."""
        roots = [name for name in self.files if f"{name}.".startswith(f"{room}.")]
        return _lines(self.digests(self.closure(roots)))

    def closure(self, roots: Iterable[str]) -> set[str]:
        """All modules that `roots` import, directly or through others, at the top or in a function.

        With the `__init__` of each one's folders; without EXCEPTIONS and what they alone import.
        """
        todo, seen = set(roots), set(EXCEPTIONS)
        while todo := todo - seen:
            name = todo.pop()
            seen.add(name)
            todo |= self.named(name)
            todo |= {name.rpartition(".")[0]} & self.files.keys()
        return seen.difference(EXCEPTIONS)

    def named(self, part: str) -> set[str]:
        """Our modules that a module or MODULE:FUNCTION imports, or names in a string.

        Strings count because a source is imported by its name (`sources.SOURCES`).
        """
        return self.files.keys() & self.of(part).names

    def digests(self, parts: Iterable[str]) -> dict[str, str]:
        return {part: self.of(part).digest for part in parts}

    def of(self, part: str) -> Facts:
        """The facts of a module or MODULE:FUNCTION, parsed only if its bytes are new."""
        name, _, function = part.partition(":")
        if name not in self.texts:
            path = self.files[name]
            text = path.read_bytes()
            self.texts[name] = text, _short(path.name.encode() + text)  # a.py is not a/__init__.py
        text, digest = self.texts[name]
        known = self.facts.get(part)
        if known is None or known.source != digest:
            inside = name if self.files[name].stem == "__init__" else name.rpartition(".")[0]
            tree = _function(_parsed(text), function) if function else _parsed(text)
            known = self.facts[part] = Facts(digest, tree_digest(tree), _names(tree, inside))
        return known


@cache
def _parsed(source: bytes) -> ast.Module:
    return ast.parse(source)


def _function(tree: ast.Module, name: str) -> ast.AST:
    return next(n for n in tree.body if isinstance(n, ast.FunctionDef) and n.name == name)


@cache
def _names(tree: ast.AST, inside: str) -> list[str]:
    """The names under the package that a tree of folder `inside` imports or has as a string."""
    mentioned = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            mentioned |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            origin = resolve_name("." * node.level + (node.module or ""), inside)
            # `from a import b`: b may be a module or a name in a, so both are kept.
            mentioned |= {origin, *(f"{origin}.{alias.name}" for alias in node.names)}
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            mentioned.add(node.value)
    package = inside.partition(".")[0]
    return sorted(name for name in mentioned if f"{name}.".startswith(f"{package}."))


@cache  # of a tree that is in the cache above: a closure's modules are mostly another's, too
def tree_digest(tree: ast.AST) -> str:
    """A digest of a tree's types and of the fields that hold something.

    Empty fields are left out, since a newer Python's nodes have more of them.
    """
    parts: list[str] = []
    _write(tree, parts.append)
    return _short("".join(parts).encode())


def _write(value: Any, put: Callable[[str], None]) -> None:
    """Put a tree as text, in parts; unlike trees give unlike texts, as every string is quoted."""
    if isinstance(value, ast.AST):
        put(f"{type(value).__name__}(")
        for name in value._fields:
            field = getattr(value, name, None)
            if name == "values" and isinstance(value, ast.JoinedStr):
                field = _pieces(value)
            # u"" is "" (`kind`); what stands left of = is stored (`ctx`)
            if field is not None and field != [] and name not in ("kind", "ctx"):
                put(f"{name}=")
                _write(field, put)
        put(")")
    elif isinstance(value, list):
        put("[")
        for item in value:
            if not _is_text(item):
                _write(item, put)
                put(",")
        put("]")
    else:
        put(ascii(value))  # repr would follow the Unicode version in what is printable


def _is_text(node: Any) -> bool:
    """Whether a statement is a string alone, which does nothing: a docstring."""
    return (
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    )


def _pieces(node: ast.JoinedStr) -> list[Any]:
    """An f-string's parts with neighbouring strings joined and empty ones left out.

    Python versions cut the same f-string in different places.
    """
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
    """A path as a module's name: xstilts/a/b.py -> xstilts.a.b, a/__init__.py -> a."""
    parts = path.with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _lines(digests: Mapping[str, str]) -> str:
    return "".join(f"{name} {digest}\n" for name, digest in sorted(digests.items()))


def _short(data: bytes | str) -> str:
    return hashlib.sha256(data.encode() if isinstance(data, str) else data).hexdigest()[:16]


@contextmanager
def _ours() -> Iterator[Code]:
    """Our package, with the facts that earlier processes found and kept; new ones are kept too.

    To parse all modules takes 0.3 s, which a cell of the world would notice. Where two processes
    keep theirs at once, the last one's stay; the other's are looked for again.
    """
    by, before = _short(Path(__file__).read_bytes()), _kept()
    facts = before["facts"] if before.get("by") == by else {}
    code = Code(PACKAGE, {part: Facts(*fact) for part, fact in facts.items()})
    yield code
    known = {p: list(fact) for p, fact in code.facts.items() if p.partition(":")[0] in code.files}
    if known != facts:
        _replace(KEPT, json.dumps({"by": by, "facts": known}))


def _kept() -> dict[str, Any]:
    with suppress(FileNotFoundError, ValueError):  # a machine that lost power may leave it empty
        return dict(json.loads(KEPT.read_bytes()))
    return {}


def _replace(path: Path, text: str) -> None:
    """Replace a file; the old one, which may be a link into DVC's cache, is never opened."""
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_name(f".{path.name}.{os.getpid()}")
    new.write_text(text, encoding="utf-8", newline="\n")
    os.replace(new, path)
