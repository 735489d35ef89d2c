"""A cell's kept predictions under every convention in use, beside its passport's own number.

What enters: a cell. What leaves: for each split and convention a number a language, fractions.
Papers mean unlike things by one name (POS "accuracy", MLQA's F1, "dev"); the spread says how far
two published numbers may lie apart by that alone. Nothing is predicted here, and each number is
the family's own `score`: a convention is other settings, other rows, or another mean.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean
from typing import Any

from xstilts.errors import UserError
from xstilts.formats.cards import Card, task_number
from xstilts.formats.kept import Kept, cell_card, read_kept, tables_of
from xstilts.formats.tables import ENGLISH, Row, Table, read_table, table_path
from xstilts.params import TrainingSettings
from xstilts.paths import target_data
from xstilts.phases.members import subset
from xstilts.results.conventions import (
    CONVENTIONS,
    NORMALISERS,
    Conventions,
    Numbers,
    Rule,
)
from xstilts.tasks.catalogue import record
from xstilts.tasks.families import FAMILIES
from xstilts.tasks.families.protocol import Prediction, TaskSettings
from xstilts.tasks.metrics import mlqa

DEV_ROWS = 500  # what Phang et al. (2020) select on; jiant takes the first ones
TINY = 1e-9


@dataclass(frozen=True)
class Rescored:
    """One split of a cell. conventions: name -> numbers; the passport's own is the first."""

    cell: str
    split: str
    conventions: Mapping[str, Numbers]
    hidden: Sequence[str]  # languages without gold
    notes: Sequence[str] = ()

    @property
    def own(self) -> Numbers:
        return next(iter(self.conventions.values()))

    def difference(self, name: str, languages: Iterable[str]) -> float | None:
        """Mean difference to the passport's own over those of the languages that have both."""
        numbers = self.conventions[name]
        both = [numbers[code] - self.own[code] for code in languages if code in numbers]
        return fmean(both) if both else None

    def spread(self, languages: Sequence[str]) -> tuple[float, str, str]:
        """Highest minus lowest convention, as differences to the own number; and which they are."""
        found = {name: self.difference(name, languages) for name in self.conventions}
        known = {name: value for name, value in found.items() if value is not None}
        low, high = (pick(known, key=known.__getitem__) for pick in (min, max))
        return known[high] - known[low], low, high


@dataclass
class _Language:
    """One language's predictions, and its table where it is at hand."""

    kept: Kept
    rows: list[Row]
    texts: list[Row] | None = None
    numbers: dict[str, float] = field(default_factory=dict)


def rescore(folder: Path, dev_rows: int = DEV_ROWS) -> list[Rescored]:
    """Every split that has gold. UserError where the predictions do not give the card's numbers."""
    card = cell_card(folder)
    splits: dict[str, list[str]] = {}
    for split, language in tables_of(folder):
        splits.setdefault(split, []).append(language)
    if not splits:
        raise UserError(
            f"{folder}/predictions: nothing in it; expected the cell's predictions; run `dvc repro "
            f"target@{card.intermediate}-{card.target}-{card.replicate}`"
        )
    return [_split(folder, card, split, splits[split], dev_rows) for split in sorted(splits)]


def _split(
    folder: Path, card: Card, split: str, languages: Sequence[str], dev_rows: int
) -> Rescored:
    scored = card.scores.get(split, {})
    found: dict[str, Numbers] = {}
    unread = False
    for language in sorted(scored, key=lambda code: (code != ENGLISH, code)):
        kept = read_kept(folder, card, split, language)
        one = _Language(kept, kept.rows(_family(card)), _texts(card, kept))
        unread |= one.texts is None
        for name, number in _numbers(card, one, dev_rows).items():
            found.setdefault(name, {})[language] = number
        _check(folder, card, kept, found)
    hidden = [code for code in languages if code not in scored]
    notes = _notes(card, list(scored), unread)
    if found:
        own = next(iter(found.values()))
        asked = {code: card.counts[f"{split}-{code}"]["predicted"] for code in own}
        notes += _conventions(card).whole(own, asked)
    return Rescored(folder.as_posix(), split, found, hidden, notes)


