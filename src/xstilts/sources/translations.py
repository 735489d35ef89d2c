"""English train rows in another language, which an intermediate may train on in their place.

What enters: the English rows that are to train, and a source that has the table in both languages,
row by row. What leaves: the same rows, translated. They are chosen in English before, where a text
that is reported is known again. English rows select, whatever trains.
"""

from __future__ import annotations

from xstilts.errors import UserError
from xstilts.formats.tables import COLUMNS, ENGLISH, Record, Row
from xstilts.params import SourceSettings
from xstilts.sources import Source


def in_language(
    kept: list[Row],
    step: Record,
    language: str,
    rows_from: Source,
    source: SourceSettings,
    notes: list[str],
) -> list[Row]:
    """The rows in a language; row i of its train table says what row i of the English one does.

    UserError where the tables are not of as many rows, or labels differ. notes: gets one.
    """
    if language == ENGLISH:
        return kept
    english = rows_from.read(step, "train", ENGLISH, source)
    there = rows_from.read(step, "train", language, source)
    if english is None or there is None:
        raise UserError(
            f"params.yaml: intermediates: {step.name}: language: {language}; expected it in "
            f"source.tasks.{step.name}.translated, and its files"
        )
    where = f"{step.name} train in {language}"
    if len(there.rows) != len(english.rows):
        raise UserError(
            f"{where}: {len(there.rows)} rows, and {len(english.rows)} in English; expected row by "
            "row a translation; correct source.tasks"
        )
    pairs = list(zip(english.rows, there.rows, strict=True))
    labelled = "label" in COLUMNS[step.family].names
    for number, (row, other) in enumerate(pairs, 1):
        if labelled and row["label"] != other["label"]:
            raise UserError(
                f"{where}: row {number} is {other['label']}, and {row['label']} in English; "
                "expected row by row a translation; correct source.tasks"
            )
    notes.append(f"{step.name}: train rows are translations into {language}")
    translated = {row["id"]: other for row, other in pairs}
    # Labels may have been shuffled since they were read.
    return [translated[row["id"]] | ({"label": row["label"]} if labelled else {}) for row in kept]
