"""Predict, decode and score a table; keep predictions and gold readable."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from xstilts.code import room_digest
from xstilts.console import bar, note
from xstilts.formats.cards import Scores, Selection
from xstilts.formats.features import Batch, Features, concatenate
from xstilts.formats.tables import (
    GOLD,
    Record,
    Row,
    Split,
    Table,
    digest,
    read_json,
    read_table,
    tables_in,
    write_text,
)
from xstilts.paths import prediction_file
from xstilts.tasks.families.protocol import Output, Prediction, TaskSettings
from xstilts.tasks.families.ranking import queries_of, right
from xstilts.training.batches import sorted_batches
from xstilts.training.context import Context
from xstilts.training.encoder import Model
from xstilts.training.encoder import Tokenizer as TokenizerBase
from xstilts.training.steps import AHEAD, ahead, pinned, sent
from xstilts.training.task import Task

LONG = 5000  # rows; the encoding of fewer takes a second or two


def encode(table: Table, task: Task, tokenizer: TokenizerBase, cache: Path) -> Features:
    """A table's features, from the cache where the same code encoded the same table before.

    The cache's key is made of the table, the tokenizer, the settings and the families' code.
    """
    settings = task.settings.for_encoding()
    family = (task.family_name, room_digest("xstilts.tasks.families"), vars(settings))
    key = digest(table.digest, tokenizer_digest(tokenizer), *family)
    folder = cache / key
    if not folder.exists():
        if len(table.rows) >= LONG:
            note(f"{task.name}: encode {table.split}-{table.language}, {len(table.rows):,} rows")
        task.family.encode(table.rows, tokenizer, settings).save(folder)
    return Features.load(folder)


def tokenizer_digest(tokenizer: TokenizerBase) -> str:
    """A digest of all that encoding depends on; kept, as 250,000 pieces take a second to hash."""
    known: str | None = getattr(tokenizer, "_xstilts_digest", None)
    if known is None:
        known = digest(tokenizer.backend_tokenizer.to_str(), tokenizer.model_input_names)
        tokenizer._xstilts_digest = known
    return known


@torch.inference_mode()
def predict(model: Model, task: Task, features: Features, context: Context) -> list[Output]:
    """The family's output for each sequence, in the order of the features."""
    device = next(model.parameters()).device
    found: list[Output] = [None] * len(features.rows)  # type: ignore[list-item]
    was_training = model.training
    model.eval()
    title, silent = f"{task.name}: predict", context.run.silent
    shown = bar(len(features), title, "examples", silent=silent)

    def made(examples: NDArray[np.int64]) -> tuple[NDArray[np.int64], Batch]:
        batch = model.laid_out(task.family.collate(features, examples, context.tokens, (0,)))
        return examples, pinned(batch, device)

    order = sorted_batches(features, context.training.token_budget)
    for examples, batch in ahead(order, made, AHEAD if device.type == "cuda" else 0):
        there = sent(batch, device)
        with torch.autocast(device.type, torch.bfloat16, enabled=context.bf16):
            logits = model(task.head, there)
        sequences = features.sequences(examples)
        for sequence, output in zip(sequences, task.family.outputs(logits, there), strict=True):
            found[sequence] = output
        shown.update(len(examples))
    shown.close()
    model.train(was_training)
    return found


def predictions(
    model: Model, task: Task, table: Table, features: Features, context: Context
) -> list[Prediction]:
    """One prediction for each row of the table."""
    outputs = predict(model, task, features, context)
    found = task.family.decode(features, outputs, table.rows, task.settings)
    assert len(found) == len(table.rows)
    return found


def pooled(
    model: Model,
    task: Task,
    tables: Sequence[Table],
    features: Sequence[Features],
    context: Context,
) -> list[list[Prediction]]:
    """One prediction for each row of each table; what is searched are the rows of all of them."""
    outputs = [output for part in features for output in predict(model, task, part, context)]
    rows = [row for table in tables for row in table.rows]
    found = iter(task.family.decode(concatenate(features), outputs, rows, task.settings))
    return [list(islice(found, len(table.rows))) for table in tables]


class Settle(Protocol):
    """What sets a frozen target's threshold on dev gold, as `settle` of families/retrieval.py."""

    def __call__(
        self,
        predictions: Sequence[Prediction],
        dev: tuple[Sequence[Prediction], Sequence[Row]] | None,
        settings: TaskSettings,
    ) -> tuple[list[Prediction], float | None]:
        """The predictions that are kept, and the threshold that decided. dev: None without gold."""
        ...


@dataclass(frozen=True)
class Predictor:
    """A model ready to predict one task's tables."""

    model: Model
    task: Task
    context: Context
    settle: Settle | None = None

    def features(self, table: Table) -> Features:
        return encode(table, self.task, self.context.tokenizer, self.context.cache)

    def __call__(self, table: Table) -> tuple[list[Prediction], dict[str, int]]:
        """One prediction a row, and what encoding counted."""
        features = self.features(table)
        return predictions(self.model, self.task, table, features, self.context), features.counts


