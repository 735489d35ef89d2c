"""How a meaning is said in a language: events to tokens, tokens to text.

What enters: events and a style. What leaves: tokens (form, part of speech, entity, CCG category,
role). This room must not know tasks.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cache
from typing import NamedTuple

from xstilts_world.languages import (
    INDIRECT,
    LANGUAGES,
    MANNER,
    OBJECT,
    QUESTION,
    SLOTS,
    STOPS,
    SUBJECT,
    SUPPORT,
    VERB,
    VOWELS,
    WHEN,
    WHERE,
    WHY,
    is_kana,
    lexicon,
    write,
)
from xstilts_world.meaning import (
    AGENT,
    CITIES,
    CONCEPTS,
    FIRMS,
    PATIENT,
    PLACE,
    PORT,
    RECIPIENT,
    SYNONYMS,
    TIME,
    VERBS,
    Event,
    Noun,
    Stream,
    is_name,
)

OUTSIDE = "O"  # the tag of a word in no entity
LISTED = [*CONCEPTS[: CONCEPTS.index("be")], "neg"]  # what a glossary lists
IRREGULAR = {  # past and participle
    "buy": "bought bought", "sell": "sold sold", "find": "found found", "lose": "lost lost",
    "see": "saw seen", "hurt": "hurt hurt", "eat": "ate eaten", "break": "broke broken",
    "hide": "hid hidden", "steal": "stole stolen", "give": "gave given", "send": "sent sent",
    "sleep": "slept slept", "wake": "woke woken", "run": "ran run", "sing": "sang sung",
    "fall": "fell fallen", "go": "went gone", "get": "got gotten", "cry": "cried cried",
    "carry": "carried carried",
}  # fmt: skip
PLURALS = {"child": "children", "knife": "knives"}


def english_verb(word: str, form: str) -> str:
    """An English verb's form: base, s, past or participle."""
    if form == "base":
        return word
    if form == "s":
        if word.endswith("y") and word[-2] not in VOWELS:
            return word[:-1] + "ies"
        return word + ("es" if word.endswith(("s", "sh", "o", "x")) else "s")
    if word in IRREGULAR:
        return IRREGULAR[word].split()[form == "participle"]
    return word + ("d" if word.endswith("e") else "ed")


class Token(NamedTuple):
    """A word as written, with what the tagging tasks ask of it."""

    form: str
    pos: str
    entity: str = OUTSIDE
    category: str = ""  # CCG, English only
    role: str = ""  # of the event (meaning.AGENT, ...); "": none
    slot: str = ""  # of the clause (languages.SUBJECT, ...); "": none


class Style(NamedTuple):
    """How a paraphrase differs: synonyms (a bit each in `words`), time first, passive."""

    words: int = 0
    front: bool = False
    passive: bool = False


PLAIN = Style()


def draw_style(stream: Stream, percent: int = 50) -> Style:
    return Style(
        stream.below(1 << 32) if stream.chance(percent) else 0,
        stream.chance(percent),
        stream.chance(percent),
    )


