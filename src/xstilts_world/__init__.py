"""The embedded world: a small universe in six languages, with every task, all made from a seed.

What enters: a task's record, a split, a language, a seed. What leaves: rows in the task's own
format. `languages`, `locate` and `read` are the Source protocol. Nothing is made at import;
one table takes a second or two.
"""

from __future__ import annotations

from collections.abc import Callable

from xstilts.errors import UserError, nearest
from xstilts.formats.tables import ENGLISH, Record, Row, Split
from xstilts.params import SourceSettings
from xstilts.sources.reading import Reading
from xstilts_world import asking, tasks, text
from xstilts_world.languages import LANGUAGES, PRIVATE, distances

# How each task is drawn, and its rows: English train, dev and test a language. Intermediates have
# several thousand, targets a thousand: room for transfer to help. 0: no such split.
TASKS: dict[str, tuple[Callable[[asking.TableSpec], list[Row]], int, int, int]] = {
    "anli_plus": (tasks.anli_plus, 8000, 400, 400),
    "mnli": (tasks.nli, 8000, 400, 400),
    "qqp": (tasks.questions, 6000, 400, 400),
    "squad2": (asking.spans, 4000, 400, 400),
    "squad1": (asking.spans, 4000, 400, 400),
    "hellaswag": (asking.continuations, 4000, 400, 400),
    "ccg": (tasks.supertags, 4000, 400, 400),
    "ud_relations": (tasks.relations, 4000, 400, 400),
    "ud_chunks": (tasks.chunks, 4000, 400, 400),
    "cosmosqa": (asking.causes, 4000, 400, 400),
    "commonsenseqa": (asking.commonsense, 4000, 400, 400),
    "xnli": (tasks.nli, 2000, 250, 300),
    "pawsx": (tasks.paraphrases, 1000, 250, 300),
    "udpos": (tasks.parts_of_speech, 1000, 250, 300),
    "panx": (tasks.entities, 1000, 250, 300),
    "xquad": (asking.spans, 1000, 250, 300),
    "mlqa": (asking.spans, 1000, 250, 300),
    "tydiqa": (asking.spans, 1000, 250, 300),
    "bucc2018": (tasks.mining, 0, 300, 300),
    "tatoeba": (tasks.translations, 0, 0, 300),
    "xcopa": (asking.continuations, 0, 250, 300),
    "siqa": (asking.continuations, 4000, 400, 400),
    "copa": (asking.continuations, 400, 250, 300),
    "text": (text.plain_text, 12000, 0, 0),
}
AGAINST_ENGLISH = ("bucc2018", "tatoeba")  # a table of each other language, beside English
SAME_TRAIN = {"mlqa": "xquad"}  # two targets trained on the same rows


def languages(record: Record, source: SourceSettings) -> tuple[str, ...]:
    """The task's languages in the world, English first; retrieval's are all but English.

    Or those of them that params name: text of English alone makes an encoder of English alone.
    """
    own = PRIVATE if record.name in AGAINST_ENGLISH else tuple(LANGUAGES)
    own = (ENGLISH,) if record.english_only else own
    files = source.tasks.get(record.name)
    if files is None or files.languages is None:
        return own
    for code in files.languages:
        if code not in own:
            raise UserError(
                f"params.yaml: source.tasks.{record.name}.languages: the world has no "
                f"'{code}'{nearest(code, own)}"
            )
    return tuple(code for code in own if code in files.languages)


def facts() -> dict[str, dict[str, float]]:
    """What is known of the world's languages, for `xstilts languages`."""
    return distances()


def locate(record: Record, split: Split, language: str, source: SourceSettings) -> list[str] | None:
    """That a table needs nothing; None where the world has no such split in that language."""
    return None if _size(record, split, language, source) is None else ["made from source.seed"]


def _size(record: Record, split: Split, language: str, source: SourceSettings) -> int | None:
    """How many rows a table has; None where the world has no such split in that language."""
    if record.name not in TASKS:
        raise UserError(
            f"source.name: the world has no task '{record.name}'{nearest(record.name, TASKS)}"
        )
    _, train, dev, test = TASKS[record.name]
    if split == "train" and language in _translated(record, source):
        return train or None
    if language not in languages(record, source):
        return None
    if split == "train" and language != ENGLISH and record.name != "text":
        return None
    return {"train": train, "dev": dev, "test": test}.get(split) or None


def _translated(record: Record, source: SourceSettings) -> tuple[str, ...]:
    """The languages in which params want the English train rows, too; the world's are exact."""
    files = source.tasks.get(record.name)
    for code in files.translated if files else ():
        if code not in PRIVATE or record.is_text:
            raise UserError(
                f"params.yaml: source.tasks.{record.name}.translated: the world has no '{code}' of "
                f"it{nearest(code, PRIVATE)}"
            )
    return tuple(files.translated) if files else ()


def read(record: Record, split: Split, language: str, source: SourceSettings) -> Reading | None:
    """The rows of one table; None where the world has no such split in that language."""
    size = _size(record, split, language, source)
    if size is None:
        return None
    name = SAME_TRAIN.get(record.name, record.name) if split == "train" else record.name
    make = TASKS[record.name][0]
    spoken = languages(record, source)
    spec = asking.TableSpec(source.seed, name, split, language, size, record.labels, spoken)
    if split == "train" and language in _translated(record, source):  # what English says
        spec = spec._replace(language=ENGLISH, said=language)
    rows = make(spec)
    return Reading(rows, {"read": len(rows)})
