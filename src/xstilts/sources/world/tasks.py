"""Every task of the world, each drawn from meanings: rows of one split and language.

A row's meaning comes from a stream keyed without the language, so translations of a row share its id; tasks whose
languages are independent put the language into the key. What a meaning is said with belongs to its own split:
`meaning.side`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from xstilts.sources.world.changes import conflict, draw_hypothesis, less, more, premise, swap
from xstilts.sources.world.languages import LANGUAGES, PLAIN, Style, Token, Tongue, draw_style, tongue
from xstilts.sources.world.meaning import (
    CITIES,
    FIRMS,
    GIVEN,
    GROUPS,
    KIND_OF,
    OPPOSITE,
    SCRIPTS,
    TYPICAL,
    Event,
    Noun,
    Story,
    Stream,
    belonging,
    cast,
    decorate,
    draw_event,
    draw_story,
    followers,
    is_name,
    kind_of,
    play,
)

Row = dict[str, Any]
LABELS = ("contradiction", "entailment", "neutral")


class Asked(NamedTuple):
    """One table: of which task, which split and language, how many rows, in which world."""

    seed: int
    task: str
    split: str
    language: str
    size: int

    def stream(self, index: int) -> Stream:
        own = "" if self.task in PARALLEL else self.language
        return Stream(self.seed, self.task, self.split, own, index)

    def tongue(self) -> Tongue:
        return tongue(self.seed, self.language)

    def row_id(self, index: int) -> str:
        return f"{self.task}-{self.split}-{index}"


PARALLEL = ("xnli", "pawsx", "xquad", "xcopa")


# --- pairs of texts -------------------------------------------------------------------------------------------


def nli(asked: Asked) -> list[Row]:
    return [_nli_row(asked, i, "", 1 + asked.stream(i).below(2)) for i in range(asked.size)]


def anli_plus(asked: Asked) -> list[Row]:
    """SNLI and MNLI of one or two events, ANLI's rounds of three to five."""
    rows = []
    for i in range(asked.size):
        part, length = asked.stream(i).pick(PARTS)
        rows.append(_nli_row(asked, i, part, length))
    return rows


PARTS = (
    ("snli", 1), ("snli", 1), ("snli", 1), ("mnli", 2), ("mnli", 2), ("anli_r1", 3), ("anli_r2", 4), ("anli_r3", 5)
)  # fmt: skip


def _nli_row(asked: Asked, index: int, part: str, length: int) -> Row:
    stream, t = asked.stream(index), asked.tongue()
    stream.below(2)  # what the caller drew
    label = stream.pick(LABELS)

    def draw() -> tuple[object, Event]:
        event = draw_hypothesis(stream)
        return event, event

    hypothesis = belonging(asked.split, draw)
    told = [premise(stream, hypothesis, label)]
    while len(told) < length:
        other = draw_event(stream)
        if other.verb != hypothesis.verb and other.agent.word != hypothesis.agent.word:
            told.insert(stream.below(len(told) + 1), other)
    texts = [t.text(t.sentence(e, draw_style(stream, 30)) for e in told)]
    texts.append(t.text([t.sentence(hypothesis, draw_style(stream, 30))]))
    return {"id": asked.row_id(index), "text_a": texts[0], "text_b": texts[1], "label": label, "part": part or None}


def paraphrases(asked: Asked) -> list[Row]:
    """PAWS-X: the same words in other roles or another word, against the same meaning said otherwise."""
    rows: list[Row] = []
    t = asked.tongue()
    for index in range(asked.size):
        stream = asked.stream(index)
        same = stream.chance(45)

        def draw(stream: Stream = stream) -> tuple[object, tuple[Event, Event]]:
            other = None
            while other is None:
                event = draw_event(stream, adjective=50, modifiers=40)
                other = swap(stream, event) if stream.chance(60) else conflict(stream, event, flips=0)
                other = None if other is None or other.negated else other
            return event, (event, other)

        event, other = belonging(asked.split, draw)
        second = event if same else other
        texts = _two_ways(stream, t, event, second, False)
        label = str(int(same))
        rows.append({"id": asked.row_id(index), "text_a": texts[0], "text_b": texts[1], "label": label, "part": None})
    return rows


