"""Runs in MLflow, and nothing lost with it: what the phases and the driver call.

What enters: steps, cards, trials. What leaves: a run for each. Losing MLflow loses no training. The
card is on disk before anything is sent, and so is the curve; a failure is a warning of one line,
and `xstilts log` sends what is missing. MLflow is imported when something is first sent, so that a
training's start does not wait for it; short trainings send once, at their end. That import and the
database's opening cost 5 seconds of a core, a run 0.3. So the driver of a grid sets
XSTILTS_TRACKING=later: short trainings are left to one `xstilts log` at its end, long ones are sent
as they go. `on` is the default, `off` sends nothing at all.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from xstilts.errors import UserError
from xstilts.formats.cards import Card, read_card
from xstilts.formats.tables import digest, folder_digest
from xstilts.paths import REPORTS
from xstilts.running import logbook
from xstilts.running.logbook import History, Line, cell_key
from xstilts.running.monitor import Monitor, start_monitor, stop_monitor
from xstilts.running.overview import send_overview
from xstilts.running.server import curve_of, open_server, sha_of

if TYPE_CHECKING:
    pass

LIVE_AFTER_S = 60.0  # a training that is shorter sends nothing before its end
SEND_EVERY_S = 10.0
SEND_SHARE = 20  # at least this many times what the last sending took: 5 % of a training at most


def open_run(experiment: str, name: str, work: Path) -> Run:
    """A run to log to, by name: pretrain, intermediate-mnli-1, study-target-xnli-0 (a trial)."""
    return Run(experiment, name, work)


class Run:
    """A run: begin, step, step, ..., then finish, finish_trial or fail; raises no MLflow error."""

    def __init__(self, experiment: str, cell: str, work: Path) -> None:
        self.experiment, self.cell, self.work = experiment, cell, work
        self._history = History(work, cell)
        self._waiting: list[Line] = []
        self._run, self._sent = "", -1  # MLflow's id, once there is one; the last step that it has
        self._training = 0  # its number within the run, from 1
        self._last = self._before = 0  # its last step; all steps of earlier ones
        self._mode = logbook.mode()
        self._live = self._mode != "off"
        self._next = time.monotonic() + LIVE_AFTER_S
        self._monitor: Monitor = None  # of the machine, while steps are sent

    def begin(self, step: int) -> None:
        """Begin the run's next training, or go on after its checkpoint of `step`."""
        self._training += 1
        self._before += self._last  # COPA after SIQA: the steps count on
        self._last = step
        run, kept = self._history.begin(self._training, self._before, step)
        if self._training == 1:
            self._run, self._sent = run.get("run", ""), run.get("sent", -1)
        self._waiting += [line for line in kept if line["step"] > self._sent]

    def step(self, step: int, metrics: Mapping[str, float]) -> None:
        """Log a step's metrics: train.loss, train.tokens_per_second, dev.METRIC and others."""
        if not self._training:
            self.begin(0)
        values = {name: float(value) for name, value in metrics.items()}
        self._last = step
        step += self._before
        line = {"step": step, "time": logbook.now(), "training": self._training, "metrics": values}
        self._history.append(line)
        if step > self._sent:  # else it was sent before the training was killed
            self._waiting.append(line)
        if self._live and self._waiting and time.monotonic() >= self._next:
            self._send()

    def finish(self, card: Card, folder: Path, chart: bool = True) -> None:
        """Log the card, which is on disk already, as the cell's current run."""
        self._end({"finished": card.key})
        if self._sends_now():
            with _warned(self.cell):
                open_server(self.experiment, self.work).send_card(card, folder, self._run, chart)

    def finish_trial(
        self, values: Mapping[str, float], score: float, study: str = "", metric: str = ""
    ) -> None:
        """Log a trial's values and English dev score. study: the digest of its study."""
        trial = {"values": dict(values), "score": score, "metric": metric}
        self._end({"finished": study, "experiment": self.experiment, "trial": trial})
        if self._sends_now():
            with _warned(self.cell):
                server = open_server(self.experiment, self.work)
                server.send_trial(self.cell, self._history.lines(), self._run)

    def fail(self) -> None:
        """Close the run as failed, if MLflow knows of it: the training ended with an error."""
        self._stop_monitor()
        if self._run:
            with _warned(self.cell):
                open_server(self.experiment, self.work).client.set_terminated(self._run, "FAILED")

    def _sends_now(self) -> bool:
        return self._mode == "on" or (self._mode == "later" and self._run != "")

    def _stop_monitor(self) -> None:
        if self._monitor:
            stop_monitor(self._monitor)
            self._monitor = None

    def _end(self, line: Line) -> None:
        self._stop_monitor()
        self._history.append({**line, "time": logbook.now(), **logbook.commit()})

    def _send(self) -> None:
        """Send all waiting steps but the newest, to which metrics may still be added."""
        newest = self._waiting[-1]["step"]
        ready = [line for line in self._waiting if line["step"] < newest]
        if not ready:
            return
        started = time.monotonic()
        self._live = False  # one failure ends the live curve; the end of the training tries again
        with _warned(self.cell):
            server = open_server(self.experiment, self.work)
            with server.lock:
                self._run = self._run or server.create(self.cell, ready[0]["time"])
                server.log(self._run, curve_of(ready))
            self._history.append({"run": self._run, "sent": ready[-1]["step"]})
            self._waiting, self._live = self._waiting[len(ready) :], True
            self._monitor = self._monitor or start_monitor(server, self._run)
        now = time.monotonic()
        self._next = now + max(SEND_EVERY_S, SEND_SHARE * (now - started))


