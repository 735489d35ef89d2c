"""The world's questions on stories, and choices between continuations, causes and words.

What enters: which table. What leaves: its rows. A row's meaning comes from a stream keyed without
the language where translations share ids (PARALLEL); tasks whose languages are independent have
the language in the key.
"""

from __future__ import annotations

from typing import NamedTuple

from xstilts.formats.tables import Row
from xstilts_world.changes import change, conflict
from xstilts_world.languages import LANGUAGES
from xstilts_world.meaning import (
    AGENT,
    GIVEN,
    GROUPS,
    HERO,
    KIND_OF,
    OPPOSITE,
    OTHER,
    PATIENT,
    PLACE,
    REASON,
    RECIPIENT,
    SCRIPTS,
    TIME,
    TYPICAL,
    VERBS,
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
    kind_of,
    play,
)
from xstilts_world.speaking import PLAIN, Token, Tongue, tongue

PARALLEL = ("xnli", "pawsx", "xquad", "xcopa")


class TableSpec(NamedTuple):
    """Which table to make: its world's seed, task, split, language and number of rows.

    labels: the task's, in its official order, where it has some. languages: all that a text's words
    may be of. said: the language of the texts, where it is not that of the table; '': it is.
    """

    seed: int
    task: str
    split: str
    language: str
    size: int
    labels: tuple[str, ...] = ()
    languages: tuple[str, ...] = tuple(LANGUAGES)
    said: str = ""

    def stream(self, index: int) -> Stream:
        """The random numbers of one row; the same in every language where rows are translations."""
        language = "" if self.task in PARALLEL else self.language
        return Stream(self.seed, self.task, self.split, language, index)

    def tongue(self) -> Tongue:
        return tongue(self.seed, self.said or self.language)

    def row_id(self, index: int) -> str:
        return f"{self.task}-{self.split}-{index}"


# --- questions and spans ---


def askable(event: Event, reason: bool = False) -> list[str]:
    """The roles of an event that can be asked for: who, what, to whom, where, when, why."""
    roles = [AGENT] + [PATIENT] * bool(event.patient)
    roles += [RECIPIENT] * bool(event.to and event.verb != "go")
    return roles + [PLACE] * bool(event.place) + [TIME] * bool(event.time) + [REASON] * reason


def ask(event: Event, role: str) -> Event:
    """The event with a question word in the role."""
    event = event._replace(adverb="")
    if role == AGENT:
        return event._replace(agent=Noun(_who(event.agent)))
    if role == PATIENT and event.patient:
        return event._replace(patient=Noun(_who(event.patient)))
    if role == RECIPIENT:
        return event._replace(to=Noun("who"))
    if role == REASON:
        return event._replace(reason=True)
    return event._replace(place="where") if role == PLACE else event._replace(time="when")


def _who(noun: Noun) -> str:
    return "who" if kind_of(noun.word) in ("person", "somebody") else "what"


def spans(spec: TableSpec) -> list[Row]:
    """SQuAD, XQuAD and others: stories of four to seven sentences, up to three questions each."""
    rows: list[Row] = []
    t, story_number = spec.tongue(), 0
    while len(rows) < spec.size:
        stream = spec.stream(story_number)

        def draw(stream: Stream = stream) -> tuple[object, Story]:
            story = draw_story(stream, 4 + stream.below(4))
            return story, story

        story = belonging(spec.split, draw)
        context, places = _context(t, story, stream)
        group = f"{spec.task}-{spec.split}-{story_number}"
        for number, (event, slot, index) in enumerate(_questions(stream, story, 3)):
            question = event
            answers = [{"text": context[a:b], "start": a} for a, b in [places[index, slot]]]
            if spec.task == "squad2" and stream.chance(33):
                question, answers = _unanswerable(stream, event, slot, story), []
            text = t.text([t.sentence(ask(question, slot), question=True)])
            rows.append(
                {"id": f"{group}-{number}", "context": context, "question": text,
                "answers": answers,
                 "answerable": bool(answers), "group": group}
            )  # fmt: skip
        story_number += 1
    return rows[: spec.size]


