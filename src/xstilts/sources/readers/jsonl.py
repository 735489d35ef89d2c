"""Files with one JSON object a line: the NLI sets and the choice tasks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from xstilts.formats.tables import Row
from xstilts.sources.readers.raw import RawFile, text_field
from xstilts.sources.readers.table import NO_MAJORITY, choice_row, domain, pair_row
from xstilts.sources.reading import Reading

LETTERS = {"c": "contradiction", "e": "entailment", "n": "neutral"}
_COPA_QUESTIONS = {"cause": "What was the cause?", "effect": "What was the effect?"}
_Objects = Sequence[tuple[int, dict[str, Any]]]


def snli(raw: RawFile) -> Reading:
    """SNLI, MultiNLI and XNLI 1.0; a pair whose gold_label is "-" is dropped, as everyone does."""
    objects = [
        (number, value)
        for number, value in raw.cut(raw.objects())
        if raw.is_own(number, value.get("language", raw.language))
    ]
    if not objects:
        raise raw.at(None, f"no rows with language {raw.language}; expected some")
    hidden = _hidden(raw, objects, "gold_label")
    rows: list[Row] = []
    for number, value in objects:
        if value.get("gold_label") == NO_MAJORITY:
            continue
        label = None if hidden else raw.label(number, value["gold_label"])
        pair = _pair(raw, number, value, ("pairID", "sentence1", "sentence2"), label)
        rows.append(pair | domain(value.get("genre")))
    dropped = len(objects) - len(rows)
    return raw.reading(rows, len(objects), dropped_no_majority_label=dropped)


def anli(raw: RawFile) -> Reading:
    """ANLI: the premise is `context`, labels are letters."""
    objects = raw.cut(raw.objects())
    hidden = _hidden(raw, objects, "label")
    rows: list[Row] = []
    for number, value in objects:
        label = None if hidden else _letter(raw, number, value["label"])
        rows.append(_pair(raw, number, value, ("uid", "context", "hypothesis"), label))
    return raw.reading(rows, len(rows))


def chaosnli(raw: RawFile) -> Reading:
    """ChaosNLI: dev pairs of SNLI or MNLI with the majority of 100 annotators' labels."""
    rows: list[Row] = []
    for number, value in raw.cut(raw.objects()):
        pair = value.get("example")
        if not isinstance(pair, dict):
            raise raw.at(number, f"'example' is {pair!r}; expected premise and hypothesis")
        label = _letter(raw, number, value.get("majority_label"))
        named = {**pair, "uid": value.get("uid")}
        rows.append(_pair(raw, number, named, ("uid", "premise", "hypothesis"), label))
    return raw.reading(rows, len(rows))


def hellaswag(raw: RawFile) -> Reading:
    """Prompt ctx_a, choice ctx_b + " " + ending, as jiant (WikiHow rows have no ctx_b)."""
    objects = raw.cut(raw.objects())
    hidden = _hidden(raw, objects, "label")
    rows: list[Row] = []
    for number, value in objects:
        endings = _texts(raw, number, "endings", value.get("endings"))
        start = value.get("ctx_b", "")
        if not isinstance(value.get("ind"), int) or not isinstance(start, str):
            raise raw.at(
                number, "'ind' or 'ctx_b' is missing or wrong; expected a number and a text"
            )
        choices = [f"{start} {ending}".strip() for ending in endings]
        label = None if hidden else raw.choice(number, value["label"])
        context = text_field(raw, number, value, "ctx_a")
        row = choice_row(str(value["ind"]), context, None, choices, label)
        source = str(value.get("source_id", "")).partition("~")[0]  # activitynet, wikihow
        rows.append(row | domain(source))
    return raw.reading(rows, len(rows))


def commonsenseqa(raw: RawFile) -> Reading:
    """The official layout (question.stem, question.choices[]) and the Hub's flat one."""
    objects = raw.cut(raw.objects())
    hidden = _hidden(raw, objects, "answerKey")
    names = "ABCDE"[: raw.record.choices]
    rows: list[Row] = []
    for number, value in objects:
        question, choices = value.get("question"), value.get("choices")
        if isinstance(question, dict):
            listed = question.get("choices")
            labels: object = _column(listed, "label")
            texts: object = _column(listed, "text")
            stem = text_field(raw, number, question, "stem")
        else:
            flat = choices if isinstance(choices, dict) else {}
            labels, texts = flat.get("label"), flat.get("text")
            stem = text_field(raw, number, value, "question")
        if labels != list(names):
            raise raw.at(number, f"choices labelled {labels!r}; expected {', '.join(names)}")
        label = None if hidden else names.index(raw.label(number, value["answerKey"], names))
        options = _texts(raw, number, "choices", texts)
        rows.append(choice_row(text_field(raw, number, value, "id"), stem, None, options, label))
    return raw.reading(rows, len(rows))