def _two_ways(stream: Stream, t: Tongue, first: Event, second: Event, question: bool) -> tuple[str, str]:
    """Both said, never in the same words; some other word or order wherever the events allow one."""
    for _ in range(6):
        styles = draw_style(stream), draw_style(stream)
        texts = [t.text([t.sentence(e, s, question)]) for e, s in zip((first, second), styles, strict=True)]
        if texts[0] != texts[1]:
            break
    return texts[0], texts[1]


def questions(asked: Asked) -> list[Row]:
    """QQP: two questions; duplicates ask the same of the same event. 37 % are, as in the original."""
    rows: list[Row] = []
    t = asked.tongue()
    for index in range(asked.size):
        stream = asked.stream(index)
        same = stream.chance(37)

        def draw(stream: Stream = stream) -> tuple[object, tuple[Event, Event]]:
            event = draw_event(stream, adjective=40, modifiers=50)
            return event, (event, conflict(stream, event, flips=0))

        event, other = belonging(asked.split, draw)
        slot = stream.pick(_askable(event))
        first, second = ask(event, slot), ask(event if same else other, slot)
        if not same and first == second:
            second = ask(event, stream.pick([s for s in _askable(event, True) if s != slot]))
        texts = _two_ways(stream, t, first, second, True)
        label = str(int(same))
        rows.append({"id": asked.row_id(index), "text_a": texts[0], "text_b": texts[1], "label": label, "part": None})
    return rows


# --- questions and spans --------------------------------------------------------------------------------------


def _askable(event: Event, reason: bool = False) -> list[str]:
    """Slots whose filler can be asked for: A who, P what, I to whom, L where, T when, W why."""
    found = ["A"] + ["P"] * bool(event.patient) + ["I"] * bool(event.to and event.verb != "go")
    return found + ["L"] * bool(event.place) + ["T"] * bool(event.time) + ["W"] * reason


def ask(event: Event, slot: str) -> Event:
    """The event with a question word in the slot."""
    event = event._replace(adverb="")
    if slot == "A":
        return event._replace(agent=Noun(_who(event.agent)))
    if slot == "P" and event.patient:
        return event._replace(patient=Noun(_who(event.patient)))
    if slot == "I":
        return event._replace(to=Noun("who"))
    if slot == "W":
        return event._replace(reason=True)
    return event._replace(place="where") if slot == "L" else event._replace(time="when")


def _who(noun: Noun) -> str:
    return "who" if kind_of(noun.word) in ("person", "somebody") else "what"


def spans(asked: Asked) -> list[Row]:
    """Stories of four to seven sentences, up to three questions each."""
    rows: list[Row] = []
    t, story_number = asked.tongue(), 0
    while len(rows) < asked.size:
        stream = asked.stream(story_number)

        def draw(stream: Stream = stream) -> tuple[object, Story]:
            story = draw_story(stream, 4 + stream.below(4))
            return story, story

        story = belonging(asked.split, draw)
        context, places = _context(t, story, stream)
        group = f"{asked.task}-{asked.split}-{story_number}"
        for number, (event, slot, index) in enumerate(_questions(stream, story, 3)):
            question = event
            answers = [{"text": context[a:b], "start": a} for a, b in [places[index, slot]]]
            if asked.task == "squad2" and stream.chance(33):
                question, answers = _unanswerable(stream, event, slot, story), []
            said = t.text([t.sentence(ask(question, slot), draw_style(stream), True)])
            rows.append(
                {"id": f"{group}-{number}", "context": context, "question": said, "answers": answers,
                 "answerable": bool(answers), "group": group}
            )  # fmt: skip
        story_number += 1
    return rows[: asked.size]


def _context(t: Tongue, story: Story, stream: Stream) -> tuple[str, dict[tuple[int, str], tuple[int, int]]]:
    """The story's text, and where each event's roles stand in it: [start, end) in code points."""
    text, places = "", dict[tuple[int, str], tuple[int, int]]()
    sentences = [t.sentence(event, draw_style(stream, 25)) for event in story]
    numbers = [number for number, sentence in enumerate(sentences) for _ in sentence]
    for number, (form, token) in zip(numbers, t.pieces(sentences), strict=True):
        text += form
        if token.role:
            start = places.get((number, token.role), (len(text) - len(form.lstrip()), 0))[0]
            places[number, token.role] = start, len(text)
    return text, places


