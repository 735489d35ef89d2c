"""Pairs of sentences with a label: NLI and paraphrases."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from xstilts.formats.tables import Split
from xstilts.params import FileSpec
from xstilts.tasks.catalogue.entry import (
    XTREME_COPY,
    Entry,
    Repository,
    Slot,
    hub,
    intermediate,
    slot,
    target,
    words,
)
from xstilts.tasks.labels import NLI_LABELS


def _pairs(*labels: str) -> dict[str, Any]:
    return {
        "family": "classification",
        "labels": labels,
        "metrics": ("accuracy",),
        "main": ("accuracy",),
    }


_NLI_COLUMNS = "premise hypothesis label"
_NLI_FILES = (("snli", "jsonl"), ("snli-txt", "txt"))  # reader and ending; both are in the archives


def _snli(split: Split, part: str) -> Slot:
    name = f"snli_1.0/snli_1.0_{split}"
    folders = ("snli/", "")
    return slot(
        *(f"{reader} {folder}{name}.{end}" for reader, end in _NLI_FILES for folder in folders),
        part=part,
    )


def _mnli(split: Split, part: str = "") -> Slot:
    file = "train" if split == "train" else "dev_matched"
    name = f"multinli_1.0/multinli_1.0_{file}"
    folders = ("mnli/", "")
    places = [f"{reader} {folder}{name}.{end}" for reader, end in _NLI_FILES for folder in folders]
    places += [f"glue-mnli mnli/glue/MNLI/{file}.tsv", f"glue-mnli MNLI/{file}.tsv"]
    if split == "train":  # XNLI's training data is MNLI's
        places += ["multinli-en XNLI-MT-1.0/multinli/multinli.train.en.tsv"]
        places += ["xtreme-pairs xnli/train-en.tsv"]
    return slot(*places, part=part)


def _anli_plus(split: Split) -> list[Slot]:
    rounds = [
        slot(
            f"anli anli/anli_v1.0/R{number}/{split}.jsonl",
            f"anli anli_v1.0/R{number}/{split}.jsonl",
            part=f"anli_r{number}",
        )
        for number in (1, 2, 3)
    ]
    return [_snli(split, "snli"), _mnli(split, "mnli"), *rounds]


def _qqp(split: Split) -> Slot:
    """GLUE's files; else Quora's one file without splits, of which 10 % (by question) are dev."""
    quora = [
        FileSpec(reader="quora", path=path, share="train" if split == "train" else "select")
        for path in ("qqp/quora_duplicate_questions.tsv", "quora_duplicate_questions.tsv")
    ]
    return (*slot(f"glue-qqp qqp/{split}.tsv", f"glue-qqp QQP/{split}.tsv"), *quora)


def _xnli(split: Split) -> Slot:
    name = f"XNLI-1.0/xnli.{split}.tsv"
    return slot(f"xnli xnli/{name}", f"xnli {name}", f"xtreme-pairs xnli/{split}-{{language}}.tsv")


def _pawsx(split: Split) -> Slot:
    name = "{language}/" + ("train.tsv" if split == "train" else f"{split}_2k.tsv")
    return slot(
        f"x-final pawsx/x-final/{name}",
        f"x-final x-final/{name}",
        f"xtreme-pairs pawsx/{split}-{{language}}.tsv",
    )


_HUB_SNLI = Repository("stanfordnlp/snli", ("plain_text",), "snli", _NLI_COLUMNS)
_HUB_MNLI = Repository(
    "nyu-mll/glue",
    ("mnli",),
    "nli",
    f"{_NLI_COLUMNS} idx",
    {"train": "train", "dev": "validation_matched"},
)
_HUB_ANLI = tuple(
    Repository(
        "facebook/anli",
        ("plain_text",),
        "nli",
        f"uid {_NLI_COLUMNS} reason",
        {"train": f"train_r{number}", "dev": f"dev_r{number}"},
        part=f"anli_r{number}",
    )
    for number in (1, 2, 3)
)

_PAWSX = words("de en es fr ja ko zh")

_XNLI = words("ar bg de el en es fr hi ru sw th tr ur vi zh")

ENTRIES = (
    Entry(
        intermediate(
            "anli_plus",
            "ANLI+ (SNLI, MNLI and ANLI rounds 1 to 3, one head)",
            1_104_934,
            22_857,
            group="NLI",
            parts=("snli", "mnli", "anli_r1", "anli_r2", "anli_r3"),
            licence="mixed; CC BY-NC 4.0 (ANLI) binds",
            **_pairs(*NLI_LABELS),
        ),
        files={"train": _anli_plus("train"), "dev": _anli_plus("dev")},
        repositories=(
            (replace(_HUB_SNLI, part="snli"), replace(_HUB_MNLI, part="mnli"), *_HUB_ANLI),
        ),
    ),
    Entry(
        intermediate(
            "mnli",
            "MultiNLI (matched dev)",
            392_702,
            9_815,
            group="NLI",
            licence="OANC and others, free use",
            **_pairs(*NLI_LABELS),
        ),
        files={"train": [_mnli("train")], "dev": [_mnli("dev")]},
        repositories=((_HUB_MNLI,),),
    ),
    Entry(
        intermediate(
            "qqp",
            "Quora question pairs",
            363_846,
            40_430,
            group="paraphrase",
            licence="Quora terms, non-commercial",
            **{**_pairs("0", "1"), "metrics": ("accuracy", "f1"), "main": ("accuracy", "f1")},
        ),
        files={"train": [_qqp("train")], "dev": [_qqp("dev")]},
        repositories=(hub("nyu-mll/glue", "qqp", "qqp", "question1 question2 label idx"),),
        withheld="Quora's terms give no right to republish the questions",
    ),
    Entry(
        target(
            "pawsx",
            "PAWS-X",
            _PAWSX,
            group="paraphrase",
            licence="free for any purpose (Google LLC)",
            sizes={"train-en": 49_401, "dev": 2_000, "test": 2_000},
            **_pairs("0", "1"),
        ),
        files={"train": [_pawsx("train")], "dev": [_pawsx("dev")], "test": [_pawsx("test")]},
        repositories=(
            hub(
                "google-research-datasets/paws-x",
                "{language}",
                "paraphrases",
                "id sentence1 sentence2 label",
            ),
            hub(
                XTREME_COPY,
                "PAWS-X.{language}",
                "paraphrases",
                "sentence1 sentence2 label",
                sizes={"train-en": 49175, "dev-es": 1961, "dev-fr": 1988, "test-ko": 1999},
                note="PAWS-X: google/xtreme lost rows of the official files",
            ),
        ),
        scored="labels",
        benchmarks={"xtreme": "classification"},
        ordered=_PAWSX,
    ),
    Entry(
        target(
            "xnli",
            "XNLI",
            _XNLI,
            group="NLI",
            licence="CC BY-NC 4.0",
            splits=("dev", "test"),
            labelled=("dev", "test"),
            train_from=("mnli",),
            sizes={"dev": 2_490, "test": 5_010},
            **_pairs(*NLI_LABELS),
        ),
        files={"dev": [_xnli("dev")], "test": [_xnli("test")]},
        repositories=(
            hub("facebook/xnli", "{language}", "nli", _NLI_COLUMNS),
            hub(XTREME_COPY, "XNLI", "nli-languages", "language sentence1 sentence2 gold_label"),
        ),
        scored="labels",
        benchmarks={"xtreme": "classification", "xtreme-r": "classification"},
        ordered=_XNLI,
    ),
)
