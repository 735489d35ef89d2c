"""CCGbank's derivations (LDC2005T13, `.auto`): a supertag is the category of a leaf.

AUTO.readme: a line `ID=wsj_0001.1 PARSER=GOLD NUMPARSE=1`, then the derivation on one line. A node
is `(<T CATEGORY HEAD DAUGHTERS> ...)`, a leaf `(<L CATEGORY MODIFIED_POS POS WORD PREDARG>)`.
"""

from __future__ import annotations

import re

from xstilts.formats.tables import Row
from xstilts.sources.readers.raw import RawFile
from xstilts.sources.reading import Reading

_NAME = re.compile(r"ID=(\S+)(?: \S+=\S*)*")
_LEAF = r"\(<L (?P<tag>\S+) \S+ \S+ (?P<word>\S+) \S+>\)"
_NODE = re.compile(rf"{_LEAF}|\(<T \S+ \d+ (?P<daughters>\d{{1,9}})>|(?P<close>\))|(?P<other>\S+)")


def ccg_auto(raw: RawFile) -> Reading:
    """One file of derivations: words and supertags of each sentence; its ID is the row's."""
    lines = raw.lines()
    if len(lines) % 2:
        raise raw.at(len(lines), "an odd number of lines; expected ID=... and a derivation in turn")
    rows: list[Row] = []
    for number in raw.cut(range(1, len(lines), 2)):
        name = _NAME.fullmatch(lines[number - 1].strip())
        if not name:
            raise raw.at(number, f"{lines[number - 1][:40]!r}; expected ID=wsj_0001.1 PARSER=...")
        tokens, tags = _leaves(raw, number + 1, lines[number])
        rows.append({"id": name[1], "tokens": tokens, "tags": tags})
    return raw.reading(rows, len(rows))


def _leaves(raw: RawFile, number: int, derivation: str) -> tuple[list[str], list[str]]:
    """Words and categories from left to right; each node must have the daughters that it names."""
    leaves: list[tuple[str, str]] = []
    missing = [1]  # daughters of each open node that are still to come
    for node in _NODE.finditer(derivation):
        if node["other"] is not None:
            _refuse(raw, number, f"{node['other'][:40]!r} at character {node.start() + 1}")
        elif node["close"]:
            if missing.pop() or not missing:
                _refuse(raw, number, f"a bracket too early at character {node.start() + 1}")
        else:
            missing[-1] -= 1
            if missing[-1] < 0:
                _refuse(raw, number, f"a daughter too many at character {node.start() + 1}")
            if node["daughters"]:
                missing.append(int(node["daughters"]))
            else:
                leaves.append((node["word"], node["tag"]))
    if missing != [0] or not leaves:
        _refuse(raw, number, "a derivation that is cut off")
    return [word for word, _ in leaves], [tag for _, tag in leaves]


def _refuse(raw: RawFile, number: int, problem: str) -> None:
    raise raw.at(number, f"{problem}; expected nested (<T ...> ...) and (<L ...>); fetch it again")
