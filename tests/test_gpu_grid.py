"""The pack for a GPU machine: unpacked and run here, on a tiny encoder and a few rows."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tarfile
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file, save_file

from tests.conftest import ROOT
from tests.models import tiny_encoder
from xstilts.formats.cards import read_card
from xstilts.params import read_yaml

sys.path.append(str(ROOT / "benchmarks"))
import gpu_grid
import gpu_grid_pack

SPECIAL = {0, 1, 2, 3}
EXPERIMENT = """
experiment: tiny
source:
  name: files
  path: {shared}/data
  tasks:
    mnli:
      train: [{{reader: three-columns, path: snli/cad-original/train.tsv, rows: [0, 40]}}]
      dev: [{{reader: three-columns, path: snli/cad-original/dev.tsv, rows: [0, 20]}}]
    xnli:
      languages: [en, de]
      dev: [{{reader: xtreme-pairs, path: "xnli/dev-{{language}}.tsv", rows: [0, 20]}}]
      test:
        - reader: xtreme-pairs
          path: "xnli/test-{{language}}.tsv"
          rows: [0, 20]
          labels: xnli/labelled/xglue-de-test.tsv
    pawsx:
      languages: [en, de]
      train: [{{reader: xtreme-pairs, path: "pawsx/dev-{{language}}.tsv", rows: [0, 40]}}]
      dev: [{{reader: xtreme-pairs, path: "pawsx/dev-{{language}}.tsv", rows: [40, 50]}}]
      test: [{{reader: xtreme-pairs, path: "pawsx/dev-{{language}}.tsv", rows: [50, 60]}}]
    tatoeba: {{languages: [te]}}
pretrain: {{encoder: models/tiny}}
training: {{device: cpu, evaluations: 1}}
grid: {{intermediates: [none, mnli], targets: [xnli, pawsx, tatoeba], replicates: [1, 2]}}
study:
  intermediate: {{mnli: {{trials: 2, epochs: [1, 2]}}}}
  target: {{xnli: {{trials: 2, epochs: [1, 2]}}}}
intermediates: {{none: {{}}, mnli: {{members: {{mnli: null}}, epochs: 1, max_length: 48}}}}
targets:
  xnli: &pairs {{epochs: 1, max_length: 48}}
  pawsx: *pairs
  tatoeba: {{layer: 1, max_length: 48}}
"""


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny BERT whose matrices are blocks of 32 weights, a scale and four bits each."""
    folder = tmp_path_factory.mktemp("encoder")
    tiny_encoder("bert", folder, dropout=0.0)
    rng = np.random.default_rng(1)
    tensors = {
        name.removeprefix("bert."): tensor
        for name, tensor in load_file(folder / "model.safetensors").items()
        if name.startswith("bert.")
    }
    for name, tensor in tensors.items():
        if tensor.ndim == 2 and tensor.shape[1] % gpu_grid.BLOCK == 0 and "position" not in name:
            size = tensor.size // gpu_grid.BLOCK
            scales = rng.normal(0, 0.02, size).astype(np.float16)
            halves = rng.integers(0, 256, (size, 16), np.uint8)
            tensors[name] = gpu_grid.unblocked(scales, halves).reshape(tensor.shape)
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})
    return folder


