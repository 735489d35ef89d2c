"""The commands that read what there is and train nothing: tasks, layers, scores, submissions.

As in `cli`, nothing heavy is imported until one of them runs.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, TypeVar

import typer

from xstilts.errors import UserError, nearest

Section = TypeVar("Section")

tools = typer.Typer()

Row = Annotated[str, typer.Argument(help="A row of the grid: a section of intermediates.")]
Task = Annotated[str, typer.Argument(help="A target: a section of targets.")]
Replicate = Annotated[int, typer.Option(help="Which repetition; each has its own seed.", min=1)]


@tools.command()
def tasks(
    group: Annotated[str, typer.Option(help="Only this group: NLI, QA, ...; none: all.")] = "",
) -> None:
    """All tasks: family, group, licence, languages, rows of each table once prepared.

    Example: xstilts tasks --group NLI
    """
    from xstilts.looking.listing import listing
    from xstilts.paths import DATA

    rows = listing(DATA)
    groups = {row["group"] for row in rows}
    if group and group not in groups:
        raise UserError(f"--group {group}: no such group{nearest(group, groups)}")
    for row in rows:
        if group in ("", row["group"]):
            print(f"{row['name']:14} {row['family']:15} {row['group']:11} {row['licence']}")
            print(f"{'':14} {row['roles']}; {len(row['languages'])}: {' '.join(row['languages'])}")
            if row["sizes"]:
                print(f"{'':14} " + ", ".join(f"{name} {n}" for name, n in row["sizes"].items()))


@tools.command()
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
    section_of(settings.intermediates, "intermediates", row)
    section = section_of(settings.targets, "targets", task)
    from xstilts import paths
    from xstilts.looking import layers as room
    from xstilts.training import encoder

    name = f"{row}-{task}-{replicate}"
    ref = encoder.read_ref(paths.row_model(row, replicate))
    data = paths.target_data(task)
    scores = room.layers_of(ref, data, settings.training, section.max_length, paths.FEATURES)
    folder = out or paths.layers(name)
    before = ", before its tuning" if getattr(section, "tuning", None) else ""
    print(room.write_layers(scores, f"{settings.experiment}: {name}{before}", folder))
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
    row: Annotated[
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
    from xstilts import params
    from xstilts.results.submission import Asked, write_submission

    settings = params.load()
    if row:
        section_of(settings.intermediates, "intermediates", row)
    written = write_submission(settings, Asked(row, replicate, incomplete), out, labels)
    for task, one in written.manifest["tasks"].items():
        languages = len(one["languages"])
        print(f"{out / task}: {languages} languages of {one['cell']}, {one['chosen as']}")
    for line in written.missing:
        print(f"missing: {line}")
    for task in written.unlabelled:
        print(f"{labels}: no {task}, as test labels of it are hidden")


@tools.command()
def rescore(
    cells: Annotated[list[str], typer.Argument(help="ROW/TASK/REPLICATE, or the folders.")],
    dev_rows: Annotated[
        int, typer.Option(help="Rows of dev where a convention takes only some.", min=1)
    ] = 500,
    as_json: Annotated[bool, typer.Option("--json", help="Every language's numbers.")] = False,
) -> None:
    """Kept predictions under every known convention, beside the passport's own number.

    Example: xstilts rescore none/udpos/1 cells/mnli/mlqa/1
    """
    import json

    from xstilts.formats import kept
    from xstilts.results import rescoring

    folders = [kept.cell_folder(name) for name in cells]
    found = [one for folder in folders for one in rescoring.rescore(folder, dev_rows)]
    if as_json:
        print(json.dumps([rescoring.plain(one) for one in found], indent=2, ensure_ascii=False))
    else:
        print("\n\n".join(rescoring.render(one) for one in found))


@tools.command()
def inspect(
    task: Annotated[str, typer.Argument(help="A target, a row's member, or text.")],
    row: Annotated[str, typer.Option(help="The row whose member it is, with its settings.")] = "",
    rows: Annotated[int, typer.Option(help="Encoded of each table; 0: all.", min=0)] = 1000,
    examples: Annotated[int, typer.Option(help="Shown of each language.", min=0)] = 2,
    language: Annotated[list[str] | None, typer.Option(help="Only these; none: all.")] = None,
    whole: Annotated[bool, typer.Option("--whole", help="Cut no long sequence.")] = False,
) -> None:
    """A task as the model sees it: lengths, labels, pieces a word, windows, a few rows.

    Example: xstilts inspect xquad --examples 1 --language en --language zh
    """
    from shutil import get_terminal_size

    from xstilts import params

    settings = params.load()
    if row:
        section_of(settings.intermediates, "intermediates", row)
    from xstilts.looking.inspection import Asked, inspect

    width = get_terminal_size(fallback=(100, 24)).columns
    asked = Asked(rows, examples, tuple(language or ()), width, whole)
    for line in inspect(settings, task, row, asked):
        print(line)


def section_of(sections: Mapping[str, Section], kind: str, name: str) -> Section:
    """The section of that name; UserError where params.yaml has none."""
    if name not in sections:
        raise UserError(f"params.yaml: {kind}.{name} is not there{nearest(name, sections)}")
    return sections[name]
