"""What a grid still needs from the Hub: counted and said before its first stage, then fetched.

What enters: params and the names of its tasks, whose places `check` has looked up. What leaves:
files in the cache of huggingface_hub, where the stages find them. With a mirror, and for an encoder
in a folder, there is nothing to fetch.
"""

from __future__ import annotations

import math
import shutil
import sys
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from fnmatch import filter as matching
from functools import cache
from pathlib import Path
from typing import Any, Literal

from tqdm import tqdm

from xstilts.console import bar
from xstilts.errors import UserError, of_disk
from xstilts.params import Params, PretrainSettings, SourceSettings

VOCABULARIES = (
    "sentencepiece.bpe.model",
    "spiece.model",
    "tokenizer.model",
    "vocab.txt",
    "vocab.json",
)
TOKENIZERS = (
    *VOCABULARIES,
    "merges.txt",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
)
ANSWER_S = 10.0  # within which the Hub answers, if it does
MB = 1e6


@dataclass(frozen=True)
class Waiting:
    """A file of a repository that is not in the cache. size: in bytes."""

    repository: str
    kind: Literal["model", "dataset"]
    revision: str  # a commit
    name: str
    size: int


def fetch(params: Params, members: Iterable[str], targets: Iterable[str]) -> None:
    """Say how much is to be fetched for a grid, and fetch it; what is fetched stays."""
    files = [
        *_of_tables(members, targets, params.grid.benchmark, params.source),
        *_of_encoder(params.pretrain),
    ]
    if not files:
        return
    total = sum(file.size for file in files)
    print(f"to fetch: {len(files)} files, {_megabytes(total):,} MB", file=sys.stderr)
    _require_room(total)
    with bar(_megabytes(total), "fetching", "MB", silent=params.run.silent) as shown:
        _fetch_all(files, shown)


def _of_tables(
    members: Iterable[str], targets: Iterable[str], benchmark: str, source: SourceSettings
) -> Iterator[Waiting]:
    """The files of the tables that a grid reads, each once."""
    if source.name != "hub" or source.mirror:
        return
    from xstilts.sources import hub
    from xstilts.sources.needed import look_up

    tables = look_up(members, targets, benchmark, source).tables.values()
    places = [
        place
        for table in tables
        for language in table.there
        for place in hub.located(table.record, table.split, language, source) or ()
    ]
    seen = set()
    for place in places:
        snapshot = place.snapshot
        sizes = dict(zip(snapshot.files, snapshot.sizes, strict=True))
        for name in place.files:
            file = Waiting(snapshot.id, "dataset", snapshot.revision, name, sizes[name])
            if file not in seen and not _is_cached(file):
                yield file
            seen.add(file)


def _of_encoder(pretrain: PretrainSettings) -> Iterator[Waiting]:
    """Config, tokenizer and weights of an encoder on the Hub, as transformers loads them."""
    name = pretrain.encoder
    if name is None or Path(name).exists():
        return
    from huggingface_hub.errors import HTTPError  # type: ignore[attr-defined]  # httpx's

    try:
        info = encoder_info(name, pretrain.revision)
    except (HTTPError, OSError):
        return  # `check` has found it in the cache
    sizes = {file.rfilename: file.size or 0 for file in info.siblings or ()}
    for file in ("config.json", *TOKENIZERS, *weight_names(sizes)):
        if file in sizes:
            found = Waiting(name, "model", str(info.sha), file, sizes[file])
            if not _is_cached(found):
                yield found


def weight_names(names: Collection[str]) -> list[str]:
    """Those of a repository's files that transformers takes the weights from; [] where none are."""
    for whole, parts in (
        ("model.safetensors", "model-*-of-*.safetensors"),
        ("pytorch_model.bin", "pytorch_model-*-of-*.bin"),
    ):
        if whole in names:
            return [whole]
        if found := matching(names, parts):
            return [f"{whole}.index.json", *sorted(found)]
    return []


@cache
def encoder_info(name: str, revision: str | None) -> Any:
    """What the Hub says of a model (`huggingface_hub.ModelInfo`), with the sizes of its files.

    Asked once in a process. Raises huggingface_hub's own errors.
    """
    from huggingface_hub import HfApi

    return HfApi().model_info(name, revision=revision, files_metadata=True, timeout=ANSWER_S)


def _is_cached(file: Waiting) -> bool:
    from huggingface_hub import try_to_load_from_cache

    found = try_to_load_from_cache(
        file.repository, file.name, revision=file.revision, repo_type=file.kind
    )
    return isinstance(found, str)


def _megabytes(size: int) -> int:
    return math.ceil(size / MB)


def _require_room(total: int) -> None:
    from huggingface_hub import constants

    place = Path(constants.HF_HUB_CACHE)
    there = next(folder for folder in (place, *place.parents) if folder.is_dir())
    free = shutil.disk_usage(there).free
    if total > free:
        raise UserError(
            f"{place}: {_megabytes(total):,} MB are to be fetched, {free / MB:,.0f} MB are free; "
            "expected room for all; free some, or let HF_HUB_CACHE name another folder"
        )


def _fetch_all(files: Sequence[Waiting], shown: Any) -> None:
    """Fetch the files one after the other. shown: a bar of all their megabytes."""
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import HTTPError  # type: ignore[attr-defined]  # httpx's

    done = 0
    for file in files:
        part = type("Part", (_Part,), {"shown": shown, "before": done})
        try:
            hf_hub_download(
                file.repository,
                file.name,
                repo_type=file.kind,
                revision=file.revision,
                tqdm_class=part,
            )
        except (HTTPError, OSError) as error:
            if of_disk(error):
                raise
            reason = (str(error).splitlines() or [type(error).__name__])[0]
            raise UserError(
                f"{file.repository}: {file.name} cannot be fetched: {reason}; expected the Hub "
                "online; run the same command again: what is fetched stays"
            ) from None
        done += file.size
        _move(shown, done)


def _move(shown: Any, done: float) -> None:
    """Let the bar stand at so many bytes, in whole megabytes."""
    shown.update(min(math.ceil(done / MB), shown.total) - shown.n)


class _Part(tqdm):  # type: ignore[misc]
    """The bar that huggingface_hub gives a file: nothing is drawn, the bar of all files moves."""

    shown: Any
    before: int  # bytes of the files before this one

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **{**kwargs, "disable": True})
        self.bytes = float(kwargs.get("initial") or 0)  # of it, an earlier run fetched these

    def update(self, n: float | None = 1) -> bool | None:
        """Add bytes."""
        self.bytes += n or 0
        _move(self.shown, self.before + self.bytes)
        return None
