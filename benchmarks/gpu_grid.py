"""A grid of real cells on one GPU, many cells in one process: what gpu_grid_pack.py packed.

    PYTHONPATH=src python benchmarks/gpu_grid.py .pack --out OUT --minutes 5

Runs on a bare machine: torch, transformers, accelerate, pyarrow, and the wheels of the pack; no
network, no DVC, no MLflow. Several processes share the card and take jobs from one list: studies,
then the first replicate's cells, then the next's, so that a time that runs out costs replicates and
nothing else. OUT/results.tar.xz holds cards, curves, what the studies found, every layer's scores
(--layers), timings.csv and machine.json, and neither predictions nor weights; it is written anew
after each replicate. A second run with the same --work goes on. `gpu_grid_pack.py report` makes the
tables from it.
"""

from __future__ import annotations

import argparse
import csv
import gc
import io
import json
import lzma
import multiprocessing
import os
import resource
import shutil
import sys
import tarfile
import tempfile
import time
import traceback
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

BLOCK = 32  # weights that share a scale
ROOM_GB = 30  # of models and checkpoints; in memory where it has so much
ENCODERS = 4  # processes that encode one target's tables
QUIET = {"XSTILTS_TRACKING": "off", "OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"}
RETURNED = {  # folder: the files in it that come back
    "models": ("card.json", "history.csv"),
    "cells": ("card.json", "history.csv", "sums.json"),
    "studies": ("*.yaml",),
    "layers": ("layers.csv",),
}


@dataclass(frozen=True)
class Job:
    """kind: encode (row or target, `replicate` is the part), study (of a row or target),
    intermediate, target, or layers."""

    kind: str
    row: str
    target: str
    replicate: int
    needs: tuple[Job, ...] = ()

    @property
    def name(self) -> str:
        parts = (self.kind, self.row, self.target, str(self.replicate))
        return "-".join(part for part in parts if part)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("pack", type=Path)
    parser.add_argument("--out", type=Path, default=Path("."))
    parser.add_argument("--work", type=Path, help="where all is unpacked; default: in memory")
    parser.add_argument("--minutes", type=float, default=5.0, help="from now until results are out")
    parser.add_argument("--workers", type=int, default=8)
    parser.add_argument("--replicates", type=int, help="the first so many alone")
    parser.add_argument("--layers", nargs="*", default=[], help="targets: every layer, replicate 1")
    parser.add_argument(
        "--as",
        dest="same",
        nargs="*",
        default=[],
        metavar="TARGET=OTHER",
        help="TARGET takes what OTHER's study finds",
    )
    arguments = parser.parse_args()
    end = time.monotonic() + 60 * arguments.minutes - 8  # seconds to write the results
    os.environ.update(QUIET)
    out = arguments.out.resolve()
    out.mkdir(parents=True, exist_ok=True)
    work = arguments.work or Path(tempfile.mkdtemp(prefix="grid-", dir=roomy()))
    try:
        started = time.monotonic()
        if not (work / "params.yaml").exists():
            unpack(arguments.pack.resolve(), work)
        os.chdir(work)
        say(f"unpacked in {time.monotonic() - started:.1f} s, to {work}")
        missing = run(arguments, end, out)
    finally:
        if not arguments.work:
            shutil.rmtree(work, ignore_errors=True)
    sys.exit(1 if missing else 0)


def say(line: str) -> None:
    print(line, flush=True)


def roomy() -> str | None:
    """Memory where it is large enough: a kept checkpoint is written in half the time."""
    memory = Path("/dev/shm")
    if memory.is_dir() and shutil.disk_usage(memory).free > ROOM_GB * 2**30:
        return str(memory)
    return None


# What gpu_grid_pack.py packed


def unpack(pack: Path, work: Path) -> None:
    """params, tables, studies, models/pretrain; the encoder's folder, rows that never occur 0."""
    work.mkdir(parents=True, exist_ok=True)
    with tarfile.open(pack / "grid.tar.xz") as archive:
        archive.extractall(work, filter="data")
    params = work / "params.yaml"
    params.rename(params.with_suffix(".new"))
    packed = work / "encoder"
    folder = work / json.loads((packed / "where.json").read_text())["folder"]
    folder.parent.mkdir(parents=True, exist_ok=True)
    shutil.move(packed, folder)
    from safetensors.numpy import save_file

    save_file(tensors_of(folder / "weights.npz"), folder / "model.safetensors", {"format": "pt"})
    (folder / "weights.npz").unlink()
    params.with_suffix(".new").rename(params)  # last: it says that all is unpacked


