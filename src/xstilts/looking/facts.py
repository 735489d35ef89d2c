"""What is known of a target's languages, beside scores: how far from English, how they are cut.

What enters: languages.csv (scripts/language-facts), a file of the user's, a target's tables and the
encoder's tokenizer. What leaves: numbers by language, which gains can be set against.
"""

from __future__ import annotations

import csv
import unicodedata
from collections.abc import Iterable, Sequence
from importlib.resources import files
from pathlib import Path

from xstilts.errors import UserError
from xstilts.formats.tables import Row, read_table, tables_in
from xstilts.params import Params
from xstilts.paths import target_data

Facts = dict[str, dict[str, float]]  # by name, by language
KEY = "language"
NO_DISTANCE = ("missing",)  # columns of languages.csv that say how sure the others are
ROWS = 500  # of a table, that are cut into pieces


def shipped() -> Facts:
    """languages.csv: distances from English, 0 to 1."""
    with files("xstilts.looking").joinpath("languages.csv").open(encoding="utf-8") as file:
        found = _columns(list(file), "languages.csv")
    return {name: column for name, column in found.items() if name not in NO_DISTANCE}


def read_facts(path: Path) -> Facts:
    """A CSV with the column `language` and columns of numbers; an empty field: not known."""
    try:
        return _columns(path.read_text(encoding="utf-8").splitlines(), str(path))
    except FileNotFoundError:
        raise UserError(
            f"{path}: no such file; expected a CSV with the column {KEY}; correct --facts"
        ) from None


def counted(target: str, params: Params) -> Facts:
    """What the tokenizer makes of the target's own texts, and how many letters are Latin.

    {} where no table lies here, as of an archive's cells.
    """
    folder = target_data(target)
    if not (folder / "record.json").is_file():
        return {}
    from xstilts.looking.inspection import pieces_of, texts_of, tokenizer_of  # torch: 2 s

    tokenizer, _ = tokenizer_of(params)
    facts: Facts = {"pieces a character": {}, "unknown pieces, %": {}, "Latin letters": {}}
    for split, language in tables_in(folder):
        if split == "dev" and language in facts["Latin letters"]:
            continue
        rows = _own_side(read_table(folder, split, language).rows)[:ROWS]
        pieces, _, characters, unknown = pieces_of(rows, tokenizer)
        if pieces:
            facts["pieces a character"][language] = pieces / max(1, characters)
            facts["unknown pieces, %"][language] = 100 * unknown / pieces
            facts["Latin letters"][language] = _latin(
                text for row in rows for text in texts_of(row)
            )
    return facts


def _own_side(rows: Sequence[Row]) -> list[Row]:
    """Without the English side of sentence pairs."""
    return [row for row in rows if row.get("side") != "english"]


def _latin(texts: Iterable[str]) -> float:
    letters = [char for text in texts for char in text if char.isalpha()]
    latin = sum(unicodedata.name(char, "").startswith("LATIN") for char in letters)
    return latin / max(1, len(letters))


def _columns(lines: Sequence[str], where: str) -> Facts:
    reader = csv.DictReader(line for line in lines if not line.startswith("#"))
    names = [name for name in reader.fieldnames or () if name != KEY]
    if KEY not in (reader.fieldnames or ()) or not names:
        raise UserError(
            f"{where}: columns {', '.join(reader.fieldnames or ()) or 'none'}; expected {KEY} and "
            "one or more with numbers"
        )
    facts: Facts = {name: {} for name in names}
    for line in reader:
        for name in names:
            value = line[name]
            if value not in (None, ""):
                try:
                    facts[name][line[KEY]] = float(value)
                except ValueError:
                    raise UserError(
                        f"{where}: {line[KEY]}, {name}: '{value}'; expected a number, or nothing "
                        "where it is not known"
                    ) from None
    return facts
