"""The records of all tasks: languages, label orders, official sizes, metrics.

What enters: a name. What leaves: its `Record`. Only the command line and the sources import this
file: a data stage writes a task's own record beside its tables, so that a new record here retrains
nothing. Sizes: "train-en" is one table, "dev" the size of that split in each language. A split and
language that has no size does not exist (but for XTREME-R's uncounted ones: `is_published`). Of
bucc2018 they count gold pairs, of a ranking task queries: what is published.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from xstilts.errors import UserError, nearest
from xstilts.formats.tables import ENGLISH, POOL, Record
from xstilts.tasks.labels import NLI_LABELS, UPOS_TAGS
from xstilts.tasks.metrics.benchmark import XTREME_TASKS
from xstilts.tasks.sizes import (
    ADDED,
    BUCC,
    MEWSLIX,
    MLQA,
    PANX,
    TATOEBA,
    TYDIQA,
    UDPOS,
    languages_of,
    words,
)

_SQUAD_METRICS = ("f1", "exact_match")
_ENGLISH_ONLY = {"languages": (ENGLISH,), "splits": ("train", "dev"), "labelled": ("train", "dev")}


def _intermediate(name: str, title: str, train: int, dev: int, **rest: Any) -> Record:
    sizes = {"train-en": train, "dev-en": dev}
    return Record(
        name=name, title=title, roles=("intermediate",), sizes=sizes, **{**_ENGLISH_ONLY, **rest}
    )


def _pairs(labels: tuple[str, ...]) -> dict[str, Any]:
    return {
        "family": "classification",
        "labels": labels,
        "metrics": ("accuracy",),
        "main": ("accuracy",),
    }


def _choice(choices: int) -> dict[str, Any]:
    return {
        "family": "choice",
        "group": "choice",
        "choices": choices,
        "metrics": ("accuracy",),
        "main": ("accuracy",),
    }


def _span(convention: str) -> dict[str, Any]:
    return {
        "family": "span",
        "group": "QA",
        "metrics": _SQUAD_METRICS,
        "main": _SQUAD_METRICS,
        "convention": convention,
    }


def _ranking() -> dict[str, Any]:
    return {
        "family": "ranking",
        "group": "retrieval",
        "metrics": ("map@20",),
        "main": ("map@20",),
        "convention": "candidates of all languages together",
    }


def _sizes(table: dict[str, tuple[int, ...]], *splits: str) -> dict[str, int]:
    """{"dev-de": 10, ...} of a table with one number for each split; what is 0 does not exist."""
    return {
        f"{split}-{language}": size
        for language, sizes in table.items()
        for split, size in zip(splits, sizes, strict=True)
        if size
    }


_INTERMEDIATES = (
    _intermediate(
        "anli_plus",
        "ANLI+ (SNLI, MNLI and ANLI rounds 1 to 3, one head)",
        1_104_934,
        22_857,
        group="NLI",
        parts=("snli", "mnli", "anli_r1", "anli_r2", "anli_r3"),
        licence="mixed; CC BY-NC 4.0 (ANLI) binds",
        **_pairs(NLI_LABELS),
    ),
    _intermediate(
        "mnli",
        "MultiNLI (matched dev)",
        392_702,
        9_815,
        group="NLI",
        licence="OANC and others, free use",
        **_pairs(NLI_LABELS),
    ),
    _intermediate(
        "qqp",
        "Quora question pairs",
        363_846,
        40_430,
        group="paraphrase",
        licence="Quora terms, non-commercial",
        **{**_pairs(("0", "1")), "metrics": ("accuracy", "f1"), "main": ("accuracy", "f1")},
    ),
    _intermediate(
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
    _intermediate(
        "squad1",
        "SQuAD v1.1",
        87_599,
        10_570,
        licence="CC BY-SA 4.0",
        exclude_contexts_of=("xquad",),
        **_span("squad1"),
    ),
    _intermediate("hellaswag", "HellaSwag", 39_905, 10_042, licence="MIT", **_choice(4)),
    _intermediate(
        "ccg",
        "CCGbank supertags (sections 00-18 / 19-21)",
        38_015,
        5_484,
        family="tagging",
        group="syntactic",
        metrics=("accuracy",),
        main=("accuracy",),
        licence="LDC2005T13 (paid)",
    ),  # labels: the 1,363 supertags are taken from the tables
    _intermediate("cosmosqa", "Cosmos QA", 25_262, 2_985, licence="CC BY 4.0", **_choice(4)),
    _intermediate(
        "commonsenseqa",
        "CommonsenseQA 1.11 (random split)",
        9_741,
        1_221,
        licence="MIT",
        **_choice(5),
    ),
    _intermediate("siqa", "Social IQa", 33_410, 1_954, licence="CC BY 4.0", **_choice(3)),
    replace(
        _intermediate("copa", "COPA (SuperGLUE)", 400, 100, licence="BSD 2-Clause", **_choice(2)),
        roles=("intermediate", "target"),
        splits=("train", "dev", "test"),
        sizes={"train-en": 400, "dev-en": 100, "test-en": 500},
    ),
)

_TARGETS = (
    Record(
        name="xnli",
        title="XNLI",
        roles=("target",),
        group="NLI",
        **_pairs(NLI_LABELS),
        languages=languages_of("xnli"),
        licence="CC BY-NC 4.0",
        splits=("dev", "test"),
        labelled=("dev", "test"),
        train_from=("mnli",),
        sizes={"dev": 2_490, "test": 5_010},
    ),
    Record(
        name="pawsx",
        title="PAWS-X",
        roles=("target",),
        group="paraphrase",
        **_pairs(("0", "1")),
        languages=languages_of("pawsx"),
        licence="free for any purpose (Google LLC)",
        sizes={"train-en": 49_401, "dev": 2_000, "test": 2_000},
    ),
    Record(
        name="udpos",
        title="UD 2.5 part-of-speech tags",
        roles=("target",),
        group="syntactic",
        family="tagging",
        labels=UPOS_TAGS,
        languages=languages_of("udpos"),
        metrics=("f1", "accuracy"),
        main=("f1",),
        convention="seqeval-0.0.12",
        licence="one for each treebank (CC BY-SA, CC BY-NC-SA and others)",
        sizes=_sizes(UDPOS, "train", "dev", "test"),
    ),
    Record(
        name="panx",
        title="PAN-X (WikiAnn named entities)",
        roles=("target",),
        group="syntactic",
        family="tagging",
        labels=("B-LOC", "B-ORG", "B-PER", "I-LOC", "I-ORG", "I-PER", "O"),
        languages=languages_of("panx"),
        metrics=("f1", "precision", "recall"),
        main=("f1",),
        convention="seqeval-0.0.12",
        licence="none stated (Wikipedia text: CC BY-SA)",
        sizes={"train-en": 20_000}
        | {
            f"{split}-{language}": size
            for split in ("dev", "test")
            for size, languages in PANX.items()
            for language in languages
        },
    ),
    Record(
        name="xquad",
        title="XQuAD",
        roles=("target",),
        **_span("squad1"),
        splits=("test",),
        labelled=("test",),
        languages=languages_of("xquad"),
        licence="CC BY-SA 4.0",
        train_from=("squad1",),
        select_from="squad1",
        exclude_contexts_of=("xquad",),
        sizes={"test": 1_190},
    ),
    Record(
        name="mlqa",
        title="MLQA",
        roles=("target",),
        **_span("mlqa"),
        splits=("dev", "test"),
        labelled=("dev", "test"),
        languages=languages_of("mlqa"),
        licence="CC BY-SA 3.0",
        train_from=("squad1",),
        select_from="squad1",
        exclude_contexts_of=("xquad",),
        sizes=_sizes(MLQA, "dev", "test"),
    ),
    Record(
        name="tydiqa",
        title="TyDi QA, gold passage",
        roles=("target",),
        **_span("squad1"),
        splits=("train", "test"),
        labelled=("train", "test"),
        languages=languages_of("tydiqa"),
        licence="Apache 2.0",
        select_share=0.1,
        sizes={"train-en": 3_696} | _sizes(TYDIQA, "test"),
    ),
    Record(
        name="bucc2018",
        title="BUCC 2018 (sample set is dev, training set is test)",
        roles=("target",),
        group="retrieval",
        family="retrieval",
        languages=languages_of("bucc2018"),
        splits=("dev", "test"),
        labelled=("dev", "test"),
        metrics=("f1", "precision", "recall"),
        main=("f1",),
        convention="mining",
        trained=False,
        licence="research use (BUCC shared task)",
        sizes=_sizes(BUCC, "dev", "test"),
    ),
    Record(
        name="tatoeba",
        title="Tatoeba (LASER v1)",
        roles=("target",),
        group="retrieval",
        family="retrieval",
        languages=languages_of("tatoeba"),
        splits=("test",),
        labelled=("test",),
        metrics=("accuracy",),
        main=("accuracy",),
        convention="nearest",
        trained=False,
        licence="CC BY 2.0 FR",
        sizes=_sizes(TATOEBA, "test"),
    ),
    Record(
        name="xcopa",
        title="XCOPA",
        roles=("target",),
        **_choice(2),
        splits=("dev", "test"),
        labelled=("dev", "test"),
        languages=languages_of("xcopa"),
        licence="CC BY 4.0",
        train_from=("siqa", "copa"),
        sizes={"dev": 100, "test": 500},
    ),
    Record(
        name="lareqa",
        title="LAReQA (XQuAD-R): a question to the sentences that answer it, in all languages",
        roles=("target",),
        **_ranking(),
        splits=("test",),
        labelled=("test",),
        languages=languages_of("lareqa"),
        licence="CC BY-SA 4.0",
        train_from=("squad1",),  # its questions, with the sentences that answer them
        select_from="squad1",
        exclude_contexts_of=("xquad",),
        sizes={"test": 1_190},
    ),
    Record(
        name="mewslix",
        title="Mewsli-X (20220518_6): a mention in the news to its entity's description",
        roles=("target",),
        **_ranking(),
        splits=("train", "select", "dev", "test"),  # Wikipedia trains and selects
        labelled=("train", "select", "dev", "test"),
        languages=languages_of("mewslix"),
        licence="CC BY-SA (Wikipedia), CC BY 2.5 (WikiNews)",
        sizes={
            "train-en": 167_719,
            "select-en": 14_051,
            f"dev-{POOL}": 1_003_893,
            f"test-{POOL}": 1_003_893,
        }
        | _sizes(MEWSLIX, "dev", "test"),
    ),
)

_TEXT = Record(
    name="text",
    title="multilingual plain text",
    roles=("text", "intermediate"),
    group="text",
    family="masked_lm",
    languages=tuple(sorted(set().union(*XTREME_TASKS.values()))),  # XTREME's 40
    splits=("train",),
    labelled=(),
    metrics=(),
    main=(),
    licence="one for each collection",
)

RECORDS: dict[str, Record] = {record.name: record for record in (*_INTERMEDIATES, *_TARGETS, _TEXT)}


def record(name: str, benchmark: str = "xtreme") -> Record:
    """The record of that name, as the benchmark has it, or a UserError with the nearest one."""
    if name not in RECORDS:
        raise UserError(f"'{name}' is not a task of the catalogue{nearest(name, RECORDS)}")
    return RECORDS[name] if benchmark == "xtreme" else _as_xtreme_r(RECORDS[name])


def _as_xtreme_r(task: Record) -> Record:
    """With the languages that it adds; Tatoeba's vectors are those of an encoder tuned on SQuAD."""
    task = replace(task, languages=(*task.languages, *ADDED.get(task.name, ())))
    if task.name == "tatoeba":
        squad = ("squad1",)
        return replace(task, train_from=squad, select_from=squad[0], exclude_contexts_of=("xquad",))
    return task


def official_size(task: Record, split: str, language: str) -> int | None:
    """How many rows (gold pairs of bucc2018, queries of a ranking task) the official split has.

    None: there is no such split, or nobody at hand says how many (`is_published`).
    """
    return task.sizes.get(f"{split}-{language}", task.sizes.get(split))


def is_published(task: Record, split: str, language: str) -> bool:
    """Whether the official distribution has this split in this language."""
    if official_size(task, split, language):
        return True
    added = language in task.languages and language in ADDED.get(task.name, ())
    return added and any(key.startswith(f"{split}-") for key in task.sizes)
