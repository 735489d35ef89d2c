"""A tracking server or database of MLflow, and one experiment in it: the only room that knows it.

What enters: cards, curves, trials. What leaves: a run for each. Everything here may raise what
MLflow raises; `tracking` turns that into a line. MLflow is imported when something is first sent.
"""

from __future__ import annotations

import json
import os
import re
import sys
import tempfile
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from xstilts.formats.cards import Card
from xstilts.running import logbook
from xstilts.running.copied import ARTEFACTS, require_here
from xstilts.running.examples import examples_of
from xstilts.running.logbook import History, Line, cell_key

if TYPE_CHECKING:
    from mlflow.entities import Run as Logged

LOCK_TIMEOUT_S = 120.0
METRICS_AT_ONCE, PARAMS_AT_ONCE, PARAM_LENGTH = 1000, 100, 6000  # MLflow's limits of one request
PARENT = "XSTILTS_PARENT_RUN"
PARENT_TAG, NOTE = "mlflow.parentRunId", "mlflow.note.content"
TAG_LENGTH = 8000  # of a run's tag, and so of its description
TABLE = "examples.json"
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


@contextmanager
def spared(what: str) -> Iterator[None]:
    """Turn a failure inside into one line on stderr: what is only looked at costs no run."""
    try:
        yield
    except Exception as error:
        reason = " ".join(str(error).split())[:300] or type(error).__name__
        print(f"warning: {what} is missing in MLflow: {reason}", file=sys.stderr)


class Server:
    """A tracking server or database, and one experiment in it."""

    def __init__(self, uri: str, experiment: str, work: Path) -> None:
        from filelock import FileLock

        database = database_of(uri)
        lock = Path(f"{database}.lock") if database else work / "tracking.lock"
        lock.parent.mkdir(parents=True, exist_ok=True)
        # Processes that open a new database together break it for good: one at a time.
        self.lock = FileLock(lock, timeout=LOCK_TIMEOUT_S)
        self.work, self.experiment, self.uri = work, experiment, uri
        self._whole: dict[str, str] = {}  # ids of `whole`'s runs
        with self.lock, warnings.catch_warnings():
            # MLflow's own imports and table definitions; only while it is opened.
            warnings.simplefilter("ignore", DeprecationWarning)
            from mlflow import MlflowClient

            self.client = MlflowClient(tracking_uri=uri)
            known = self.client.get_experiment_by_name(experiment)
            if known and database:
                require_here(database, known.artifact_location)
            self.id = known.experiment_id if known else self._create(experiment, database)

    def _create(self, name: str, database: Path | None) -> str:
        """Create the experiment; where its artefacts lie is fixed for ever: beside the database."""
        artefacts = (database.parent / ARTEFACTS / name).as_uri() if database else None
        note = f"Views: the menu above. One run a cell: {ONE_RUN_A_CELL}; others are superseded."
        tags = {NOTE: note}
        return str(self.client.create_experiment(name, artefacts, tags))

    def by_cell(self, query: str = "") -> dict[str, list[Logged]]:
        """This experiment's runs by their cell, newest first; without those that are of none."""
        cells: dict[str, list[Logged]] = {}
        for run in self.search(query):
            if cell := run.data.tags.get("xstilts.cell", ""):
                cells.setdefault(cell, []).append(run)
        return cells

    def search(self, query: str) -> Iterator[Logged]:
        """This experiment's runs, newest first."""
        token: str | None = ""
        while token is not None:
            page = self.client.search_runs(
                [self.id],
                query,
                max_results=1000,
                order_by=["attributes.start_time DESC"],
                page_token=token or None,
            )
            yield from page
            token = page.token or None

    def create(self, cell: str, start: int) -> str:
        """Create a run that is going on.

        Below the run that `mlflow run` opened if there is one; else below the grid's, a trial
        below its study's.
        """
        phase = cell.split("-")[0]
        tags = {"xstilts.cell": cell, "xstilts.phase": phase, "xstilts.status": RUNNING}
        tags |= {"mlflow.source.name": f"xstilts {cell}", "mlflow.source.type": "LOCAL"}
        if phase == "study":
            study, name = cell.rsplit("-", 1)[0].split("-", 2)[1:]
            tags[PARENT_TAG] = self.study_run(f"{study}/{name}")
        else:
            tags[PARENT_TAG] = self._above()
        run = self.client.create_run(
            self.id, start_time=start, tags=tags, run_name=logbook.title(cell)
        )
        return str(run.info.run_id)

    def study_run(self, study: str) -> str:
        """The id of the run of a whole study, PHASE/NAME, which its trials stand below."""
        return self.whole("study", f"study {study}", self._above())

    def _above(self) -> str:
        """The run that `mlflow run` opened, or the grid's."""
        return os.environ.get(PARENT) or self.whole("grid", self.experiment)

    def whole(self, kind: str, name: str, above: str = "") -> str:
        """The id of the run that stands for a whole grid or study; made where there is none."""
        tag = f"xstilts.{kind}_run"
        with self.lock:
            if name not in self._whole:
                run = next(self.search(f"tags.`{tag}` = '{name}'"), None)
                if run is None:
                    tags = {tag: name, **({PARENT_TAG: above} if above else {})}
                    run = self.client.create_run(self.id, tags=tags, run_name=name)
                    self.client.set_terminated(run.info.run_id)  # it computes nothing itself
                self._whole[name] = str(run.info.run_id)
        return self._whole[name]

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
        tags |= {"intermediate_run": self._model_of(card), "family": card.family}
        tags |= {"group": _group(card.target)}
        results = {"step": 0, "time": logbook.now(), "metrics": logbook.figures(card)}
        with self.lock:
            run = run or self.create(cell, history[0]["time"] if history else logbook.now())
            metrics = [*curve_of(logbook.unsent(history)), *metrics_of([results])]
            self.log(run, metrics, params)
            if card.inputs:
                self.client.log_inputs(run, _datasets(card.inputs))
        self._log_files(run, card, folder, chart)
        if text := logbook.headline(card):
            self.client.set_tag(run, NOTE, text[:TAG_LENGTH])
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
            metrics = [*curve_of(logbook.unsent(history)), *metrics_of([score])]
            self.log(run, metrics, trial["values"])
            self._close(run, cell, key, tags, history)
            query = f"tags.`xstilts.study` = '{phase}/{name}' and {ONE_RUN_A_CELL}"
            for others in self.by_cell(query).values():
                self._supersede(other for other in others if sha_of(other) != key)

    def send_study(self, line: Line) -> None:
        """Send a finished study (`tracking.send_study`), unless its run has it already."""
        study, key = line["study"], line["finished"]
        run = self.study_run(f"{study['phase']}/{study['name']}")
        if sha_of(self.client.get_run(run)) == key:
            return
        values, folder = dict(study["values"]), Path(study["folder"])
        if (score := values.get("score")) is not None:
            result = {"step": 0, "time": logbook.now(), "metrics": {"score": score}}
            self.log(run, metrics_of([result]))
        files = sorted(folder.iterdir()) if folder.is_dir() else []
        for path in files:
            if path.suffix in (".png", ".csv"):
                self.client.log_artifact(run, str(path))
        found = "\n".join(f"| {name} | {value} |" for name, value in values.items())
        self.client.set_tag(run, NOTE, f"| setting | best |\n| --- | --- |\n{found}")
        for name, value in values.items():
            self.client.set_tag(run, f"xstilts.best.{name}", str(value))
        self.client.set_tag(run, "xstilts.params_sha", key)

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
        with spared(f"{cell_key(card)}: the table of examples"):
            if table := examples_of(folder, card):
                with warnings.catch_warnings():  # pandas', of what MLflow asks it
                    warnings.simplefilter("ignore")
                    self.client.log_table(run, table, TABLE)

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
    """The experiment at `tracking_uri`; opened once a process.

    UserError where its artefacts lie in another folder, as in a copied checkout.
    """
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)
    return _opened(tracking_uri(), experiment, work.absolute())


