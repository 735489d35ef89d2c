"""The label sets that several rooms name, in their official order."""

from __future__ import annotations

NLI_LABELS = ("contradiction", "entailment", "neutral")
# Universal Dependencies' universal part-of-speech tags.
UPOS_TAGS = (
    *("ADJ", "ADP", "ADV", "AUX", "CCONJ", "DET", "INTJ", "NOUN", "NUM"),
    *("PART", "PRON", "PROPN", "PUNCT", "SCONJ", "SYM", "VERB", "X"),
)
