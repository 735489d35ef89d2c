"""Runs in MLflow: the only room that knows it.

What enters: steps, cards, trials. What leaves: a run for each. Losing MLflow loses no training. The
card is on disk before anything is sent, and so is the curve; a failure is a warning of one line,
and `xstilts log` sends what is missing. MLflow is imported when something is first sent, so that a
training's start does not wait for it; short trainings send once, at their end. That import and the
database's opening cost 5 seconds of a core, a run 0.3. So the driver of a grid sets
XSTILTS_TRACKING=later: short trainings are left to one `xstilts log` at its end, long ones are sent
as they go. `on` is the default, `off` sends nothing at all.
"""

from __future__ import annotations

import json
import os
import re
import sys
import tempfile
import time
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from xstilts.formats.cards import Card, read_card
from xstilts.running import logbook
from xstilts.running.logbook import History, Line, cell_key

if TYPE_CHECKING:
    from mlflow.entities import Run as Logged

LIVE_AFTER_S = 60.0  # a training that is shorter sends nothing before its end
SEND_EVERY_S = 10.0
SEND_SHARE = 20  # at least this many times what the last sending took: 5 % of a training at most
LOCK_TIMEOUT_S = 120.0
METRICS_AT_ONCE, PARAMS_AT_ONCE, PARAM_LENGTH = 1000, 100, 6000  # MLflow's limits of one request
PARENT = "XSTILTS_PARENT_RUN"
CURRENT, SUPERSEDED, RUNNING = "current", "superseded", "running"
ONE_RUN_A_CELL = f"tags.`xstilts.status` = '{CURRENT}'"
KEPT = ("card.json", "history.csv", "predictions")  # of a stage's folder; weights are DVC's
QUIET = {  # 7 retries with back-off, MLflow's own, would hold a training up for minutes
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
    "MLFLOW_LOGGING_LEVEL": "ERROR",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
}


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
                _server(self.experiment, self.work).send_card(card, folder, self._run, chart)

    def finish_trial(
        self, values: Mapping[str, float], score: float, study: str = "", metric: str = ""
    ) -> None:
        """Log a trial's values and English dev score. study: the digest of its study."""
        trial = {"values": dict(values), "score": score, "metric": metric}
        self._end({"finished": study, "experiment": self.experiment, "trial": trial})
        if self._sends_now():
            with _warned(self.cell):
                server = _server(self.experiment, self.work)
                server.send_trial(self.cell, self._history.lines(), self._run)

    def fail(self) -> None:
        """Close the run as failed, if MLflow knows of it: the training ended with an error."""
        if self._run:
            with _warned(self.cell):
                _server(self.experiment, self.work).client.set_terminated(self._run, "FAILED")

    def _sends_now(self) -> bool:
        return self._mode == "on" or (self._mode == "later" and self._run != "")

    def _end(self, line: Line) -> None:
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
            server = _server(self.experiment, self.work)
            with server.lock:
                self._run = self._run or server.create(self.cell, ready[0]["time"])
                server.log(self._run, _metrics(ready))
            self._history.append({"run": self._run, "sent": ready[-1]["step"]})
            self._waiting, self._live = self._waiting[len(ready) :], True
        now = time.monotonic()
        self._next = now + max(SEND_EVERY_S, SEND_SHARE * (now - started))


def log_missing(experiment: str, cells: Sequence[Path], work: Path) -> tuple[int, int, int]:
    """Send to MLflow what has no run yet: (runs sent, cells marked anew, what could not be sent).

    cells: their folders; the cards of their phase-2 models and of pretraining go first. Of a cell
    that DVC brought back from its cache, the run with the card's key becomes current again.
    """
    if logbook.mode() == "off":
        return 0, 0, 0
    sent, marked, failed = 0, 0, list[str]()
    with _warned("xstilts log", failed):
        server = _server(experiment, work)
        with server.lock:
            known = server.by_cell()
            for folder in logbook.card_folders(cells):
                with _warned(str(folder), failed):
                    card = read_card(folder)
                    runs = known.get(cell_key(card), [])
                    if card.key in map(_sha, runs):
                        marked += server.mark(card, runs)
                    else:
                        server.send_card(card, folder, "", True)
                        sent += 1
            for cell, lines in logbook.finished_trials(experiment, work):
                if lines[-1]["finished"] not in map(_sha, known.get(cell, [])):
                    with _warned(cell, failed):
                        server.send_trial(cell, lines, "")
                        sent += 1
    return sent, marked, len(failed)