class Tongue:
    """A language with its lexicon, which says events."""

    def __init__(self, seed: int, code: str) -> None:
        self.seed, self.language = seed, LANGUAGES[code]
        self.roots = lexicon(seed, code)
        self.english = code == "en"
        self.stop, self.ask = STOPS.get(self.language.script, (".", "?"))

    def word(self, concept: str, style: Style, *features: str) -> str:
        """The written word: a synonym where the style asks for it, endings in order."""
        if concept in SYNONYMS and style.words >> (list(SYNONYMS).index(concept)) & 1:
            concept += "2"
        root = self.roots[concept]
        if self.english:
            return PLURALS.get(root, root + "s") if "plural" in features else root
        endings = [self.roots[f] for f in features if f in self.language.affixes]
        return self._joined(root, endings)

    def citation(self, concept: str, style: Style = PLAIN) -> str:
        """A word as a glossary has it; English verbs in the form in which they occur most."""
        word = Tongue.word(self, concept, style)
        if not self.english:
            return word
        return "is" if concept == "be" else english_verb(word, "s") if concept in VERBS else word

    def has_word(self, concept: str) -> bool:
        """Whether the concept has a word of its own: it is no ending, and is said at all."""
        elsewhere = (*self.language.affixes, *self.language.absent)
        return concept in self.roots and concept not in elsewhere

    def _joined(self, root: str, endings: Sequence[str]) -> str:
        """A root with its endings, after hyphens for a small tokenizer to see; not in kana."""
        seam = "" if self.language.script == "kana" else "-"
        return seam.join(write(part, self.language.script) for part in (root, *endings))

    def name(self, word: str, role: str, ending: str = "") -> list[Token]:
        """The tokens of a person's, a city's or a firm's name, which may be several words."""
        parts = word.split()
        kind = "ORG" if parts[-1] in FIRMS else "LOC" if parts[0] in (PORT, *CITIES) else "PER"
        tokens = []
        for number, part in enumerate(parts):
            last = bool(ending) and number == len(parts) - 1
            form = self._joined(part, [self.roots[ending]] if last else [])
            entity = f"{'I' if number else 'B'}-{kind}"
            category = "N/N" if number < len(parts) - 1 else "N"
            tokens.append(Token(form, "PROPN", entity, category, role))
        return tokens

    def particle(
        self, feature: str, tokens: list[Token], pos: str, category: str = ""
    ) -> list[Token]:
        """The tokens with the feature's word before or after them, if it has a word."""
        if feature in self.language.affixes or feature in self.language.absent or not feature:
            return tokens
        token = Token(self.word(feature, PLAIN), pos, category=category)
        return [token, *tokens] if self.language.head_first else [*tokens, token]

    def noun(
        self, noun: Noun, role: str, style: Style, case: str = "", category: str = ""
    ) -> list[Token]:
        """A noun phrase; a word for the case has no role, so that answers leave it out."""
        ending = case if case in self.language.affixes else ""
        if is_name(noun.word):
            return self.particle(case, self.name(noun.word, role, ending), "ADP", category)
        if noun.word in (*QUESTION, "somebody"):
            form = self.word(noun.word, style, ending)
            return self.particle(case, [Token(form, "PRON", OUTSIDE, "NP", role)], "ADP", category)
        plural = "plural" if noun.number > 1 else ""
        agreeing = (plural, ending) if self.language.agreement else ()
        phrase = [Token(self.word(noun.word, style, plural, ending), "NOUN", OUTSIDE, "N", role)]
        if noun.adjective:
            adjective = Token(
                self.word(noun.adjective, style, *agreeing), "ADJ", OUTSIDE, "N/N", role
            )
            phrase = [adjective, *phrase] if self.language.adjective_first else [*phrase, adjective]
        if noun.number > 1:
            number = self.word("two" if noun.number == 2 else "three", style)
            phrase = [Token(number, "NUM", OUTSIDE, "N/N", role), *phrase]
        elif self.english or not noun.new:
            phrase = [Token(self._article(noun, phrase), "DET", OUTSIDE, "NP[nb]/N", role), *phrase]
        if noun.owner:
            suffix = "of" if "of" in self.language.affixes else ""
            owner = self.particle("of", self.name(noun.owner, role, suffix), "ADP", "(NP\\NP)/NP")
            owner = [token._replace(role=role) for token in owner]
            phrase = [*phrase, *owner] if self.language.head_first else [*owner, *phrase]
        return self.particle(case, phrase, "ADP", category)

    def _article(self, noun: Noun, phrase: Sequence[Token]) -> str:
        if not noun.new:
            return self.word("the", PLAIN)
        return "an" if phrase[0].form[0] in VOWELS else "a"

    def clause(self, event: Event, style: Style = PLAIN, question: bool = False) -> list[Token]:
        """An event in the language's order, without a stop."""
        passive = (
            style.passive
            and bool(event.patient)
            and not event.to
            and event.verb != "be"
            and not question
        )
        adverbial = "((S\\NP)\\(S\\NP))/NP"
        slots: dict[str, list[Token]] = {slot: [] for slot in SLOTS}
        agent_slot, patient_slot = (INDIRECT, SUBJECT) if passive else (SUBJECT, OBJECT)
        slots[agent_slot] = self.noun(event.agent, AGENT, style, "by" if passive else "", adverbial)
        if event.patient:
            accusative = "" if passive or event.verb == "be" else "acc"
            slots[patient_slot] = self.noun(event.patient, PATIENT, style, accusative)
        if event.quality:
            slots[OBJECT] = [Token(self.word(event.quality, style), "ADJ", OUTSIDE, "S[adj]\\NP")]
        if event.to:
            slots[INDIRECT] = self.noun(event.to, RECIPIENT, style, "to", "PP/NP")
        for slot, role, word in ((WHERE, PLACE, event.place), (WHEN, TIME, event.time)):
            if word in QUESTION:
                slots[slot] = [Token(self.word(word, style), "ADV", OUTSIDE, "S/S", role)]
            elif word:
                slots[slot] = self.noun(Noun(word), role, style, "loc", adverbial)
        if event.adverb:
            slots[MANNER] = [
                Token(self.word(event.adverb, style), "ADV", OUTSIDE, "(S\\NP)\\(S\\NP)")
            ]
        if event.reason:
            slots[WHY] = [Token(self.word("why", style), "ADV", OUTSIDE, "S/S")]
        asked = _asked(event) if question else ""
        support = self.english and asked not in ("", SUBJECT)
        slots[VERB] = (
            self.english_verb(event, style, passive, support)
            if self.english
            else self.verb(event, style, passive)
        )
        return self._arrange(slots, style, asked)

    def _arrange(self, slots: dict[str, list[Token]], style: Style, asked: str) -> list[Token]:
        order = WHY + self.language.order
        if asked and self.language.fronts_question:
            order = asked + order.replace(asked, "")
            if self.english and asked != SUBJECT:  # what did Mary buy
                slots[SUPPORT], slots[VERB] = slots[VERB][:1], slots[VERB][1:]
                order = asked + SUPPORT + order[1:]
        if style.front and slots[WHEN] and asked != WHEN:
            order = order.replace(WHEN, "")
            if self.language.order[0] == WHEN:  # first already: after the subject then
                order = order.replace(SUBJECT, SUBJECT + WHEN)
            else:
                order = WHEN + order
                slots[WHEN] = [t._replace(category=_sentential(t.category)) for t in slots[WHEN]]
        return [token._replace(slot=slot) for slot in order for token in slots[slot]]

    def verb(self, event: Event, style: Style, passive: bool) -> list[Token]:
        features = ["passive"] if passive else []
        features += [event.tense] if event.tense != "now" else []
        features += ["neg"] if event.negated else []
        pos = "AUX" if event.verb == "be" else "VERB"
        tokens = [Token(self.word(event.verb, style, *features), pos)]
        for feature in features:
            tokens = self.particle(feature, tokens, "PART" if feature == "neg" else "AUX")
        return tokens

    def english_verb(self, event: Event, style: Style, passive: bool, support: bool) -> list[Token]:
        """Auxiliaries, not, and the main verb, with the categories of their derivation."""
        subject = event.patient if passive and event.patient else event.agent
        plural, past, be = subject.number > 1, event.tense == "past", event.verb == "be"
        rest = "" if passive else "/PP" * bool(event.to) + "/NP" * bool(event.patient)
        chain: list[tuple[str, str, str]] = []  # form, part of speech, kind of verb phrase
        if event.tense == "future":
            chain.append(("will", "AUX", "dcl"))
        if passive or be:
            finite = ("were" if plural else "was") if past else "are" if plural else "is"
            word, own = self.word("be", style), Tongue.word(self, "be", style)
            said = word if word != own else "be" if chain else finite
            chain.append((said, "AUX", "b" if chain else "dcl"))
        elif support and not chain:
            chain.append(("did" if past else "do" if plural else "does", "AUX", "dcl"))
        if not be:
            form = (
                "participle"
                if passive
                else "base"
                if chain
                else "past"
                if past
                else "base"
                if plural
                else "s"
            )
            kind = "pss" if passive else "b" if chain else "dcl"
            word = self.word(event.verb, style)
            own = Tongue.word(self, event.verb, style)
            chain.append((english_verb(word, form) if word == own else word, "VERB", kind))
        tokens = []
        for number, (word, pos, kind) in enumerate(chain):
            argument = rest if number == len(chain) - 1 else f"/(S[{chain[number + 1][2]}]\\NP)"
            if be and number == len(chain) - 1:
                argument = "/(S[adj]\\NP)" if event.quality else "/NP" if event.patient else "/PP"
            category = _category(kind, argument) if argument else f"S[{kind}]\\NP"
            tokens.append(Token(word, pos, OUTSIDE, category))
        if event.negated:  # was never, never bought
            never = Token(self.word("neg", PLAIN), "PART", OUTSIDE, "(S\\NP)/(S\\NP)")
            tokens.insert(int(tokens[0].pos == "AUX"), never)
        return tokens

    def sentence(self, event: Event, style: Style = PLAIN, question: bool = False) -> list[Token]:
        """A clause and its stop."""
        return [
            *self.clause(event, style, question),
            Token(self.ask if question else self.stop, "PUNCT", OUTSIDE, "."),
        ]

    def joined(
        self, first: Event, second: Event, by: str, styles: tuple[Style, Style]
    ) -> list[Token]:
        """Two clauses with `and` or `because` between them.

        With `because` in a language whose heads come last, the reason comes first.
        """
        clauses = [self.clause(first, styles[0]), self.clause(second, styles[1])]
        pos, category = ("CCONJ", "conj") if by == "and" else ("SCONJ", "((S\\NP)\\(S\\NP))/S[dcl]")
        link = Token(self.word(by, PLAIN), pos, OUTSIDE, category)
        if by == "because" and not self.language.head_first:
            clauses.reverse()
        return [*clauses[0], link, *clauses[1], Token(self.stop, "PUNCT", OUTSIDE, ".")]

    def text(self, sentences: Iterable[Sequence[Token]]) -> str:
        return "".join(form for form, _ in self.pieces(sentences))

    def pieces(self, sentences: Iterable[Sequence[Token]]) -> list[tuple[str, Token]]:
        """Each token's form with the space before it, if any; joined they are the text.

        There is never a space before kana, so that a word looks the same in every text.
        """
        out = list[tuple[str, Token]]()
        for sentence in sentences:
            for token in sentence:
                spaced = out and token.pos != "PUNCT" and not is_kana(token.form)
                space = " " if spaced else ""
                out.append((space + token.form, token))
        return out


