"""Small right files for the readers of files, what they are made of, and their tasks."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.sources.ranked import ARTICLE, PAIR, XQUAD_R, line
from xstilts.sources.readers import READERS, RawFile
from xstilts.sources.reading import Reading
from xstilts.tasks.catalogue import record

Content = str | bytes | dict[str, str | bytes]


def read(
    folder: Path, reader: str, content: Content, task: str, name: str = "", **rest: Any
) -> Reading:
    """Write `content` (of several files: the first is read) and read it."""
    files = content if isinstance(content, dict) else {name or "test-de.tsv": content}
    for file, data in files.items():
        data = data.encode() if isinstance(data, str) else data
        (folder / file).write_bytes(data)
    wanted = {"split": "test" if reader in UNLABELLED else "dev", "language": "de"} | rest
    return READERS[reader](RawFile(folder / next(iter(files)), record(task), **wanted))


def lines(*objects: object) -> str:
    return "".join(json.dumps(value) + "\n" for value in objects)


def squad(**change: Any) -> dict[str, Any]:
    """A SQuAD document with one question; `change` replaces a part of it."""
    qa = {"id": "q1", "question": "Who?", "answers": [{"text": "Ada", "answer_start": 4}]}
    qa |= {key: value for key, value in change.items() if key in ("id", "question", "answers")}
    qa |= {"is_impossible": change["is_impossible"]} if "is_impossible" in change else {}
    paragraph = {"context": change.get("context", "I am Ada."), "qas": change.get("qas", [qa])}
    paragraph["context"] = change.get("context", "Yes Ada came.")
    article = {"title": "A", "paragraphs": change.get("paragraphs", [paragraph])}
    return {"version": "1.1", "data": change.get("data", [article])}


def answer(text: object, start: object) -> list[dict[str, object]]:
    return [{"text": text, "answer_start": start}]


def conllu(*words: str) -> str:
    """ID FORM UPOS HEAD and, where it matters, the relation, space-separated, as ten columns."""
    rows = [(word + " _").split(" ")[:5] for word in words]
    return (
        "# text = x\n"
        + "".join(
            "\t".join([i, form, "_", tag, "_", "_", head, relation, "_", "_"]) + "\n"
            for i, form, tag, head, relation in rows
        )
        + "\n"
    )


SNLI = {"gold_label": "neutral", "sentence1": "a", "sentence2": "b", "pairID": "p1"}
ANLI = {"uid": "u1", "context": "a", "hypothesis": "b", "label": "e"}
CHAOS = {"uid": "u", "majority_label": "n", "example": {"premise": "a", "hypothesis": "b"}}
HELLA = {"ind": 1, "ctx_a": "A man.", "ctx_b": "he", "endings": ["a", "b", "c", "d"], "label": 2}
CSQA = {
    "id": "c1",
    "answerKey": "B",
    "question": {"stem": "Why?", "choices": [{"label": x, "text": x.lower()} for x in "ABCDE"]},
}
CSQA_FLAT = {
    "id": "c1",
    "answerKey": "B",
    "question": "Why?",
    "choices": {"label": list("ABCDE"), "text": list("abcde")},
}
SIQA = {
    "context": "x",
    "question": "y",
    "answerA": "a",
    "answerB": "b",
    "answerC": "c",
    "correct": "C",
}
COPA = {"premise": "p", "choice1": "a", "choice2": "b", "question": "cause", "label": 1, "idx": 0}
COSMOS = "id,context,question,answer0,answer1,answer2,answer3,label\n"
COSMOS_TEST = {"id": "i", "context": "c", "question": "q"} | {f"answer{i}": "a" for i in range(4)}
QQP = "id\tqid1\tqid2\tquestion1\tquestion2\tis_duplicate\n"
GLUE = "index\tpairID\tsentence1\tsentence2\tgold_label\n"
XNLI = "language\tgold_label\tsentence1\tsentence2\tpairID\n"
X_FINAL = "id\tsentence1\tsentence2\tlabel\n"
QUORA = QQP  # the same columns, quoted
SNLI_TXT = "gold_label\tsentence1\tsentence2\tpairID\tlabel1\tlabel2\n"
AUTO = (
    "ID=wsj_0001.1 PARSER=GOLD NUMPARSE=1\n"
    "(<T S[dcl] 0 2> (<T NP 0 1> (<L N NNP NNP Ada N>) ) "
    "(<L S[dcl]\\NP VBZ VBZ smiles S[dcl]\\NP_1>) )\n"
)
CAD = "sentence1\tsentence2\tgold_label\n"
LONG = "1" * 5000  # digits
DEEP = "[" * 100_000 + "]" * 100_000 + "\n"
HELLA_TEXT = "Cooking: A cook.\n1\na\nb\nc\nd\n"
SQUAD = json.dumps(squad())


def doc(**change: Any) -> str:
    """The document of `squad`, as text."""
    return json.dumps(squad(**change))


UNLABELLED = ("cosmosqa-test", "tatoeba-sorted")  # readers of test files
TASKS = {
    "bio": "panx",
    "text": "text",
    "squad": "squad1",
    "xtreme-pairs": "xnli",
    "xnli": "xnli",
    "x-final": "pawsx",
    "glue-mnli": "mnli",
    "glue-qqp": "qqp",
    "three-columns": "mnli",
    "multinli-en": "mnli",
    "snli": "mnli",
    "anli": "anli_plus",
    "chaosnli": "mnli",
    "hellaswag": "hellaswag",
    "hellaswag-text": "hellaswag",
    "commonsenseqa": "commonsenseqa",
    "siqa": "siqa",
    "copa": "xcopa",
    "cosmosqa": "cosmosqa",
    "cosmosqa-test": "cosmosqa",
    "rahimi": "panx",
    "ccg": "ccg",
    "ccg-auto": "ccg",
    "quora": "qqp",
    "snli-txt": "mnli",
    "conllu": "udpos",
    "conllu-relations": "ud_relations",
    "conllu-chunks": "ud_chunks",
    "tydiqa": "tydiqa",
    "laser": "tatoeba",
    "tatoeba-sorted": "tatoeba",
    "xquad-r": "lareqa",
    "mewslix": "mewslix",
    "mewslix-pairs": "mewslix",
    "bucc": "bucc2018",
}
RIGHT: dict[str, Content] = {
    "bio": "Ada\tB-PER\ncame\tO\n\nGö\tO\n",
    "text": "one\ntwo\n",
    "squad": SQUAD,
    "xtreme-pairs": "a\tb\tneutral\n",
    "xnli": XNLI + "de\tneutral\ta\tb\t1\n",
    "x-final": X_FINAL + "1\ta\tb\t0\n",
    "glue-mnli": GLUE + "0\tp\ta\tb\tneutral\n",
    "glue-qqp": QQP + "1\t2\t3\ta\tb\t1\n",
    "three-columns": CAD + "a\tb\tneutral\n",
    "multinli-en": "premise\thypo\tlabel\na\tb\tcontradictory\n",
    "snli": lines(SNLI),
    "anli": lines(ANLI),
    "chaosnli": lines(CHAOS),
    "hellaswag": lines(HELLA),
    "hellaswag-text": HELLA_TEXT,
    "commonsenseqa": lines(CSQA),
    "siqa": {"d.jsonl": lines(SIQA), "d-labels.lst": "3\n"},
    "copa": lines(COPA),
    "cosmosqa": COSMOS + "x,c,q,a,b,c,d,0\n",
    "cosmosqa-test": lines(COSMOS_TEST),
    "rahimi": "de:a\tO\n",
    "ccg": "I run\tNP S\n",
    "ccg-auto": AUTO,
    "quora": QUORA + '1\t2\t3\t"a\nb"\tc\t1\n',
    "snli-txt": SNLI_TXT + "neutral\ta\tb\tp\tx\n",
    "conllu": conllu("1-2 ab _ _", "1 a NOUN 0", "2 b X 1"),
    "conllu-relations": conllu("1 a NOUN 0 root", "2 b ADJ 1 amod:x"),
    "conllu-chunks": conllu("1 a NOUN 0 root", "2 b ADJ 1 amod"),
    "tydiqa": doc(id="english-1-0"),
    "laser": {"t.deu-eng.deu": "x\n", "t.deu-eng.eng": "a\n"},
    "tatoeba-sorted": {"de-en.de": "x\n", "de-en.en": "a\n"},
    "xquad-r": line(XQUAD_R),
    "mewslix": line(ARTICLE),
    "mewslix-pairs": line(PAIR),
    "bucc": {"d.de": "de-1\tx\n", "d.en": "en-1\ta\n", "d.gold": "de-1\ten-1\n"},
}
FILES = [  # (reader, name): every file of every reader; "" where it is the only one
    (reader, name)
    for reader, content in RIGHT.items()
    for name in (content if isinstance(content, dict) else [""])
]


def files_of(reader: str) -> dict[str, bytes]:
    """A reader's right files by name."""
    content = RIGHT[reader]
    files = content if isinstance(content, dict) else {"": content}
    return {
        name: data if isinstance(data, bytes) else data.encode() for name, data in files.items()
    }


def read_right(folder: Path, reader: str, files: dict[str, bytes]) -> Reading:
    """Read files named as `files_of` has them, right or damaged, as dev in a language they have."""
    language = "en" if reader == "tydiqa" else "de"
    named: Content = {name or "test-de.tsv": data for name, data in files.items()}
    return read(folder, reader, named, TASKS[reader], language=language)
