"""Every setting: its type, range, unit, meaning and default; and params.yaml read into them.

What enters: a YAML file. What leaves: `Params`, of which a function is handed the one section it
needs. A params.yaml is complete (every key written out, so that DVC sees it); an experiment names
only what it changes, inherits the rest, and `xstilts use` writes it out in full.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    Discriminator,
    Field,
    Tag,
    ValidationError,
    field_validator,
    model_validator,
)
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from xstilts import invalid
from xstilts.errors import UserError, nearest
from xstilts.grids import BASELINE as BASELINE
from xstilts.grids import AnswerSettings as AnswerSettings
from xstilts.grids import GridSettings as GridSettings
from xstilts.grids import LabSettings as LabSettings
from xstilts.grids import strangers, unlike_sizes
from xstilts.paths import PARAMS
from xstilts.sections import FrozenSettings as FrozenSettings
from xstilts.sections import LikelihoodSettings as LikelihoodSettings
from xstilts.sections import MemberSettings as MemberSettings
from xstilts.sections import PhaseSettings as PhaseSettings
from xstilts.sections import PoolingName as PoolingName
from xstilts.sections import Section, Studies, StudySettings
from xstilts.sections import SpanSettings as SpanSettings
from xstilts.sections import taken as taken

Name = str
# Settings of earlier versions, and where their like stands now.
MOVED = {
    "training.keep_encoder": "run.keep_model",
    "training.checkpoint_every_s": "run.checkpoint_every_s",
}


class FileSpec(Section):
    """A file, or a pattern of files, read in the place of a task's own files of a split."""

    reader: str  # a name in sources/readers
    path: str  # relative to source.path; {language} is filled in, * matches any; `a + b`: both
    languages: list[str] | None = None  # the file is only for these; null: for all of the task's
    part: str = ""  # the part that the rows are of (anli_plus; what `part` elsewhere takes some by)
    rows: tuple[int, int] | None = None  # [start, stop) of the file's rows, before any is dropped
    share: Literal["all", "train", "select"] = "all"  # a side of the seeded 90/10 split by group
    group: Literal["article", "paragraph"] = "article"  # what a span file's split keeps whole
    keep: Literal["all", "answerable"] = "all"  # answerable: a SQuAD v2.0 file serves as v1.1
    labels: str = ""  # a file whose row i labels row i of this one
    exclude_contexts_in: str = ""  # a SQuAD-type file; rows with its contexts are dropped, counted


class TaskFiles(Section):
    """An experiment's own files for a task; other splits are read as they are distributed."""

    languages: list[str] | None = None  # of the task's, what the source has; null: all of them
    train: list[FileSpec] | None = None
    dev: list[FileSpec] | None = None  # also what selects, in English
    test: list[FileSpec] | None = None
    translated: list[str] = []  # languages in which the English train rows lie, row by row, too
    part: str = ""  # only rows of this part, in all splits: files' `part`, a domain of the world
    # At most so many rows of a split: of a reported one the same (by number) in each language.
    limits: dict[Literal["train", "dev", "test"], int] = {}
    note: str = ""  # what stands in for what; shown on the card
    repository: str = ""  # hub: another of the copies that tasks/catalogue knows

    @field_validator("limits")
    @classmethod
    def _limits_are_positive(cls, limits: dict[Any, int]) -> dict[Any, int]:
        if bad := [split for split, limit in limits.items() if limit < 1]:
            raise ValueError(f"{bad[0]}: a limit is a positive number of rows; remove it for all")
        return limits


class SourceSettings(Section):
    """Where rows come from."""

    name: str = "world"  # world, files or hub: a name in sources.SOURCES
    path: str = "src/xstilts_world"  # relative; what the data stages depend on
    mirror: str | None = None  # hub: a cache folder of huggingface_hub in the place of the network
    seed: int = Field(default=1, ge=0)  # of the world, and of the splits that we make ourselves
    complete: bool = False  # true (hub's default): row counts unlike the official ones are an error
    tasks: dict[Name, TaskFiles] = {}

    @model_validator(mode="before")
    @classmethod
    def _hub_is_complete(cls, values: Any) -> Any:
        hub = isinstance(values, dict) and values.get("name") == "hub"
        return {"complete": True, **values} if hub else values

    @model_validator(mode="after")
    def _hub_alone_has_copies(self) -> SourceSettings:
        if self.name != "hub" and (self.mirror or any(t.repository for t in self.tasks.values())):
            raise ValueError("mirror and tasks.*.repository are for the source hub; remove them")
        return self


