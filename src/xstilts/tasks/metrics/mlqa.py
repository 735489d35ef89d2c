"""Exact match and F1 of MLQA (mlqa_evaluation_v1.py): SQuAD 1.1 with a normaliser per language."""

from __future__ import annotations

import re
import string
import unicodedata
from collections.abc import Mapping
from functools import cache, partial

from xstilts.tasks.metrics.squad import References, mean_of_best, overlap_f1

# What becomes a space. Arabic: the official pattern asks for a line start in the middle of a word
# in one branch, so only its other one can match: the article goes wherever its two letters stand.
_ARTICLES: dict[str, re.Pattern[str] | None] = {
    "en": re.compile(r"\b(a|an|the)\b"),
    "es": re.compile(r"\b(un|una|unos|unas|el|la|los|las)\b"),
    "hi": None,
    "vi": re.compile(r"\b(của|là|cái|chiếc|những)\b"),
    "de": re.compile(r"\b(ein|eine|einen|einem|eines|einer|der|die|das|den|dem|des)\b"),
    "ar": re.compile("ال"),
    "zh": None,
}
LANGUAGES = tuple(_ARTICLES)

# Each of these is a token of its own; rarer ideographs, kana and hangul stay in runs.
_IDEOGRAPH = re.compile("([\u4e00-\u9fa5])")


@cache
def _is_punctuation(character: str) -> bool:
    """Whether it is in Unicode's P or in ASCII's punctuation, which has symbols ($ + < = >) too."""
    return character in string.punctuation or unicodedata.category(character).startswith("P")


def normalise(text: str, language: str) -> str:
    """Lower case, no punctuation, then no article of `language`, tokens joined by single spaces."""
    if language not in _ARTICLES:
        raise ValueError(f"MLQA has no language '{language}'; expected {', '.join(LANGUAGES)}")
    bare = "".join(character for character in text.lower() if not _is_punctuation(character))
    articles = _ARTICLES[language]
    if articles is not None:
        bare = articles.sub(" ", bare)
    if language == "zh":
        bare = _IDEOGRAPH.sub(r" \1 ", bare)
    return " ".join(bare.split())


def exact_match(prediction: str, reference: str, language: str) -> float:
    """1.0 if both normalise to the same string, else 0.0."""
    return float(normalise(prediction, language) == normalise(reference, language))


def f1(prediction: str, reference: str, language: str) -> float:
    """F1 of the two bags of tokens; 0 if both are empty, as in SQuAD 1.1."""
    return overlap_f1(
        normalise(prediction, language).split(), normalise(reference, language).split()
    )


def mlqa(predictions: Mapping[str, str], references: References, language: str) -> dict[str, float]:
    """exact_match and f1 in the answer's language: best over golds, mean over all questions."""
    return mean_of_best(
        predictions,
        references,
        partial(exact_match, language=language),
        partial(f1, language=language),
    )