def _notes(card: Card, languages: Sequence[str], unread: bool) -> list[str]:
    """What cannot be computed here, and where a name says more than it should."""
    conventions = _conventions(card)
    notes = conventions.lost(_convention(card))
    if not notes and conventions.reads_texts and unread:
        notes.append(
            f"{target_data(card.target)}: not this cell's tables: no convention about texts"
        )
    foreign = [code for code in languages if code not in mlqa.LANGUAGES]
    if _convention(card) == "mlqa" and foreign:
        notes.append(f"MLQA's normaliser has no rules for {' '.join(foreign)}: SQuAD's there")
    return notes


def _numbers(card: Card, one: _Language, dev_rows: int) -> dict[str, float]:
    """Every convention's number for one language; the passport's own first."""
    own = Rule(_settings(card), card.main)
    family, kept, conventions = FAMILIES[_family(card)], one.kept, _conventions(card)

    def number(rule: Rule, predictions: Sequence[Prediction], rows: Sequence[Row]) -> float:
        scores = family.score(predictions, rows, kept.language, rule.settings)
        return task_number(scores, rule.main)

    def of(places: Sequence[int], predictions: Sequence[Prediction] = kept.predictions) -> float:
        """The own number of some of the rows."""
        return number(own, [predictions[i] for i in places], [one.rows[i] for i in places])

    found = {_name(card, own): number(own, kept.predictions, one.rows)}
    for rule in conventions.rules(own.settings, kept.language):
        found.setdefault(_name(card, rule), number(rule, kept.predictions, one.rows))
    if one.texts is not None:
        for name, predictions, places in conventions.by_texts(
            own.settings, kept.predictions, one.texts
        ):
            found[name] = of(places, predictions)
    if kept.split == "dev" and conventions.first_rows and dev_rows < len(one.rows):
        found[f"first {dev_rows} rows (jiant)"] = of(range(dev_rows))
        found[f"{dev_rows} rows drawn (seed 1)"] = of(_drawn(len(one.rows), dev_rows))
    return found


def _name(card: Card, rule: Rule) -> str:
    """f1 (seqeval-1.2.2); mean of f1 and exact_match (MLQA's normaliser); accuracy."""
    metrics = rule.main[0] if len(rule.main) == 1 else f"mean of {' and '.join(rule.main)}"
    if name := _conventions(card).names.get(rule.main):
        return name
    convention = rule.settings.convention
    return f"{metrics} ({NORMALISERS.get(convention, convention)})" if convention else metrics


def _settings(card: Card) -> TaskSettings:
    """What the cell was scored with, as its passport says."""
    metrics: Mapping[str, str] = card.passport["metrics"]
    # F1 is the last label's, which a card does not name (QQP).
    of_label = card.family == "classification" and "f1" in metrics
    labels = record(card.target).labels if of_label else ()
    return TaskSettings(0, labels, tuple(metrics), _convention(card))


def _convention(card: Card) -> str:
    convention: str = next(iter(card.passport["metrics"].values()))
    return "" if convention == "plain" else convention


def _family(card: Card) -> Any:
    return card.family  # on a card since its record named it


def _conventions(card: Card) -> Conventions:
    found = CONVENTIONS[_family(card)]
    if found is None:
        raise UserError(f"{card.target}: a {card.family} task, which has no numbers to compare")
    return found


def _check(folder: Path, card: Card, kept: Kept, found: Mapping[str, Numbers]) -> None:
    """The own number is the card's, or nothing beside it means anything."""
    (name, numbers), *_ = found.items()
    on_card = task_number(card.scores[kept.split][kept.language], card.main)
    if abs(numbers[kept.language] - on_card) > TINY:
        raise UserError(
            f"{folder}: {kept.name} {name} is {numbers[kept.language]:.6f} of the predictions and "
            f"{on_card:.6f} on the card; expected the same; run "
            f"`dvc repro target@{card.intermediate}-{card.target}-{card.replicate}`"
        )