class PretrainSettings(Section):
    """Phase 1: which public encoder is taken, or how one is trained on data/text."""

    encoder: str | None = None  # Hub id or folder; null: one is trained here, with its tokenizer
    revision: str | None = None  # of the Hub id; null: the newest, resolved and recorded
    vocabulary: int = Field(default=1000, ge=50)  # Unigram pieces
    tokenizer_characters: int = Field(default=2_000_000, ge=1000)  # of text, to learn pieces from
    architecture: Literal["xlm-roberta", "modernbert"] = "xlm-roberta"
    layers: int = Field(default=3, ge=1)
    keep_layers: int | None = Field(default=None, ge=1)  # the lower ones handed on; null: all
    hidden: int = Field(default=64, ge=8)
    heads: int = Field(default=4, ge=1)
    intermediate: int = Field(default=256, ge=8)  # width of the feed-forward layer
    max_length: int = Field(default=128, ge=8)  # pieces of a text with its pair
    max_positions: int = Field(default=512, ge=16)  # the longest max_length of all phases
    steps: int = Field(default=1500, ge=1)
    batch_size: int = Field(default=128, ge=1)
    optimizer: Literal["adamw", "muon"] = "adamw"  # muon: for the layers' weights, AdamW for others
    learning_rate: float = Field(default=3e-3, gt=0)
    mask_probability: float = Field(default=0.3, gt=0, lt=1)
    language_temperature: float = Field(default=0.7, gt=0, le=1)  # p(language) ~ rows ** this
    dropout: float = Field(default=0.1, ge=0, lt=1)
    # Whether each replicate of the grid has an encoder of its own, from a seed of its own, so that
    # ± holds phase 1's variance, too. Replicate 1 has the one that studies read.
    each_replicate: bool = False

    @model_validator(mode="after")
    def _shape_is_possible(self) -> PretrainSettings:
        correct = "correct one of the two"
        if self.keep_layers is not None and self.keep_layers > self.layers:
            wanted = f"expected at most layers, {self.layers}; {correct}"
            raise ValueError(f"keep_layers: {self.keep_layers}; {wanted}")
        if self.max_length > self.max_positions:
            wanted = f"expected at most max_positions, {self.max_positions}; {correct}"
            raise ValueError(f"max_length: {self.max_length}; {wanted}")
        if self.hidden % self.heads:
            wanted = f"expected a multiple of heads, {self.heads}; {correct}"
            raise ValueError(f"hidden: {self.hidden}; {wanted}")
        return self


class TrainingSettings(Section):
    """What all trainings share; most defaults are those of jiant's XTREME guide."""

    seed: int = Field(default=1, ge=0)
    threads: int = Field(default=1, ge=1)  # of one process; scores of a CPU depend on it
    device: Literal["auto", "cpu", "cuda"] = "auto"
    precision: Literal["auto", "fp32", "bf16"] = "auto"  # auto: bf16 autocast on a GPU that has it
    # How a step's tokens lie (docs/design.md); auto: padded, until a GPU has shown the others.
    layout: Literal["auto", "padded", "flat", "graphs"] = "auto"
    # Compute with the rows of the word table that a training reads; the others are decayed once.
    # The same training but for rounding, in less memory (training/trimming.py).
    trim: bool = True
    warmup_ratio: float = Field(default=0.1, ge=0, le=1)  # of the steps; linear, then decay to 0
    weight_decay: float = Field(default=0.01, ge=0)  # not for biases and LayerNorm weights
    adam_epsilon: float = Field(default=1e-8, gt=0)
    clip: float = Field(default=1.0, gt=0)  # global gradient norm
    # Of a micro-batch, padding counted: memory and speed. It stands here and not in `run` since the
    # cut of a step moves the order of its sums: weights move by rounding, and so may a score.
    token_budget: int = Field(default=8192, ge=64)
    dev_rows: int | None = Field(default=None, ge=1)  # a seeded subset; null: all English dev rows
    evaluations: int = Field(default=5, ge=1)  # of English dev, evenly spaced over a training ...
    evaluate_every_steps: int | None = Field(default=None, ge=1)  # ... unless this is given
    patience: int = Field(default=30, ge=1)  # evaluations without gain before a training stops


