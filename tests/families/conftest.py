"""A tokenizer of the many languages of the real files, trained once a session."""

from __future__ import annotations

from pathlib import Path

import pytest

from xstilts.formats.tables import ENGLISH, Table
from xstilts.params import PretrainSettings, SourceSettings
from xstilts.phases import pretraining
from xstilts.sources import files
from xstilts.tasks.catalogue import record
from xstilts.training.encoder import Tokenizer

SETTINGS = PretrainSettings(vocabulary=12_000, tokenizer_characters=300_000)


@pytest.fixture(scope="session")
def tokenizer(shared: Path) -> Tokenizer:
    """Unigram over all text languages: pieces of every script, and some characters unknown."""
    source, tables = SourceSettings(name="files", path=str(shared / "data")), []
    for language in files.languages(record("text"), source):
        found = files.read(record("text"), "train", language, source)
        assert found is not None
        tables.append(Table("text", "train", language, found.rows))
    assert ENGLISH in [table.language for table in tables]
    return pretraining.train_tokenizer(tables, SETTINGS)
