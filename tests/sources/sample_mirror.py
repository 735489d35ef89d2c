"""A mirror for `xstilts use sample`, out of the rows of $XSTILTS_SHARED/data.

    python -m tests.sources.sample_mirror OUT        # then: --set source.mirror=OUT

The repositories, configurations, columns, label orders and splits of experiments/sample.yaml, at
the commits that its lock files pin; the rows are those of experiments/files-small.yaml, some of
which are stand-ins, so that `source.complete` must be false. Where the folder has one labelled
split of the two that the Hub has, its first half is the one and its second half the other.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from os import environ
from pathlib import Path
from typing import Any

from datasets import ClassLabel, List, disable_progress_bars

from tests.sources import hub_tables
from tests.sources.hub_tables import Rows, Tables
from xstilts.formats.tables import ENGLISH, Row, Split, read_json
from xstilts.params import SourceSettings
from xstilts.running import experiments
from xstilts.sources import files
from xstilts.sources.codes import ISO3, LANGUAGE_NAMES
from xstilts.tasks.catalogue import record

ROOT = Path(__file__).parents[2]
HELLASWAG = "activity_label ctx_a ctx_b ctx source_id split split_type label".split()  # noqa: SIM905
Table = tuple[dict[str, Any], dict[str, Rows]]


@dataclass(frozen=True)
class Rooted:
    """What the rows are read with. most: of a table, for tests."""

    source: SourceSettings
    most: int | None

    def rows(self, task: str, split: Split, language: str) -> list[Row]:
        found = files.read(record(task), split, language, self.source)
        return found.rows[: self.most] if found else []

    def halves(self, task: str, split: Split, language: str) -> tuple[list[Row], list[Row]]:
        rows = self.rows(task, split, language)
        return rows[: len(rows) // 2], rows[len(rows) // 2 :]


def build(out: Path, data: Path, most: int | None = None) -> Path:
    """Write the mirror of sample.yaml out of a folder of official files. most: rows of a table."""
    sample = experiments.resolve(ROOT / "experiments/sample.yaml").source
    small = experiments.resolve(ROOT / "experiments/files-small.yaml").source
    rooted = Rooted(small.model_copy(update={"path": str(data)}), most)
    spoken = {name: given.languages or [ENGLISH] for name, given in sample.tasks.items()}
    return hub_tables.write(out, repositories(rooted, spoken), pins=pinned(ROOT / sample.path))


def pinned(folder: Path) -> dict[str, str]:
    """{repository: commit} of all lock files."""
    return {name: pin for lock in folder.glob("*.lock") for name, pin in read_json(lock).items()}


def repositories(rooted: Rooted, spoken: dict[str, list[str]]) -> dict[tuple[str, str], Tables]:
    """(id, branch): its tables. spoken: the languages of each task."""
    main, converted = hub_tables.MAIN, hub_tables.CONVERTED
    return {
        ("nyu-mll/glue", main): {"mnli": _mnli(rooted)},
        ("rajpurkar/squad", main): {"plain_text": _squad(rooted, "squad1")},
        ("rajpurkar/squad_v2", main): {"squad_v2": _squad(rooted, "squad2")},
        ("Rowan/hellaswag", main): {"default": _hellaswag(rooted)},
        ("facebook/xnli", main): {code: _xnli(rooted, code) for code in spoken["xnli"]},
        ("unimelb-nlp/wikiann", main): {code: _panx(rooted, code) for code in spoken["panx"]},
        ("google/xquad", main): {
            f"xquad.{code}": (
                hub_tables.UNTITLED,
                {"validation": _questions(rooted.rows("xquad", "test", code), titled=False)},
            )
            for code in spoken["xquad"]
        },
        ("facebook/mlqa", converted): {
            f"mlqa.{code}.{code}": _mlqa(rooted, code) for code in spoken["mlqa"]
        },
        ("google/xtreme", main): {
            **{f"udpos.{LANGUAGE_NAMES[code]}": _udpos(rooted, code) for code in spoken["udpos"]},
            **{f"tatoeba.{ISO3[code]}": _tatoeba(rooted, code) for code in spoken["tatoeba"]},
        },
    }


def _pairs(rows: Iterable[Row]) -> Rows:
    names = hub_tables.NLI.names
    return [
        {
            "premise": row["text_a"],
            "hypothesis": row["text_b"],
            "label": names.index(row["label"]),
        }
        for row in rows
    ]


def _mnli(rooted: Rooted) -> Table:
    matched = hub_tables.numbered(_pairs(rooted.rows("mnli", "dev", ENGLISH)))
    train = hub_tables.numbered(_pairs(rooted.rows("mnli", "train", ENGLISH)))
    features = hub_tables.NLI_COLUMNS | {"idx": hub_tables.NUMBER}
    return features, {"train": train, "validation_matched": matched}


def _xnli(rooted: Rooted, language: str) -> Table:
    splits: dict[str, Split] = {"validation": "dev", "test": "test"}
    read = {name: _pairs(rooted.rows("xnli", split, language)) for name, split in splits.items()}
    return hub_tables.NLI_COLUMNS, read


def _questions(rows: Iterable[Row], titled: bool) -> Rows:
    asked = []
    for row in rows:
        texts = [answer["text"] for answer in row["answers"]]
        starts = [answer["start"] for answer in row["answers"]]
        question = {name: row[name] for name in ("id", "context", "question")}
        question["answers"] = {"text": texts, "answer_start": starts}
        # Which rows are of one article: the source splits TyDi QA's by it, and no other.
        asked.append(question | {"title": row["group"][:40]} if titled else question)
    return asked


def _squad(rooted: Rooted, task: str) -> Table:
    splits: dict[str, Split] = {"train": "train", "validation": "dev"}
    return hub_tables.SQUAD, {
        name: _questions(rooted.rows(task, split, ENGLISH), titled=True)
        for name, split in splits.items()
    }


def _mlqa(rooted: Rooted, language: str) -> Table:
    dev, test = (_questions(half, titled=False) for half in rooted.halves("mlqa", "dev", language))
    return hub_tables.UNTITLED, {"validation": dev, "test": test}


def _hellaswag(rooted: Rooted) -> Table:
    """`ctx_b` begins the endings; it is empty, as the folder's text form has it in the context."""
    splits: dict[str, Split] = {"train": "train", "validation": "dev"}
    features = {name: hub_tables.TEXT for name in HELLASWAG} | {
        "ind": hub_tables.NUMBER,
        "endings": List(hub_tables.TEXT),
    }
    return features, {
        name: [
            {
                **dict.fromkeys(HELLASWAG, ""),
                "ctx_a": row["context"],
                "ctx": row["context"],
                "endings": row["choices"],
                "label": str(row["label"]),
                "ind": number,
            }
            for number, row in enumerate(rooted.rows("hellaswag", split, ENGLISH))
        ]
        for name, split in splits.items()
    }


