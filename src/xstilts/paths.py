"""The paths of all inputs and outputs, relative to the folder of params.yaml.

DVC owns what stands in data/, models/, cells/, studies/, reports/ and lab/; git ignores work/,
where a stage leaves what a rerun may use. dvc.yaml names the same folders, as DVC reads no Python.
"""

from __future__ import annotations

import os
from pathlib import Path

PARAMS, PIPELINE = Path("params.yaml"), Path("dvc.yaml")
DATA, MODELS, CELLS = Path("data"), Path("models"), Path("cells")
STUDIES, REPORTS, WORK = Path("studies"), Path("reports"), Path("work")
LAB = Path("lab")  # what other rules than English dev would have chosen; nothing reads it
KEPT = Path("kept")  # cells' whole models (run.keep_model)
CODE = Path("code")  # what the stage `code` writes
TEXT = DATA / "text"  # phase 1's
PRETRAIN = MODELS / "pretrain"
FEATURES = WORK / "features"  # encoded tables, by content
TRAININGS = WORK / "trainings"  # that several targets read, by what decides them
LOGS = WORK / "logs"  # of the stages that the grid runs
TIMES = WORK / "times.jsonl"  # how long they took


def intermediate_data(intermediate: str, data: Path = DATA) -> Path:
    """The data of an intermediate: a member folder for each of its tasks."""
    return data / "intermediate" / intermediate


def target_data(task: str, data: Path = DATA) -> Path:
    """The folder of a target's reported tables, with those that train it inside (`trainings`)."""
    return data / "target" / task


def training_data(target: Path, number: int, task: str) -> Path:
    """The member folder of a target's first, second, ... training."""
    return target / "train" / f"{number}-{task}"


def trainings(target: Path) -> list[Path]:
    """The member folders of a target's trainings, in order; none of a frozen one."""
    return sorted(path for path in target.glob("train/*") if path.is_dir())


def encoder(replicate: int | str) -> Path:
    """What a replicate's phase 2 starts from: phase 1's encoder, or one of its own."""
    return MODELS / "encoder" / str(replicate)


def intermediate_model(intermediate: str, replicate: int | str) -> Path:
    """The encoder and card that phase 2 leaves of an intermediate."""
    return MODELS / "intermediate" / intermediate / str(replicate)


def cell(intermediate: str, task: str, replicate: int | str, cells: Path = CELLS) -> Path:
    """The card, curve and predictions of one training of phase 3."""
    return cells / intermediate / task / str(replicate)


def lab(intermediate: str, task: str, replicate: int | str) -> Path:
    """What the selection lab found of a cell."""
    return LAB / intermediate / task / str(replicate)


def kept_model(intermediate: str, task: str, replicate: int | str) -> Path:
    """A cell's whole model, where run.keep_model keeps it: beside DVC's outputs, none of them."""
    return KEPT / intermediate / task / str(replicate)


def study(phase: str, name: str = "", studies: Path = STUDIES) -> Path:
    """The file with the settings that a study found; {} where it had no trials.

    name: of an intermediate or a target; phase 1 has one study, without a name.
    """
    return studies / phase / f"{name}.yaml" if name else studies / f"{phase}.yaml"


def reported_studies(reports: Path = REPORTS) -> Path:
    """The folder of a report's trials and pictures of studies."""
    return reports / "studies"


def reported_again(archive: str, work: Path = WORK) -> Path:
    """Where the report of an archive is made, unless it is asked for elsewhere."""
    return work / "reports" / archive


def study_journal(experiment: str, work: Path = WORK) -> Path:
    """The journal of all studies of an experiment."""
    return work / "studies" / f"{experiment}.journal"


def study_work(experiment: str, phase: str, name: str, work: Path = WORK) -> Path:
    """The folder of a study's lock, of its trials' checkpoints and of its pictures."""
    return work / "studies" / experiment / phase / name


def predictions(cell: Path) -> Path:
    """The folder of a cell's kept predictions."""
    return cell / "predictions"


def prediction_file(cell: Path, split: str, language: str) -> Path:
    """The file of a cell's kept predictions and gold of one table."""
    return predictions(cell) / f"{split}-{language}.jsonl"


def history(work: Path = WORK) -> Path:
    """The folder of trainings' curves, a file each."""
    return work / "history"


def layers(name: str) -> Path:
    """The folder that `xstilts layers` writes for INTERMEDIATE-TASK-REPLICATE."""
    return WORK / "layers" / name


def exports(name: str) -> Path:
    """Where a cell is run again to export its model."""
    return WORK / "export" / name


def to_root(*given: Path) -> list[Path]:
    """Go to the root, the folder of params.yaml and dvc.yaml: this one or the nearest above.

    As git and DVC do. Returns the given paths, which were meant from here, as the root calls them.
    """
    here = Path.cwd()
    for folder in (here, *here.parents):
        if (folder / PARAMS).is_file() and (folder / PIPELINE).is_file():
            break
    else:
        return list(given)  # whoever needs the root says so
    os.chdir(folder)
    return [path if folder == here else Path(os.path.relpath(here / path)) for path in given]
