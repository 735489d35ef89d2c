"""The graph of dvc.yaml: which stages there are, what each needs, which DVC finds stale.

What enters: dvc.yaml, dvc.lock and what lies on disk, as DVC reads them. What leaves: a `Graph`.
"""

from __future__ import annotations

import os
import random
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from xstilts.errors import UserError, nearest
from xstilts.params import read_yaml
from xstilts.paths import LOGS, PIPELINE

LOCK = Path("dvc.lock")
# A stage whose inputs another process holds fails with one of these lines; it is tried again.
BUSY = ("Unable to acquire lock", "it is being blocked by")


@dataclass(frozen=True)
class Graph:
    """The stages that are wanted, in an order in which they could run, and what each needs."""

    needs: Mapping[str, frozenset[str]]  # stage -> the stages whose outputs it reads
    stale: frozenset[str]  # changed by themselves; what reads their output is not named here
    weight: Mapping[str, int]  # how many stages wait for it: those start first
    outputs: Mapping[str, frozenset[str]]  # stage -> the paths that it writes
    inputs: Mapping[str, frozenset[str]]  # stage -> those paths of other stages that it reads


def read_graph(console: Console, targets: Sequence[str] = ()) -> Graph:
    """The graph of dvc.yaml, and which stages DVC finds changed in themselves.

    Waits for stages that a killed driver left running: until they end, DVC cannot say.
    """
    from dvc.exceptions import DvcException

    if not PIPELINE.is_file():
        raise UserError("dvc.yaml: no such file; expected the repository's root; run from there")
    waited = False
    while True:
        try:
            return _graph(console, targets)
        except DvcException as error:
            lines = [str(cause) for cause in (error, error.__cause__) if cause]
            if not any(words in line for words in BUSY for line in lines):
                raise UserError(f"dvc.yaml: {', '.join(lines)}".replace("\n", " ")) from error
        if not waited:
            console.print("waiting for stages that run already", highlight=False)
        waited = True
        time.sleep(random.uniform(0.5, 1.5))


def _graph(console: Console, targets: Sequence[str]) -> Graph:
    """The graph, read under DVC's lock: else a stage might be writing dvc.lock meanwhile."""
    import networkx
    from dvc.repo import Repo, lock_repo

    repo = Repo()
    with lock_repo(repo):
        _mend_lock(console)
        graph = repo.index.graph  # edges lead from a stage to what it needs
        _require_stages(targets, [stage.addressing for stage in graph])
        roots = [stage for target in targets for stage in repo.stage.collect(target)]
        stale = frozenset(repo.status())
    wanted = {node for stage in roots for node in networkx.descendants(graph, stage)}
    nodes = wanted.union(roots) if targets else set(graph)
    order = [node for node in networkx.dfs_postorder_nodes(graph) if node in nodes]
    return Graph(
        {s.addressing: frozenset(n.addressing for n in graph.successors(s)) for s in order},
        stale,
        {s.addressing: len(networkx.ancestors(graph, s)) for s in order},
        {s.addressing: frozenset(out.def_path for out in s.outs) for s in order},
        {s.addressing: _read_by(s, graph.successors(s)) for s in order},
    )


def _mend_lock(console: Console) -> None:
    """Put aside a dvc.lock that a kill cut short; DVC's run cache then gives back every output."""
    try:
        readable = not LOCK.exists() or isinstance(read_yaml(LOCK), dict)
    except UserError:
        readable = False
    if not readable:
        broken = LOGS / "dvc.lock.broken"
        broken.parent.mkdir(parents=True, exist_ok=True)
        os.replace(LOCK, broken)
        console.print(f"{LOCK}: cut short by a kill; moved to {broken}, made anew", highlight=False)


def _require_stages(given: Iterable[str], names: Sequence[str]) -> None:
    """UserError with the nearest where a name is no stage and no group of stages."""
    groups = set(map(group_of, names))
    for name in given:
        if name not in groups.union(names):
            of_it = [stage for stage in names if f"-{name}-" in f"-{stage.partition('@')[2]}-"]
            if of_it:  # a target or an intermediate
                some = f"{', '.join(of_it[:3])}{', ...' if len(of_it) > 3 else ''}"
                raise UserError(f"dvc.yaml: no stage or group '{name}'; its stages: {some}")
            alike = [stage for stage in names if group_of(stage) == group_of(name)] or groups
            raise UserError(f"dvc.yaml: no stage or group '{name}'{nearest(name, alike)}")


def _read_by(stage: Any, others: Iterable[Any]) -> frozenset[str]:
    """The outputs of `others` that a stage depends on, or that lie in a folder it depends on."""
    wanted = [f"{dep.fs_path}/" for dep in stage.deps]
    outputs = [(out.def_path, f"{out.fs_path}/") for other in others for out in other.outs]
    return frozenset(
        name
        for name, path in outputs
        if any(path.startswith(dep) or dep.startswith(path) for dep in wanted)
    )


def locked_outputs() -> dict[str, Any]:
    """The entry of each output in dvc.lock, by path; {} while a stage is writing the file."""
    try:
        content = read_yaml(LOCK) if LOCK.exists() else {}
        entries = content["stages"].values()
        return {out["path"]: out for entry in entries for out in entry.get("outs", [])}
    except (UserError, KeyError, TypeError, AttributeError):
        return {}


def group_of(name: str) -> str:
    return name.partition("@")[0]