def _asked(event: Event) -> str:
    """The slot that holds the question word."""
    nouns = ((OBJECT, event.patient), (INDIRECT, event.to), (SUBJECT, event.agent))
    asked = [slot for slot, noun in nouns if noun and noun.word in QUESTION]
    asked += [slot for slot, word in ((WHERE, event.place), (WHEN, event.time)) if word in QUESTION]
    return WHY if event.reason else asked[0]


def _sentential(category: str) -> str:
    """The category of an adposition that stands before the sentence; other categories stay."""
    return "(S/S)/NP" if category.startswith("((") else category


def _category(kind: str, arguments: str) -> str:
    """A verb's category: 'dcl', '/PP/NP' -> ((S[dcl]\\NP)/PP)/NP."""
    category = f"S[{kind}]\\NP"
    for argument in arguments.split("/")[1:] if "(" not in arguments else [arguments[1:]]:
        category = f"({category})/{argument}"
    return category


class Mixing(Tongue):
    """A speaker of one language's order and endings who takes each word from any of the languages.

    A name is written in any language's letters.
    """

    def __init__(self, base: Tongue, others: Sequence[Tongue], stream: Stream) -> None:
        super().__init__(base.seed, base.language.code)
        self.others, self.stream = others, stream

    def word(self, concept: str, style: Style, *features: str) -> str:
        having = [other for other in self.others if other.has_word(concept)]
        return self.stream.pick(having).citation(concept, style)

    def _joined(self, root: str, endings: Sequence[str]) -> str:
        name = self.stream.pick(self.others)._joined(root, [])
        return "-".join([name, *(write(part, self.language.script) for part in endings)])


@cache
def tongue(seed: int, code: str) -> Tongue:
    return Tongue(seed, code)
