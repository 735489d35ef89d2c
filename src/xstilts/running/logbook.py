"""What is logged of a run, without MLflow: the curve on disk, a card's figures, its chart.

What enters: steps while a training runs, and its card. What leaves: lines and numbers for
`tracking`. A curve is a file of JSON lines in the work folder, so that nothing is lost with MLflow:
{step, time, training, metrics}; {run, sent} after a sending; {finished} at the end. No score
depends on it.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from xstilts import paths
from xstilts.errors import UserError
from xstilts.formats.cards import Card, averages, reported, task_number
from xstilts.formats.tables import ENGLISH, write_text

Line = dict[str, Any]
MODE = "XSTILTS_TRACKING"
CODE = (
    "src",
    "params.yaml",
    "dvc.yaml",
)  # what makes a commit dirty; dvc.lock changes at every run


class History:
    """A training's curve as a file of JSON lines; a line that a kill cut short does not count."""

    def __init__(self, work: Path, cell: str) -> None:
        self.path = paths.history(work) / f"{cell}.jsonl"
        self._begun = False

    def lines(self) -> list[Line]:
        """All whole lines of the file."""
        text = self.path.read_text(encoding="utf-8") if self.path.is_file() else ""
        return [json.loads(line) for line in text.split("\n")[:-1]]

    def append(self, line: Line) -> None:
        """Add a line, at once on disk; the first one empties the file where no training began."""
        if not self._begun:
            self._begun = True
            write_text(self.path, "")
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")

    def begin(self, training: int, before: int, step: int) -> tuple[Line, list[Line]]:
        """Begin the training of that number (from 1), or go on after its `step`.

        Its lines beyond that step are cut; `before` counts the steps of earlier trainings. Lines of
        other trainings stay: a process killed in the second leaves them, and that training may be
        resumed as well. Returns the line of the MLflow run that goes on ({}: a new one is to be
        made), and this training's lines that stay.
        """
        lines = self.lines()
        curve = [
            line
            for line in lines
            if "step" in line and (_training(line) != training or line["step"] <= before + step)
        ]
        curve.sort(key=lambda line: int(line["step"]))
        run: Line = {}
        # A training that begins at 0 is a new one: what an older run sent belongs to other numbers.
        if training > 1 or step:
            for line in lines:
                run = line if "run" in line else {} if "finished" in line else run
        kept = [*curve, *([run] if run else [])]
        write_text(self.path, "".join(json.dumps(line) + "\n" for line in kept))
        self._begun = True
        return run, [line for line in curve if _training(line) == training]


def _training(line: Line) -> int:
    return int(line.get("training", 1))


def belonging(lines: list[Line], key: str) -> list[Line]:
    """The lines if they are the curve of the card with this key, which its last line names.

    A cell from DVC's cache may have no curve.
    """
    return lines if lines and lines[-1].get("finished") == key else []


def unsent(lines: Sequence[Line]) -> list[Line]:
    """The steps after the last one that was sent to MLflow."""
    sent = max((line["sent"] for line in lines if "sent" in line), default=-1)
    return [line for line in lines if line.get("step", -1) > sent]


def finished_trials(experiment: str, work: Path) -> Iterator[tuple[str, list[Line]]]:
    """(study-PHASE-NAME-TRIAL, lines of its curve) of each trial that ended."""
    for path in sorted(paths.history(work).glob("study-*.jsonl")):
        lines = History(work, path.stem).lines()
        if lines and "trial" in lines[-1] and lines[-1]["experiment"] == experiment:
            yield path.stem, lines


def finished_studies(experiment: str, work: Path) -> Iterator[Line]:
    """The line of each whole study that ended, as `tracking.send_study` left it."""
    for path in sorted(paths.history(work).glob("studies-*.jsonl")):
        lines = History(work, path.stem).lines()
        if lines and lines[-1]["experiment"] == experiment:
            yield lines[-1]


def card_folders(cells: Sequence[Path]) -> list[Path]:
    """The folders with a card: pretraining's, then phase 2's, then the cells that start there."""
    models: set[Path] = set()
    for cell in cells:
        if len(cell.parts) >= 4 and cell.parts[-4] == paths.CELLS.name:
            root = cell.parents[3]
            models |= {root / paths.PRETRAIN, root / paths.encoder(cell.name)}
            models.add(root / paths.intermediate_model(cell.parts[-3], cell.name))
    folders = dict.fromkeys([*sorted(models, reverse=True), *cells])
    return [folder for folder in folders if (folder / "card.json").is_file()]


def cell_key(card: Card) -> str:
    """The name that all runs of a cell share, whatever their settings: target-mnli-xnli-1."""
    replicate = str(card.replicate) if card.replicate else ""  # phase 1's first has none
    parts = (card.phase, card.intermediate, card.target, replicate)
    return "-".join(filter(None, parts))


