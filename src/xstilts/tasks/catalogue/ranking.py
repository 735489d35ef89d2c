"""A query to its answers among candidates of all languages together."""

from __future__ import annotations

from typing import Any

from xstilts.formats.tables import POOL, Split
from xstilts.tasks.catalogue.entry import Entry, Slot, by_language, sizes_of, slot, target, words


def _ranking() -> dict[str, Any]:
    return {
        "family": "ranking",
        "group": "retrieval",
        "metrics": ("map@20",),
        "main": ("map@20",),
        "convention": "candidates of all languages together",
    }


_LAREQA = words("ar de el en es hi ru th tr vi zh")


def _mentions(split: Split) -> list[Slot]:
    shard = f"mewslix/wikinews_mentions/{split}-{{language}}.jsonl"
    return [slot(f"mewslix mewslix/wikinews_mentions-{split}.jsonl", f"mewslix {shard}")]


_MEWSLIX = words("ar de en es fa ja pl ro ta tr uk")
_MEWSLIX_SIZES = by_language(  # mentions, dev/test
    """
    ar 318/1501 de 326/1551 en 316/1490 es 311/1552 fa 72/458 ja 310/1519 pl 304/1562 ro 145/672
    ta 312/1567 tr 262/1215 uk 315/1537
    """
)

ENTRIES = (
    Entry(
        target(
            "lareqa",
            "LAReQA (XQuAD-R): a question to the sentences that answer it, in all languages",
            _LAREQA,
            splits=("test",),
            labelled=("test",),
            licence="CC BY-SA 4.0",
            train_from=("squad1",),  # its questions, with the sentences that answer them
            select_from="squad1",
            exclude_contexts_of=("xquad",),
            sizes={"test": 1_190},
            **_ranking(),
        ),
        files={"test": [slot("xquad-r lareqa/xquad-r/{language}.json")]},
        refused="no repository of the Hub is known to hold XQuAD-R's sentences; source files reads "
        "them as they are released",
        scored="rankings",
        benchmarks={"xtreme-r": "retrieval"},
        ordered=_LAREQA,
    ),
    Entry(
        target(
            "mewslix",
            "Mewsli-X (20220518_6): a mention in the news to its entity's description",
            _MEWSLIX,
            splits=("train", "select", "dev", "test"),  # Wikipedia trains and selects
            labelled=("train", "select", "dev", "test"),
            licence="CC BY-SA (Wikipedia), CC BY 2.5 (WikiNews)",
            sizes={
                "train-en": 167_719,
                "select-en": 14_051,
                f"dev-{POOL}": 1_003_893,
                f"test-{POOL}": 1_003_893,
            }
            | sizes_of(_MEWSLIX_SIZES, "dev", "test"),
            **_ranking(),
        ),
        files={
            "train": [slot("mewslix-pairs mewslix/wikipedia_pairs-train.jsonl")],
            "select": [slot("mewslix-pairs mewslix/wikipedia_pairs-dev.jsonl")],
            "dev": _mentions("dev"),
            "test": _mentions("test"),
        },
        refused="no repository of the Hub is known to hold its release; source files reads it",
        scored="mewslix",
        benchmarks={"xtreme-r": "retrieval"},
        ordered=_MEWSLIX,
    ),
)