def tracking_uri() -> str:
    """Where runs are sent: MLFLOW_TRACKING_URI, or mlflow.db in the root."""
    return os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{logbook.root() / 'mlflow.db'}"


def database_of(uri: str) -> Path | None:
    """The file of an SQLite database; None for any other place."""
    start = "sqlite:///"
    return Path(uri.removeprefix(start)).absolute() if uri.startswith(start) else None


@cache
def _opened(uri: str, experiment: str, work: Path) -> Server:
    return Server(uri, experiment, work)


def curve_of(lines: Sequence[Line]) -> list[Any]:
    """A curve's metrics: dev.accuracy as dev/accuracy, which MLflow draws in a section `dev`.

    Its sections come in the order of the alphabet, and what has none, the scores' bars, comes last.
    """

    def named(line: Line) -> Line:
        values = line["metrics"].items()
        return {**line, "metrics": {name.replace(".", "/", 1): value for name, value in values}}

    return metrics_of([named(line) for line in lines])


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


def _group(target: str) -> str:
    """The group of a task: NLI, QA, ...; '' of one that the catalogue does not have."""
    from xstilts.tasks.catalogue import RECORDS

    return RECORDS[target].group if target in RECORDS else ""


def sha_of(run: Logged) -> str:
    return str(run.data.tags.get("xstilts.params_sha", ""))


def _allowed(name: str) -> str:
    """A name of letters, digits and the few signs that MLflow allows; map@20 becomes map_20."""
    return re.sub(r"[^\w\-. :/]", "_", name)


def _shown(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, sort_keys=True, default=str)
    return text[:PARAM_LENGTH]
