"""The report's pictures: PNGs, equal for equal cells. What enters: `Results`, `Answers`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from xstilts.params import BASELINE
from xstilts.results.answers.table import DECIDED, MEAN, Answer, Answers
from xstilts.results.report.cells import Results, gain, names, numbers, score

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SMALLEST_SCALE = 1.0  # points: below it a colour would show noise
COLOURS = {"up": "#2166ac", "down": "#b2182b"}
UNDECIDED = "#777777"


def heatmap(results: Results, found: Answers, path: Path) -> None:
    """Differences to the baseline in points, undecided ones hatched; scores where there is none.

    Of zero-shot languages, or of all where a grid has no other than English.
    """
    by_cell = numbers(results, zero_shot=bool(names(numbers(results, zero_shot=True))))
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
    figure = Figure(
        figsize=(0.8 * len(columns) + 2.2, 0.5 * len(shown) + 1.6), layout="constrained"
    )
    axes = figure.subplots()
    colours = "RdBu" if compared else "viridis"
    axes.imshow(values, cmap=colours, vmin=-scale if compared else 0, vmax=scale, aspect="auto")
    axes.set_xticks(range(len(columns)), columns, rotation=45, ha="right")
    axes.set_yticks(range(len(shown)), shown)
    for y, line in enumerate(values):
        for x, value in enumerate(line):
            strong = abs(value) > 0.6 * scale if compared else value < 0.5 * scale
            text = f"{round(value, 1) + 0.0:{'+' if compared else ''}.1f}"
            answer = found.of(shown[y], columns[x])
            if answer and answer.verdict not in DECIDED:
                _hatch(axes, x, y)
            axes.text(x, y, text, ha="center", va="center", color="white" if strong else "black")
    what = f"difference to `{BASELINE}`, points" if compared else "score, percent"
    hatched = "\nhatched: undecided" if found.cells else ""
    axes.set_title(f"{results.experiment}: {what}{hatched}", fontsize=9)
    _save(figure, path)


def _hatch(axes: Axes, x: int, y: int) -> None:
    place: dict[str, Any] = {"fill": False, "hatch": "///", "edgecolor": "0.75", "linewidth": 0}
    axes.add_patch(Rectangle((x - 0.5, y - 0.5), 1, 1, **place))


def forest(found: Answers, path: Path) -> None:
    """Each difference with its interval, by gain: the inner bar test rows alone, the outer all."""
    cells: dict[tuple[str, str], Answer] = {
        **{(name, MEAN): one for name, one in found.averages.items()},
        **found.cells,
    }
    order = sorted(cells, key=lambda place: cells[place].interval.difference)
    figure = Figure(figsize=(7, 0.22 * len(order) + 1.2), layout="constrained")
    axes = figure.subplots()
    for y, place in enumerate(order):
        interval = cells[place].interval
        colour = COLOURS.get(cells[place].verdict, UNDECIDED)
        middle, rows = 100 * interval.difference, 196 * interval.rows**0.5
        axes.plot([100 * interval.low, 100 * interval.high], [y, y], color=colour, linewidth=1)
        axes.plot([middle - rows, middle + rows], [y, y], color=colour, linewidth=3)
        axes.plot([middle], [y], "o" if place[1] != MEAN else "D", color=colour, markersize=4)
    axes.axvline(0, color="black", linewidth=0.8)
    axes.set_yticks(
        range(len(order)), [f"{name} on {target}" for name, target in order], fontsize=7
    )
    axes.set_ylim(-0.7, len(order) - 0.3)
    axes.set_title(f"difference to `{BASELINE}`, points; thick: test rows alone", fontsize=9)
    _save(figure, path)


def languages(found: Answers, path: Path) -> None:
    """A panel a target: each language's difference with its interval, a colour an intermediate."""
    targets = list(dict.fromkeys(target for _, target in found.cells))
    names = list(found.averages)
    codes = {of: list(found.languages[names[0], of].answers) for of in targets}
    tall = sum(len(of) * len(names) * 0.09 + 0.7 for of in codes.values())
    figure = Figure(figsize=(7, tall + 0.6), layout="constrained")
    heights = [len(codes[of]) * len(names) + 4 for of in targets]
    panels = figure.subplots(len(targets), 1, squeeze=False, height_ratios=heights)[:, 0]
    for axes, target in zip(panels, targets, strict=True):
        for number, name in enumerate(names):
            colour, of = f"C{number % 10}", found.languages[name, target].answers
            intervals = [of[code].interval for code in codes[target]]
            heights_of = [-(place + 0.8 * number / len(names)) for place in range(len(intervals))]
            # One call for all: a line each would take half of a large report's time.
            low, high = ([100 * getattr(one, end) for one in intervals] for end in ("low", "high"))
            axes.hlines(heights_of, low, high, color=colour, linewidth=0.8)
            middle = [100 * one.difference for one in intervals]
            label = name if target == targets[0] else None
            axes.plot(middle, heights_of, "o", color=colour, markersize=2.5, label=label)
        axes.axvline(0, color="black", linewidth=0.8)
        axes.set_yticks([-place - 0.4 for place in range(len(codes[target]))], codes[target])
        axes.set_ylim(-len(codes[target]) + 0.1, 0.3)
        axes.tick_params(labelsize=6)
        axes.set_title(target, fontsize=8)
    figure.legend(loc="outside upper center", ncols=min(4, len(names)), fontsize=7)
    figure.supxlabel(f"difference to `{BASELINE}`, points, with its interval", fontsize=8)
    _save(figure, path)


def _save(figure: Figure, path: Path) -> None:
    # No software's name and version among the metadata: bytes must not move with them.
    figure.savefig(path, dpi=120, metadata={"Software": None})
