"""What an encoder already knows of a target, before its training is paid for.

What enters: an encoder of phase 2 and a target's English train rows. What leaves: LogME and the
accuracy of a linear probe, of vectors that a target's head would read: the mean of a text's pieces,
of a word its first piece, of an answer its first piece against another of the same text. English
rows that train alone are read, so neither a selection nor a score is spent.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from xstilts.console import bar
from xstilts.errors import UserError
from xstilts.formats.features import Features
from xstilts.formats.tables import FamilyName, read_record, read_table
from xstilts.params import BASELINE, Params, PhaseSettings, TrainingSettings
from xstilts.paths import (
    FEATURES,
    encoder,
    intermediate_data,
    intermediate_model,
    target_data,
    trainings,
)
from xstilts.phases.members import label_set, train_language
from xstilts.tasks.families import retrieval
from xstilts.training import encoder as encoders
from xstilts.training.batches import sorted_batches
from xstilts.training.devices import device_for
from xstilts.training.encoder import EncoderRef, Model
from xstilts.training.evaluation import encode
from xstilts.training.task import task

ROWS = 2000  # of the train rows, a seeded choice
VECTORS = 4000  # of their words, at most
FOLDS = 5
ROUNDS, CLOSE, TINY = 11, 1e-3, 1e-5  # of LogME's fixed point
UNTAGGED = -100  # the label of a piece that has none

Vectors = NDArray[np.float64]
Labels = NDArray[np.int64]


@dataclass(frozen=True)
class Known:
    """Of one encoder and target. probe: accuracy, over the share of the most frequent label."""

    logme: float
    probe: float


def known(
    ref: EncoderRef, data: Path, section: PhaseSettings, training: TrainingSettings, cache: Path
) -> Known:
    """How well the encoder's vectors tell the labels of a target's English train rows."""
    vectors, labels = vectors_of(ref, data, section, training, cache)
    return Known(logme(vectors, labels), probe(vectors, labels))


def esm(vectors: Vectors, labels: Labels, carrier: Vectors) -> float:
    """LogME of the base encoder's vectors, carried to where the tuned one would put them."""
    return logme(with_constant(vectors) @ carrier, labels)


def probed_models(params: Params, target: str) -> dict[str, dict[tuple[str, str], float]]:
    """{LogME, probe, ESM: {(intermediate, target): value}} of the grid's first replicate.

    Of the target that is asked, and of the grid's trained ones; those that cannot be read are left
    out.
    """
    grid = params.grid
    found: dict[str, dict[tuple[str, str], float]] = {"LogME": {}, "probe": {}, "ESM": {}}
    wanted = {
        name: section
        for name in dict.fromkeys((target, *grid.targets))
        if (section := params.targets[name].trained) is not None
        and trainings(target_data(name))
        and read_record(trainings(target_data(name))[-1]).family in READ
    }
    names = [name for name in grid.intermediates if name != BASELINE]
    shown = bar(len(names) * len(wanted), "what encoders know", "pairs", silent=params.run.silent)
    first = grid.replicates[0]
    base = encoders.read_ref(encoder(first))
    given = (params.training, FEATURES)
    untuned = {
        asked: vectors_of(base, target_data(asked), section, *given)
        for asked, section in wanted.items()
    }
    for name in names:
        ref = encoders.read_ref(intermediate_model(name, first))
        own = params.intermediates[name]
        folders = [intermediate_data(name) / member for member in own.members]
        readable = all(read_record(folder).family in READ for folder in folders)
        carrier = carried(base, ref, folders, own, *given) if readable else None
        for asked, section in wanted.items():
            one = known(ref, target_data(asked), section, *given)
            found["LogME"][name, asked], found["probe"][name, asked] = one.logme, one.probe
            if carrier is not None:
                found["ESM"][name, asked] = esm(*untuned[asked], carrier)
            shown.update()
    shown.close()
    return found


def carried(
    base: EncoderRef,
    tuned: EncoderRef,
    folders: Sequence[Path],
    section: PhaseSettings,
    training: TrainingSettings,
    cache: Path,
) -> Vectors:
    """(dim + 1, dim): the linear map from the base encoder's vectors to the tuned one's.

    An embedding space map (Schulte et al. 2024, 2410.15148), of the intermediate's own rows: with
    it a target is encoded once, by the base encoder, and not by every intermediate's.
    """
    before, after = (
        np.concatenate(
            [vectors_of_member(ref, one, section, training, cache)[0] for one in folders]
        )
        for ref in (base, tuned)
    )
    before = with_constant(before)
    width = before.shape[1]
    ridge = 1e-3 * np.trace(before.T @ before) / width
    return np.linalg.solve(before.T @ before + ridge * np.eye(width), before.T @ after)


def with_constant(vectors: Vectors) -> Vectors:
    return np.concatenate([vectors, np.ones((len(vectors), 1))], axis=1)


def logme(vectors: Vectors, labels: Labels) -> float:
    """The log of the evidence that a linear model on the vectors gives the labels, a row and class.

    You et al. 2021 (2110.10545): the weights' and the noise's precision by fixed point, a class
    against all others. Higher is better; values compare on the same rows alone.
    """
    rows, width = vectors.shape
    left, singular, _ = np.linalg.svd(vectors, full_matrices=False)
    kept = singular > 1e-10
    left, squares = left[:, kept], singular[kept] ** 2
    found = []
    for label in range(int(labels.max()) + 1):
        wanted = (labels == label).astype(np.float64)
        inside = (left.T @ wanted) ** 2
        outside = float((wanted**2).sum() - inside.sum())
        weights, noise = 1.0, 1.0  # precisions
        for _ in range(ROUNDS):
            ratio = weights / noise
            free = float((squares / (squares + ratio)).sum())
            size = float((squares * inside / (squares + ratio) ** 2).sum())
            error = float((inside / (1 + squares / ratio) ** 2).sum()) + outside
            weights, noise = free / (size + TINY), (rows - free) / (error + TINY)
            if abs(weights / noise - ratio) / ratio <= CLOSE:
                break
        evidence = (
            width / 2 * math.log(weights)
            + rows / 2 * math.log(noise)
            - 0.5 * float(np.log(weights + noise * squares).sum())
            - noise / 2 * error
            - weights / 2 * size
            - rows / 2 * math.log(2 * math.pi)
        )
        found.append(evidence / rows)
    return float(np.mean(found))


