"""`xstilts use`: an experiment file, written out in full as params.yaml.

What enters: a file of experiments/, and what the command line sets in it. What leaves: params.yaml,
and the sentence that says so.
"""

from __future__ import annotations

import re
import shlex
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from xstilts import params
from xstilts.errors import UserError, nearest
from xstilts.paths import PARAMS

EXPERIMENTS = Path("experiments")


def resolve(experiment: Path, changes: Sequence[str] = ()) -> params.Params:
    """An experiment's params: its own, those of the file that it `inherits`, and the defaults.

    changes: KEY=VALUE of the command line, which win over all of them.
    """
    raw = _inherited(experiment, ())
    given = params.check(raw, experiment)
    if not changes:
        return given
    raw, known = _apart(raw), params.dump(given)
    for change in changes:
        _set(raw, known, change)
    keys = [change.partition("=")[0] for change in changes]
    pretrain = raw.get("pretrain") or {}
    if "pretrain.revision" not in keys and pretrain.get("encoder") != given.pretrain.encoder:
        pretrain["revision"] = None  # it was the other encoder's
    return params.check(raw, Path(" ".join([str(experiment), *_as_words(changes)])))


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


def use_experiment(
    experiment: Path,
    force: bool = False,
    target: Path = PARAMS,
    changes: Sequence[str] = (),
) -> str:
    """Replace `target` by the resolved experiment; UserError where the old one would be lost."""
    resolved = resolve(experiment, changes)
    if not force and (problem := _would_be_lost(target)):
        raise UserError(
            f"{target}: {problem}; expected git to have it, as it is about to be replaced; "
            f"commit it, undo it (`git checkout {target.name}`), or add --force"
        )
    _write(resolved, experiment, changes, target)
    grid = resolved.grid
    return (
        f"{target}: {experiment}, {len(grid.intermediates)} intermediates x "
        f"{len(grid.targets)} targets x {len(grid.replicates)} replicates; run `xstilts grid`"
    )


def _write(resolved: params.Params, experiment: Path, changes: Sequence[str], target: Path) -> None:
    """Write params with a header that names the experiment (no path of this machine) and changes.

    The header is the command that writes the file again.
    """
    root, path = Path.cwd(), experiment.resolve()
    name = path.relative_to(root) if path.is_relative_to(root) else Path(experiment.name)
    words = shlex.join(["xstilts", "use", name.as_posix(), *_as_words(changes)])
    params.write(resolved, target, f"Written in full by `{words}`")


def _as_words(changes: Sequence[str]) -> list[str]:
    return [word for change in changes for word in ("--set", change)]


def _set(raw: dict[str, Any], known: Any, change: str) -> None:
    """Put one KEY=VALUE into `raw`. known: all settings, of which the key must name one."""
    key, equals, text = change.partition("=")
    where, keys = f"--set {change}", key.split(".")
    if not equals or not all(keys) or "\n" in change:
        raise UserError(f"{where}: expected KEY=VALUE in a line, as training.seed=2; correct it")
    _require_known(keys, known, where)
    try:
        value = YAML(typ="safe").load(text)
    except YAMLError:
        raise UserError(f"{where}: '{text}' is not YAML; expected a value; quote it") from None
    for part in keys[:-1]:
        if not isinstance(raw.get(part), dict):
            raw[part] = {}
        raw = raw[part]
    raw[keys[-1]] = value


def _apart(value: Any) -> Any:
    """A copy in which no two places are one, as a YAML alias makes them."""
    if isinstance(value, dict):
        return {key: _apart(item) for key, item in value.items()}
    return [_apart(item) for item in value] if isinstance(value, list) else value


def _require_known(keys: Sequence[str], known: Any, where: str) -> None:
    """UserError where a key names no setting.

    New are a task's files, an intermediate's members and what is below a section that is not there
    yet (null): of these `params.check` says what is wrong.
    """
    above = ""
    for part in keys:
        if known is None or above == "limits":
            return
        if not isinstance(known, dict):
            raise UserError(f"{where}: '{above}' has no settings below it; correct the key")
        if part not in known:
            names = set(known)
            if above in ("tasks", "members"):
                from xstilts.tasks.catalogue import RECORDS

                names = set(RECORDS)
            if part not in names:
                raise UserError(f"{where}: '{part}' is not a setting{nearest(part, names)}")
            return
        known, above = known[part], part


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
    try:
        name, *words = shlex.split(made[1])
    except ValueError:
        return False
    if words[::2] != ["--set"] * (len(words) // 2):
        return False
    experiment, changes = Path(name), words[1::2]
    # Written anew and compared: the header alone does not say that nobody edited what follows.
    with tempfile.TemporaryDirectory() as folder:
        again = Path(folder) / target.name
        try:
            _write(resolve(experiment, changes), experiment, changes, again)
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
