"""`xstilts use`: an experiment file, written out in full as params.yaml.

What enters: a file of experiments/. What leaves: params.yaml, and the sentence that says so.
"""

from __future__ import annotations

import re
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from xstilts import params
from xstilts.errors import UserError, nearest
from xstilts.paths import PARAMS

EXPERIMENTS = Path("experiments")


def resolve(experiment: Path) -> params.Params:
    """An experiment's params: its own, those of the file that it `inherits`, and the defaults."""
    return params.check(_inherited(experiment, ()), experiment)


def experiment_file(given: str, folder: Path = EXPERIMENTS) -> Path:
    """The file of an experiment, given by its path or by its name (world: experiments/world.yaml).

    Raises UserError with the nearest name.
    """
    path = Path(given)
    named = folder / f"{given}.yaml"
    if path.is_file() or (path.suffix and path.name != given):
        return path
    if not named.is_file():
        known = [file.stem for file in folder.glob("*.yaml")]
        raise UserError(f"{given}: no such file, and no experiment{nearest(given, known)}")
    return named


def use_experiment(experiment: Path, force: bool = False, target: Path = PARAMS) -> str:
    """Replace `target` by the resolved experiment; UserError where the old one would be lost."""
    resolved = resolve(experiment)
    if not force and (problem := _would_be_lost(target)):
        raise UserError(
            f"{target}: {problem}; expected git to have it, as it is about to be replaced; "
            f"commit it, undo it (`git checkout {target.name}`), or add --force"
        )
    _write(resolved, experiment, target)
    grid = resolved.grid
    return (
        f"{target}: {experiment}, {len(grid.intermediates)} intermediates x "
        f"{len(grid.targets)} targets x {len(grid.replicates)} replicates; run `xstilts grid`"
    )


def _write(resolved: params.Params, experiment: Path, target: Path) -> None:
    """Write params with a header that names the experiment, and no path of this machine."""
    root, path = Path.cwd(), experiment.resolve()
    name = path.relative_to(root) if path.is_relative_to(root) else Path(experiment.name)
    params.write(resolved, target, f"Written in full by `xstilts use {name.as_posix()}`")


def _would_be_lost(target: Path) -> str:
    """Why replacing `target` would lose something; '' where git or an experiment has it all."""
    if not target.exists() or _is_written_out(target):
        return ""
    status = subprocess.run(
        ["git", "status", "--porcelain", "--ignored", "--", target.name],
        cwd=target.resolve().parent,
        capture_output=True,
        text=True,
        check=False,
    )
    if status.returncode:
        return "this is not a git repository"
    known = {"??": "git does not have it", "!!": "git ignores it"}
    return known.get(status.stdout[:2], "it has changes") if status.stdout else ""


def _is_written_out(target: Path) -> bool:
    """Whether `xstilts use` would write these very bytes again."""
    made = re.match(r"# Written in full by `xstilts use (.+)`\n", target.read_text("utf-8"))
    if not made:
        return False
    # Written anew and compared: the header alone does not say that nobody edited what follows.
    with tempfile.TemporaryDirectory() as folder:
        again = Path(folder) / target.name
        try:
            _write(resolve(Path(made[1])), Path(made[1]), again)
        except UserError:
            return False
        return again.read_bytes() == target.read_bytes()


def _inherited(path: Path, seen: tuple[Path, ...]) -> dict[str, Any]:
    if path in seen:
        raise UserError(
            f"{path}: inherits itself through {' -> '.join(map(str, seen))}; remove one `inherits`"
        )
    raw = params.read_yaml(path)
    if not isinstance(raw, dict):
        raise UserError(f"{path}: expected a mapping of sections; found {type(raw).__name__}")
    parent = raw.pop("inherits", None)
    return _merged(_inherited(path.parent / parent, (*seen, path)), raw) if parent else raw


def _merged(base: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    """`over` laid over `base`, key by key; a list, a number and `members` are replaced whole."""
    result = dict(base)
    for key, value in over.items():
        # Members are a set, not settings: an experiment that names other tasks means only those.
        both = isinstance(value, dict) and isinstance(base.get(key), dict) and key != "members"
        result[key] = _merged(base[key], value) if both else value
    return result
