"""The grid as a whole in MLflow: its run with the report, what each intermediate gives, views.

What enters: the cells' cards and reports/. What leaves: a run named after the experiment, whose
children are the cells; on each phase-2 model's run a number a target; the saved views. Nothing is
sent that is there already, so this may be called at any time.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from xstilts.formats.cards import Card, reported
from xstilts.formats.tables import folder_digest
from xstilts.running import logbook, views
from xstilts.running.logbook import zero_shot
from xstilts.running.server import CURRENT, NOTE, TAG_LENGTH, Server, metrics_of, spared

REPORT = "xstilts.report"  # a tag of the grid's run: the digest of the report that it has
DECIDED = "xstilts.decided"  # another: the cells whose difference is, by Holm over the table
CUT = "\n\n(The rest: the artefact report.md.)"


def send_overview(server: Server, cards: Sequence[Card], reports: Path) -> None:
    """Send what is not there yet. cards: of all cells of the grid that are finished."""
    with server.lock:
        if cards:
            with spared("the numbers of the intermediates"):
                _send_numbers(server, cards)
        if (reports / "report.md").is_file():
            with spared("the report"):
                _send_report(server, reports)
        if cards:
            with spared("a view"):
                _send_views(server, cards)


def _send_report(server: Server, reports: Path) -> None:
    """The report as the description and the artefacts of the grid's run."""
    run, digest = server.whole("grid", server.experiment), folder_digest(reports)
    if server.client.get_run(run).data.tags.get(REPORT) == digest:
        return
    server.client.log_artifacts(run, str(reports))
    _send_answers(server, run, reports / "targets.csv")
    text = (reports / "report.md").read_text(encoding="utf-8")
    server.client.set_tag(run, NOTE, shortened(text, TAG_LENGTH))
    server.client.set_tag(run, REPORT, digest)


def _send_answers(server: Server, run: str, path: Path) -> None:
    """Each difference to the baseline with its interval, in points, and which are decided."""
    import pandas as pd

    if not path.is_file():
        return
    table = pd.read_csv(path, keep_default_na=False, na_values=[""])
    if "verdict" not in table:  # the report of an older version, until its stage has run
        return
    found = table.dropna(subset=["low"])
    metrics = {
        f"{one.intermediate}/{one.target}.{name}": getattr(one, name)
        for one in found.itertuples()
        for name in ("difference", "low", "high")
    }
    if metrics:
        server.log(run, metrics_of([{"step": 0, "time": logbook.now(), "metrics": metrics}]))
    decided = found[found.verdict.isin(["up", "down"])]
    said = [f"{one.intermediate} on {one.target} {one.text}" for one in decided.itertuples()]
    server.client.set_tag(run, DECIDED, "; ".join(said) or "nothing")


def shortened(text: str, length: int) -> str:
    """A text of whole blocks (a table is one) that fits into so many characters, and says so."""
    if len(text) <= length:
        return text
    kept = text[: length - len(CUT)]
    return kept[: kept.rfind("\n\n")] + CUT if "\n\n" in kept else kept + CUT


def _send_numbers(server: Server, cards: Sequence[Card]) -> None:
    """On each phase-2 model's run the zero-shot number of every target, and their mean.

    Not on the cells alone: the client loads 100 runs at a time and means those of a group that it
    has, so that of a large grid a mean over cells would be of some of them.
    """
    lines = {
        (run.data.tags.get("xstilts.intermediate"), run.data.tags.get("xstilts.replicate")): run
        for run in server.search(
            f"tags.`xstilts.phase` = 'intermediate' and tags.`xstilts.status` = '{CURRENT}'"
        )
    }
    targets = {card.target for card in cards}
    for (name, replicate), run in lines.items():
        own = [c for c in cards if (c.intermediate, str(c.replicate)) == (name, replicate)]
        numbers = {card.target: value for card in own if (value := zero_shot(card)) is not None}
        if numbers and {card.target for card in own} == targets:
            numbers["mean"] = statistics.fmean(
                numbers[c.target] for c in own if c.target in numbers
            )
        new = {key: value for key, value in numbers.items() if run.data.metrics.get(key) != value}
        if new:
            line = {"step": 0, "time": logbook.now(), "metrics": new}
            server.log(run.info.run_id, metrics_of([line]))


def _send_views(server: Server, cards: Sequence[Card]) -> None:
    """Write the views that are not there as they should be; others' stay."""
    languages = dict(_languages(cards))
    intermediates = dict.fromkeys(card.intermediate for card in cards)
    tags = server.client.get_experiment(server.id).tags
    for key, view in views.views_of(languages, intermediates, _searched(server)).items():
        if views.unpacked(tags.get(views.TAG + key, "")) != (view.name, view.state()):
            value = views.packed(view, time.time_ns() // 1_000_000)
            server.client.set_experiment_tag(server.id, views.TAG + key, value)


def _languages(cards: Sequence[Card]) -> Iterator[tuple[str, list[str]]]:
    """Each target and its columns, in the order of the cells."""
    for card in cards:
        if found := reported(card):
            split, languages = found
            yield card.target, [f"{split}.{language}" for language in languages]


def _searched(server: Server) -> list[str]:
    """The settings that the current trials have, of whichever study."""
    trials = server.search(
        f"tags.`xstilts.phase` = 'study' and tags.`xstilts.status` = '{CURRENT}'"
    )
    return list(dict.fromkeys(name for run in trials for name in sorted(run.data.params)))
