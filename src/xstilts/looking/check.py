"""What would keep a grid from its end, found in seconds, before a stage touches an output.

What enters: params, and the stages that are wanted. What leaves: a line for each problem, and what
the grid may write; a list of the tables that it reads. Neither torch nor transformers is imported.
"""

from __future__ import annotations

import ctypes
import json
import shutil
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path
from typing import Any

from xstilts import paths
from xstilts.console import aligned
from xstilts.errors import UserError
from xstilts.formats.tables import read_json
from xstilts.looking.fetching import VOCABULARIES, encoder_info
from xstilts.params import BASELINE, Params, PretrainSettings
from xstilts.sources.needed import Needed, look_up
from xstilts.tasks.catalogue import record as record_of

WEIGHTS = (
    "model.safetensors",
    "model.safetensors.index.json",
    "pytorch_model.bin",
    "pytorch_model.bin.index.json",
)
ATTENTION_MATRICES = 4  # of an attention: queries, keys, values, output
TRAINING_COPIES = 8  # two checkpoints of weights and AdamW's two moments; best and last weights
BYTES_A_PREDICTION = 250
EARLY = ("code", "text", "study-pretrain", "pretrain")  # stages that need no task
GB = 1e9


def require_ready(
    params: Params, stages: Sequence[str] = (), jobs: int = 1, gpus: Sequence[int] = ()
) -> str:
    """A sentence on the room that the grid needs; UserError with a line for each problem.

    stages: only what these need is looked up (names as in dvc.yaml, none: all).
    """
    problems = _silent_hub(params)
    if not problems:
        tables = _tables(params, stages)
        problems = [tables.absent] if tables.absent else tables.lines
        if params.pretrain.encoder is not None:
            problems += _encoder(params.pretrain.encoder, params.pretrain.revision)
    problems += _cards(params.training.device, gpus)
    needed, free = space_needed(params, jobs), shutil.disk_usage(".").free
    much = f"up to {needed / GB:.1f}" if needed >= GB / 10 else "less than 0.1"
    room = f"{much} GB may be written, {free / GB:.1f} GB are free"
    if needed > free:
        problems.append(f"{Path.cwd()}: {room}; expected room for all; free some")
    if problems:
        raise UserError("\n".join(problems))
    return room


def _tables(params: Params, stages: Sequence[str] = ()) -> Needed:
    """The tables that the grid, or these stages of it, read, looked up."""
    members, targets = wanted_tasks(params, stages)
    return look_up(members, targets, params.grid.benchmark, params.source)


def wanted_tasks(params: Params, stages: Sequence[str]) -> tuple[list[str], list[str]]:
    """(the members of all intermediates, the targets) that the stages may need."""
    intermediates = [name for name in params.grid.intermediates if _wanted(name, stages)]
    targets = [name for name in params.grid.targets if _wanted(name, stages)]
    members = [name for row in intermediates for name in params.intermediates[row].members]
    if params.pretrain.encoder is None:
        members.append("text")
    return members, targets


def listed_tables(params: Params) -> tuple[list[str], list[str]]:
    """(a table of the splits that the grid reads, a line for each problem with them).

    A task's splits stand together, in the order in which the grid first reads the task.
    """
    needed = _tables(params)
    first = {name: place for place, (name, _) in reversed(list(enumerate(needed.tables)))}
    looked = [table for table in needed.tables.values() if table.there or table.missing]
    looked.sort(key=lambda table: first[table.record.name])
    rows = [("task", "split", "there", "missing", "where", "licence of the task")]
    for table in looked:
        licence, places = table.record.licence, " + ".join(table.places) or "-"
        there, missing = len(table.there), " ".join(table.missing) or "-"
        if not there and len(table.missing) > 1:
            missing = f"all {len(table.missing)}"
        shown = table.there[0] if there == 1 else str(there)
        rows.append((table.record.name, table.split, shown, missing, places, licence))
    return aligned(rows, left=len(rows[0])), needed.lines


def _wanted(name: str, stages: Sequence[str]) -> bool:
    """Whether a name of the grid may be among what the stages need, by their own names."""
    if not stages:
        return True
    parts = [stage.partition("@")[2] for stage in stages if stage not in EARLY]
    return any(not part or f"-{name}-" in f"-{part}-" for part in parts)


