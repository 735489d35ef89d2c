"""Changes to an event: more said, less said, another thing said; and what they entail.

What enters: an event and a stream. What leaves: an event that the first one entails, contradicts or
leaves open.
"""

from __future__ import annotations

from typing import Any

from xstilts_world.meaning import (
    BODILY,
    COLOURS,
    GENERAL_VERBS,
    GIVEN,
    GROUPS,
    KINDS,
    MATERIAL,
    OPPOSITE,
    PLACES,
    THINGS,
    TIMES,
    VERBS,
    Event,
    Noun,
    Stream,
    draw_event,
    is_name,
    kind_of,
    siblings,
)

SLOTS = (
    "place",
    "time",
    "adverb",
    "agent",
    "patient",
)  # what may be said or left out; nouns: the adjective


def change(event: Event, **fields: Any) -> Event:
    return event._replace(**fields)


def get(event: Event, slot: str) -> str:
    """What an event says in a slot; of a noun its adjective."""
    if slot in ("agent", "patient"):
        noun: Noun | None = getattr(event, slot)
        return noun.adjective if noun else ""
    return str(getattr(event, slot))


def put(event: Event, slot: str, value: str) -> Event:
    """The event with another value in a slot."""
    if slot in ("agent", "patient"):
        return change(event, **{slot: getattr(event, slot)._replace(adjective=value)})
    return change(event, **{slot: value})


def said(event: Event) -> list[str]:
    """The slots in which an event says something."""
    return [slot for slot in SLOTS if get(event, slot)]


def more(stream: Stream, event: Event, percent: int = 35) -> Event:
    """The same event with more said: free slots filled, general words made special."""
    for slot in SLOTS:
        if not get(event, slot) and stream.chance(percent):
            event = _fill(stream, event, slot)
    if event.verb in GENERAL_VERBS and stream.chance(70):
        special = [
            verb.word for verb in VERBS.values() if verb.general == event.verb and verb.word != "go"
        ]
        event = event._replace(verb=stream.pick(special))
    for slot in ("agent", "patient"):
        noun: Noun | None = getattr(event, slot)
        if (
            noun
            and (noun.word in KINDS or noun.word in ("thing", "somebody"))
            and stream.chance(80)
        ):
            event = change(event, **{slot: noun._replace(word=_special(stream, noun.word))})
    return event


def _fill(stream: Stream, event: Event, slot: str) -> Event:
    if slot == "place":
        return event if event.verb == "go" else event._replace(place=stream.pick(PLACES))
    if slot == "time":
        return event._replace(time=stream.pick(TIMES))
    noun: Noun | None = getattr(event, slot, None) if slot != "adverb" else None
    if not noun or is_name(noun.word) or noun.word == "somebody" or event.verb == "be":
        return event
    being = kind_of(noun.word) in ("person", "animal")
    return put(event, slot, stream.pick(BODILY if being else MATERIAL))


def _special(stream: Stream, word: str) -> str:
    if word == "somebody":
        return stream.pick(GIVEN)
    return stream.pick(GROUPS["thing"] if word == "thing" else KINDS[word])


def general(stream: Stream, noun: Noun) -> Noun:
    """A more general noun: a dog -> an animal; Mary -> somebody; a ball -> a toy or a thing."""
    if is_name(noun.word):
        return Noun("somebody")
    kind = kind_of(noun.word)
    return noun._replace(word="thing" if kind in THINGS and stream.chance(30) else kind)


def less(stream: Stream, event: Event, of: Event) -> Event:
    """The event with one thing that `of` says left out, or made general."""
    kept = [slot for slot in said(of) if get(event, slot)]
    special = [slot for slot in ("agent", "patient") if _is_special(getattr(of, slot))]
    if kept and not (special and stream.chance(25)):
        return put(event, stream.pick(kept), "")
    if special:
        slot = stream.pick(special)
        return change(event, **{slot: general(stream, getattr(event, slot))})
    return event


def _is_special(noun: Noun | None) -> bool:
    return noun is not None and noun.word not in (*KINDS, "thing", "somebody")


def other_adjective(stream: Stream, word: str) -> str:
    if word in COLOURS:
        return stream.pick([colour for colour in COLOURS if colour != word])
    return OPPOSITE.get(word, "")


