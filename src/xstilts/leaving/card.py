"""A model's README: what huggingface_hub reads at its top, and what a reader must know below.

What enters: a cell's card and the description of its model. What leaves: Markdown. Every number is
the card's; nothing is computed again.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from huggingface_hub import EvalResult, ModelCardData

from xstilts.formats.cards import Card, task_number
from xstilts.formats.tables import ENGLISH, Record
from xstilts.leaving.rows import asked
from xstilts.tasks.catalogue import ENTRIES
from xstilts.training.saved import About

# The Hub's names of the licences that records name; another is "other", by its own name.
LICENCES = {
    "Apache 2.0": "apache-2.0", "BSD 2-Clause": "bsd-2-clause", "MIT": "mit",
    "CC BY 2.0 FR": "cc-by-2.0", "CC BY 4.0": "cc-by-4.0", "CC BY-NC 4.0": "cc-by-nc-4.0",
    "CC BY-SA 3.0": "cc-by-sa-3.0", "CC BY-SA 4.0": "cc-by-sa-4.0",
}  # fmt: skip
PIPELINES = {
    "AutoModelForSequenceClassification": "text-classification",
    "AutoModelForTokenClassification": "token-classification",
    "AutoModelForQuestionAnswering": "question-answering",
    "AutoModelForMultipleChoice": "multiple-choice",
}
OURS = "xstilts"
OFFICIAL = ("files", "hub")  # sources of a task's own rows; another's are in its format alone


def readme(about: About, card: Card, trained_on: tuple[str, ...], name: str, why: str) -> str:
    """A model's README.md.

    trained_on: the tasks of phase 2 and 3, in order. name: of its class in transformers, or "" and
    why it has none.
    """
    data = ModelCardData(
        language=languages(card),
        base_model=base_model(about),
        library_name="transformers" if name else OURS,
        pipeline_tag=PIPELINES.get(name),
        tags=[OURS, "cross-lingual-transfer", *([] if name else ["custom-layout"])],
        model_name=_title(card),
        eval_results=list(results(about, card)),
        **_licence(trained_on, about, card),
    )
    parts = (
        _what(about, card, trained_on),
        _use(about, name, why),
        _numbers(about, card),
        _limits(about, card),
        _licences(trained_on, about, card),
    )
    return f"---\n{data.to_yaml()}\n---\n\n" + "\n\n".join(parts) + "\n"


def languages(card: Card) -> list[str]:
    """English, in which it was trained, and those that it was scored in."""
    found = {code for scores in card.scores.values() for code in scores}
    return [ENGLISH, *sorted(found - {ENGLISH})]


def base_model(about: About) -> str | None:
    """The Hub's id of the encoder that params name; None of a folder's, or one pretrained here."""
    name = about.encoder.name
    known = re.fullmatch(r"[\w.-]+(/[\w.-]+)?", name) and not Path(name).exists()
    return name if known else None


def results(about: About, card: Card) -> Iterator[EvalResult]:
    """Each number of each language, for `model-index`."""
    where, revision = _data_set(about.record, card)
    conventions: dict[str, str] = card.passport["metrics"]
    for split, scores in sorted(card.scores.items()):
        for language, values in sorted(scores.items()):
            for metric, value in sorted(values.items()):
                yield EvalResult(
                    task_type=about.record.family,
                    dataset_type=where,
                    dataset_name=data_name(about.record, card),
                    dataset_config=language,
                    dataset_split=split,
                    dataset_revision=revision,
                    metric_type=metric,
                    metric_name=metric,
                    metric_value=value,
                    metric_args={"convention": conventions.get(metric, "plain")},
                )


def data_name(record: Record, card: Card) -> str:
    """The task's title; of another source than the official ones with its name."""
    official = card.source in OFFICIAL
    return record.title if official else f"{record.title}, as made by the source {card.source}"


def _data_set(record: Record, card: Card) -> tuple[str, str | None]:
    """(the target's repository on the Hub, its commit), or its name alone for another source."""
    entry = ENTRIES.get(record.name)
    copies = {one.id for slot in entry.repositories for one in slot} if entry else set()
    for place, commit in re.findall(r"Hub: (\S+) at ([0-9a-f]{40})", " ".join(card.notes)):
        if place in copies:
            return place, commit
    return record.name, None


def _title(card: Card) -> str:
    return f"{card.intermediate} -> {card.target}, replicate {card.replicate}"


def _record(task: str, target: Record) -> Record | None:
    if task == target.name:
        return target
    return ENTRIES[task].record if task in ENTRIES else None


def _licence(trained_on: tuple[str, ...], about: About, card: Card) -> dict[str, Any]:
    """The metadata's licence: that of the data where it is one with a name on the Hub."""
    found = {one.licence for task in trained_on if (one := _record(task, about.record))}
    official = card.source in OFFICIAL
    if official and len(found) == 1 and (known := LICENCES.get(next(iter(found)))):
        return {"license": known}
    return {"license": "other", "license_name": "see-licences-below"}


