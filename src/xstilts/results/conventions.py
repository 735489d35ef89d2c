"""The other conventions under which each family's kept predictions may be scored.

What enters: the settings of a cell's own number, predictions, the table's texts. What leaves: other
settings, other rows, other predictions to score, or what cannot be computed from what was kept.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import get_args

from xstilts.formats.tables import FamilyName, Row
from xstilts.tasks.families.protocol import Prediction, TaskSettings
from xstilts.tasks.families.retrieval import NEAREST
from xstilts.tasks.metrics import mlqa, tags

NORMALISERS = {"squad1": "SQuAD's normaliser", "mlqa": "MLQA's normaliser"}
PLACEHOLDER = "NS"  # PAWS-X: no translation; its paper leaves such rows out, XTREME does not

Numbers = dict[str, float]  # language -> fraction


@dataclass(frozen=True)
class Rule:
    """A convention: the settings to score with, and the metrics whose mean is the number."""

    settings: TaskSettings
    main: tuple[str, ...]


Variant = tuple[str, Sequence[Prediction], Sequence[int]]  # name, predictions, the rows that count
ByTexts = Callable[[TaskSettings, Sequence[Prediction], Sequence[Row]], Iterator[Variant]]


@dataclass(frozen=True)
class Conventions:
    """How else a family's predictions may be scored, given the settings of the cell's own number.

    rules: other settings and metrics in a language. by_texts: other predictions or rows, which need
    the table's texts. lost: conventions that kept predictions are too little for. whole: lines with
    other means over the languages. names: of metrics whose own name is unclear. first_rows: whether
    jiant's choice of dev rows applies.
    """

    rules: Callable[[TaskSettings, str], list[Rule]] = lambda own, language: []
    by_texts: ByTexts | None = None
    lost: Callable[[str], list[str]] = lambda convention: []
    whole: Callable[[Numbers, Mapping[str, int]], list[str]] = lambda own, queries: []
    names: Mapping[tuple[str, ...], str] = field(default_factory=dict)
    first_rows: bool = True


def _without_placeholders(
    own: TaskSettings, predictions: Sequence[Prediction], texts: Sequence[Row]
) -> Iterator[Variant]:
    left = [i for i, row in enumerate(texts) if PLACEHOLDER not in (row["text_a"], row["text_b"])]
    if 0 < len(left) < len(texts):
        yield f"without rows that are '{PLACEHOLDER}' (PAWS-X's paper)", predictions, left


def _chunk_rules(own: TaskSettings, language: str) -> list[Rule]:
    if not own.convention:
        return []
    chunks = replace(own, metrics=("f1", "accuracy"))
    rules = [Rule(replace(chunks, convention=name), ("f1",)) for name in get_args(tags.Convention)]
    return [*rules, Rule(chunks, ("accuracy",))]


def _normalisers(own: TaskSettings, language: str) -> list[Rule]:
    known = [n for n in NORMALISERS if n != "mlqa" or language in mlqa.LANGUAGES]
    numbers = (("f1", "exact_match"), ("f1",), ("exact_match",))
    return [Rule(replace(own, convention=n), main) for n in known for main in numbers]


def _equally_right(
    own: TaskSettings, predictions: Sequence[Prediction], texts: Sequence[Row]
) -> Iterator[Variant]:
    """Tatoeba: a prediction is right if its English sentence reads as the right one's does.

    Official scoring asks for the line's number, so that of equal English lines one is right.
    """
    if own.convention != NEAREST:
        return
    text = {row["id"]: row["text"].strip() for row in texts}
    english = {row["id"]: name for row in texts for name in row["gold"] or ()}
    right = {name: foreign for foreign, name in english.items()}
    lenient = [
        {"id": right[row["id"]]}
        if p is not None and text[english[p["id"]]] == text[row["id"]]
        else p
        for row, p in zip(texts, predictions, strict=True)
    ]
    yield "equal English sentences equally right", lenient, range(len(texts))


def _vectors(convention: str) -> list[str]:
    lost = "thresholds and repeated sentences need the vectors, which are not kept"
    return [] if convention == NEAREST else [lost]


def _over_queries(own: Numbers, queries: Mapping[str, int]) -> list[str]:
    """LAReQA's official mean over all queries; equal to the mean over languages of equal size."""
    mean = sum(number * queries[code] for code, number in own.items()) / sum(queries.values())
    return [f"mean over the queries of all languages at once (LAReQA's): {100 * mean:.2f}"]


# None: never scored. tests/families asks for an entry of every family.
CONVENTIONS: dict[FamilyName, Conventions | None] = {
    "classification": Conventions(by_texts=_without_placeholders),
    "choice": Conventions(),
    "tagging": Conventions(_chunk_rules, names={("accuracy",): "accuracy of words"}),
    "span": Conventions(_normalisers),
    "retrieval": Conventions(by_texts=_equally_right, lost=_vectors, first_rows=False),
    "ranking": Conventions(whole=_over_queries, first_rows=False),
    "masked_lm": None,
}
