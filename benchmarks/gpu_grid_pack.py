"""A grid for a bare GPU machine: tables, encoder and missing wheels in one small folder.

    PYTHONPATH=src python benchmarks/gpu_grid_pack.py pack EXPERIMENT --encoder FOLDER
    PYTHONPATH=src python benchmarks/gpu_grid_pack.py report results.tar.xz --out work/gpu-grid

`pack` runs the data stages and phase 1 (which names the encoder) here, and writes
.pack/grid.tar.xz and .pack/wheels. The encoder is packed without loss: matrices whose weights are
blocks of 32 with an fp16 scale and four bits each are written as such; of its word rows those are
kept that occur in the grid's tables as they will be encoded, beside the special pieces. A row that
no table reads has no gradient, so that it changes no score. `report` makes the tables from what
gpu_grid.py brings back.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path
from typing import Any

import gpu_grid
import numpy as np
from numpy.typing import NDArray

from xstilts import params as settings
from xstilts.errors import UserError
from xstilts.running.experiments import resolve

# What a machine that has torch, transformers, accelerate, pyarrow and typer lacks.
WHEELS = (
    "annotated-types",
    "pydantic",
    "pydantic-core",
    "ruamel-yaml",
    "typing-extensions",
    "typing-inspection",
)
PLATFORMS = ("manylinux_2_28_x86_64", "manylinux_2_17_x86_64", "manylinux2014_x86_64")
STEPS = (
    -8,
    7,
    -7,
    6,
    -6,
    5,
    -5,
    4,
    -4,
    3,
    -3,
    2,
    -2,
    1,
    -1,
)  # what a block's largest weight may be
PARTS = ("params.yaml", "data", "studies", "models/pretrain", "models/encoder", "encoder")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(required=True)
    one = commands.add_parser("pack")
    one.add_argument("experiment", type=Path)
    one.add_argument("--encoder", type=Path, required=True, help="a folder that transformers loads")
    one.add_argument("--out", type=Path, default=Path(".pack"))
    one.add_argument("--wheels", type=Path, default=Path("constraints.txt"), help="their versions")
    one.set_defaults(run=lambda a: (pack(a.experiment, a.encoder, a.out), wheels(a.wheels, a.out)))
    two = commands.add_parser("report")
    two.add_argument("results", type=Path)
    two.add_argument("--out", type=Path, default=Path("work/gpu-grid"))
    two.set_defaults(run=lambda a: report(a.results, a.out))
    arguments = parser.parse_args()
    os.environ.update(gpu_grid.QUIET)
    try:
        arguments.run(arguments)
    except UserError as error:
        sys.exit(f"gpu_grid_pack: {error}")


def pack(experiment: Path, encoder: Path, out: Path) -> None:
    """OUT/grid.tar.xz: all that gpu_grid.py unpacks."""
    params = resolve(experiment)
    if params.pretrain.encoder is None:
        raise UserError(
            f"{experiment}: pretrain.encoder is null; expected the folder's name; write it there"
        )
    source = params.source.model_copy(update={"path": str(Path(params.source.path).resolve())})
    header = f"Written in full by `xstilts use {experiment.as_posix()}`"
    encoder, out = encoder.resolve(), out.resolve()
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as work, contextlib.chdir(work):
        link = Path(params.pretrain.encoder)
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(encoder)
        settings.write(params, settings.PARAMS, header)
        run_stages(params.model_copy(update={"source": source}))
        occurring = pieces_of(params)
        pack_encoder(encoder, Path("encoder"), occurring)
        (Path("encoder") / "where.json").write_text(json.dumps({"folder": str(link)}))
        with tarfile.open(out / "grid.tar.xz", "w:xz", preset=6) as archive:
            for part in PARTS:
                archive.add(part)
    size = (out / "grid.tar.xz").stat().st_size
    print(f"{out / 'grid.tar.xz'}: {size / 1e6:.1f} MB, {len(occurring)} word rows")


def run_stages(params: settings.Params) -> None:
    """Tables, the studies that search nothing, and phase 1, in the current folder."""
    from xstilts import paths
    from xstilts.phases.pretrain import encoder_stage, pretrain_stage
    from xstilts.sources import prepare
    from xstilts.studies.stage import study_stage

    for row in params.grid.intermediates:
        members = params.intermediates[row].members
        prepare.prepare_intermediate(members, params.source, paths.intermediate_data(row))
        if not gpu_grid.trials_of(params, "intermediate", row):
            study_stage("intermediate", row, params)
    for target in params.grid.targets:
        folder = paths.target_data(target)
        prepare.prepare_target(target, params.source, folder, params.grid.benchmark)
        if not gpu_grid.trials_of(params, "target", target):
            study_stage("target", target, params)
    pretrain_stage(params)
    for replicate in params.grid.replicates:
        encoder_stage(replicate, params)


def pieces_of(params: settings.Params) -> NDArray[np.int64]:
    """Sorted ids of the special pieces and of all that the grid's tables are encoded as."""
    from xstilts import paths
    from xstilts.training import encoder as encoders

    tokenizer = encoders.load_tokenizer(encoders.read_ref(paths.PRETRAIN))
    found = {*tokenizer.all_special_ids}
    jobs = [(row, "") for row in params.grid.intermediates]
    for row, target in [*jobs, *(("", target) for target in params.grid.targets)]:
        for features in gpu_grid.features(params, row, target):
            found |= set(np.unique(features.columns["input_ids"].values).tolist())
    return np.array(sorted(found), np.int64)