def tensors_of(path: Path) -> dict[str, NDArray[Any]]:
    """The file's arrays, by tensor: NAME whole; or NAME/scales and NAME/halves, four bits a weight;
    with NAME/rows, those rows of NAME/shape, the others 0."""
    tensors = {}
    with np.load(path) as file:
        for name in dict.fromkeys(key.split("/")[0] for key in file.files):
            if name in file.files:
                tensors[name] = file[name]
                continue
            shape = tuple(file[f"{name}/shape"])
            rows = unblocked(file[f"{name}/scales"], file[f"{name}/halves"]).reshape(-1, shape[1])
            if f"{name}/rows" in file.files:
                whole = np.zeros(shape, np.float32)
                whole[file[f"{name}/rows"]] = rows
                rows = whole
            tensors[name] = rows
    return tensors


def unblocked(scales: NDArray[np.float16], halves: NDArray[np.uint8]) -> NDArray[np.float32]:
    """(blocks, 32) weights. Byte j of 16: weight j in its low half, j + 16 in its high half."""
    numbers = np.concatenate([halves & 15, halves >> 4], axis=1).astype(np.float32) - 8
    weights: NDArray[np.float32] = numbers * scales.astype(np.float32)[:, None]
    return weights


# The list of jobs


def trials_of(params: Any, phase: str, name: str) -> int:
    section = getattr(params.study, phase).get(name)
    return section.trials if section else 0


def jobs_of(
    params: Any, replicates: Sequence[int], layers: Sequence[str], same: Mapping[str, str]
) -> list[Job]:
    """In the order in which they are wanted: studies, then a replicate as a whole before the next.

    same: {target: another, whose study it takes}.
    """
    rows, targets = params.grid.intermediates, params.grid.targets
    parts = {
        target: [Job("encode", "", target, part) for part in range(ENCODERS)] for target in targets
    }
    encoding = {row: Job("encode", row, "", 0) for row in rows}
    # Part 0 of each first: it has what trains.
    tables = [parts[target][part] for part in range(ENCODERS) for target in targets]
    searched = {row: (Job("study", row, "", 0, (encoding[row],)),)
                for row in rows if trials_of(params, "intermediate", row)}  # fmt: skip
    of_targets = {target: (Job("study", "", target, 0, (parts[target][0],)),)
                  for target in targets if trials_of(params, "target", target)}  # fmt: skip
    studies = [*searched.values(), *of_targets.values()]
    of_targets |= {target: of_targets[other] for target, other in same.items()}
    listed = [*encoding.values(), *tables[: len(targets)], *(job for (job,) in studies)]
    tables = tables[len(targets) :]
    for replicate in replicates:
        models = {
            row: Job("intermediate", row, "", replicate, (encoding[row], *searched.get(row, ())))
            for row in rows
        }
        listed += [*models.values(), *tables]
        tables = []
        listed += [
            Job("target", row, target, replicate,
                (models[row], *parts[target], *of_targets.get(target, ())))
            for row in rows
            for target in targets
        ]  # fmt: skip
        if replicate == replicates[0]:
            listed += [
                Job("layers", row, target, replicate, (models[row], *parts[target]))
                for row in rows
                for target in layers
            ]
    return listed


def run(arguments: argparse.Namespace, end: float, out: Path) -> int:
    """All jobs, or as many as the time allows; how many of the grid's cells are missing."""
    from xstilts import params as settings

    params = settings.load()
    replicates = params.grid.replicates[: arguments.replicates]
    same = dict(pair.split("=") for pair in arguments.same)
    waiting = jobs_of(params, replicates, arguments.layers, same)
    cells = {job for job in waiting if job.kind == "target"}
    done = {job for job in waiting if ended(job)}
    waiting = [job for job in waiting if job not in done]
    kept = Path("timings.json")  # of a run before
    timings: list[dict[str, Any]] = json.loads(kept.read_text()) if kept.exists() else []
    machine: dict[str, Any] = {"workers": arguments.workers}
    whole: list[int] = []
    started = time.monotonic()
    with Workers(arguments.workers) as workers:
        while waiting or workers.busy:
            workers.give(waiting, done)
            if not workers.busy:  # what is left needs a job that failed
                break
            for job, result in workers.results(end - time.monotonic()):
                machine |= result.pop("machine", {})
                if "error" in result:
                    say(f"{job.name}: {result['error']}")
                    continue
                done.add(job)
                for target, other in same.items():
                    if job.kind == "study" and job.target == other:
                        studies = Path("studies/target")
                        shutil.copyfile(studies / f"{other}.yaml", studies / f"{target}.yaml")
                timings.append({"job": job.name, **result})
                say(f"{time.monotonic() - started:6.1f} s  {job.name}  {shown(result)}")
                found = [r for r in replicates if {c for c in cells if c.replicate == r} <= done]
                if found != whole:
                    whole = found
                    write_results(out, timings, {**machine, "replicates": whole})
            if time.monotonic() >= end:
                say("the time is up")
                break
    machine["seconds"] = round(time.monotonic() - started, 1)
    kept.write_text(json.dumps(timings))
    write_results(out, timings, {**machine, "replicates": whole})
    missing = len(cells - done)
    say(f"{machine.get('card')}: {len(cells) - missing} of {len(cells)} cells, whole: {whole}")
    return missing