def conflicts(stream: Stream, event: Event) -> list[Event]:
    """Events that cannot be the same as this one, as they differ in one thing that it says."""
    others = (
        [event._replace(place=stream.pick([p for p in PLACES if p != event.place]))]
        if event.place
        else []
    )
    if event.time:
        others.append(event._replace(time=stream.pick([t for t in TIMES if t != event.time])))
    for slot in ("agent", "patient"):
        noun: Noun | None = getattr(event, slot)
        if noun and (adjective := other_adjective(stream, noun.adjective)):
            others.append(put(event, slot, adjective))
        if noun and siblings(noun.word) and noun.word not in KINDS:
            word = stream.pick(siblings(noun.word))
            others.append(change(event, **{slot: noun._replace(word=word)}))
    if event.quality in OPPOSITE:
        others.append(event._replace(quality=OPPOSITE[event.quality]))
    if event.verb in VERBS and VERBS[event.verb].opposite != "-":
        others.append(event._replace(verb=VERBS[event.verb].opposite))
    return others


def conflict(stream: Stream, event: Event, flips: int = 30) -> Event:
    """One of the conflicts; in `flips` percent, or without any, the same event denied."""
    others = conflicts(stream, event)
    if not others or stream.chance(flips):
        return event._replace(negated=not event.negated)
    return stream.pick(others)


def draw_hypothesis(stream: Stream) -> Event:
    """A hypothesis, drawn before its label, so that alone it says nothing about the label."""
    event = draw_event(stream, modifiers=35)
    while not said(event):
        event = draw_event(stream, modifiers=45)
    if (
        stream.chance(15)
        and event.verb in VERBS
        and VERBS[event.verb].general != "-"
        and event.verb != "go"
    ):
        event = event._replace(verb=VERBS[event.verb].general)
    for slot in ("agent", "patient"):
        noun: Noun | None = getattr(event, slot)
        if noun and stream.chance(20):
            event = change(event, **{slot: general(stream, noun)})
    return event._replace(negated=stream.chance(15))


def premise(stream: Stream, event: Event, label: str) -> Event:
    """An event that gives the hypothesis its label. Under `not`, what says less entails.

    Three of four neutral premises tell of something else, half of the contradictions only deny:
    with finer differences alone, 2,000 rows taught a small encoder next to nothing.
    """
    if label == "neutral" and stream.chance(75):
        return _unrelated(stream, event)
    if label == "contradiction" and stream.chance(50):
        same = premise(stream, event, "entailment")
        return same._replace(negated=not event.negated)
    if event.negated:
        if label == "entailment":
            return less(stream, event, event)
        longer = more(stream, event, 60)
        longer = more(stream, event, 100) if longer == event else longer
        return longer if label == "neutral" else longer._replace(negated=False)
    longer = more(stream, event)
    if label == "entailment":
        return longer
    return (
        less(stream, longer, event) if label == "neutral" else _conflicting(stream, longer, event)
    )


def _unrelated(stream: Stream, event: Event) -> Event:
    """An event of another agent and verb, denied where the hypothesis is."""
    other = draw_event(stream, modifiers=50)
    while other.verb == event.verb or other.agent.word == event.agent.word:
        other = draw_event(stream, modifiers=50)
    return other._replace(negated=event.negated)


def _conflicting(stream: Stream, longer: Event, event: Event) -> Event:
    """The premise with a conflict in something that the hypothesis itself says."""
    other = conflict(stream, event)
    changed: dict[str, Any] = {
        name: new for name, new, old in zip(Event._fields, other, event, strict=True) if new != old
    }
    for slot in ("agent", "patient"):
        if slot in changed and get(other, slot) == get(event, slot):  # the noun, not its adjective
            changed[slot] = changed[slot]._replace(adjective=get(longer, slot))
    return change(longer, **changed)


def swap(stream: Stream, event: Event) -> Event | None:
    """The event with the same words in other roles; None where there is nothing to swap."""
    a, b = event.agent, event.patient
    ways = []
    takes = VERBS[event.verb].patient if event.verb in VERBS else "-"
    if b and takes in ("being", "person", "any") and kind_of(b.word) in ("person", "animal"):
        ways.append(event._replace(agent=b, patient=a))
    if b and a.adjective != b.adjective and not is_name(a.word) and not is_name(b.word):
        ways.append(
            event._replace(
                agent=a._replace(adjective=b.adjective), patient=b._replace(adjective=a.adjective)
            )
        )
    if event.to and event.verb != "go":
        ways.append(event._replace(agent=event.to, to=a))
    return stream.pick(ways) if ways else None
