"""What docstrings and comments say, and that a name in src means one thing."""

from __future__ import annotations

import ast
import re
import tokenize
from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
MODULES = sorted((ROOT / "src").rglob("*.py"))
FOLDERS = ("src", "tests", "benchmarks")
END = re.compile(r"""[.:?!]['"`)]*$""")
# A letter or a section's number names nothing: papers, scripts and functions are cited by name.
NOWHERE = re.compile(r"\bfacts? (section|[A-Z]\d)|\([A-Z]\d{1,2}\)|\.md,? section\b|§")
DOCUMENT = re.compile(r"[\w./-]*\w\.md\b")
Documented = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_bytes())


def docstrings(path: Path) -> Iterator[tuple[str, str]]:
    """(name, docstring) of the module and of all in it."""
    for node in ast.walk(tree(path)):
        if isinstance(node, Documented) and (text := ast.get_docstring(node)):
            yield getattr(node, "name", "module"), text


def comments(path: Path) -> Iterator[str]:
    with path.open("rb") as file:
        for token in tokenize.tokenize(file.readline):
            if token.type == tokenize.COMMENT:
                yield token.string


@cache
def documents() -> set[str]:
    """Names of the repository's documents, and of those that its programs write."""
    kept = [
        path for pattern in ("*.md", "docs/*.md", "tests/**/*.md") for path in ROOT.glob(pattern)
    ]
    written = {
        node.value
        for path in (*MODULES, *(ROOT / "benchmarks").glob("*.py"))
        for node in ast.walk(tree(path))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }
    return {path.name for path in kept} | written


def nowhere(text: str) -> list[str]:
    """What a text cites that the repository does not have."""
    cited = [name for name in DOCUMENT.findall(text) if Path(name).name not in documents()]
    return cited + [match[0] for match in NOWHERE.finditer(text)]


@pytest.mark.parametrize(
    ("text", "broken"),
    [
        ("One sentence.", False),
        ("One sentence.\n\nMore of it\nin two lines.", False),
        ('As it says, "so".', False),
        ("A sentence that goes on\nin line two.", True),
        ("A name without an end", True),
    ],
)
def test_broken_sentences_are_seen(text: str, broken: bool) -> None:
    assert (not END.search(text.split("\n")[0])) is broken


def test_first_sentence_stands_on_one_line() -> None:
    broken = [
        f"{path.relative_to(ROOT)}: {name}: {text.split(chr(10))[0]}"
        for path in MODULES
        for name, text in docstrings(path)
        if not END.search(text.split("\n")[0])
    ]
    assert not broken, "\n".join(broken)


def test_citations_of_nothing_are_seen() -> None:
    assert nowhere("as house.md says, design.md section 6 and facts section 5; facts J7 (B2)")
    assert not nowhere("docs/design.md, report.md, RFC 4180, Lample (2019), XTREME's (D)")


def test_comments_and_docstrings_cite_what_exists() -> None:
    paths = [path for folder in FOLDERS for path in sorted((ROOT / folder).rglob("*.py"))]
    wrong = [
        f"{path.relative_to(ROOT)}: {', '.join(cited)}"
        for path in paths
        if path != Path(__file__)
        for text in (*comments(path), *(text for _, text in docstrings(path)))
        if (cited := nowhere(text))
    ]
    assert not wrong, "\n".join(wrong)


def test_no_two_classes_have_one_name() -> None:
    names = Counter(
        node.name
        for path in MODULES
        for node in tree(path).body
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_")
    )
    assert {name for name, count in names.items() if count > 1} == set()


def test_settings_are_a_tasks() -> None:
    """A section of params is called section, training or source."""
    wrong = [
        f"{path.relative_to(ROOT)}:{argument.lineno}"
        for path in MODULES
        for node in ast.walk(tree(path))
        if isinstance(node, ast.FunctionDef)
        for argument in (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs)
        if argument.arg == "settings" and ast.unparse(argument.annotation or node) != "TaskSettings"
    ]
    assert not wrong, "\n".join(wrong)
