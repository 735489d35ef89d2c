"""The world's languages: their grammars as descriptions, their scripts, their lexicons.

What enters: a seed and a code. What leaves: words. Codes begin with q: ISO 639-2 keeps qaa to qtz
for private use, so none is a real language's.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from itertools import combinations
from typing import Any

from xstilts_world.meaning import CITIES, CONCEPTS, GIVEN, SYNONYMS, Stream, is_name

# The places of a clause, as an order names them ("SVOIALT"); a question's own come before.
SUBJECT, VERB, OBJECT, INDIRECT, MANNER, WHERE, WHEN, WHY, SUPPORT = SLOTS = "SVOIALTWX"


@dataclass(frozen=True)
class Language:
    """A language's grammar, and where its words come from.

    order: SLOTS without WHY and SUPPORT (English's do, does, did), first to last. affixes: the
    features that are endings on the word; `absent` ones are not said; the others are words of
    their own, before what they govern where head_first, else after it. cognates: percent of
    roots taken from English; kin: percent from a relative.
    """

    code: str
    order: str
    script: str
    head_first: bool
    adjective_first: bool
    fronts_question: bool = False
    agreement: bool = False
    affixes: tuple[str, ...] = ()
    absent: tuple[str, ...] = ()
    cognates: int = 10
    kin: tuple[str, int] = ("", 0)
    sounds: tuple[str, str] = ("", "")  # letters of an inherited root and what became of them
    syllables: str = "ptkbdgmnslrvz aeiou"  # consonants and vowels of the language's own roots


FEATURES = ["past", "future", "passive", "neg", "plural", "acc", "loc", "to", "of", "by"]
# The tree: en and qal are West; qcy and qgr East, a little nearer to West than to the rest; qdv
# and qun apart.
LANGUAGES = {
    language.code: language
    for language in (
        Language("en", "SVOIALT", "latin", True, True, True, absent=("acc",)),
        Language(
            "qal", "SVOIATL", "latin", True, True, True, affixes=("past", "plural", "of"),
            absent=("acc",), cognates=30, sounds=("tdpbcw", "dtbpkv"),
        ),
        Language(
            "qcy", "SVOIATL", "cyrillic", True, True, True, agreement=True, cognates=15,
            affixes=("past", "plural", "acc", "to", "of", "by"), sounds=("hwcqx", "gvkks"),
            syllables="ptkbdgmnslrvz aeou",
        ),
        Language(
            "qgr", "VSOIALT", "greek", True, False, True, affixes=("past", "passive",
            "plural"),
            absent=("acc",), cognates=12, kin=("qcy", 25), sounds=("gvzuwc", "kfsofk"),
            syllables="ptkfdmnslr aeio",
        ),
        Language(
            "qdv", "TSLIOAV", "devanagari", False, True, affixes=("past", "future", "passive",
            "plural"),
            syllables="ptkbdgmnslrhj aeiou",
        ),
        Language(
            "qun", "STLAVOI", "kana", False, False, absent=("plural",), kin=("qdv", 15),
            syllables="ptkbdgmnsrhz aeiou",
        ),
    )
}  # fmt: skip
PRIVATE = tuple(LANGUAGES)[1:]


def distances() -> dict[str, dict[str, float]]:
    """How far each language is from English, 0 to 1: grammar, and words that are no cognates.

    Of grammar: the pairs of slots in another order, as one trait, beside four others and how each
    feature is said (an ending, a word, not at all).
    """
    english = LANGUAGES["en"]
    pairs = list(combinations(SLOTS.replace(WHY, "").replace(SUPPORT, ""), 2))

    def traits(of: Language) -> list[object]:
        kinds = ["ending" if f in of.affixes else "absent" if f in of.absent else "word"
                 for f in FEATURES]  # fmt: skip
        return [of.head_first, of.adjective_first, of.fronts_question, of.agreement, *kinds]

    def precedes(of: Language) -> list[bool]:
        return [of.order.index(a) < of.order.index(b) for a, b in pairs]

    def unlike(x: list[Any], y: list[Any]) -> int:
        return sum(one != other for one, other in zip(x, y, strict=True))

    grammar = {}
    for code, language in LANGUAGES.items():
        swapped = unlike(precedes(language), precedes(english)) / len(pairs)
        others = traits(english)
        grammar[code] = (swapped + unlike(traits(language), others)) / (1 + len(others))
    words = {code: 1 - language.cognates / 100 for code, language in LANGUAGES.items()}
    return {"grammar": grammar, "words": words | {"en": 0.0}}


LATIN = "abcdefghijklmnopqrstuvwxyz"
LETTERS = {
    "latin": LATIN,
    "cyrillic": "абцдефгхийклмнопкрстувжшыз",
    "greek": "αβκδεφγχιηκλμνοπκρστυβωξυζ",
    "devanagari": "_बचद_फगह_जकलमन_पकरसत_ववकयज",
}
VOWELS = "aeiou"
SIGNS = dict(
    zip("aeiou_", ["", "े", "ि", "ो", "ु", "्"], strict=True)
)  # after a consonant; _: no vowel
INITIALS = dict(zip(VOWELS, "अएइओउ", strict=True))
KANA_ROWS = """_アエイオウ kカケキコク sサセシソス tタテチトツ zザゼジゾズ
hハヘヒホフ mマメミモム rラレリロル gガゲギゴグ dダデヂドヅ
bバベビボブ pパペピポプ nナネニノヌ wワヱヰヲウ yヤエイヨユ"""  # noqa: RUF001
KANA = {row[0]: row[1:] for row in KANA_ROWS.split()}  # vowels in the order of VOWELS
KANA |= {letter: KANA[row] for letter, row in zip("cqflvjx", "kkhrbzs", strict=True)}
STOPS = {"devanagari": ("।", "?"), "kana": ("。", "？")}  # noqa: RUF001


def is_kana(form: str) -> bool:
    """Whether a word is in kana, the script without spaces."""
    return "\u30a0" <= form[0] <= "\u30ff"


@cache
def write(word: str, script: str) -> str:
    """A word in Latin letters, written in a script; a capital stays where the script has them."""
    lower = word.lower()
    if script in ("latin", "cyrillic", "greek"):
        out = lower.translate(str.maketrans(LATIN, LETTERS[script]))
        return out[:1].upper() + out[1:] if is_name(word) else out
    out, at = "", 0
    while at < len(lower):
        consonant = lower[at] if lower[at] not in VOWELS else "_"
        at += consonant != "_"
        vowel = lower[at] if at < len(lower) and lower[at] in VOWELS else "_"
        at += vowel != "_"
        if script == "kana":
            out += KANA[consonant][VOWELS.find(vowel)]  # no vowel: u
        elif consonant == "_":
            out += INITIALS[vowel]
        else:
            out += LETTERS[script][LATIN.index(consonant)] + SIGNS[vowel]
    return out


QUESTION = ("who", "what", "where", "when", "why")


@cache
def lexicon(seed: int, code: str) -> dict[str, str]:
    """{concept, synonym (concept + "2") or feature: root in Latin letters}; no two are equal."""
    language, stream = LANGUAGES[code], Stream(seed, "lexicon", code)
    if code == "en":
        same = {concept: concept for concept in CONCEPTS}
        features = {
            "plural": "s",
            "to": "to",
            "of": "of",
            "loc": "in",
            "by": "by",
            "neg": "never",
            "the": "the",
        }
        return same | {f"{word}2": other for word, other in SYNONYMS.items()} | features
    relative = lexicon(seed, language.kin[0]) if language.kin[0] else {}
    english = lexicon(seed, "en")
    changes = str.maketrans(*language.sounds)
    roots: dict[str, str] = {}
    taken = {write(name, language.script) for name in (*GIVEN, *CITIES)}
    for concept in [*CONCEPTS, *(f"{word}2" for word in SYNONYMS), *FEATURES, "the"]:
        grammar = concept in FEATURES or concept in ("the", "be", "and", "because", *QUESTION)
        draw = stream.below(100)
        root = _invent(
            stream, language, 1 if grammar else 2 + stream.chance(25), concept in language.affixes
        )
        if not grammar and draw < language.cognates + language.kin[1]:
            root = (english if draw < language.cognates else relative)[concept].translate(changes)
        while write(root, language.script) in taken:
            root = _invent(
                stream, language, 1 + (not grammar or len(root) > 1), concept in language.affixes
            )
        taken.add(write(root, language.script))
        roots[concept] = root
    return roots


def _invent(stream: Stream, language: Language, syllables: int, affix: bool) -> str:
    consonants, vowels = language.syllables.split()
    if affix:
        return stream.pick(vowels) + stream.pick(consonants)
    word = "".join(stream.pick(consonants) + stream.pick(vowels) for _ in range(syllables))
    return word + (
        stream.pick(consonants) if language.script != "kana" and stream.chance(35) else ""
    )