def probe(vectors: Vectors, labels: Labels) -> float:
    """Logistic regression's accuracy in five folds, minus the share of the most frequent label."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import StratifiedKFold, cross_val_score
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    counts = np.bincount(labels)
    often = np.isin(labels, np.flatnonzero(counts >= FOLDS))  # of a rarer one a fold has none
    model = make_pipeline(StandardScaler(), LogisticRegression(C=0.1, max_iter=200))
    folds = StratifiedKFold(FOLDS, shuffle=True, random_state=1)
    scores = cross_val_score(model, vectors[often], labels[often], cv=folds)
    return float(scores.mean() - counts.max() / counts[counts >= FOLDS].sum())


def vectors_of(
    ref: EncoderRef, data: Path, section: PhaseSettings, training: TrainingSettings, cache: Path
) -> tuple[Vectors, Labels]:
    """(vectors, dim) and (vectors,) of a target's English train rows. UserError without any."""
    steps = trainings(data)
    if not steps:
        raise UserError(f"{data}: nothing is trained for it; expected a target that is")
    return vectors_of_member(ref, steps[-1], section, training, cache)


def vectors_of_member(
    ref: EncoderRef, folder: Path, section: PhaseSettings, training: TrainingSettings, cache: Path
) -> tuple[Vectors, Labels]:
    """(vectors, dim) and (vectors,) of a member folder's train rows, the same for every encoder."""
    record, table = read_record(folder), read_table(folder, "train", train_language(folder))
    if record.family not in READ:
        raise UserError(f"{record.name}: a {record.family} task; expected one of {', '.join(READ)}")
    chosen = task(record, section, label_set(record, [table]))
    tokenizer = encoders.load_tokenizer(ref)
    features = encode(table, chosen, tokenizer, cache)
    random = np.random.default_rng(1)
    wanted = np.zeros(len(features), bool)
    wanted[random.permutation(len(features))[:ROWS]] = True
    torch.set_num_threads(training.threads)
    device = torch.device(device_for(training))
    model = Model(encoders.load_encoder(ref), {}).to(device).eval()
    tokens = encoders.special_tokens(tokenizer)
    vectors, labels = [], []
    for batch_of in sorted_batches(features, training.token_budget):
        examples = batch_of[wanted[batch_of]]
        if not len(examples):
            continue
        batch = chosen.family.collate(features, examples, tokens, (0,))
        batch = {name: tensor.to(device) for name, tensor in batch.items()}
        with torch.inference_mode():
            states = model.encoder(**model.inputs(batch)).last_hidden_state
        found, named = READ[record.family](states, batch, features, examples, random)
        vectors.append(found.double().cpu().numpy())
        labels.append(named)
    together = np.concatenate(labels)
    kept = random.permutation(len(together))[:VECTORS]
    return np.concatenate(vectors)[kept], np.unique(together[kept], return_inverse=True)[1]


Batch = dict[str, torch.Tensor]
Read = tuple[torch.Tensor, Labels]


def _texts(
    states: torch.Tensor, batch: Batch, features: Features, examples: Labels, random: Any
) -> Read:
    return retrieval.Pooling("mean")(states, batch), _first(features, examples)


def _choices(
    states: torch.Tensor, batch: Batch, features: Features, examples: Labels, random: Any
) -> Read:
    """Each of an example's choices, right or wrong."""
    right = _first(features, examples)
    places = np.tile(np.arange(features.group), len(examples))
    return retrieval.Pooling("mean")(states, batch), (right == places).astype(np.int64)


def _words(
    states: torch.Tensor, batch: Batch, features: Features, examples: Labels, random: Any
) -> Read:
    rows, columns, labels = [], [], []
    for row, sequence in enumerate(features.sequences(examples)):
        starts, named = (features.columns[name][sequence] for name in ("word_starts", "labels"))
        for at in np.flatnonzero(named != UNTAGGED):
            rows.append(row)
            columns.append(int(starts[at]))
            labels.append(int(named[at]))
    return states[rows, columns], np.array(labels, np.int64)


def _answers(
    states: torch.Tensor, batch: Batch, features: Features, examples: Labels, random: Any
) -> Read:
    """Of each window with an answer its first piece, and another piece of the text."""
    rows, columns, labels = [], [], []
    for row, sequence in enumerate(features.sequences(examples)):
        first = int(features.columns["labels"][sequence][0])
        others = np.flatnonzero(features.columns["best"][sequence])
        others = others[others != first]
        if first and len(others):
            rows += [row, row]
            columns += [first, int(random.choice(others))]
            labels += [1, 0]
    return states[rows, columns], np.array(labels, np.int64)


def _first(features: Features, examples: Labels) -> Labels:
    column = features.columns["labels"]
    return np.array([column[at][0] for at in features.sequences(examples)], np.int64)


READ: dict[FamilyName, Any] = {
    "classification": _texts,
    "choice": _choices,
    "tagging": _words,
    "span": _answers,
}
