"""How rows are split and limited: by group, to a number, by shared text.

What enters: rows and a seed, of which everything here is a function. What leaves: rows, in the
order in which they came.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Sequence

from xstilts.formats.tables import COLUMNS, FamilyName, Row
from xstilts.sources.reading import DOMAIN


def split_groups(rows: Sequence[Row], share: float, seed: int) -> tuple[list[Row], list[Row]]:
    """(rest, share) of the rows; a group of rows is never split.

    Whole groups are taken, in seeded order, until `share` of the rows is reached. A group's place
    depends on its name and the seed alone, so that the same rows are split alike wherever they are
    read.
    """
    sizes: dict[str, int] = defaultdict(int)
    for row in rows:
        sizes[group_of(row)] += 1
    taken: set[str] = set()
    wanted = share * len(rows)
    # By a hash and not by a shuffled list: a group more or less moves no other group's place.
    for group in sorted(sizes, key=lambda name: (_draw(seed, name), name)):
        if wanted <= 0 or len(taken) == len(sizes) - 1:
            break
        taken.add(group)
        wanted -= sizes[group]
    rest = [row for row in rows if group_of(row) not in taken]
    return rest, [row for row in rows if group_of(row) in taken]


def group_of(row: Row) -> str:
    """The name of a row's group: its article, else its context or first text, else its id."""
    shared = row.get("group") or row.get("context") or row.get("text_a")
    return normalised(shared) if shared else str(row["id"])


def limited(rows: Sequence[Row], limit: int | None, seed: int, family: FamilyName) -> list[Row]:
    """A seeded choice of `limit` rows; a smaller limit chooses a subset of what a larger one does.

    Classification is stratified by part and label in every prefix: of a stratum of n rows, row k
    stands at (k + 1/2) / n. That is Sainte-Lague's rule; largest remainders, which differ from it
    by a row at most, would not be nested (a larger limit can give a label fewer rows).
    """
    if limit is None or limit >= len(rows):
        return list(rows)
    strata: dict[tuple[str, str], list[int]] = defaultdict(list)
    stratified = {"part", "label"} <= set(COLUMNS[family].names)
    for index, row in enumerate(rows):
        strata[_stratum(row) if stratified else ("", "")].append(index)
    places: list[tuple[float, tuple[str, str], int]] = []
    # Each stratum's rows are spread evenly over [0, 1): any prefix of the merged order has them in
    # proportion.
    for stratum, members in strata.items():
        drawn = sorted(members, key=lambda index: _draw(seed, _name(rows[index], index)))
        places += [((k + 0.5) / len(drawn), stratum, index) for k, index in enumerate(drawn)]
    chosen = {index for _, _, index in sorted(places)[:limit]}
    return [row for index, row in enumerate(rows) if index in chosen]


def contexts_of(rows: Iterable[Row]) -> set[str]:
    return {normalised(row["context"]) for row in rows}


def texts_of(row: Row) -> set[str]:
    """The texts that a row may share with another: its texts, context or sentence, not choices."""
    texts = [row.get(key) or "" for key in ("text_a", "text_b", "context")]
    return {normalised(text) for text in [*texts, " ".join(row.get("tokens") or [])]} - {""}


def repeated(rows: Sequence[Row]) -> int:
    """How many rows equal an earlier one but for the id and gold."""
    return len(rows) - len({content(row) for row in rows})


def content(row: Row) -> str:
    """A row without its id, gold (which names ids) and domain, as one string."""
    without = ("id", "gold", DOMAIN)
    return repr(sorted((key, value) for key, value in row.items() if key not in without))


def normalised(text: str) -> str:
    """A text with single spaces for all white space."""
    return " ".join(text.split())


def _stratum(row: Row) -> tuple[str, str]:
    return row.get("part") or "", row["label"] or ""


def _name(row: Row, index: int) -> str:
    return str(row.get("id", index))


def _draw(seed: int, name: str) -> bytes:
    return hashlib.sha256(f"{seed}:{name}".encode()).digest()
