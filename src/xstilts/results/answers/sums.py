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
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, cast

import numpy as np

from xstilts.code import room_digest
from xstilts.errors import UserError
from xstilts.formats.cards import Card, read_card, reported
from xstilts.formats.kept import Kept, read_kept
from xstilts.formats.tables import (
    ENGLISH,
    FamilyName,
    Row,
    digest,
    read_output,
    read_table,
    table_path,
    write_text,
)
from xstilts.paths import WORK, predictions, target_data
from xstilts.results.answers.measure import Floats, Sums
from xstilts.tasks.metrics import mlqa, squad
from xstilts.tasks.metrics.ranking import average_precision_at_k
from xstilts.tasks.metrics.tags import chunks

FILE = "sums.json"
TINY = 1e-9  # how far a score that is formed of sums may be from the card's
# metric -> (rows, 2): numerators and denominators; NaN for a row that no training is asked about
Parts = Mapping[str, Floats]
UNASKED = (np.nan, np.nan)
Conventions = Mapping[str, str]  # by metric, as a passport has them


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
    archive = folder.parent.parent.parent.parent  # of cells/INTERMEDIATE/TARGET/REPLICATE
    sums = from_text(kept.read_text(encoding="utf-8"), archive)
    for code, scores in card.scores[found[0]].items():
        for metric, score in scores.items():
            if abs(sums[code].score(metric) - score) > TINY:
                raise UserError(
                    f"{kept}: {code} {metric} is {sums[code].score(metric):.6f} of these sums and "
                    f"{score:.6f} on the card; expected the same; run "
                    f"`dvc repro target@{card.intermediate}-{card.target}-{card.replicate}`"
                )
    return sums


def keep_sums(folder: Path) -> None:
    """Write a cell's sums beside its card, where its predictions do not go along."""
    write_text(folder / FILE, as_text(read_sums(folder, read_card(folder))))


def are_there(folder: Path) -> bool:
    """Whether a cell has sums, or predictions that they are formed of."""
    return (folder / FILE).is_file() or predictions(folder).is_dir()


def computed(folder: Path, card: Card, split: str, languages: Sequence[str]) -> dict[str, Sums]:
    """The sums of these languages, from the predictions that the cell kept."""
    articles = ARTICLES.get(card.family, _none)(card, split)
    sums = {}
    for code in languages:
        kept = read_kept(folder, card, split, code)
        rows = kept.rows(cast(FamilyName, card.family))
        parts = PARTS[card.family](kept.predictions, rows, code, card.passport["metrics"])
        sums[code] = _by_cluster(_clusters(kept, articles), parts)
    return sums


def as_text(sums: Mapping[str, Sums], shared: Shared | None = None) -> str:
    """The sums as a line a language; numbers as Python writes them, so that they come back.

    Clusters that are named in `shared` are not named again: the file's name stands for them.
    """
    lines = [f"{json.dumps(code)}: {_line(_plain(of, code, shared))}" for code, of in sums.items()]
    return "{\n" + ",\n".join(lines) + "\n}\n"


def from_text(text: str, archive: Path = Path()) -> dict[str, Sums]:
    """What `as_text` wrote. archive: the folder whose clusters/ holds shared names."""
    read, files = json.loads(text), {}
    sums = {}
    for code, of in read.items():
        clusters = of["clusters"]
        if isinstance(clusters, str):
            if clusters not in files:
                files[clusters] = json.loads(read_output(archive / shared_file(clusters)))
            clusters = files[clusters][code]
        metrics = {}
        for metric, pair in of["metrics"].items():
            # Columns lie each in one piece, as they always have: sums add in that order.
            columns = [np.broadcast_to(np.array(x, np.float64), len(clusters)) for x in pair]
            metrics[metric] = np.array(columns).T
        sums[code] = Sums(tuple(clusters), metrics)
    return sums


@dataclass(frozen=True)
class Shared:
    """The names of a target's clusters by language, which an archive's cells share."""

    target: str
    names: Mapping[str, tuple[str, ...]]

    @property
    def name(self) -> str:
        return f"{self.target}-{digest(self.names)[:8]}"

    def text(self) -> str:
        lines = [f"{json.dumps(code)}: {_line(names)}" for code, names in self.names.items()]
        return "{\n" + ",\n".join(lines) + "\n}\n"


def shared_file(name: str) -> Path:
    return Path("clusters", f"{name}.json")


