"""Seeds, keys and work folders of phases, and where each of their settings came from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from xstilts.code import kind_digest
from xstilts.errors import UserError
from xstilts.formats.cards import Card, Setting, write_card
from xstilts.formats.tables import digest, write_text
from xstilts.params import Section, read_yaml
from xstilts.paths import WORK

CHOSEN = ("learning_rate", "epochs")  # what a study searches


def phase_seed(seed: int, phase: int, replicate: int, trial: int = 0) -> int:
    """A seed of its own for each phase, replicate and trial.

    The task is no part of it: two targets that train on the same rows are the same training.
    """
    return int(digest(seed, phase, replicate, trial), 16) % 2**31


def with_study(section: Any, path: Path) -> tuple[Any, dict[str, Setting]]:
    """The section with the values that its study chose, and where each of its values came from."""
    chosen = read_study(path)
    of_study = {name: Setting(value, "study") for name, value in chosen.items()}
    return section.model_copy(update=chosen), origins(section) | of_study


def read_study(path: Path) -> dict[str, float]:
    """The learning rate and epochs that a study chose; {} where it had no trials."""
    if not path.is_file():
        stage = f"study-{path.parent.name}@{path.stem}"
        raise UserError(f"{path}: no such file; expected what its study chose; `dvc repro {stage}`")
    values = read_yaml(path)
    if values == {}:
        return {}
    if not isinstance(values, dict) or not all(
        isinstance(values.get(name), float | int) and values[name] > 0 for name in CHOSEN
    ):
        raise UserError(
            f"{path}: not a study's result; expected {{}} or positive {' and '.join(CHOSEN)}; "
            "remove the file and run `dvc repro`; to pin values, write them into params.yaml"
        )
    return {name: float(values[name]) for name in CHOSEN}


def origins(section: Section) -> dict[str, Setting]:
    """Each setting of a section and its origin: params, or a default where they are equal.

    params.yaml is complete: it says every value, and not which of them somebody chose.
    """
    defaults = {
        name: field.get_default(call_default_factory=True)
        for name, field in type(section).model_fields.items()
    }
    return {
        name: Setting(value, "default" if getattr(section, name) == defaults[name] else "params")
        for name, value in section.model_dump(mode="json").items()
    }


def key_of(*values: Any) -> str:
    """A digest of what decides a phase's result besides its code: settings and inputs."""
    return digest(
        [value.model_dump(mode="json") if isinstance(value, Section) else value for value in values]
    )


def work_folder(name: str, key: str) -> Path:
    """The folder for a phase's checkpoints; with other code it is another one.

    name: the phase and what it makes, as target-mnli-xnli-1.
    """
    return WORK / f"{name}-{digest(key, kind_digest(name.partition('-')[0]))}"


def write_phase(out: Path, card: Card, history: Sequence[Mapping[str, float]]) -> None:
    """Write a phase's card, and history.csv, its curve of loss and English dev score."""
    write_card(out, card)
    names = ("step", "loss", "learning_rate", "dev")
    lines = [
        ",".join(repr(line[name]) if name in line else "" for name in names) for line in history
    ]
    write_text(out / "history.csv", "\n".join([",".join(names), *lines]) + "\n")
