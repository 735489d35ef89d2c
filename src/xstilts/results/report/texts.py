"""The report as text: Markdown for readers, CSV for programs. Percent here, fractions in the CSVs.

What enters: `Results`. What leaves: strings that are equal for equal cards.
"""

from __future__ import annotations

import csv
import io
import statistics
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from xstilts.formats.cards import Card
from xstilts.formats.tables import ENGLISH
from xstilts.params import BASELINE, AnswerSettings
from xstilts.results.answers.said import bracketed, percent
from xstilts.results.answers.table import MEAN, Answer, Answers
from xstilts.results.answers.verdicts import SIGNS
from xstilts.results.report.cells import (
    AVERAGES,
    Column,
    Estimate,
    GridNumbers,
    Results,
    gain,
    names,
    numbers,
    score,
)
from xstilts.results.report.decided import how_to_read, summary
from xstilts.tasks.catalogue import RECORDS
from xstilts.tasks.metrics.benchmark import CATEGORIES

NOTHING = "-"
SAID = ("truncation", "pooling", "scored by", "prompt")  # of a passport, beside the metrics
PICTURE = "![Differences to the baseline](heatmap.png)"
LANGUAGES = "![Each language's difference with its interval](languages.png)"
FOREST = "![Each difference with its interval](forest.png)"
TITLES = {MEAN: "mean of targets", "qa": "QA", "without_retrieval": "without retrieval"}
ALL = {"xtreme": "XTREME (all nine)", "xtreme-r": "XTREME-R (all ten)"}


def report_text(
    results: Results, found: Answers, section: AnswerSettings, more: Sequence[str] = ()
) -> str:
    """The text of report.md: tables of all and of zero-shot languages, and how they came about.

    more: parts about groups, sizes and the spread over languages.
    """
    both = [(zero_shot, numbers(results, zero_shot)) for zero_shot in (False, True)]
    titles = TITLES | {"all": ALL[results.benchmark]}
    parts = [f"# {results.experiment}: intermediates and targets", _how_to_read(results)]
    if found.cells:
        parts += [how_to_read(found, section, len(results.replicates))]
    parts += [PICTURE]
    for zero_shot, by_cell in both:
        there = names(by_cell)
        title = "Zero-shot languages (without English)" if zero_shot else "All languages"
        targets = [name for name in results.targets if name in there]
        averages = [name for name in (MEAN, *AVERAGES) if name in there]
        shown = found if zero_shot else Answers()
        parts += [f"## {title}", _grid(by_cell, targets, titles, shown)]
        parts += [f"### Averages: {title}", _grid(by_cell, averages, titles, shown)]
    parts += ["## What is decided", summary(found, results, section)]
    parts += [FOREST] if found.cells else []
    parts += more
    parts += ["## What the numbers mean", _meanings(results)]
    parts += ["## English dev, which selected the checkpoints", _selections(results)]
    parts += ["## By language", *([LANGUAGES] if found.cells else [])]
    for column in results.columns:
        parts += [f"### {column.target} ({column.split})", _languages(results, column)]
    parts += ["## Flags", _remarks(results, "flags")]
    parts += ["## Stand-ins and notes", _remarks(results, "notes")]
    if results.leftovers:
        lines = [f"- cells/{name}" for name in results.leftovers]
        parts += ["## Left over", "Cells that this grid does not name; none is read.", *lines]
    return "\n\n".join(parts).replace("\n\n- ", "\n- ") + "\n"


def scores_csv(results: Results) -> str:
    """Every score of every card, one a line, as fractions; split `select` chose the checkpoint."""
    lines: list[Sequence[Any]] = []
    for intermediate, column, replicate, card in _cells(results):
        start = (intermediate, column.target, replicate)
        for split, languages in sorted(card.scores.items()):
            for language, scores in sorted(languages.items()):
                for metric, value in sorted(scores.items()):
                    lines.append((*start, split, language, metric, value))
        if chosen := card.selection:
            lines.append((*start, chosen.split, chosen.language, chosen.metric, chosen.score))
    header = ("intermediate", "target", "replicate", "split", "language", "metric", "value")
    return _csv(header, lines)


def grid_csv(results: Results, found: Answers) -> str:
    """A line for each intermediate and target or average, over replicates, fractions.

    low, high: of the gain's interval; p_holm: over the table; for zero-shot languages.
    """
    lines: list[Sequence[Any]] = []
    for zero_shot in (False, True):
        by_cell = numbers(results, zero_shot)
        for intermediate in results.intermediates:
            for name in (*results.targets, MEAN, *AVERAGES):
                if name in names(by_cell):
                    gained = gain(by_cell, intermediate, name) or Estimate(float("nan"), None)
                    value = score(by_cell, intermediate, name)
                    languages = "zero-shot" if zero_shot else "all"
                    pairs = (value.mean, value.spread, gained.mean, gained.spread)
                    said = _answered(found.of(intermediate, name) if zero_shot else None)
                    lines.append((intermediate, name, languages, *pairs, *said))
    header = ("intermediate", "target", "languages", "score", "spread", "gain", "gain_spread")
    return _csv((*header, "low", "high", "p", "p_holm", "verdict"), lines)


