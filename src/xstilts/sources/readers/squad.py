"""SQuAD's JSON, v1.1 and v2.0: SQuAD itself, XQuAD, MLQA, TyDi QA's gold passages.

{data: [{title?, paragraphs: [{context, qas: [{id, question, answers: [{text, answer_start}],
is_impossible?}]}]}]}; answer_start counts characters (code points).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from xstilts.formats.tables import Row
from xstilts.sources.readers.raw import RawFile
from xstilts.sources.reading import Reading

# TyDi QA writes a language's name before the question's id.
TYDIQA_NAMES = {
    "arabic": "ar",
    "bengali": "bn",
    "english": "en",
    "finnish": "fi",
    "indonesian": "id",
    "korean": "ko",
    "russian": "ru",
    "swahili": "sw",
    "telugu": "te",
}
BLANK = [("", 0)]  # what XTREME's script leaves of a test file's answers


def squad(raw: RawFile) -> Reading:
    """SQuAD, XQuAD and MLQA: any file of SQuAD's format."""
    rows, read, relocated = _rows(raw)
    return raw.reading(rows, read, relocated_within_white_space=relocated)


def tydiqa(raw: RawFile) -> Reading:
    """TyDi QA's questions in one language, from a file of all languages or of this one alone.

    XTREME's train files have lost the language and the question's number from their ids, so that
    ids occur many times: there a row's place in the file is its id. A file of one language that
    holds another's questions is an error: jiant once trained "English" TyDi QA on all nine.
    """
    rows, _, relocated = _rows(raw)
    of_this_alone = f".{raw.language}." in raw.path.name
    kept: list[Row] = []
    renumbered = 0
    for number, row in enumerate(rows, 1):
        name = re.match(r"([a-z]+)-", row["id"])
        if name and name[1] not in TYDIQA_NAMES:
            raise raw.at(
                None, f"id '{row['id']}' has no known language; expected e.g. english-12-0"
            )
        if not name:
            row["id"] = raw.row_id(number)
            renumbered += 1
        elif TYDIQA_NAMES[name[1]] != raw.language:
            if of_this_alone:
                raise raw.at(
                    None, f"id '{row['id']}' is not {raw.language}; expected one language a file"
                )
            continue
        kept.append(row)
    if not of_this_alone and renumbered:
        raise raw.at(
            None, f"id without a language; expected {raw.path.name} to name each question's"
        )
    if not kept:
        raise raw.at(None, f"no questions in {raw.language}; expected ids that begin with its name")
    return raw.reading(
        kept, len(kept), relocated_within_white_space=relocated, renumbered_ids=renumbered
    )


def _rows(raw: RawFile) -> tuple[list[Row], int, int]:
    """(rows, questions read, answers that were found beside stray white space)."""
    questions = raw.cut(list(_questions(raw)))
    if not questions:
        raise raw.at(None, "no questions; expected data[].paragraphs[].qas[]")
    answers = [answers_at(raw, path, qa) for path, _, _, qa in questions]
    hidden = all(given == BLANK for given in answers)
    rows: list[Row] = []
    relocated = 0
    for (path, title, context, qa), given in zip(questions, answers, strict=True):
        row: Row = {
            "id": text_at(raw, path, qa, "id"),
            "context": context,
            "group": title or context,
        }
        row["question"] = text_at(raw, path, qa, "question")
        if hidden:
            row |= {"answers": None, "answerable": None}
        else:
            located = [
                _located(raw, f"{path}.answers[{i}]", context, *a) for i, a in enumerate(given)
            ]
            relocated += sum(moved for _, moved in located)
            row |= {"answers": [answer for answer, _ in located], "answerable": bool(located)}
        rows.append(row)
    return rows, len(rows), relocated


def _questions(raw: RawFile) -> Iterator[tuple[str, str, str, dict[str, Any]]]:
    """(JSON path, title, context, question) of all questions."""
    document = raw.document()
    if not isinstance(document, dict):
        raise raw.at(1, f"a JSON {type(document).__name__}; expected an object with 'data'")
    for i, article in enumerate(listed(raw, "", document, "data")):
        path = f"data[{i}]"
        paragraphs = listed(raw, path, article, "paragraphs")
        title = article.get("title") or ""
        if not isinstance(title, str):
            raise raw.at(None, f"{path}.title: {type(title).__name__}; expected text, or none")
        for j, paragraph in enumerate(paragraphs):
            below = f"{path}.paragraphs[{j}]"
            context = text_at(raw, below, paragraph, "context")
            for k, qa in enumerate(listed(raw, below, paragraph, "qas")):
                if not isinstance(qa, dict):
                    raise raw.at(None, f"{below}.qas[{k}]: {type(qa).__name__}; expected an object")
                yield f"{below}.qas[{k}]", title, context, qa


def answers_at(raw: RawFile, path: str, qa: dict[str, Any]) -> list[tuple[str, int]]:
    """(text, start) of each answer of a question; none where is_impossible says so."""
    impossible = qa.get("is_impossible", False)
    if not isinstance(impossible, bool):
        raise raw.at(None, f"{path}.is_impossible: {impossible!r}; expected true or false")
    answers = listed(raw, path, qa, "answers")
    if impossible and answers:
        raise raw.at(None, f"{path}: is_impossible, and {len(answers)} answers; expected none")
    if not impossible and not answers:
        raise raw.at(None, f"{path}.answers: empty; expected an answer, or is_impossible: true")
    texts: list[tuple[str, int]] = []
    for index, answer in enumerate(answers):
        where = f"{path}.answers[{index}]"
        text = answer.get("text") if isinstance(answer, dict) else None
        start = answer.get("answer_start") if isinstance(answer, dict) else None
        if not isinstance(text, str):
            raise raw.at(None, f"{where}.text: {text!r}; expected text")
        if isinstance(start, bool) or not isinstance(start, int):
            raise raw.at(None, f"{where}.answer_start: {start!r}; expected a number of characters")
        texts.append((text, start))
    return texts


def _located(
    raw: RawFile, path: str, context: str, text: str, start: int
) -> tuple[dict[str, Any], bool]:
    """(the answer where the context has it, whether it was moved past stray white space)."""
    if text and start >= 0 and context[start : start + len(text)] == text:
        return {"text": text, "start": start}, False
    bare, moved = text.strip(), start
    while 0 <= moved < len(context) and context[moved].isspace():
        moved += 1
    if bare and moved >= 0 and context.startswith(bare, moved):
        return {"text": bare, "start": moved}, True
    there = context[max(start, 0) : max(start, 0) + len(text)]
    raise raw.at(
        None, f"{path}.answer_start: {start} gives {there!r}; expected {text!r}; correct the offset"
    )


def listed(raw: RawFile, path: str, value: Any, key: str) -> list[Any]:
    """The list at a JSON path; UserError where there is none."""
    where = f"{path}.{key}".lstrip(".")
    found = value.get(key) if isinstance(value, dict) else None
    if not isinstance(found, list):
        shown = "missing" if found is None else type(found).__name__
        raise raw.at(None, f"{where}: {shown}; expected a list")
    return found


def text_at(raw: RawFile, path: str, value: Any, key: str) -> str:
    """The text at a JSON path, which must not be blank; UserError otherwise."""
    found = value.get(key) if isinstance(value, dict) else None
    if not isinstance(found, str) or not found.strip():
        raise raw.at(None, f"{path}.{key}: {found!r}; expected text")
    return found
