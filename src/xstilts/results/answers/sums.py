"""A cell's sums by cluster of test rows, from its kept predictions.

What enters: a cell's folder. What leaves: for each language of the split that is reported the
numerators and denominators of its metrics by cluster, kept below work/ by the card's digest: no
cell goes stale for them, and old cells have them, too. A folder of an archive has them in a file.

A cluster is what one sample of test rows brings along or leaves: a row in all of its translations,
all questions on an article. Rows of one number count as translations in every task. Where they are
none, as in PAN-X, their covariance is noise around 0: the interval is no less right for it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from xstilts.code import room_digest
from xstilts.errors import UserError
from xstilts.formats.cards import Card, reported
from xstilts.formats.kept import Kept, read_kept
from xstilts.formats.tables import (
    ENGLISH,
    FamilyName,
    Row,
    digest,
    read_table,
    table_path,
    write_text,
)
from xstilts.paths import WORK, target_data
from xstilts.results.answers.interval import Floats
from xstilts.results.answers.measure import Sums
from xstilts.results.rescoring import family_of, scored_with
from xstilts.tasks.families import FAMILIES
from xstilts.tasks.families.protocol import TaskSettings
from xstilts.tasks.families.retrieval import MINING
from xstilts.tasks.metrics.tags import Convention, chunks

FILE = "sums.json"
TINY = 1e-9  # how far a score that is formed of sums may be from the card's
# metric -> (rows, 2): numerators and denominators; NaN for a row that no training is asked about
Parts = Mapping[str, Floats]
UNASKED = (np.nan, np.nan)


def read_sums(folder: Path, card: Card) -> dict[str, Sums]:
    """The sums of each reported language. UserError where they do not give the card's scores."""
    found = reported(card)
    if found is None:
        return {}
    kept = folder / FILE
    if not kept.is_file():
        code = room_digest("xstilts.results.answers")
        text = (folder / "card.json").read_text(encoding="utf-8")
        kept = WORK / "sums" / f"{digest(text, code)}.json"
    if not kept.is_file():
        write_text(kept, as_text(computed(folder, card, *found)))
    return from_text(kept.read_text(encoding="utf-8"))


def computed(folder: Path, card: Card, split: str, languages: Sequence[str]) -> dict[str, Sums]:
    """The sums of these languages, from the predictions that the cell kept."""
    articles = _articles(card, split)
    sums = {}
    for code in languages:
        kept = read_kept(folder, card, split, code)
        rows = kept.rows(family_of(card))
        parts = PARTS[family_of(card)](kept.predictions, rows, code, scored_with(card))
        sums[code] = _by_cluster(_clusters(kept, articles), parts)
        for metric, score in card.scores[split][code].items():
            if metric in parts and abs(sums[code].score(metric) - score) > TINY:
                raise UserError(
                    f"{folder}: {kept.name} {metric} is {sums[code].score(metric):.6f} of its "
                    f"sums and {score:.6f} on the card; expected the same; run "
                    f"`dvc repro target@{card.intermediate}-{card.target}-{card.replicate}`"
                )
    return sums


def as_text(sums: Mapping[str, Sums]) -> str:
    """The sums as a line a language; numbers as Python writes them, so that they come back."""
    lines = [
        f"{json.dumps(code)}: {json.dumps(_plain(of), ensure_ascii=False, separators=(',', ':'))}"
        for code, of in sums.items()
    ]
    return "{\n" + ",\n".join(lines) + "\n}\n"


def from_text(text: str) -> dict[str, Sums]:
    """What `as_text` wrote."""
    return {
        code: Sums(
            tuple(of["clusters"]),
            {metric: np.array(pair, np.float64).T for metric, pair in of["metrics"].items()},
        )
        for code, of in json.loads(text).items()
    }


def _plain(of: Sums) -> dict[str, Any]:
    pairs = {
        metric: [[int(x) if x == int(x) else x for x in column] for column in rows.T.tolist()]
        for metric, rows in of.metrics.items()
    }
    return {"clusters": of.clusters, "metrics": pairs}


def _by_cluster(clusters: Sequence[str], parts: Parts) -> Sums:
    asked = ~np.isnan(next(iter(parts.values()))[:, 0])
    place: dict[str, int] = {}
    at = [place.setdefault(name, len(place)) for name in np.array(clusters)[asked].tolist()]
    metrics = {metric: np.zeros((len(place), 2)) for metric in parts}
    for metric, rows in parts.items():
        np.add.at(metrics[metric], at, rows[asked])
    return Sums(tuple(place), metrics)


