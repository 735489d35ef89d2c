"""Tables of the Hub, turned into rows as the official files give them.

What enters: a `Columns`, labels already as names. What leaves: a `Reading`. Where an official
file's reader can read the row under its official field names, it does, so that a rule exists once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from xstilts.formats.tables import Row
from xstilts.sources.readers import jsonl, squad
from xstilts.sources.readers.lines import aligned
from xstilts.sources.readers.raw import RawFile, text_field, whole_number
from xstilts.sources.readers.syntax import Word, chunk_tags, lost, universal
from xstilts.sources.readers.table import choice_row, counted_pairs, pair_row
from xstilts.sources.reading import Reading

IDS = ("uid", "idx", "id")  # what copies call a pair's own name; without one: its place
ENGLISH_ISO3 = "eng"
_DUPLICATES = {"not_duplicate": "0", "duplicate": "1"}


@dataclass(frozen=True)
class Columns(RawFile):
    """A table of a repository. path: for messages alone, ID@REVISION/CONFIG/SPLIT."""

    records: Sequence[Mapping[str, Any]] = ()

    def objects(self) -> list[tuple[int, dict[str, Any]]]:
        return [(number, dict(record)) for number, record in enumerate(self.records, 1)]

    def document(self) -> Any:
        """The table as SQuAD's JSON, each row as an article of its own."""
        return {"data": [self._article(*numbered) for numbered in self.objects()]}

    def changed(self, number: int, record: dict[str, Any], **fields: Any) -> dict[str, Any]:
        """A record with official fields added or replaced; those that are None are left out."""
        whole = {**record, **fields}
        return {key: value for key, value in whole.items() if value is not None}

    def _article(self, number: int, record: dict[str, Any]) -> dict[str, Any]:
        answers = record["answers"]
        texts, starts = (
            answers.get(key) if isinstance(answers, dict) else None
            for key in ("text", "answer_start")
        )
        if not (isinstance(texts, list) and isinstance(starts, list) and len(texts) == len(starts)):
            raise self.at(number, f"answers {answers!r}; expected as many starts as texts")
        listed = [
            {"text": text, "answer_start": start} for text, start in zip(texts, starts, strict=True)
        ]
        question = {key: record.get(key) for key in ("id", "question")} | {"answers": listed}
        if self.record.no_answer:
            question["is_impossible"] = not listed
        paragraph = {"context": record.get("context"), "qas": [question]}
        return {"title": record.get("title"), "paragraphs": [paragraph]}


def pairs(
    raw: Columns,
    first: str,
    second: str,
    names: Mapping[str, str] | None = None,
    no_majority: bool = False,
) -> Reading:
    """Pairs of texts with a label. names: of labels that the copy calls otherwise.

    no_majority: whether rows without a label, on which the annotators did not agree, are dropped.
    """
    rows: list[Row] = []
    records = raw.objects()
    for number, record in records:
        gold = record["label"]
        if gold is None and no_majority:
            continue
        name = next((str(record[key]) for key in IDS if key in record), raw.row_id(number))
        text_a, text_b = record[first], record[second]
        if not (isinstance(text_a, str) and isinstance(text_b, str)):
            raise raw.at(number, f"'{first}' or '{second}' is not a text; expected two")
        label = raw.label(number, _renamed(names or {}, gold))
        rows.append(pair_row(name, text_a, text_b, label))
    dropped = len(records) - len(rows)
    return counted_pairs(raw, rows, len(records), dropped_no_majority_label=dropped)


def of_language(raw: Columns) -> Reading:
    """google/xtreme's XNLI: one language's pairs, from a table of all languages."""
    of_this = [
        {**record, "label": record["gold_label"]}
        for number, record in raw.objects()
        if raw.is_own(number, record["language"])
    ]
    if not of_this:
        raise raw.at(None, f"no rows with language {raw.language}; expected some")
    return pairs(replace(raw, records=of_this), "sentence1", "sentence2")


def tagged(raw: Columns, column: str) -> Reading:
    """Tagged sentences; those without words are left out, and counted."""
    rows: list[Row] = []
    records = raw.objects()
    for number, record in records:
        tokens, tags = record["tokens"] or [], record[column] or []
        if not tokens and not tags:
            continue
        if not (isinstance(tokens, list) and isinstance(tags, list)):
            raise raw.at(number, f"'tokens' or '{column}' is no list; expected words and tags")
        if len(tokens) != len(tags) or not all(isinstance(word, str) and word for word in tokens):
            problem = f"{len(tokens)} words, {len(tags)} tags, or an empty word"
            raise raw.at(number, f"{problem}; expected as many, none empty")
        labels = [raw.label(number, tag) for tag in tags]
        rows.append({"id": raw.row_id(number), "tokens": tokens, "tags": labels})
    return raw.reading(rows, len(rows), empty_sentences=len(records) - len(rows))


def relations(raw: Columns) -> Reading:
    """Universal Dependencies: each word's relation to its head, without subtypes."""
    records = [
        {**record, "relation": [universal(str(name)) for name in _listed(record, "deprel")]}
        for _, record in raw.objects()
    ]
    return tagged(replace(raw, records=records), "relation")


def chunks(raw: Columns) -> Reading:
    """Universal Dependencies: base phrases (`syntax`) out of parts of speech, heads, relations."""
    records = [
        {**record, "chunk": _chunked(raw, number, record)} for number, record in raw.objects()
    ]
    return tagged(replace(raw, records=records), "chunk")


def _listed(record: Mapping[str, Any], key: str) -> list[Any]:
    """A column's list; what is none is as if empty, and unlike its words in number."""
    value = record[key]
    return value if isinstance(value, list) else []