# Rows


def _texts(card: Card, kept: Kept) -> list[Row] | None:
    """The table that was predicted, if it is still there."""
    folder = target_data(card.target)
    split: Any = kept.split
    if not table_path(folder, split, kept.language).is_file():
        return None
    table = read_table(folder, split, kept.language)
    return table.rows if table.digest == card.inputs[kept.name] else None


def _drawn(rows: int, wanted: int) -> list[int]:
    """As training.dev_rows draws them."""
    table = Table("", "dev", "", [{"place": place} for place in range(rows)])
    drawn = subset(table, TrainingSettings(dev_rows=wanted))
    return [row["place"] for row in drawn.rows]


# Shown


def render(one: Rescored) -> str:
    """A line a convention: mean, its difference to the own number, the same without English, and
    the language that moves most. Percent; differences in points, over the languages of both."""
    if not one.conventions:
        return f"{one.cell} {one.split}: no gold, so no number ({len(one.hidden)} languages)"
    others = [code for code in one.own if code != ENGLISH]
    lines = [["", "languages", "mean", "", f"without {ENGLISH}", "", "moves most"]]
    for name, numbers in one.conventions.items():
        line = [name, str(len(numbers)), _mean(numbers, numbers), _points(one, name, one.own)]
        lines.append([*line, _mean(numbers, others), _points(one, name, others), _most(one, name)])
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    text = [f"{one.cell} {one.split}, percent"]
    for first, *rest in lines:
        cells = [first.ljust(widths[0]), *map(str.rjust, rest, widths[1:])]
        text.append(f"  {'  '.join(cells)}".rstrip())
    text += [f"  {line}" for line in (*_spread(one), *one.notes)]
    if one.hidden:
        text.append(f"  no gold: {' '.join(one.hidden)}")
    return "\n".join(text)


def _spread(one: Rescored) -> list[str]:
    if len(one.conventions) == 1:
        return ["no other convention of a language can be computed from what was kept"]
    whole, low, high = one.spread(list(one.own))
    lines = [f"spread {100 * whole:.2f} points: {low} to {high}"] if whole else ["no spread"]
    each = {code: one.spread([code])[0] for code in one.own}
    least, most = (pick(each, key=each.__getitem__) for pick in (min, max))
    if each[least] < each[most]:
        ends = (f"{100 * each[code]:.2f} ({code})" for code in (least, most))
        lines.append(f"spread by language: {' to '.join(ends)}")
    return lines


def _most(one: Rescored, name: str) -> str:
    """The language whose number moves most, and by how much."""
    moved = {code: one.difference(name, [code]) or 0.0 for code in one.conventions[name]}
    code = max(moved, key=lambda code: abs(moved[code]))
    return f"{code} {_points(one, name, [code])}" if moved[code] else ""


def plain(one: Rescored) -> dict[str, Any]:
    """For `--json`: every number, percent."""
    return {
        "cell": one.cell,
        "split": one.split,
        "own": next(iter(one.conventions), None),
        "conventions": {
            name: {code: 100 * number for code, number in numbers.items()}
            for name, numbers in one.conventions.items()
        },
        "spread": 100 * one.spread(list(one.own))[0] if one.conventions else None,
        "hidden": list(one.hidden),
        "notes": list(one.notes),
    }


def _mean(numbers: Numbers, languages: Iterable[str]) -> str:
    found = [numbers[code] for code in languages if code in numbers]
    return f"{100 * fmean(found):.2f}" if found else "-"


def _points(one: Rescored, name: str, languages: Iterable[str]) -> str:
    """Of the own number itself: the word; never -0.00."""
    if one.conventions[name] is one.own:
        return "own"
    difference = one.difference(name, languages)
    return "-" if difference is None else f"{round(100 * difference, 2) + 0.0:+.2f}"
