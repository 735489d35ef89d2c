"""Rows for the readers of the Hub's tables: right ones, and BROKEN_TABLES with their errors."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.sources.hub_tables import choose, nli, spans
from xstilts.sources.readers.columns import TABLES, Columns
from xstilts.sources.reading import Reading
from xstilts.tasks.catalogue import record

Rows = list[dict[str, Any]]
PLACE = "owner/name@0123456789ab/config/validation"
_NLI = nli(0)[0] | {"label": "neutral"}
_PAIR = {"sentence1": "a", "sentence2": "b"}
_OF_LANGUAGE = _PAIR | {"language": "de", "gold_label": "neutral"}
_QQP = {"question1": "a", "question2": "b", "label": "duplicate", "idx": 0}
_SQUAD = spans("q")[0]
_TYDIQA = spans("english-1-0")[0]
_TOKENS = {"tokens": ["Ada", "came"]}
_TATOEBA = {
    "source_sentence": "eins",
    "target_sentence": "one",
    "source_lang": "deu",
    "target_lang": "eng",
}
_HELLASWAG = {"ind": 1, "ctx_a": "A man.", "ctx_b": "he", "endings": list("abcd"), "label": "3"}
_SIQA = {"context": "c", "question": "q", "answerA": "a", "answerB": "b", "answerC": "c"}
_CSQA = {"id": "q", "question": "?", "answerKey": "E"}
_COSMOS = {"id": "1", "context": "c", "question": "?"} | {f"answer{i}": "a" for i in range(4)}
_COPA = choose(1, 1)[0]

RIGHT_TABLES: dict[str, tuple[str, str, dict[str, Any]]] = {  # reader: task, language, a row
    "nli": ("xnli", "de", _NLI),
    "snli": ("mnli", "en", _NLI),
    "qqp": ("qqp", "en", _QQP),
    "paraphrases": ("pawsx", "de", _PAIR | {"id": 1, "label": "1"}),
    "nli-languages": ("xnli", "de", _OF_LANGUAGE),
    "squad": ("squad1", "en", _SQUAD),
    "tydiqa": ("tydiqa", "en", _TYDIQA),
    "entities": ("panx", "de", _TOKENS | {"ner_tags": ["B-PER", "O"]}),
    "pos": ("udpos", "de", _TOKENS | {"pos_tags": ["PROPN", "VERB"]}),
    "upos": ("udpos", "de", _TOKENS | {"upos": ["PROPN", "VERB"]}),
    "relations": ("ud_relations", "en", _TOKENS | {"deprel": ["nsubj:pass", "root"]}),
    "chunks": (
        "ud_chunks",
        "en",
        _TOKENS | {"upos": ["PROPN", "VERB"], "head": ["2", "0"], "deprel": ["nsubj", "root"]},
    ),
    "tatoeba": ("tatoeba", "de", _TATOEBA),
    "bitext": ("tatoeba", "de", _PAIR),
    "hellaswag": ("hellaswag", "en", _HELLASWAG),
    "siqa": ("siqa", "en", _SIQA | {"label": "3"}),
    "commonsenseqa": (
        "commonsenseqa",
        "en",
        _CSQA | {"choices": {"label": list("ABCDE"), "text": list("vwxyz")}},
    ),
    "cosmosqa": ("cosmosqa", "en", _COSMOS | {"label": 3}),
    "copa": ("xcopa", "et", _COPA),
}


def read_table(reader: str, rows: Rows) -> Reading:
    task, language, _ = RIGHT_TABLES[reader]
    return TABLES[reader](Columns(Path(PLACE), record(task), "dev", language, records=rows))


def _spoilt(reader: str, **change: Any) -> Rows:
    """Two rows, of which the second is another than the right one."""
    right = RIGHT_TABLES[reader][2]
    # Names that matter are unlike, unless the change is about them.
    first = {key: f"{key} 0" if key in ("id", "uid") else value for key, value in right.items()}
    first |= {"idx": 7} if "idx" in right else {}
    first |= {"ind": 7} if "ind" in right else {}
    first |= {"id": "english-0-0"} if reader == "tydiqa" else {}
    return [first, right | change]


def _twice(reader: str) -> Rows:
    return [RIGHT_TABLES[reader][2]] * 2


BROKEN_TABLES: dict[str, dict[str, tuple[Rows, str]]] = {  # reader: what is broken: rows, message
    "nli": {
        "label": (_spoilt("nli", label="maybe"), ":2: label 'maybe' is not one of contradiction"),
        "no label": (_spoilt("nli", label=None), ":2: label None is not one of"),
        "label without a name": (_spoilt("nli", label=7), ":2: label 7 is not one of"),
        "no text": (_spoilt("nli", hypothesis=None), ":2: 'premise' or 'hypothesis' is not a text"),
        "uid twice": ([_NLI | {"uid": "u"}] * 2, ": id 'u' occurs twice"),
    },
    "snli": {
        "label": (_spoilt("snli", label="-"), ":2: label '-' is not one of"),
        "label without a name": (_spoilt("snli", label=3), ":2: label 3 is not one of"),
    },
    "qqp": {
        "label": (_spoilt("qqp", label="same"), ":2: label 'same' is not one of 0, 1"),
        "label list": (_spoilt("qqp", label=["duplicate"]), ":2: label ['duplicate'] is not"),
        "id twice": (_twice("qqp"), "id '0' occurs twice"),
    },
    "paraphrases": {
        "label": (_spoilt("paraphrases", label="2"), ":2: label '2' is not one of 0, 1"),
        "id twice": (_twice("paraphrases"), "id '1' occurs twice"),
    },
    "nli-languages": {
        "other languages": ([_OF_LANGUAGE | {"language": "ar"}], "no rows with language de"),
        "label": (_spoilt("nli-languages", gold_label="-"), ":2: label '-' is not one of"),
        "no text": (_spoilt("nli-languages", sentence1=None), ":2: 'sentence1' or 'sentence2'"),
    },
    "squad": {
        "no answers": (_spoilt("squad", answers=None), ":2: answers None; expected as many"),
        "no texts": (
            _spoilt("squad", answers={"text": None, "answer_start": [4]}),
            ":2: answers {'text': None, 'answer_start': [4]}; expected as many starts as texts",
        ),
        "no starts": (_spoilt("squad", answers={"text": ["q"]}), ":2: answers {'text': ['q']}"),
        "starts unlike texts": (
            _spoilt("squad", answers={"text": ["q"], "answer_start": [4, 5]}),
            ":2: answers {'text': ['q'], 'answer_start': [4, 5]}; expected as many starts",
        ),
        "start off": (
            _spoilt("squad", answers={"text": ["q"], "answer_start": [5]}),
            "data[1].paragraphs[0].qas[0].answers[0].answer_start: 5 gives ''",
        ),
        "unanswered": (
            _spoilt("squad", answers={"text": [], "answer_start": []}),
            "data[1].paragraphs[0].qas[0].answers: empty; expected an answer",
        ),
        "title": (_spoilt("squad", title=3), "data[1].title: int; expected text, or none"),
        "context": (_spoilt("squad", context=None), "data[1].paragraphs[0].context: None"),
        "id twice": (_twice("squad"), "id 'q' occurs twice"),
    },
    "tydiqa": {
        "language": (_spoilt("tydiqa", id="klingon-1-0"), "'klingon-1-0' has no known language"),
        "other languages": ([_TYDIQA | {"id": "arabic-1-0"}], "no questions in en"),
        "no texts": (
            _spoilt("tydiqa", answers={"text": None, "answer_start": None}),
            ":2: answers {'text': None",
        ),
        "id twice": (_twice("tydiqa"), "id 'english-1-0' occurs twice"),
    },
    "entities": {
        "tags unlike words": (_spoilt("entities", ner_tags=["O"]), ":2: 2 words, 1 tags"),
        "tag": (_spoilt("entities", ner_tags=["O", "B-MISC"]), ":2: label 'B-MISC' is not one of"),
        "no tags": (_spoilt("entities", ner_tags=None), ":2: 2 words, 0 tags"),
        "no words": (_spoilt("entities", tokens=None), ":2: 0 words, 2 tags"),
        "words in one text": (_spoilt("entities", tokens="ab"), ":2: 'tokens' or 'ner_tags' is no"),
        "sentences without words": ([{"tokens": [], "ner_tags": []}], ": no rows; expected some"),
    },
    "pos": {
        "tags unlike words": (_spoilt("pos", pos_tags=["X"] * 3), ":2: 2 words, 3 tags"),
        "tag": (_spoilt("pos", pos_tags=["CONJ", "X"]), ":2: label 'CONJ' is not one of"),
        "empty word": (_spoilt("pos", tokens=["Ada", ""]), ":2: 2 words, 2 tags, or an empty word"),
        "word that is no text": (_spoilt("pos", tokens=["Ada", 7]), ":2: 2 words, 2 tags, or"),
    },
    "relations": {
        "tags unlike words": (_spoilt("relations", deprel=["root"]), ":2: 2 words, 1 tags"),
        "tag": (_spoilt("relations", deprel=["subject", "root"]), ":2: label 'subject' is not"),
    },
    "chunks": {
        "heads unlike words": (_spoilt("chunks", head=["0"]), ":2: 2 parts of speech, 1 heads"),
        "head": (_spoilt("chunks", head=["_", "0"]), ":2: head '_' of word 1; expected a word's"),
        "loop": (_spoilt("chunks", head=[2, 1]), ":2: head 2 of word 1; expected a word's number"),
    },
    "upos": {
        "tags unlike words": (_spoilt("upos", upos=["X"]), ":2: 2 words, 1 tags"),
        "tag": (_spoilt("upos", upos=["_", "X"]), ":2: label '_' is not one of"),
        "tag without a name": (_spoilt("upos", upos=[17, None]), ":2: label 17 is not one of"),
    },
    "tatoeba": {
        "no English": (_spoilt("tatoeba", target_lang="fra"), ":2: languages deu, fra; expected"),
        "one language": (_spoilt("tatoeba", source_lang="eng"), ":2: languages eng; expected"),
        "no language": (_spoilt("tatoeba", source_lang=None), ":2: 'source_lang' is None"),
        "no sentence": (_spoilt("tatoeba", target_sentence=" "), ":2: 'target_sentence' is ' '"),
    },
    "bitext": {
        "no sentence": (_spoilt("bitext", sentence1=""), ":2: 'sentence1' is ''; expected text"),
        "no English": (_spoilt("bitext", sentence2=None), ":2: 'sentence2' is None"),
    },
    "hellaswag": {
        "label": (_spoilt("hellaswag", label="4"), ":2: label '4' is not one of 0, 1, 2, 3"),
        "label number": (_spoilt("hellaswag", label=0), ":2: label 0 is not one of"),
        "some labels": (_spoilt("hellaswag", label=""), ":2: 'label' is missing; expected one"),
        "endings": (_spoilt("hellaswag", endings=["a", "b"]), ":2: 'endings' is ['a', 'b']"),
        "no endings": (_spoilt("hellaswag", endings=None), ":2: 'endings' is None; expected 4"),
        "number twice": (_twice("hellaswag"), "id '1' occurs twice"),
    },
    "siqa": {
        "label": (_spoilt("siqa", label="0"), ":2: label '0' is not one of 1, 2, 3"),
        "letter": (_spoilt("siqa", label="A"), ":2: label 'A' is not one of 1, 2, 3"),
        "some labels": (_spoilt("siqa", label=None), ":2: 'correct' is missing; expected one"),
        "answer": (_spoilt("siqa", answerC=""), ":2: 'answerC' is ''; expected text"),
    },
    "commonsenseqa": {
        "key": (_spoilt("commonsenseqa", answerKey="F"), ":2: label 'F' is not one of A, B"),
        "some keys": (_spoilt("commonsenseqa", answerKey=""), ":2: 'answerKey' is missing"),
        "choices": (
            _spoilt("commonsenseqa", choices={"label": list("ABCDE"), "text": None}),
            ":2: 'choices' is None; expected 5 texts",
        ),
        "no choices": (_spoilt("commonsenseqa", choices=None), ":2: choices labelled None"),
        "id twice": (_twice("commonsenseqa"), "id 'q' occurs twice"),
    },
    "cosmosqa": {
        "label": (_spoilt("cosmosqa", label=4), ":2: label 4; expected a number from 0 to 3"),
        "label hidden": (_spoilt("cosmosqa", label=-1), ":2: label -1; expected a number"),
        "no label": (_spoilt("cosmosqa", label=None), ":2: label None; expected a number"),
        "answer": (_spoilt("cosmosqa", answer2=None), ":2: 'answer2' is None; expected text"),
        "id twice": (_twice("cosmosqa"), "id '1' occurs twice"),
    },
    "copa": {
        "label": (_spoilt("copa", label=2), ":2: label 2; expected a number from 0 to 1"),
        "label name": (_spoilt("copa", label="choice3"), ":2: label 'choice3'; expected a number"),
        "label list": (_spoilt("copa", label=[1]), ":2: label [1]; expected a number"),
        "some labels": (_spoilt("copa", label=None), ":2: 'label' is missing; expected one"),
        "question": (_spoilt("copa", question={"a": 1}), ":2: question {'a': 1}; expected cause"),
        "item twice": (_twice("copa"), "id '0' occurs twice"),
    },
}
