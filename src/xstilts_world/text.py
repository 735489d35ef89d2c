"""The text that the world's encoder is pretrained on, whose words are of any language.

Glossaries, translations, retellings, questions with their answers, facts and stories. The mixture
is what makes transfer (docs/results.md): an encoder that can tell a text's language aligns
translations and still learns English tasks in a part of its space that is English alone. So every
sentence has one language's order and endings, and each of its words is any language's.
"""

from __future__ import annotations

from collections.abc import Sequence

from xstilts.formats.tables import Row
from xstilts_world.asking import TableSpec, ask, askable
from xstilts_world.changes import draw_hypothesis, premise
from xstilts_world.meaning import (
    GIVEN,
    KIND_OF,
    TYPICAL,
    Event,
    Noun,
    Story,
    Stream,
    belonging,
    draw_story,
)
from xstilts_world.speaking import LISTED, PLAIN, Mixing, Token, Tongue, draw_style, tongue

LINKS = {"entailment": "so", "contradiction": "but", "neutral": "also"}
GLOSSARY = [*LISTED, *GIVEN]


def plain_text(spec: TableSpec) -> list[Row]:
    """The rows of one language's text.

    In percent: 15 glossary, 25 translations, 40 retellings (half in another language), 10
    questions, 2 facts, 8 stories. The other language is English in four of five. Words are of the
    languages that the text has (spec.languages): of English alone, where that is all it has.
    """
    rows: list[Row] = []
    codes = list(spec.languages)
    for index in range(spec.size):
        stream, t = spec.stream(index), spec.tongue()
        other = "en" if stream.chance(80) and spec.language != "en" else stream.pick(codes)
        second, way, pair = tongue(spec.seed, other), stream.below(100), None
        if way < 15:
            text, pair = _glossary(stream, t, second)
        elif way < 40:
            story = _story(stream, spec.split)
            text, pair = (
                _told(_mixing(stream, t, codes), story),
                _told(_mixing(stream, second, codes), story),
            )
        elif way < 80:
            # Half in the same language, since the tasks' pairs of texts are in one language, too.
            second = second if stream.chance(50) else t
            text, pair = _retold(
                stream, spec.split, _mixing(stream, t, codes), _mixing(stream, second, codes)
            )
        elif way < 90:
            text, pair = _asked(stream, spec.split, _mixing(stream, t, codes))
        elif way < 92:
            text = t.text([t.sentence(_fact(stream))])
        else:
            text = _read(stream, spec.split, t, codes)
        rows.append({"text": text, "pair": pair})
    return rows


def _mixing(stream: Stream, t: Tongue, codes: Sequence[str]) -> Mixing:
    return Mixing(t, [tongue(t.seed, code) for code in codes], stream)


def _told(t: Tongue, story: Story) -> str:
    return t.text(t.sentence(event) for event in story)


def _story(stream: Stream, split: str) -> Story:
    """One event, or two that follow each other."""

    def draw() -> tuple[object, Story]:
        story = draw_story(stream, 2) if stream.chance(25) else (draw_hypothesis(stream),)
        return story, story

    return belonging(split, draw)


def _glossary(stream: Stream, first: Tongue, second: Tongue) -> tuple[str, str]:
    """One to three words, perhaps as synonyms, and their translations."""
    listed, style = stream.sample(GLOSSARY, 1 + stream.below(3)), draw_style(stream, 30)
    texts = [
        t.text([[Token(w if w in GIVEN else t.citation(w, s), "X") for w in listed]])
        for t, s in ((first, style), (second, PLAIN))
    ]
    return texts[0], texts[1]


def _retold(stream: Stream, split: str, first: Tongue, second: Tongue) -> tuple[str, str]:
    """A story with one event told in another way, and that event.

    The second text begins with the word that says how the two hang together: so, but, also.
    """
    story = list(_story(stream, split))
    place, label = stream.below(len(story)), stream.pick(list(LINKS))
    again = story[place]
    story[place] = premise(stream, again, label)
    link = Token(second.word(LINKS[label], PLAIN), "ADV")
    return _told(first, tuple(story)), second.text([[link, *second.sentence(again)]])


def _asked(stream: Stream, split: str, t: Tongue) -> tuple[str, str]:
    """A story, and a question on it with its answer."""
    story = _story(stream, split)
    event = stream.pick(story)
    slot = stream.pick(askable(event))
    sentences = [t.sentence(told) for told in story]
    answer = [token for token in sentences[story.index(event)] if token.role == slot]
    question = t.sentence(ask(event, slot), question=True)
    return t.text(sentences), t.text([question, [*answer, Token(t.stop, "PUNCT")]])


def _fact(stream: Stream) -> Event:
    """A fact of the world: a dog is an animal; the bread is in the kitchen."""
    word = stream.pick(list(KIND_OF))
    if stream.chance(50) and word in TYPICAL:
        return Event("be", Noun(word), place=TYPICAL[word])
    return Event("be", Noun(word, new=True), Noun(KIND_OF[word], new=True))


def _read(stream: Stream, split: str, t: Tongue, codes: Sequence[str]) -> str:
    """A story of two or three events in a style of its own."""

    def draw() -> tuple[object, Story]:
        story = draw_story(stream, 2 + stream.below(2))
        return story, story

    story, t = belonging(split, draw), _mixing(stream, t, codes)
    return t.text(t.sentence(event, draw_style(stream, 25)) for event in story)
