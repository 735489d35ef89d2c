"""A tracking server or database of MLflow, and one experiment in it: the only room that knows it.

What enters: cards, curves, trials. What leaves: a run for each. Everything here may raise what
MLflow raises; `tracking` turns that into a line. MLflow is imported when something is first sent.
"""

from __future__ import annotations

import json
import os
import re
import tempfile
import warnings
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from xstilts.formats.cards import Card
from xstilts.running import logbook
from xstilts.running.logbook import History, Line, cell_key

if TYPE_CHECKING:
    from mlflow.entities import Run as Logged

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


class Server:
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
            self.log(run, metrics_of([*logbook.unsent(history), results]), params)
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
            self.log(run, metrics_of([*logbook.unsent(history), score]), trial["values"])
            self._close(run, cell, key, tags, history)
            query = f"tags.`xstilts.study` = '{phase}/{name}' and {ONE_RUN_A_CELL}"
            for others in self.by_cell(query).values():
                self._supersede(other for other in others if sha_of(other) != key)

    def mark(self, card: Card, runs: Sequence[Logged]) -> int:
        """Make the newest run with the card's key the cell's current one; 1 if a tag changed."""
        run = next(run for run in runs if sha_of(run) == card.key)
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


def open_server(experiment: str, work: Path) -> Server:
    """The server of MLFLOW_TRACKING_URI, or mlflow.db in the root, where `mlflow ui` looks."""
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)
    uri = os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{logbook.root() / 'mlflow.db'}"
    return _opened(uri, experiment, work.absolute())


@cache
def _opened(uri: str, experiment: str, work: Path) -> Server:
    return Server(uri, experiment, work)


def metrics_of(lines: Sequence[Line]) -> list[Any]:
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


def sha_of(run: Logged) -> str:
    return str(run.data.tags.get("xstilts.params_sha", ""))


def _allowed(name: str) -> str:
    """A name of letters, digits and the few signs that MLflow allows; map@20 becomes map_20."""
    return re.sub(r"[^\w\-. :/]", "_", name)


def _shown(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, sort_keys=True, default=str)
    return text[:PARAM_LENGTH]
