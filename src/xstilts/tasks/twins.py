"""Targets whose training is one and the same: XQuAD and MLQA both train on SQuAD, from one seed."""

from __future__ import annotations

from collections import defaultdict
from itertools import product
from typing import Any

from xstilts.params import Params
from xstilts.tasks.catalogue import record


def twins(params: Params) -> dict[str, tuple[str, ...]]:
    """The grid's targets that train on the same other task with the same settings -> the others.

    Their tables may still differ, as a source may have train rows of each, or drop rows that one of
    them reports; the digest of what a training reads decides (`phases.target.training_key`).
    """
    alike: dict[Any, list[str]] = defaultdict(list)
    for name in params.grid.targets:
        its, section = record(name, params.grid.benchmark), params.targets[name].trained
        if its.train_from and section is not None:
            family = its.family if its.trained else record(its.train_from[-1]).family
            alike[its.train_from, family, section.model_dump_json()].append(name)
    return {
        name: tuple(other for other in names if other != name)
        for names in alike.values()
        for name in names
        if len(names) > 1
    }


def apart(params: Params) -> dict[str, str]:
    """Stage -> a name for its training, of cells that had better not run at once.

    The second takes what the first has trained.
    """
    cells = list(product(params.grid.intermediates, params.grid.replicates))
    return {
        f"target@{intermediate}-{name}-{replicate}": f"{intermediate}-{first}-{replicate}"
        for name, others in twins(params).items()
        for first in [min(name, *others)]
        for intermediate, replicate in cells
    }
