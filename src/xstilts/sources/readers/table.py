"""Tables in lines: TAB-separated with and without quotes, and Cosmos QA's CSV.

Two dialects of TSV: XTREME's script writes with Python's csv writer (a field with a quote is quoted
and its quotes doubled); the official files have no quoting at all, a quote is a character.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence

from xstilts.formats.tables import Row
from xstilts.sources.readers.raw import RawFile, whole_number
from xstilts.sources.reading import DOMAIN, Reading

NO_MAJORITY = "-"  # SNLI's and MNLI's label of a pair on which the annotators did not agree
PLACEHOLDER = "NS"  # PAWS-X: a sentence that was not translated; XTREME keeps the row
_QQP_COLUMNS = 6
_QQP = ["id", "qid1", "qid2", "question1", "question2", "is_duplicate"]


def xtreme_pairs(raw: RawFile) -> Reading:
    """XTREME's xnli and pawsx: text, text and label, csv dialect, no header; no label: hidden."""
    fields = [(number, _quoted(raw, number, line)) for number, line in enumerate(raw.lines(), 1)]
    columns = len(fields[0][1])
    if columns not in (2, 3):
        raise raw.at(1, f"{columns} columns; expected text, text and (unless stripped) a label")
    rows: list[Row] = []
    for number, values in raw.cut(fields):
        if len(values) != columns:
            raise raw.at(number, f"{len(values)} columns; expected {columns}, as in line 1")
        label = raw.label(number, values[2]) if columns == 3 else None
        rows.append(pair_row(raw.row_id(number), values[0], values[1], label))
    return counted_pairs(raw, rows, len(rows))


def three_columns(raw: RawFile) -> Reading:
    """Counterfactually augmented NLI: sentence1, sentence2, gold_label, with a header."""
    rows = []
    for number, values in _table(raw, ("sentence1", "sentence2", "gold_label")):
        label = raw.label(number, values["gold_label"])
        rows.append(pair_row(raw.row_id(number), values["sentence1"], values["sentence2"], label))
    return counted_pairs(raw, rows, len(rows))


def multinli_en(raw: RawFile) -> Reading:
    """XNLI-MT's multinli.train.en.tsv: premise, hypo, label; one label is spelt `contradictory`."""
    rows = []
    for number, values in _table(raw, ("premise", "hypo", "label")):
        label = raw.label(number, values["label"].replace("contradictory", "contradiction"))
        rows.append(pair_row(raw.row_id(number), values["premise"], values["hypo"], label))
    return counted_pairs(raw, rows, len(rows))


def xnli(raw: RawFile) -> Reading:
    """XNLI-1.0/xnli.{dev,test}.tsv: all languages in one file of 19 columns."""
    rows = []
    for number, values in _table(
        raw, ("language", "gold_label", "sentence1", "sentence2", "pairID")
    ):
        if not raw.is_own(number, values["language"]):
            continue
        label = raw.label(number, values["gold_label"])
        rows.append(pair_row(values["pairID"], values["sentence1"], values["sentence2"], label))
    if not rows:
        raise raw.at(None, f"no rows with language {raw.language}; expected some; fetch it again")
    return counted_pairs(raw, rows, len(rows))


def x_final(raw: RawFile) -> Reading:
    """PAWS-X as it is distributed: id, sentence1, sentence2, label."""
    rows = []
    for number, values in _table(raw, ("id", "sentence1", "sentence2", "label")):
        label = raw.label(number, values["label"])
        rows.append(pair_row(values["id"], values["sentence1"], values["sentence2"], label))
    return counted_pairs(raw, rows, len(rows))


def glue_mnli(raw: RawFile) -> Reading:
    """GLUE's MNLI: 12 columns (train), 16 (dev), 10 without labels (test)."""
    table = _table(raw, ("pairID", "sentence1", "sentence2"))
    rows = []
    for number, values in table:
        gold = values.get("gold_label")
        if gold == NO_MAJORITY:
            continue
        label = None if gold is None else raw.label(number, gold)
        row = pair_row(values["pairID"], values["sentence1"], values["sentence2"], label)
        rows.append(row | domain(values.get("genre")))
    return counted_pairs(raw, rows, len(table), dropped_no_majority_label=len(table) - len(rows))


def glue_qqp(raw: RawFile) -> Reading:
    """GLUE's QQP; lines that are broken inside a question, with under 6 columns, are dropped."""
    lines = list(enumerate(raw.lines(), 1))
    header = lines[0][1].split("\t")
    labelled = header[-1] == "is_duplicate"
    if header not in (_QQP, ["id", "question1", "question2"]):
        raise raw.at(1, f"columns {', '.join(header)}; expected GLUE's QQP (id, qid1, ...)")
    records = raw.cut(lines[1:])
    rows: list[Row] = []
    for number, line in records:
        values = line.split("\t")
        if len(values) < len(header):
            continue
        if len(values) > len(header):
            raise raw.at(number, f"{len(values)} columns; expected {len(header)}")
        label = raw.label(number, values[-1]) if labelled else None
        first, second = values[3:5] if labelled else values[1:3]
        rows.append(pair_row(values[0], first, second, label))
    dropped = {f"dropped_fewer_than_{_QQP_COLUMNS}_columns": len(records) - len(rows)}
    return counted_pairs(raw, rows, len(records), **dropped)