def _what(about: About, card: Card, trained_on: tuple[str, ...]) -> str:
    shown = ", then ".join(
        f"{record.title} ({task})" if (record := _record(task, about.record)) else task
        for task in trained_on
    )
    chose = card.selection
    lines = [
        f"# {_title(card)}",
        "",
        f"A {card.family} model for {data_name(about.record, card)}. It was made by xstilts: the "
        "encoder "
        f"`{card.encoder}`, trained on English alone and read in {len(languages(card))} languages.",
        "",
        f"- Trained on, in this order: {shown or 'nothing, the vectors are as they were'}",
        f"- Replicate {card.replicate}, seed {card.passport['seed']}; data from the source "
        f"`{card.source}`; card's key `{card.key}`",
    ]
    if chose:
        lines.append(
            f"- Checkpoint: step {chose.step} of {chose.steps}, the best on {chose.rows} rows of "
            f"English {chose.metric} ({100 * chose.score:.1f})"
        )
    settings = {key: one.value for key, one in card.settings.items() if one.value is not None}
    lines.append("- Settings: " + ", ".join(f"{key} {value}" for key, value in settings.items()))
    return "\n".join(lines)


def _use(about: About, name: str, why: str) -> str:
    family = about.record.family
    columns = ", ".join(asked(family).needed or asked(family).either)
    code = [
        "## Use",
        "",
        *([] if name else [f"In xstilts' own layout, since {why}: transformers does not load it "
                           "by itself. The encoder is in `encoder/`.", ""]),
        f"    xstilts predict THIS_FOLDER rows.jsonl    # columns {columns}",
    ]  # fmt: skip
    if name:
        code += [
            "",
            f"    from transformers import AutoTokenizer, {name}",
            f"    model = {name}.from_pretrained(THIS_FOLDER)",
            "    tokenizer = AutoTokenizer.from_pretrained(THIS_FOLDER)",
        ]
    return "\n".join([*code, *(["", NOTES[family]] if name and family in NOTES else [])])


NOTES = {
    "tagging": "A word's tag is read off its FIRST piece, each word encoded as after a space; what "
    'the other pieces get was never trained (pipelines: aggregation_strategy="first").',
    "span": "Numbers below are of windows that share pieces, decoded as `xstilts predict` does: a "
    "pipeline's own decoding may find other spans.",
    "choice": "A choice is a pair of texts: the prompt (context, space, question) and the choice.",
}


def _numbers(about: About, card: Card) -> str:
    main, conventions = card.main, card.passport["metrics"]
    means = ", ".join(f"{metric} ({conventions.get(metric, 'plain')})" for metric in main)
    lines = [
        "## Results",
        "",
        f"Percent: {means}{', their mean' if len(main) > 1 else ''}. All metrics stand above, as "
        "fractions, and in `card.json`. Every language but English is zero-shot.",
        "",
        "| language | " + " | ".join(sorted(card.scores)) + " |",
        "|---|" + "---:|" * len(card.scores),
    ]
    for language in languages(card):
        cells = [
            f"{100 * task_number(scores[language], main):.1f}" if language in scores else "-"
            for _, scores in sorted(card.scores.items())
        ]
        lines.append(f"| {language} | " + " | ".join(cells) + " |")
    passport = {k: v for k, v in card.passport.items() if isinstance(v, str | int | float)}
    lines += ["", "Passport: " + "; ".join(f"{key}: {value}" for key, value in passport.items())]
    return "\n".join(lines)


def _limits(about: About, card: Card) -> str:
    lines = [
        "## What the numbers cannot say",
        "",
        "- One training with one seed: another replicate gives other numbers, on small targets by "
        "points.",
        "- English dev chose the checkpoint; where another would be better in a language, nobody "
        "looked.",
        "- They hold for the convention that stands beside them, and compare with no other.",
        f"- Computed on {', '.join(card.computed.values()) or 'an unknown device'}; on another "
        "device single predictions may differ.",
    ]
    if about.thresholds:
        lines.append("- Pairs are cut at a threshold that was set on each language's dev gold.")
    if card.source not in OFFICIAL:
        lines.append(
            f"- The rows are of the source `{card.source}`: in the tasks' formats, but none of "
            "theirs. The numbers say nothing of the official data."
        )
    lines += [f"- {flag}" for flag in card.flags]
    lines += [f"- {note}" for note in card.notes]
    return "\n".join(lines)


def _licences(trained_on: tuple[str, ...], about: About, card: Card) -> str:
    if card.source not in OFFICIAL:
        return f"## Licences\n\nThe data have the licence of the source `{card.source}`."
    lines = ["## Licences", "", "Of the data (the encoder has its own):", ""]
    for task in dict.fromkeys((*trained_on, about.record.name)):
        if record := _record(task, about.record):
            lines.append(f"- {record.title} ({task}): {record.licence}")
    return "\n".join(lines)