def _silent_hub(params: Params) -> list[str]:
    """A line where tables and encoder are to come from a Hub that does not answer."""
    encoder, source = params.pretrain.encoder, params.source
    if encoder is None or Path(encoder).exists() or source.name != "hub" or source.mirror:
        return []
    if not _offline(encoder, params.pretrain.revision):
        return []
    return [
        f"params.yaml: the Hub cannot be reached, from which pretrain.encoder ({encoder}) and the "
        f"tables are to come; expected it online; try again, or `xstilts use {params.experiment} "
        "--encoder FOLDER --set source.mirror=FOLDER` with copies of both on this machine"
    ]


# The encoder


def _encoder(name: str, revision: str | None) -> list[str]:
    """What is wrong with a public encoder: a folder's files, or a Hub id's look-up."""
    where = f"params.yaml: pretrain.encoder: {name}"
    if not Path(name).exists():
        return _on_hub(name, revision, where)
    folder = Path(name)
    if not folder.is_dir():
        return [f"{where}: not a folder; expected one with config.json, a tokenizer and weights"]
    problems = list(_config(folder / "config.json", where))
    problems += _tokenizer(folder, where)
    if not any((folder / file).is_file() for file in WEIGHTS):
        problems.append(f"{where}: no weights in it; expected {' or '.join(WEIGHTS[::2])}")
    return problems


def _config(path: Path, where: str) -> Iterator[str]:
    try:
        config: Any = json.loads(path.read_bytes())
    except FileNotFoundError:
        yield f"{where}: no config.json in it; expected the folder of a transformers model"
    except (ValueError, OSError) as error:
        yield f"{path}: not JSON ({error}); expected a transformers model's; fetch it again"
    else:
        if not isinstance(config, dict) or "model_type" not in config:
            yield f"{path}: no model_type in it; expected a transformers model's; fetch it again"


def _tokenizer(folder: Path, where: str) -> Iterator[str]:
    from tokenizers import Tokenizer

    path = folder / "tokenizer.json"
    if not path.is_file():
        if not any((folder / name).is_file() for name in VOCABULARIES):
            yield f"{where}: no tokenizer.json in it; expected a fast tokenizer's"
        return
    try:
        Tokenizer.from_file(str(path))
    except Exception as error:  # tokenizers raises nothing narrower
        yield f"{path}: not a tokenizer ({str(error).splitlines()[0]}); fetch it again"


def _on_hub(name: str, revision: str | None, where: str) -> list[str]:
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import (
        EntryNotFoundError,
        HfHubHTTPError,
        HFValidationError,
        LocalEntryNotFoundError,
    )

    expected = "expected a folder, or a Hub id that can be reached; correct it"
    offline = _offline(name, revision)
    for file in ("config.json", "tokenizer.json"):
        try:
            hf_hub_download(name, file, revision=revision, local_files_only=offline)
        except LocalEntryNotFoundError:
            return [
                f"{where}: no such folder, and the Hub cannot be reached; expected one of them; "
                "correct it, or `xstilts use NAME --encoder FOLDER`"
            ]
        except EntryNotFoundError:
            if file == "config.json":
                return [f"{where}: no config.json on the Hub; {expected}"]
        except HFValidationError:
            return [f"{where}: no such folder, and no Hub id; {expected}"]
        except (HfHubHTTPError, OSError) as error:
            reason = (str(error).splitlines() or [type(error).__name__])[0]
            return [f"{where}: no such folder, and the Hub says: {reason}; {expected}"]
    return []


def _offline(name: str, revision: str | None) -> bool:
    """Whether the Hub does not answer: asked once, where a download asks for half a minute."""
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError
    from huggingface_hub.errors import HTTPError as Unanswered  # type: ignore[attr-defined]  # httpx's

    try:
        encoder_info(name, revision)
    except (HfHubHTTPError, HFValidationError):
        return False
    except (Unanswered, OSError):
        return True
    return False


# The machine


def _cards(device: str, gpus: Sequence[int]) -> Iterator[str]:
    if device != "cuda" and not gpus:
        return
    count = gpu_count()
    if device == "cuda" and not count:
        yield "params.yaml: training.device: cuda, but no GPU answers; set it to auto or cpu"
    if version("torch").endswith("+cpu"):
        yield f"torch {version('torch')} is built for the CPU alone; expected a build for your GPU"
    for number in gpus:
        if number >= count:
            yield f"--gpus {number}: {count} GPUs answer; expected a number below; correct it"