# The encoder's folder


def pack_encoder(folder: Path, out: Path, occurring: NDArray[np.int64]) -> None:
    """The folder's small files, and weights.npz in the place of its weights."""
    from safetensors.numpy import load_file

    out.mkdir()
    for path in folder.iterdir():
        if path.suffix == ".json":
            shutil.copyfile(path, out / path.name)
    tensors = load_file(folder / "model.safetensors")
    vocabulary = json.loads((folder / "config.json").read_text())["vocab_size"]
    np.savez(out / "weights.npz", **packed(tensors, occurring, vocabulary))


def packed(
    tensors: dict[str, NDArray[Any]], occurring: NDArray[np.int64], vocabulary: int
) -> dict[str, NDArray[Any]]:
    """What gpu_grid.tensors_of reads. A matrix of `vocabulary` rows holds word rows."""
    found: dict[str, NDArray[Any]] = {}
    for name, tensor in tensors.items():
        words = tensor.ndim == 2 and len(tensor) == vocabulary
        rows = tensor[occurring] if words else tensor
        blocks = blocked(rows) if rows.ndim == 2 and rows.shape[1] % gpu_grid.BLOCK == 0 else None
        if blocks is None:
            found[name] = tensor  # as it is: biases, positions
            continue
        found[f"{name}/shape"] = np.array(tensor.shape)
        found[f"{name}/scales"], found[f"{name}/halves"] = blocks
        if words:
            found[f"{name}/rows"] = occurring
    return found


def blocked(rows: NDArray[Any]) -> tuple[NDArray[np.float16], NDArray[np.uint8]] | None:
    """(scales, halves) that give these very bits again; None where the rows are no such blocks.

    A block's scale is its largest weight divided by the whole number that stands for it: all that
    are possible are tried.
    """
    weights = rows.reshape(-1, gpu_grid.BLOCK)
    bits = weights.view(np.uint32)
    place = np.abs(weights).argmax(axis=1)
    largest = np.take_along_axis(weights, place[:, None], axis=1)[:, 0]
    scales = np.zeros(len(weights), np.float16)
    halves = np.zeros((len(weights), gpu_grid.BLOCK // 2), np.uint8)
    left = np.arange(len(weights))
    for step in STEPS:
        scale = (largest[left] / np.float32(step)).astype(np.float16)
        with np.errstate(divide="ignore", invalid="ignore"):
            numbers = np.rint(weights[left] / scale.astype(np.float32)[:, None]) + 8
        numbers = np.nan_to_num(numbers, nan=8, posinf=8, neginf=8).clip(0, 15).astype(np.uint8)
        half = numbers[:, :16] | numbers[:, 16:] << 4
        right = (gpu_grid.unblocked(scale, half).view(np.uint32) == bits[left]).all(axis=1)
        scales[left[right]], halves[left[right]] = scale[right], half[right]
        left = left[~right]
    return None if len(left) else (scales, halves)


def wheels(constraints: Path, out: Path) -> None:
    """OUT/wheels, for the GPU machine's Python 3.12, in the versions that are tested."""
    lines = constraints.read_text(encoding="utf-8").splitlines()
    wanted = [line for line in lines if line.partition("==")[0] in WHEELS]
    platforms = [f"--platform={platform}" for platform in PLATFORMS]
    shutil.rmtree(out / "wheels", ignore_errors=True)
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:"]
    where = ["--python-version=3.12", "--implementation=cp", *platforms, "-d", str(out / "wheels")]
    subprocess.run([*pip, *where, *wanted], check=True)


# What came back


def report(results: Path, out: Path) -> None:
    """OUT: cards and curves, timings.csv, machine.json, and reports/ of the whole replicates."""
    from xstilts.results.report import report_stage

    out.mkdir(parents=True, exist_ok=True)
    with tarfile.open(results) as archive:
        archive.extractall(out, filter="data")
    machine = json.loads((out / "machine.json").read_text())
    if not machine["replicates"]:
        raise UserError(f"{results}: no replicate is whole; expected one; give it more minutes")
    params = settings.load(out / "params.yaml")
    grid = params.grid.model_copy(update={"replicates": machine["replicates"]})
    name = f"{params.experiment} on {machine['card']}"
    report_stage(name, grid, params.answers, out / "cells", out / "reports")
    print((out / "reports/report.md").read_text())


if __name__ == "__main__":
    main()