def _line(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _plain(of: Sums, code: str, shared: Shared | None) -> dict[str, Any]:
    pairs = {
        metric: [
            _column([int(x) if x == int(x) else x for x in column]) for column in rows.T.tolist()
        ]
        for metric, rows in of.metrics.items()
    }
    same = shared is not None and shared.names.get(code) == of.clusters
    return {"clusters": shared.name if shared and same else of.clusters, "metrics": pairs}


def _column(numbers: list[float]) -> list[float] | float:
    """The numbers, or the one that they all are: where each row counts once, for instance."""
    return numbers[0] if len(set(numbers)) == 1 else numbers


def _by_cluster(clusters: Sequence[str], parts: Parts) -> Sums:
    asked = ~np.isnan(next(iter(parts.values()))[:, 0])
    place: dict[str, int] = {}
    at = [place.setdefault(name, len(place)) for name in np.array(clusters)[asked].tolist()]
    metrics = {metric: np.zeros((len(place), 2)) for metric in parts}
    for metric, rows in parts.items():
        np.add.at(metrics[metric], at, rows[asked])
    return Sums(tuple(place), metrics)


def _none(card: Card, split: Any) -> dict[tuple[str, str], str]:
    return {}


def _articles(card: Card, split: Any) -> dict[tuple[str, str], str]:
    """(language, question id) -> article: the English one, where English has the question, too.

    Nothing where the tables are gone: a question is its own cluster then.
    """
    folder = target_data(card.target)
    found: dict[tuple[str, str], str] = {}
    languages = [name.partition("-")[2] for name in card.counts if name.startswith(f"{split}-")]
    for code in sorted(languages, key=lambda code: code != ENGLISH):  # English first
        if not table_path(folder, split, code).is_file():
            continue
        for row in read_table(folder, split, code).rows:
            own = f"{code} {row['group']}"
            found[code, row["id"]] = found.get((ENGLISH, row["id"]), own)
    return found


def _clusters(kept: Kept, articles: Mapping[tuple[str, str], str]) -> list[str]:
    """The cluster of each row: its article, else its number without file and language.

    What is no number is named by its digest: sums go where the rows may not.
    """
    prefix, suffix = f"{kept.language}-", f"_{kept.language}"
    names = (
        articles.get((kept.language, one))
        or one.rpartition(":")[2].removeprefix(prefix).removesuffix(suffix)
        for one in kept.ids
    )
    return [name if name.isdecimal() else digest(name) for name in names]


# By family: the parts of each row, by the metrics' own functions


def _of_labels(
    said: Sequence[Any], rows: Sequence[Row], language: str, conventions: Conventions
) -> Parts:
    pairs = zip(said, rows, strict=True)
    return {"accuracy": np.array([(float(one == row["label"]), 1.0) for one, row in pairs])}


def _of_answers(
    said: Sequence[Any], rows: Sequence[Row], language: str, conventions: Conventions
) -> Parts:
    """Each question's best match and overlap, by the rules of its language."""
    by_language = conventions["f1"] == "mlqa" and language in mlqa.LANGUAGES
    score = partial(mlqa.mlqa, language=language) if by_language else squad.squad1
    each = [
        score({"": one["text"]}, [("", [answer["text"] for answer in row["answers"]])])
        for one, row in zip(said, rows, strict=True)
    ]
    return {metric: np.array([(one[metric], 1.0) for one in each]) for metric in conventions}


def _of_rankings(
    said: Sequence[Any], rows: Sequence[Row], language: str, conventions: Conventions
) -> Parts:
    """Average precision; 0 where no candidate is right, as the family's scorer counts it."""
    each = [
        UNASKED
        if row["gold"] is None
        else (average_precision_at_k(row["gold"] or [None], ranked or []), 1.0)
        for ranked, row in zip(said, rows, strict=True)
    ]
    return {"map@20": np.array(each)}


def _of_tags(
    said: Sequence[list[str]], rows: Sequence[Row], language: str, conventions: Conventions
) -> Parts:
    """Chunks count where they end: sentences are read in one row, as the scorer reads them."""
    gold = [row["tags"] for row in rows]
    right = [sum(map(str.__eq__, one, tags)) for one, tags in zip(said, gold, strict=True)]
    parts = {"accuracy": np.array([right, list(map(len, gold))], np.float64).T}
    if "f1" in conventions:
        rule: Any = conventions["f1"]
        ends = np.cumsum([len(tags) + 1 for tags in gold])
        found, wanted = chunks(said, rule), chunks(gold, rule)
        correct, predicted, golden = (
            np.bincount(
                np.searchsorted(ends, [last for _, _, last in some], "right"), minlength=len(gold)
            ).astype(np.float64)
            for some in (found & wanted, found, wanted)
        )
        parts |= _of_counts(correct, predicted, golden)
    return {metric: parts[metric] for metric in conventions}


def _of_pairs(
    said: Sequence[Any], rows: Sequence[Row], language: str, conventions: Conventions
) -> Parts:
    """Mined pairs by their foreign row, nearest sentences by the English row that asked.

    The pool and the threshold are held as they are.
    """
    if "f1" in conventions:
        counts = [
            (np.nan, np.nan, np.nan)  # English: what is searched in
            if row["gold"] is None
            else (one is not None and one["id"] in row["gold"], one is not None, len(row["gold"]))
            for one, row in zip(said, rows, strict=True)
        ]
        return _of_counts(*np.array(counts, np.float64).T)
    foreign = {english: row["id"] for row in rows for english in row["gold"] or ()}
    each = [
        UNASKED if one is None else (float(one["id"] == foreign[row["id"]]), 1.0)
        for one, row in zip(said, rows, strict=True)
    ]
    return {"accuracy": np.array(each)}


def _of_counts(correct: Floats, predicted: Floats, golden: Floats) -> dict[str, Floats]:
    return {
        "f1": np.stack([2 * correct, predicted + golden], 1),
        "precision": np.stack([correct, predicted], 1),
        "recall": np.stack([correct, golden], 1),
    }


PARTS: Mapping[str, Callable[[Sequence[Any], Sequence[Row], str, Conventions], Parts]] = {
    "classification": _of_labels,
    "choice": _of_labels,
    "tagging": _of_tags,
    "span": _of_answers,
    "retrieval": _of_pairs,
    "ranking": _of_rankings,
}
# Where several rows share a text: what it is
ARTICLES: Mapping[str, Callable[[Card, Any], dict[tuple[str, str], str]]] = {"span": _articles}
