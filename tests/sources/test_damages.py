"""What may happen to any file, met by every reader of files: each damage is a one-line error."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest

from tests.sources.right import FILES, RIGHT, TASKS, files_of, read, read_right
from xstilts.errors import UserError
from xstilts.formats.tables import write_table
from xstilts.sources.readers import READERS
from xstilts.tasks.catalogue import record

POINTER = (
    b"version https://git-lfs.github.com/spec/v1\n"
    b"oid sha256:4d7a214614ab2935c943f9e0ff69d22eadbb8f32b1258daaa5e2ca24d17e2393\nsize 12345\n"
)
PAGE = b"\n<!DOCTYPE html>\n<html lang=en>\n<title>Not found</title>\n</html>\n"

DAMAGES: dict[str, tuple[Callable[[bytes], bytes], str]] = {
    "empty": (lambda data: b"", ": the file is empty; expected rows"),
    "byte order mark": (lambda data: b"\xef\xbb\xbf" + data, ":1: a byte order mark"),
    "NUL": (lambda data: data + b"\0", ": a NUL byte; expected UTF-8 text"),
    "Latin-1": (lambda data: b"\xe4" + data, ":1: byte 0xe4 is not UTF-8"),
    "UTF-16": (lambda data: data.decode().encode("utf-16-le"), ":1: a NUL byte"),
    "LFS pointer": (lambda data: POINTER, ":1: a Git LFS pointer, not the file"),
    "web page": (lambda data: PAGE, ":1: a web page, perhaps a server's error"),
    "XML error": (lambda data: b'<?xml version="1.0"?><Error/>', ":1: a web page"),
    "no such path": (lambda data: b"404: Not Found", ":1: a web page"),
    "cut in a character": (lambda data: data + b"\xe2\x82", ": byte 0xe2 is not UTF-8"),
}


def _first(reader: str) -> bytes:
    return next(iter(files_of(reader).values()))


@pytest.mark.parametrize("reader", READERS)
def test_the_right_file_is_read(reader: str, tmp_path: Path) -> None:
    assert read_right(tmp_path, reader, files_of(reader)).rows


@pytest.mark.parametrize(("reader", "name"), FILES)
def test_damaged_file_is_one_line(reader: str, name: str, tmp_path: Path) -> None:
    right = files_of(reader)
    for damage, message in DAMAGES.values():
        with pytest.raises(UserError) as caught:
            read_right(tmp_path, reader, right | {name: damage(right[name])})
        text = str(caught.value).replace("test-de.tsv", "")
        assert message.removeprefix(":") in text and "\n" not in text
        assert text.startswith(str(tmp_path / name))


@pytest.mark.parametrize(("reader", "name"), FILES)
def test_file_cut_off_is_one_line_or_rows(reader: str, name: str, tmp_path: Path) -> None:
    right = files_of(reader)
    for end in range(0, len(right[name]), 5):
        try:
            read_right(tmp_path, reader, right | {name: right[name][:end]})
        except UserError as error:
            assert "\n" not in str(error)


JSON = [reader for reader in RIGHT if _first(reader).startswith(b"{")]
ODD = [None, "", " ", "x", "\ud800", 7, -1, True, 1.5, 10**4000, [], {}, [None], ["x"], {"a": 1}]


def _paths(value: Any, above: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Of every value below: keys and places."""
    keys = (
        value if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
    )
    for key in keys:
        yield (*above, key)
        yield from _paths(value[key], (*above, key))


def _with(value: Any, path: tuple[Any, ...], odd: object) -> Any:
    changed = deepcopy(value)
    place = changed
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = odd
    return changed


@pytest.mark.parametrize("reader", JSON)
def test_odd_value_in_json_is_one_line_or_a_table(reader: str, tmp_path: Path) -> None:
    right = json.loads(_first(reader))
    family = record(TASKS[reader]).family
    language = "en" if reader == "tydiqa" else "de"
    for path in _paths(right):
        for odd in ODD:
            text = json.dumps(_with(right, path, odd)) + "\n"
            try:
                found = read(tmp_path, reader, text, TASKS[reader], language=language)
            except UserError as error:
                assert "\n" not in str(error)
            else:
                write_table(tmp_path, family, "dev", "de", found.rows)