class RunSettings(Section):
    """What moves no score: no stage depends on it, and no key, digest or card holds it."""

    keep_model: bool = False  # a cell's whole model is kept beside its output, in kept/
    checkpoint_every_s: float = Field(default=60.0, ge=0)  # seconds between two checkpoints
    # When MLflow is told; later: by `xstilts log`. The variable XSTILTS_TRACKING overrides it.
    tracking: Literal["on", "later", "off"] = "on"
    # auto: bars on a terminal, now and then a line in a log, which the grid reads; off: neither
    progress: Literal["auto", "off"] = "auto"

    @property
    def silent(self) -> bool:
        return self.progress == "off"


class IntermediateSettings(PhaseSettings):
    """An intermediate: a mixture of English tasks, each with an optional limit of rows."""

    members: dict[Name, int | MemberSettings | None] = {}  # empty: the baseline
    sampling: Literal["proportional", "uniform", "temperature"] = "proportional"
    temperature: float = Field(default=2.0, ge=1)  # p ~ min(n, cap) ** (1 / T), as in jiant
    cap: int | None = Field(default=None, ge=1)  # of the rows that count in sampling and steps

    @field_validator("members")
    @classmethod
    def _limits_are_positive(
        cls, members: dict[Name, int | MemberSettings | None]
    ) -> dict[Name, int | MemberSettings | None]:
        limits = {name: value for name, value in members.items() if isinstance(value, int)}
        if bad := [name for name, limit in limits.items() if limit < 1]:
            raise ValueError(f"{bad[0]}: a limit is a positive number of rows, or null for all")
        return members

    def member(self, name: str) -> MemberSettings:
        """A member's settings in full: a number is a limit, null takes all."""
        return taken(self.members[name])


def _kind(value: Any) -> str:
    keys = set(value if isinstance(value, dict) else type(value).model_fields)
    if {"layer", "pooling", "tuning"} & keys:
        return "frozen"
    return "likelihood" if {"likelihood", "prompt"} & keys else "trained"


Target = Annotated[
    Annotated[PhaseSettings, Tag("trained")]
    | Annotated[FrozenSettings, Tag("frozen")]
    | Annotated[LikelihoodSettings, Tag("likelihood")],
    Discriminator(_kind),
]


