"""A cell's kept predictions scored under every convention in use, beside its passport's own.

What enters: a cell. What leaves: for each split, convention and language a number (a fraction).
Papers mean unlike things by one name (POS "accuracy", MLQA's F1, "dev"); the spread says how far
two published numbers may lie apart by that alone. Nothing is predicted here, and each number is
the family's own `score`: a convention is other settings, other rows, or another mean.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

from xstilts.console import aligned
from xstilts.errors import UserError
from xstilts.formats.cards import Card, task_number
from xstilts.formats.kept import Kept, cell_card, read_kept, tables_of
from xstilts.formats.tables import ENGLISH, Row, read_table, table_path
from xstilts.params import TrainingSettings
from xstilts.paths import target_data
from xstilts.phases.members import chosen_rows
from xstilts.results.conventions import CONVENTIONS, NORMALISERS, Conventions, Numbers, Rule
from xstilts.tasks.catalogue import record
from xstilts.tasks.families import FAMILIES
from xstilts.tasks.families.protocol import Prediction, TaskSettings
from xstilts.tasks.metrics import mlqa

DEV_ROWS = 500  # what Phang et al. (2020) select on; jiant takes the first ones
TINY = 1e-9


@dataclass(frozen=True)
class Rescored:
    """A split of a cell under all conventions: name -> numbers, the passport's own first."""

    cell: str
    split: str
    conventions: Mapping[str, Numbers]
    hidden: Sequence[str]  # languages without gold
    notes: Sequence[str] = ()

    @property
    def own(self) -> Numbers:
        """The numbers under the passport's own convention."""
        return next(iter(self.conventions.values()))

    def difference(self, name: str, languages: Iterable[str]) -> float | None:
        """A convention's mean difference to the own numbers, over the languages that have both."""
        numbers = self.conventions[name]
        both = [numbers[code] - self.own[code] for code in languages if code in numbers]
        return fmean(both) if both else None

    def spread(self, languages: Sequence[str]) -> tuple[float, str, str]:
        """(difference, lowest, highest) of the conventions with the lowest and highest numbers."""
        differences = {name: self.difference(name, languages) for name in self.conventions}
        known = {name: value for name, value in differences.items() if value is not None}
        low, high = (pick(known, key=known.__getitem__) for pick in (min, max))
        return known[high] - known[low], low, high


@dataclass
class _Language:
    """One language's predictions with their gold, and its table where that is still there."""

    kept: Kept
    rows: list[Row]
    texts: list[Row] | None


def rescore(folder: Path, dev_rows: int = DEV_ROWS) -> list[Rescored]:
    """Score every split of a cell; UserError where predictions do not give the card's numbers."""
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
    by_convention: dict[str, Numbers] = {}
    unread = False
    for code in sorted(scored, key=lambda code: (code != ENGLISH, code)):
        kept = read_kept(folder, card, split, code)
        language = _Language(kept, kept.rows(_family(card)), _texts(card, kept))
        unread |= language.texts is None
        for name, number in _numbers(card, language, dev_rows).items():
            by_convention.setdefault(name, {})[code] = number
        _check(folder, card, kept, by_convention)
    hidden = [code for code in languages if code not in scored]
    notes = _notes(card, list(scored), unread)
    if by_convention:
        own = next(iter(by_convention.values()))
        queries = {code: card.counts[f"{split}-{code}"]["predicted"] for code in own}
        notes += _conventions(card).whole(own, queries)
    return Rescored(folder.as_posix(), split, by_convention, hidden, notes)


def _notes(card: Card, languages: Sequence[str], unread: bool) -> list[str]:
    """Notes on conventions that cannot be computed here, and on names that promise too much."""
    conventions = _conventions(card)
    notes = conventions.lost(_convention(card))
    if not notes and conventions.by_texts and unread:
        notes.append(
            f"{target_data(card.target)}: not this cell's tables: no convention about texts"
        )
    foreign = [code for code in languages if code not in mlqa.LANGUAGES]
    if _convention(card) == "mlqa" and foreign:
        notes.append(f"MLQA's normaliser has no rules for {' '.join(foreign)}: SQuAD's there")
    return notes


