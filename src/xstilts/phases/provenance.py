"""Seeds, keys and work folders of phases, and where each of their settings came from."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError

from xstilts.code import kind_digest
from xstilts.errors import UserError
from xstilts.formats.cards import Card, Setting, write_card
from xstilts.formats.tables import digest, read_output, write_text
from xstilts.params import TrainingSettings, read_yaml
from xstilts.paths import WORK
from xstilts.sections import Section

# What a study may search: of a phase's section and, the last two, of the section `training`.
CHOSEN = ("learning_rate", "epochs", "steps", "batch_size", "warmup_ratio", "weight_decay")
PHASES = ("intermediate", "target")  # whose studies have names
_MEND = "remove the file and run `dvc repro`; to pin values, write them into params.yaml"
S = TypeVar("S", bound=Section)


def phase_seed(seed: int, phase: int, replicate: int, trial: int = 0) -> int:
    """A seed of its own for each phase, replicate and trial.

    The task is no part of it: two targets that train on the same rows are the same training.
    """
    return int(digest(seed, phase, replicate, trial), 16) % 2**31


def with_study(
    section: S, training: TrainingSettings, path: Path
) -> tuple[S, TrainingSettings, dict[str, Setting]]:
    """Both with the values that a study chose, and where each value of the section came from.

    Of `training`, whose other settings all phases share, only what the study chose is named.
    """
    chosen = read_study(path)
    of_study = {name: Setting(value, "study") for name, value in chosen.items()}
    where = origins(section) | of_study
    try:
        return *with_values(section, training, chosen), where
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        raise UserError(f"{path}: {first['loc'][0]}: {first['msg']}; {_MEND}") from None


def with_values(
    section: S, training: TrainingSettings, values: Mapping[str, float]
) -> tuple[S, TrainingSettings]:
    """Both with the values of a study or a trial in the place of their own."""
    fields = type(section).model_fields
    of_section = {name: value for name, value in values.items() if name in fields}
    others = {name: value for name, value in values.items() if name not in fields}
    return (
        type(section).model_validate({**section.model_dump(), **of_section}),
        TrainingSettings.model_validate({**training.model_dump(), **others}),
    )


def own_values(section: Section, training: TrainingSettings) -> dict[str, float]:
    """Params' own value of each setting that a study may search."""
    values = {**training.model_dump(include=set(CHOSEN)), **section.model_dump(include=set(CHOSEN))}
    return {name: values[name] for name in CHOSEN if name in values}


def read_study(path: Path) -> dict[str, float]:
    """The values that a study chose; {} where it had no trials."""
    if not path.is_file():
        named = f"{path.parent.name}@{path.stem}" if path.parent.name in PHASES else path.stem
        raise UserError(
            f"{path}: no such file; expected what its study chose; `dvc repro study-{named}`"
        )
    values = read_yaml(path)
    if values == {}:
        return {}
    chosen = {n: values[n] for n in CHOSEN if n in values} if isinstance(values, dict) else {}
    numbers = all(isinstance(x, float | int) and x >= 0 for x in chosen.values())
    if not numbers or "learning_rate" not in chosen or not {"epochs", "steps"} & set(chosen):
        raise UserError(
            f"{path}: not a study's result; expected {{}} or positive learning_rate and epochs "
            f"(of phase 1: steps); {_MEND}"
        )
    return chosen


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


def read_history(folder: Path) -> list[dict[str, float]]:
    """The curve that `write_phase` wrote; UserError where there is none."""
    text = read_output(folder / "history.csv").decode()
    return [
        {name: float(value) for name, value in line.items() if value}
        for line in csv.DictReader(text.splitlines())
    ]


def write_phase(out: Path, card: Card, history: Sequence[Mapping[str, float]]) -> None:
    """Write a phase's card, and history.csv, its curve of loss and English dev score."""
    write_card(out, card)
    names = ("step", "loss", "learning_rate", "dev")
    lines = [
        ",".join(repr(line[name]) if name in line else "" for name in names) for line in history
    ]
    write_text(out / "history.csv", "\n".join([",".join(names), *lines]) + "\n")
