"""Plain lines: text for pretraining, sentence pairs to retrieve, HellaSwag's text form."""

from __future__ import annotations

from xstilts.formats.tables import Row
from xstilts.sources.readers.raw import RawFile, whole_number
from xstilts.sources.readers.table import choice_row
from xstilts.sources.reading import Reading

_TEXT6 = 6  # lines a task: "activity: context", the right ending's number, four endings


def text(raw: RawFile) -> Reading:
    """Plain text, a text on each line; blank lines are dropped."""
    lines = raw.cut(raw.lines())
    rows: list[Row] = [{"text": line.strip(), "pair": None} for line in lines if line.strip()]
    dropped = len(lines) - len(rows)
    counts = {"dropped: blank line": dropped} if dropped else {}
    return Reading(rows, {"read": len(lines), **counts, **raw.ends()})


def hellaswag_text(raw: RawFile) -> Reading:
    """HellaSwag's text form: six lines a task; as in jiant the prompt is without the activity."""
    lines = raw.lines()
    tasks = [(start + 1, lines[start : start + _TEXT6]) for start in range(0, len(lines), _TEXT6)]
    # A line too many or too few shifts all that follow: the first task that is wrong says where.
    wanted = tasks if len(lines) % _TEXT6 else raw.cut(tasks)
    rows = [_task(raw, number, task) for number, task in wanted]
    return raw.reading(rows, len(rows))


def _task(raw: RawFile, number: int, lines: list[str]) -> Row:
    """The row of a task's six lines, the first of which is line `number`."""
    if len(lines) < _TEXT6:
        raise raw.at(number, f"{len(lines)} lines; expected {_TEXT6} for each task")
    head, label, *choices = lines
    _, colon, context = head.partition(": ")
    if not colon or not context.strip():
        raise raw.at(number, f"{head!r}; expected an activity, a colon, the context")
    if (right := whole_number(label)) is None:
        raise raw.at(number + 1, f"label {label!r}; expected a number from 0 to 3")
    if blank := [i for i, choice in enumerate(choices) if not choice.strip()]:
        raise raw.at(number + 2 + blank[0], "a blank ending; expected text")
    return choice_row(raw.row_id(number), context, None, choices, raw.choice(number + 1, right))


def laser(raw: RawFile) -> Reading:
    """LASER's Tatoeba: line i of tatoeba.deu-eng.deu is translated by tatoeba.deu-eng.eng's."""
    foreign = raw.lines()
    return aligned(raw, foreign, _as_long(raw, foreign, "eng")[1])


def _as_long(raw: RawFile, foreign: list[str], code: str) -> tuple[RawFile, list[str]]:
    """The English file beside a foreign one, and its lines; UserError unless they are as many."""
    english_file = raw.beside(f"{raw.path.stem}.{code}")
    english = english_file.lines()
    if len(foreign) != len(english):
        raise english_file.at(
            None, f"{len(english)} lines; expected {len(foreign)}, as {raw.path.name} has"
        )
    return english_file, english


def aligned(raw: RawFile, foreign: list[str], english: list[str]) -> Reading:
    """The rows of two sides whose sentences i are translations of each other.

    English rows come in the order of XTREME's files (stripped lines, sorted as strings, stable), so
    that a submission's line k is row en-k; the gold is that sort's permutation. Equal English lines
    are equally right, the stable order decides; they are counted.
    """
    stripped = [line.strip() for line in english]
    order = sorted(range(len(stripped)), key=stripped.__getitem__)
    sorted_line = {line: k for k, line in enumerate(order)}
    rows = _side(raw, foreign, [[f"en-{sorted_line[line]}"] for line in range(len(foreign))])
    rows += [_english(f"en-{k}", stripped[line]) for k, line in enumerate(order)]
    ties = len(stripped) - len(set(stripped))
    return raw.reading(rows, len(foreign), equal_English_lines=ties)


def tatoeba_sorted(raw: RawFile) -> Reading:
    """XTREME's Tatoeba, whose English side is sorted, so that the gold is lost: never scored."""
    foreign = raw.lines()
    english_file, english = _as_long(raw, foreign, "en")
    for number in range(1, len(english)):
        if english[number] < english[number - 1]:
            raise english_file.at(
                number + 1, "not in sorted order; expected XTREME's sorted lines, or LASER's files"
            )
    rows = _side(raw, foreign, None)
    rows += [_english(f"en-{k}", line) for k, line in enumerate(english)]
    return raw.reading(rows, len(foreign))


def bucc(raw: RawFile) -> Reading:
    """BUCC 2018: id TAB sentence on each side; gold: foreign-id TAB english-id; no gold: hidden."""
    foreign, english_file = _named(raw), raw.beside(f"{raw.path.stem}.en")
    english = _named(english_file)
    gold_path = raw.path.with_suffix(".gold")
    gold: dict[str, list[str]] | None = None
    twice = 0
    if gold_path.is_file():
        gold_file = raw.beside(gold_path.name)
        gold = {name: [] for name in foreign}
        for number, line in enumerate(gold_file.lines(), 1):
            pair = line.split("\t")
            if len(pair) != 2:
                raise gold_file.at(
                    number, f"{len(pair)} columns; expected {raw.language}-id TAB en-id"
                )
            for name, side, file in ((pair[0], foreign, raw), (pair[1], english, english_file)):
                if name not in side:
                    raise gold_file.at(
                        number, f"id '{name}' is not in {file.path.name}; correct it"
                    )
            twice += pair[1] in gold[pair[0]]
            gold[pair[0]] += [pair[1]] if pair[1] not in gold[pair[0]] else []
    rows = [
        {"id": name, "side": "foreign", "text": sentence, "gold": gold[name] if gold else None}
        for name, sentence in foreign.items()
    ]
    rows += [_english(name, sentence) for name, sentence in english.items()]
    return raw.reading(rows, len(foreign), English_lines=len(english), repeated_gold_pairs=twice)


def _named(raw: RawFile) -> dict[str, str]:
    """{id: sentence} of a side's file."""
    sentences: dict[str, str] = {}
    for number, line in enumerate(raw.lines(), 1):
        columns = line.split("\t")
        if len(columns) != 2 or not all(columns):
            raise raw.at(number, f"{len(columns)} columns; expected id TAB sentence")
        if columns[0] in sentences:
            raise raw.at(number, f"id '{columns[0]}' occurs twice; expected each id once")
        sentences[columns[0]] = columns[1]
    return sentences


def _side(raw: RawFile, lines: list[str], gold: list[list[str]] | None) -> list[Row]:
    """The foreign side's rows. gold: of each line the English partners' ids; None: hidden."""
    if blank := [number for number, line in enumerate(lines, 1) if not line.strip()]:
        raise raw.at(blank[0], "a blank line; expected a sentence on each")
    return [
        {
            "id": f"{raw.language}-{number}",
            "side": "foreign",
            "text": line,
            "gold": gold[number] if gold else None,
        }
        for number, line in enumerate(lines)
    ]


def _english(name: str, sentence: str) -> Row:
    return {"id": name, "side": "english", "text": sentence, "gold": None}
