"""What can be said in the world: concepts, events, scripts, stories.

No language is known here. Everything is drawn from `Stream`, so that a seed gives the same world on
any machine and Python version.
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Callable, Sequence
from functools import cache
from typing import NamedTuple, TypeVar

T = TypeVar("T")
MASK = (1 << 64) - 1


class Stream:
    """Random numbers by splitmix64 (Steele, Lea, Flood 2014), seeded by any plain values.

    Not Python's `random`, whose numbers may change between versions.
    """

    def __init__(self, *key: object) -> None:
        self.state = int.from_bytes(hashlib.sha256(repr(key).encode()).digest()[:8], "big")

    def below(self, n: int) -> int:
        """A number from 0 to n - 1; the modulo's bias is under 2**-50 for the small n used here."""
        self.state = (self.state + 0x9E3779B97F4A7C15) & MASK
        z = self.state
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & MASK
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK
        return (z ^ (z >> 31)) % n

    def chance(self, percent: int) -> bool:
        return self.below(100) < percent

    def pick(self, items: Sequence[T]) -> T:
        return items[self.below(len(items))]

    def sample(self, items: Sequence[T], n: int) -> list[T]:
        """n of the items, each at most once, in random order (Fisher-Yates)."""
        pool = list(items)
        for i in range(n):
            j = i + self.below(len(pool) - i)
            pool[i], pool[j] = pool[j], pool[i]
        return pool[:n]

    def shuffled(self, items: Sequence[T]) -> list[T]:
        return self.sample(items, len(items))


def words(text: str) -> list[str]:
    return text.split()


KINDS = {
    "person": words("doctor teacher farmer child sailor"),
    "animal": words("dog cat horse bird"),
    "food": words("apple bread soup cake"),
    "vehicle": words("car boat train"),
    "tool": words("hammer knife rope"),
    "toy": words("ball doll kite"),
    "garment": words("coat hat shoe"),
}
THINGS = ("food", "vehicle", "tool", "toy", "garment")
KIND_OF = {word: kind for kind, members in KINDS.items() for word in members}
GROUPS = {  # what a verb may take
    "person": KINDS["person"],
    "being": KINDS["person"] + KINDS["animal"],
    "food": KINDS["food"],
    "thing": [word for kind in THINGS for word in KINDS[kind]],
    "solid": [word for kind in THINGS[1:] for word in KINDS[kind]],
}
GROUPS["any"] = GROUPS["being"] + GROUPS["thing"]
PLACES = words("market school garden kitchen forest river farm house")
TIMES = words("morning evening summer winter")
ADVERBS = ["quickly", "slowly"]
COLOURS = ["red", "blue", "green"]
OPPOSITES = "big small,old new,clean dirty,happy sad,rich poor,heavy light,strong weak"
OPPOSITE = {a: b for pair in OPPOSITES.split(",") for a, b in (pair.split(), pair.split()[::-1])}
STATES = words("hungry tired ill angry happy sad strong weak dirty clean rich poor")
BODILY = words("old big small strong weak happy sad rich poor")  # said of beings
MATERIAL = words("big small old new clean dirty heavy light red blue green")  # said of things
GIVEN = words("Mary John Anna Peter Lena Oskar Nora Felix Tilda Bruno")
CITIES = words("Kelm Tarlo Vand Ruma Belo Sorin")
FIRMS = ["Bank", "Club", "Works", "Union"]
PORT = "Port"  # Port Kelm: a place of two words
TYPICAL = {  # where one finds it: commonsense questions and definitions
    "teacher": "school", "farmer": "farm", "child": "school", "sailor": "river", "dog": "house",
    "horse": "farm", "bird": "forest", "apple": "garden", "bread": "kitchen", "soup": "kitchen",
    "cake": "kitchen", "boat": "river", "train": "market", "knife": "kitchen", "rope": "farm",
    "coat": "house", "kite": "garden",
}  # fmt: skip

# verb, who, whom or what, opposite, more general
VERBS_TEXT = """
buy person thing sell get|sell person thing buy -|find person thing lose get
lose person thing find -|see being any - -|help person being hurt -|hurt being being help -
love being any hate -|hate being any love -|eat being food - -|wash person any - -
break person solid repair -|repair person solid break -|push person any pull move
pull person any push move|carry person any - move|hide person thing - -|steal person thing - get
paint person solid - -|follow being being - -|thank person person - -|give person thing - -
send person thing - -|sleep being - wake -|wake being - sleep -|run being - - travel
walk being - - travel|laugh person - cry -|cry person - laugh -|wait being - - -|sing person - - -
fall being - - -|go being - - travel"""


