"""What is wrong with values that settings were made of: pydantic's problems as lines of ours."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, get_args, get_origin

from pydantic import BaseModel, ValidationError

from xstilts.errors import nearest


def lines(
    error: ValidationError, root: type[BaseModel], moved: Mapping[str, str] = {}
) -> list[str]:
    """Each problem as `key: what; expected`. root: the section that the keys begin in.

    moved: keys of earlier versions, and the places of today.
    """
    problems = error.errors(include_url=False)
    return [line for problem in problems for line in _of(problem, root, moved)]


def _of(problem: Mapping[str, Any], root: type[BaseModel], moved: Mapping[str, str]) -> list[str]:
    """One of pydantic's problems, as `key what; expected`; of the grid's names a line for each."""
    keys = [str(key) for key in problem["loc"] if key not in ("trained", "frozen")]
    where = ".".join(keys)
    if problem["type"] == "extra_forbidden":
        if where in moved:
            return [f"{where} stands elsewhere now; expected {moved[where]}; move it there"]
        return [f"{where} is not a setting{nearest(keys[-1], _fields(keys[:-1], root))}"]
    message = problem["msg"].removeprefix("Value error, ")
    message = message[0].lower() + message[1:] if message.startswith("Input") else message
    given = problem.get("input")
    shown = f"{given!r}: " if isinstance(given, str | int | float | bool | None) else ""
    text = f"{where}: {shown}{message.replace('input should', 'expected to')}".removeprefix(": ")
    return text.splitlines()


def _fields(keys: list[str], root: type[BaseModel]) -> set[str]:
    """The valid names in the section that `keys` lead to; of both kinds, where it may be of two."""
    types: list[Any] = [root]
    for key in keys:
        parts = [part for kind in types for part in _parts(kind)]
        types = [_below(part, key) for part in parts if _below(part, key) is not None]
    sections = [part for kind in types for part in _parts(kind) if _is_section(part)]
    return {name for section in sections for name in section.model_fields}


def _parts(annotation: Any) -> list[Any]:
    """The types in an annotation, taken out of unions and Annotated."""
    if get_origin(annotation) in (dict, list) or not get_args(annotation):
        return [annotation]
    return [part for argument in get_args(annotation) for part in _parts(argument)]


def _below(annotation: Any, key: str) -> Any:
    if _is_section(annotation):
        return annotation.model_fields[key].annotation if key in annotation.model_fields else None
    return get_args(annotation)[-1] if get_origin(annotation) in (dict, list) else None


def _is_section(value: Any) -> bool:
    return isinstance(value, type) and issubclass(value, BaseModel)
