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
from xstilts.sources import SOURCES, source_named

Facts = dict[str, dict[str, float]]  # by name, by language
KEY = "language"
NO_DISTANCE = ("missing",)  # columns of languages.csv that say how sure the others are
ROWS = 500  # of a table, that are cut into pieces
FEW = 100  # of them, that an encoder reads


def shipped() -> Facts:
    """languages.csv: distances from English, 0 to 1."""
    with files("xstilts.looking").joinpath("languages.csv").open(encoding="utf-8") as file:
        found = _columns(list(file), "languages.csv")
    return {name: column for name, column in found.items() if name not in NO_DISTANCE}


def known_of(source: str) -> Facts:
    """Those that a source has of the languages that it makes itself; {} of every other source."""
    if source not in SOURCES:
        return {}
    made: Facts = getattr(source_named(source), "facts", dict)()
    return made


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
    languages = _rows_of(target)
    if not languages:
        return {}
    from xstilts.looking.inspection import pieces_of, texts_of, tokenizer_of  # torch: 2 s

    tokenizer, _ = tokenizer_of(params)
    facts: Facts = {"pieces a character": {}, "unknown pieces, %": {}, "Latin letters": {}}
    for language, rows in languages.items():
        pieces, _, characters, unknown = pieces_of(rows, tokenizer)
        if pieces:
            facts["pieces a character"][language] = pieces / max(1, characters)
            facts["unknown pieces, %"][language] = 100 * unknown / pieces
            facts["Latin letters"][language] = _latin(
                text for row in rows for text in texts_of(row)
            )
    return facts


def exposure(target: str, params: Params) -> Facts:
    """The encoder's own masked-LM loss on the target's texts, which its training never read.

    UserError where the encoder has no head for it, or no table lies here.
    """
    languages = {language: rows[:FEW] for language, rows in _rows_of(target).items()}
    if not languages:
        raise UserError(
            f"{target_data(target)}: no tables; expected the target's; run `xstilts grid "
            f"data-target@{target}`, or leave --exposure out"
        )
    from xstilts.looking.exposure import bits_a_character
    from xstilts.looking.inspection import encoder_of, texts_of

    if params.pretrain.encoder is None and params.pretrain.keep_layers:
        raise UserError(
            "pretrain.keep_layers: the upper layers were left behind, and the masked-LM head with "
            "them; expected a whole encoder; leave --exposure out"
        )
    texts = {
        code: [text for row in rows for text in texts_of(row)] for code, rows in languages.items()
    }
    bits = bits_a_character(encoder_of(params), texts, params.training, params.run.silent)
    return {"masked-LM loss, bits a character": bits}


def _rows_of(target: str) -> dict[str, list[Row]]:
    """By language the rows of test, or of dev where there is no test; {} without tables."""
    folder = target_data(target)
    if not (folder / "record.json").is_file():
        return {}
    found: dict[str, list[Row]] = {}
    for split, language in tables_in(folder):
        if split == "test" or language not in found:
            found[language] = _own_side(read_table(folder, split, language).rows)[:ROWS]
    return found


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