class _Server:
    """A tracking server or database, and one experiment in it."""

    def __init__(self, uri: str, experiment: str, work: Path) -> None:
        from filelock import FileLock

        in_file = uri.startswith("sqlite:///")
        database = Path(uri.removeprefix("sqlite:///")).absolute() if in_file else None
        lock = Path(f"{database}.lock") if database else work / "tracking.lock"
        lock.parent.mkdir(parents=True, exist_ok=True)
        # Processes that open a new database together break it for good: one at a time.
        self.lock = FileLock(lock, timeout=LOCK_TIMEOUT_S)
        self.work = work
        with self.lock, warnings.catch_warnings():
            # MLflow's own imports and table definitions; only while it is opened.
            warnings.simplefilter("ignore", DeprecationWarning)
            from mlflow import MlflowClient

            self.client = MlflowClient(tracking_uri=uri)
            known = self.client.get_experiment_by_name(experiment)
            self.id = known.experiment_id if known else self._create(experiment, database)

    def _create(self, name: str, database: Path | None) -> str:
        """Create the experiment; where its artefacts lie is fixed for ever: beside the database."""
        artefacts = (database.parent / "mlartifacts" / name).as_uri() if database else None
        note = f"One run a cell: search for {ONE_RUN_A_CELL}. Superseded runs stay for the record."
        tags = {"mlflow.note.content": note}
        return str(self.client.create_experiment(name, artefacts, tags))

    def by_cell(self, query: str = "") -> dict[str, list[Logged]]:
        """This experiment's runs by their cell, newest first."""
        cells: dict[str, list[Logged]] = {}
        token: str | None = ""
        while token is not None:
            page = self.client.search_runs(
                [self.id],
                query,
                max_results=1000,
                order_by=["attributes.start_time DESC"],
                page_token=token or None,
            )
            for run in page:
                cells.setdefault(run.data.tags.get("xstilts.cell", ""), []).append(run)
            token = page.token or None
        return cells

    def create(self, cell: str, start: int) -> str:
        """Create a run that is going on, below the run that `mlflow run` opened if there is one."""
        phase = cell.split("-")[0]
        tags = {"xstilts.cell": cell, "xstilts.phase": phase, "xstilts.status": RUNNING}
        tags |= {"mlflow.source.name": f"xstilts {cell}", "mlflow.source.type": "LOCAL"}
        if parent := os.environ.get(PARENT):
            tags["mlflow.parentRunId"] = parent
        run = self.client.create_run(self.id, start_time=start, tags=tags, run_name=cell)
        return str(run.info.run_id)

    def send_card(self, card: Card, folder: Path, run: str, chart: bool) -> None:
        """Send a card and its files. The key comes last: a run that has it is whole."""
        cell = cell_key(card)
        history = logbook.belonging(History(self.work, cell).lines(), card.key)
        params = {name: setting.value for name, setting in card.settings.items()}
        params |= {f"{name}.origin": setting.origin for name, setting in card.settings.items()}
        tags = {
            name: getattr(card, name) for name in ("intermediate", "target", "encoder", "source")
        }
        tags |= {"replicate": str(card.replicate or ""), "output": logbook.relative(folder)}
        tags |= {"intermediate_run": self._model_of(card)}
        results = {"step": 0, "time": logbook.now(), "metrics": logbook.figures(card)}
        with self.lock:
            run = run or self.create(cell, history[0]["time"] if history else logbook.now())
            self.log(run, _metrics([*logbook.unsent(history), results]), params)
            if card.inputs:
                self.client.log_inputs(run, _datasets(card.inputs))
        self._log_files(run, card, folder, chart)
        self._close(run, cell, card.key, tags, history)

    def send_trial(self, cell: str, history: list[Line], run: str) -> None:
        """Send a trial; those of earlier studies of that name become superseded.

        cell: study-PHASE-NAME-TRIAL.
        """
        _, phase, rest = cell.split("-", 2)
        name, number = rest.rsplit("-", 1)
        key, trial = history[-1]["finished"], history[-1]["trial"]
        tags = {"study": f"{phase}/{name}", phase: name, "trial": number, "metric": trial["metric"]}
        score = {"step": 0, "time": logbook.now(), "metrics": {"score": trial["score"]}}
        with self.lock:
            run = run or self.create(cell, history[0]["time"])
            self.log(run, _metrics([*logbook.unsent(history), score]), trial["values"])
            self._close(run, cell, key, tags, history)
            query = f"tags.`xstilts.study` = '{phase}/{name}' and {ONE_RUN_A_CELL}"
            for others in self.by_cell(query).values():
                self._supersede(other for other in others if _sha(other) != key)

    def mark(self, card: Card, runs: Sequence[Logged]) -> int:
        """Make the newest run with the card's key the cell's current one; 1 if a tag changed."""
        run = next(run for run in runs if _sha(run) == card.key)
        wanted = {"xstilts.status": CURRENT}
        if model := self._model_of(card):
            wanted["xstilts.intermediate_run"] = model
        missing = {name for name, value in wanted.items() if run.data.tags.get(name) != value}
        for name in missing:
            self.client.set_tag(run.info.run_id, name, wanted[name])
        return int(self._supersede(other for other in runs if other is not run) or bool(missing))

    def log(
        self, run: str, metrics: Sequence[Any] = (), params: Mapping[str, Any] | None = None
    ) -> None:
        from mlflow.entities import Param

        rest = [Param(_allowed(name), _shown(value)) for name, value in (params or {}).items()]
        for start in range(0, len(rest), PARAMS_AT_ONCE):
            self.client.log_batch(run, params=rest[start : start + PARAMS_AT_ONCE])
        for start in range(0, len(metrics), METRICS_AT_ONCE):
            self.client.log_batch(run, metrics=metrics[start : start + METRICS_AT_ONCE])

    def _model_of(self, card: Card) -> str:
        """The id of the current run of the phase-2 model that a cell started from, or ''."""
        if card.phase != "target":
            return ""
        cell = f"intermediate-{card.intermediate}-{card.replicate}"
        runs = self.by_cell(f"tags.`xstilts.cell` = '{cell}' and {ONE_RUN_A_CELL}").get(cell)
        return str(runs[0].info.run_id) if runs else ""

    def _log_files(self, run: str, card: Card, folder: Path, chart: bool) -> None:
        for path in sorted(folder.iterdir()):
            if path.name.startswith(KEPT):
                self.client.log_artifact(run, str(path))
        if chart and any(len(languages) > 1 for languages in card.scores.values()):
            with tempfile.TemporaryDirectory() as place:
                logbook.draw(card, Path(place) / "languages.png")
                self.client.log_artifact(run, str(Path(place) / "languages.png"))

    def _close(
        self, run: str, cell: str, key: str, tags: Mapping[str, str], history: list[Line]
    ) -> None:
        from mlflow.entities import RunTag

        unknown: Line = {"commit": "unknown", "dirty": "unknown", "time": None}
        end = history[-1] if history else unknown
        values = {**tags, "commit": end["commit"], "dirty": end["dirty"], "params_sha": key}
        whole = {**values, "status": CURRENT}.items()
        with self.lock:
            runs = self.by_cell(f"tags.`xstilts.cell` = '{cell}'").get(cell, [])
            self._supersede(other for other in runs if other.info.run_id != run)
            shown = [RunTag(f"xstilts.{name}", value) for name, value in whole if value]
            self.client.log_batch(run, tags=shown)
            self.client.set_terminated(run, "FINISHED", end["time"])

    def _supersede(self, runs: Iterable[Logged]) -> int:
        """Tag runs as superseded, and close those a killed process left open; how many were new."""
        marked = 0
        for run in runs:
            if run.data.tags.get("xstilts.status") != SUPERSEDED:
                self.client.set_tag(run.info.run_id, "xstilts.status", SUPERSEDED)
                marked += 1
            if run.info.status == "RUNNING":
                self.client.set_terminated(run.info.run_id, "KILLED")
        return marked