def _context(
    t: Tongue, story: Story, stream: Stream
) -> tuple[str, dict[tuple[int, str], tuple[int, int]]]:
    """The story's text, and [start, end) in code points of each event's roles in it."""
    text, places = "", dict[tuple[int, str], tuple[int, int]]()
    sentences = [t.sentence(event) for event in story]
    numbers = [number for number, sentence in enumerate(sentences) for _ in sentence]
    for number, (form, token) in zip(numbers, t.pieces(sentences), strict=True):
        text += form
        if token.role:
            start = places.get((number, token.role), (len(text) - len(form.lstrip()), 0))[0]
            places[number, token.role] = start, len(text)
    return text, places


def _questions(stream: Stream, story: Story, n: int) -> list[tuple[Event, str, int]]:
    """Up to n (question's event, slot, place in the story), each with exactly one answer."""
    questions = []
    for index, event in stream.shuffled(list(enumerate(story))):
        for slot in stream.shuffled(askable(event))[:2]:
            shorter = event
            for other in (PLACE, TIME):
                if slot != other and stream.chance(60):
                    shorter = change(shorter, **{other: ""})
            if sum(_matches(other, shorter, slot) for other in story) == 1:
                questions.append((shorter, slot, index))
    return stream.sample(questions, min(n, len(questions)))


def _matches(event: Event, question: Event, slot: str) -> bool:
    """Whether the event answers the question: it has all that the question names."""
    fields = (AGENT, PATIENT, RECIPIENT, PLACE, TIME)
    named = [field for field in fields if field != slot and getattr(question, field)]
    if event.verb != question.verb or event.quality != question.quality:
        return False
    return bool(getattr(event, slot)) and all(
        getattr(event, f) == getattr(question, f) for f in named
    )


def _unanswerable(stream: Stream, event: Event, slot: str, story: Story) -> Event:
    """The event changed in one thing, so that no event of the story answers the question on it."""
    while True:
        other = conflict(stream, event, flips=0)
        if stream.chance(30) and slot != AGENT:
            other = event._replace(agent=Noun(stream.pick(GIVEN)))
        other = other._replace(negated=False)
        if not any(_matches(told, other, slot) for told in story):
            return other
        event = decorate(stream, event, 60)


# --- choices ---


def _options(stream: Stream, right: str, wrong: list[str]) -> tuple[list[str], int]:
    place = stream.below(len(wrong) + 1)
    return [*wrong[:place], right, *wrong[place:]], place


STEPS = sorted({step for script in SCRIPTS for step in script})
EXCHANGED = str.maketrans(HERO + OTHER, OTHER + HERO)


def _wrong_steps(
    stream: Stream, right: str, context: list[str], n: int, backward: bool
) -> list[str]:
    """Wrong choices: steps of other scripts that do not follow from the context.

    They share as many words with the context as the right step, so that overlap tells nothing.
    """
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


def continuations(spec: TableSpec) -> list[Row]:
    """HellaSwag, SIQA, COPA and XCOPA: what comes next; with a question also what came before."""
    events, choices, questioned = {"hellaswag": (2, 4, False), "siqa": (2, 3, True)}.get(
        spec.task, (1, 2, True)
    )
    rows, t = [], spec.tongue()
    for index in range(spec.size):
        stream = spec.stream(index)
        backward = questioned and stream.chance(50)

        def draw(
            stream: Stream = stream, backward: bool = backward
        ) -> tuple[object, tuple[list[str], str, Story]]:
            script = stream.pick([s for s in SCRIPTS if len(s) > events])
            start = stream.below(len(script) - events)
            steps = script[start : start + events + 1]
            context, right = (steps[1:], steps[0]) if backward else (steps[:-1], steps[-1])
            roles = cast(stream)
            told = tuple(decorate(stream, play(step, roles), 35) for step in context)
            return told, (
                context,
                right,
                (*told, *(play(s, roles) for s in _wrong(context, right))),
            )

        def _wrong(
            context: list[str], right: str, stream: Stream = stream, back: bool = backward
        ) -> list[str]:
            return [right, *_wrong_steps(stream, right, context, choices - 1, back)]

        _, _, story = belonging(spec.split, draw)
        texts = [t.text([t.sentence(e)]) for e in story]
        options, label = _options(stream, texts[events], texts[events + 1 :])
        question = _short(t, ["why"] if backward else ["then", "what"]) if questioned else None
        context_text = t.text(t.sentence(e) for e in story[:events])
        rows.append(
            {"id": spec.row_id(index), "context": context_text, "question": question,
            "choices": options,
             "label": label}
        )  # fmt: skip
    return rows


