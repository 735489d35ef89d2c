"""Small repositories with the columns, label orders, configurations and splits of the Hub's own.

As their cards and the Hub's viewer show them; written as a cache folder of huggingface_hub, which
is what a mirror is.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from datasets import ClassLabel, Dataset, Features, List, Value

Rows = list[dict[str, Any]]
Tables = dict[str, tuple[dict[str, Any], dict[str, Rows]]]  # configuration: features, {split: rows}

MAIN, CONVERTED = "main", "refs/convert/parquet"
TEXT, NUMBER = Value("string"), Value("int32")
NLI = ClassLabel(names=["entailment", "neutral", "contradiction"])
NLI_COLUMNS = {"premise": TEXT, "hypothesis": TEXT, "label": NLI}
PANX = List(ClassLabel(names=["O", "B-PER", "I-PER", "B-ORG", "I-ORG", "B-LOC", "I-LOC"]))
UPOS = (
    "ADJ ADP ADV AUX CCONJ DET INTJ NOUN NUM PART PRON PROPN PUNCT SCONJ SYM VERB X".split()  # noqa: SIM905
)
ANSWERS = {"text": List(TEXT), "answer_start": List(NUMBER)}
UNTITLED = {"id": TEXT, "context": TEXT, "question": TEXT, "answers": ANSWERS}
SQUAD = {"id": TEXT, "title": TEXT, "context": TEXT, "question": TEXT, "answers": ANSWERS}
COPA = {name: TEXT for name in ("premise", "choice1", "choice2", "question")}
SIQA = {name: TEXT for name in ("context", "question", "answerA", "answerB", "answerC", "label")}
COSMOS = {name: TEXT for name in ("id", "context", "question")} | {
    f"answer{number}": TEXT for number in range(4)
}
PAIR_OF_LANGUAGES = {
    name: TEXT for name in ("source_sentence", "target_sentence", "source_lang", "target_lang")
}


def nli(*labels: int, **more: Any) -> Rows:
    return [
        {"premise": f"p{i}", "hypothesis": f"h{i}", "label": label, **more}
        for i, label in enumerate(labels)
    ]


def numbered(rows: Rows, key: str = "idx") -> Rows:
    return [{**row, key: number} for number, row in enumerate(rows)]


def spans(*ids: str, titled: bool = True, no_answer: bool = False) -> Rows:
    """One question a context, `the ID`, whose answer is the id; of the last, none."""
    rows: Rows = []
    for name in ids:
        empty = no_answer and name == ids[-1]
        answers = {"text": [] if empty else [name], "answer_start": [] if empty else [4]}
        row = {"id": name, "context": f"the {name}", "question": "?", "answers": answers}
        rows.append(row | {"title": f"T {name}"} if titled else row)
    return rows


def choose(rows: int, label: Any, **more: Any) -> Rows:
    texts = {"premise": "p", "choice1": "a", "choice2": "b", "question": "cause"}
    return [{**texts, "label": label, "idx": number, **more} for number in range(rows)]


def sentences(column: str, *tags: int, **more: Any) -> Rows:
    return [{"tokens": ["one", "two"], column: [tag, 0], **more} for tag in tags]


def _glue() -> Tables:
    questions = [{"question1": f"a{i}", "question2": f"b{i}", "label": i % 2} for i in range(4)]
    qqp = Features(
        question1=TEXT,
        question2=TEXT,
        label=ClassLabel(names=["not_duplicate", "duplicate"]),
        idx=NUMBER,
    )
    return {
        "mnli": (
            NLI_COLUMNS | {"idx": NUMBER},
            {
                "train": numbered(nli(0, 1, 2, 2)),
                "validation_matched": numbered(nli(2)),
                "validation_mismatched": numbered(nli(0, 0)),
            },
        ),
        "qqp": (qqp, {"train": numbered(questions), "validation": numbered(questions[:1])}),
    }


def _anli() -> Tables:
    rows = {
        f"{split}_r{number}": nli(2, 0, uid="", reason="")
        for split in ("train", "dev", "test")
        for number in (1, 2, 3)
    }
    for split, listed in rows.items():
        for index, row in enumerate(listed):
            row["uid"] = f"{split}-{index}"
    return {"plain_text": ({"uid": TEXT, **NLI_COLUMNS, "reason": TEXT}, rows)}


def _choices() -> dict[tuple[str, str], Tables]:
    hellaswag = {name: TEXT for name in ("activity_label", "ctx_a", "ctx_b", "ctx", "source_id")}
    hellaswag |= {"split": TEXT, "split_type": TEXT, "label": TEXT, "ind": NUMBER}
    row = dict.fromkeys(hellaswag, "x") | {"ctx_b": "he", "endings": ["a", "b", "c", "d"], "ind": 1}
    commonsense = {"label": list("ABCDE"), "text": list("vwxyz")}
    asked = {"id": "q", "question": "?", "question_concept": "c", "choices": commonsense}
    siqa = {"context": "c", "question": "?", "answerA": "a", "answerB": "b", "answerC": "c"}
    cosmos = {"id": "1", "context": "c", "question": "?"} | {f"answer{i}": f"{i}" for i in range(4)}
    keys = {"id": TEXT, "question": TEXT, "question_concept": TEXT, "answerKey": TEXT}
    keys["choices"] = {"label": List(TEXT), "text": List(TEXT)}
    return {
        ("Rowan/hellaswag", MAIN): {
            "default": (
                hellaswag | {"endings": List(TEXT)},
                {
                    "train": [{**row, "label": "3"}],
                    "validation": [{**row, "label": "0"}],
                    "test": [{**row, "label": ""}],
                },
            )
        },
        ("tau/commonsense_qa", MAIN): {
            "default": (
                keys,
                {
                    "train": [{**asked, "answerKey": "E"}],
                    "validation": [{**asked, "answerKey": "B"}],
                    "test": [{**asked, "answerKey": ""}],
                },
            )
        },
        **{
            (name, branch): {
                "default": (
                    SIQA,
                    {"train": [{**siqa, "label": "3"}], "validation": [{**siqa, "label": "1"}]},
                )
            }
            for name, branch in (("lighteval/siqa", MAIN), ("allenai/social_i_qa", CONVERTED))
        },
        ("allenai/cosmos_qa", CONVERTED): {
            "default": (
                COSMOS | {"label": NUMBER},
                {"train": [{**cosmos, "label": 3}], "validation": [{**cosmos, "label": 2}]},
            )
        },
        ("aps/super_glue", MAIN): {
            "copa": (
                COPA | {"idx": NUMBER, "label": ClassLabel(names=["choice1", "choice2"])},
                {"train": choose(3, 1), "validation": choose(2, 0), "test": choose(2, -1)},
            )
        },
        ("cambridgeltl/xcopa", MAIN): {
            "et": (
                COPA | {"label": NUMBER, "idx": NUMBER, "changed": Value("bool")},
                {"validation": choose(2, 1, changed=False), "test": choose(3, 1, changed=True)},
            )
        },
    }


def _tydiqa() -> Rows:
    english = [
        {**row, "title": f"T{i // 2}"}
        for i, row in enumerate(spans(*[f"english-{i}-0" for i in range(20)]))
    ]
    return [*english, *spans("finnish-1-0", "finnish-2-0")]


def _xtreme() -> Tables:
    tags = {"tokens": List(TEXT), "pos_tags": List(ClassLabel(names=UPOS))}
    entities = {"tokens": List(TEXT), "ner_tags": PANX, "langs": List(TEXT)}
    paws = {"sentence1": TEXT, "sentence2": TEXT, "label": TEXT}
    pair = {"sentence1": "a", "sentence2": "b", "label": "1"}
    found: Tables = {
        f"udpos.{name}": (tags, {split: sentences("pos_tags", 7, 15) for split in splits})
        for name, splits in {
            "English": ("train", "validation", "test"),
            "German": ("train", "validation", "test"),
            "Afrikans": ("train", "validation", "test"),
            "Thai": ("test",),
        }.items()
    }
    for language in ("en", "de"):
        rows = {
            split: sentences("ner_tags", 1, 5, langs=[language] * 2)
            for split in ("train", "validation", "test")
        }
        found[f"PAN-X.{language}"] = (entities, rows)
        found[f"XQuAD.{language}"] = (UNTITLED, {"validation": spans("x1", titled=False)})
        found[f"MLQA.{language}.{language}"] = (
            SQUAD,
            {"validation": spans("m1"), "test": spans("m2")},
        )
        found[f"PAWS-X.{language}"] = (
            paws,
            {split: [pair] for split in ("train", "validation", "test")},
        )
    english = {
        "source_sentence": "zwei",
        "target_sentence": "two",
        "source_lang": "deu",
        "target_lang": "eng",
    }
    other = {**english, "source_sentence": "eins", "target_sentence": "one"}
    found["tatoeba.deu"] = (PAIR_OF_LANGUAGES, {"validation": [english, other]})
    found["tydiqa"] = (SQUAD, {"train": _tydiqa(), "validation": _tydiqa()})
    found["SQuAD"] = (SQUAD, {"train": spans("s1"), "validation": spans("s2")})
    xnli = {"language": TEXT, "sentence1": TEXT, "sentence2": TEXT, "gold_label": TEXT}
    rows_of = [
        {"language": code, "sentence1": code, "sentence2": "b", "gold_label": "neutral"}
        for code in ("ar", "de", "en")
    ]
    found["XNLI"] = (xnli, {"validation": rows_of, "test": rows_of})
    return found


def repositories() -> dict[tuple[str, str], Tables]:
    """(id, branch): its tables. `x2`, an XQuAD context, is one of SQuAD's dev contexts too."""
    paws = {"id": NUMBER, "sentence1": TEXT, "sentence2": TEXT}
    paws["label"] = ClassLabel(names=["0", "1"])
    pair = {"id": 1, "sentence1": "a", "sentence2": "b", "label": 1}
    both = ("en", "de")
    xnli = {"train": nli(0, 1, 2), "validation": nli(1), "test": nli(2, 0)}
    words = {name: List(TEXT) for name in ("tokens", "lemmas", "head", "deprel")}
    words["upos"] = List(ClassLabel(names=UPOS))
    treebank = {"train": [], "dev": [], "test": []}
    for split in treebank:
        more = {"lemmas": ["l", "l"], "head": ["0", "1"], "deprel": ["root", "amod:x"]}
        treebank[split] = sentences("upos", 7, **more)
    wikiann = {"tokens": List(TEXT), "ner_tags": PANX, "langs": List(TEXT), "spans": List(TEXT)}
    entities = sentences("ner_tags", 1, 3, 6, langs=["en", "en"], spans=["PER: one"])
    return {
        ("nyu-mll/glue", MAIN): _glue(),
        ("stanfordnlp/snli", MAIN): {
            "plain_text": (
                NLI_COLUMNS,
                {"train": nli(0, -1, 2), "validation": nli(1, -1), "test": nli(1)},
            )
        },
        ("facebook/anli", MAIN): _anli(),
        ("rajpurkar/squad", MAIN): {
            "plain_text": (SQUAD, {"train": spans("s1", "s2"), "validation": spans("s3", "x2")})
        },
        ("rajpurkar/squad_v2", MAIN): {
            "squad_v2": (
                SQUAD,
                {
                    "train": spans("s1", "s2", no_answer=True),
                    "validation": spans("x2", "s3", "s4", no_answer=True),
                },
            )
        },
        **_choices(),
        ("facebook/xnli", MAIN): {code: (NLI_COLUMNS, xnli) for code in both},
        ("google-research-datasets/paws-x", MAIN): {
            code: (paws, {split: [pair] for split in ("train", "validation", "test")})
            for code in both
        },
        ("google/xquad", MAIN): {
            f"xquad.{code}": (UNTITLED, {"validation": spans("x1", "x2", titled=False)})
            for code in (*both, "ro")
        },
        ("facebook/mlqa", CONVERTED): {
            f"mlqa.{code}.{code}": (
                UNTITLED,
                {
                    "validation": spans("m1", titled=False),
                    "test": spans("m2", "m3", titled=False),
                },
            )
            for code in both
        },
        ("google-research-datasets/tydiqa", MAIN): {
            "secondary_task": (SQUAD, {"train": _tydiqa(), "validation": _tydiqa()})
        },
        ("unimelb-nlp/wikiann", MAIN): {
            code: (wikiann, {split: entities for split in ("train", "validation", "test")})
            for code in (*both, "pl")
        },
        ("google/xtreme", MAIN): _xtreme(),
        ("universal-dependencies/universal_dependencies", MAIN): {
            "en_ewt": (words, treebank),
            "en_pud": (words, {"test": treebank["test"]}),
            "de_gsd": (words, treebank),
            "wo_wtf": (words, treebank),
        },
        ("mteb/tatoeba-bitext-mining", CONVERTED): {
            code: (
                {"sentence1": TEXT, "sentence2": TEXT},
                {
                    "test": [
                        {"sentence1": "zwei", "sentence2": "two"},
                        {"sentence1": "eins", "sentence2": "one"},
                    ]
                },
            )
            for code in ("deu-eng", "lit-eng")
        },
    }