def send_study(
    experiment: str, phase: str, name: str, values: Mapping[str, Any], folder: Path, work: Path
) -> None:
    """Log a finished study on the run that its trials stand below; raises no MLflow error.

    values: the best ones, and metric, score, trial and trials, as studies/PHASE/NAME.yaml has them.
    folder: whose pictures (PNG) and tables (CSV) become artefacts; it may not exist.
    """
    key = digest(dict(values), folder_digest(folder) if folder.is_dir() else "")
    study = {"phase": phase, "name": name, "values": dict(values), "folder": str(folder)}
    line = {"finished": key, "experiment": experiment, "study": study}
    History(work, f"studies-{phase}-{name}").append(line)
    if logbook.mode() == "on":
        with _warned(f"study {phase}/{name}"):
            open_server(experiment, work).send_study(line)


def log_missing(
    experiment: str, cells: Sequence[Path], work: Path, reports: Path = REPORTS
) -> tuple[int, int, int]:
    """Send to MLflow what has no run yet: (runs sent, cells marked anew, what could not be sent).

    cells: their folders; the cards of their phase-2 models and of pretraining go first. Of a cell
    that DVC brought back from its cache, the run with the card's key becomes current again. The
    grid's own run, with the report, and the views are brought up to date.
    """
    if logbook.mode() == "off":
        return 0, 0, 0
    sent, marked, failed = 0, 0, list[str]()
    with _warned("xstilts log", failed):
        server = open_server(experiment, work)
        with server.lock:
            known, cards = server.by_cell(), []
            for folder in logbook.card_folders(cells):
                with _warned(str(folder), failed):
                    card = read_card(folder)
                    cards.append(card)
                    runs = known.get(cell_key(card), [])
                    if card.key in map(sha_of, runs):
                        marked += server.mark(card, runs)
                    else:
                        server.send_card(card, folder, "", True)
                        sent += 1
            for cell, lines in logbook.finished_trials(experiment, work):
                if lines[-1]["finished"] not in map(sha_of, known.get(cell, [])):
                    with _warned(cell, failed):
                        server.send_trial(cell, lines, "")
                        sent += 1
            for line in logbook.finished_studies(experiment, work):
                with _warned(f"study {line['study']['name']}", failed):
                    server.send_study(line)
            send_overview(server, [card for card in cards if card.phase == "target"], reports)
    return sent, marked, len(failed)


@contextmanager
def _warned(what: str, failed: list[str] | None = None) -> Iterator[None]:
    """Turn any failure inside into one line on stderr: no training may be lost to its log.

    failed: where `what` is added then.
    """
    try:
        yield
    except Exception as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        if not isinstance(error, UserError):  # which says itself what to do
            reason = f"{reason[:300]}; what was computed is on disk; " + (
                "run `xstilts log` once MLflow answers"
            )
        if failed is not None:
            failed.append(what)
        print(f"warning: {what}: not sent to MLflow: {reason}", file=sys.stderr)
