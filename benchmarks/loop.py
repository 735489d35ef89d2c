"""Our loop against transformers' Trainer: same rows, model, batch size, precision; examples a
second, peak memory.

    python benchmarks/loop.py classification --steps 60
    python benchmarks/loop.py span --steps 20
    python benchmarks/loop.py classification --steps 20 --threads 1 --encoder FOLDER

With an encoder's folder four sides run in turn: Trainer, our loop with the whole word table, with
the rows that are read, and so in bf16, where the CPU has it. Rows are real ones, for the lengths
that they have: pairs of SNLI and MNLI, or SQuAD v2.0 and TyDi QA questions, from the folder that
XSTILTS_SHARED names. Trainer pads each batch to its longest sequence (DataCollatorWithPadding), as
its own examples do. Each side runs in a process of its own, in turn, `--rounds` times; what is
printed is the median, and its ratio.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

SHARED = Path(os.environ.get("XSTILTS_SHARED", "../shared")) / "data"
# side -> (whether the word table is cut to what is read, whether in bf16 whatever --precision says)
SIDES = {
    "trainer": (False, False),
    "ours": (False, False),
    "trimmed": (True, False),
    "trimmed bf16": (True, True),
}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("family", choices=["classification", "span"])
    parser.add_argument("--side", choices=SIDES, help="run one side alone, print its figures")
    parser.add_argument("--steps", type=int, default=40)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--encoder", type=Path, help="a folder; default: a small random encoder")
    parser.add_argument("--layers", type=int, default=6)
    parser.add_argument("--hidden", type=int, default=256)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    parser.add_argument("--precision", default="fp32", choices=["fp32", "bf16"])
    arguments = parser.parse_args()
    if arguments.side:
        print(json.dumps(run(arguments)))
        return
    sides = list(SIDES) if arguments.encoder else ["trainer", "ours"]
    if arguments.device == "cpu" and not has_bf16():
        sides = [side for side in sides if not SIDES[side][1]]
    found: dict[str, list[dict[str, float]]] = {side: [] for side in sides}
    for _ in range(arguments.rounds):
        for side, figures in found.items():
            command = [sys.executable, __file__, *sys.argv[1:], "--side", side]
            output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
            figures.append(json.loads(output.splitlines()[-1]))
    result: dict[str, Any] = {"settings": {k: str(v) for k, v in vars(arguments).items()}}
    for side, figures in found.items():
        result[side] = {
            key: statistics.median(figure[key] for figure in figures) for key in figures[0]
        }
    for side in sides[1:]:
        result[f"{side} / trainer"] = {
            key: round(result[side][key] / result["trainer"][key], 2) for key in result[side]
        }
    print(json.dumps(result, indent=1))


def has_bf16() -> bool:
    from xstilts.training.devices import cpu_has_bf16

    return cpu_has_bf16()


def run(arguments: argparse.Namespace) -> dict[str, float]:
    import torch

    torch.set_num_threads(arguments.threads)
    torch.manual_seed(1)
    seconds = (trainer if arguments.side == "trainer" else ours)(arguments)
    peak = (
        torch.cuda.max_memory_allocated() / 2**20
        if arguments.device == "cuda"
        else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    )
    examples = arguments.steps * arguments.batch_size
    return {"examples_per_second": round(examples / seconds, 2), "peak_mb": round(peak, 1)}


def rows(family: str) -> list[dict[str, Any]]:
    if family == "classification":
        files = [
            SHARED / "snli/chaosNLI_v1.0/chaosNLI_snli.jsonl",
            SHARED / "mnli/chaosNLI_v1.0/chaosNLI_mnli_m.jsonl",
        ]
        lines = [json.loads(line) for path in files for line in path.read_text().splitlines()]
        names = {"c": "contradiction", "e": "entailment", "n": "neutral"}
        return [
            {
                "id": line["uid"],
                "text_a": line["example"]["premise"],
                "text_b": line["example"]["hypothesis"],
                "label": names[line["majority_label"]],
            }
            for line in lines
        ]
    found = []
    for name in (
        "squad/dev-v2.0.excerpt.json",
        "tydiqa/tydiqa-goldp-v1.1-train/tydiqa.goldp.en.train.json",
    ):
        for article in json.loads((SHARED / name).read_text())["data"]:
            for paragraph in article["paragraphs"]:
                for qa in paragraph["qas"]:
                    answers = [
                        {"text": a["text"], "start": a["answer_start"]} for a in qa["answers"][:1]
                    ]
                    row = {
                        "id": qa["id"],
                        "context": paragraph["context"],
                        "question": qa["question"],
                    }
                    found.append({**row, "answers": answers, "answerable": bool(answers)})
    return found


def prepared(arguments: argparse.Namespace) -> tuple[Any, Any, Any]:
    """Tokenizer, encoder (a random XLM-R-like one without a folder), our features of the rows."""
    from transformers import AutoModel

    from xstilts.formats.features import Features
    from xstilts.formats.tables import Table
    from xstilts.params import PretrainSettings
    from xstilts.phases.pretraining import CONFIGS, train_tokenizer
    from xstilts.tasks.families import FAMILIES
    from xstilts.tasks.families.protocol import TaskSettings
    from xstilts.training.encoder import RESTARTS, EncoderRef, load_encoder, load_tokenizer
    from xstilts.training.task import Task

    found = rows(arguments.family)
    settings = (
        TaskSettings(256, labels=("contradiction", "entailment", "neutral"))
        if arguments.family == "classification"
        else TaskSettings(384, doc_stride=128, max_question=64, max_answer=30)
    )
    task = Task("bench", arguments.family, FAMILIES[arguments.family], settings, "bench")  # type: ignore[arg-type]
    if arguments.encoder:
        ref = EncoderRef("bench", str(arguments.encoder), None, "")
        tokenizer, base = load_tokenizer(ref), load_encoder(ref)
        return tokenizer, base, (task, task.family.encode(found, tokenizer, settings), found)
    texts = [{"text": row.get("text_a") or row["question"], "pair": None} for row in found]
    texts += [{"text": row.get("text_b") or row["context"], "pair": None} for row in found]
    shape = PretrainSettings(
        vocabulary=8000,
        layers=arguments.layers,
        hidden=arguments.hidden,
        heads=4,
        intermediate=4 * arguments.hidden,
    )
    tokenizer = train_tokenizer([Table("text", "train", "en", texts)], shape)
    features: Features = task.family.encode(found, tokenizer, settings)
    config = CONFIGS[shape.architecture](shape, len(tokenizer))
    setattr(config, RESTARTS, False)  # Trainer's model counts positions as XLM-R does
    torch_model = AutoModel.from_config(config)
    return tokenizer, torch_model, (task, features, found)


def ours(arguments: argparse.Namespace) -> float:
    import numpy as np

    from xstilts.formats.tables import Table
    from xstilts.params import RunSettings, TrainingSettings
    from xstilts.training import encoder as encoders
    from xstilts.training.context import Context
    from xstilts.training.loop import Member, Plan, train

    tokenizer, base, (task, features, found) = prepared(arguments)
    trim, half = SIDES[arguments.side]
    settings = TrainingSettings(
        threads=arguments.threads,
        device=arguments.device,
        precision="bf16" if half else arguments.precision,
        trim=trim,
    )
    model = encoders.Model(
        encoders.prepare(base), {"bench": task.family.head(base.config, task.settings)}
    )
    member = Member(
        task, (Table("bench", "train", "en", found),), features, np.arange(len(features))
    )
    folder = Path(tempfile.mkdtemp())
    never = RunSettings(checkpoint_every_s=10**6)
    context = Context(settings, tokenizer, folder, folder, run=never)
    start = time.monotonic()
    train(
        model.to(arguments.device),
        [member],
        Plan(1e-5, arguments.steps, arguments.batch_size, 1),
        context,
    )
    return time.monotonic() - start


def trainer(arguments: argparse.Namespace) -> float:
    from datasets import Dataset
    from transformers import (
        AutoModelForQuestionAnswering,
        AutoModelForSequenceClassification,
        DataCollatorWithPadding,
        Trainer,
        TrainingArguments,
    )

    tokenizer, base, (task, features, _) = prepared(arguments)
    columns: dict[str, list[Any]] = {
        "input_ids": [features.columns["input_ids"][i].tolist() for i in range(len(features.rows))]
    }
    labels = [features.columns["labels"][i].tolist() for i in range(len(features.rows))]
    config = base.config
    kind: Any = AutoModelForQuestionAnswering
    if arguments.family == "classification":
        config.num_labels = len(task.settings.labels)
        kind = AutoModelForSequenceClassification
        columns["labels"] = [label[0] for label in labels]
    else:
        columns["start_positions"] = [label[0] for label in labels]
        columns["end_positions"] = [label[1] for label in labels]
    del base
    model = (
        kind.from_pretrained(arguments.encoder, config=config)
        if arguments.encoder
        else kind.from_config(config)
    )
    settings = TrainingArguments(
        output_dir=tempfile.mkdtemp(),
        max_steps=arguments.steps,
        per_device_train_batch_size=arguments.batch_size,
        learning_rate=1e-5,
        use_cpu=arguments.device == "cpu",
        bf16=arguments.precision == "bf16",
        save_strategy="no",
        report_to=[],
        disable_tqdm=True,
    )
    run = Trainer(model, settings, DataCollatorWithPadding(tokenizer), Dataset.from_dict(columns))
    start = time.monotonic()
    run.train()
    return time.monotonic() - start


if __name__ == "__main__":
    main()
