"""Where everything lies, relative to the folder of params.yaml: the one place that says so.

DVC owns what stands in data/, models/, cells/, studies/ and reports/; git ignores work/, where a
stage leaves what a rerun may use. dvc.yaml names the same folders, as DVC reads no Python.
"""

from __future__ import annotations

from pathlib import Path

DATA, MODELS, CELLS = Path("data"), Path("models"), Path("cells")
STUDIES, REPORTS, WORK = Path("studies"), Path("reports"), Path("work")
CODE = Path("code")  # what the stage `code` writes
TEXT = DATA / "text"  # phase 1's
PRETRAIN = MODELS / "pretrain"
FEATURES = WORK / "features"  # encoded tables, by content
LOGS = WORK / "logs"  # of the stages that the grid runs


def row_data(row: str, data: Path = DATA) -> Path:
    """A folder with one for each member of a grid's row."""
    return data / "intermediate" / row


def target_data(task: str, data: Path = DATA) -> Path:
    """A target's reported tables; those that train are in it (`trainings`)."""
    return data / "target" / task


def training_data(target: Path, number: int, task: str) -> Path:
    """The member folder of a target's first, second, ... training."""
    return target / "train" / f"{number}-{task}"


def trainings(target: Path) -> list[Path]:
    """The member folders of a target's trainings, in order; none of a frozen one."""
    return sorted(path for path in target.glob("train/*") if path.is_dir())


def row_model(row: str, replicate: int | str) -> Path:
    """What phase 2 leaves of a row."""
    return MODELS / "intermediate" / row / str(replicate)


def cell(row: str, task: str, replicate: int | str) -> Path:
    return CELLS / row / task / str(replicate)


def study(phase: str, name: str, studies: Path = STUDIES) -> Path:
    """The settings that a study of a row or target found; {} where it had no trials."""
    return studies / phase / f"{name}.yaml"


def study_work(phase: str, name: str, key: str, work: Path = WORK) -> Path:
    """A search's journal and its trials' checkpoints. key: of what decides its scores."""
    return work / "studies" / phase / name / key


def predictions(cell: Path) -> Path:
    return cell / "predictions"


def prediction_file(cell: Path, split: str, language: str) -> Path:
    """A cell's kept predictions and gold of one table."""
    return predictions(cell) / f"{split}-{language}.jsonl"


def history(work: Path = WORK) -> Path:
    """The curves of trainings, a file each."""
    return work / "history"


def layers(name: str) -> Path:
    """What `xstilts layers` found for ROW-TASK-REPLICATE."""
    return WORK / "layers" / name
