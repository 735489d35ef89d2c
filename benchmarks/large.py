"""Two optimiser steps of each family on a random model of XLM-R Large's full shape, on CPU.

    python benchmarks/large.py
    python benchmarks/large.py --families classification span --batch-size 2

24 layers, hidden 1024, 16 heads, 250,002 pieces: 560 million parameters. Rows are made up. Each
family runs in a process of its own and prints seconds and peak memory.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

LARGE = {
    "vocab_size": 250_002,
    "hidden_size": 1024,
    "num_hidden_layers": 24,
    "num_attention_heads": 16,
    "intermediate_size": 4096,
    "max_position_embeddings": 514,
    "type_vocab_size": 1,
    "pad_token_id": 1,
}
TRAINED = ("classification", "choice", "tagging", "span", "ranking", "masked_lm")
LABELS = {"classification": ("contradiction", "entailment", "neutral"), "tagging": ("NOUN", "VERB")}
SENTENCE = "The old dog saw a small cat near the river ."


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--families", nargs="+", default=list(TRAINED), choices=TRAINED)
    parser.add_argument("--batch-size", type=int, default=4)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--one", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        print(json.dumps(two_steps(arguments.one, arguments.batch_size, arguments.threads)))
        return
    for family in arguments.families:
        command = [sys.executable, __file__, *sys.argv[1:], "--one", family]
        output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        print(output.splitlines()[-1], flush=True)


def rows(family: str, count: int) -> list[dict[str, Any]]:
    context = " ".join([SENTENCE] * 12)
    kinds: dict[str, dict[str, Any]] = {
        "classification": {"text_a": SENTENCE * 2, "text_b": SENTENCE, "label": "neutral"},
        "choice": {"context": SENTENCE, "question": None, "choices": [SENTENCE] * 4, "label": 1},
        "tagging": {"tokens": SENTENCE.split(), "tags": ["NOUN"] * 11},
        "span": {
            "context": context,
            "question": "Where was the cat ?",
            "answers": [{"text": "near the river", "start": context.index("near")}],
        },
        "ranking": {"query": SENTENCE, "candidate": SENTENCE, "context": context},
        "masked_lm": {"text": context, "pair": None},
    }
    return [{"id": str(n), "gold": [str(n)], **kinds[family]} for n in range(count)]


def two_steps(name: str, batch_size: int, threads: int) -> dict[str, Any]:
    import numpy as np
    from transformers import XLMRobertaConfig, XLMRobertaModel

    from xstilts.formats.tables import Table
    from xstilts.params import PretrainSettings, RunSettings, TrainingSettings
    from xstilts.phases.pretraining import train_tokenizer
    from xstilts.tasks.families import FAMILIES
    from xstilts.tasks.families.masked_lm import MaskedLMHead
    from xstilts.tasks.families.protocol import TaskSettings
    from xstilts.training import encoder as encoders
    from xstilts.training.context import Context
    from xstilts.training.loop import Member, Plan, train
    from xstilts.training.task import Task

    text = Table("text", "train", "en", [{"text": SENTENCE, "pair": None}])
    tokenizer = train_tokenizer([text], PretrainSettings(vocabulary=60))
    settings = TaskSettings(
        256, LABELS.get(name, ()), choices=4, doc_stride=128, max_question=64, max_answer=30
    )
    task = Task(name, name, FAMILIES[name], settings, name)  # type: ignore[arg-type,index]
    table = Table(name, "train", "en", rows(name, 2 * batch_size))
    features = task.family.encode(table.rows, tokenizer, settings)
    encoder = encoders.prepare(XLMRobertaModel(XLMRobertaConfig(**LARGE)))
    head = task.family.head(encoders.config_copy(encoder), settings)
    if isinstance(head, MaskedLMHead):
        head.tie(encoder)
    model = encoders.Model(encoder, {name: head})
    member = Member(task, (table,), features, np.arange(len(features)))
    plan = Plan(1e-5, 2, batch_size, 1)
    training = TrainingSettings(threads=threads, device="cpu")
    folder = Path(tempfile.mkdtemp())
    never = RunSettings(checkpoint_every_s=1e9)
    context = Context(training, tokenizer, folder, folder, run=never)
    start = time.monotonic()
    train(model, [member], plan, context)
    return {
        "family": name,
        "parameters_million": round(sum(p.numel() for p in model.parameters()) / 1e6),
        "seconds_for_two_steps": round(time.monotonic() - start, 1),
        "pieces_a_sequence": int(features.lengths.max()),
        "peak_gb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20, 1),
    }


if __name__ == "__main__":
    main()
