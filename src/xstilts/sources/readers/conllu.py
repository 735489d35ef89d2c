"""Universal Dependencies, converted to XTREME's udpos as its download script does.

The script runs `ud-conversion-tools`, which writes words that were split for analysis (`zum` = zu +
dem) as one again, and then keeps the form and the universal tag; a sentence whose text the licence
withholds is dropped. The same sentences have relations and chunks in the place of tags.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial

from xstilts.errors import UserError
from xstilts.formats.tables import Row
from xstilts.sources.readers.raw import RawFile, whole_number
from xstilts.sources.readers.syntax import Word, chunk_tags, lost, universal
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
_Words = Mapping[int, _Line]  # a sentence's, by their numbers


def _read(raw: RawFile, tags: Callable[[RawFile, _Words, Sequence[int]], list[str]]) -> Reading:
    """One treebank's file of a split. tags: of those words of a sentence that stay."""
    sentences = raw.cut(list(_sentences(raw)))
    rows: list[Row] = []
    fused = withheld = 0
    for lines in sentences:
        words = _numbered(raw, lines)
        surface, several = _fused(raw, lines, words)
        fused += several
        if _is_withheld([form for form, _ in surface]):
            withheld += 1
            continue
        tokens = [
            form.replace(ZERO_WIDTH_NON_JOINER, "").replace(" ", "") or form for form, _ in surface
        ]
        found = tags(raw, words, [number for _, number in surface])
        rows.append({"id": raw.row_id(lines[0][0]), "tokens": tokens, "tags": found})
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


def _numbered(raw: RawFile, lines: Sequence[_Line]) -> _Words:
    words = {_number(raw, line): line for line in lines if "-" not in line[1][0]}
    if list(words) != list(range(1, len(words) + 1)):
        raise raw.at(lines[0][0], "words are not numbered 1, 2, 3; expected each number once")
    return words


def _fused(
    raw: RawFile, lines: Sequence[_Line], words: _Words
) -> tuple[list[tuple[str, int]], int]:
    """Each surface word's form and the number of the word whose tag it has; how many are fused."""
    surface: list[tuple[str, int]] = []
    covered = count = 0
    for line, values in lines:
        if "-" in values[0]:
            start, end = _range(raw, line, values[0], len(words))
            surface.append((values[1], _foremost(raw, words, range(start, end + 1))))
            covered, count = end, count + 1
        elif (number := _number(raw, (line, values))) > covered:
            surface.append((values[1], number))
    return surface, count


def _foremost(raw: RawFile, words: _Words, parts: range) -> int:
    """The part nearest the root; of several, the one whose tag is first in the language's order."""
    depths = {part: _depth(raw, words, part) for part in parts}
    nearest = [part for part in parts if depths[part] == min(depths.values())]
    order = PRECEDENCE.get(raw.language, _ORDER).split()
    tags = {part: words[part][1][3] for part in nearest}
    return min(nearest, key=lambda part: order.index(tags[part]) if tags[part] in order else 99)


def _depth(raw: RawFile, words: _Words, word: int) -> int:
    """How many heads lead from a word to the root."""
    depth = 0
    while word:
        head = _head(raw, words, word)
        if depth > len(words):
            raise _no_way(raw, words, word)
        word, depth = head, depth + 1
    return depth


def _head(raw: RawFile, words: _Words, word: int) -> int:
    head = whole_number(words[word][1][6])
    if head is None or head > len(words):
        raise _no_way(raw, words, word)
    return head


def _no_way(raw: RawFile, words: _Words, word: int) -> UserError:
    line, values = words[word]
    return raw.at(line, f"head {values[6]!r}; expected a word's number that leads to the root")


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


def _parts_of_speech(raw: RawFile, words: _Words, numbers: Sequence[int]) -> list[str]:
    return [raw.label(words[number][0], words[number][1][3]) for number in numbers]


def _relations(raw: RawFile, words: _Words, numbers: Sequence[int]) -> list[str]:
    """Universal relations, without what a language adds after a colon."""
    return [raw.label(words[number][0], universal(words[number][1][7])) for number in numbers]


def _chunks(raw: RawFile, words: _Words, numbers: Sequence[int]) -> list[str]:
    heads = {number: _head(raw, words, number) for number in words}
    if (word := lost(heads)) is not None:
        raise _no_way(raw, words, word)
    analysed = {
        number: Word(values[3], heads[number], values[7]) for number, (_, values) in words.items()
    }
    return chunk_tags(analysed, numbers)


conllu = partial(_read, tags=_parts_of_speech)
conllu_relations = partial(_read, tags=_relations)
conllu_chunks = partial(_read, tags=_chunks)