def _server(experiment: str, work: Path) -> _Server:
    """The server of MLFLOW_TRACKING_URI, or mlflow.db in the root, where `mlflow ui` looks."""
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)
    uri = os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{logbook.root() / 'mlflow.db'}"
    return _opened(uri, experiment, work.absolute())


@cache
def _opened(uri: str, experiment: str, work: Path) -> _Server:
    return _Server(uri, experiment, work)


@contextmanager
def _warned(what: str, failed: list[str] | None = None) -> Iterator[None]:
    """Turn any failure inside into one line on stderr: no training may be lost to its log.

    failed: where `what` is added then.
    """
    try:
        yield
    except Exception as error:
        reason = " ".join(str(error).split())[:300] or type(error).__name__
        if failed is not None:
            failed.append(what)
        print(
            f"warning: {what}: not sent to MLflow: {reason}; what was computed is on disk; "
            "run `xstilts log` once MLflow answers",
            file=sys.stderr,
        )


def _metrics(lines: Sequence[Line]) -> list[Any]:
    from mlflow.entities import Metric

    return [
        Metric(_allowed(name), value, line["time"], line["step"])
        for line in lines
        for name, value in line["metrics"].items()
    ]


def _datasets(inputs: Mapping[str, str]) -> list[Any]:
    """Tables and their digests as MLflow's datasets, which its search finds by name."""
    from mlflow.entities import Dataset, DatasetInput, InputTag

    tags = {name: [InputTag("mlflow.data.context", name.split("-")[0])] for name in inputs}
    return [
        DatasetInput(Dataset(name, digest, "local", json.dumps({"uri": name})), tags[name])
        for name, digest in sorted(inputs.items())
    ]


def _sha(run: Logged) -> str:
    return str(run.data.tags.get("xstilts.params_sha", ""))


def _allowed(name: str) -> str:
    """A name of letters, digits and the few signs that MLflow allows; map@20 becomes map_20."""
    return re.sub(r"[^\w\-. :/]", "_", name)


def _shown(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, sort_keys=True, default=str)
    return text[:PARAM_LENGTH]
