"""The world's pairs of texts, tagged sentences and sentences to retrieve.

What enters: which table. What leaves: its rows. Labels follow from meanings, and what a row says is
drawn from meanings of its own split (`meaning.side`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from xstilts.formats.tables import Row
from xstilts.sources.reading import DOMAIN
from xstilts_world import syntax
from xstilts_world.asking import TableSpec, ask, askable
from xstilts_world.changes import conflict, draw_hypothesis, more, premise, swap
from xstilts_world.meaning import (
    CITIES,
    DOMAIN_OF,
    FIRMS,
    GIVEN,
    PORT,
    Event,
    Noun,
    Stream,
    belonging,
    draw_event,
    is_name,
    kind_of,
)
from xstilts_world.speaking import Style, Token, draw_style, tongue

# --- pairs of texts ---


def nli(spec: TableSpec) -> list[Row]:
    return [_nli_row(spec, i, "", 1 + spec.stream(i).chance(10)) for i in range(spec.size)]


def anli_plus(spec: TableSpec) -> list[Row]:
    """SNLI and MNLI of one or two events, ANLI's rounds of three to five."""
    rows = []
    for i in range(spec.size):
        part, length = spec.stream(i).pick(PARTS)
        rows.append(_nli_row(spec, i, part, length))
    return rows


PARTS = (
    ("snli", 1), ("snli", 1), ("snli", 1), ("mnli", 2), ("mnli", 2), ("anli_r1", 3), ("anli_r2",
    4), ("anli_r3", 5)
)  # fmt: skip


def _nli_row(spec: TableSpec, index: int, part: str, length: int) -> Row:
    stream, t = spec.stream(index), spec.tongue()
    stream.below(2)  # one number goes by: callers draw one from the same stream to choose `length`
    label = stream.pick(spec.labels)

    def draw() -> tuple[object, Event]:
        event = draw_hypothesis(stream)
        return event, event

    hypothesis = belonging(spec.split, draw)
    told = [premise(stream, hypothesis, label)]
    while len(told) < length:
        other = draw_event(stream)
        if other.verb != hypothesis.verb and other.agent.word != hypothesis.agent.word:
            told.insert(stream.below(len(told) + 1), other)
    texts = [t.text(t.sentence(e) for e in told)]
    texts.append(t.text([t.sentence(hypothesis)]))
    return {
        "id": spec.row_id(index),
        "text_a": texts[0],
        "text_b": texts[1],
        "label": label,
        "part": part or None,
        **({} if part else {DOMAIN: DOMAIN_OF[hypothesis.verb]}),
    }


def paraphrases(spec: TableSpec) -> list[Row]:
    """PAWS-X: the same words in other roles or one other word, or one meaning said otherwise."""

    def draw(stream: Stream, same: bool) -> tuple[Event, Event]:
        other = None
        while other is None:
            event = draw_event(stream, adjective=50, modifiers=40)
            other = swap(stream, event) if stream.chance(60) else conflict(stream, event, flips=0)
            other = None if other is None or other.negated else other
        return event, event if same else other

    return _said_twice(spec, 45, draw, False)


def questions(spec: TableSpec) -> list[Row]:
    """QQP: two questions; duplicates ask the same of one event. 37 % are, as in the original."""

    def draw(stream: Stream, same: bool) -> tuple[Event, Event]:
        event = draw_event(stream, adjective=40, modifiers=60)
        other = swap(stream, event) if stream.chance(40) else None
        slot = stream.pick(askable(event))
        if same:
            return ask(event, slot), ask(event, slot)
        if stream.chance(25):
            return ask(event, slot), ask(event, stream.pick(askable(event, True)))
        return ask(event, slot), ask(other or conflict(stream, event, flips=0), slot)

    return _said_twice(spec, 37, draw, True)


def _said_twice(
    spec: TableSpec,
    percent: int,
    draw: Callable[[Stream, bool], tuple[Event, Event]],
    question: bool,
) -> list[Row]:
    """Pairs of texts, each in its own style and never word for word the same; 1: the same event."""
    rows: list[Row] = []
    t = spec.tongue()
    for index in range(spec.size):
        stream = spec.stream(index)
        same = stream.chance(percent)
        english = tongue(spec.seed, "en")

        def pair(
            stream: Stream = stream, same: bool = same
        ) -> tuple[object, list[tuple[Event, Style]]]:
            first, second = draw(stream, same)
            while same != (first == second):
                first, second = draw(stream, same)
            # The second's split, as in NLI: no pair of one task trains where another tests on it.
            return second, [(first, draw_style(stream)), (second, draw_style(stream))]

        events = belonging(spec.split, pair)
        while len({english.text([english.sentence(e, s, question)]) for e, s in events}) == 1:
            events = belonging(spec.split, pair)
        a, b = (t.text([t.sentence(event, style, question)]) for event, style in events)
        row = {"id": spec.row_id(index), "text_a": a, "text_b": b, "label": str(int(same))}
        rows.append(row | {"part": None})
    return rows