def _questions(stream: Stream, story: Story, n: int) -> list[tuple[Event, str, int]]:
    """Up to n (event, slot, its place in the story) with exactly one answer."""
    found = []
    for index, event in stream.shuffled(list(enumerate(story))):
        for slot in stream.shuffled(_askable(event))[:2]:
            shorter = event
            for other, field in (("L", "place"), ("T", "time")):
                if slot != other and stream.chance(60):
                    shorter = shorter._replace(**{field: ""})
            if sum(_matches(other, shorter, slot) for other in story) == 1:
                found.append((shorter, slot, index))
    return stream.sample(found, min(n, len(found)))


def _matches(event: Event, question: Event, slot: str) -> bool:
    """Whether the event answers the question: what the question names, it has too."""
    fields = {"A": "agent", "P": "patient", "I": "to", "L": "place", "T": "time"}
    named = [f for s, f in fields.items() if s != slot and getattr(question, f)]
    if event.verb != question.verb or event.quality != question.quality:
        return False
    return bool(getattr(event, fields[slot])) and all(getattr(event, f) == getattr(question, f) for f in named)


def _unanswerable(stream: Stream, event: Event, slot: str, story: Story) -> Event:
    """The question after one change, such that no event of the story answers it."""
    while True:
        other = conflict(stream, event, flips=0)
        if stream.chance(30) and slot != "A":
            other = event._replace(agent=Noun(stream.pick(GIVEN)))
        other = other._replace(negated=False)
        if not any(_matches(told, other, slot) for told in story):
            return other
        event = decorate(stream, event, 60)


# --- choices --------------------------------------------------------------------------------------------------


def _options(stream: Stream, right: str, wrong: list[str]) -> tuple[list[str], int]:
    place = stream.below(len(wrong) + 1)
    return [*wrong[:place], right, *wrong[place:]], place


STEPS = sorted({step for script in SCRIPTS for step in script})
EXCHANGED = str.maketrans("AB", "BA")


def _wrong_steps(stream: Stream, right: str, context: list[str], n: int, backward: bool) -> list[str]:
    """Steps of other scripts, as like the context's words as the right one, which nothing there brings about."""
    words = {word for step in context for word in step.split()}
    wanted = len(words & set(right.split()))
    edge = context[0] if backward else context[-1]
    wrong: list[str] = []
    tries = 0
    while len(wrong) < n:
        tries += 1
        script = stream.pick(SCRIPTS)
        step = stream.pick(script[:-1] if backward else script[1:])
        step = step.translate(EXCHANGED) if stream.chance(40) else step
        linked = edge in followers(step) if backward else step in followers(edge)
        alike = len(words & set(step.split())) == wanted or tries > 60
        if alike and not linked and step not in (right, *wrong, *context):
            wrong.append(step)
    return wrong


def continuations(asked: Asked) -> list[Row]:
    """HellaSwag, SIQA, COPA and XCOPA: what comes next, or (with a question) what came before."""
    events, choices, questioned = {"hellaswag": (2, 4, False), "siqa": (2, 3, True)}.get(asked.task, (1, 2, True))
    rows, t = [], asked.tongue()
    for index in range(asked.size):
        stream = asked.stream(index)
        backward = questioned and stream.chance(50)

        def draw(stream: Stream = stream, backward: bool = backward) -> tuple[object, tuple[list[str], str, Story]]:
            script = stream.pick([s for s in SCRIPTS if len(s) > events])
            start = stream.below(len(script) - events)
            steps = script[start : start + events + 1]
            context, right = (steps[1:], steps[0]) if backward else (steps[:-1], steps[-1])
            roles = cast(stream)
            told = tuple(decorate(stream, play(step, roles), 35) for step in context)
            return told, (context, right, (*told, *(play(s, roles) for s in _wrong(context, right))))

        def _wrong(context: list[str], right: str, stream: Stream = stream, back: bool = backward) -> list[str]:
            return [right, *_wrong_steps(stream, right, context, choices - 1, back)]

        _, _, story = belonging(asked.split, draw)
        styles = [draw_style(stream, 0) for _ in story]
        texts = [t.text([t.sentence(e, s)]) for e, s in zip(story, styles, strict=True)]
        options, label = _options(stream, texts[events], texts[events + 1 :])
        question = _short(t, ["why"] if backward else ["then", "what"]) if questioned else None
        context_text = t.text(t.sentence(e, s) for e, s in zip(story[:events], styles, strict=False))
        rows.append(
            {"id": asked.row_id(index), "context": context_text, "question": question, "choices": options,
             "label": label}
        )  # fmt: skip
    return rows


