"""XTREME-R's ranking tasks, XQuAD-R (LAReQA) and Mewsli-X: queries and their candidates."""

from __future__ import annotations

import re
from typing import Any

from xstilts.formats.tables import POOL, Row
from xstilts.sources.readers.raw import RawFile, text_field
from xstilts.sources.readers.squad import BLANK, answers_at, listed, text_at
from xstilts.sources.reading import Reading

CANDIDATES = "candidate_set_entities.jsonl"
SHARDS = "wikinews_mentions"  # the folder of the mentions that XTREME's script cuts by language
_BRACES = re.compile(r"\{(.*?)\}")


def xquad_r(raw: RawFile) -> Reading:
    """LAReQA's questions, and as candidates every sentence of their paragraphs.

    The file is XQuAD's with `sentence_breaks`. Ids and rules are those of XTREME's utils_lareqa.py:
    a question whose answer begins in no
    sentence is dropped, a paragraph's sentences are candidates once one of its questions is kept,
    a sentence that stands twice in it is right twice. A question's name is its id, which is the
    same in every language.
    """
    document = raw.document()
    if not isinstance(document, dict):
        raise raw.at(1, f"a JSON {type(document).__name__}; expected an object with 'data'")
    paragraphs = [
        (f"data[{i}].paragraphs[{j}]", paragraph)
        for i, article in enumerate(listed(raw, "", document, "data"))
        for j, paragraph in enumerate(listed(raw, f"data[{i}]", article, "paragraphs"))
    ]
    numbered = raw.cut(list(enumerate(paragraphs, 1)))
    parts = [_paragraph(raw, number, *paragraph) for number, paragraph in numbered]
    rows = [row for rows, _ in parts for row in rows]
    read = sum(questions for _, questions in parts)
    if not read:
        raise raw.at(None, "no questions; expected data[].paragraphs[].qas[]")
    kept = sum(row["query"] is not None for row in rows)
    return raw.reading(rows, read, dropped_answer_in_no_sentence=read - kept)


def _paragraph(raw: RawFile, number: int, path: str, paragraph: Any) -> tuple[list[Row], int]:
    """(a paragraph's questions and candidates, how many questions it has)."""
    context = text_at(raw, path, paragraph, "context")
    breaks = _breaks(raw, path, paragraph, context)
    sentences = [context[start:end] for start, end in breaks]
    names: list[list[str]] = [[] for _ in sentences]
    rows: list[Row] = []
    questions = listed(raw, path, paragraph, "qas")
    for k, qa in enumerate(questions):
        below = f"{path}.qas[{k}]"
        if not isinstance(qa, dict):
            raise raw.at(None, f"{below}: {type(qa).__name__}; expected an object")
        answers = answers_at(raw, below, qa)
        if len(answers) != 1 or answers == BLANK:
            raise raw.at(None, f"{below}.answers: {answers!r}; expected one answer, with text")
        begin = answers[0][1]
        # By its text, not its place: where a sentence stands twice, both are right.
        right = next((context[s:e] for s, e in breaks if s <= begin < e), None)
        if right is None:
            continue
        name = text_at(raw, below, qa, "id")
        question = text_at(raw, below, qa, "question")
        rows.append(_row(f"{name}_{raw.language}", [name], query=question))
        for answered, sentence in zip(names, sentences, strict=True):
            answered.extend([name] * (sentence == right))
    if rows:
        rows += [
            _row(f"{raw.language}_{number}_{k}", answered, candidate=sentence, context=context)
            for k, (sentence, answered) in enumerate(zip(sentences, names, strict=True))
        ]
    return rows, len(questions)


def _breaks(raw: RawFile, path: str, paragraph: Any, context: str) -> list[tuple[int, int]]:
    """[start, end) of each sentence of a paragraph."""
    breaks = []
    for k, pair in enumerate(listed(raw, path, paragraph, "sentence_breaks")):
        numbers = isinstance(pair, list) and [type(number) for number in pair] == [int, int]
        if not numbers or not 0 <= pair[0] < pair[1] <= len(context):
            raise raw.at(
                None,
                f"{path}.sentence_breaks[{k}]: {pair!r}; expected [start, end) in the context's "
                f"{len(context)} characters",
            )
        breaks.append((pair[0], pair[1]))
    return breaks


