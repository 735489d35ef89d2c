"""Tagged sentences: a word a line (XTREME's, Rahimi's) or a sentence a line (converted CCGbank)."""

from __future__ import annotations

from collections.abc import Iterator

from xstilts.formats.tables import Row
from xstilts.sources.readers.raw import RawFile
from xstilts.sources.reading import Reading

_Word = tuple[int, list[str]]  # line, [word] or [word, tag]


def bio(raw: RawFile) -> Reading:
    """XTREME's udpos and panx: word TAB tag, blank line between sentences; no tags: hidden.

    Split at the TAB alone: a word with a space in it is kept as it is.
    """
    return _sentences(raw, prefix="")


def rahimi(raw: RawFile) -> Reading:
    """WikiAnn as Rahimi et al. distribute it: language:word TAB tag."""
    return _sentences(raw, prefix=f"{raw.language}:")


def ccg(raw: RawFile) -> Reading:
    """ccg.train, ccg.dev: words joined by spaces, TAB, as many supertags joined by spaces."""
    rows: list[Row] = []
    for number, line in raw.cut(list(enumerate(raw.lines(), 1))):
        columns = line.split("\t")
        if len(columns) != 2:
            raise raw.at(number, f"{len(columns)} columns; expected words TAB tags")
        tokens, tags = columns[0].split(" "), columns[1].split(" ")
        if len(tokens) != len(tags) or "" in tokens + tags:
            raise raw.at(number, f"{len(tokens)} words and {len(tags)} tags; expected as many")
        rows.append({"id": raw.row_id(number), "tokens": tokens, "tags": tags})
    return raw.reading(rows, len(rows))


def _sentences(raw: RawFile, prefix: str) -> Reading:
    """The sentences of a file with a word on each line. prefix: what each word begins with."""
    groups = list(_groups(raw))
    sentences = [words for words in groups if words]
    wanted = raw.cut(sentences)
    # One column in all of the file, or two: a stripped file has words alone.
    columns = len(sentences[0][0][1])
    if columns not in (1, 2):
        number = sentences[0][0][0]
        raise raw.at(number, f"{columns} columns; expected a word and (unless stripped) a tag")
    rows: list[Row] = []
    for words in wanted:
        tokens: list[str] = []
        tags: list[str] = []
        for number, values in words:
            if len(values) != columns:
                raise raw.at(
                    number, f"{len(values)} columns; expected {columns}, as in the first line"
                )
            if not values[0].startswith(prefix) or not values[0].removeprefix(prefix):
                raise raw.at(number, f"word {values[0]!r}; expected {prefix or 'a word'}...")
            tokens.append(values[0].removeprefix(prefix))
            if columns == 2:
                tags.append(raw.label(number, values[1]))
        gold = tags if columns == 2 else None
        rows.append({"id": raw.row_id(words[0][0]), "tokens": tokens, "tags": gold})
    return raw.reading(rows, len(rows), empty_sentences=len(groups) - len(sentences))


def _groups(raw: RawFile) -> Iterator[list[_Word]]:
    """The lines between blank ones; two blank lines in a row enclose an empty sentence."""
    words: list[_Word] = []
    for number, line in enumerate(raw.lines(), 1):
        if line:
            words.append((number, line.split("\t")))
        else:
            yield words
            words = []
    if words:
        yield words
