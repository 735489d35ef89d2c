"""A text and some endings or answers, of which one is right."""

from __future__ import annotations

from typing import Any

from xstilts.formats.tables import Split
from xstilts.tasks.catalogue.entry import (
    CONVERTED,
    Entry,
    Slot,
    english_files,
    hub,
    intermediate,
    slot,
    target,
    words,
)


def _choice(choices: int) -> dict[str, Any]:
    return {
        "family": "choice",
        "group": "choice",
        "choices": choices,
        "metrics": ("accuracy",),
        "main": ("accuracy",),
    }


def _copa(split: Split) -> list[Slot]:
    file = "val" if split == "dev" else split
    places = (f"copa copa/{file}.jsonl", f"copa COPA/{file}.jsonl", f"copa copa/{file}-en.jsonl")
    return [slot(*places, f"copa xcopa/{file}-en.jsonl")]


def _xcopa(split: Split) -> list[Slot]:
    file = "val" if split == "dev" else split
    name = f"{{language}}/{file}.{{language}}.jsonl"
    return [slot(f"copa xcopa/data/{name}", f"copa xcopa/{file}-{{language}}.jsonl")]


_SIQA_COLUMNS = "context question answerA answerB answerC label"

_COPA_COLUMNS = "premise choice1 choice2 question label idx"

_XCOPA = words("et ht id it qu sw ta th tr vi zh")

ENTRIES = (
    Entry(
        intermediate("hellaswag", "HellaSwag", 39_905, 10_042, licence="MIT", **_choice(4)),
        files=english_files(
            "hellaswag", "hellaswag/hellaswag_train.jsonl", "hellaswag/hellaswag_val.jsonl"
        ),
        repositories=(
            hub(
                "Rowan/hellaswag",
                "default",
                "hellaswag",
                "ind activity_label ctx_a ctx_b ctx endings source_id split split_type label",
            ),
        ),
    ),
    Entry(
        intermediate("cosmosqa", "Cosmos QA", 25_262, 2_985, licence="CC BY 4.0", **_choice(4)),
        files=english_files("cosmosqa", "cosmosqa/data/train.csv", "cosmosqa/data/valid.csv"),
        repositories=(
            hub(
                "allenai/cosmos_qa",
                "default",
                "cosmosqa",
                "id context question answer0 answer1 answer2 answer3 label",
                branch=CONVERTED,
            ),
        ),
    ),
    Entry(
        intermediate(
            "commonsenseqa",
            "CommonsenseQA 1.11 (random split)",
            9_741,
            1_221,
            licence="MIT",
            **_choice(5),
        ),
        files=english_files(
            "commonsenseqa",
            "commonsenseqa/train_rand_split.jsonl",
            "commonsenseqa/dev_rand_split.jsonl",
        ),
        repositories=(
            hub(
                "tau/commonsense_qa",
                "default",
                "commonsenseqa",
                "id question question_concept choices answerKey",
            ),
        ),
    ),
    Entry(
        intermediate("siqa", "Social IQa", 33_410, 1_954, licence="CC BY 4.0", **_choice(3)),
        files=english_files(
            "siqa", "siqa/socialIQa_v1.4_trn.jsonl", "siqa/socialIQa_v1.4_dev.jsonl"
        ),
        repositories=(
            hub("lighteval/siqa", "default", "siqa", _SIQA_COLUMNS),
            hub("allenai/social_i_qa", "default", "siqa", _SIQA_COLUMNS, branch=CONVERTED),
        ),
    ),
    Entry(
        intermediate(
            "copa",
            "COPA (SuperGLUE)",
            400,
            100,
            licence="BSD 2-Clause",
            roles=("intermediate", "target"),
            splits=("train", "dev", "test"),
            sizes={"train-en": 400, "dev-en": 100, "test-en": 500},
            **_choice(2),
        ),
        files={"train": _copa("train"), "dev": _copa("dev"), "test": _copa("test")},
        repositories=(hub("aps/super_glue", "copa", "copa", _COPA_COLUMNS),),
    ),
    Entry(
        target(
            "xcopa",
            "XCOPA",
            _XCOPA,
            licence="CC BY 4.0",
            splits=("dev", "test"),
            labelled=("dev", "test"),
            train_from=("siqa", "copa"),
            sizes={"dev": 100, "test": 500},
            **_choice(2),
        ),
        files={"dev": _xcopa("dev"), "test": _xcopa("test")},
        repositories=(hub("cambridgeltl/xcopa", "{language}", "copa", f"{_COPA_COLUMNS} changed"),),
        scored="choices",
        benchmarks={"xtreme-r": "classification"},
        ordered=_XCOPA,
    ),
)