def mewslix(raw: RawFile) -> Reading:
    """Mewsli-X: the mentions of one language in WikiNews, or for POOL the entities to rank.

    The entities' descriptions stand in a file beside, in 50 languages; one folder up from the
    shards of XTREME's script, which blanks every entity of test.
    """
    if raw.language == POOL:
        shard = raw.path.parent.name == SHARDS
        beside = raw.beside(f"../{CANDIDATES}" if shard else CANDIDATES)
        rows = [_entity(beside, number, value) for number, value in beside.cut(beside.objects())]
        return beside.reading(rows, len(rows))
    named: list[tuple[int, Row]] = []
    for number, value in raw.cut(raw.objects()):
        context, mentions = _context(raw, number, value), value.get("mentions")
        if not isinstance(mentions, list) or not mentions:
            raise raw.at(number, f"'mentions' is {mentions!r}; expected a list of some")
        if raw.is_own(number, context["language"]):
            named += [(number, _mention(raw, number, context, mention)) for mention in mentions]
    if not named:
        raise raw.at(None, f"no articles in language {raw.language}; expected some")
    without = [number for number, row in named if row["gold"] is None]
    if without and (raw.split != "test" or len(without) < len(named)):
        raise raw.at(without[0], "'entity_id' is ''; expected text, or none in all of a test file")
    return raw.reading([row for _, row in named], len(named))


def mewslix_pairs(raw: RawFile) -> Reading:
    """Mewsli-X's training pairs: mentions in English Wikipedia, each with the entity it names."""
    rows = []
    for number, value in raw.cut(raw.objects()):
        whole = value.get("contextual_mention")
        whole = whole if isinstance(whole, dict) else {}
        context = _context(raw, number, whole)
        entity, query = value.get("entity"), _mention(raw, number, context, whole.get("mention"))
        candidate = _entity(raw, number, entity if isinstance(entity, dict) else {})
        if query["gold"] != candidate["gold"]:
            named = (query["gold"] or ["none, for the mention has none"])[0]
            raise raw.at(number, f"entity {candidate['id']}; expected {named}")
        rows.append(query | {"candidate": candidate["candidate"]})
    return raw.reading(rows, len(rows))


def _entity(raw: RawFile, number: int, value: dict[str, Any]) -> Row:
    """An entity's row: its description's sentences, as XTREME's preprocess_entity_description."""
    name = text_field(raw, number, value, "entity_id").strip()
    description = text_field(raw, number, value, "description")
    spans = _spans(raw, number, value, description)
    text = " ".join(description[start:end] for start, end in spans) if spans else description
    return _row(name, [name], candidate=_one_line(text))


def _context(raw: RawFile, number: int, value: dict[str, Any]) -> dict[str, Any]:
    """{"text", "language", "spans"} of an article or of a part of one."""
    context = value.get("context")
    if not isinstance(context, dict):
        raise raw.at(number, f"'context' is {context!r}; expected an object")
    language = text_field(raw, number, context, "language")
    if not context.get("text"):
        raise raw.at(
            number,
            "'text' is empty, as the article texts of the archive are; expected the file that "
            "get-mewsli-x.sh makes of it",
        )
    text = text_field(raw, number, context, "text")
    return {"text": text, "language": language, "spans": _spans(raw, number, context, text)}


def _mention(raw: RawFile, number: int, context: dict[str, Any], mention: Any) -> Row:
    """A mention's row: `mention: left { mention } right`, as XTREME's preprocess_mention.

    left and right are the rest of its sentence. A blank entity is hidden gold.
    """
    mention = mention if isinstance(mention, dict) else {}
    hidden = mention.get("entity_id") == ""
    gold = None if hidden else [text_field(raw, number, mention, "entity_id").strip()]
    span, text = mention.get("mention_span"), context["text"]
    span = span if isinstance(span, dict) else {}
    name = text_field(raw, number, span, "text")
    start, end = _span(raw, number, span, text)
    if text[start:end] != name:
        raise raw.at(number, f"mention_span: {text[start:end]!r} stands there; expected {name!r}")
    around = next(((s, e) for s, e in context["spans"] if s <= start and end <= e), None)
    if around is None:
        raise raw.at(number, f"mention {name!r} is in no sentence_span; expected it inside one")
    left = _BRACES.sub(r"(\1)", text[around[0] : start])
    right = _BRACES.sub(r"(\1)", text[end : around[1]])
    query = _one_line(f"{name}: {left} {{ {name} }} {right}")
    return _row(text_field(raw, number, mention, "example_id"), gold, query=query)


def _spans(raw: RawFile, number: int, value: dict[str, Any], text: str) -> list[tuple[int, int]]:
    found = value.get("sentence_spans")
    if not isinstance(found, list):
        raise raw.at(number, f"'sentence_spans' is {found!r}; expected a list")
    return [_span(raw, number, span, text) for span in found]


def _span(raw: RawFile, number: int, span: Any, text: str) -> tuple[int, int]:
    start, end = (span.get(key) if isinstance(span, dict) else None for key in ("start", "end"))
    if type(start) is not int or type(end) is not int or not 0 <= start < end <= len(text):
        raise raw.at(
            number, f"span {span!r}; expected start and end in the text's {len(text)} characters"
        )
    return start, end


def _one_line(text: str) -> str:
    return " ".join(text.splitlines()).replace("  ", " ").strip()


def _row(
    name: str,
    gold: list[str] | None,
    query: str | None = None,
    candidate: str | None = None,
    context: str | None = None,
) -> Row:
    return {"id": name, "query": query, "candidate": candidate, "context": context, "gold": gold}