class Params(Section):
    """The whole of a params file."""

    experiment: str = "world"
    source: SourceSettings = SourceSettings()
    pretrain: PretrainSettings = PretrainSettings()
    training: TrainingSettings = TrainingSettings()
    run: RunSettings = RunSettings()
    grid: GridSettings = GridSettings()
    answers: AnswerSettings = AnswerSettings()
    lab: LabSettings = LabSettings()
    study: Studies = Studies()
    intermediates: dict[Name, IntermediateSettings] = {}
    targets: dict[Name, Target] = {}

    @model_validator(mode="after")
    def _grid_names_have_sections(self) -> Params:
        problems: list[str] = []
        for kind, names, sections in (
            ("grid.intermediates", self.grid.intermediates, self.intermediates),
            ("grid.targets", self.grid.targets, self.targets),
            ("study.intermediate", self.study.intermediate, self.intermediates),
            ("study.target", self.study.target, self.targets),
        ):
            where = "intermediates" if "intermediate" in kind else "targets"
            problems += [
                f"{kind}: '{name}' has no section {where}.{name}{nearest(name, sections)}"
                for name in names
                if name not in sections
            ]
        if problems:
            raise ValueError("\n".join(problems))
        return self

    @model_validator(mode="after")
    def _answers_are_about_the_grid(self) -> Params:
        problems = strangers(self.grid, self.answers, self.lab)
        problems += [
            f"lab.targets: '{name}' is frozen, so no checkpoint is chosen; expected trained targets"
            for name in self.lab.targets
            if name in self.targets and self.targets[name].trained is None
        ]
        alone = {name: of for name, of in self.intermediates.items() if len(of.members) == 1}
        limits = {name: of.member(*of.members).limit for name, of in alone.items()}
        problems += unlike_sizes(self.answers, limits)
        if problems:
            raise ValueError("\n".join(problems))
        return self

    @model_validator(mode="after")
    def _the_baseline_has_no_members(self) -> Params:
        if (baseline := self.intermediates.get(BASELINE)) and baseline.members:
            raise ValueError(
                f"intermediates.{BASELINE}.members: '{next(iter(baseline.members))}'; expected "
                "none, as the others are compared with it; give the intermediate another name"
            )
        if (
            self.grid.more_baseline
            and self.pretrain.encoder is None
            and self.pretrain.each_replicate
        ):
            raise ValueError(
                "grid.more_baseline: replicates have encoders of their own (pretrain."
                "each_replicate), and are compared one by one; expected none; empty it"
            )
        return self


def read_yaml(path: Path) -> Any:
    """A YAML file's content by YAML 1.2, as DVC reads it: 1e-5 is a number."""
    try:
        return YAML(typ="safe").load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(
            f"{path}: no such file; expected a params file; run from the repository's root"
        ) from None
    except (YAMLError, UnicodeDecodeError) as error:
        mark = getattr(error, "problem_mark", None)
        where = f"{path}:{mark.line + 1}" if mark else str(path)
        raise UserError(f"{where}: not YAML: {getattr(error, 'problem', None) or error}") from None


def load(path: Path = PARAMS) -> Params:
    """The params of a file; UserError where it is not valid or not complete."""
    raw = read_yaml(path)
    params = check(raw, path)
    if lacking := "\n".join(f"{path}: {line}" for line in _missing(raw, dump(params), "")):
        raise UserError(lacking)
    return params


def check(raw: Any, path: Path) -> Params:
    """Params from plain values; UserError with the file, the key and what was expected."""
    if not isinstance(raw, dict):
        raise UserError(
            f"{path}: expected sections {', '.join(Params.model_fields)}; "
            f"found {type(raw).__name__}"
        )
    try:
        return Params.model_validate(raw)
    except ValidationError as error:
        lines = invalid.lines(error, Params, MOVED)
        raise UserError("\n".join(f"{path}: {line}" for line in lines)) from None


def dump(params: Params) -> dict[str, Any]:
    """All settings as plain values, with a study section for every name of the grid."""
    values, grid = params.model_dump(mode="json"), params.grid
    for phase, names in (("intermediate", grid.intermediates), ("target", grid.targets)):
        for name in names:
            values["study"][phase].setdefault(name, StudySettings().model_dump(mode="json"))
    return values


def write(params: Params, path: Path, header: str) -> None:
    """Write all settings as YAML that both DVC and we read alike.

    In the style of DVC's own writer: `dvc exp run -S KEY=VALUE` then changes one line.
    """
    yaml = YAML()
    yaml.default_flow_style = False
    text = io.StringIO()
    yaml.dump(dump(params), text)
    path.write_text(f"# {header}\n{text.getvalue()}", encoding="utf-8")


def _missing(raw: Any, full: Any, where: str) -> Iterator[str]:
    """A line for each setting that `full` has and `raw` lacks."""
    if not isinstance(full, dict) or not isinstance(raw, dict):
        return
    for key, value in full.items():
        name = f"{where}{key}"
        if key in raw:
            yield from _missing(raw[key], value, f"{name}.")
        else:
            yield (
                f"{name} is missing, and DVC sees what stands in this file alone; "
                f"expected `{key}: {value}` (the default), or `xstilts use experiments/NAME.yaml`"
            )