def cosmosqa(raw: RawFile) -> Reading:
    """Cosmos QA's test.jsonl, which has no labels."""
    rows: list[Row] = []
    for number, value in raw.cut(raw.objects()):
        choices = [
            text_field(raw, number, value, f"answer{index}") for index in range(raw.record.choices)
        ]
        context, question = (text_field(raw, number, value, key) for key in ("context", "question"))
        rows.append(
            choice_row(text_field(raw, number, value, "id"), context, question, choices, None)
        )
    return raw.reading(rows, len(rows))


def siqa(raw: RawFile) -> Reading:
    """Social IQa: `correct` is A, B or C; or NAME-labels.lst beside NAME.jsonl holds 1, 2 or 3."""
    objects = raw.cut(raw.objects())
    beside = raw.path.with_name(f"{raw.path.stem}-labels.lst")
    golds: list[int | None] = [None] * len(objects)
    if beside.is_file():
        given = raw.beside(beside.name)
        listed = given.cut(list(enumerate(given.lines(), 1)))
        if len(listed) != len(objects):
            raise given.at(None, f"{len(listed)} labels; expected {len(objects)}, one a line")
        golds = ["123".index(given.label(n, gold, "123")) for n, gold in listed]
    elif not _hidden(raw, objects, "correct"):
        golds = ["ABC".index(raw.label(n, value["correct"], "ABC")) for n, value in objects]
    rows: list[Row] = []
    for (number, value), gold in zip(objects, golds, strict=True):
        choices = [text_field(raw, number, value, f"answer{letter}") for letter in "ABC"]
        context, question = (text_field(raw, number, value, key) for key in ("context", "question"))
        rows.append(choice_row(raw.row_id(number), context, question, choices, gold))
    return raw.reading(rows, len(rows))


def copa(raw: RawFile) -> Reading:
    """COPA and XCOPA. XTREME's script sets every test label to 0: that is a stripped file."""
    objects = raw.cut(raw.objects())
    hidden = _hidden(raw, objects, "label")
    # XTREME strips by writing zeros, which cannot be told from labels in a file of one object.
    if raw.split == "test" and len(objects) > 1:
        hidden = hidden or all(value["label"] == 0 for _, value in objects)
    rows: list[Row] = []
    for number, value in objects:
        kind = value.get("question")
        if not isinstance(kind, str) or kind not in _COPA_QUESTIONS:
            raise raw.at(number, f"question {kind!r}; expected cause or effect")
        if isinstance(value.get("idx"), bool) or not isinstance(value.get("idx"), int):
            raise raw.at(number, f"'idx' is {value.get('idx')!r}; expected the item's number")
        choices = [text_field(raw, number, value, key) for key in ("choice1", "choice2")]
        label = None if hidden else raw.choice(number, value["label"])
        premise = text_field(raw, number, value, "premise")
        rows.append(choice_row(str(value["idx"]), premise, _COPA_QUESTIONS[kind], choices, label))
    return raw.reading(rows, len(rows))


def _hidden(raw: RawFile, objects: _Objects, key: str) -> bool:
    """Whether the labels are stripped, so that no object has the key; UserError if some have it."""
    without = [number for number, value in objects if value.get(key) is None]
    if without and len(without) < len(objects):
        raise raw.at(without[0], f"'{key}' is missing; expected one, as in the other lines")
    return bool(without)


def _letter(raw: RawFile, number: int, value: object) -> str:
    return LETTERS[raw.label(number, value, LETTERS)]


def _texts(raw: RawFile, number: int, key: str, values: object) -> list[str]:
    """The choices, which must be as many as the task has, all of them text."""
    right = isinstance(values, list) and all(
        isinstance(text, str) and text.strip() for text in values
    )
    if not right or len(values) != raw.record.choices:  # type: ignore[arg-type]
        raise raw.at(number, f"'{key}' is {values!r}; expected {raw.record.choices} texts")
    return values  # type: ignore[return-value]


def _column(values: object, key: str) -> list[object]:
    listed = values if isinstance(values, list) else []
    return [value.get(key) if isinstance(value, dict) else None for value in listed]


def _pair(
    raw: RawFile, number: int, value: dict[str, Any], keys: Sequence[str], label: str | None
) -> Row:
    """The row of an object. keys: those of its id and of its two texts."""
    name, text_a, text_b = (text_field(raw, number, value, key) for key in keys)
    return pair_row(name, text_a, text_b, label)