def ended(job: Job) -> bool:
    """By a run before this one, in the same folder. Tables are looked for again: it is quick."""
    from xstilts import paths

    made = {
        "study": lambda: paths.study(phase_of(job), job.row or job.target),
        "intermediate": lambda: paths.intermediate_model(job.row, job.replicate) / "card.json",
        "target": lambda: paths.cell(job.row, job.target, job.replicate) / "card.json",
        "layers": lambda: layers_folder(job) / "layers.csv",
    }
    return job.kind in made and made[job.kind]().exists()


def phase_of(job: Job) -> Any:
    return "intermediate" if job.row else "target"


def layers_folder(job: Job) -> Path:
    return Path("layers", f"{job.row}-{job.target}")


def shown(result: dict[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in result.items() if value not in ("", 0))


class Workers:
    """Processes that each run one job after another; the end of the block ends them."""

    def __init__(self, number: int) -> None:
        context = multiprocessing.get_context("spawn")
        self.busy: dict[Connection, Job] = {}
        self.idle: list[Connection] = []
        self.processes = []
        for _ in range(number):
            ours, theirs = context.Pipe()
            process = context.Process(target=work_off, args=(theirs,), daemon=True)
            process.start()
            theirs.close()
            self.processes.append(process)
            self.idle.append(ours)

    def __enter__(self) -> Workers:
        return self

    def __exit__(self, *_: object) -> None:
        for process in self.processes:
            process.terminate()
        for process in self.processes:
            process.join(5)

    def give(self, waiting: list[Job], done: set[Job]) -> None:
        """The first jobs that need nothing more, to those who have none."""
        for job in [job for job in waiting if set(job.needs) <= done][: len(self.idle)]:
            waiting.remove(job)
            connection = self.idle.pop()
            connection.send(job)
            self.busy[connection] = job

    def results(self, seconds: float) -> Iterator[tuple[Job, dict[str, Any]]]:
        """What came back within so many seconds; a process that died is not asked again."""
        for connection in wait(list(self.busy), max(0.0, seconds)):
            assert isinstance(connection, Connection)
            job = self.busy.pop(connection)
            try:
                result = connection.recv()
            except (EOFError, ConnectionResetError):
                yield job, {"error": "its process died"}
                continue
            self.idle.append(connection)
            yield job, result


# A process


def work_off(jobs: Connection) -> None:
    """Runs jobs as they come; the imports, the card and the tokenizer are paid for once."""
    from xstilts import params as settings

    params = settings.load()
    watch = Watch()
    while True:
        try:
            job = jobs.recv()
        except EOFError:
            return
        watch.clear()
        try:
            run_job(job, params)
            jobs.send(watch.read())
        except Exception:  # the others go on; the text says which job and where
            jobs.send({"error": traceback.format_exc()})


def run_job(job: Job, params: Any) -> None:
    from xstilts import paths
    from xstilts.phases.intermediate import intermediate_stage
    from xstilts.phases.target import target_stage
    from xstilts.results.answers.sums import keep_sums

    if job.kind == "encode":
        for _ in features(params, job.row, job.target, (job.replicate, ENCODERS)):
            pass
    elif job.kind == "study":
        from xstilts.studies import plots
        from xstilts.studies.stage import study_stage

        plots.draw = lambda *_: None  # type: ignore[assignment]
        study_stage(phase_of(job), job.row or job.target, params)
    elif job.kind == "intermediate":
        intermediate_stage(job.row, job.replicate, params)
    elif job.kind == "layers":
        look(job, params)
    else:
        target_stage(job.row, job.target, job.replicate, params)
        keep_sums(paths.cell(job.row, job.target, job.replicate))


def look(job: Job, params: Any) -> None:
    """`xstilts layers`."""
    from xstilts import paths
    from xstilts.formats.tables import write_text
    from xstilts.looking import layers
    from xstilts.training import encoder as encoders

    ref = encoders.read_ref(paths.intermediate_model(job.row, job.replicate))
    data, length = paths.target_data(job.target), params.targets[job.target].max_length
    scores = layers.layers_of(ref, data, params.training, length, paths.FEATURES, silent=True)
    write_text(layers_folder(job) / "layers.csv", layers.as_csv({job.row: scores}))


def features(
    params: Any, row: str = "", target: str = "", part: tuple[int, int] = (0, 1)
) -> Iterator[Any]:
    """The encoded tables of a row or a target, as the stages will look for them in the cache.

    part: (k, n), of a target's tables every n-th from k; what trains comes with the first.
    """
    from xstilts import paths
    from xstilts.formats.tables import read_record, read_table, tables_in
    from xstilts.phases.members import members_of
    from xstilts.training import encoder as encoders
    from xstilts.training.context import Context
    from xstilts.training.evaluation import encode
    from xstilts.training.task import task

    tokenizer = encoders.load_tokenizer(encoders.read_ref(paths.PRETRAIN))
    context = Context(params.training, tokenizer, paths.WORK, paths.FEATURES)
    section = params.intermediates[row] if row else params.targets[target]
    data = paths.intermediate_data(row) if row else paths.target_data(target)
    trained = data if row else data / "train"
    if part[0] == 0 and trained.is_dir():
        for folder in sorted(path for path in trained.iterdir() if path.is_dir()):
            for member in members_of(folder, section, context)[0]:
                yield from filter(None, (member.features, member.select_features))
    if target:
        record = read_record(data)
        for split, language in list(tables_in(data))[part[0] :: part[1]]:
            table = read_table(data, split, language)
            yield encode(table, task(record, section), tokenizer, paths.FEATURES)


class Watch:
    """How long a job takes, how much of it trains, how fast, and the memory that it needs."""

    def __init__(self) -> None:
        import torch

        from xstilts.formats.tables import file_digest
        from xstilts.phases import intermediate, target
        from xstilts.training import encoder as encoders

        self.cuda = torch.cuda.is_available()
        self.machine = machine()
        train, load, known = target.train, encoders.load_tokenizer, {}

        def timed(model: Any, members: Any, plan: Any, setup: Any) -> Any:
            started = time.monotonic()
            progress, selection = train(model, members, plan, setup)
            self.seconds += time.monotonic() - started
            self.steps += progress.step
            self.examples += progress.step * plan.batch_size
            return progress, selection

        def loaded(ref: Any) -> Any:  # every row's tokenizer is the encoder's: read it once
            path = Path(ref.location, "tokenizer.json")
            key = file_digest(path)
            if key not in known:
                known[key] = load(ref)
            return known[key]

        intermediate.train = target.train = timed  # type: ignore[assignment]
        encoders.load_tokenizer = loaded  # type: ignore[assignment]

    def clear(self) -> None:
        import torch

        gc.collect()
        if self.cuda:
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats()
        self.started, self.seconds, self.steps, self.examples = time.monotonic(), 0.0, 0, 0

    def read(self) -> dict[str, Any]:
        import torch

        peak = (
            torch.cuda.max_memory_allocated() / 2**20
            if self.cuda
            else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        )
        return {
            "seconds": round(time.monotonic() - self.started, 2),
            "training_s": round(self.seconds, 2),
            "steps": self.steps,
            "examples_per_s": round(self.examples / self.seconds, 1) if self.steps else 0,
            "peak_mb": round(peak),
            "machine": self.machine,
        }


def machine() -> dict[str, Any]:
    import torch
    import transformers

    return {
        "card": torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu",
        "python": sys.version.split()[0],
        "torch": torch.__version__,
        "transformers": transformers.__version__,
        "cores": os.cpu_count(),
    }


# What comes back


def write_results(out: Path, timings: Sequence[dict[str, Any]], about: dict[str, Any]) -> None:
    """OUT/results.tar.xz, replaced at once."""
    text = io.StringIO()
    names = list(dict.fromkeys(name for line in timings for name in line))
    lines = csv.DictWriter(text, names, lineterminator="\n")
    lines.writeheader()
    lines.writerows(timings)
    added = {"timings.csv": text.getvalue(), "machine.json": json.dumps(about, indent=1) + "\n"}
    new = out / ".results.new"
    with lzma.open(new, "w") as file, tarfile.open(fileobj=file, mode="w") as archive:
        archive.add("params.yaml")
        for folder, names in RETURNED.items():
            for path in sorted(found for name in names for found in Path(folder).rglob(name)):
                # A folder whose name begins with a dot is not finished.
                if not any(part.startswith(".") for part in path.parts):
                    archive.add(path)
        for name, content in added.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content.encode())
            archive.addfile(entry, io.BytesIO(content.encode()))
    os.replace(new, out / "results.tar.xz")


if __name__ == "__main__":
    main()