def figures(card: Card) -> dict[str, float]:
    """A card's figures, few enough to choose from: a number a language, and averages.

    SPLIT.LANGUAGE is the task's number there (the mean of its main metrics), of the split that the
    report shows; TARGET is the report's: the mean of those without English. Of every split
    SPLIT.average.METRIC, and without English SPLIT.average.METRIC.zero_shot.
    """
    results: dict[str, float] = {}
    if found := reported(card):
        split, languages = found
        for language in languages:
            values = card.scores[split][language]
            results[f"{split}.{language}"] = task_number(values, card.main or sorted(values))
        if (headline := zero_shot(card)) is not None:
            results[card.target] = headline
    for split in card.scores:
        means = averages(card.scores, split)
        results |= {f"{split}.average.{metric}": value for metric, value in means.items()}
    if card.selection:
        results["selected.score"] = card.selection.score
        results["selected.step"] = card.selection.step
    return results


def zero_shot(card: Card) -> float | None:
    """A cell's number in the report's table: the mean over its languages but English."""
    split, languages = reported(card) or ("", ())
    values = [card.scores[split][name] for name in languages if name != ENGLISH]
    numbers = [task_number(scores, card.main or sorted(scores)) for scores in values]
    return statistics.fmean(numbers) if numbers else None


def title(cell: str) -> str:
    """A cell's name as people read it: mnli -> xnli, and of its second replicate mnli -> xnli #2.

    cell: as `cell_key` has it, or study-PHASE-NAME-TRIAL.
    """
    phase, _, rest = cell.partition("-")
    name, _, number = rest.rpartition("-")
    if phase == "study":
        return f"trial {number}"
    if phase == "target":
        name = " -> ".join(name.rsplit("-", 1))
    elif phase == "intermediate":
        name = f"{phase} {name}"
    return f"{name or cell}{f' #{number}' if number not in ('', '1') else ''}"


def headline(card: Card) -> str:
    """A cell in a few lines of Markdown: its numbers in percent, what selected, what to mind."""
    lines = []
    if found := reported(card):
        split, languages = found
        numbers = {name: figures(card)[f"{split}.{name}"] for name in languages}
        others = {name: value for name, value in numbers.items() if name != ENGLISH}
        texts = [f"**{100 * statistics.fmean(others.values()):.1f}** zero-shot"] if others else []
        texts += [f"English {100 * numbers[ENGLISH]:.1f}"] if ENGLISH in numbers else []
        if len(others) > 1:
            for what, choose in (("best", max), ("lowest", min)):
                name = choose(others, key=lambda name: others[name])
                texts.append(f"{what} {name} {100 * others[name]:.1f}")
        what = f"{' + '.join(card.main)}, {split}, {len(others)} languages beside English"
        lines.append(f"{', '.join(texts)} ({what})")
    if chosen := card.selection:
        lines.append(
            f"Checkpoint of step {chosen.step} of {chosen.steps}: English dev "
            f"{100 * chosen.score:.1f} ({chosen.metric}, {chosen.rows} rows)"
        )
    lines += [f"Mind: {flag}" for flag in card.flags] + [f"Note: {note}" for note in card.notes]
    return "\n\n".join(lines)


def draw(card: Card, path: Path) -> None:
    """Draw the task's number in every language, English first, with a colour for each split.

    Without pyplot, which keeps state.
    """
    from matplotlib.figure import Figure

    languages = {name for scores in card.scores.values() for name in scores}
    names = sorted(languages, key=lambda name: (name != ENGLISH, name))
    figure = Figure(figsize=(max(4.0, 0.4 * len(names) + 1.5), 3.2), layout="constrained")
    axes = figure.subplots()
    width = 0.8 / len(card.scores)
    for number, (split, scores) in enumerate(sorted(card.scores.items())):
        scored = [(x, scores[name]) for x, name in enumerate(names) if name in scores]
        lefts = [x + (number + 0.5) * width - 0.4 for x, _ in scored]
        heights = [100 * task_number(values, card.main or sorted(values)) for _, values in scored]
        axes.bar(lefts, heights, width, label=split)
    axes.set_xticks(range(len(names)), names)
    axes.set(ylim=(0, 100), ylabel=f"{' + '.join(card.main)} (%)", title=cell_key(card))
    axes.legend()
    figure.savefig(path, dpi=100)


def commit() -> dict[str, str]:
    """The repository's commit, and whether its code or params differ from it."""
    ask = ["git", "-C", str(root())]
    status = ["status", "--porcelain", "--", *CODE]
    try:
        head = subprocess.run([*ask, "rev-parse", "HEAD"], capture_output=True, check=True)
        changed = subprocess.run([*ask, *status], capture_output=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return {"commit": "unknown", "dirty": "unknown"}
    return {"commit": head.stdout.decode().strip(), "dirty": str(bool(changed.stdout)).lower()}


def mode() -> str:
    """How runs are sent: on, later or off (see tracking)."""
    chosen = os.environ.get(MODE, "on")
    if chosen not in ("on", "later", "off"):
        raise UserError(
            f"{MODE}={chosen}: no such way; expected on, later or off; correct or unset it"
        )
    return chosen


def root() -> Path:
    """The repository that a command was started in."""
    start = Path.cwd()
    return next(
        (folder for folder in (start, *start.parents) if (folder / "dvc.yaml").is_file()), start
    )


def relative(folder: Path) -> str:
    """A path inside the repository, or only its last part: never a path of this machine."""
    path, top = folder.absolute(), root()
    return path.relative_to(top).as_posix() if path.is_relative_to(top) else path.name


def now() -> int:
    """The time in milliseconds, MLflow's unit."""
    return time.time_ns() // 1_000_000