def _short(t: Tongue, words: list[str]) -> str:
    tokens = [Token(t.word(word, PLAIN), "ADV") for word in words]
    return t.text([[*tokens, Token(t.ask, "PUNCT")]])


def causes(asked: Asked) -> list[Row]:
    """Cosmos QA: why did it happen? The choices are told in the story too, all but one: the order and who matter."""
    rows, t = [], asked.tongue()
    for index in range(asked.size):
        stream = asked.stream(index)

        def draw(stream: Stream = stream) -> tuple[object, tuple[Story, list[Event]]]:
            script, other = stream.sample(SCRIPTS, 2)
            roles = cast(stream)
            start = stream.below(len(script) - 2)
            steps = script[start : start + 3]
            theirs = cast(stream, [noun.word for noun in roles.values()])
            told = [play(step, roles) for step in steps]
            aside = [play(step, theirs) for step in other[:2]]
            absent = [
                step for step in STEPS if step not in script and step not in other and steps[1] not in followers(step)
            ]
            choices = [told[0], told[2], aside[0], play(stream.pick(absent), roles)]
            place = stream.below(4)
            order = [*told[:place], *aside, *told[place:]]
            return tuple(order), (tuple(decorate(stream, e, 25) for e in order), [told[1], *choices])

        story, (effect, *choices) = belonging(asked.split, draw)
        context = t.text(t.sentence(e, draw_style(stream, 20)) for e in story)
        question = t.text([t.sentence(effect._replace(reason=True), draw_style(stream), True)])
        texts = [t.text([t.sentence(e, draw_style(stream, 0))]) for e in choices]
        options, label = _options(stream, texts[0], texts[1:])
        rows.append(
            {"id": asked.row_id(index), "context": context, "question": question, "choices": options, "label": label}
        )
    return rows


def commonsense(asked: Asked) -> list[Row]:
    """CommonsenseQA: kinds, opposites, typical places, and who or what a verb takes; five words to choose from."""
    rows, t = [], asked.tongue()
    for index in range(asked.size):
        stream = asked.stream(index)

        def draw(stream: Stream = stream) -> tuple[object, tuple[Event, set[str]]]:
            question, fit = _puzzle(stream)
            return question, (question, fit)

        question, fit = belonging(asked.split, draw)
        right, wrong = stream.pick(sorted(fit)), list[str]()
        while len(wrong) < 4:
            other = stream.pick(sorted(_puzzle(stream)[1]))
            if other not in fit and other not in wrong:
                wrong.append(other)
        options, label = _options(stream, right, wrong)
        rows.append(
            {"id": asked.row_id(index), "context": t.text([t.sentence(question, draw_style(stream), True)]),
             "question": None, "choices": [t.word(word, PLAIN) for word in options], "label": label}
        )  # fmt: skip
    return rows


def _puzzle(stream: Stream) -> tuple[Event, set[str]]:
    """A question and all words that answer it."""
    way = stream.below(10)
    if way < 2:
        word = stream.pick(list(TYPICAL))
        subject = Noun(word, stream.pick(["", "", "old", "big", "small"]))
        return Event("be", subject, place="where", time=stream.pick(["", "morning", "night"])), {TYPICAL[word]}
    if way < 4:
        word = stream.pick(list(KIND_OF))
        subject = Noun(word, stream.pick(["", "", "old", "big", "small"]), new=True)
        return Event("be", subject, Noun("what"), tense="now"), {KIND_OF[word], "thing"}
    if way < 5:
        word = stream.pick(sorted(OPPOSITE))
        return Event("be", Noun("what"), quality=word, tense="now", negated=True), {OPPOSITE[word]}
    event = draw_event(stream)
    while event.verb == "be" or (event.patient is None and way < 8):
        event = draw_event(stream)
    from_verb = "P" if way < 8 else "A"
    verb_takes = _takes(event, from_verb)
    return ask(event, from_verb), verb_takes


