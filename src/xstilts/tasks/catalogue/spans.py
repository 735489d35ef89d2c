"""A question and a passage, of which a span answers it."""

from __future__ import annotations

from typing import Any

from xstilts.formats.tables import Split
from xstilts.tasks.catalogue.entry import (
    CONVERTED,
    DEV_IS_TEST,
    XTREME_COPY,
    Entry,
    Slot,
    by_language,
    english_files,
    hub,
    intermediate,
    sizes_of,
    slot,
    target,
    words,
)

_COLUMNS = "id title? context question answers"


def _span(convention: str) -> dict[str, Any]:
    return {
        "family": "span",
        "group": "QA",
        "metrics": ("f1", "exact_match"),
        "main": ("f1", "exact_match"),
        "convention": convention,
    }


# XQuAD is SQuAD dev's articles, so whatever selects on SQuAD dev leaves them out.
_ON_SQUAD: dict[str, Any] = {
    "train_from": ("squad1",),
    "select_from": "squad1",
    "exclude_contexts_of": ("xquad",),
}

_XQUAD = words("en es de el ru tr ar vi th zh hi")


def _mlqa(split: Split) -> list[Slot]:
    name = f"MLQA_V1/{split}/{split}-context-{{language}}-question-{{language}}.json"
    return [slot(f"squad mlqa/{name}", f"squad {name}")]


_MLQA = words("en es de ar hi vi zh")
_MLQA_SIZES = by_language(
    "ar 517/5335 de 512/4517 en 1148/11590 es 500/5253 hi 507/4918 vi 511/5495 zh 504/5137"
)


def _tydiqa(file: str) -> list[Slot]:
    """The official file with answers comes first; XTREME's script moves it beside what it makes."""
    folder = f"tydiqa/tydiqa-goldp-v1.1-{file}"
    whole = f"tydiqa-goldp-v1.1-{file}.json"
    return [
        slot(
            f"tydiqa {folder}/tydiqa-goldp-{file}-{{name}}.json",
            f"tydiqa tydiqa/{whole}",
            f"tydiqa {folder}/{whole}",
            f"tydiqa {folder}/tydiqa.goldp.{{language}}.{file}.json",
        )
    ]


_TYDIQA = words("en ar bn fi id ko ru sw te")
_TYDIQA_SIZES = by_language("ar 921 bn 113 en 440 fi 782 id 565 ko 276 ru 812 sw 499 te 669")

ENTRIES = (
    Entry(
        intermediate(
            "squad2",
            "SQuAD v2.0",
            130_319,
            11_873,
            licence="CC BY-SA 4.0",
            no_answer=True,
            exclude_contexts_of=("xquad",),
            **{
                **_span("squad2"),
                "metrics": words("exact f1 best_exact best_f1 best_exact_thresh best_f1_thresh"),
                "main": ("best_exact", "best_f1"),  # as jiant selects
            },
        ),
        files=english_files("squad", "squad/train-v2.0.json", "squad/dev-v2.0.json"),
        repositories=(hub("rajpurkar/squad_v2", "squad_v2", "squad", _COLUMNS),),
    ),
    Entry(
        intermediate(
            "squad1",
            "SQuAD v1.1",
            87_599,
            10_570,
            licence="CC BY-SA 4.0",
            exclude_contexts_of=("xquad",),
            **_span("squad1"),
        ),
        files=english_files("squad", "squad/train-v1.1.json", "squad/dev-v1.1.json"),
        repositories=(
            hub("rajpurkar/squad", "plain_text", "squad", _COLUMNS),
            hub(XTREME_COPY, "SQuAD", "squad", _COLUMNS),
        ),
    ),
    Entry(
        target(
            "xquad",
            "XQuAD",
            _XQUAD,
            splits=("test",),
            labelled=("test",),
            licence="CC BY-SA 4.0",
            sizes={"test": 1_190},
            **_ON_SQUAD,
            **_span("squad1"),
        ),
        files={"test": [slot("squad xquad/xquad.{language}.json", "squad xquad.{language}.json")]},
        repositories=(
            hub("google/xquad", "xquad.{language}", "squad", _COLUMNS, splits=DEV_IS_TEST),
            hub(
                XTREME_COPY,
                "XQuAD.{language}",
                "squad",
                _COLUMNS,
                splits=DEV_IS_TEST,
                xtreme_alone=True,
            ),
        ),
        scored="answers",
        benchmarks={"xtreme": "qa", "xtreme-r": "qa"},
        ordered=_XQUAD,
        added=("ro",),
    ),
    Entry(
        target(
            "mlqa",
            "MLQA",
            _MLQA,
            splits=("dev", "test"),
            labelled=("dev", "test"),
            licence="CC BY-SA 3.0",
            sizes=sizes_of(_MLQA_SIZES, "dev", "test"),
            **_ON_SQUAD,
            **_span("mlqa"),
        ),
        files={"dev": _mlqa("dev"), "test": _mlqa("test")},
        repositories=(
            hub("facebook/mlqa", "mlqa.{language}.{language}", "squad", _COLUMNS, branch=CONVERTED),
            hub(XTREME_COPY, "MLQA.{language}.{language}", "squad", _COLUMNS),
        ),
        scored="answers",
        benchmarks={"xtreme": "qa", "xtreme-r": "qa"},
        ordered=_MLQA,
    ),
    Entry(
        target(
            "tydiqa",
            "TyDi QA, gold passage",
            _TYDIQA,
            splits=("train", "test"),
            labelled=("train", "test"),
            licence="Apache 2.0",
            select_share=0.1,
            sizes={"train-en": 3_696} | sizes_of(_TYDIQA_SIZES, "test"),
            **_span("squad1"),
        ),
        files={
            "train": _tydiqa("train"),
            "test": _tydiqa("dev"),
        },  # its dev set is XTREME's test set
        repositories=(
            hub(
                "google-research-datasets/tydiqa",
                "secondary_task",
                "tydiqa",
                _COLUMNS,
                splits=DEV_IS_TEST,
            ),
            hub(XTREME_COPY, "tydiqa", "tydiqa", _COLUMNS, splits=DEV_IS_TEST),
        ),
        scored="answers",
        benchmarks={"xtreme": "qa", "xtreme-r": "qa"},
        ordered=_TYDIQA,
    ),
)
