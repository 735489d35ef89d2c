"""Every layer and pooling of encoders on a target of vectors, from one pass over its texts.

What enters: encoders of phase 2 and a target's tables. What leaves: a score for each split,
language, layer and pooling, as a table and a picture. Vectors lie on disk while they are scored, so
that memory holds one layer's. This is for looking: the layer of a cell is a setting, and is never
chosen by these scores. Of a ranking target, whose cells train a head first, it is the cosine of
what the encoder gives by itself.
"""

from __future__ import annotations

import csv
import io
import statistics
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import get_args

import numpy as np
import torch
from numpy.typing import NDArray

from xstilts.console import bar
from xstilts.errors import UserError
from xstilts.formats.cards import task_number
from xstilts.formats.features import concatenate
from xstilts.formats.tables import Table, read_record, read_table, tables_in, write_text
from xstilts.params import FrozenSettings, PoolingName, TrainingSettings
from xstilts.tasks.families import ranking, retrieval
from xstilts.tasks.families.common import reads_left
from xstilts.training import encoder as encoders
from xstilts.training.batches import sorted_batches
from xstilts.training.devices import autocast_for, device_for
from xstilts.training.encoder import EncoderRef, Model, Tokenizer
from xstilts.training.evaluation import encode
from xstilts.training.task import Task, task

Way = tuple[int, PoolingName]  # a layer, and how its pieces become a vector
POOLINGS: tuple[PoolingName, ...] = get_args(PoolingName)
Vectors = NDArray[np.float32]


@dataclass(frozen=True)
class Score:
    """The task's number (a fraction) for one layer and pooling, in one split and language."""

    split: str
    language: str
    layer: int
    pooling: PoolingName
    value: float


ByEncoder = Mapping[str, Sequence[Score]]  # by the intermediate that it was trained on


@dataclass(frozen=True)
class LayerEncoder:
    """An encoder that gives the sentence vectors of all its layers, and what its batches need."""

    model: Model
    tokenizer: Tokenizer
    task: Task
    training: TrainingSettings
    cache: Path
    silent: bool = False

    @property
    def layers(self) -> int:
        """How many layers' states there are, the embeddings' output counted."""
        return int(self.model.encoder.config.num_hidden_layers) + 1

    @torch.inference_mode()
    def vectors(self, table: Table, folder: Path) -> dict[Way, Vectors]:
        """{(layer, pooling): (rows, dim)}, arrays in files of `folder`; one pass of the encoder."""
        features = encode(table, self.task, self.tokenizer, self.cache)
        device = torch.device(device_for(self.training))
        tokens = encoders.special_tokens(self.tokenizer)
        shape = (len(features), int(self.model.encoder.config.hidden_size))
        vectors: dict[Way, Vectors] = {
            (layer, pooling): np.lib.format.open_memmap(
                folder / f"{layer}-{pooling}.npy", "w+", np.float32, shape
            )
            for layer in range(self.layers)
            for pooling in POOLINGS
        }
        last = reads_left(self.model.encoder.config)
        heads = {pooling: retrieval.Pooling(pooling, last) for pooling in POOLINGS}
        title = f"{table.split}-{table.language}"
        shown = bar(len(features), title, "rows", silent=self.silent)
        for examples in sorted_batches(features, self.training.token_budget):
            batch = retrieval.collate(features, examples, tokens, (0,))
            batch = {name: tensor.to(device) for name, tensor in batch.items()}
            bf16 = autocast_for(self.training)
            with torch.autocast(device.type, torch.bfloat16, enabled=bf16):
                read = self.model.encoder(**self.model.inputs(batch), output_hidden_states=True)
            # The last as a cell reads it: some architectures norm it once more.
            states = [*read.hidden_states[: self.layers - 1], read.last_hidden_state]
            for (layer, pooling), array in vectors.items():
                pooled = heads[pooling](states[layer], batch)
                array[examples] = pooled.float().cpu().numpy()
            shown.update(len(examples))
        shown.close()
        return vectors


def layer_scores(encoder: LayerEncoder, data: Path) -> Iterator[Score]:
    """The scores of every table with gold."""
    record = read_record(data)
    return BY_FAMILY[record.family](encoder, data, record.main)


def _of_pairs(encoder: LayerEncoder, data: Path, main: Sequence[str]) -> Iterator[Score]:
    """Retrieval: each language by itself. BUCC's threshold is set on dev for each way alone."""
    chosen, languages = encoder.task, dict.fromkeys(language for _, language in tables_in(data))
    for language in languages:
        dev: dict[Way, object] = {}
        for split in sorted(split for split, other in tables_in(data) if other == language):
            table = read_table(data, split, language)
            if not chosen.family.labelled(table.rows):
                continue
            features = encode(table, chosen, encoder.tokenizer, encoder.cache)
            # On disk: a table's vectors of all layers and poolings do not fit in memory.
            with tempfile.TemporaryDirectory() as folder:
                for way, vectors in encoder.vectors(table, Path(folder)).items():
                    mined = retrieval.decode(features, list(vectors), table.rows, chosen.settings)
                    if split == "dev":
                        dev[way] = (mined, table.rows)
                    settled, _ = retrieval.settle(mined, dev.get(way), chosen.settings)  # type: ignore[arg-type]
                    scores = retrieval.score(settled, table.rows, language, chosen.settings)
                    yield Score(split, language, *way, task_number(scores, main))


