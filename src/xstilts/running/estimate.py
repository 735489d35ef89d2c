"""How long what is left of a grid may take.

What enters: params, the tables on disk, how long stages took. What leaves: seconds, and whether
they are all of it. A training's work is the pieces that it reads at most: rows, epochs and
`max_length`; its speed is that of its group, or, before one of these has ended, of all trainings.
"""

from __future__ import annotations

import heapq
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from xstilts import paths
from xstilts.params import FrozenSettings, Params, PhaseSettings, PretrainSettings
from xstilts.running.graph import group_of
from xstilts.sections import PretrainStudySettings, StudySettings

ENCODED = 0.1  # of a piece read: its share of the tokenizer, a guess that counts for small encoders
FORWARD = 1 / 3  # of a training step's products are the forward pass's, all that prediction needs


@dataclass
class Estimates:
    """Seconds that stages may take, from those that ended."""

    work_of: Callable[[str], float | None]  # of a stage: pieces read; None where it is not known
    took: dict[str, list[tuple[float, float | None]]] = field(default_factory=dict)  # by group
    start: float | None = None  # the least that a stage took: what goes before any work
    rates: dict[str, float] = field(default_factory=dict)  # seconds a piece: by group; "": of all

    def add(self, name: str, seconds: float) -> None:
        """A stage ran."""
        self.took.setdefault(group_of(name), []).append((seconds, self.work_of(name)))
        everyone = [pair for pairs in self.took.values() for pair in pairs]
        self.start = start = min(took for took, _ in everyone)
        for group, pairs in (*self.took.items(), ("", everyone)):
            measured = [(max(0.0, took - start), work) for took, work in pairs if work]
            if measured:
                self.rates[group] = sum(t for t, _ in measured) / sum(w for _, w in measured)

    def keep(self, name: str, seconds: float) -> None:
        """Add a stage, and leave what it took for plans: a line of work/times.jsonl."""
        self.add(name, seconds)
        paths.TIMES.parent.mkdir(parents=True, exist_ok=True)
        with paths.TIMES.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"stage": name, "seconds": round(seconds, 1)}) + "\n")

    def seconds(self, name: str) -> float | None:
        """What a stage may take; None where nothing like it has run."""
        group, work = group_of(name), self.work_of(name)
        rate = 0.0 if work == 0 else self.rates.get(group, self.rates.get(""))
        if work is not None and rate is not None and self.start is not None:
            return self.start + work * rate
        own = self.took.get(group)
        return sum(took for took, _ in own) / len(own) if own else None


def times_seen() -> dict[str, float]:
    """What each stage took when it last ran under the driver here, in seconds."""
    if not paths.TIMES.is_file():
        return {}
    lines = map(json.loads, paths.TIMES.read_text(encoding="utf-8").splitlines())
    return {line["stage"]: line["seconds"] for line in lines}


def left(
    names: Iterable[str],
    needs: Mapping[str, frozenset[str]],
    seconds: Mapping[str, float],
    jobs: int,
) -> float:
    """Seconds until all stages have ended, `jobs` at a time, each as soon as it is ready.

    names: in the order in which they start; those that run come first. seconds: of each what is
    left of it, 0 where it is not known.
    """
    names = list(names)
    place = {name: number for number, name in enumerate(names)}
    lacking = {name: {need for need in needs[name] if need in place} for name in names}
    behind: dict[str, list[str]] = {name: [] for name in names}
    for name in names:
        for need in lacking[name]:
            behind[need].append(name)
    ready = [place[name] for name in names if not lacking[name]]  # a heap: the first come first
    running, now = list[tuple[float, str]](), 0.0
    while ready or running:
        while ready and len(running) < jobs:
            name = names[heapq.heappop(ready)]
            heapq.heappush(running, (now + seconds.get(name, 0.0), name))
        now, ended = heapq.heappop(running)
        for name in behind[ended]:
            lacking[name].discard(ended)
            if not lacking[name]:
                heapq.heappush(ready, place[name])
    return now


def work_of(params: Params) -> Callable[[str], float | None]:
    """A function of a stage's name that gives the pieces that it reads at most.

    None for a stage that trains nothing, and as long as its tables are not on disk.
    """
    grid, phase1 = params.grid, params.pretrain
    ways: dict[str, Callable[[], float | None]] = {}
    ways["code"] = ways["report"] = partial(float, 0)
    if phase1.encoder is None:
        ways["pretrain"] = partial(_pretrained, phase1)
    for run in grid.more_baseline:
        ways[f"baseline-encoder@{run}"] = ways[f"baseline-model@{run}"] = partial(float, 0)
    for replicate in grid.replicates:
        trains = phase1.encoder is None and phase1.each_replicate and replicate > 1
        ways[f"encoder@{replicate}"] = partial(_pretrained, phase1) if trains else partial(float, 0)
    ways["study-pretrain"] = partial(_pretrained, phase1, params.study.pretrain)
    for name in grid.intermediates:
        folder, section = paths.intermediate_data(name), params.intermediates[name]
        trials = params.study.intermediate.get(name, StudySettings())
        ways[f"study-intermediate@{name}"] = partial(_trained, folder, section, trials)
        for replicate in grid.replicates:
            ways[f"intermediate@{name}-{replicate}"] = partial(_trained, folder, section)
    for name in grid.targets:
        data, target = paths.target_data(name), params.targets[name]
        trials = params.study.target.get(name, StudySettings())
        ways[f"study-target@{name}"] = partial(_trained, data / "train", target.trained, trials)
        for intermediate, run in grid.models():
            ways[grid.stage(intermediate, name, run)] = partial(_cell, data, target)
            ways[f"lab@{intermediate}-{name}-{run}"] = partial(_cell, data, target)
    known: dict[str, float | None] = {}  # the driver asks every second, of every stage

    def work(stage: str) -> float | None:
        if known.get(stage) is None and stage in ways:
            known[stage] = ways[stage]()
        return known.get(stage)

    return work


def _pretrained(
    section: PretrainSettings, study: PretrainStudySettings | None = None
) -> float | None:
    """Pieces that phase 1 reads, or all trials of its study."""
    if study is not None and not study.trials:
        return 0.0
    rows = _rows(paths.TEXT, "*.parquet")
    if rows is None:
        return None
    steps = section.steps if study is None else study.trials * sum(study.steps) / 2
    return (steps * section.batch_size + ENCODED * rows) * section.max_length


def _trained(
    folder: Path, section: PhaseSettings | None, study: StudySettings | None = None
) -> float | None:
    """Pieces that a training on the members below a folder reads, or all trials of its study."""
    if section is None or (study is not None and not study.trials):
        return 0.0
    rows = _rows(folder, "*/train-*.parquet")
    if rows is None:
        return None
    epochs = section.epochs if study is None else study.trials * sum(study.epochs) / 2
    return rows * (epochs + ENCODED) * section.max_length


def _cell(data: Path, section: PhaseSettings | FrozenSettings) -> float | None:
    """Pieces that a cell reads, in training and in prediction."""
    reported, training = _rows(data, "*.parquet"), _trained(data / "train", section.trained)
    if reported is None or training is None:
        return None
    return training + (FORWARD + ENCODED) * reported * section.max_length


def _rows(folder: Path, pattern: str) -> int | None:
    """How many rows the tables of a folder have; None where it is not there yet."""
    if not folder.is_dir():
        return None
    import pyarrow.parquet as pq

    return sum(int(pq.read_metadata(path).num_rows) for path in folder.glob(pattern))