def _numbers(card: Card, language: _Language, dev_rows: int) -> dict[str, float]:
    """Every convention's number for one language; the passport's own first."""
    own = Rule(_settings(card), card.main)
    family, conventions = FAMILIES[_family(card)], _conventions(card)
    kept, gold = language.kept, language.rows

    def number(rule: Rule, predictions: Sequence[Prediction], rows: Sequence[Row]) -> float:
        scores = family.score(predictions, rows, kept.language, rule.settings)
        return task_number(scores, rule.main)

    def of_some(rows: Sequence[int], predictions: Sequence[Prediction] = kept.predictions) -> float:
        """The own rule's number of the rows with these numbers."""
        return number(own, [predictions[i] for i in rows], [gold[i] for i in rows])

    numbers = {_name(card, own): number(own, kept.predictions, gold)}
    for rule in conventions.rules(own.settings, kept.language):
        numbers.setdefault(_name(card, rule), number(rule, kept.predictions, gold))
    if conventions.by_texts and language.texts is not None:
        variants = conventions.by_texts(own.settings, kept.predictions, language.texts)
        for name, predictions, rows in variants:
            numbers[name] = of_some(rows, predictions)
    if kept.split == "dev" and conventions.first_rows and dev_rows < len(gold):
        drawn = chosen_rows(len(gold), TrainingSettings(dev_rows=dev_rows))
        numbers[f"first {dev_rows} rows (jiant)"] = of_some(range(dev_rows))
        numbers[f"{dev_rows} rows drawn (seed 1)"] = of_some(drawn)
    return numbers


def _name(card: Card, rule: Rule) -> str:
    """A rule's name: f1 (seqeval-1.2.2), mean of f1 and exact_match (MLQA's normaliser)."""
    metrics = rule.main[0] if len(rule.main) == 1 else f"mean of {' and '.join(rule.main)}"
    if name := _conventions(card).names.get(rule.main):
        return name
    convention = rule.settings.convention
    return f"{metrics} ({NORMALISERS.get(convention, convention)})" if convention else metrics


def _settings(card: Card) -> TaskSettings:
    """The settings that the cell was scored with, as its passport says."""
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
    conventions = CONVENTIONS[_family(card)]
    if conventions is None:
        raise UserError(f"{card.target}: a {card.family} task, which has no numbers to compare")
    return conventions


def _check(folder: Path, card: Card, kept: Kept, by_convention: Mapping[str, Numbers]) -> None:
    """UserError where the own number is not the card's: then no other would mean anything."""
    (name, numbers), *_ = by_convention.items()
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


# Shown


def render(result: Rescored) -> str:
    """A split as text, with a line for each convention.

    Each gives the mean, its difference to the own number, both without English, and the language
    that moves most. Percent; differences in points, over the languages that have both numbers.
    """
    if not result.conventions:
        return (
            f"{result.cell} {result.split}: no gold, so no number ({len(result.hidden)} languages)"
        )
    others = [code for code in result.own if code != ENGLISH]
    lines = [["", "languages", "mean", "", f"without {ENGLISH}", "", "moves most"]]
    for name, numbers in result.conventions.items():
        line = [name, str(len(numbers)), _mean(numbers, numbers), _points(result, name, result.own)]
        lines.append(
            [*line, _mean(numbers, others), _points(result, name, others), _most(result, name)]
        )
    text = [f"{result.cell} {result.split}, percent"]
    text += [f"  {line}" for line in aligned(lines)]
    text += [f"  {line}" for line in (*_spread(result), *result.notes)]
    if result.hidden:
        text.append(f"  no gold: {' '.join(result.hidden)}")
    return "\n".join(text)


def _spread(result: Rescored) -> list[str]:
    if len(result.conventions) == 1:
        return ["no other convention of a language can be computed from what was kept"]
    whole, low, high = result.spread(list(result.own))
    lines = [f"spread {100 * whole:.2f} points: {low} to {high}"] if whole else ["no spread"]
    each = {code: result.spread([code])[0] for code in result.own}
    least, most = (pick(each, key=each.__getitem__) for pick in (min, max))
    if each[least] < each[most]:
        ends = (f"{100 * each[code]:.2f} ({code})" for code in (least, most))
        lines.append(f"spread by language: {' to '.join(ends)}")
    return lines


def _most(result: Rescored, name: str) -> str:
    """The language whose number moves most, and by how much."""
    moved = {code: result.difference(name, [code]) or 0.0 for code in result.conventions[name]}
    code = max(moved, key=lambda code: abs(moved[code]))
    return f"{code} {_points(result, name, [code])}" if moved[code] else ""


def plain(result: Rescored) -> dict[str, Any]:
    """A split as plain values for `--json`: every number, in percent."""
    return {
        "cell": result.cell,
        "split": result.split,
        "own": next(iter(result.conventions), None),
        "conventions": {
            name: {code: 100 * number for code, number in numbers.items()}
            for name, numbers in result.conventions.items()
        },
        "spread": 100 * result.spread(list(result.own))[0] if result.conventions else None,
        "hidden": list(result.hidden),
        "notes": list(result.notes),
    }


def _mean(numbers: Numbers, languages: Iterable[str]) -> str:
    known = [numbers[code] for code in languages if code in numbers]
    return f"{100 * fmean(known):.2f}" if known else "-"


def _points(result: Rescored, name: str, languages: Iterable[str]) -> str:
    """A convention's difference in points, never -0.00; `own` for the own numbers themselves."""
    if result.conventions[name] is result.own:
        return "own"
    difference = result.difference(name, languages)
    return "-" if difference is None else f"{round(100 * difference, 2) + 0.0:+.2f}"
