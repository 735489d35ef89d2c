"""UD to XTREME's udpos: our reader against the official converter's rules on the real treebanks."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import networkx as nx

from xstilts.params import SourceSettings
from xstilts.sources import files
from xstilts.sources.readers import READERS, RawFile
from xstilts.sources.readers.conllu import _ORDER, PRECEDENCE
from xstilts.tasks.catalogue import record

Columns = list[str]


def _sentences(path: Path) -> Iterator[list[Columns]]:
    for block in path.read_text(encoding="utf-8").split("\n\n"):
        if found := [line.split("\t") for line in block.split("\n") if line[:1].isdigit()]:
            yield found


def _official(sentence: list[Columns], language: str) -> list[tuple[str, str]]:
    """(form, tag) as ud-conversion-tools fuses: `_choose_spanhead_from_heuristics` of lib/conll.py.

    The part with the fewest ancestors in the graph of basic AND enhanced edges; of several, the
    first of the language's precedence. Ours walks the basic tree alone.
    """
    graph = nx.DiGraph()
    words = {int(line[0]): line for line in sentence if line[0].isdigit()}
    for number, line in words.items():
        heads = [line[6], *(edge.split(":")[0] for edge in line[8].split("|"))]
        graph.add_edges_from((int(head), number) for head in heads if head.isdigit())
    fused: dict[int, tuple[str, str]] = {}  # by the first part; "" covers the others
    for line in sentence:
        if "-" in line[0]:
            first, last = map(int, line[0].split("-"))
            depths = {part: len(nx.ancestors(graph, part)) for part in range(first, last + 1)}
            highest = [part for part in depths if depths[part] == min(depths.values())]
            order = PRECEDENCE.get(language, _ORDER).split()
            tags = [words[part][3] for part in highest]
            tag = min(tags, key=order.index) if len(tags) > 1 else tags[0]  # ValueError as there
            fused |= dict.fromkeys(depths, ("", "")) | {first: (line[1], tag)}
    found = [fused.get(number, (line[1], line[3])) for number, line in words.items()]
    return [(form, tag) for form, tag in found if form]


def test_every_real_sentence_is_converted_as_officially(shared: Path) -> None:
    fused = sentences = 0
    for path in sorted((shared / "data/udpos").rglob("*.conllu")):
        language = path.name.split("_")[0]
        reading = READERS["conllu"](RawFile(path, record("udpos"), "test", language))
        ours = [list(zip(row["tokens"], row["tags"], strict=True)) for row in reading.rows]
        expected = []
        for sentence in _sentences(path):
            pairs = _official(sentence, language)
            withheld = sum(form == "_" for form, _ in pairs)
            if withheld == 0 or withheld < len(pairs) - 1:
                expected.append(
                    [("".join(f.replace("\u200c", "").split(" ")), t) for f, t in pairs]
                )
        assert ours == expected, path.name
        dropped = reading.counts.get("dropped: text withheld", 0)
        assert reading.counts["read"] == len(ours) + dropped
        fused += reading.counts.get("fused words", 0)
        sentences += len(ours)
    assert fused > 3_000 and sentences > 11_000


def test_all_real_treebanks_of_a_language_are_read(shared: Path) -> None:
    settings = SourceSettings(name="files", path=str(shared / "data"))
    found = files.read(record("udpos"), "dev", "en", settings)
    assert found is not None
    banks = [row["id"].split("-ud-")[0] for row in found.rows]  # ids begin with the file's name
    assert list(dict.fromkeys(banks)) == ["en_ewt", "en_partut"]
    assert found.counts["read"] == len(found.rows)
