"""Along what the gains of a target's languages lie: `xstilts languages`.

What enters: a target's cells, and facts of its languages. What leaves: for each fact and
intermediate the slope of the gain on it, with its interval. The languages are as fixed as the
target's are: a slope says how these gains lie, not what another language's would be.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from xstilts.console import aligned
from xstilts.errors import UserError
from xstilts.params import BASELINE, AnswerSettings
from xstilts.results.answers.languages import joint_slopes, slope
from xstilts.results.answers.measure import Floats, Summed, measure
from xstilts.results.answers.said import gained
from xstilts.results.answers.table import Answer, compared, judged
from xstilts.results.compare import Grid
from xstilts.results.report.decided import own_encoders, sums_of

Facts = Mapping[str, Mapping[str, float]]  # by name, by language
FEWEST = 5  # languages of which a fact must be known
A_FACT_NEEDS = 5  # languages for each fact of the joint fit


@dataclass(frozen=True)
class Slopes:
    """Gains along facts. Of one standard deviation of the fact over the languages, as fractions.

    inflation: of each fact, how much the others blow up its variance in the joint fit (VIF).
    """

    target: str
    languages: tuple[str, ...]
    single: Mapping[tuple[str, str], Answer]  # by fact, intermediate
    joint: Mapping[tuple[str, str], Answer]
    inflation: Mapping[str, float]
    left_out: tuple[str, ...]  # facts that are known of too few languages, or do not vary


def slopes(grid: Grid, target: str, facts: Facts, section: AnswerSettings) -> Slopes:
    """Each fact alone, and all together where there are languages enough."""
    if BASELINE not in grid.settings.intermediates:
        raise UserError(
            f"grid.intermediates: no '{BASELINE}'; expected it, as gains are over it; add it"
        )
    column = grid.column(target, BASELINE)
    if list(column.cards) == [(BASELINE, run) for _, run in column.cards]:
        raise UserError(
            f"cells: {target} has no whole line but '{BASELINE}'; expected another, whose gains "
            "are asked about; run `xstilts grid`"
        )
    sums, frozen = sums_of(column, grid.cells), column.card.selection is None
    blocks = own_encoders([column])
    usable, left_out = {}, []
    for name, fact in facts.items():
        known = [fact[code] for code in sums.languages if code in fact]
        if len(known) < FEWEST or np.ptp(known) == 0:
            left_out.append(name)
        else:
            usable[name] = {
                code: value / float(np.std(known, ddof=1)) for code, value in fact.items()
            }
    if not usable:
        raise UserError(
            f"{target}: no fact is known of {FEWEST} of its languages and varies; expected one; "
            "give some with --facts FILE"
        )

    def asked(columns: Mapping[str, Summed]) -> dict[tuple[str, str], Answer]:
        found = {
            (fact, name): one
            for fact, of in columns.items()
            for name, one in compared(measure([of]), section, frozen and not blocks, blocks).items()
        }
        return judged(found, section)

    codes = tuple(c for c in sums.languages if all(c in fact for fact in usable.values()))
    table = np.array([[fact[code] for fact in usable.values()] for code in codes])
    together = len(usable) > 1 and len(codes) >= A_FACT_NEEDS * len(usable)
    together = together and bool((np.ptp(table, axis=0) > 0).all())
    joint = (
        joint_slopes(replace(sums, languages=codes), dict(zip(usable, table.T, strict=True)))
        if together
        else {}
    )
    return Slopes(
        target,
        sums.languages,
        asked({name: slope(sums, fact) for name, fact in usable.items()}),
        asked(joint),
        dict(zip(usable, _inflation(table), strict=True)) if together else {},
        tuple(left_out),
    )


def _inflation(table: Floats) -> list[float]:
    """The diagonal of the inverse of the facts' correlations."""
    correlations: Floats = np.asarray(np.corrcoef(table, rowvar=False))
    if np.linalg.matrix_rank(correlations) < len(correlations):
        return [float("inf")] * len(correlations)
    found: list[float] = np.diag(np.linalg.inv(correlations)).tolist()
    return found


def render(found: Slopes) -> str:
    """As text."""
    names = list(dict.fromkeys(name for _, name in found.single))
    lines = [
        f"{found.target}: gains over the baseline along facts of {len(found.languages)} languages "
        f"({' '.join(found.languages)})",
        "",
        "Points for one standard deviation more of a fact, each alone; signs by Holm over the "
        "table.",
        *_table(found.single, names, {}),
    ]
    if found.joint:
        lines += [
            "",
            "All facts together. VIF: how much a slope's variance is blown up by the other facts; "
            "above 5 or 10 they cannot be told apart.",
            *_table(found.joint, names, found.inflation),
        ]
    if found.left_out:
        lines += ["", f"Left out, known of too few or equal in all: {', '.join(found.left_out)}."]
    return "\n".join(lines)


def _table(
    answers: Mapping[tuple[str, str], Answer], names: Sequence[str], inflation: Mapping[str, float]
) -> list[str]:
    facts = list(dict.fromkeys(fact for fact, _ in answers))
    header = ["fact", *(["VIF"] if inflation else []), *names]
    rows = []
    for fact in facts:
        cells = [gained(answers[fact, name]) for name in names]
        rows.append([fact, *([f"{inflation[fact]:.1f}"] if inflation else []), *cells])
    return aligned([header, *rows])
