"""The card: the JSON record of a phase or a cell.

What enters: scores (fractions), what they mean, counts, settings and where each came from. What
leaves: card.json, and the card read back. It holds nothing that moves between equal runs: no time,
duration, run id or absolute path.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from pydantic import ConfigDict, TypeAdapter, ValidationError

from xstilts.errors import UserError
from xstilts.formats.tables import ENGLISH, read_output, write_json

Origin = Literal["default", "params", "study"]
Scores = dict[str, dict[str, dict[str, float]]]  # split -> language -> metric -> fraction

_EXACT = ConfigDict(extra="forbid")


@dataclass(frozen=True)
class Setting:
    """A setting's value, and whether params, a study or a default gave it."""

    __pydantic_config__ = _EXACT
    value: Any
    origin: Origin


@dataclass(frozen=True)
class Selection:
    """What chose the checkpoint: English dev, and nothing else."""

    __pydantic_config__ = _EXACT
    metric: str
    score: float
    step: int  # of the checkpoint that was kept
    steps: int  # optimiser steps that were taken
    rows: int
    language: str = ENGLISH
    split: str = "select"
    # "TASK.METRIC" at that step; for SQuAD v2.0 also the no-answer thresholds, tuned on these rows
    values: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Card:
    """What a phase did. Fields that a phase does not know stay empty."""

    __pydantic_config__ = _EXACT
    phase: Literal["pretrain", "intermediate", "target"]
    intermediate: str = ""
    target: str = ""
    replicate: int = 0
    family: str = ""
    encoder: str = ""  # the name that params give, or "pretrained here"
    source: str = ""
    key: str = ""  # digest of the phase's own params and inputs; what says whether a run is current
    settings: dict[str, Setting] = field(default_factory=dict)
    selection: Selection | None = None
    scores: Scores = field(default_factory=dict)
    main: tuple[str, ...] = ()  # the metrics whose mean is the task's number
    passport: dict[str, Any] = field(default_factory=dict)  # what every score on this card means
    counts: dict[str, dict[str, int]] = field(default_factory=dict)  # "test-de": {"read": 300, ...}
    flags: tuple[str, ...] = ()  # what a reader must know before believing a score
    notes: tuple[str, ...] = ()  # stand-ins
    inputs: dict[str, str] = field(default_factory=dict)  # digests of what was read
    computed: dict[str, str] = field(default_factory=dict)  # on which device, how exactly, how laid


def write_card(folder: Path, card: Card) -> None:
    write_json(folder / "card.json", asdict(card))


_CARD = TypeAdapter(Card)


def read_card(folder: Path) -> Card:
    """The card of a folder; UserError where the file is missing or holds no card."""
    path = folder / "card.json"
    text = read_output(path)
    try:
        return _CARD.validate_json(text, strict=True)
    except ValidationError as errors:
        raise UserError(
            f"{path}: not a card: {first_problem(errors)}; expected the JSON object that this "
            "version's stages write; remove it and run its stage again with `dvc repro`"
        ) from None


def first_problem(errors: ValidationError) -> str:
    """The first of pydantic's problems: the key, and what is wrong with it."""
    first = errors.errors(include_url=False)[0]
    return ": ".join(filter(None, (".".join(map(str, first["loc"])), first["msg"])))


def task_number(scores: Mapping[str, float], main: Iterable[str]) -> float:
    """The task's one number for a language: the mean of its main metrics (QA: of F1 and EM)."""
    values = [scores[metric] for metric in main]
    return sum(values) / len(values)


def averages(scores: Scores, split: str) -> dict[str, float]:
    """Each metric's mean over a split's languages: `METRIC`, and without English `.zero_shot`."""
    languages = scores.get(split, {})
    groups = {"": list(languages), ".zero_shot": [name for name in languages if name != ENGLISH]}
    return {
        f"{metric}{suffix}": sum(languages[name][metric] for name in names) / len(names)
        for suffix, names in groups.items()
        if names
        for metric in languages[names[0]]
    }


def reported(card: Card) -> tuple[str, tuple[str, ...]] | None:
    """The split that a report shows, and its languages, English first; None without a score.

    Test; dev where test lacks gold. A split with gold in another language than English goes before
    one that has English alone.
    """
    scored = {split: languages for split, languages in card.scores.items() if languages}
    for needed in (lambda languages: set(languages) - {ENGLISH}, bool):
        for split in ("test", "dev"):
            if split in scored and needed(scored[split]):
                order = sorted(scored[split], key=lambda name: (name != ENGLISH, name))
                return split, tuple(order)
    return None
