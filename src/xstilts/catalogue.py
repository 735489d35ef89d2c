"""The records of all tasks: languages, label orders, official sizes, metrics.

What enters: a name. What leaves: its `Record`. Only the command line and the sources import this
file: a data stage writes a task's own record beside its tables, so that a new record here retrains
nothing. Sizes: "train-en" is one table, "dev" the size of that split in each language. A split and
language that has no size does not exist. Of bucc2018 they count gold pairs, which is published.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

from xstilts.errors import UserError, nearest
from xstilts.tables import ENGLISH, Record, read_json


def _by_language(text: str) -> dict[str, tuple[int, ...]]:
    """de 10/20 fr 30/40 -> {"de": (10, 20), "fr": (30, 40)}."""
    words = iter(text.split())
    return {
        code: tuple(map(int, sizes.split("/"))) for code, sizes in zip(words, words, strict=True)
    }


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


NLI_LABELS = ("contradiction", "entailment", "neutral")
XTREME_40 = _words(
    "af ar bg bn de el en es et eu fa fi fr he hi hu id it ja jv ka kk ko ml mr ms my nl pt ru sw "
    "ta te th tl tr ur vi yo zh"
)
# Sentences (train/dev/test) as the Hub's `xtreme` counts them; 0: there is no such split.
_UDPOS = _by_language(
    """
    af 1315/194/425 ar 6075/909/1680 bg 8907/1115/1116 de 166849/19233/22458 el 28152/2559/2809
    en 21253/3974/5440 es 28492/3054/3147 et 25749/3125/3760 eu 5396/1798/1799 fa 4798/599/600
    fi 27198/3239/4422 fr 47308/5979/9465 he 5241/484/491 hi 13304/1659/2684 hu 910/441/449
    id 4477/559/1557 it 29685/2278/3518 ja 7125/511/2372 kk 31/0/1047 ko 27410/3016/4276
    mr 373/46/47 nl 18051/1394/1471 pt 17992/1770/2681 ru 67435/9960/11336 ta 400/80/120
    te 1051/131/146 th 0/0/1000 tl 0/0/55 tr 3664/988/4785 ur 4043/552/535 vi 1400/800/800
    yo 0/0/100 zh 18998/3038/5528
    """
)
_PANX = {
    10_000: _words("ar bg de el en es et eu fa fi fr he hu id it ja ka ko nl pt ru th tr vi zh"),
    1_000: _words("af bn hi kk ml mr ms sw ta te tl ur"),
    100: _words("jv my yo"),
}
_MLQA = _by_language(
    "ar 517/5335 de 512/4517 en 1148/11590 es 500/5253 hi 507/4918 vi 511/5495 zh 504/5137"
)
_TYDIQA = _by_language("ar 921 bn 113 en 440 fi 782 id 565 ko 276 ru 812 sw 499 te 669")
_BUCC = _by_language("de 1038/9580 fr 929/9086 ru 2374/14435 zh 257/1899")
_TATOEBA = _by_language(  # lines
    """
    af 1000 ar 1000 bg 1000 bn 1000 de 1000 el 1000 es 1000 et 1000 eu 1000 fa 1000 fi 1000 fr 1000
    he 1000 hi 1000 hu 1000 id 1000 it 1000 ja 1000 jv 205 ka 746 kk 575 ko 1000 ml 687 mr 1000
    nl 1000 pt 1000 ru 1000 sw 390 ta 307 te 234 th 548 tl 1000 tr 1000 ur 1000 vi 1000 zh 1000
    """
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
            "metrics": _words("exact f1 best_exact best_f1 best_exact_thresh best_f1_thresh"),
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
        languages=_words("ar bg de el en es fr hi ru sw th tr ur vi zh"),
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
        languages=_words("de en es fr ja ko zh"),
        licence="free for any purpose (Google LLC)",
        sizes={"train-en": 49_401, "dev": 2_000, "test": 2_000},
    ),
    Record(
        name="udpos",
        title="UD 2.5 part-of-speech tags",
        roles=("target",),
        group="syntactic",
        family="tagging",
        labels=_words(
            "ADJ ADP ADV AUX CCONJ DET INTJ NOUN NUM PART PRON PROPN PUNCT SCONJ SYM VERB X"
        ),
        languages=tuple(_UDPOS),
        metrics=("f1", "accuracy"),
        main=("f1",),
        convention="seqeval-0.0.12",
        licence="one for each treebank (CC BY-SA, CC BY-NC-SA and others)",
        sizes=_sizes(_UDPOS, "train", "dev", "test"),
    ),
    Record(
        name="panx",
        title="PAN-X (WikiAnn named entities)",
        roles=("target",),
        group="syntactic",
        family="tagging",
        labels=("B-LOC", "B-ORG", "B-PER", "I-LOC", "I-ORG", "I-PER", "O"),
        languages=XTREME_40,
        metrics=("f1", "precision", "recall"),
        main=("f1",),
        convention="seqeval-0.0.12",
        licence="none stated (Wikipedia text: CC BY-SA)",
        sizes={"train-en": 20_000}
        | {
            f"{split}-{language}": size
            for split in ("dev", "test")
            for size, languages in _PANX.items()
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
        languages=_words("ar de el en es hi ru th tr vi zh"),
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
        languages=tuple(_MLQA),
        licence="CC BY-SA 3.0",
        train_from=("squad1",),
        select_from="squad1",
        exclude_contexts_of=("xquad",),
        sizes=_sizes(_MLQA, "dev", "test"),
    ),
    Record(
        name="tydiqa",
        title="TyDi QA, gold passage",
        roles=("target",),
        **_span("squad1"),
        splits=("train", "test"),
        labelled=("train", "test"),
        languages=tuple(_TYDIQA),
        licence="Apache 2.0",
        select_share=0.1,
        sizes={"train-en": 3_696} | _sizes(_TYDIQA, "test"),
    ),
    Record(
        name="bucc2018",
        title="BUCC 2018 (sample set is dev, training set is test)",
        roles=("target",),
        group="retrieval",
        family="retrieval",
        languages=tuple(_BUCC),
        splits=("dev", "test"),
        labelled=("dev", "test"),
        metrics=("f1", "precision", "recall"),
        main=("f1",),
        convention="mining",
        trained=False,
        licence="research use (BUCC shared task)",
        sizes=_sizes(_BUCC, "dev", "test"),
    ),
    Record(
        name="tatoeba",
        title="Tatoeba (LASER v1)",
        roles=("target",),
        group="retrieval",
        family="retrieval",
        languages=tuple(_TATOEBA),
        splits=("test",),
        labelled=("test",),
        metrics=("accuracy",),
        main=("accuracy",),
        convention="nearest",
        trained=False,
        licence="CC BY 2.0 FR",
        sizes=_sizes(_TATOEBA, "test"),
    ),
    Record(
        name="xcopa",
        title="XCOPA",
        roles=("target",),
        **_choice(2),
        splits=("dev", "test"),
        labelled=("dev", "test"),
        languages=_words("et ht id it qu sw ta th tr vi zh"),
        licence="CC BY 4.0",
        train_from=("siqa", "copa"),
        sizes={"dev": 100, "test": 500},
    ),
)

_TEXT = Record(
    name="text",
    title="multilingual plain text",
    roles=("text", "intermediate"),
    group="text",
    family="masked_lm",
    languages=XTREME_40,
    splits=("train",),
    labelled=(),
    metrics=(),
    main=(),
    licence="one for each collection",
)

RECORDS: dict[str, Record] = {record.name: record for record in (*_INTERMEDIATES, *_TARGETS, _TEXT)}


def record(name: str) -> Record:
    """The record of that name, or a UserError with the nearest one."""
    if name not in RECORDS:
        raise UserError(f"'{name}' is not a task of the catalogue{nearest(name, RECORDS)}")
    return RECORDS[name]


def official_size(task: Record, split: str, language: str) -> int | None:
    """How many rows (bucc2018: gold pairs) the official split has; None: there is no such split."""
    return task.sizes.get(f"{split}-{language}", task.sizes.get(split))


def listing(data: Path, records: Iterable[Record] = RECORDS.values()) -> list[dict[str, Any]]:
    """A row for each task of `xstilts tasks`; `sizes`: {table: rows} of what is prepared."""
    return [
        {
            "name": task.name,
            "family": task.family,
            "roles": ", ".join(task.roles),
            "group": task.group,
            "languages": list(task.languages),
            "sizes": _prepared(data, task),
            "licence": task.licence,
        }
        for task in records
    ]


def _prepared(data: Path, task: Record) -> dict[str, int]:
    """Rows of each table; the most that any stage has written, as a grid row may have a limit."""
    own = data / "target" / task.name
    folders = [own, *own.glob("train/*"), *(data / "intermediate").glob(f"*/{task.name}")]
    folders += [data / "text"] if task.family == "masked_lm" else []
    sizes: dict[str, int] = {}
    for folder in folders:
        if not (folder / "counts.json").is_file():
            continue
        for table, counts in read_json(folder / "counts.json").items():
            sizes[table] = max(sizes.get(table, 0), counts["rows"])
    return sizes