@dataclass
class Evaluated:
    """What a cell's evaluation gives: `scores` hold only splits and languages with gold."""

    scores: Scores = field(default_factory=dict)
    counts: dict[str, dict[str, int]] = field(default_factory=dict)
    inputs: dict[str, str] = field(default_factory=dict)
    thresholds: dict[str, float] = field(default_factory=dict)


def evaluate_target(predictor: Predictor, data: Path, out: Path) -> Evaluated:
    """Predict, keep and (where there is gold) score every language's dev and test tables."""
    if predictor.task.family_name == "ranking":
        return _evaluate_pools(predictor, data, out)
    task, evaluated = predictor.task, Evaluated()
    counts = read_json(data / "counts.json")
    by_language: dict[str, list[Split]] = {}
    for split, language in tables_in(data):
        by_language.setdefault(language, []).append(split)
    for language, splits in sorted(by_language.items()):
        dev = None
        for split in sorted(splits):  # dev before test: BUCC's threshold is set on dev
            table = read_table(data, split, language)
            name = f"{split}-{language}"
            found, counted = predictor(table)
            labelled = task.family.labelled(table.rows)
            if predictor.settle is not None:
                dev = (found, table.rows) if split == "dev" and labelled else dev
                found, threshold = predictor.settle(found, dev, task.settings)
                if threshold is not None:
                    evaluated.thresholds[language] = threshold
            evaluated.counts[name] = {**counts.get(name, {}), **counted, "predicted": len(found)}
            evaluated.inputs[name] = table.digest
            write_predictions(prediction_file(out, split, language), task, table.rows, found)
            if labelled:
                scores = task.family.score(found, table.rows, language, task.settings)
                evaluated.scores.setdefault(split, {})[language] = scores
    return evaluated


def _evaluate_pools(predictor: Predictor, data: Path, out: Path) -> Evaluated:
    """As `evaluate_target`, where a language's queries rank the candidates of all languages.

    A table without queries is read and ranked, and nothing is predicted for it. What is kept as
    gold are the ids of the right candidates: those of one language stand in tables of others.
    """
    task, evaluated = predictor.task, Evaluated()
    counts = read_json(data / "counts.json")
    for split in dict.fromkeys(split for split, _ in tables_in(data)):
        tables = [read_table(data, at, language) for at, language in tables_in(data) if at == split]
        parts = [predictor.features(table) for table in tables]
        found = pooled(predictor.model, task, tables, parts, predictor.context)
        answers = iter(right([row for table in tables for row in table.rows]))
        for table, part, ranked in zip(tables, parts, found, strict=True):
            name = f"{split}-{table.language}"
            said, queries = queries_of(ranked, list(islice(answers, len(ranked))), table.rows)
            counted = {**counts.get(name, {}), **part.counts, "predicted": len(said)}
            evaluated.counts[name], evaluated.inputs[name] = counted, table.digest
            if said:
                write_predictions(prediction_file(out, split, table.language), task, queries, said)
            if task.family.labelled(table.rows):
                scores = task.family.score(said, queries, table.language, task.settings)
                evaluated.scores.setdefault(split, {})[table.language] = scores
    return evaluated


def passport(
    record: Record, task: Task, selection: Selection | None, evaluated: Evaluated
) -> dict[str, Any]:
    """What every score of a cell means; cells with unlike passports never share a column."""
    return {
        "metrics": {metric: record.convention or "plain" for metric in record.metrics},
        "scorer": scorer_digest(),
        "record version": record.version,
        "selection": "none: nothing is trained"
        if selection is None
        else f"best of the evaluations on {selection.rows} rows of English {selection.metric}",
        "tables": evaluated.inputs,
        **task.family.passport_entries(task.settings, evaluated.thresholds),
    }


def scorer_digest() -> str:
    """A digest of the metrics' code, so that a changed metric changes the passport."""
    return room_digest("xstilts.tasks.metrics")


def write_predictions(
    path: Path, task: Task, rows: Sequence[Row], found: Sequence[Prediction]
) -> None:
    """Write id, prediction and gold of each row as a JSON line: enough to score again otherwise."""
    gold = GOLD[task.family_name]
    lines = (
        json.dumps(
            {"id": row["id"], "prediction": one, "gold": row[gold]},
            ensure_ascii=False,
            sort_keys=True,
        )
        for row, one in zip(rows, found, strict=True)
    )
    write_text(path, "".join(f"{line}\n" for line in lines))


def majority_flag(task: Task, found: Sequence[Prediction], rows: Sequence[Any]) -> str:
    """The flag of a collapsed run, where all English dev rows get one label; "" otherwise.

    Asked of the families whose gold is one label a row: column `label`.
    """
    if GOLD.get(task.family_name) != "label" or not rows:
        return ""
    said, gold = {str(p) for p in found}, {str(row["label"]) for row in rows}
    return (
        f"collapsed: every English dev row is '{said.pop()}'"
        if len(said) == 1 and len(gold) > 1
        else ""
    )
