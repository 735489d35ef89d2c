"""The files of a submission folder, and of its gold, as evaluate.py reads them.

Lines are those of a text file in universal-newline mode. UserError names the file and the line.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from xstilts.errors import UserError

Questions = list[tuple[str, list[str]]]


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        line = path.read_bytes()[: error.start].count(b"\n") + 1
        raise UserError(f"{path}:{line}: not UTF-8; expected UTF-8 text; save it as such") from None


def read_lines(path: Path) -> list[str]:
    """The lines, stripped; a blank line at the end counts as a label, as in `read_label`."""
    lines = _text(path).split("\n")
    if lines[-1] == "":
        lines.pop()
    return [line.strip() for line in lines]


def read_tags(path: Path) -> tuple[list[list[str]], list[int]]:
    """The tags of each sentence, and the line it begins on; every blank line ends a sentence."""
    sentences: list[list[str]] = [[]]
    begins = [1]
    for number, tag in enumerate(read_lines(path), 1):
        if tag:
            sentences[-1].append(tag)
        else:
            sentences.append([])
            begins.append(number + 1)
    if not sentences[-1]:
        sentences.pop()
    return sentences, begins


def _json(path: Path) -> Any:
    """The file's JSON value; of SQuAD's format what stands under `data`."""
    try:
        content = json.loads(_text(path))
    except json.JSONDecodeError as error:
        raise UserError(f"{path}:{error.lineno}: not JSON ({error.msg}); correct it") from None
    except (RecursionError, ValueError) as error:  # too deep; a number of thousands of digits
        raise UserError(f"{path}: not JSON that can be read ({error}); correct it") from None
    return content["data"] if isinstance(content, dict) and "data" in content else content


def read_object(path: Path) -> dict[str, Any]:
    """The one JSON object of a file."""
    content = _json(path)
    if not isinstance(content, dict):
        raise UserError(f"{path}: not one JSON object; expected {{id: prediction}}; write it so")
    return content


def read_questions(path: Path) -> Questions:
    """(id, gold texts) of every question of a SQuAD file, repeated ids included."""
    try:
        questions = [
            (question["id"], [answer["text"] for answer in question["answers"]])
            for article in _json(path)
            for paragraph in article["paragraphs"]
            for question in paragraph["qas"]
        ]
    except (KeyError, TypeError):
        raise UserError(
            f"{path}: not a SQuAD file; expected data[].paragraphs[].qas[] with id and answers"
        ) from None
    for name, golds in questions:
        if not all(isinstance(text, str) for text in (name, *golds)):
            raise UserError(
                f"{path}: question {name!r}: its id or an answer's text is no text; expected "
                "both as text; correct it"
            )
        if not golds:
            raise UserError(f"{path}: question {name} has no answer; expected at least one")
    return questions
