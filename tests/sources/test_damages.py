"""What may happen to any file, met by every reader of files: each damage is a one-line error."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.sources.broken import read
from tests.sources.right import RIGHT, TASKS
from xstilts.errors import UserError
from xstilts.sources.readers import READERS

DAMAGES: dict[str, tuple[Callable[[bytes], bytes], str]] = {
    "empty": (lambda data: b"", ": the file is empty; expected rows"),
    "byte order mark": (lambda data: b"\xef\xbb\xbf" + data, ":1: a byte order mark"),
    "NUL": (lambda data: data + b"\0", ": a NUL byte; expected UTF-8 text"),
    "Latin-1": (lambda data: b"\xe4" + data, ":1: byte 0xe4 is not UTF-8"),
    "UTF-16": (lambda data: data.decode().encode("utf-16-le"), ":1: a NUL byte"),
    "cut in a character": (lambda data: data + b"\xe2\x82", ": byte 0xe2 is not UTF-8"),
}
FILES = [
    (reader, name)
    for reader, content in RIGHT.items()
    for name in (content if isinstance(content, dict) else [""])
]


def _files(reader: str) -> dict[str, bytes]:
    content = RIGHT[reader]
    files = content if isinstance(content, dict) else {"": content}
    return {
        name: data if isinstance(data, bytes) else data.encode() for name, data in files.items()
    }


def _read(folder: Path, reader: str, files: dict[str, bytes]) -> int:
    language = "en" if reader == "tydiqa" else "de"
    named = {name or "test-de.tsv": data for name, data in files.items()}
    return len(read(folder, reader, named, TASKS[reader], language=language).rows)


@pytest.mark.parametrize("reader", READERS)
def test_the_right_file_is_read(reader: str, tmp_path: Path) -> None:
    assert _read(tmp_path, reader, _files(reader))


@pytest.mark.parametrize(("reader", "name"), FILES)
def test_damaged_file_is_one_line(reader: str, name: str, tmp_path: Path) -> None:
    right = _files(reader)
    for damage, message in DAMAGES.values():
        with pytest.raises(UserError) as caught:
            _read(tmp_path, reader, right | {name: damage(right[name])})
        text = str(caught.value).replace("test-de.tsv", "")
        assert message.removeprefix(":") in text and "\n" not in text
        assert text.startswith(str(tmp_path / name))


@pytest.mark.parametrize(("reader", "name"), FILES)
def test_file_cut_off_is_one_line_or_rows(reader: str, name: str, tmp_path: Path) -> None:
    right = _files(reader)
    for end in range(0, len(right[name]), 5):
        try:
            _read(tmp_path, reader, right | {name: right[name][:end]})
        except UserError as error:
            assert "\n" not in str(error)
