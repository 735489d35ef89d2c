"""All real tagging and span files: gold, encoded and decoded with perfect outputs, comes back."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.families.test_families import perfect
from tests.sources.test_files import real_files
from xstilts.formats.features import Features
from xstilts.formats.tables import Record, Row
from xstilts.tasks.families import span, tagging
from xstilts.tasks.families.protocol import TaskSettings
from xstilts.training.encoder import Tokenizer

SPANS = TaskSettings(384, doc_stride=128, max_question=64, max_answer=128)  # of XTREME's scripts,
# but for the answer: 30 pieces of a vocabulary of 250,000 are more text than of one of 12,000


def _tables(shared: Path, family: str, only: str = "") -> Iterator[tuple[str, Record, list[Row]]]:
    for path, reader, raw in real_files(shared):
        if raw.record.family == family and only in ("", path):
            yield path, raw.record, reader(raw).rows


def test_every_word_of_the_real_files_has_its_own_tag(shared: Path, tokenizer: Tokenizer) -> None:
    """100 %, in sequences short enough that many sentences are split."""
    words, counts, tasks = 0, Counter[str](), set()
    for path, record, rows in _tables(shared, "tagging"):
        settings = TaskSettings(64, labels=record.labels)
        # Where XTREME stripped the tags any will do: they must come back in order, one a word.
        known = [{**row, "tags": row["tags"] or _any_tags(row, record)} for row in rows]
        features = tagging.encode(known, tokenizer, settings)
        found = tagging.decode(features, perfect("tagging", features), known, settings)
        assert found == [row["tags"] for row in known], path
        assert features.columns["input_ids"].lengths.max() <= 64
        words += sum(len(row["tokens"]) for row in known)
        counts.update(features.counts)
        tasks.add(record.name)
    assert tasks == {"udpos", "panx"}
    assert words > 500_000 and counts["split sentences"] > 1_000
    assert counts["tags outside the label set"] == 0


def _any_tags(row: Row, record: Record) -> list[str]:
    return [record.labels[place % len(record.labels)] for place in range(len(row["tokens"]))]


def _each_answer(rows: list[Row]) -> list[Row]:
    """A row for each distinct gold answer: encoding looks at the first."""
    return [
        {**row, "answers": [answer]}
        for row in rows
        for answer in {str(one): one for one in row["answers"] or []}.values()
    ]


def _brought_back(rows: list[Row], features: Features, settings: TaskSettings) -> int:
    """How many golds perfect logits give back; what is given is a substring in every case."""
    found = span.decode(features, perfect("span", features), rows, settings)
    assert all(one["text"] in row["context"] for one, row in zip(found, rows, strict=True))
    golds = [row["answers"][0]["text"].strip() for row in rows]
    return sum(one["text"] == gold for one, gold in zip(found, golds, strict=True))


@pytest.mark.slow
def test_every_gold_answer_comes_back_or_is_counted_by_cause(
    shared: Path, tokenizer: Tokenizer
) -> None:
    answers, causes, tasks = 0, Counter[str](), set()
    for path, record, rows in _tables(shared, "span"):
        if not (one_each := _each_answer(rows)):
            continue  # stripped
        features = span.encode(one_each, tokenizer, SPANS)
        lost = {cause: features.counts.get(cause, 0) for cause in span.LOST[1:]}
        back = _brought_back(one_each, features, SPANS)
        assert back + sum(lost.values()) == len(one_each), path
        answers += len(one_each)
        causes.update(lost)
        tasks.add(record.name)
    assert tasks == {"xquad", "squad1", "squad2", "tydiqa", "mlqa"} and answers > 16_000
    print(f"{answers} answers, not brought back: {dict(causes)}")
    assert sum(causes.values()) < 0.01 * answers, causes
    assert causes["answers in no window whole"] < 0.001 * answers, causes


def test_the_official_limit_of_an_answer_is_what_it_costs(
    shared: Path, tokenizer: Tokenizer
) -> None:
    """At 30 pieces every loss of English XQuAD is counted by cause, most of them as too long."""
    ((_, _, rows),) = _tables(shared, "span", "xquad/xquad.en.json")
    settings = TaskSettings(384, doc_stride=128, max_question=64, max_answer=30)
    features = span.encode(rows, tokenizer, settings)
    lost = {cause: features.counts.get(cause, 0) for cause in span.LOST[1:]}
    assert _brought_back(rows, features, settings) + sum(lost.values()) == len(rows) == 1_190
    assert lost["answers longer than max_answer"] > sum(lost.values()) / 2
    assert lost["answers in no window whole"] == 0
