"""Small rows of every family, made up."""

from __future__ import annotations

from xstilts.formats.tables import Record, Row
from xstilts.params import FrozenSettings, PhaseSettings, SpanSettings

LONG = " ".join(f"The cat number {n} saw the dog near the river ." for n in range(12))


def record(family: str, **changes: object) -> Record:
    """A record of that family with what its rows below need."""
    values: dict[str, object] = {
        "name": f"tiny_{family}",
        "family": family,
        "roles": ("target",),
        "group": "NLI",
        "languages": ("en", "de"),
        "metrics": METRICS[family],
        "main": METRICS[family][:1],
        "licence": "none",
        "title": "made up",
        "labels": LABELS.get(family, ()),
        "choices": 3 if family == "choice" else 0,
        "convention": {"tagging": "seqeval-0.0.12", "span": "squad1",
        "retrieval": "mining"}.get(family, ""),
    }  # fmt: skip
    return Record(**{**values, **changes})  # type: ignore[arg-type]


METRICS = {
    "classification": ("accuracy",),
    "choice": ("accuracy",),
    "tagging": ("f1", "accuracy"),
    "span": ("f1", "exact_match"),
    "retrieval": ("f1", "precision", "recall"),
    "ranking": ("map@20",),
    "masked_lm": (),
}
LABELS = {
    "classification": ("contradiction", "entailment", "neutral"),
    "tagging": ("NOUN", "VERB", "X"),
}


def rows(family: str) -> list[Row]:
    return ROWS[family]


def _answer(context: str, text: str) -> list[dict[str, object]]:
    return [{"text": text, "start": context.index(text)}]


ROWS: dict[str, list[Row]] = {
    "classification": [
        {"id": str(n), "text_a": a, "text_b": b, "label": label, "part": None}
        for n, (a, b, label) in enumerate(
            [
                ("The dog saw a cat .", "A cat was seen .", "entailment"),
                (LONG, "No cat .", "contradiction"),
                ("Старая собака .", "老狗", "neutral"),
                ("A river .", "The dog did .", "neutral"),
                ("Paris .", "In Paris , yesterday , the old dog saw a cat .", "entailment"),
            ]
        )
    ],
    "choice": [
        {"id": str(n), "context": c, "question": q, "choices": choices, "label": n % 3}
        for n, (c, q, choices) in enumerate(
            [
                ("The dog saw", None, ["a cat .", "the river near Paris .", LONG]),
                (LONG, "Who saw ?", ["the dog", "the cat", "yesterday"]),
                ("老狗", "Who ?", ["Hund", "кошку", "a small cat near the river"]),
                ("Paris", None, ["a", "the", "cat"]),
            ]
        )
    ],
    "tagging": [
        {"id": "0", "tokens": ["The", "dog", "saw", "\u200d"], "tags": ["X", "NOUN", "VERB", "X"]},
        {"id": "1", "tokens": LONG.split(), "tags": ["NOUN", "VERB"] * (len(LONG.split()) // 2)},
        {"id": "2", "tokens": ["кошку" * 90, "cat"], "tags": ["NOUN", "NOUN"]},
        {"id": "3", "tokens": ["老狗"], "tags": ["NOUN"]},
    ],
    "span": [
        {"id": "0", "context": "The dog saw a cat in Paris .", "question": "Where ?",
         "answers": _answer("The dog saw a cat in Paris .", "Paris"), "answerable": True,
         "group": "a"},
        {"id": "1", "context": LONG, "question": "Which cat saw the dog ?",
         "answers": _answer(LONG, "number 11"), "answerable": True, "group": "b"},
        {"id": "2", "context": "老狗在河边看见了一只小猫。", "question": "谁看见了小猫 ?",
         "answers": _answer("老狗在河边看见了一只小猫。", "老狗"), "answerable": True,
         "group": "c"},
    ],
    "retrieval": [
        *({"id": f"de-{n}", "side": "foreign", "text": text, "gold": [f"en-{n}"] if n < 2 else []}
          for n, text in enumerate(["Der Hund .", "Die Katze .", "Am Fluss ."])),
        *({"id": f"en-{n}", "side": "english", "text": text, "gold": None}
          for n, text in enumerate(["The dog .", "The cat .", "In Paris yesterday ."])),
    ],
    "ranking": [
        {"id": "0", "query": "Who saw ?", "candidate": "The dog saw a cat .", "context": LONG,
         "gold": ["0"]},
        {"id": "1", "query": "Where ?", "candidate": "In Paris , yesterday .", "context": LONG,
         "gold": ["1"]},
        {"id": "2", "query": "Who was seen ?", "candidate": "The dog saw a cat .",
         "context": LONG, "gold": ["0"]},
        {"id": "3", "query": "老狗 ?", "candidate": "小猫", "context": None, "gold": ["3"]},
    ],
    "masked_lm": [
        {"text": "The dog saw a cat .", "pair": "Der Hund sah eine Katze ."},
        {"text": LONG, "pair": None},
        {"text": "Старая собака видела кошку .", "pair": None},
    ],
}  # fmt: skip


def section(family: str, max_length: int = 48) -> PhaseSettings | FrozenSettings:
    if family == "retrieval":
        return FrozenSettings(layer=1, max_length=max_length)
    span = SpanSettings(doc_stride=8, max_question=12, max_answer=8) if family == "span" else None
    return PhaseSettings(learning_rate=1e-3, batch_size=4, max_length=max_length, span=span)
