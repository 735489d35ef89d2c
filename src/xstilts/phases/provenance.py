"""What decides a phase's result, and where its settings came from: study, params or default."""

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
    """Independent seeds for phases, replicates and trials; not for tasks: two trainings on the
    same rows are one."""
    return int(digest(seed, phase, replicate, trial), 16) % 2**31


def with_study(section: Any, path: Path) -> tuple[Any, dict[str, Setting]]:
    """The section with what its study chose, and where each value came from."""
    chosen = read_study(path)
    found = origins(section) | {name: Setting(value, "study") for name, value in chosen.items()}
    return section.model_copy(update=chosen), found


def read_study(path: Path) -> dict[str, float]:
    """{} or the chosen {learning_rate, epochs}."""
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
    """Each setting with where it came from; params.yaml is complete, so a default is a value equal
    to it."""
    defaults = {
        name: field.get_default(call_default_factory=True)
        for name, field in type(section).model_fields.items()
    }
    return {
        name: Setting(value, "default" if getattr(section, name) == defaults[name] else "params")
        for name, value in section.model_dump(mode="json").items()
    }


def key_of(*values: Any) -> str:
    """What decides a phase's result beside its code: settings and inputs."""
    return digest(
        [value.model_dump(mode="json") if isinstance(value, Section) else value for value in values]
    )


def work_folder(name: str, key: str) -> Path:
    """Where a phase keeps what is unfinished; changed code starts again. name: the phase, with
    what it is of (target-mnli-xnli-1)."""
    return WORK / f"{name}-{digest(key, kind_digest(name.partition('-')[0]))}"


def write_phase(out: Path, card: Card, history: Sequence[Mapping[str, float]]) -> None:
    """The card, and the curve of loss and English dev."""
    write_card(out, card)
    names = ("step", "loss", "learning_rate", "dev")
    lines = [
        ",".join(repr(line[name]) if name in line else "" for name in names) for line in history
    ]
    write_text(out / "history.csv", "\n".join([",".join(names), *lines]) + "\n")