@pytest.fixture(scope="module")
def pack(encoder: Path, shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pack")
    experiment = folder / "tiny.yaml"
    experiment.write_text(EXPERIMENT.format(shared=shared), encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XSTILTS_TRACKING", "off")
        gpu_grid_pack.pack(experiment, encoder, folder / "out")
    return folder / "out"


def test_unpacked_weights_are_the_packed_ones_bit_by_bit(
    pack: Path, encoder: Path, tmp_path: Path
) -> None:
    gpu_grid.unpack(pack, tmp_path)
    found = load_file(tmp_path / "models/tiny/model.safetensors")
    wanted = load_file(encoder / "model.safetensors")
    assert found.keys() == wanted.keys()
    words = "embeddings.word_embeddings.weight"
    here = np.flatnonzero(found[words].any(axis=1))
    assert set(here.tolist()) > SPECIAL and len(here) < len(wanted[words])
    for name, tensor in wanted.items():
        rows = here if name == words else slice(None)
        assert found[name].dtype == tensor.dtype
        assert found[name][rows].tobytes() == tensor[rows].tobytes(), name
    assert not (tmp_path / "models/tiny/weights.npz").exists()
    assert (tmp_path / "models/tiny/tokenizer.json").read_bytes() == (
        encoder / "tokenizer.json"
    ).read_bytes()


def test_every_block_comes_back_and_what_is_none_is_refused() -> None:
    rng = np.random.default_rng(2)
    halves = rng.integers(0, 256, (4000, 16), np.uint8)
    halves[0] = 8 * 17  # nothing but zeros, of which a negative scale makes -0.0
    halves[1] = 9 * 17  # ones alone: any step could be theirs
    scales = rng.normal(0, 0.05, 4000).astype(np.float16)
    scales[2] = 6e-8  # the smallest number that fp16 has
    weights = gpu_grid.unblocked(scales, halves).reshape(-1, 64)
    blocks = gpu_grid_pack.blocked(weights)
    assert blocks is not None
    assert gpu_grid.unblocked(*blocks).tobytes() == weights.tobytes()
    assert gpu_grid_pack.blocked(rng.normal(size=(8, 64)).astype(np.float32)) is None


@pytest.mark.slow
def test_runs_on_a_machine_without_the_rest_of_our_packages(pack: Path, tmp_path: Path) -> None:
    """The grid's cells come back, and the report reads them; neither texts nor weights do."""
    (tmp_path / "sitecustomize.py").write_text(
        "import sys\n"
        "for name in ('mlflow', 'dvc', 'datasets', 'matplotlib', 'scipy'):\n"
        "    sys.modules[name] = None\n"
    )
    command = [sys.executable, str(ROOT / "benchmarks/gpu_grid.py"), str(pack), "--workers", "1",
               "--work", str(tmp_path / "work"), "--layers", "tatoeba", "--as", "pawsx=xnli",
               "--out", str(tmp_path)]  # fmt: skip
    environment = {**os.environ, "PYTHONPATH": f"{tmp_path}:{ROOT / 'src'}"}
    run = partial(subprocess.run, check=True, env=environment, timeout=300)
    run([*command, "--replicates", "1"])
    run(command)  # goes on
    with tarfile.open(tmp_path / "results.tar.xz") as archive:
        names = archive.getnames()
    studies = {"mnli.yaml", "none.yaml", "pawsx.yaml", "tatoeba.yaml", "xnli.yaml"}
    assert {Path(name).name for name in names} - studies == {
        "params.yaml", "card.json", "history.csv", "sums.json", "layers.csv", "timings.csv",
        "machine.json",
    }  # fmt: skip
    out = tmp_path / "report"
    gpu_grid_pack.report(tmp_path / "results.tar.xz", out)
    machine = json.loads((out / "machine.json").read_text())
    assert machine["replicates"] == [1, 2] and machine["torch"] == torch.__version__
    assert read_yaml(out / "studies/target/pawsx.yaml") == read_yaml(
        out / "studies/target/xnli.yaml"
    )
    found = read_yaml(out / "studies/target/pawsx.yaml")["epochs"]
    for target in ("xnli", "pawsx"):
        card = read_card(out / f"cells/mnli/{target}/2")
        assert card.encoder == "models/tiny" and set(card.scores["test"]) == {"en", "de"}
        assert card.settings["epochs"].value == found
    assert "tiny on " in (out / "reports/report.md").read_text()
    assert (out / "layers/mnli-tatoeba/layers.csv").stat().st_size
    jobs = [line.split(",")[0] for line in (out / "timings.csv").read_text().splitlines()[1:]]
    assert sum(not job.startswith("encode") for job in jobs) == 2 + 4 + 12 + 2
