"""The report's picture. What enters: `Results`. What leaves: a PNG, equal for equal cards."""

from __future__ import annotations

from pathlib import Path

from xstilts.params import BASELINE
from xstilts.results.report.cells import MEAN, Results, gain, names, numbers, score

SMALLEST_SCALE = 1.0  # points: below it a colour would show noise


def heatmap(results: Results, path: Path) -> None:
    """Differences to the baseline in points, all languages; scores where there is no baseline."""
    from matplotlib.figure import Figure

    by_cell = numbers(results, zero_shot=False)
    columns = [name for name in (*results.targets, MEAN) if name in names(by_cell)]
    others = [name for name in results.intermediates if name != BASELINE]
    compared = bool(others) and BASELINE in results.intermediates
    shown = others if compared else list(results.intermediates)
    values = []
    for intermediate in shown:
        both = [
            (gain(by_cell, intermediate, name), score(by_cell, intermediate, name))
            for name in columns
        ]
        values.append([100 * (gained or own).mean for gained, own in both])
    scale = max([SMALLEST_SCALE, *(abs(value) for line in values for value in line)])
    size = (0.8 * len(columns) + 2.2, 0.5 * len(shown) + 1.6)
    figure = Figure(figsize=size, layout="constrained")
    axes = figure.subplots()
    colours = "RdBu" if compared else "viridis"
    axes.imshow(values, cmap=colours, vmin=-scale if compared else 0, vmax=scale, aspect="auto")
    axes.set_xticks(range(len(columns)), columns, rotation=45, ha="right")
    axes.set_yticks(range(len(shown)), shown)
    for y, line in enumerate(values):
        for x, value in enumerate(line):
            strong = abs(value) > 0.6 * scale if compared else value < 0.5 * scale
            text = f"{round(value, 1) + 0.0:{'+' if compared else ''}.1f}"
            axes.text(x, y, text, ha="center", va="center", color="white" if strong else "black")
    what = f"difference to `{BASELINE}`, points" if compared else "score, percent"
    axes.set_title(f"{results.experiment}: {what}", fontsize=10)
    # No software's name and version among the metadata: bytes must not move with them.
    figure.savefig(path, dpi=120, metadata={"Software": None})
