"""Hand-made files of the ranking tasks: small right ones, and broken ones with their errors."""

from __future__ import annotations

import json
from copy import deepcopy
from typing import Any

ENTITIES = "candidate_set_entities.jsonl"
TEXT = "Ada came. She {really} spoke."
PARAGRAPH: dict[str, Any] = {
    "context": "Ada came. Ada spoke. Ada came.",
    "sentence_breaks": [[0, 9], [10, 20], [21, 30]],
    "qas": [
        {"id": "a", "question": "Who came?", "answers": [{"text": "Ada", "answer_start": 0}]},
        {"id": "b", "question": "Who spoke?", "answers": [{"text": "Ada", "answer_start": 10}]},
        {"id": "c", "question": "What?", "answers": [{"text": " ", "answer_start": 9}]},
    ],
}
UNASKED = {"context": "No.", "sentence_breaks": [[0, 3]], "qas": []}
XQUAD_R = {"data": [{"paragraphs": [UNASKED, PARAGRAPH]}]}
CONTEXT = {
    "language": "de",
    "text": TEXT,
    "sentence_spans": [{"start": 0, "end": 9}, {"start": 10, "end": 29}],
}
MENTION = {
    "example_id": "m1",
    "mention_span": {"start": 10, "end": 13, "text": "She"},
    "entity_id": "Q1",
}
ENTITY = {
    "entity_id": "Q1",
    "description": "Ada is\none.  She codes.",
    "sentence_spans": [{"start": 0, "end": 11}, {"start": 13, "end": 23}],
}
ARTICLE = {"context": CONTEXT, "mentions": [MENTION]}
PAIR = {"contextual_mention": {"context": CONTEXT, "mention": MENTION}, "entity": ENTITY}


def changed(value: Any, path: str, to: object) -> Any:
    """A copy in which the value at "a.0.b" is another."""
    new = deepcopy(value)
    *above, last = [int(part) if part.isdigit() else part for part in path.split(".")]
    place = new
    for part in above:
        place = place[part]
    place[last] = to
    return new


def line(value: object) -> str:
    return json.dumps(value) + "\n"


def _spoilt(value: Any, path: str, to: object) -> str:
    return line(changed(value, path, to))


_PLACE = "data.0.paragraphs.1"
BROKEN_RANKING: dict[str, dict[str, tuple[Any, str]]] = {
    "xquad-r": {
        "breaks": (
            _spoilt(XQUAD_R, f"{_PLACE}.sentence_breaks.1", [10, 31]),
            "data[0].paragraphs[1].sentence_breaks[1]: [10, 31]; expected [start, end)",
        ),
        "no breaks": (_spoilt(XQUAD_R, f"{_PLACE}.sentence_breaks", None), "missing; expected a"),
        "two answers": (
            _spoilt(XQUAD_R, f"{_PLACE}.qas.0.answers", PARAGRAPH["qas"][0]["answers"] * 2),
            "qas[0].answers: [('Ada', 0), ('Ada', 0)]; expected one answer",
        ),
        "blanked": (
            _spoilt(XQUAD_R, f"{_PLACE}.qas.0.answers", [{"text": "", "answer_start": 0}]),
            "expected one answer, with text",
        ),
        "question": (_spoilt(XQUAD_R, f"{_PLACE}.qas.0", "a"), "qas[0]: str; expected an object"),
        "a list": ("[]", ":1: a JSON list; expected an object"),
        "nothing asked": (_spoilt(XQUAD_R, "data.0.paragraphs", [UNASKED]), "no questions"),
        "id twice": (_spoilt(XQUAD_R, f"{_PLACE}.qas.1.id", "a"), "id 'a_de' occurs twice"),
    },
    "mewslix": {
        "no text": (_spoilt(ARTICLE, "context.text", ""), ":1: 'text' is empty, as the article"),
        "elsewhere": (
            _spoilt(ARTICLE, "mentions.0.mention_span.start", 9),
            ":1: mention_span: ' She' stands there; expected 'She'",
        ),
        "outside": (
            _spoilt(ARTICLE, "mentions.0.mention_span.end", 99),
            "expected start and end in the text's 29 characters",
        ),
        "no sentence": (
            _spoilt(ARTICLE, "context.sentence_spans", [{"start": 0, "end": 12}]),
            ":1: mention 'She' is in no sentence_span",
        ),
        "no entity": (_spoilt(ARTICLE, "mentions.0.entity_id", ""), "'entity_id' is ''"),
        "entity": (_spoilt(ARTICLE, "mentions.0.entity_id", 1), "'entity_id' is 1; expected text"),
        "no mentions": (_spoilt(ARTICLE, "mentions", []), "'mentions' is []"),
        "no context": (_spoilt(ARTICLE, "context", 1), "'context' is 1; expected an object"),
        "no spans": (_spoilt(ARTICLE, "context.sentence_spans", 1), "'sentence_spans' is 1"),
        "no language": (_spoilt(ARTICLE, "context.language", "d"), ":1: language 'd'; expected a"),
        "language": (_spoilt(ARTICLE, "context.language", "fr"), "no articles in language de"),
    },
    "mewslix-pairs": {
        "another entity": (_spoilt(PAIR, "entity.entity_id", "Q2"), ":1: entity Q2; expected Q1"),
        "no entity": (_spoilt(PAIR, "entity", None), ":1: 'entity_id' is missing"),
        "blanked": (
            _spoilt(PAIR, "contextual_mention.mention.entity_id", ""),
            ":1: entity Q1; expected none, for the mention has none",
        ),
        "no mention": (_spoilt(PAIR, "contextual_mention", None), ":1: 'context' is None"),
        "description": (
            _spoilt(PAIR, "entity.sentence_spans.0", {"start": 5, "end": 5}),
            "expected start and end in the text's 23 characters",
        ),
    },
}