def _tagged(rows: Iterable[Row], column: str, names: Sequence[str]) -> Rows:
    return [
        {"tokens": row["tokens"], column: [names.index(tag) for tag in row["tags"]]} for row in rows
    ]


def _udpos(rooted: Rooted, language: str) -> Table:
    """Of a language with a test set alone, halves; Thai has a test set alone on the Hub, too."""
    dev = rooted.rows("udpos", "dev", language)
    test = rooted.rows("udpos", "test", language)
    if not dev and language != "th":
        dev, test = rooted.halves("udpos", "test", language)
    splits = {"validation": dev, "test": test}
    if language == ENGLISH:
        splits["train"] = rooted.rows("udpos", "train", language)
    names = hub_tables.UPOS
    features = {
        "tokens": List(hub_tables.TEXT),
        "pos_tags": List(ClassLabel(names=names)),
    }
    return features, {
        split: _tagged(rows, "pos_tags", names) for split, rows in splits.items() if rows
    }


def _panx(rooted: Rooted, language: str) -> Table:
    dev, test = rooted.halves("panx", "dev", language)
    splits = {"validation": dev, "test": test}
    if language == ENGLISH:
        splits["train"] = rooted.rows("panx", "train", language)
    names = hub_tables.PANX.feature.names
    features = {"tokens": List(hub_tables.TEXT), "ner_tags": hub_tables.PANX}
    features |= {name: List(hub_tables.TEXT) for name in ("langs", "spans")}
    return features, {
        split: [
            row | {"langs": [language] * len(row["tokens"]), "spans": []}
            for row in _tagged(rows, "ner_tags", names)
        ]
        for split, rows in splits.items()
    }


def _tatoeba(rooted: Rooted, language: str) -> Table:
    """Each foreign sentence with the English one that is its gold, in LASER's order."""
    rows = replace(rooted, most=None).rows("tatoeba", "test", language)
    english = {row["id"]: row["text"] for row in rows if row["side"] == "english"}
    pairs = [
        {
            "source_sentence": row["text"],
            "target_sentence": english[row["gold"][0]],
            "source_lang": ISO3[language],
            "target_lang": "eng",
        }
        for row in rows
        if row["side"] != "english"
    ]
    return hub_tables.PAIR_OF_LANGUAGES, {"validation": pairs[: rooted.most]}


def main() -> None:
    data = Path(environ.get("XSTILTS_SHARED", ROOT.parent / "shared")) / "data"
    if len(sys.argv) != 2 or not data.is_dir():
        sys.exit(f"usage: python -m tests.sources.sample_mirror OUT; rows of {data}")
    disable_progress_bars()
    print(build(Path(sys.argv[1]), data))


if __name__ == "__main__":
    main()
