"""The label sets that several rooms name, in their official order."""

from __future__ import annotations

NLI_LABELS = ("contradiction", "entailment", "neutral")
# Universal Dependencies' universal part-of-speech tags.
UPOS_TAGS = (
    *("ADJ", "ADP", "ADV", "AUX", "CCONJ", "DET", "INTJ", "NOUN", "NUM"),
    *("PART", "PRON", "PROPN", "PUNCT", "SCONJ", "SYM", "VERB", "X"),
)
# And its universal relations (version 2), without subtypes.
UD_RELATIONS = (
    *("acl", "advcl", "advmod", "amod", "appos", "aux", "case", "cc", "ccomp", "clf", "compound"),
    *("conj", "cop", "csubj", "dep", "det", "discourse", "dislocated", "expl", "fixed", "flat"),
    *("goeswith", "iobj", "list", "mark", "nmod", "nsubj", "nummod", "obj", "obl", "orphan"),
    *("parataxis", "punct", "reparandum", "root", "vocative", "xcomp"),
)
CHUNKS = (
    *("B-ADJP", "B-ADVP", "B-NP", "B-PP", "B-SBAR", "B-VP"),
    *("I-ADJP", "I-ADVP", "I-NP", "I-PP", "I-SBAR", "I-VP", "O"),
)