def commit_of(name: str, number: int = 0) -> str:
    """A revision of a small repository: 40 hex digits, as git's."""
    return hashlib.sha1(f"{name} {number}".encode()).hexdigest()


def write(
    mirror: Path,
    found: Mapping[tuple[str, str], Tables],
    number: int = 0,
    head: bool = True,
    pins: Mapping[str, str] = {},
) -> Path:
    """The repositories at their revision `number`; with `head`, it is what their branch is at.

    pins: commits of repositories that are to have another.
    """
    for (name, branch), tables in found.items():
        store = mirror / f"datasets--{name.replace('/', '--')}"
        commit = pins.get(name) or commit_of(name, number)
        if head:
            (store / "refs" / branch).parent.mkdir(parents=True, exist_ok=True)
            (store / "refs" / branch).write_text(commit)
        folder = store / "snapshots" / commit
        configs = []
        for config, (features, splits) in tables.items():
            places = []
            for split, rows in splits.items():
                path = _place(branch, config, split)
                write_table(folder / path, features, rows)
                pattern = path.replace("00000-of-00001.parquet", "*")
                places.append({"split": split, "path": pattern})
            configs.append({"config_name": config, "data_files": places})
        if branch == MAIN:
            head_of_card = json.dumps({"license": "other", "configs": configs}, indent=1)
            (folder / "README.md").write_text(f"---\n{head_of_card}\n---\n# {name}\n")
    return mirror


def write_table(path: Path, features: Mapping[str, Any], rows: Iterable[dict[str, Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Dataset.from_list(list(rows), Features(dict(features))).to_parquet(str(path))


def _place(branch: str, config: str, split: str) -> str:
    if branch == CONVERTED:
        return f"{config}/{split}/0000.parquet"
    folder = "data" if config == "default" else config
    return f"{folder}/{split}-00000-of-00001.parquet"