def gpu_count() -> int:
    """The GPUs that CUDA_VISIBLE_DEVICES leaves, asked of the driver: to import torch takes 2 s."""
    for library, vendor in (("libcuda.so.1", "cu"), ("libamdhip64.so", "hip")):
        with suppress(OSError, AttributeError):
            driver, count = ctypes.CDLL(library), ctypes.c_int()
            counter = "cuDeviceGetCount" if vendor == "cu" else "hipGetDeviceCount"
            if not getattr(driver, f"{vendor}Init")(0):
                getattr(driver, counter)(ctypes.byref(count))
            return count.value
    return 0


def space_needed(params: Params, jobs: int) -> int:
    """An upper estimate, in bytes, of what a grid still writes to disk.

    The models of phases 1 and 2, checkpoints of `jobs` trainings at a time, kept predictions.
    """
    weights = _weights_bytes(params.pretrain)
    grid = params.grid
    models = [paths.intermediate_model(*one) for one in grid.models() if one[0] != BASELINE]
    if params.pretrain.encoder is None:
        models.append(paths.PRETRAIN)
        own = grid.replicates if params.pretrain.each_replicate else []
        models += [paths.encoder(replicate) for replicate in own]
    cells = [(cell[1], paths.cell(*cell)) for cell in grid.cells()]
    waiting = [task for task, cell in cells if not cell.is_dir()]
    kept = len(waiting) * weights if params.run.keep_model else 0
    official = params.source.name in ("files", "hub")  # another source has sizes of its own
    rows = {task: _reported_rows(task, grid.benchmark, official) for task in grid.targets}
    predictions = sum(rows[task] * BYTES_A_PREDICTION for task in waiting)
    at_work = min(max(jobs, 1), len(waiting) + len(models)) * TRAINING_COPIES * weights
    labs = [
        paths.lab(name, target, run)
        for name in params.lab.intermediates
        for target in params.lab.targets
        for run in grid.replicates
    ]
    labs_at_work = min(max(jobs, 1), sum(not lab.is_dir() for lab in labs))
    at_work += labs_at_work * params.training.evaluations * weights
    return sum(not model.is_dir() for model in models) * weights + kept + predictions + at_work


def _reported_rows(task: str, benchmark: str, official: bool) -> int:
    """Rows of a target's dev and test in all languages: as prepared, or else as published."""
    prepared = paths.target_data(task) / "counts.json"
    if prepared.is_file() or not official:
        counts = read_json(prepared) if prepared.is_file() else {}
        return sum(table["rows"] for table in counts.values())
    record = record_of(task, benchmark)
    each = [record.sizes.get(split, 0) * len(record.languages) for split in ("dev", "test")]
    tables = [n for key, n in record.sizes.items() if key.startswith(("dev-", "test-"))]
    return sum(each) + sum(tables)


def _weights_bytes(pretrain: PretrainSettings) -> int:
    """Of an encoder in fp32: a folder's files, a Hub id's config, or the shape that params give."""
    if pretrain.encoder is None:
        shape = (pretrain.vocabulary, pretrain.hidden, pretrain.intermediate, pretrain.layers)
        return _parameters(*shape) * 4
    folder = Path(pretrain.encoder)
    if folder.is_dir():
        return sum(path.stat().st_size for path in _weight_files(folder))
    config = _cached_config(pretrain.encoder, pretrain.revision)
    names = ("vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers")
    return _parameters(*(int(config.get(name) or 0) for name in names)) * 4


def _weight_files(folder: Path) -> Iterable[Path]:
    tensors = list(folder.glob("*.safetensors"))
    return tensors or folder.glob("*.bin")


def _cached_config(name: str, revision: str | None) -> dict[str, Any]:
    """The config that `_on_hub` has just fetched; {} where it could not."""
    from huggingface_hub import try_to_load_from_cache
    from huggingface_hub.errors import HFValidationError

    with suppress(HFValidationError):
        found = try_to_load_from_cache(name, "config.json", revision=revision)
        if isinstance(found, str):
            return dict(json.loads(Path(found).read_bytes()))
    return {}


def _parameters(vocabulary: int, hidden: int, intermediate: int, layers: int) -> int:
    return vocabulary * hidden + layers * hidden * (ATTENTION_MATRICES * hidden + 2 * intermediate)