def _short(t: Tongue, words: list[str]) -> str:
    tokens = [Token(t.word(word, PLAIN), "ADV") for word in words]
    return t.text([[*tokens, Token(t.ask, "PUNCT")]])


def causes(spec: TableSpec) -> list[Row]:
    """Cosmos QA: why did it happen?

    All choices but one are told in the story too, so the order of events and who acts matter.
    """
    rows, t = [], spec.tongue()
    for index in range(spec.size):
        stream = spec.stream(index)

        def draw(stream: Stream = stream) -> tuple[object, tuple[Story, list[Event]]]:
            script, other = stream.sample(SCRIPTS, 2)
            roles = cast(stream)
            start = stream.below(len(script) - 2)
            steps = script[start : start + 3]
            theirs = cast(stream, [noun.word for noun in roles.values()])
            told = [play(step, roles) for step in steps]
            aside = [play(step, theirs) for step in other[:2]]
            absent = [
                step
                for step in STEPS
                if step not in script and step not in other and steps[1] not in followers(step)
            ]
            choices = [told[0], told[2], aside[0], play(stream.pick(absent), roles)]
            place = stream.below(4)
            order = [*told[:place], *aside, *told[place:]]
            return tuple(order), (
                tuple(decorate(stream, e, 25) for e in order),
                [told[1], *choices],
            )

        story, (effect, *choices) = belonging(spec.split, draw)
        context = t.text(t.sentence(e) for e in story)
        question = t.text([t.sentence(effect._replace(reason=True), question=True)])
        texts = [t.text([t.sentence(e)]) for e in choices]
        options, label = _options(stream, texts[0], texts[1:])
        rows.append(
            {
                "id": spec.row_id(index),
                "context": context,
                "question": question,
                "choices": options,
                "label": label,
            }
        )
    return rows


def commonsense(spec: TableSpec) -> list[Row]:
    """CommonsenseQA: kinds, opposites, typical places, and what a verb takes; of five words one."""
    rows, t = [], spec.tongue()
    for index in range(spec.size):
        stream = spec.stream(index)

        def draw(stream: Stream = stream) -> tuple[object, tuple[Event, set[str]]]:
            question, fit = _puzzle(stream)
            return question, (question, fit)

        question, fit = belonging(spec.split, draw)
        right, wrong = stream.pick(sorted(fit)), list[str]()
        while len(wrong) < 4:
            other = stream.pick(sorted(_puzzle(stream)[1]))
            if other not in fit and other not in wrong:
                wrong.append(other)
        options, label = _options(stream, right, wrong)
        rows.append(
            {"id": spec.row_id(index), "context": t.text([t.sentence(question, question=True)]),
             "question": None, "choices": [t.word(word, PLAIN) for word in options], "label": label}
        )  # fmt: skip
    return rows


def _puzzle(stream: Stream) -> tuple[Event, set[str]]:
    """A question and all words that answer it."""
    way = stream.below(10)
    if way < 2:
        word = stream.pick(list(TYPICAL))
        subject = Noun(word, stream.pick(["", "", "old", "big", "small"]))
        return Event("be", subject, place="where", time=stream.pick(["", "morning", "evening"])), {
            TYPICAL[word]
        }
    if way < 4:
        word = stream.pick(list(KIND_OF))
        subject = Noun(word, stream.pick(["", "", "old", "big", "small"]), new=True)
        return Event("be", subject, Noun("what"), tense="now"), {KIND_OF[word], "thing"}
    if way < 5:
        word = stream.pick(sorted(OPPOSITE))
        return Event("be", Noun("what"), quality=word, negated=True), {OPPOSITE[word]}
    event = draw_event(stream)
    while event.verb == "be" or (event.patient is None and way < 8):
        event = draw_event(stream)
    from_verb = PATIENT if way < 8 else AGENT
    verb_takes = _takes(event, from_verb)
    return ask(event, from_verb), verb_takes


def _takes(event: Event, slot: str) -> set[str]:
    group = VERBS[event.verb].patient if slot == PATIENT else VERBS[event.verb].agent
    return set(GROUPS[group])