def quora(raw: RawFile) -> Reading:
    """Quora's own quora_duplicate_questions.tsv: GLUE's columns, but quoted, line breaks inside.

    It has no splits: GLUE's are what published scores are on.
    """
    rows: list[Row] = []
    for number, values in _records(raw, _QQP, delimiter="\t"):
        name, _, _, first, second, gold = values
        rows.append(pair_row(name, first, second, raw.label(number, gold)))
    return counted_pairs(raw, rows, len(rows))


def snli_txt(raw: RawFile) -> Reading:
    """SNLI's and MultiNLI's .txt: train rows end after the one annotator's label that they have."""
    table = _table(raw, ("gold_label", "sentence1", "sentence2", "pairID"), last="label1")
    rows = []
    for number, values in table:
        if values["gold_label"] == NO_MAJORITY:
            continue
        label = raw.label(number, values["gold_label"])
        row = pair_row(values["pairID"], values["sentence1"], values["sentence2"], label)
        rows.append(row | domain(values.get("genre")))
    return counted_pairs(raw, rows, len(table), dropped_no_majority_label=len(table) - len(rows))


def cosmosqa(raw: RawFile) -> Reading:
    """Cosmos QA's train.csv and valid.csv: RFC 4180, line breaks inside quotes."""
    answers = [f"answer{i}" for i in range(raw.record.choices)]
    rows: list[Row] = []
    for number, values in _records(raw, ["id", "context", "question", *answers, "label"]):
        name, context, question, *choices, label = values
        if (right := whole_number(label)) is None:
            raise raw.at(number, f"label {label!r}; expected a number from 0 to {len(answers) - 1}")
        rows.append(choice_row(name, context, question, choices, raw.choice(number, right)))
    return raw.reading(rows, len(rows))


def _records(
    raw: RawFile, expected: Sequence[str], delimiter: str = ","
) -> list[tuple[int, list[str]]]:
    """(first line, fields) of a file with a header and quoted fields that may hold line breaks."""
    lines = [f"{line}\n" for line in raw.lines()]
    reader = csv.reader(lines, delimiter=delimiter, strict=True)
    records: list[tuple[int, list[str]]] = []
    before = 1
    try:
        for values in reader:
            records.append((before, values))
            before = reader.line_num + 1
    except csv.Error as error:
        raise raw.at(before, f"not CSV: {error}; a quote may be open") from None
    if records[0][1] != list(expected):
        raise raw.at(1, f"columns {', '.join(records[0][1])}; expected {', '.join(expected)}")
    wanted = list(raw.cut(records[1:]))
    for number, values in wanted:
        if len(values) != len(expected):
            raise raw.at(number, f"{len(values)} columns; expected {len(expected)}")
    if not wanted:
        raise raw.at(None, "a header and no rows; expected rows; fetch it again")
    return wanted


def _table(raw: RawFile, needed: Sequence[str], last: str = "") -> list[tuple[int, dict[str, str]]]:
    """(line, {column: value}) of a TSV with a header and no quoting.

    Rows may end after the column `last`, or after the last needed one where that stands behind it.
    """
    lines = list(enumerate(raw.lines(), 1))
    header = lines[0][1].split("\t")
    if missing := [name for name in (*needed, last) if name and name not in header]:
        raise raw.at(1, f"no column '{missing[0]}'; expected a header with {', '.join(needed)}")
    if twice := [name for name in needed if header.count(name) > 1]:
        raise raw.at(1, f"column '{twice[0]}' twice; expected each once; correct the header")
    least = max(map(header.index, (*needed, last))) + 1 if last else len(header)
    records: list[tuple[int, dict[str, str]]] = []
    for number, line in raw.cut(lines[1:]):
        values = line.split("\t")
        if not least <= len(values) <= len(header):
            raise raw.at(number, f"{len(values)} columns; expected {len(header)}, as in the header")
        records.append((number, dict(zip(header, values, strict=False))))
    if not records:
        raise raw.at(None, "a header and no rows; expected rows; fetch it again")
    return records


def _quoted(raw: RawFile, number: int, line: str) -> list[str]:
    """The fields of one line as the csv writer left it."""
    try:
        return next(csv.reader([line], delimiter="\t", strict=True), [])
    except csv.Error as error:
        raise raw.at(
            number, f"not a line of the csv dialect: {error}; a quote may be open"
        ) from None


def domain(name: object) -> Row:
    """The part of a row that says what it is about, where its file does."""
    return {DOMAIN: name} if isinstance(name, str) and name else {}


def pair_row(name: str, text_a: str, text_b: str, label: str | None) -> Row:
    """A row of the family classification."""
    return {"id": name, "text_a": text_a, "text_b": text_b, "label": label}


def choice_row(
    name: str, context: str, question: str | None, choices: list[str], label: int | None
) -> Row:
    """A row of the family choice."""
    row = {"id": name, "context": context, "question": question, "choices": choices}
    return row | {"label": label}


def counted_pairs(raw: RawFile, rows: list[Row], read: int, **counts: int) -> Reading:
    """A reading of pairs, with counts of what is odd but stays: placeholders and empty texts."""
    texts = [(row["text_a"], row["text_b"]) for row in rows]
    empty = sum(not (a.strip() and b.strip()) for a, b in texts)
    placeholders = sum(PLACEHOLDER in pair for pair in texts) if raw.record.name == "pawsx" else 0
    return raw.reading(rows, read, placeholder_NS=placeholders, empty_texts=empty, **counts)