def _of_pools(encoder: LayerEncoder, data: Path, main: Sequence[str]) -> Iterator[Score]:
    """Ranking: a language's queries among the candidates of all languages of the test split."""
    chosen, split = encoder.task, "test"
    tables = [read_table(data, at, language) for at, language in tables_in(data) if at == split]
    rows = [row for table in tables for row in table.rows]
    answers = ranking.right(rows)
    parts = [encode(table, chosen, encoder.tokenizer, encoder.cache) for table in tables]
    with tempfile.TemporaryDirectory() as folder:
        found = []
        for table in tables:
            (of_table := Path(folder, table.language)).mkdir()
            found.append(encoder.vectors(table, of_table))
        for way in found[0] if found else ():
            vectors = [vector for of in found for vector in _of_length_1(of[way])]
            ranked = ranking.decode(concatenate(parts), vectors, rows, chosen.settings)
            found_of, right_of = iter(ranked), iter(answers)
            for table in tables:
                own = list(islice(found_of, len(table.rows)))
                right = list(islice(right_of, len(table.rows)))
                said, queries = ranking.queries_of(own, right, table.rows)
                if said and chosen.family.labelled(table.rows):
                    scores = ranking.score(said, queries, table.language, chosen.settings)
                    yield Score(split, table.language, *way, task_number(scores, main))


def _of_length_1(vectors: Vectors) -> Vectors:
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors / np.where(lengths > 0, lengths, 1), np.float32)


BY_FAMILY = {"retrieval": _of_pairs, "ranking": _of_pools}


def layers_of(
    ref: EncoderRef,
    data: Path,
    training: TrainingSettings,
    max_length: int,
    features: Path,
    silent: bool = False,
) -> list[Score]:
    """The scores of an encoder on a target's tables, in the tables' order."""
    record = read_record(data)
    if record.family not in BY_FAMILY:
        raise UserError(
            f"{record.name}: a {record.family} target; expected one that compares vectors, which "
            "are taken from a layer: bucc2018, tatoeba, lareqa or mewslix"
        )
    torch.set_num_threads(training.threads)
    tokenizer = encoders.load_tokenizer(ref)
    model = Model(encoders.load_encoder(ref), {}).to(device_for(training)).eval()
    chosen = task(record, FrozenSettings(max_length=max_length))
    reading = LayerEncoder(model, tokenizer, chosen, training, features, silent)
    scores = list(layer_scores(reading, data))
    if not scores:
        raise UserError(f"{data}: no table of it has gold; expected dev or test with gold")
    return scores


def write_layers(scores: ByEncoder, title: str, out: Path) -> str:
    """Write layers.csv (every score), layers.md (means) and layers.png; returns the Markdown.

    scores: by the intermediate that the encoder was trained on.
    """
    text = f"# {title}\n\n{_markdown(scores)}"
    write_text(out / "layers.csv", as_csv(scores))
    write_text(out / "layers.md", text)
    _draw(scores, title, out / "layers.png")
    return text


def means(scores: Sequence[Score]) -> dict[tuple[str, PoolingName], list[float]]:
    """{(split, pooling): mean over languages at layer 0, 1, ...}."""
    values: dict[tuple[str, PoolingName], dict[int, list[float]]] = {}
    for score in scores:
        by_layer = values.setdefault((score.split, score.pooling), {})
        by_layer.setdefault(score.layer, []).append(score.value)
    return {
        key: [statistics.fmean(by_layer[layer]) for layer in sorted(by_layer)]
        for key, by_layer in values.items()
    }


def _markdown(scores: ByEncoder) -> str:
    columns = {(name, *key): line for name, of in scores.items() for key, line in means(of).items()}
    languages: dict[str, dict[str, None]] = {}
    for score in (score for of in scores.values() for score in of):
        languages.setdefault(score.split, {})[score.language] = None
    lines = [
        "Percent; means over languages. Layer 0 is the embeddings' output. For looking: a cell's "
        "layer is a setting, not the best of these.",
        "",
        *(f"- {split}: {' '.join(names)}" for split, names in languages.items()),
        "",
        "| layer | " + " | ".join(" ".join(column) for column in columns) + " |",
        "|---|" + "---:|" * len(columns),
    ]
    for layer in range(max(len(column) for column in columns.values())):
        values = (
            f"{100 * column[layer]:.1f}" if layer < len(column) else "-"
            for column in columns.values()
        )
        lines.append(f"| {layer} | {' | '.join(values)} |")
    return "\n".join(lines) + "\n"


def as_csv(scores: ByEncoder) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("intermediate", "split", "language", "layer", "pooling", "score"))
    for name, of in scores.items():
        for one in of:
            writer.writerow((name, one.split, one.language, one.layer, one.pooling, one.value))
    return text.getvalue()


def _draw(scores: ByEncoder, title: str, path: Path) -> None:
    """Draw a line for each encoder, split and pooling; without pyplot, which keeps state."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    figure = Figure(figsize=(7.2, 3.8), layout="constrained")
    axes = figure.subplots()
    for number, (name, of) in enumerate(scores.items()):
        for (split, pooling), values in means(of).items():
            numbers = [100 * value for value in values]
            style = {"mean": "-", "cls": "--"}[pooling]
            axes.plot(
                range(len(values)), numbers, style, color=f"C{number}",
                marker="s" if split == "dev" else "o", markersize=3,
                label=f"{name}, {split}, {pooling}",
            )  # fmt: skip
    axes.set(xlabel="layer", ylabel="mean over languages (%)", title=title)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.legend(fontsize="small", loc="center left", bbox_to_anchor=(1, 0.5))
    figure.savefig(path, dpi=120, metadata={"Software": None})
