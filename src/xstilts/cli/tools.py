"""The commands that read what there is and train nothing: tasks, layers, scores, submissions.

As in `cli`, nothing heavy is imported until one of them runs.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from xstilts.errors import UserError, nearest

if TYPE_CHECKING:
    from xstilts.params import Params

Section = TypeVar("Section")

tools = typer.Typer()

IntermediateName = Annotated[str, typer.Argument(help="A section of intermediates.")]
TargetName = Annotated[str, typer.Argument(help="A section of targets.")]
Replicate = Annotated[int, typer.Option(help="Which repetition; each has its own seed.", min=1)]


@tools.command()
def tasks(
    group: Annotated[str, typer.Option(help="Only this group: NLI, QA, ...; none: all.")] = "",
    as_json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False,
) -> None:
    """All tasks: family, group, licence, languages, rows of each table once prepared.

    Example: xstilts tasks --group NLI; xstilts tasks --json
    """
    from xstilts import paths
    from xstilts.looking.listing import listing, table

    paths.to_root()
    entries = listing(paths.DATA)
    groups = {entry["group"] for entry in entries}
    if group and group.lower() not in {name.lower() for name in groups}:
        raise UserError(f"--group {group}: no such group{nearest(group, groups)}")
    wanted = [entry for entry in entries if group.lower() in ("", entry["group"].lower())]
    if as_json:
        import json

        print(json.dumps(wanted, ensure_ascii=False, indent=1))
        return
    from rich.console import Console

    Console().print(table(wanted))


@tools.command()
def layers(
    task: TargetName,
    intermediate: Annotated[
        list[str] | None,
        typer.Option(help="Whose encoder: a section of intermediates; several in one picture."),
    ] = None,
    replicate: Replicate = 1,
    out: Annotated[
        Path | None, typer.Option(help="Folder to write; none: work/layers/NAMES-TASK-R.")
    ] = None,
) -> None:
    """Score every layer and pooling on a target of vectors, from one pass: a table and a picture.

    Example: xstilts layers tatoeba --intermediate none --intermediate mnli
    """
    from xstilts import paths

    given = paths.to_root(*([out] if out else []))
    params = load_params()
    names = intermediate or ["none"]
    for name in names:
        section_of(params.intermediates, "intermediates", name)
    section = section_of(params.targets, "targets", task)
    from xstilts.looking import layers as room
    from xstilts.training import encoder

    data, length, silent = paths.target_data(task), section.max_length, params.run.silent
    refs = {name: encoder.read_ref(paths.intermediate_model(name, replicate)) for name in names}
    scores = {
        name: room.layers_of(ref, data, params.training, length, paths.FEATURES, silent)
        for name, ref in refs.items()
    }
    title = f"{'+'.join(names)}-{task}-{replicate}"
    folder = given[0] if given else paths.layers(title)
    # Where a cell tunes the encoder (XTREME-R, ranking), what is looked at here is phase 2's.
    before = ", before its training" if section.trained else ""
    print(room.write_layers(scores, f"{params.experiment}: {task}{before}", folder))
    print(f"{folder}: layers.csv, layers.md, layers.png")


@tools.command()
def score(
    predictions: Annotated[Path, typer.Argument(help="Folder: TASK/test-LANGUAGE.SUFFIX.")],
    labels: Annotated[Path, typer.Argument(help="Folder of the same shape, with the gold.")],
    benchmark: Annotated[str, typer.Option(help="xtreme or xtreme-r.")] = "xtreme",
    convention: Annotated[
        str,
        typer.Option(help="F1 of tags: seqeval-0.0.12, as published, or seqeval-1.2.2, as of now."),
    ] = "seqeval-0.0.12",
    as_json: Annotated[bool, typer.Option("--json", help="As evaluate.py prints.")] = False,
) -> None:
    """Score a folder of predictions exactly as XTREME's evaluate.py does, in percent.

    Example: xstilts score predictions/ labels/ --convention seqeval-1.2.2 --json
    """
    import json

    from xstilts.results import scoring

    result = scoring.score_submission(predictions, labels, benchmark, convention)
    print(json.dumps(result, indent=2) if as_json else scoring.render(result))


@tools.command()
def submission(
    intermediate: Annotated[
        str,
        typer.Argument(help="An intermediate; left out: for each target the best on English dev."),
    ] = "",
    out: Annotated[Path, typer.Option(help="The new folder.")] = Path("submission"),
    labels: Annotated[
        Path | None, typer.Option(help="A new folder for the gold, where it is known; to score.")
    ] = None,
    replicate: Annotated[
        int, typer.Option(help="0: of several the best on English dev.", min=0)
    ] = 0,
    incomplete: Annotated[
        bool, typer.Option("--incomplete", help="Write what there is, and list what is missing.")
    ] = False,
) -> None:
    """XTREME's submission folder: nine tasks, every test language, and a manifest.

    Example: xstilts submission mnli --out mnli-1 --labels gold; xstilts score mnli-1 gold
    """
    from xstilts import paths
    from xstilts.results.submission import SubmissionOptions, write_submission

    out, *gold = paths.to_root(out, *([labels] if labels else []))
    labels = gold[0] if gold else None
    params = load_params()
    if intermediate:
        section_of(params.intermediates, "intermediates", intermediate)
    options = SubmissionOptions(intermediate, replicate, incomplete)
    written = write_submission(params, options, out, labels)
    for task, entry in written.manifest["tasks"].items():
        languages = len(entry["languages"])
        print(f"{out / task}: {languages} languages of {entry['cell']}, {entry['chosen as']}")
    for line in written.missing:
        print(f"missing: {line}")
    for task in written.unlabelled:
        print(f"{labels}: no {task}, as test labels of it are hidden")


@tools.command()
def rescore(
    cells: Annotated[
        list[str], typer.Argument(help="INTERMEDIATE/TASK/REPLICATE, or the folders.")
    ],
    dev_rows: Annotated[
        int, typer.Option(help="Rows of dev where a convention takes only some.", min=1)
    ] = 500,
    as_json: Annotated[bool, typer.Option("--json", help="Every language's numbers.")] = False,
) -> None:
    """Kept predictions under every known convention, beside the passport's own number.

    Example: xstilts rescore none/udpos/1 cells/mnli/mlqa/1
    """
    import json

    from xstilts import paths
    from xstilts.formats import kept
    from xstilts.results import rescoring

    there = [Path(name).exists() for name in cells]
    moved = paths.to_root(*map(Path, cells))
    names = [str(m) if is_path else n for n, m, is_path in zip(cells, moved, there, strict=True)]
    folders = [kept.cell_folder(name) for name in names]
    results = [split for folder in folders for split in rescoring.rescore(folder, dev_rows)]
    if as_json:
        plain = [rescoring.plain(split) for split in results]
        print(json.dumps(plain, indent=2, ensure_ascii=False))
    else:
        print("\n\n".join(rescoring.render(split) for split in results))


@tools.command()
def inspect(
    task: Annotated[str, typer.Argument(help="A target, an intermediate's member, or text.")],
    intermediate: Annotated[str, typer.Option(help="Whose member it is, with its settings.")] = "",
    rows: Annotated[int, typer.Option(help="Encoded of each table; 0: all.", min=0)] = 1000,
    examples: Annotated[int, typer.Option(help="Shown of each language.", min=0)] = 2,
    language: Annotated[list[str] | None, typer.Option(help="Only these; none: all.")] = None,
    whole: Annotated[bool, typer.Option("--whole", help="Cut no long sequence.")] = False,
) -> None:
    """A task as the model sees it: lengths, labels, pieces a word, windows, a few rows.

    Example: xstilts inspect xquad --examples 1 --language en --language zh
    """
    from shutil import get_terminal_size

    params = load_params()
    if intermediate:
        section_of(params.intermediates, "intermediates", intermediate)
    from xstilts.looking.inspection import InspectOptions, inspect

    width = get_terminal_size(fallback=(100, 24)).columns
    options = InspectOptions(rows, examples, tuple(language or ()), width, whole)
    for line in inspect(params, task, intermediate, options):
        print(line)


@tools.command()
def archive(
    name: Annotated[str, typer.Argument(help="Of the folder below docs/cards.")],
    prune: Annotated[
        bool, typer.Option("--prune", help="Remove from it what no finished cell here has.")
    ] = False,
) -> None:
    """The cards of finished cells, encoders and studies, to keep in git -> docs/cards/NAME.

    Scores, passports, counts and curves; no predictions, no texts. What has not changed stays.

    Example: xstilts archive files-small; xstilts report --from docs/cards/files-small
    """
    params = load_params()
    from xstilts.results import archive as room

    done = room.archive(name, params, prune)
    cells = f"{len(done.cells)} of {done.size} cells"
    print(f"{done.folder}: {cells}, {done.changed} files new or changed")
    for what, lines in (
        ("no card", done.missing), ("left out", done.unlike), ("kept from before", done.older)
    ):  # fmt: skip
        for line in lines:
            print(f"{what}: {line}")


def report_of(archived: list[Path], out: Path | None) -> None:
    """Write the report of an archive and show its table; of several, encoders side by side."""
    if not archived:
        raise UserError("--out: it goes with --from; expected --from FOLDER; add it")
    from rich.console import Console

    from xstilts import paths
    from xstilts.results.archive import report_again
    from xstilts.results.report.terminal import show

    given = paths.to_root(*archived, *([out] if out else []))
    folders = given[: len(archived)]
    name = "+".join(folder.resolve().name for folder in folders)
    reports = given[-1] if out else paths.reported_again(name)
    if len(folders) > 1:
        from xstilts.results import encoders

        print(f"more: {encoders.write(folders, reports, load_params().answers)}")
        return
    report_again(folders[0], reports)
    show(Console(), reports, "more: {report}")


def look_at_source(check: bool, pin: bool) -> int:
    """Pin the Hub's revisions, list the grid's tables: 1 where one of them is missing, else 0."""
    params = load_params()
    if pin:
        _pin(params)
    if not check:
        return 0
    from xstilts.looking.check import listed_tables

    shown, problems = listed_tables(params)
    if problems:
        shown += ["", "missing, and what was looked for:", *problems]
    print("\n".join(shown))
    return 1 if problems else 0


def _pin(params: Params) -> None:
    if params.source.name != "hub":
        raise UserError(
            f"--pin: params.yaml: source.name is {params.source.name}; expected hub, whose "
            "repositories have revisions; `xstilts use experiments/xtreme-hub.yaml`"
        )
    from xstilts.sources import hub, prepare

    names = prepare.tasks_of(params.grid, params.intermediates)
    for line in hub.pin(names, params.source):
        print(line)


def load_params() -> Params:
    """The params of the repository that this folder is in; from there on it is the folder."""
    from xstilts import paths
    from xstilts.params import load

    paths.to_root()
    params = load()
    if params.run.tracking != "on":  # which is what no variable means; in a grid, at its end
        from xstilts.running.logbook import MODE

        os.environ.setdefault(MODE, params.run.tracking)  # for whatever is run from here, too
    return params


def section_of(sections: Mapping[str, Section], kind: str, name: str) -> Section:
    """The section of that name; UserError where params.yaml has none."""
    if name not in sections:
        raise UserError(f"params.yaml: {kind}.{name} is not there{nearest(name, sections)}")
    return sections[name]


def require_replicate(replicate: int, params: Params) -> None:
    """UserError where the grid has no such replicate, of which no stage makes the inputs."""
    grid = params.grid
    if replicate not in (*grid.replicates, *grid.more_baseline):
        known = ", ".join(map(str, grid.replicates))
        raise UserError(
            f"--replicate {replicate}: params.yaml: grid.replicates has {known}; expected one of "
            "them; add it there"
        )


def numbers_of(gpus: str) -> list[int]:
    """Whole numbers, separated by commas; UserError where one is none."""
    words = gpus.split(",") if gpus else []
    if bad := [word for word in words if not word.strip().isdigit()]:
        raise UserError(f"--gpus {gpus}: '{bad[0]}' is no number; expected 0 or 0,1; correct it")
    return list(dict.fromkeys(map(int, words)))