def _takes(event: Event, slot: str) -> set[str]:
    from xstilts.sources.world.meaning import VERBS

    group = VERBS[event.verb].patient if slot == "P" else VERBS[event.verb].agent
    return set(GROUPS[group])


# --- tags -----------------------------------------------------------------------------------------------------


def _tagged(asked: Asked, column: Callable[[Token], str], names: int, asks: int) -> list[Row]:
    """Single and joined clauses; `asks` percent are questions; nouns become names in that percentage."""
    rows, t = [], asked.tongue()
    for index in range(asked.size):
        stream = asked.stream(index)

        def draw(stream: Stream = stream) -> tuple[object, tuple[Event, Event]]:
            pair = _named(stream, draw_event(stream), names), _named(stream, draw_event(stream), names)
            return pair[0], pair

        first, second = belonging(asked.split, draw)
        first = first._replace(negated=stream.chance(12))
        way = stream.below(100)
        if way < asks:
            tokens = t.sentence(ask(first, stream.pick(_askable(first, True))), draw_style(stream), True)
        elif way < 60:
            tokens = t.sentence(first, draw_style(stream))
        else:
            by = stream.pick(["and", "because"])
            tokens = t.joined(first, second, by, (draw_style(stream), draw_style(stream)))
        tags = [column(token) for token in tokens]
        rows.append({"id": asked.row_id(index), "tokens": [token.form for token in tokens], "tags": tags})
    return rows


def _named(stream: Stream, event: Event, percent: int) -> Event:
    """Some people get a second name, some are firms, some things an owner, some places are cities."""
    changed: dict[str, Any] = {}
    for slot in ("agent", "patient", "to"):
        noun: Noun | None = getattr(event, slot)
        if noun is None or not stream.chance(percent):
            continue
        if kind_of(noun.word) == "person" and (slot != "agent" or event.verb != "be"):
            firm = f"{stream.pick(CITIES)} {stream.pick(FIRMS)}"
            person = stream.pick(GIVEN) + (f" {stream.pick(CITIES)}" if stream.chance(40) else "")
            changed[slot] = Noun(firm if stream.chance(35) else person)
        elif not is_name(noun.word) and slot == "patient":
            changed[slot] = noun._replace(owner=stream.pick(GIVEN))
    if event.place and stream.chance(percent):
        changed["place"] = stream.pick(CITIES)
    return event._replace(**changed)


def parts_of_speech(asked: Asked) -> list[Row]:
    return _tagged(asked, lambda token: token.pos, 25, 15)


def entities(asked: Asked) -> list[Row]:
    return _tagged(asked, lambda token: token.entity, 65, 0)


def supertags(asked: Asked) -> list[Row]:
    return _tagged(asked, lambda token: token.category, 25, 0)


# --- retrieval ------------------------------------------------------------------------------------------------


def _family(stream: Stream, split: str, n: int) -> list[Event]:
    """An event and others that differ from it in one thing: what makes retrieval hard."""

    def draw() -> tuple[object, Event]:
        event = draw_event(stream, modifiers=60)
        return event, event

    found = [belonging(split, draw)]
    while len(found) < n:
        other = conflict(stream, found[0], flips=10)
        if stream.chance(30):
            other = more(stream, other, 50)
        if other not in found:
            found.append(other)
    return found


def mining(asked: Asked) -> list[Row]:
    """BUCC: about 40 % of either side has a partner; the others have only near relatives there."""
    stream, foreign, english = asked.stream(0), list[tuple[Event, str]](), list[tuple[Event, str]]()
    for number in range(asked.size):
        same, here, there = _family(stream, asked.split, 3)
        if number % 5 < 2:
            foreign.append((same, f"en-{number}"))
            english.append((same, f"en-{number}"))
        else:
            foreign.append((here, ""))
            english.append((there, f"en-{number}"))
    return _sides(asked, stream, foreign, english)


