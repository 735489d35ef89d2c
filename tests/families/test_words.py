"""Every word gets exactly one label, however odd the word and however long the sentence."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import BertWordPieceTokenizer
from transformers import PreTrainedTokenizerFast

from tests.families.test_families import perfect
from tests.models import tiny_encoder, tiny_tokenizer
from tests.rows import record, section
from xstilts.formats.tables import Row, Table
from xstilts.params import TrainingSettings
from xstilts.phases.stage import build
from xstilts.tasks.families import tagging
from xstilts.tasks.families.protocol import TaskSettings
from xstilts.training import encoder as encoders
from xstilts.training.context import Context
from xstilts.training.encoder import Tokenizer
from xstilts.training.evaluation import predictions
from xstilts.training.task import task

LABELS = ("NOUN", "VERB", "X")
# Words whose pieces are none, many, unknown or not on a character's border.
ODD = ["\u200d", "\ufe0f", "\u200b", "\u0301", "\u00ad", " ", "a b", "a" * 300, "\u200d" * 300]
ODD += ["\U0001f468\u200d\U0001f469", "\U00020000", "e\u0301", "मा", "ﷺ", "<s>", "</s>", "▁", "\t"]
WORDS = st.one_of(st.sampled_from(ODD), st.text(min_size=1, max_size=12))
TINY = tiny_tokenizer()


def _wordpiece() -> Tokenizer:
    """mBERT's kind: control and format characters vanish, so that whole words have no pieces."""
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    pieces += [mark + letter for letter in map(chr, range(97, 123)) for mark in ("", "##")]
    backend = BertWordPieceTokenizer({piece: n for n, piece in enumerate(pieces)}, lowercase=False)
    names = {"pad_token": "[PAD]", "unk_token": "[UNK]", "cls_token": "[CLS]"}
    return PreTrainedTokenizerFast(
        tokenizer_object=backend._tokenizer, sep_token="[SEP]", mask_token="[MASK]", **names
    )


WORDPIECE = _wordpiece()
SENTENCES = st.lists(st.lists(st.tuples(WORDS, st.sampled_from(LABELS)), max_size=40), min_size=1)


def _rows(sentences: list[list[tuple[str, str]]]) -> list[Row]:
    return [
        {"id": str(n), "tokens": [w for w, _ in words], "tags": [tag for _, tag in words]}
        for n, words in enumerate(sentences)
    ]


def _check(rows: list[Row], tokenizer: Tokenizer, max_length: int) -> None:
    """Gold comes back, no sequence is too long, each word has a piece of its own to be read off."""
    chosen = TaskSettings(max_length, labels=LABELS)
    features = tagging.encode(rows, tokenizer, chosen)
    found = tagging.decode(features, perfect("tagging", features), rows, chosen)
    assert found == [row["tags"] for row in rows]
    lengths = features.columns["input_ids"].lengths
    assert lengths.max() <= max_length
    for sequence, length in enumerate(lengths):
        places = features.columns["word_starts"][sequence]
        assert len(set(places.tolist())) == len(places) and (places < length - 1).all()


@settings(deadline=None)
@pytest.mark.parametrize("tokenizer", [TINY, WORDPIECE], ids=["unigram", "wordpiece"])
@given(sentences=SENTENCES, max_length=st.integers(4, 40))
def test_any_words_at_any_length_keep_their_labels(
    tokenizer: Tokenizer, sentences: list[list[tuple[str, str]]], max_length: int
) -> None:
    _check(_rows(sentences), tokenizer, max_length)


def test_odd_words_alone_and_in_one_long_sentence(tokenizer: Tokenizer) -> None:
    each = [[(word, "NOUN")] for word in ODD]
    long = [[(word, LABELS[n % 3]) for n, word in enumerate(ODD * 40)]]
    _check(_rows([*each, *long, []]), tokenizer, 32)


def test_a_word_without_pieces_is_the_unknown_piece() -> None:
    assert WORDPIECE(" \u200d", add_special_tokens=False)["input_ids"] == []
    rows = _rows([[("ab", "X"), ("\u200d", "NOUN"), ("b", "X")]])
    features = tagging.encode(rows, WORDPIECE, TaskSettings(32, labels=LABELS))
    pieces = WORDPIECE.convert_ids_to_tokens(features.columns["input_ids"][0].tolist())
    assert pieces == ["[CLS]", "a", "##b", "[UNK]", "b", "[SEP]"]
    assert features.columns["word_starts"][0].tolist() == [1, 3, 4]


def test_words_longer_than_the_window_are_cut_and_counted(tokenizer: Tokenizer) -> None:
    rows = _rows([[("хц" * 150, "NOUN"), ("a", "X")], [("a", "X")] * 100])
    features = tagging.encode(rows, tokenizer, TaskSettings(32, labels=LABELS))
    assert features.counts["words cut to the window"] == 1
    assert features.counts["split sentences"] == len(features.rows) - 2 > 3


def test_a_model_gives_every_word_of_a_long_sentence_a_tag(tmp_path: Path) -> None:
    """Not from perfect outputs but from a network's, through padding and batches."""
    ref = tiny_encoder("xlm-r", tmp_path)
    own, one = encoders.load_tokenizer(ref), task(record("tagging"), section("tagging"))
    rows = _rows([[(word, "NOUN") for word in ODD * 20], [("a", "X")]])
    model = build(encoders.load_encoder(ref), [one], ref, TrainingSettings(device="cpu"))
    features = one.family.encode(rows, own, one.settings)
    settings = TrainingSettings(device="cpu", token_budget=256)
    context = Context(settings, own, tmp_path, tmp_path)
    found = predictions(model, one, Table("tiny", "test", "en", rows), features, context)
    assert [len(tags) for tags in found] == [len(row["tokens"]) for row in rows]
    assert {tag for tags in found for tag in tags} <= set(LABELS)


@pytest.mark.parametrize("max_length", [4, 7])
def test_the_smallest_windows_hold_a_word_each(max_length: int, tokenizer: Tokenizer) -> None:
    _check(_rows([[("hello", "X"), ("river", "NOUN")] * 5]), tokenizer, max_length)
