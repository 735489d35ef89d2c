"""The commands: parse, call, exit status. Nothing heavy is imported until one of them runs.

Exit status 0: done. 1: a stage failed, or a bug of ours. 2: what the user can mend, in one line.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from xstilts.cli.answers import answering
from xstilts.cli.leaving import leaving
from xstilts.cli.mlflow import send, sending
from xstilts.cli.tools import (
    IntermediateName,
    Replicate,
    TargetName,
    load_params,
    look_at_source,
    numbers_of,
    report_of,
    require_replicate,
    section_of,
    tools,
)
from xstilts.errors import UserError, of_disk

if TYPE_CHECKING:
    from xstilts.params import Params

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
data = typer.Typer(no_args_is_help=True)
app.add_typer(data, name="data")
app.add_typer(tools)
app.add_typer(answering)
app.add_typer(sending)
app.add_typer(leaving)

Jobs = Annotated[int, typer.Option(help="Stages at a time; 0: one a core.", min=0)]
Stages = Annotated[
    list[str] | None, typer.Argument(help="Stages or groups, with what they need; none: all.")
]


def main() -> None:
    """Run a command. A UserError is one line a problem on stderr, with `--debug` the traceback."""
    debug = "--debug" in sys.argv
    sys.argv = [argument for argument in sys.argv if argument != "--debug"]  # wherever it stands
    try:
        app()
    except Exception as error:
        lines = str(error) if isinstance(error, UserError) else of_disk(error)
        if debug or lines is None:
            raise
        for line in lines.splitlines():
            print(f"xstilts: {line}", file=sys.stderr)
        sys.exit(2)


def _version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        print(f"xstilts {version('xstilts')}")
        raise typer.Exit


@app.callback()
def _all_commands(
    debug: Annotated[bool, typer.Option("--debug", help="Show an error's traceback.")] = False,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Which it is.")
    ] = False,
) -> None:
    """Which English intermediate task helps which target task, in which language, for your encoder.

    All of params.yaml: `xstilts grid`, or `dvc repro`. Another experiment: `xstilts use NAME`.
    """


# The stages, as dvc.yaml runs them: each reads params.yaml and replaces its own output.


@data.callback(invoke_without_command=True)
def data_source(
    check: Annotated[
        bool, typer.Option("--check", help="List what there is of the tables that the grid reads.")
    ] = False,
    pin: Annotated[
        bool, typer.Option("--pin", help="Source hub: write today's revisions to lock files.")
    ] = False,
) -> None:
    """Write a stage's tables: text, an intermediate's, a target's.

    Example: xstilts data --check; xstilts data --pin
    """
    if check or pin:
        raise typer.Exit(look_at_source(check, pin))


@data.command("text")
def data_text() -> None:
    """Multilingual text for the tokenizer and the encoder -> data/text.

    Example: xstilts data text
    """
    from xstilts import paths
    from xstilts.sources import prepare

    prepare.prepare_text(load_params().source, paths.TEXT)


@data.command("intermediate")
def data_intermediate(name: IntermediateName) -> None:
    """English tables of an intermediate's members -> data/intermediate/NAME.

    Example: xstilts data intermediate mnli
    """
    from xstilts import paths
    from xstilts.sources import prepare

    params = load_params()
    members = section_of(params.intermediates, "intermediates", name).members
    prepare.prepare_intermediate(members, params.source, paths.intermediate_data(name))


@data.command("target")
def data_target(task: TargetName) -> None:
    """A target's tables: English trains and selects, every language is scored -> data/target/TASK.

    Example: xstilts data target xnli
    """
    from xstilts import paths
    from xstilts.sources import prepare

    params = load_params()
    section_of(params.targets, "targets", task)
    folder = paths.target_data(task)
    prepare.prepare_target(task, params.source, folder, params.grid.benchmark)


@app.command()
def pretrain(
    replicate: Annotated[
        int | None,
        typer.Option(help="What this replicate starts from -> models/encoder/N.", min=1),
    ] = None,
) -> None:
    """Phase 1: name the encoder, or train a tokenizer and an encoder -> models/pretrain.

    Example: xstilts pretrain; xstilts pretrain --replicate 2
    """
    params = load_params()  # what is wrong with params.yaml is said before torch is imported
    from xstilts.phases.pretrain import encoder_stage, pretrain_stage

    if replicate is None:
        pretrain_stage(params)
    else:
        require_replicate(replicate, params)
        encoder_stage(replicate, params)


@app.command()
def study(
    phase: Annotated[
        Literal["pretrain", "intermediate", "target"] | None, typer.Argument(help="The phase.")
    ] = None,
    name: Annotated[str, typer.Argument(help="An intermediate, or a target.")] = "",
    jobs: Annotated[
        int,
        typer.Option(
            help="Trials at a time, of one round (study.PHASE.NAME.parallel).",
            min=1,
            envvar="XSTILTS_STUDY_JOBS",
        ),
    ] = 1,
    every: Annotated[
        bool, typer.Option("--all", help="Every study of the grid that has trials.")
    ] = False,
) -> None:
    """Search learning rate, epochs and others on English dev -> studies/PHASE/NAME.yaml.

    Example: xstilts study target xnli; xstilts study pretrain; xstilts study --all --jobs 2
    """
    params = load_params()
    if every:
        raise typer.Exit(_search_all(params, phase, jobs))
    if phase is None or bool(name) == (phase == "pretrain"):
        raise UserError(
            f"xstilts study {phase or ''} {name}".rstrip() + ": expected `pretrain`, `intermediate "
            "NAME`, `target NAME` or `--all`; name one"
        )
    if phase != "pretrain":
        sections: Mapping[str, object] = (
            params.intermediates if phase == "intermediate" else params.targets
        )
        section_of(sections, f"{phase}s", name)
    from xstilts.studies.stage import study_stage

    study_stage(phase, name, params, jobs)


def _search_all(params: Params, phase: str | None, jobs: int) -> int:
    """Say how long the grid's studies may take and run them, each with what it needs; 0, or 1."""
    if phase is not None:
        raise UserError(f"--all: expected no phase; found {phase}; leave one of them out")
    from xstilts.studies.estimate import expected

    stages, lines = expected(params)
    print("\n".join(lines))
    from xstilts.looking.check import require_ready
    from xstilts.running.grid import run_stage

    if stages:
        print(require_ready(params, stages), file=sys.stderr)
    os.environ["XSTILTS_STUDY_JOBS"] = str(jobs)  # DVC runs the command that dvc.yaml has
    failed = 0
    for name in stages:
        status = run_stage(name)
        if status >= 128:  # a signal stopped it
            return status
        failed += status != 0
    return 1 if failed else 0


