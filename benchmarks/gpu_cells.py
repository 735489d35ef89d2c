"""Parts of gpu.py: one cell by `xstilts target` and a study of two trials by `xstilts study`.

Rows are the embedded world's, the encoder is a random one of XLM-R Large's shape in a folder, as a
user's own would be. Both run in a folder of their own under the run's work folder.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any

from gpu import Cases, Context, Figures

EXPERIMENT = Path(__file__).parents[1] / "experiments" / "world.yaml"
TRIALS = 2


def cell(context: Context) -> Cases:
    yield "prepared", lambda: prepared(context)
    yield "xstilts target none xnli", lambda: timed_target(context)


def study(context: Context) -> Cases:
    if not (context.work / "cells" / "params.yaml").exists():
        yield "prepared", lambda: prepared(context)
    yield "xstilts study target xnli", lambda: studied(context)


def prepared(context: Context) -> Figures:
    """params.yaml, tables, a tokenizer with a random encoder, and the phases before a cell."""
    import gpu_rows as made
    import torch
    from transformers import XLMRobertaConfig, XLMRobertaModel

    import xstilts_world as world
    from xstilts import params
    from xstilts.formats.tables import read_table, tables_in, write_text
    from xstilts.params import PretrainSettings
    from xstilts.phases.intermediate import intermediate_stage
    from xstilts.phases.pretrain import encoder_stage, pretrain_stage
    from xstilts.phases.pretraining import train_tokenizer
    from xstilts.sources import prepare
    from xstilts.training import encoder as encoders

    folder = context.work / "cells"
    folder.mkdir(exist_ok=True)
    os.chdir(folder)
    if context.tiny:
        make, *_ = world.TASKS["xnli"]
        world.TASKS["xnli"] = (make, 64, 12, 20)
    chosen = settings()
    prepare.prepare_target("xnli", chosen.source, Path("data/target/xnli"))
    prepare.prepare_intermediate({}, chosen.source, Path("data/intermediate/none"))
    data = Path("data/target/xnli")
    tables = [read_table(data, *at) for at in tables_in(data)]
    for table in tables:
        table.rows[:] = [{"text": row["text_a"], "pair": row["text_b"]} for row in table.rows]
    tokenizer = train_tokenizer(tables, PretrainSettings(vocabulary=1500))
    torch.manual_seed(1)
    shape: dict[str, Any] = made.TINY | {"vocab_size": 2000} if context.tiny else made.LARGE
    ids = {"bos_token_id": 0, "eos_token_id": 2}
    with torch.device("cuda" if torch.cuda.is_available() else "cpu"):
        encoder = XLMRobertaModel(XLMRobertaConfig(**shape, **ids))
    encoders.save(encoder, tokenizer, Path("encoder"))
    for phase, name in (("intermediate", "none"), ("target", "xnli")):
        write_text(Path("studies", phase, f"{name}.yaml"), "{}\n")
    pretrain_stage(chosen)
    encoder_stage(1, chosen)
    intermediate_stage("none", 1, chosen)
    params.write(chosen, Path("params.yaml"), "a cell on a GPU")  # last: it says that all stands
    return {"rows": sum(len(table.rows) for table in tables)}


def settings() -> Any:
    from xstilts import params

    raw = params.read_yaml(EXPERIMENT)
    trial = {"trials": TRIALS, "learning_rate": [5e-6, 5e-5], "epochs": [1, 2]}
    raw |= {
        "pretrain": {"encoder": "encoder"},
        "training": {"device": "auto", "evaluations": 2},
        "grid": {"intermediates": ["none"], "targets": ["xnli"]},
        "study": {"target": {"xnli": trial}},
        "intermediates": {"none": {"members": {}}},
        "targets": {"xnli": {"learning_rate": 1e-5, "epochs": 1, "max_length": 128}},
    }
    return params.check(raw, EXPERIMENT)


def timed_target(context: Context) -> Figures:
    """Seconds by the clock from the process's start; `marks` says where they went."""
    folder = context.work / "cells"
    marks = folder / "marks.json"
    start = time.time()
    _run([__file__, str(marks), "target", "none", "xnli"], folder)
    wall = time.time() - start
    at = json.loads(marks.read_text(encoding="utf-8"))
    card = json.loads((folder / "cells/none/xnli/1/card.json").read_text(encoding="utf-8"))
    return {
        "wall_s": wall,
        "imports_s": at["imported"] - start,
        "to_training_s": at["train.begin"] - at["imported"],
        "first_step_s": at["take_step.end"] - at["train.begin"],
        "training_s": at["train.end"] - at["take_step.end"],
        "of_it_best_pt_s": at.get("write.seconds", 0.0),
        "evaluation_s": at["evaluate_target.end"] - at["evaluate_target.begin"],
        "to_the_end_s": start + wall - at["evaluate_target.end"],
        "steps": card["selection"]["steps"],
        "dev_accuracy": card["selection"]["score"],
    }


def studied(context: Context) -> Figures:
    folder = context.work / "cells"
    start = time.time()
    _run(["-m", "xstilts", "study", "target", "xnli"], folder)
    wall = time.time() - start
    import optuna
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    (journal,) = (folder / "work/studies").glob("*.journal")
    storage = JournalStorage(JournalFileBackend(str(journal)))
    (study,) = optuna.get_all_study_summaries(storage)
    trials = optuna.load_study(study_name=study.study_name, storage=storage).trials
    found: Figures = {"wall_s": wall}
    for trial in trials:
        rate, epochs = trial.user_attrs["values"].values()
        found[f"trial_{trial.number}_score"] = trial.value
        found[f"trial_{trial.number}_values"] = f"{rate:g}, {epochs:g} epochs"
        found[f"trial_{trial.number}_s"] = trial.user_attrs["took_s"]
    return found


def _run(arguments: list[str], folder: Path) -> None:
    """A command of xstilts; its error line in the error."""
    done = subprocess.run(
        [sys.executable, *arguments], cwd=folder, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise RuntimeError(f"{' '.join(arguments[-3:])}: {(done.stderr or done.stdout)[-800:]}")


def command(marks: Path, arguments: list[str]) -> None:
    """`xstilts ARGUMENTS` in this process, with the times at which its parts begin and end."""
    import torch

    from xstilts.cli import main as cli
    from xstilts.phases import target
    from xstilts.training import loop as training

    at: dict[str, float] = {"imported": time.time()}

    def mark(module: Any, name: str) -> None:
        real: Callable[..., Any] = getattr(module, name)

        @wraps(real)
        def marked(*args: Any, **kwargs: Any) -> Any:
            begin = at.setdefault(f"{name}.begin", time.time())
            begin = time.time() if name == "write" else begin
            result = real(*args, **kwargs)
            if f"{name}.end" not in at and torch.cuda.is_available():
                torch.cuda.synchronize()
            at.setdefault(f"{name}.end", time.time())
            at[f"{name}.seconds"] = at.get(f"{name}.seconds", 0.0) + time.time() - begin
            return result

        setattr(module, name, marked)

    for module, name in ((target, "train"), (training, "take_step"), (training, "write"),
                         (target, "evaluate_target")):  # fmt: skip
        mark(module, name)
    sys.argv = ["xstilts", *arguments]
    try:
        cli.main()
    finally:
        marks.write_text(json.dumps(at), encoding="utf-8")


if __name__ == "__main__":
    command(Path(sys.argv[1]), sys.argv[2:])
