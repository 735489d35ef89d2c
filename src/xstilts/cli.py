"""The commands: parse, call, exit status. Nothing heavy is imported until one of them runs.

Exit status 0: done. 1: a stage failed, or a bug of ours. 2: what the user can mend, in one line.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from itertools import product
from pathlib import Path
from typing import Annotated, Literal, TypeVar

import typer

from xstilts.errors import UserError, nearest

Section = TypeVar("Section")

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
data = typer.Typer(help="Write a stage's tables: text, a row's, a target's.", no_args_is_help=True)
app.add_typer(data, name="data")

Row = Annotated[str, typer.Argument(help="A row of the grid: a section of intermediates.")]
Task = Annotated[str, typer.Argument(help="A target: a section of targets.")]
Replicate = Annotated[int, typer.Option(help="Which repetition; each has its own seed.", min=1)]
Jobs = Annotated[int, typer.Option(help="Stages at a time; 0: one a core.", min=0)]
Stages = Annotated[
    list[str] | None, typer.Argument(help="Stages or groups, with what they need; none: all.")
]


def main() -> None:
    """Run a command. A UserError is one line on stderr, with `--debug` the traceback too."""
    debug = "--debug" in sys.argv
    sys.argv = [argument for argument in sys.argv if argument != "--debug"]  # wherever it stands
    try:
        app()
    except UserError as error:
        if debug:
            raise
        print(f"xstilts: {error}", file=sys.stderr)
        sys.exit(2)


@app.callback()
def _all_commands(
    debug: Annotated[bool, typer.Option("--debug", help="Show an error's traceback.")] = False,
) -> None:
    """Which English intermediate task helps which target task, in which language, for your encoder.

    All of params.yaml: `xstilts grid`, or `dvc repro`. Another experiment: `xstilts use FILE`.
    """


# The stages, as dvc.yaml runs them: each reads params.yaml and replaces its own output.


@data.command("text")
def data_text() -> None:
    """Multilingual text for the tokenizer and the encoder -> data/text.

    Example: xstilts data text
    """
    from xstilts import params
    from xstilts.sources import prepare

    prepare.prepare_text(params.load().source, Path("data/text"))


@data.command("intermediate")
def data_intermediate(row: Row) -> None:
    """English tables of a row's members -> data/intermediate/ROW.

    Example: xstilts data intermediate mnli
    """
    from xstilts import params
    from xstilts.sources import prepare

    settings = params.load()
    members = _section(settings.intermediates, "intermediates", row).members
    prepare.prepare_intermediate(members, settings.source, Path("data/intermediate") / row)


@data.command("target")
def data_target(task: Task) -> None:
    """A target's tables: English trains and selects, every language is scored -> data/target/TASK.

    Example: xstilts data target xnli
    """
    from xstilts import params
    from xstilts.sources import prepare

    settings = params.load()
    _section(settings.targets, "targets", task)
    folder = Path("data/target") / task
    prepare.prepare_target(task, settings.source, folder, settings.grid.benchmark)


@app.command()
def pretrain() -> None:
    """Phase 1: name the encoder, or train a tokenizer and an encoder -> models/pretrain.

    Example: xstilts pretrain
    """
    from xstilts import params

    settings = params.load()  # what is wrong with params.yaml is said before torch is imported
    from xstilts import phases

    phases.pretrain_stage(settings)


@app.command()
def study(
    phase: Annotated[Literal["intermediate", "target"], typer.Argument(help="The phase.")],
    name: Annotated[str, typer.Argument(help="A row, or a target.")],
) -> None:
    """Search learning rate and epochs on English dev -> studies/PHASE/NAME.yaml.

    Example: xstilts study target xnli
    """
    from xstilts import params

    settings = params.load()
    sections: Mapping[str, object] = (
        settings.intermediates if phase == "intermediate" else settings.targets
    )
    _section(sections, f"{phase}s", name)
    from xstilts import studies

    studies.study_stage(phase, name, settings)


@app.command()
def intermediate(row: Row, replicate: Replicate = 1) -> None:
    """Phase 2: train the encoder on a row's English tasks -> models/intermediate/ROW/R.

    Example: xstilts intermediate mnli --replicate 1
    """
    from xstilts import params

    settings = params.load()
    _section(settings.intermediates, "intermediates", row)
    from xstilts import phases

    phases.intermediate_stage(row, replicate, settings)


@app.command()
def target(row: Row, task: Task, replicate: Replicate = 1) -> None:
    """Phase 3, a cell: fresh head, English training, every language scored -> cells/ROW/TASK/R.

    Example: xstilts target mnli xnli --replicate 1
    """
    from xstilts import params

    settings = params.load()
    _section(settings.intermediates, "intermediates", row)
    _section(settings.targets, "targets", task)
    from xstilts import phases

    phases.target_stage(row, task, replicate, settings)


@app.command()
def report() -> None:
    """The table of intermediates and targets, with differences to the baseline -> reports.

    Example: xstilts report
    """
    from xstilts import params
    from xstilts.report import report_stage

    settings = params.load()
    report_stage(settings.experiment, settings.grid)


# Around the stages.


@app.command()
def grid(stages: Stages = None, jobs: Jobs = 0) -> None:
    """Run every stage that is stale, several at a time; go on past a failed one.

    Example: xstilts grid --jobs 4; xstilts grid target@mnli-xnli-1
    """
    from xstilts.grid import run_grid

    status = run_grid(jobs, stages or [])
    if status < 2:  # not where it was stopped
        log()
    raise typer.Exit(status)


@app.command()
def stage(name: Annotated[str, typer.Argument(help="A stage or group, as in dvc.yaml.")]) -> None:
    """`dvc repro NAME` with all that it needs, under the run that `mlflow run` opened.

    Example: xstilts stage target@mnli-xnli-1
    """
    from xstilts.grid import run_stage

    raise typer.Exit(run_stage(name))


@app.command()
def log() -> None:
    """Send to MLflow what is on disk and not there yet; mark the runs that are current.

    Example: xstilts log
    """
    from xstilts import params, tracking

    settings = params.load()
    grid = settings.grid
    names = product(grid.intermediates, grid.targets, map(str, grid.replicates))
    folders = [Path("cells").joinpath(*name) for name in names]
    cells = [folder for folder in folders if folder.is_dir()]
    sent, marked = tracking.log_missing(settings.experiment, cells, Path("work"))
    if sent or marked:
        print(f"MLflow: {sent} runs sent, {marked} cells marked anew")


@app.command()
def use(
    experiment: Annotated[Path, typer.Argument(help="A file of experiments/.")],
    force: Annotated[
        bool, typer.Option("--force", help="Replace a params.yaml that git does not have.")
    ] = False,
) -> None:
    """Write an experiment out in full as params.yaml.

    Example: xstilts use experiments/files-small.yaml
    """
    from xstilts.experiments import use_experiment

    print(use_experiment(experiment, force))


@app.command()
def tasks(
    group: Annotated[str, typer.Option(help="Only this group: NLI, QA, ...; none: all.")] = "",
) -> None:
    """All tasks: family, group, licence, languages, rows of each table once prepared.

    Example: xstilts tasks --group NLI
    """
    from xstilts.listing import listing

    rows = listing(Path("data"))
    groups = {row["group"] for row in rows}
    if group and group not in groups:
        raise UserError(f"--group {group}: no such group{nearest(group, groups)}")
    for row in rows:
        if group in ("", row["group"]):
            print(f"{row['name']:14} {row['family']:15} {row['group']:11} {row['licence']}")
            print(f"{'':14} {row['roles']}; {len(row['languages'])}: {' '.join(row['languages'])}")
            if row["sizes"]:
                print(f"{'':14} " + ", ".join(f"{name} {n}" for name, n in row["sizes"].items()))


@app.command()
def layers(
    task: Task,
    row: Annotated[str, typer.Option(help="Whose encoder: a row of the grid.")] = "none",
    replicate: Replicate = 1,
    out: Annotated[
        Path | None, typer.Option(help="Folder to write; none: work/layers/ROW-TASK-R.")
    ] = None,
) -> None:
    """Score every layer and pooling on a retrieval target, from one pass: a table and a picture.

    Example: xstilts layers tatoeba --row mnli
    """
    from xstilts import params

    settings = params.load()
    _section(settings.intermediates, "intermediates", row)
    section = _section(settings.targets, "targets", task)
    from xstilts import encoder, phases, provenance
    from xstilts import layers as room

    name = f"{row}-{task}-{replicate}"
    ref = encoder.read_ref(phases.MODELS / "intermediate" / row / str(replicate))
    data = phases.DATA / "target" / task
    scores = room.layers_of(ref, data, settings.training, section.max_length, phases.FEATURES)
    folder = out or provenance.WORK / "layers" / name
    before = ", before its tuning" if getattr(section, "tuning", None) else ""
    print(room.write_layers(scores, f"{settings.experiment}: {name}{before}", folder))
    print(f"{folder}: layers.csv, layers.md, layers.png")


@app.command()
def score(
    predictions: Annotated[Path, typer.Argument(help="Folder: TASK/test-LANGUAGE.SUFFIX.")],
    labels: Annotated[Path, typer.Argument(help="Folder of the same shape, with the gold.")],
    benchmark: Annotated[str, typer.Option(help="xtreme or xtreme-r.")] = "xtreme",
    as_json: Annotated[bool, typer.Option("--json", help="As evaluate.py prints.")] = False,
) -> None:
    """Score a folder of predictions exactly as XTREME's evaluate.py does, in percent.

    Example: xstilts score predictions/ labels/ --json
    """
    import json

    from xstilts import scoring

    result = scoring.score_submission(predictions, labels, benchmark)
    print(json.dumps(result, indent=2) if as_json else scoring.render(result))


def _section(sections: Mapping[str, Section], kind: str, name: str) -> Section:
    """The section of that name; UserError where params.yaml has none."""
    if name not in sections:
        raise UserError(f"params.yaml: {kind}.{name} is not there{nearest(name, sections)}")
    return sections[name]
