"""What of the table is decided: intervals and verdicts of the differences to the baseline.

What enters: `Results`, and the sums of their cells. What leaves: `Answers`, and their texts.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from xstilts.params import BASELINE, AnswerSettings
from xstilts.paths import cell
from xstilts.results.answers.measure import Summed
from xstilts.results.answers.said import gained
from xstilts.results.answers.sums import are_there, read_sums
from xstilts.results.answers.table import DECIDED, Answer, Answers, answers
from xstilts.results.answers.verdicts import SIGNS
from xstilts.results.report.cells import Column, Results, spoken

Sums = Mapping[str, tuple[Summed, bool]]  # by target its sums, and whether nothing is trained


def answers_of(results: Results, columns: Sums, section: AnswerSettings) -> Answers:
    """The answers of a grid with a baseline and more, zero-shot; else none."""
    if BASELINE not in results.intermediates or len(results.intermediates) < 2 or not columns:
        return Answers()
    sums = {target: column for target, (column, _) in columns.items()}
    frozen = frozenset(target for target, (_, is_frozen) in columns.items() if is_frozen)
    return answers(sums, section, frozen, own_encoders(results.columns))


def readable(results: Results, cells: Path) -> Sums:
    """`columns_of`; none of cards alone, which came from elsewhere without sums and predictions."""
    whole = all(are_there(folder) for folder in _folders(results, cells))
    return columns_of(results, cells) if whole else {}


def columns_of(results: Results, cells: Path) -> dict[str, tuple[Summed, bool]]:
    """By target its sums in zero-shot languages, if it has any."""
    return {
        column.target: (sums_of(column, cells), column.card.selection is None)
        for column in results.columns
        if spoken(column, zero_shot=True)
    }


def _folders(results: Results, cells: Path) -> Iterator[Path]:
    for column in results.columns:
        for name, replicate in column.cards:
            yield cell(name, column.target, replicate, cells)


def sums_of(column: Column, cells: Path) -> Summed:
    """The column's sums, in its zero-shot languages."""
    trainings = {
        (name, replicate): read_sums(cell(name, column.target, replicate, cells), card)
        for (name, replicate), card in column.cards.items()
    }
    return Summed(trainings, tuple(spoken(column, zero_shot=True)), column.card.main)


def own_encoders(columns: Iterable[Column]) -> bool:
    """Whether replicates of the baseline, which has no phase 2, start from unlike encoders."""
    return any(
        len(
            {card.inputs.get("encoder") for (name, _), card in of.cards.items() if name == BASELINE}
        )
        > 1
        for of in columns
    )


def how_to_read(found: Answers, section: AnswerSettings, replicates: int) -> str:
    """What brackets and signs stand for."""
    level = f"{100 * section.level:g} %"
    if replicates == 1:
        return (
            f"In square brackets: the difference's {level} interval over test rows like these. "
            "With one replicate nobody knows what another seed would give: no verdict."
        )
    own = (
        " Replicates have encoders of their own: differences are taken replicate by replicate."
        if found.blocks
        else ""
    )
    return (
        f"In square brackets: the difference's {level} interval over seeds and test rows like "
        f"these, given the encoder, the data and the settings. {how_signs_read(section)}{own}"
    )


def how_signs_read(section: AnswerSettings) -> str:
    """What each verdict's sign stands for."""
    return (
        f"{SIGNS['up']} {SIGNS['down']}: decided, by Holm over the table; {SIGNS['perhaps up']} "
        f"{SIGNS['perhaps down']}: one in ten of these may be false; {SIGNS['equal']}: within "
        f"{section.matters:g} points; {SIGNS['undecided']}: undecided."
    )


def summary(found: Answers, results: Results, section: AnswerSettings) -> str:
    """What is decided: averages, then cells, then the languages of decided cells."""
    if not found.cells:
        return "No intervals: nothing to compare, or cells that keep neither predictions nor sums."
    lines = []
    for name, answer in found.averages.items():
        lines.append(f"- `{name}`, mean of {len(results.targets)} targets: {_said(answer)}")
    decided = {place: one for place, one in found.cells.items() if one.verdict in DECIDED}
    lines.append(f"- of {len(found.cells)} cells {len(decided)} are decided")
    for (name, target), answer in decided.items():
        of = found.languages[name, target]
        lines.append(
            f"- `{name}` on {target}: {_said(answer)}; "
            f"{'helps' if answer.verdict == 'up' else 'hurts'} in at least "
            f"{of.agreeing} of {len(of.answers)} languages"
        )
    unlike = sorted({target for (_, target), one in found.cells.items() if one.unlike})
    if unlike:
        lines.append(
            f"- {', '.join(unlike)}: intermediates differ in their spread over replicates "
            "(Bartlett, p < .01), so that each has its own"
        )
    return "\n".join(lines)


def _said(answer: Answer) -> str:
    value = gained(answer)
    if answer.interval.p is None:
        return f"{value}, seeds unknown"
    return f"{value}, p {answer.interval.p:.2g}, by Holm {answer.adjusted:.2g}"