class Verb(NamedTuple):
    """A verb, the groups of nouns that it takes, and verbs of opposite and general meaning."""

    word: str
    agent: str
    patient: str  # a key of GROUPS, or "-"
    opposite: str
    general: str


VERBS = {
    row.split()[0]: Verb(*row.split()) for row in VERBS_TEXT.replace("\n", "|").split("|") if row
}
DOMAINS = {  # what an event is about, by its verb
    "trade": words("buy sell find lose get hide steal give send"),
    "work": words("eat wash break repair paint"),
    "motion": words("push pull move carry follow run walk travel fall go"),
    "feeling": words("see help hurt love hate thank"),
    "body": words("be sleep wake laugh cry wait sing"),
}
DOMAIN_OF = {verb: domain for domain, verbs in DOMAINS.items() for verb in verbs}
GENERAL_VERBS = ["get", "move", "travel"]
SYNONYMS = {  # the same meaning in another word, in every language
    "big": "large", "happy": "glad", "ill": "sick", "child": "kid", "doctor": "physician",
    "house": "home", "car": "auto", "buy": "purchase", "see": "notice", "repair": "mend",
    "love": "adore", "thing": "object",
}  # fmt: skip
CONCEPTS = [
    *KIND_OF, *KINDS, "thing", *PLACES, "place", *TIMES, *ADVERBS, *COLOURS, *OPPOSITE,
    *[state for state in STATES if state not in OPPOSITE], *VERBS, *GENERAL_VERBS, "be",
    *words("two three and because so then but also who what where when why somebody"),
]  # fmt: skip


class Noun(NamedTuple):
    """Who or what has a role in an event."""

    word: str  # a concept; a name where it has a capital
    adjective: str = ""
    number: int = 1
    owner: str = ""  # a name
    new: bool = False  # a dog, not the dog


class Event(NamedTuple):
    """What a sentence says, in no language yet; "" and None: not said."""

    verb: str
    agent: Noun
    patient: Noun | None = None
    to: Noun | None = None
    quality: str = ""  # with the verb "be"
    place: str = ""
    time: str = ""
    adverb: str = ""
    tense: str = "now"  # past, now, future
    negated: bool = False
    reason: bool = False  # asks why


# The roles that can be asked for, by their field in an event.
AGENT, PATIENT, RECIPIENT = "agent", "patient", "to"
PLACE, TIME, REASON = "place", "time", "reason"

Story = tuple[Event, ...]


def is_name(word: str) -> bool:
    return word[:1].isupper()


def kind_of(word: str) -> str:
    return "person" if is_name(word) else KIND_OF.get(word, word)


def siblings(word: str) -> list[str]:
    return [other for other in KINDS.get(kind_of(word), []) if other != word]


def side(meaning: object) -> str:
    """The split that a meaning belongs to, the same in all tasks: none trains on test rows."""
    return ("train", "train", "train", "train", "dev", "test")[Stream("side", meaning).below(6)]


def belonging(split: str, draw: Callable[[], tuple[object, T]]) -> T:
    """What `draw` makes of the first meaning that belongs to the split. draw: (meaning, made)."""
    while True:
        meaning, made = draw()
        if side(meaning) == split:
            return made


def draw_noun(
    stream: Stream, group: str, adjective: int = 30, names: int = 55, plural: int = 0
) -> Noun:
    """A person's name, or a concept of the group, in `adjective` percent with an adjective."""
    if group in ("person", "being", "any") and stream.chance(
        names if group == "person" else names // 3
    ):
        return Noun(stream.pick(GIVEN))
    word = stream.pick(GROUPS[group])
    qualities = BODILY if word in GROUPS["being"] else MATERIAL
    number = stream.below(2) + 2 if stream.chance(plural) else 1
    return Noun(word, stream.pick(qualities) if stream.chance(adjective) else "", number)


def draw_event(
    stream: Stream, adjective: int = 30, modifiers: int = 40, inflected: bool = False
) -> Event:
    """Any event, whose agent and patient differ. inflected: with tenses and numbers too."""
    if stream.chance(12):
        who = draw_noun(stream, "being", adjective=0)
        return decorate(stream, Event("be", who, quality=stream.pick(STATES)), modifiers, adverb=0)
    chosen, plural = VERBS[stream.pick(list(VERBS))], 10 * inflected
    agent = draw_noun(stream, chosen.agent, adjective, plural=plural)
    patient = None
    while chosen.patient != "-" and (patient is None or patient.word == agent.word):
        patient = draw_noun(stream, chosen.patient, adjective, plural=plural)
    to = None
    while chosen.word in ("give", "send") and (to is None or to.word == agent.word):
        to = draw_noun(stream, "person", adjective=0, names=80)
    if chosen.word == "go":
        to = Noun(stream.pick(PLACES))
    tense = stream.pick(["past", "past", "now", "future"]) if inflected else "now"
    event = Event(chosen.word, agent, patient, to, tense=tense)
    return decorate(stream, event, modifiers)