# --- tags ---


def _tagged(
    spec: TableSpec, column: Callable[[Sequence[Token]], list[str]], names: int, asks: int
) -> list[Row]:
    """Sentences of one or two clauses with a tag of each token.

    asks: percent of questions. names: percent of nouns that become names.
    """
    rows, t = [], spec.tongue()
    for index in range(spec.size):
        stream = spec.stream(index)

        way = stream.below(100)

        def draw(stream: Stream = stream, way: int = way) -> tuple[object, Event]:
            event = _named(stream, draw_event(stream, inflected=True), names)._replace(
                negated=stream.chance(12)
            )
            event = ask(event, stream.pick(askable(event, True))) if way < asks else event
            return event, event

        first, style = belonging(spec.split, draw), draw_style(stream)
        if way < 60:
            tokens = t.sentence(first, style, way < asks)
        else:
            second, by = (
                _named(stream, draw_event(stream, inflected=True), names),
                stream.pick(["and", "because"]),
            )
            tokens = t.joined(first, second, by, (style, draw_style(stream)))
        forms = [token.form for token in tokens]
        rows.append({"id": spec.row_id(index), "tokens": forms, "tags": column(tokens)})
    return rows


def _named(stream: Stream, event: Event, percent: int) -> Event:
    """The event with more entities: second names, firms, owners of things, cities as places."""
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
        changed["place"] = (f"{PORT} " if stream.chance(30) else "") + stream.pick(CITIES)
    return event._replace(**changed)


def parts_of_speech(spec: TableSpec) -> list[Row]:
    return _tagged(spec, lambda tokens: [token.pos for token in tokens], 25, 15)


def entities(spec: TableSpec) -> list[Row]:
    return _tagged(spec, lambda tokens: [token.entity for token in tokens], 65, 0)


def supertags(spec: TableSpec) -> list[Row]:
    return _tagged(spec, lambda tokens: [token.category for token in tokens], 25, 0)


def relations(spec: TableSpec) -> list[Row]:
    return _tagged(spec, syntax.relations, 25, 15)


def chunks(spec: TableSpec) -> list[Row]:
    return _tagged(spec, syntax.chunks, 25, 15)


# --- retrieval ---


def _family(stream: Stream, split: str, n: int) -> list[Event]:
    """An event and others that differ from it in one thing, which makes retrieval hard."""

    def draw() -> tuple[object, Event]:
        event = draw_event(stream, modifiers=60)
        return event, event

    events = [belonging(split, draw)]
    while len(events) < n:
        other = conflict(stream, events[0], flips=10)
        if stream.chance(30):
            other = more(stream, other, 50)
        if other not in events:
            events.append(other)
    return events


def mining(spec: TableSpec) -> list[Row]:
    """BUCC: about 40 % of either side has a partner; the others have only near relatives there."""
    stream, foreign, english = spec.stream(0), list[tuple[Event, str]](), list[tuple[Event, str]]()
    for number in range(spec.size):
        shared, like_it, like_it_too = _family(stream, spec.split, 3)
        if number % 5 < 2:
            foreign.append((shared, f"en-{number}"))
            english.append((shared, f"en-{number}"))
        else:
            foreign.append((like_it, ""))
            english.append((like_it_too, f"en-{number}"))
    return _sides(spec, stream, foreign, english)


def translations(spec: TableSpec) -> list[Row]:
    """Tatoeba: sentences and translations; two in three differ from another in one thing."""
    stream, pairs = spec.stream(0), list[tuple[Event, str]]()
    while len(pairs) < spec.size:
        for event in _family(stream, spec.split, 3):
            if event not in [other for other, _ in pairs]:
                pairs.append((event, f"en-{len(pairs)}"))
    pairs = pairs[: spec.size]
    return _sides(spec, stream, pairs, pairs)


def _sides(
    spec: TableSpec,
    stream: Stream,
    foreign: list[tuple[Event, str]],
    english: list[tuple[Event, str]],
) -> list[Row]:
    """The rows of both sides, each in an order of its own, where no sentence occurs twice."""
    rows: list[Row] = []
    for name, code, pairs in (("foreign", spec.language, foreign), ("english", "en", english)):
        t, seen = tongue(spec.seed, code), set[str]()
        for number, (event, partner) in enumerate(stream.shuffled(pairs)):
            text = t.text([t.sentence(event, Style())])
            if text in seen:
                text = t.text([t.sentence(event._replace(adverb="slowly"), Style(front=True))])
            seen.add(text)
            row_id = partner if name == "english" else f"{spec.language}-{number}"
            gold = None if name == "english" else [partner] if partner else []
            rows.append({"id": row_id, "side": name, "text": text, "gold": gold})
    return rows
