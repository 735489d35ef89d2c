"""Targets whose training is one and the same: XQuAD and MLQA both train on SQuAD, from one seed."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from xstilts.params import Params
from xstilts.tasks.catalogue import record


def apart(params: Params) -> dict[str, str]:
    """Stage -> a name for its training, of cells that had better not run at once.

    They train on the same other task with the same settings, so that the second may take what the
    first has trained; the digest of what a training reads decides (`phases.target.Cell`).
    """
    alike: dict[Any, list[str]] = defaultdict(list)
    for name in params.grid.targets:
        its, section = record(name, params.grid.benchmark), params.targets[name].trained
        if its.train_from and section is not None:
            family = its.family if its.trained else record(its.train_from[-1]).family
            alike[its.train_from, family, section.model_dump_json()].append(name)
    return {
        params.grid.stage(intermediate, name, run): f"{intermediate}-{names[0]}-{run}"
        for names in alike.values()
        if len(names) > 1
        for name in names
        for intermediate, run in params.grid.models()
    }