@app.command()
def intermediate(name: IntermediateName, replicate: Replicate = 1) -> None:
    """Phase 2: train the encoder on an intermediate's tasks -> models/intermediate/NAME/R.

    Example: xstilts intermediate mnli --replicate 1
    """
    params = load_params()
    section_of(params.intermediates, "intermediates", name)
    require_replicate(replicate, params)
    from xstilts.phases.intermediate import intermediate_stage

    intermediate_stage(name, replicate, params)


@app.command()
def target(intermediate: IntermediateName, task: TargetName, replicate: Replicate = 1) -> None:
    """Phase 3, a cell: fresh head, English training, every language scored -> cells/NAME/TASK/R.

    Example: xstilts target mnli xnli --replicate 1
    """
    params = load_params()
    section_of(params.intermediates, "intermediates", intermediate)
    section_of(params.targets, "targets", task)
    require_replicate(replicate, params)
    from xstilts.phases.target import target_stage

    target_stage(intermediate, task, replicate, params)


@app.command()
def lab(intermediate: IntermediateName, task: TargetName, replicate: Replicate = 1) -> None:
    """What other rules than English dev would choose: a cell, trained again -> lab/NAME/TASK/R.

    Example: xstilts lab mnli xnli --replicate 1
    """
    params = load_params()
    section_of(params.intermediates, "intermediates", intermediate)
    section_of(params.targets, "targets", task)
    require_replicate(replicate, params)
    from xstilts.lab import lab_stage

    print(lab_stage(intermediate, task, replicate, params))