def _chunked(raw: Columns, number: int, record: Mapping[str, Any]) -> list[str]:
    parts, heads, names = (_listed(record, key) for key in ("upos", "head", "deprel"))
    if not len(parts) == len(heads) == len(names):
        problem = f"{len(parts)} parts of speech, {len(heads)} heads, {len(names)} relations"
        raise raw.at(number, f"{problem}; expected as many")
    above = {place: whole_number(str(head)) for place, head in enumerate(heads, 1)}
    found = {
        place: head for place, head in above.items() if head is not None and head in (0, *above)
    }
    word = next((place for place in above if place not in found), None) or lost(found)
    if word is not None:
        problem = f"head {heads[word - 1]!r} of word {word}"
        raise raw.at(number, f"{problem}; expected a word's number that leads to the root")
    words = {
        place: Word(str(part), head, str(name))
        for (place, head), part, name in zip(found.items(), parts, names, strict=True)
    }
    return chunk_tags(words, list(words))


def tatoeba(raw: Columns) -> Reading:
    """google/xtreme's Tatoeba: pairs in LASER's order, whose `*_lang` say which side is English."""
    foreign: list[str] = []
    english: list[str] = []
    for number, record in raw.objects():
        sides = {
            text_field(raw, number, record, f"{side}_lang"): text_field(
                raw, number, record, f"{side}_sentence"
            )
            for side in ("source", "target")
        }
        if len(sides) != 2 or ENGLISH_ISO3 not in sides:
            raise raw.at(number, f"languages {', '.join(sides)}; expected English and another")
        english.append(sides.pop(ENGLISH_ISO3))
        foreign += sides.values()
    return aligned(raw, foreign, english)


def bitext(raw: Columns) -> Reading:
    """MTEB's Tatoeba: the foreign sentence, then the English one."""
    foreign = [text_field(raw, number, record, "sentence1") for number, record in raw.objects()]
    english = [text_field(raw, number, record, "sentence2") for number, record in raw.objects()]
    return aligned(raw, foreign, english)


def hellaswag(raw: Columns) -> Reading:
    """HellaSwag, whose label is a string here, and empty in test."""
    records = [
        raw.changed(number, record, label=_index(raw, number, record["label"], "0123"))
        for number, record in raw.objects()
    ]
    return jsonl.hellaswag(replace(raw, records=records))


def siqa(raw: Columns) -> Reading:
    """Social IQa, whose label is 1 to 3 as a string here, and A to C in the official files."""
    indices = [_index(raw, number, record["label"], "123") for number, record in raw.objects()]
    records = [
        raw.changed(number, record, correct=None if index is None else "ABC"[index])
        for index, (number, record) in zip(indices, raw.objects(), strict=True)
    ]
    return jsonl.siqa(replace(raw, records=records))


def commonsenseqa(raw: Columns) -> Reading:
    """CommonsenseQA in its flat form; the answer's key is empty in test."""
    records = [
        raw.changed(
            number, record, answerKey=None if record["answerKey"] == "" else record["answerKey"]
        )
        for number, record in raw.objects()
    ]
    return jsonl.commonsenseqa(replace(raw, records=records))


def cosmosqa(raw: Columns) -> Reading:
    """Cosmos QA, with the official CSV's columns; the label is the right answer's number from 0."""
    rows: list[Row] = []
    for number, record in raw.objects():
        keys = ("id", "context", "question")
        name, context, question = (text_field(raw, number, record, key) for key in keys)
        answers = [f"answer{index}" for index in range(raw.record.choices)]
        choices = [text_field(raw, number, record, key) for key in answers]
        label = raw.choice(number, record["label"])
        rows.append(choice_row(name, context, question, choices, label))
    return raw.reading(rows, len(rows))


def copa(raw: Columns) -> Reading:
    """COPA and XCOPA: the label is choice1 or choice2 (SuperGLUE), or a number from 0 (XCOPA)."""
    names = {"choice1": 0, "choice2": 1}
    records = [
        raw.changed(number, record, label=_renamed(names, record["label"]))
        for number, record in raw.objects()
    ]
    return jsonl.copa(replace(raw, records=records))


def _renamed(names: Mapping[str, Any], label: Any) -> Any:
    """A copy's label under the task's name; what is no text stays, for the check that follows."""
    return names.get(label, label) if isinstance(label, str) else label


def _index(raw: Columns, number: int, label: Any, names: str) -> int | None:
    """The number of a label among `names`; None where it is hidden."""
    return None if label in (None, "") else names.index(raw.label(number, label, names))


TABLES: dict[str, Callable[[Columns], Reading]] = {
    "nli": partial(pairs, first="premise", second="hypothesis"),
    "snli": partial(pairs, first="premise", second="hypothesis", no_majority=True),
    "qqp": partial(pairs, first="question1", second="question2", names=_DUPLICATES),
    "paraphrases": partial(pairs, first="sentence1", second="sentence2"),
    "nli-languages": of_language,
    "squad": squad.squad,
    "tydiqa": squad.tydiqa,
    "entities": partial(tagged, column="ner_tags"),
    "pos": partial(tagged, column="pos_tags"),
    "upos": partial(tagged, column="upos"),
    "relations": relations,
    "chunks": chunks,
    "tatoeba": tatoeba,
    "bitext": bitext,
    "hellaswag": hellaswag,
    "siqa": siqa,
    "commonsenseqa": commonsenseqa,
    "cosmosqa": cosmosqa,
    "copa": copa,
}