def _answered(answer: Answer | None) -> Sequence[Any]:
    if answer is None:
        return (None,) * 5
    interval = answer.interval
    return (interval.low, interval.high, interval.p, answer.adjusted, answer.verdict)


def targets_csv(results: Results, found: Answers) -> str:
    """For `dvc plots` and MLflow: gains over the baseline in percent points, zero-shot languages.

    text: the gain with the sign of its verdict.
    """
    by_cell = numbers(results, zero_shot=True)
    lines = []
    for intermediate in results.intermediates:
        for name in results.targets:
            if name in names(by_cell) and (gained := gain(by_cell, intermediate, name)):
                answer = found.of(intermediate, name)
                ends = _ends(answer) if answer else (None, None)
                verdict = answer.verdict if answer else None
                text = f"{percent(gained.mean, '+')} {SIGNS[verdict] if verdict else ''}".strip()
                value = 100 * score(by_cell, intermediate, name).mean
                lines.append((intermediate, name, value, 100 * gained.mean, *ends, verdict, text))
    header = ("intermediate", "target", "score", "difference", "low", "high", "verdict", "text")
    return _csv(header, lines)


def languages_csv(results: Results, found: Answers) -> str:
    """For `dvc plots`: each language's score and gain over the baseline, in percent points.

    low, high: of the gain's interval; none for English, which is not zero-shot.
    """
    lines: list[Sequence[Any]] = []
    for column in results.columns:
        for language in column.languages:
            by_cell = {
                name: {r: {language: column.number(name, r, language)} for r in runs}
                for name, runs in results.runs.items()
            }
            for name in results.intermediates:
                if gained := gain(by_cell, name, language):
                    value = 100 * score(by_cell, name, language).mean
                    of = found.languages.get((name, column.target))
                    answer = of.answers.get(language) if of else None
                    ends = _ends(answer) if answer else (None, None)
                    lines.append((name, column.target, language, value, 100 * gained.mean, *ends))
    header = ("intermediate", "target", "language", "score", "difference", "low", "high")
    return _csv(header, lines)


def _ends(answer: Answer) -> tuple[float, float]:
    return 100 * answer.interval.low, 100 * answer.interval.high


def headline(results: Results) -> dict[str, float]:
    """For `dvc metrics`, whose lines are short: {intermediate: mean of its targets}.

    Zero-shot languages, percent with two decimals. NAME*: without retrieval, where the grid has
    retrieval and more.
    """
    by_cell = numbers(results, zero_shot=True)
    retrieval = CATEGORIES[results.benchmark]["retrieval"]
    others = [name for name in results.targets if name in names(by_cell) and name not in retrieval]
    found: dict[str, float] = {}
    for intermediate in results.intermediates if MEAN in names(by_cell) else ():
        found[intermediate] = round(100 * score(by_cell, intermediate, MEAN).mean, 2)
        if 0 < len(others) < len(results.targets):
            means = (score(by_cell, intermediate, name).mean for name in others)
            found[f"{intermediate}*"] = round(100 * statistics.fmean(means), 2)
    return found


def metrics(results: Results) -> dict[str, Any]:
    """For `dvc metrics`: percent with two decimals, by intermediate."""
    kinds = {"all languages": False, "zero-shot": True}
    by_cell = {kind: numbers(results, zero_shot) for kind, zero_shot in kinds.items()}
    return {
        intermediate: {
            kind: {
                name: round(100 * score(values, intermediate, name).mean, 2)
                for name in names(values)
            }
            for kind, values in by_cell.items()
        }
        for intermediate in results.intermediates
    }


def _how_to_read(results: Results) -> str:
    lines = [
        "Percent. A target's number is the mean over its languages, listed below, as XTREME forms "
        "it; of several main metrics (F1 and exact match) the mean counts. An average stands here "
        "only where the grid has all of its targets."
    ]
    if BASELINE in results.intermediates and len(results.intermediates) > 1:
        lines.append(f"In brackets: the difference to the baseline, `{BASELINE}`, in points.")
    if len(results.replicates) > 1:
        more = len(results.runs.get(BASELINE, ())) - len(results.replicates)
        lines.append(
            f"± is the standard deviation over {len(results.replicates)} replicates"
            + (f" (of the baseline, {more} more)." if more > 0 else ".")
        )
    return " ".join(lines)