@app.command()
def report(
    archived: Annotated[
        list[Path] | None,
        typer.Option("--from", help="An archive or a project; none: cells/; several: encoders."),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="The folder of --from's; none: work/reports/NAME.")
    ] = None,
) -> None:
    """The table of intermediates and targets, with differences to the baseline -> reports.

    Example: xstilts report; xstilts report --from docs/cards/real-small --from .
    """
    if archived or out:
        return report_of(archived or [], out)
    from xstilts.results.report import report_stage

    params = load_params()
    report_stage(params.experiment, params.grid, params.answers)
    from xstilts.running import logbook

    if logbook.mode() == "on":  # under the driver, MLflow hears of all at its end
        send(params)


@app.command()
def code() -> None:
    """A digest of the code behind each kind of command: a changed one is stale -> code.

    Example: xstilts code
    """
    from xstilts import paths
    from xstilts.code import write

    write(paths.CODE)


# Around the stages.


@app.command()
def grid(
    stages: Stages = None,
    jobs: Jobs = 0,
    gpus: Annotated[
        str, typer.Option(help="Cards, as CUDA counts them (0,1); a stage has one to itself.")
    ] = "",
) -> None:
    """Run every stage that is stale, several at a time; go on past a failed one.

    Before the first, all that could stop them is looked up: params, files, encoder, GPU, room. What
    is to come from the Hub is then counted and fetched.

    Example: xstilts grid --jobs 4; xstilts grid --gpus 0,1; xstilts grid target@mnli-xnli-1
    """
    cards = numbers_of(gpus)
    params = load_params()
    from xstilts.looking.check import require_ready, wanted_tasks
    from xstilts.looking.fetching import fetch
    from xstilts.running.estimate import work_of
    from xstilts.running.grid import cores, run_grid
    from xstilts.tasks.twins import apart

    room = require_ready(params, stages or [], jobs or len(cards) or cores(), cards)
    print(room, file=sys.stderr)
    fetch(params, *wanted_tasks(params, stages or []))
    warm = params.training.device == "cpu"  # a fork of a process that has used a GPU has none
    status = run_grid(jobs, stages or [], cards, work_of(params), apart(params), warm)
    if status < 2:  # not where it was stopped
        send(params)
    if status == 0 and (not stages or "report" in stages):
        from rich.console import Console

        from xstilts.results.report.terminal import show

        show(Console())
    raise typer.Exit(status)


@app.command()
def stage(name: Annotated[str, typer.Argument(help="A stage or group, as in dvc.yaml.")]) -> None:
    """`dvc repro NAME` with all that it needs, under the run that `mlflow run` opened.

    Example: xstilts stage target@mnli-xnli-1
    """
    params = load_params()
    from xstilts.looking.check import require_ready
    from xstilts.running.grid import run_stage

    require_ready(params, [name])
    raise typer.Exit(run_stage(name))


@app.command()
def use(
    experiment: Annotated[str, typer.Argument(help="A name in experiments/, or a file.")],
    force: Annotated[
        bool, typer.Option("--force", help="Replace a params.yaml that git does not have.")
    ] = False,
    changes: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="A setting, as training.seed=2."),
    ] = None,
    encoder: Annotated[
        str, typer.Option(help="Short for --set pretrain.encoder=...: a folder or a Hub id.")
    ] = "",
) -> None:
    """Write an experiment out in full as params.yaml.

    Example: xstilts use files-small; xstilts use sample --encoder FOLDER --set training.seed=2
    """
    from xstilts import paths
    from xstilts.running.experiments import experiment_file, use_experiment

    is_file = Path(experiment).is_file()  # seen from here; a name is one of the root's
    is_folder = bool(encoder) and Path(encoder).is_dir()
    moved, beside = paths.to_root(Path(experiment), Path(encoder))
    given = [f"pretrain.encoder={beside.as_posix() if is_folder else encoder}"] if encoder else []
    file = experiment_file(str(moved) if is_file else experiment)
    print(use_experiment(file, force, changes=[*given, *(changes or [])]))
