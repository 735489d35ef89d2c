"""How texts become sequences: pairs, prompts with choices, sentence vectors."""

from __future__ import annotations

import torch

from tests.models import tiny_tokenizer
from tests.rows import LABELS, LONG
from xstilts.formats.features import Features
from xstilts.tasks.families import choice, classification, retrieval
from xstilts.tasks.families.protocol import TaskSettings

TINY = tiny_tokenizer()


def _pieces(features: Features) -> list[list[int]]:
    ids = features.columns["input_ids"]
    return [ids[number].tolist() for number in range(len(ids))]


def test_pairs_have_the_models_own_frame_and_cuts_are_counted() -> None:
    """XLM-R's `<s> A </s></s> B </s>`; of a pair too long the longer text is cut."""
    rows = [
        {"text_a": "The dog .", "text_b": "A cat .", "label": "neutral"},
        {"text_a": "The dog .", "text_b": LONG, "label": None},
    ]
    chosen = TaskSettings(40, labels=LABELS["classification"])
    short, long = _pieces(features := classification.encode(rows, TINY, chosen))
    a, b = (TINY(row, add_special_tokens=False)["input_ids"] for row in ("The dog .", "A cat ."))
    start, end = TINY.bos_token_id, TINY.eos_token_id
    assert short == [start, *a, end, end, *b, end]
    assert len(long) == 40 and long[: len(a) + 3] == [start, *a, end, end]
    assert features.counts == {"truncated": 1}


def test_each_choice_stands_against_context_and_question() -> None:
    rows = [
        {
            "id": "0",
            "context": "The dog saw",
            "question": "Who ?",
            "choices": ["a", "b"],
            "label": 1,
        },
        {"id": "1", "context": "Paris", "question": None, "choices": ["c", "d"], "label": None},
    ]
    features = choice.encode(rows, TINY, TaskSettings(40, choices=2))
    prompts = [
        ("The dog saw Who ?", "a"),
        ("The dog saw Who ?", "b"),
        ("Paris", "c"),
        ("Paris", "d"),
    ]
    assert _pieces(features) == [TINY(*prompt)["input_ids"] for prompt in prompts]
    assert (features.group, features.rows.tolist()) == (2, [0, 0, 1, 1])
    outputs = [torch.tensor([score]).numpy() for score in (0.0, 2.0, 5.0, -1.0)]
    assert choice.decode(features, outputs, rows, TaskSettings(40, choices=2)) == [1, 0]


def test_a_sentence_vector_is_the_mean_of_all_real_pieces() -> None:
    """`<s>` and `</s>` counted in, padding left out, as evaluate_retrieval.py; or the first."""
    hidden = torch.tensor([[[2.0], [4.0], [9.0]], [[1.0], [5.0], [6.0]]])
    batch = {"attention_mask": torch.tensor([[1, 1, 0], [1, 1, 1]])}
    assert retrieval.Pooling("mean")(hidden, batch).tolist() == [[3.0], [4.0]]
    assert retrieval.Pooling("cls")(hidden, batch).tolist() == [[2.0], [1.0]]
