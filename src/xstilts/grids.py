"""The grid in params.yaml: names and replicates, its cells and their stages; and its answers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field, PositiveInt, field_validator, model_validator

from xstilts.errors import nearest
from xstilts.sections import Section

BASELINE = "none"  # the intermediate without members


class GridSettings(Section):
    """The names of the grid's intermediates and targets, and its replicates."""

    intermediates: list[str] = []
    targets: list[str] = []
    replicates: list[int] = [1]
    more_baseline: list[int] = []  # further replicates of what all others are compared with
    benchmark: Literal["xtreme", "xtreme-r"] = "xtreme"  # whose languages and averages

    @field_validator("replicates", "more_baseline")
    @classmethod
    def _count_from_one(cls, values: list[int]) -> list[int]:
        if bad := [value for value in values if value < 1]:
            raise ValueError(f"{bad[0]}; expected numbers from 1 on (studies have 0's seeds)")
        return values

    @field_validator("intermediates", "targets", "replicates", "more_baseline")
    @classmethod
    def _no_twins(cls, values: list[Any]) -> list[Any]:
        if len(set(values)) != len(values):
            raise ValueError(f"{values} names one twice; expected each once")
        return values

    @model_validator(mode="after")
    def _more_is_more(self) -> GridSettings:
        if both := sorted({*self.more_baseline} & {*self.replicates}):
            raise ValueError(
                f"more_baseline has {both[0]}, which replicates has; expected others; remove it"
            )
        if self.more_baseline and BASELINE not in self.intermediates:
            raise ValueError(f"more_baseline, and no '{BASELINE}' among intermediates; add it")
        return self

    def runs(self, intermediate: str) -> list[int]:
        """The replicates of an intermediate."""
        return [*self.replicates, *(self.more_baseline if intermediate == BASELINE else ())]

    def models(self) -> list[tuple[str, int]]:
        """All of phase 2: intermediate, replicate."""
        return [(name, run) for name in self.intermediates for run in self.runs(name)]

    def cells(self) -> list[tuple[str, str, int]]:
        """All of phase 3: intermediate, target, replicate."""
        return [
            (name, target, run)
            for name in self.intermediates
            for target in self.targets
            for run in self.runs(name)
        ]

    def stage(self, intermediate: str, target: str, replicate: int) -> str:
        """The stage of a cell in dvc.yaml."""
        if replicate in self.replicates:
            return f"target@{intermediate}-{target}-{replicate}"
        return f"baseline@{target}-{replicate}"


class AnswerSettings(Section):
    """What counts as an answer: of the report alone, nothing is trained anew for it."""

    matters: float = Field(default=1.0, gt=0)  # points; within them two lines count as equal
    level: float = Field(default=0.95, gt=0.5, lt=1)  # of intervals, and 1 - level of verdicts
    groups: dict[str, list[str]] = {}  # of intermediates: each two groups are compared
    targets: dict[str, list[str]] = {}  # groups of targets, whose means groups are compared on
    sizes: dict[str, dict[str, PositiveInt]] = {}  # NAME: {intermediate: its rows}, of one kind

    @field_validator("groups", "targets")
    @classmethod
    def _groups_are_apart(cls, groups: dict[str, list[str]]) -> dict[str, list[str]]:
        names = [name for group in groups.values() for name in group]
        if twins := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"{twins[0]} twice; expected each in one group, once")
        if empty := [group for group, members in groups.items() if not members]:
            raise ValueError(f"{empty[0]} is empty; expected names; fill it or take it out")
        return groups

    @field_validator("sizes")
    @classmethod
    def _sizes_differ(cls, sizes: dict[str, dict[str, int]]) -> dict[str, dict[str, int]]:
        for name, rows in sizes.items():
            if len(rows) < 2 or len({*rows.values()}) < len(rows):
                raise ValueError(f"{name}: {rows}; expected two intermediates or more, unlike rows")
        return sizes


class LabSettings(Section):
    """The cells that the selection lab trains again, to see what English dev costs as the rule."""

    intermediates: list[str] = []
    targets: list[str] = []
    last: PositiveInt = 3  # evaluations whose weights one of the rules averages


def strangers(grid: GridSettings, answers: AnswerSettings, lab: LabSettings) -> list[str]:
    """A line for each name that the grid does not have."""
    sizes = {series: list(rows) for series, rows in answers.sizes.items()}
    named = [
        *(
            (f"answers.groups.{name}", grid.intermediates, of)
            for name, of in answers.groups.items()
        ),
        *((f"answers.sizes.{name}", grid.intermediates, of) for name, of in sizes.items()),
        *((f"answers.targets.{name}", grid.targets, of) for name, of in answers.targets.items()),
        ("lab.intermediates", grid.intermediates, lab.intermediates),
        ("lab.targets", grid.targets, lab.targets),
    ]
    return [
        f"{where}: '{name}' is not in the grid{nearest(name, there)}"
        for where, there, names in named
        for name in names
        if name not in there
    ]


def unlike_sizes(answers: AnswerSettings, limits: Mapping[str, int | None]) -> list[str]:
    """A line for each size that is not its row's. limits: of the rows of one limited member."""
    return [
        f"answers.sizes.{series}.{name}: {size}, and its member is limited to {limits[name]}; "
        "expected one number"
        for series, rows in answers.sizes.items()
        for name, size in rows.items()
        if limits.get(name) not in (None, size)
    ]