def translations(asked: Asked) -> list[Row]:
    """Tatoeba: every sentence has its translation, two in three also a neighbour that differs in one thing."""
    stream, pairs = asked.stream(0), list[tuple[Event, str]]()
    while len(pairs) < asked.size:
        for event in _family(stream, asked.split, 3):
            if event not in [other for other, _ in pairs]:
                pairs.append((event, f"en-{len(pairs)}"))
    pairs = pairs[: asked.size]
    return _sides(asked, stream, pairs, pairs)


def _sides(
    asked: Asked, stream: Stream, foreign: list[tuple[Event, str]], english: list[tuple[Event, str]]
) -> list[Row]:
    """Both sides in orders of their own; equal sentences are not repeated on a side."""
    rows: list[Row] = []
    for name, code, pairs in (("foreign", asked.language, foreign), ("english", "en", english)):
        t, seen = tongue(asked.seed, code), set[str]()
        for number, (event, partner) in enumerate(stream.shuffled(pairs)):
            text = t.text([t.sentence(event, Style())])
            if text in seen:
                text = t.text([t.sentence(event._replace(adverb="slowly"), Style(front=True))])
            seen.add(text)
            row_id = partner if name == "english" else f"{asked.language}-{number}"
            gold = None if name == "english" else [partner] if partner else []
            rows.append({"id": row_id, "side": name, "text": text, "gold": gold})
    return rows


# --- text -----------------------------------------------------------------------------------------------------


def plain_text(asked: Asked) -> list[Row]:
    """What the encoder is pretrained on. The shares are what was measured to make transfer happen (design.md)."""
    rows: list[Row] = []
    codes = list(LANGUAGES)
    for index in range(asked.size):
        stream, t = asked.stream(index), asked.tongue()
        other = "en" if stream.chance(40) and asked.language != "en" else stream.pick(codes)
        way, pair = stream.below(100), None
        if way < 65:
            translated = way < 30
            if not translated and stream.chance(50):
                other = asked.language
            told, again = _retold(stream, asked.split, translated)
            second = tongue(asked.seed, other)
            text = t.text(t.sentence(e, draw_style(stream, 25)) for e in told)
            pair = second.text(second.sentence(e, draw_style(stream, 25)) for e in again)
        elif way < 70:
            text = t.text([t.sentence(_fact(stream))])
        else:
            text = _mixed(stream, asked, 40)
        rows.append({"text": text, "pair": pair})
    return rows


def _retold(stream: Stream, split: str, translated: bool) -> tuple[Story, Story]:
    """One to three events, and the same again or one of them with more, less or something else said."""

    def draw() -> tuple[object, Story]:
        story = draw_story(stream, 2 + stream.below(2)) if stream.chance(40) else (draw_hypothesis(stream),)
        return story, story

    story = belonging(split, draw)
    if translated:
        return story, story
    event = stream.pick(story)
    told = premise(stream, event, stream.pick(LABELS))
    if len(story) > 1:
        return story, (told,)
    return (told,), (event,)


def _fact(stream: Stream) -> Event:
    """A dog is an animal; the bread is in the kitchen; big is not small."""
    word = stream.pick(list(KIND_OF))
    if stream.chance(50) and word in TYPICAL:
        return Event("be", Noun(word), place=TYPICAL[word], tense="now")
    return Event("be", Noun(word, new=True), Noun(KIND_OF[word], new=True), tense="now")


def _mixed(stream: Stream, asked: Asked, percent: int) -> str:
    """A story; in that percentage of stories each sentence may be in another language."""

    def draw() -> tuple[object, Story]:
        story = draw_story(stream, 3 + stream.below(3))
        return story, story

    story, switches = belonging(asked.split, draw), stream.chance(percent)
    t, out = asked.tongue(), list[str]()
    for event in story:
        code = stream.pick(list(LANGUAGES)) if switches and stream.chance(50) else asked.language
        spoken = tongue(asked.seed, code)
        out.append(spoken.text([spoken.sentence(event, draw_style(stream, 25))]))
    return ("" if t.language.script == "kana" and not switches else " ").join(out)


_ = less
