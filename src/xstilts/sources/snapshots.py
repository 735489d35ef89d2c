"""Repositories of the Hub at one revision: their files, and the rows of their tables.

What enters: an id, a revision, a mirror or none. What leaves: a `Snapshot`; features and rows. A
mirror is a cache folder of huggingface_hub: then nothing touches the network. This room must not
know which task the rows are of.
"""

from __future__ import annotations

import re
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path
from typing import Any

from datasets import Dataset, Features
from datasets import disable_progress_bars as disable_conversion_bars
from datasets.exceptions import DatasetGenerationError
from huggingface_hub import DatasetCard, HfApi, hf_hub_download, snapshot_download
from huggingface_hub.errors import (  # type: ignore[attr-defined]  # HTTPError is httpx's
    HTTPError,
    LocalEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from huggingface_hub.utils.tqdm import disable_progress_bars

from xstilts.errors import Unreachable, UserError, nearest

CARD = "README.md"
_SHARD = re.compile(r"-(\d{5})-of-(\d{5})(-[0-9a-f]+)?\.parquet$")
disable_conversion_bars()  # of a second; what is fetched keeps its own where somebody looks
if not sys.stderr.isatty():
    disable_progress_bars()


@dataclass(frozen=True)
class Snapshot:
    """A repository at one revision, and its files. folder: where they lie; None: on the Hub."""

    id: str
    revision: str  # a commit
    files: tuple[str, ...]
    folder: Path | None
    sizes: tuple[int, ...] = ()  # in bytes, of the files on the Hub

    def at(self, problem: str) -> UserError:
        """An error that names the repository and revision."""
        where = f"{self.id}@{self.revision[:12]}"
        return UserError(" ".join(f"{where}: {problem}".split()))

    def local(self, file: str) -> Path:
        """The file on this machine, fetched once."""
        if self.folder is not None:
            return self.folder / file
        try:
            path = hf_hub_download(self.id, file, repo_type="dataset", revision=self.revision)
        except (HTTPError, OSError) as error:
            raise _unreachable(self.id, error) from None
        return Path(path)


def at_revision(name: str, revision: str, mirror: str | None, pinned_by: Path | None) -> Snapshot:
    """The repository at a revision (a commit or a branch), and at no other."""
    try:
        return resolved(name, revision, mirror)
    except (RevisionNotFoundError, LocalEntryNotFoundError):
        where = mirror or "the Hub"
        why = f"which {pinned_by} pins, " if pinned_by else ""
        raise UserError(
            f"{name}: revision {revision}, {why}is not in {where}; expected that "
            f"revision and no other; fetch it{', or pin another' if pinned_by else ''}"
        ) from None
    except RepositoryNotFoundError:
        raise UserError(
            f"{name}: the Hub has no such data set, or not for you; expected the one of "
            "its entry in tasks/catalogue; `hf auth login`, or name another copy in source.tasks"
        ) from None
    except (HTTPError, OSError) as error:
        raise _unreachable(name, error) from None


@cache
def resolved(name: str, revision: str, mirror: str | None) -> Snapshot:
    """As `at_revision`, but cached for the process, and with huggingface_hub's own errors."""
    if mirror is None:
        info = HfApi().dataset_info(name, revision=revision, files_metadata=True)
        sizes = {file.rfilename: file.size or 0 for file in info.siblings or ()}
        files = tuple(sorted(sizes))
        return Snapshot(name, str(info.sha), files, None, tuple(sizes[file] for file in files))
    if not Path(mirror).is_dir():
        raise UserError(
            f"params.yaml: source.mirror: {mirror} is no folder; expected a cache folder of "
            "huggingface_hub with datasets--OWNER--NAME in it"
        )
    folder = Path(
        snapshot_download(
            name,
            repo_type="dataset",
            revision=revision,
            cache_dir=mirror,
            local_files_only=True,
            allow_patterns=[CARD],  # a mirror need not have what no table is read from
        )
    )
    inside = (path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    return Snapshot(name, folder.name, tuple(sorted(inside)), folder)


def _unreachable(name: str, error: Exception) -> Unreachable:
    reason = (str(error).splitlines() or [type(error).__name__])[0]
    return Unreachable(
        f"{name}: the Hub cannot be reached: {reason}; expected it online; try again, or set "
        "source.mirror to a folder that mirrors it"
    )


def files_of(found_in: Snapshot, configs: Sequence[str], split: str) -> tuple[str, list[str]]:
    """(the first of the configurations that is there, its Parquet files of a split).

    The repository's card says which files they are; without a card they lie as in the Hub's own
    conversion, CONFIG/SPLIT/0000.parquet.
    """
    declared = list(_declared(found_in))
    known = {config for config, _, _ in declared}
    for wanted in configs:
        places = [place for place in declared if fnmatchcase(place[0], wanted)]
        if places:
            break
    else:
        raise found_in.at(f"no configuration '{configs[0]}'{nearest(configs[0], known)}")
    patterns = [pattern for _, name, pattern in places if fnmatchcase(name, split)]
    files = [
        file
        for file in found_in.files
        if any(fnmatchcase(file, pattern) for pattern in patterns) and file.endswith(".parquet")
    ]
    if not files:
        raise found_in.at(
            f"no Parquet file of {wanted}, {split}; expected {', '.join(patterns) or 'the split'}; "
            "fetch it, or pin a revision that has it"
        )
    for shard in filter(None, map(_SHARD.search, files)):
        total = int(shard[2])
        stem = shard.string[: shard.start()]
        there = sum(file.startswith(f"{stem}-") for file in files)
        if there != total:
            raise found_in.at(
                f"{stem}: {there} of {total} shards; expected all of them; fetch the rest"
            )
    return wanted, files


def _declared(found_in: Snapshot) -> Iterator[tuple[str, str, str]]:
    """(configuration, split, pattern of files) of all that the repository offers."""
    configs: Any = None
    if CARD in found_in.files:
        configs = _configs(found_in.local(CARD))
    for config in configs or ():
        for place in config.get("data_files") or ():
            if not isinstance(place, dict) or not {"split", "path"} <= set(place):
                raise found_in.at(f"{CARD}: configs: {place!r}; expected a split and its path")
            paths = place["path"] if isinstance(place["path"], list) else [place["path"]]
            yield from ((str(config["config_name"]), str(place["split"]), path) for path in paths)
    if not configs:
        folders = {tuple(file.split("/")[:2]) for file in found_in.files if file.count("/") == 2}
        yield from ((config, split, f"{config}/{split}/*") for config, split in sorted(folders))


@cache  # google/xtreme's has 180 configurations, and each of its tables asks
def _configs(card: Path) -> Any:
    return DatasetCard.load(card).data.to_dict().get("configs")


def table(paths: Sequence[Path]) -> tuple[Features, list[dict[str, Any]]]:
    """(features, rows) of one table's Parquet files; UserError where they are not Parquet."""
    with tempfile.TemporaryDirectory() as scratch:  # datasets keeps a second copy for ever
        try:
            # Not load_dataset: that one counts its calls at the Hub, reachable or not.
            rows = Dataset.from_parquet(
                [str(path) for path in paths], cache_dir=scratch, keep_in_memory=True
            )
        except (DatasetGenerationError, OSError, ValueError) as error:
            reason = (str(error.__cause__ or error).splitlines() or ["empty"])[0]
            raise UserError(
                f"{paths[0]}: not a Parquet table: {reason}; expected one; fetch it again"
            ) from None
        return rows.features, rows.with_format("arrow")[:].to_pylist()