def _articles(card: Card, split: Any) -> dict[tuple[str, str], str]:
    """(language, question id) -> article, of tasks whose tables have articles: English titles,
    where the English table has the question, too. Nothing where the tables are gone: a question
    is its own cluster then."""
    folder = target_data(card.target)
    found: dict[tuple[str, str], str] = {}
    if family_of(card) != "span":
        return found
    languages = [name.partition("-")[2] for name in card.counts if name.startswith(f"{split}-")]
    for code in sorted(languages, key=lambda code: code != ENGLISH):  # English first
        if not table_path(folder, split, code).is_file():
            continue
        for row in read_table(folder, split, code).rows:
            own = digest(code, row["group"])  # of TyDi QA a group is text: its digest is none
            found[code, row["id"]] = found.get((ENGLISH, row["id"]), own)
    return found


def _clusters(kept: Kept, articles: Mapping[tuple[str, str], str]) -> list[str]:
    """The cluster of each row: its article, else its number without file and language."""
    prefix, suffix = f"{kept.language}-", f"_{kept.language}"
    return [
        articles.get((kept.language, one))
        or one.rpartition(":")[2].removeprefix(prefix).removesuffix(suffix)
        for one in kept.ids
    ]


# By family: the parts of each row


def _means(name: FamilyName) -> Callable[..., Parts]:
    """Of a family whose metrics are means over rows: each row's own score, by its scorer."""

    def parts(
        predictions: Sequence[Any], rows: Sequence[Row], language: str, settings: TaskSettings
    ) -> Parts:
        score = FAMILIES[name].score
        each = [
            score([said], [row], language, settings) if asked(row) else None
            for said, row in zip(predictions, rows, strict=True)
        ]
        metrics = next(scores for scores in each if scores is not None)
        return {
            metric: np.array([(s[metric], 1.0) if s else UNASKED for s in each])
            for metric in metrics
        }

    def asked(row: Row) -> bool:
        return row.get("gold", "") is not None

    return parts


def _of_labels(
    predictions: Sequence[str], rows: Sequence[Row], language: str, settings: TaskSettings
) -> Parts:
    """Accuracy, and F1 of the last label where it is asked for."""
    gold = [row["label"] for row in rows]
    pairs = list(zip(predictions, gold, strict=True))
    parts = {"accuracy": np.array([(float(said == right), 1.0) for said, right in pairs])}
    if "f1" in settings.metrics:
        last = settings.labels[-1]
        parts["f1"] = np.array(
            [
                (2.0 * (said == right == last), (said == last) + (right == last))
                for said, right in pairs
            ]
        )
    return parts


def _of_tags(
    predictions: Sequence[list[str]], rows: Sequence[Row], language: str, settings: TaskSettings
) -> Parts:
    """Chunks count where they end: sentences are read in one row, as the scorer reads them."""
    gold = [row["tags"] for row in rows]
    right = [sum(map(str.__eq__, said, tags)) for said, tags in zip(predictions, gold, strict=True)]
    parts = {"accuracy": np.array([right, list(map(len, gold))], np.float64).T}
    if settings.convention:
        convention: Convention = settings.convention  # type: ignore[assignment]
        ends = np.cumsum([len(tags) + 1 for tags in gold])
        found, wanted = chunks(predictions, convention), chunks(gold, convention)
        each = [
            np.bincount(
                np.searchsorted(ends, [last for _, _, last in some], "right"), minlength=len(gold)
            ).astype(np.float64)
            for some in (found & wanted, found, wanted)
        ]
        correct, predicted, golden = each
        parts |= {
            "f1": np.stack([2 * correct, predicted + golden], 1),
            "precision": np.stack([correct, predicted], 1),
            "recall": np.stack([correct, golden], 1),
        }
    return {metric: parts[metric] for metric in settings.metrics}


def _of_pairs(
    predictions: Sequence[Any], rows: Sequence[Row], language: str, settings: TaskSettings
) -> Parts:
    """Mined pairs by their foreign row, with the pool and the threshold as they are; nearest
    sentences by the English row that asked."""
    if settings.convention != MINING:
        foreign = {english: row["id"] for row in rows for english in row["gold"] or ()}
        return {
            "accuracy": np.array(
                [
                    UNASKED if said is None else (float(said["id"] == foreign[row["id"]]), 1.0)
                    for said, row in zip(predictions, rows, strict=True)
                ]
            )
        }
    counts = np.array(
        [
            (np.nan, np.nan, np.nan)  # English: what is searched in
            if row["gold"] is None
            else (
                said is not None and said["id"] in row["gold"],
                said is not None,
                len(row["gold"]),
            )
            for said, row in zip(predictions, rows, strict=True)
        ],
        np.float64,
    )
    correct, predicted, golden = counts.T
    return {
        "f1": np.stack([2 * correct, predicted + golden], 1),
        "precision": np.stack([correct, predicted], 1),
        "recall": np.stack([correct, golden], 1),
    }


PARTS: Mapping[FamilyName, Callable[..., Parts]] = {
    "classification": _of_labels,
    "choice": _means("choice"),
    "tagging": _of_tags,
    "span": _means("span"),
    "retrieval": _of_pairs,
    "ranking": _means("ranking"),
}