def _grid(
    by_cell: GridNumbers, columns: Sequence[str], titles: Mapping[str, str], found: Answers
) -> str:
    """A table with a line for each intermediate and a column for each target or average."""
    if not columns:
        return "No target is scored in these languages."
    body = [
        [name, *(_cell(by_cell, name, column, found.of(name, column)) for column in columns)]
        for name in by_cell
    ]
    return table(["intermediate", *(titles.get(name, name) for name in columns)], body)


def _languages(results: Results, column: Column) -> str:
    """A target's table: a line for each language, a column for each intermediate."""
    body = []
    for language in column.languages:
        by_cell = {
            name: {r: {language: column.number(name, r, language)} for r in runs}
            for name, runs in results.runs.items()
        }
        body.append([language, *(_cell(by_cell, name, language) for name in by_cell)])
    return table(["language", *results.intermediates], body)


def _meanings(results: Results) -> str:
    """A table of what each target's number covers, and what its passport says."""
    body = []
    for column in results.columns:
        passport = column.card.passport
        conventions = passport.get("metrics", {})
        main = ", ".join(f"{name} ({conventions.get(name, 'plain')})" for name in column.card.main)
        without = " (no English)" if ENGLISH not in column.languages else ""
        languages = f"{len(column.languages)}: {' '.join(column.languages)}{without}"
        rest = [str(passport[key]) for key in SAID if key in passport]
        layer = column.card.settings.get("layer")
        rest += [f"layer {layer.value}"] if layer else []
        chance = chance_of(column.target)
        guessed = NOTHING if chance is None else percent(chance)
        body.append([column.target, column.split, languages, main, guessed, "; ".join(rest)])
    return table(["target", "split", "languages", "metrics", "chance", "how"], body, "---")


def chance_of(target: str) -> float | None:
    """What drawing one of the labels or choices at random gives; None where there are none."""
    record = RECORDS.get(target)
    if record is None or record.main != ("accuracy",):
        return None
    ways = record.choices or (len(record.labels) if record.family == "classification" else 0)
    return 1 / ways if ways else None


def _selections(results: Results) -> str:
    body = []
    for intermediate in results.intermediates:
        line = [intermediate]
        for column in results.columns:
            chosen = [column.cards[intermediate, r].selection for r in results.runs[intermediate]]
            scores = [selection.score for selection in chosen if selection]
            line.append(f"{percent(sum(scores) / len(scores))}" if scores else NOTHING)
        body.append(line)
    metrics = [c.card.selection.metric if c.card.selection else NOTHING for c in results.columns]
    return table(["intermediate", *results.targets], [["*metric*", *metrics], *body])


def _remarks(results: Results, kind: str) -> str:
    """Each remark once, with its cells, or with the target alone where it is about all of them."""
    where: dict[tuple[str, str], list[str]] = {}
    for intermediate, column, replicate, card in _cells(results):
        for remark in getattr(card, kind):
            where.setdefault((column.target, remark), []).append(
                f"{intermediate}/{column.target}/{replicate}"
            )
    whole = sum(map(len, results.runs.values()))
    lines = [
        f"- {target if len(cells) == whole else ', '.join(cells)}: {remark}"
        for (target, remark), cells in where.items()
    ]
    return "\n".join(lines) or "None."


def _cells(results: Results) -> Iterable[tuple[str, Column, int, Card]]:
    for intermediate in results.intermediates:
        for column in results.columns:
            for replicate in results.runs[intermediate]:
                yield intermediate, column, replicate, column.cards[intermediate, replicate]


def _cell(by_cell: GridNumbers, intermediate: str, name: str, answer: Answer | None = None) -> str:
    """A score with its spread, and in brackets the difference to the baseline and its interval."""
    value, gained = score(by_cell, intermediate, name), gain(by_cell, intermediate, name)
    text = percent(value.mean) + _spread(value)
    if gained is None:
        return text
    beside = f" {bracketed(answer)}" if answer else _spread(gained)
    return f"{text} ({percent(gained.mean, '+')}{beside})"


def _spread(value: Estimate) -> str:
    return "" if value.spread is None else f" ± {percent(value.spread)}"


def table(header: Sequence[str], body: Iterable[Sequence[str]], aligned: str = "---:") -> str:
    lines = [header, ["---", *(aligned for _ in header[1:])], *body]
    return "\n".join(f"| {' | '.join(cell.replace('|', '/') for cell in line)} |" for line in lines)


def _csv(header: Sequence[str], lines: Iterable[Sequence[Any]]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows([["" if _absent(value) else value for value in line] for line in lines])
    return text.getvalue()


def _absent(value: Any) -> bool:
    return value is None or value != value  # NaN equals nothing, not even itself
