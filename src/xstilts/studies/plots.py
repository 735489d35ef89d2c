"""Pictures of what a study tried, drawn from its file alone: Optuna's own, and the trials as CSV.

What enters: studies/PHASE/NAME.yaml. What leaves: trials.csv, importance.png and parallel.png.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from xstilts.formats.tables import write_text
from xstilts.params import read_yaml

PICTURED = 2  # fewer trials than this make no picture
LOG_SCALES = ("learning_rate", "steps", "weight_decay")
OTHERS = ("score", "state")  # of a trial, beside the values


def draw(result: Path, out: Path) -> None:
    """Write a study's trials and pictures into `out`; nothing for a study without trials."""
    found = read_yaml(result)
    if not isinstance(found, dict) or not found.get("tried"):
        return
    tried: list[dict[str, Any]] = found["tried"]
    names = [name for name in tried[0] if name not in OTHERS]
    write_text(out / "trials.csv", _csv(names, tried))
    complete = [trial for trial in tried if trial["state"] == "complete"]
    if len(complete) < PICTURED:
        return
    study = _study(names, complete, found["direction"])
    title = f"{'/'.join(result.with_suffix('').parts[-2:])}: {len(complete)} trials"
    _save(study, "plot_parallel_coordinate", title, found["metric"], out / "parallel.png")
    if len({trial["score"] for trial in complete}) > 1:  # else nothing is important
        _save(study, "plot_param_importances", title, found["metric"], out / "importance.png")


def _csv(names: Sequence[str], tried: Sequence[Mapping[str, Any]]) -> str:
    lines = [",".join(("trial", *names, *OTHERS))]
    for place, trial in enumerate(tried):
        cells = ("" if trial[name] is None else str(trial[name]) for name in (*names, *OTHERS))
        lines.append(f"{place},{','.join(cells)}")
    return "\n".join(lines) + "\n"


def _study(names: Sequence[str], trials: Sequence[Mapping[str, Any]], direction: Any) -> Any:
    """The trials as a study in memory, in the order of their places.

    Its bounds are those of what was tried: params' own values may lie outside of what is searched.
    """
    import optuna
    from optuna.distributions import CategoricalDistribution, FloatDistribution

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    space: dict[str, Any] = {}
    for name in names:
        values = [trial[name] for trial in trials]
        space[name] = (
            CategoricalDistribution(sorted(set(values)))
            if name == "batch_size"
            else FloatDistribution(min(values), max(values), log=name in LOG_SCALES)
        )
    study = optuna.create_study(direction=direction)
    for trial in trials:
        params = {name: trial[name] for name in names}
        made = optuna.trial.create_trial(value=trial["score"], params=params, distributions=space)
        study.add_trial(made)
    return study


def _save(study: Any, kind: str, title: str, metric: str, path: Path) -> None:
    """One of Optuna's pictures, by matplotlib without a screen."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot
    from optuna.visualization import matplotlib as pictures

    with warnings.catch_warnings(), pyplot.style.context("default"):  # Optuna sets one for good
        warnings.simplefilter("ignore")  # it calls these pictures experimental
        axes = getattr(pictures, kind)(study, target_name=metric)  # the best are darkest
        axes.set_title("", loc="left")
        axes.set_title(title)
        path.parent.mkdir(parents=True, exist_ok=True)
        axes.figure.savefig(path, dpi=100, bbox_inches="tight")
        pyplot.close(axes.figure)
