"""An encoder that is to come from the Hub: its files are counted, fetched, and that once."""

from __future__ import annotations

import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import huggingface_hub
import pytest

from xstilts.errors import UserError
from xstilts.looking import fetching
from xstilts.params import Params, PretrainSettings, RunSettings

COMMIT = "1" * 40
SIZES = {
    "config.json": 700,
    "tokenizer.json": 17_000_000,
    "sentencepiece.bpe.model": 5_000_000,
    "model.safetensors": 471_000_000,
    "pytorch_model.bin": 471_000_000,
    "onnx/model.onnx": 470_000_000,
    "README.md": 490_000,
}


class Hub:
    """Stands for huggingface_hub: what it was asked for, and what fails."""

    def __init__(self) -> None:
        self.fetched: list[str] = []
        self.cached = {"config.json", "tokenizer.json"}  # the check has fetched them
        self.fails = ""
        self.moved: list[int] = []

    def model_info(self, name: str, **asked: Any) -> Any:
        assert asked["files_metadata"] and asked["timeout"] == fetching.ANSWER_S
        files = [SimpleNamespace(rfilename=file, size=size) for file, size in SIZES.items()]
        return SimpleNamespace(sha=COMMIT, siblings=files)

    def try_to_load_from_cache(self, name: str, file: str, **asked: Any) -> str | None:
        assert asked == {"revision": COMMIT, "repo_type": "model"}
        return file if file in self.cached else None

    def hf_hub_download(self, name: str, file: str, tqdm_class: Any, **asked: Any) -> str:
        assert asked == {"revision": COMMIT, "repo_type": "model"}
        if file == self.fails:
            raise ConnectionError("reset by peer")
        # Half of it lay there from before, as hf_hub_download says it.
        with tqdm_class(total=SIZES[file], initial=SIZES[file] // 2, unit="B", desc=file) as shown:
            shown.update(SIZES[file] // 4)
            self.moved.append(tqdm_class.shown.n)
        self.cached.add(file)
        self.fetched.append(file)
        return file


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Hub:
    made = Hub()
    monkeypatch.setattr(huggingface_hub, "HfApi", lambda: made)
    for name in ("try_to_load_from_cache", "hf_hub_download"):
        monkeypatch.setattr(huggingface_hub, name, getattr(made, name))
    fetching.encoder_info.cache_clear()
    return made


def params(encoder: str = "someone/encoder", silent: bool = False) -> Params:
    run = RunSettings(progress="off" if silent else "auto")
    return Params(pretrain=PretrainSettings(encoder=encoder), run=run)


@pytest.mark.parametrize("silent", [False, True])
def test_what_is_missing_is_said_and_fetched_once(
    hub: Hub, capsys: pytest.CaptureFixture[str], silent: bool
) -> None:
    """Neither a second copy of the weights, nor what the check has fetched already."""
    fetching.fetch(params(silent=silent), [], [])
    assert "to fetch: 2 files, 476 MB\n" in capsys.readouterr().err
    assert hub.fetched == ["sentencepiece.bpe.model", "model.safetensors"]
    # Whole megabytes of both: 3/4 of the first; the first, and 3/4 of the second.
    assert silent or hub.moved == [4, 5 + 354]
    fetching.fetch(params(silent=silent), [], [])
    assert capsys.readouterr().err == "" and len(hub.fetched) == 2


def test_a_folder_is_fetched_from_nowhere(hub: Hub, tmp_path: Path) -> None:
    fetching.fetch(params(str(tmp_path)), [], [])
    fetching.fetch(Params(), [], [])
    assert hub.fetched == []


def test_what_breaks_off_is_one_line_and_goes_on_later(hub: Hub) -> None:
    hub.fails = "model.safetensors"
    with pytest.raises(
        UserError, match=r"someone/encoder: model\.safetensors .*reset by peer.*again"
    ):
        fetching.fetch(params(), [], [])
    hub.fails = ""
    fetching.fetch(params(), [], [])
    assert hub.fetched == ["sentencepiece.bpe.model", "model.safetensors"]


def test_a_disk_without_room_for_it(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    used = shutil.disk_usage(".")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: used._replace(free=10**7))
    with pytest.raises(UserError, match="476 MB are to be fetched, 10 MB are free"):
        fetching.fetch(params(), [], [])
    assert hub.fetched == []


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["a", "model.safetensors", "pytorch_model.bin"], ["model.safetensors"]),
        (
            ["model-00002-of-00002.safetensors", "model-00001-of-00002.safetensors", "x.bin"],
            [
                "model.safetensors.index.json",
                *(f"model-0000{n}-of-00002.safetensors" for n in (1, 2)),
            ],
        ),
        (["pytorch_model.bin", "onnx/model.safetensors"], ["pytorch_model.bin"]),
        (["tf_model.h5"], []),
    ],
)
def test_weights_are_those_that_transformers_takes(names: list[str], expected: list[str]) -> None:
    assert fetching.weight_names(names) == expected
