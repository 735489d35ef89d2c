"""One journal an experiment, as optuna-dashboard reads it: a line for each trial that ended.

A study is called EXPERIMENT/PHASE/NAME. Of all that decides its scores it keeps a digest, its key:
a study of that name with another key becomes NAME@KEY first, and none of its trials counts. It is
a study of its own again where settings, inputs and code are what they were.
"""

from __future__ import annotations

import os
import warnings
from pathlib import Path

import optuna
from filelock import FileLock
from optuna.exceptions import ExperimentalWarning
from optuna.storages import BaseStorage, JournalStorage
from optuna.storages.journal import JournalFileBackend, JournalFileSymlinkLock

from xstilts.studies.space import Direction, Tried, thawed

KEY = "key"


class Lock(JournalFileSymlinkLock):  # whose base is not public
    """A lock that ends with its process, unlike Optuna's, which is waited for half a minute.

    Whoever takes it cuts off the line that a killed process left unfinished: what is appended to
    such a line cannot be read.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(str(path))
        self.path, self._held = path, FileLock(f"{path}.writing")

    def acquire(self) -> bool:
        self._held.acquire()
        with self.path.open("r+b") as file:
            end = file.seek(0, os.SEEK_END)
            if end:
                file.seek(end - 1)
                if file.read() != b"\n":
                    file.seek(0)
                    file.truncate(file.read().rfind(b"\n") + 1)
        return True

    def release(self) -> None:
        self._held.release()


def open_journal(path: Path) -> JournalStorage:
    """The storage of an experiment's studies."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    path.parent.mkdir(parents=True, exist_ok=True)
    return JournalStorage(JournalFileBackend(str(path), lock_obj=Lock(path)))


def open_study(path: Path, name: str, key: str, direction: Direction, metric: str) -> optuna.Study:
    """The study of that name and key, new where there is none; the caller holds the study's lock.

    A kill at any moment leaves a journal from which this goes on.
    """
    storage = open_journal(path)
    _finish_move(storage, name)
    keys = _keys(storage)
    if keys.get(name, key) != key:
        _move(storage, name, f"{name}@{keys.pop(name)}")
    if name not in keys and f"{name}@{key}" in keys:
        _move(storage, f"{name}@{key}", name)
    study = optuna.create_study(
        storage=storage, study_name=name, direction=direction, load_if_exists=True
    )
    if KEY not in study.user_attrs:
        study.set_user_attr(KEY, key)
    if study.metric_names != [metric]:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ExperimentalWarning)
            study.set_metric_names([metric])
    return study


def tried(study: optuna.Study) -> dict[int, Tried]:
    """The trials that ended, by their places."""
    found = [thawed(trial) for trial in study.get_trials(deepcopy=False)]
    return {one.trial.place: one for one in sorted(found, key=lambda one: one.trial.place)}


def known(path: Path, name: str) -> dict[str, tuple[str, list[Tried]]]:
    """(key, trials) of the studies NAME and NAME@KEY; {} where there is no journal."""
    if not path.is_file():
        return {}
    storage = open_journal(path)
    return {
        other: (key, list(tried(optuna.load_study(study_name=other, storage=storage)).values()))
        for other, key in _keys(storage).items()
        if key is not None and (other == name or other.startswith(f"{name}@"))
    }


def _keys(storage: BaseStorage) -> dict[str, str | None]:
    studies = optuna.get_all_study_summaries(storage, include_best_trial=False)
    return {study.study_name: study.user_attrs.get(KEY) for study in studies}


def _move(storage: BaseStorage, name: str, to: str) -> None:
    """Rename a study, which Optuna cannot: a copy, and then the original goes."""
    optuna.copy_study(
        from_study_name=name, from_storage=storage, to_storage=storage, to_study_name=to
    )
    optuna.delete_study(study_name=name, storage=storage)


def _finish_move(storage: BaseStorage, name: str) -> None:
    """Remove what a kill left of a study that was being made or moved.

    A study gets its key before its first trial, in a copy too. Of one that is there under both
    names, with one key, the copy is the one with fewer trials, or either.
    """
    for other, key in _keys(storage).items():
        if key is None and (other == name or other.startswith(f"{name}@")):
            optuna.delete_study(study_name=other, storage=storage)
    keys = _keys(storage)
    if name in keys and (twin := f"{name}@{keys[name]}") in keys:
        trials = {
            one: len(optuna.load_study(study_name=one, storage=storage).get_trials(deepcopy=False))
            for one in (name, twin)
        }
        optuna.delete_study(study_name=min((twin, name), key=trials.__getitem__), storage=storage)
