"""Universal Dependencies, converted to XTREME's udpos as its download script does.

The script runs `ud-conversion-tools`, which writes words that were split for analysis (`zum` = zu +
dem) as one again, and then keeps the form and the universal tag; a sentence whose text the licence
withholds is dropped.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from xstilts.formats.tables import Row
from xstilts.sources.readers.raw import RawFile, whole_number
from xstilts.sources.reading import Reading

COLUMNS = 10
WITHHELD = "_"
ZERO_WIDTH_NON_JOINER = "\u200c"
# Which part's tag a fused word takes where several are equally near the root.
_ORDER = "VERB NOUN PROPN PRON ADJ NUM ADV INTJ AUX ADP DET PART CCONJ SCONJ X PUNCT"
PRECEDENCE = {
    "es": "VERB AUX PRON ADP DET",
    "fr": "VERB AUX PRON NOUN ADJ ADV ADP DET PART SCONJ CONJ",
    "it": "VERB AUX ADV PRON ADP DET INTJ",
}
_Line = tuple[int, list[str]]  # line, columns


def conllu(raw: RawFile) -> Reading:
    """One treebank's file of a split."""
    sentences = raw.cut(list(_sentences(raw)))
    rows: list[Row] = []
    fused = withheld = 0
    for lines in sentences:
        words, several = _fused(raw, lines)
        fused += several
        if _is_withheld([form for form, _ in words]):
            withheld += 1
            continue
        tokens = [
            form.replace(ZERO_WIDTH_NON_JOINER, "").replace(" ", "") or form for form, _ in words
        ]
        rows.append(
            {"id": raw.row_id(lines[0][0]), "tokens": tokens, "tags": [tag for _, tag in words]}
        )
    return raw.reading(rows, len(sentences), dropped_text_withheld=withheld, fused_words=fused)


def _sentences(raw: RawFile) -> Iterator[list[_Line]]:
    """The lines of each sentence's words, without comments and empty nodes (8.1).

    The format has a blank line after every sentence: without the last one, the file is cut off.
    """
    lines: list[_Line] = []
    whole = raw.lines()
    for number, line in enumerate(whole, 1):
        if not line:
            if lines:
                yield lines
            lines = []
        elif not line.startswith("#"):
            columns = line.split("\t")
            if len(columns) != COLUMNS:
                raise raw.at(number, f"{len(columns)} columns; expected CoNLL-U's {COLUMNS}")
            if "." not in columns[0]:
                lines.append((number, columns))
    if whole[-1]:
        problem = "no blank line after the last sentence; the file may be cut off"
        raise raw.at(len(whole), f"{problem}; expected one; fetch it again")


def _fused(raw: RawFile, lines: Sequence[_Line]) -> tuple[list[tuple[str, str]], int]:
    """(form, tag) of each surface word, and how many of them are fused from several."""
    words = {_number(raw, line): line for line in lines if "-" not in line[1][0]}
    if list(words) != list(range(1, len(words) + 1)):
        raise raw.at(lines[0][0], "words are not numbered 1, 2, 3; expected each number once")
    surface: list[tuple[str, str]] = []
    covered = count = 0
    for line, values in lines:
        if "-" in values[0]:
            start, end = _range(raw, line, values[0], len(words))
            surface.append((values[1], _fused_tag(raw, words, range(start, end + 1))))
            covered, count = end, count + 1
        elif _number(raw, (line, values)) > covered:
            surface.append((values[1], raw.label(line, values[3])))
    return surface, count


def _fused_tag(raw: RawFile, words: dict[int, _Line], parts: range) -> str:
    """The tag of the part nearest the root; of several, the one first in the language's order."""
    depths = {part: _depth(raw, words, part) for part in parts}
    nearest = [part for part in parts if depths[part] == min(depths.values())]
    tags = [raw.label(words[part][0], words[part][1][3]) for part in nearest]
    order = PRECEDENCE.get(raw.language, _ORDER).split()
    return min(tags, key=lambda tag: order.index(tag) if tag in order else len(order))


def _depth(raw: RawFile, words: dict[int, _Line], word: int) -> int:
    """How many heads lead from a word to the root."""
    depth = 0
    while word:
        line, values = words[word]
        head = whole_number(values[6])
        if head is None or head > len(words) or depth > len(words):
            problem = f"head {values[6]!r}; expected a word's number that leads to the root"
            raise raw.at(line, problem)
        word, depth = head, depth + 1
    return depth


def _number(raw: RawFile, line: _Line) -> int:
    """A word's number in its sentence."""
    number, values = line
    if (found := whole_number(values[0])) is None:
        raise raw.at(number, f"id {values[0]!r}; expected 1, 1-2 or 1.1")
    if not values[1]:
        raise raw.at(number, "no form; expected a word")
    return found


def _range(raw: RawFile, line: int, value: str, last: int) -> tuple[int, int]:
    """The first and last word that a fused word stands for."""
    start, end = (whole_number(side) for side in (value.partition("-")[0], value.partition("-")[2]))
    if start is None or end is None or not 1 <= start < end <= last:
        raise raw.at(line, f"id {value!r}; expected a range of this sentence's words")
    return start, end


def _is_withheld(forms: Sequence[str]) -> bool:
    """Whether all forms, or all but one, are the placeholder of withheld text."""
    placeholders = forms.count(WITHHELD)
    return placeholders > 0 and placeholders >= len(forms) - 1