def decorate(stream: Stream, event: Event, percent: int, adverb: int = 15) -> Event:
    """The event with a place, a time and a manner, each added in that percentage if it has none."""
    if not event.place and event.verb != "go" and stream.chance(percent):
        event = event._replace(place=stream.pick(PLACES if stream.chance(75) else CITIES))
    if not event.time and stream.chance(percent):
        event = event._replace(time=stream.pick(TIMES))
    if not event.adverb and event.verb != "be" and stream.chance(adverb):
        event = event._replace(adverb=stream.pick(ADVERBS))
    return event


# The cast of a script: two people, an animal, a thing that is no food, food.
HERO, OTHER, ANIMAL, THING, FOOD = CAST = "ABNOF"
# Each step brings about the next.
SCRIPTS_TEXT = """
A be hungry|A go market|A buy F|A eat F|A be happy
A lose O|A be sad|B find O|B give O A|A thank B
A be tired|A go house|A sleep|A wake|A be strong
A break O|B be angry|A repair O|B thank A
A be ill|A wait|B help A|A laugh
N follow A|A see N|A love N|A wash N|N be clean
A steal O|B follow A|A run|A fall|A cry
A paint O|B love O|B buy O|A be rich
A carry O|A be weak|B pull O|B be tired
A hide O|B lose O|B cry|A give O B|B be happy
N be hungry|N eat F|A hate N|A push N|N run
A send O B|B see O|B be happy|B sing
A sell O|A be poor|A cry|B help A
N hurt A|A be angry|A push N|N fall|N be dirty
"""
SCRIPTS = [line.split("|") for line in SCRIPTS_TEXT.strip().splitlines()]


@cache
def followers(step: str) -> frozenset[str]:
    """The steps that come right after a step in some script."""
    pairs = ((a, b) for script in SCRIPTS for a, b in itertools.pairwise(script))
    return frozenset(b for a, b in pairs if a == step)


def cast(stream: Stream, taken: Sequence[str] = ()) -> dict[str, Noun]:
    """The nouns that play the roles of CAST: all different, none of `taken`."""

    def free(words: Sequence[str]) -> str:
        return stream.pick([word for word in words if word not in taken])

    people = [name for name in GIVEN if name not in taken]
    first, second = stream.sample(people, 2)
    a = Noun(free(KINDS["person"]), stream.pick(BODILY)) if stream.chance(35) else Noun(first)
    b = Noun(second)
    thing = Noun(free(GROUPS["solid"]), stream.pick(MATERIAL) if stream.chance(40) else "")
    return {
        HERO: a,
        OTHER: b,
        ANIMAL: Noun(free(KINDS["animal"])),
        THING: thing,
        FOOD: Noun(free(KINDS["food"])),
    }


def play(step: str, roles: dict[str, Noun], tense: str = "now") -> Event:
    """The event of a step ('B give O A') with nouns in its roles."""
    who, verb, *rest = step.split()
    if verb == "be":
        return Event("be", roles[who], quality=rest[0], tense=tense)
    nouns = [roles.get(word, Noun(word)) for word in rest]
    if verb == "go":
        return Event(verb, roles[who], to=nouns[0], tense=tense)
    patient, to = [*nouns, None, None][:2]
    return Event(verb, roles[who], patient, to, tense=tense)


def draw_story(stream: Stream, sentences: int) -> Story:
    """A story of one or two threads, whose events are interleaved in order.

    Each thread is a part of a script with a cast of its own.
    """
    threads: list[list[Event]] = []
    taken: list[str] = []
    wanted = [sentences] if sentences < 4 else [sentences - sentences // 2, sentences // 2]
    script = stream.pick(SCRIPTS)
    for length in wanted:
        script = (
            script if stream.chance(35) else stream.pick(SCRIPTS)
        )  # twice the same: only the names tell
        roles = cast(stream, taken)
        taken += [noun.word for noun in roles.values()]
        start = stream.below(max(1, len(script) - length + 1))
        steps = script[start : start + length]
        threads.append([decorate(stream, play(step, roles), 40, adverb=10) for step in steps])
    story: list[Event] = []
    while any(threads):
        story.append(stream.pick([thread for thread in threads if thread]).pop(0))
    return tuple(story)
