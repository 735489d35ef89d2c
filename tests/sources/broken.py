"""Hand-made files for the readers: BROKEN, each with what its error says."""

from __future__ import annotations

import json

from tests.sources.ranked import BROKEN_RANKING
from tests.sources.right import (
    ANLI,
    AUTO,
    CHAOS,
    COPA,
    COSMOS,
    COSMOS_TEST,
    CSQA,
    CSQA_FLAT,
    DEEP,
    GLUE,
    HELLA,
    HELLA_TEXT,
    LONG,
    QQP,
    QUORA,
    SIQA,
    SNLI,
    SNLI_TXT,
    SQUAD,
    X_FINAL,
    XNLI,
    Content,
    answer,
    conllu,
    doc,
    lines,
    squad,
)

BROKEN: dict[str, dict[str, tuple[Content, str]]] = {  # reader: what is broken: content, message
    "bio": {
        "empty file": ("", ": the file is empty; expected rows"),
        "byte order mark": (b"\xef\xbb\xbfa\tO\n", ":1: a byte order mark"),
        "latin-1": (b"a\tO\n\xe4\tO\n", ":2: byte 0xe4 is not UTF-8"),
        "tag outside the set": ("a\tB-MISC\n", ":1: label 'B-MISC' is not one of B-LOC"),
        "tag lost": ("a\tO\nb\n", ":2: 1 columns; expected 2, as in the first line"),
        "three columns of tags": ("a\tNOUN\tx\n", ":1: 3 columns; expected a word"),
        "no word": ("\tO\n", ":1: word ''; expected a word"),
    },
    "text": {
        "blank file": ("\n\n", ": the file is empty; expected rows"),
        "cut in a character": (b"a\n\xe2\x82", ":2: byte 0xe2 is not UTF-8"),
    },
    "squad": {
        "mark in json": (b"\xef\xbb\xbf{}", ":1: a byte order mark"),
        "squad cut off": (SQUAD[:50], ":1: not JSON"),
        "squad title": (
            json.dumps({"data": [squad()["data"][0] | {"title": ["A"]}]}),
            "data[0].title: list; expected text, or none",
        ),
        "squad half a character": (
            SQUAD.replace('"data"', '\n"data"').replace("Who?", r"\uD83D?"),
            r":2: \uD83D is half a character; expected a surrogate pair",
        ),
        "squad number": (SQUAD.replace(": 4", f": {LONG}"), ":1: a number of over 4,300 digits"),
        "squad nested": (DEEP, ":1: nested too deeply; expected one JSON value"),
        "squad key twice": (
            '{"version": {"a": {}}, "data": [],\n "x": "}", "n": [{"b": 1}], "data": []}\n\n',
            ":2: key 'data' twice in one object; expected each once",
        ),
        "squad list": ("[]", ":1: a JSON list; expected an object with 'data'"),
        "squad without data": ('{"version": 1}', "data: missing; expected a list"),
        "squad no questions": (doc(data=[]), "no questions; expected data[]"),
        "squad paragraphs": (doc(paragraphs=1), "data[0].paragraphs: int; expected a list"),
        "squad question": (doc(qas=[3]), "data[0].paragraphs[0].qas[0]: int"),
        "squad context": (doc(context=""), "data[0].paragraphs[0].context: ''"),
        "squad no text": (doc(question=None), ".qas[0].question: None; expected text"),
        "squad start off": (
            doc(answers=answer("Ada", 5)),
            "data[0].paragraphs[0].qas[0].answers[0].answer_start: 5 gives 'da '; expected 'Ada'",
        ),
        "squad start negative": (doc(answers=answer("Ada", -9)), "answer_start: -9"),
        "squad start beyond": (doc(answers=answer("Ada", 99)), "99 gives ''"),
        "squad start text": (doc(answers=answer("Ada", "4")), "'4'; expected a number"),
        "squad answer text": (doc(answers=answer(None, 4)), "text: None; expected text"),
        "squad no answers": (doc(answers=[]), "answers: empty; expected an answer"),
        "squad impossible": (doc(is_impossible=True), "is_impossible, and 1 answers"),
        "squad flag": (doc(is_impossible="no"), "'no'; expected true or false"),
        "squad id twice": (
            doc(qas=squad()["data"][0]["paragraphs"][0]["qas"] * 2),
            "id 'q1' occurs twice, in rows 1 and 2; expected",
        ),
        "squad some blank": (
            json.dumps(
                squad(
                    qas=[
                        {"id": "a", "question": "?", "answers": answer("", 0)},
                        {"id": "b", "question": "?", "answers": answer("Ada", 4)},
                    ]
                )
            ),
            "qas[0].answers[0].answer_start: 0 gives ''; expected ''",
        ),
    },
    "xtreme-pairs": {
        "NUL": ("a\tb\nc\x00\td\n", ":2: a NUL byte"),
        "mixed line ends": ("a\tb\r\nc\td\n", ":2: some lines end in CR LF"),
        "first line's end": ("a\tb\r\nc\td\ne\tf\n", ":1: some lines end in CR LF"),
        "last line's end": ("a\tb\r\nc\td\r\ne\tf\n", ":3: some lines end in CR LF"),
        "one column": ("a\n", ":1: 1 columns; expected text, text"),
        "four columns": ("a\tb\tneutral\tx\n", ":1: 4 columns"),
        "column lost": ("a\tb\tneutral\nc\td\n", ":2: 2 columns; expected 3"),
        "label misspelt": (
            "a\tb\tneutral\nc\td\tentailmnt\n",
            ":2: label 'entailmnt' is not one of contradiction, entailment, neutral; "
            "nearest: entailment; correct it",
        ),
        "label of another task": ("a\tb\t2\n", "label '2' is not one of contradiction"),
        "open quote": ('a\t"b\nc\td\n', ":1: not a line of the csv dialect"),
        "text after a quote": ('"a"x\tb\n', ":1: not a line of the csv"),
    },
    "xnli": {
        "xnli without header": ("de\tneutral\ta\tb\t1\n", ":1: no column 'language'"),
        "xnli of others": (XNLI + "ar\tneutral\ta\tb\t1\n", "no rows with language de"),
        "xnli language": (
            XNLI + "de\tneutral\ta\tb\t1\nd\tneutral\ta\tb\t2\n",
            ":3: language 'd'; expected a code such as de",
        ),
        "xnli row cut off": (XNLI + "de\tneutral\ta\n", ":2: 3 columns; expected 5"),
        "xnli label": (XNLI + "de\t-\ta\tb\t1\n", ":2: label '-' is not one of"),
        "xnli id twice": (XNLI + "de\tneutral\ta\tb\t1\n" * 2, "id '1' occurs twice"),
    },
    "x-final": {
        "x-final header only": (X_FINAL, "a header and no rows; expected rows"),
        "x-final columns": (X_FINAL + "1\ta\tb\n", ":2: 3 columns; expected 4"),
        "x-final id twice": (X_FINAL + "1\ta\tb\t0\n" * 2, "id '1' occurs twice"),
    },
    "glue-mnli": {
        "glue columns": (GLUE + "0\tp\ta\tb\n", ":2: 4 columns; expected 5"),
        "glue label": (GLUE + "0\tp\ta\tb\te\n", ":2: label 'e' is not one of"),
    },
    "glue-qqp": {
        "qqp header": ("id\tq1\tq2\n1\ta\tb\n", ":1: columns id, q1, q2; expected GLUE's"),
        "qqp header only": (QQP, "no rows; expected some"),
        "qqp too many": (QQP + "1\t2\t3\ta\tb\t1\tx\n", ":2: 7 columns; expected 6"),
        "qqp label": (QQP + "1\t2\t3\ta\tb\tyes\n", ":2: label 'yes' is not one of 0, 1"),
    },
    "quora": {
        "quora comma": ("id,qid1,qid2\n1,2,3\n", ":1: columns id,qid1,qid2; expected id, qid1"),
        "quora columns": (QUORA + "1\t2\t3\ta\tb\n", ":2: 5 columns; expected 6"),
        "quora label": (QUORA + '1\t2\t3\t"a\nb"\tc\t1\n2\t3\t4\ta\tb\t2\n', ":4: label '2'"),
        "quora open quote": (QUORA + '1\t2\t3\t"a\tb\t1\n', ":2: not CSV"),
        "quora id twice": (QUORA + "1\t2\t3\ta\tb\t1\n" * 2, "id '1' occurs twice"),
        "quora header only": (QUORA, "a header and no rows; expected rows"),
    },
    "snli-txt": {
        "txt header": ("gold_label\tsentence1\n", ":1: no column 'sentence2'"),
        "txt without annotators": (
            "gold_label\tsentence1\tsentence2\tpairID\nneutral\ta\tb\tp\n",
            ":1: no column 'label1'",
        ),
        "txt cut off": (SNLI_TXT + "neutral\ta\tb\tp\n", ":2: 4 columns; expected 6"),
        "txt too many": (SNLI_TXT + "neutral\ta\tb\tp\tx\ty\tz\n", ":2: 7 columns; expected 6"),
        "txt pair behind the annotators": (
            "gold_label\tsentence1\tsentence2\tlabel1\tpairID\nneutral\ta\tb\tneutral\n",
            ":2: 4 columns; expected 5, as in the header",
        ),
        "txt column twice": (
            "gold_label\tsentence1\tsentence2\tpairID\tlabel1\tsentence2\nneutral\ta\tb\tp\tx\tc\n",
            ":1: column 'sentence2' twice; expected each once",
        ),
        "txt label": (SNLI_TXT + "e\ta\tb\tp\tx\n", ":2: label 'e' is not one of"),
        "txt id twice": (SNLI_TXT + "neutral\ta\tb\tp\tx\n" * 2, "id 'p' occurs twice"),
    },
    "three-columns": {
        "cad header": ("a\tb\tneutral\n", ":1: no column 'sentence1'"),
    },
    "multinli-en": {
        "multinli label": ("premise\thypo\tlabel\na\tb\tc\n", ":2: label 'c'"),
    },
    "snli": {
        "json cut off": (lines(SNLI) + '{"gold_label": "neu', ":2: not JSON"),
        "blank json line": (lines(SNLI) + "\n" + lines(SNLI), ":2: not JSON"),
        "snli label": (lines(SNLI | {"gold_label": "e"}), ":1: label 'e'"),
        "snli label number": (lines(SNLI | {"gold_label": 1}), ":1: label 1 is not"),
        "snli without text": (lines(SNLI | {"sentence2": ""}), "'sentence2' is ''; expected text"),
        "half a character": (
            lines(SNLI, SNLI | {"pairID": "\udc00"}),
            r":2: \udc00 is half a character; expected a surrogate pair; correct it",
        ),
        "number": (lines(SNLI)[:-2] + f', "n": {LONG}}}\n', ":1: a number of over 4,300 digits"),
        "nested": (lines(SNLI) + DEEP, ":2: nested too deeply; expected one object a line"),
        "snli language": (
            lines(SNLI, SNLI | {"language": ["de"]}),
            ":2: language ['de']; expected",
        ),
        "snli key twice": (
            lines(SNLI) + lines(SNLI).replace('"pairID"', '"sentence1"'),
            ":2: key 'sentence1' twice in one object",
        ),
        "snli id twice": (lines(SNLI, SNLI), "id 'p1' occurs twice"),
    },
    "anli": {
        "json list": ("[1]\n", ":1: list; expected one JSON object a line"),
        "anli label": (lines(ANLI | {"label": "x"}), "label 'x' is not one of c, e, n"),
        "anli some labels": (
            lines(ANLI, {k: v for k, v in ANLI.items() if k != "label"}),
            ":2: 'label' is missing; expected one, as in the other lines",
        ),
        "anli without premise": (lines(ANLI | {"context": None}), "'context' is None"),
    },
    "chaosnli": {
        "chaos without pair": (lines(CHAOS | {"example": 3}), "'example' is 3; expected premise"),
        "chaos label": (lines(CHAOS | {"majority_label": "z"}), "label 'z' is not one of"),
    },
    "hellaswag": {
        "three endings": (lines(HELLA | {"endings": ["a"] * 3}), "expected 4 texts"),
        "hellaswag label": (lines(HELLA | {"label": 4}), "label 4; expected a number from 0 to 3"),
        "label as text": (lines(HELLA | {"label": "1"}), "label '1'; expected a number"),
        "hellaswag number": (lines(HELLA | {"ind": "x"}), "'ind' or 'ctx_b' is missing"),
    },
    "hellaswag-text": {
        "five lines a task": ("C: A.\n1\na\nb\nc\n", ":1: 5 lines; expected 6 for each"),
        "text6 line lost": (
            HELLA_TEXT + HELLA_TEXT.replace("a\n", "") + HELLA_TEXT * 2,
            ":13: '1'; expected an activity",
        ),
        "text6 label": (HELLA_TEXT.replace("1", "x"), ":2: label 'x'"),
        "text6 number": (HELLA_TEXT.replace("1", LONG), ":2: label '1111"),
        "text6 head": (HELLA_TEXT.replace(":", ""), "expected an activity, a colon"),
        "text6 ending": (HELLA_TEXT.replace("c\n", "\n"), ":5: a blank ending"),
    },
    "commonsenseqa": {
        "csqa key": (lines(CSQA | {"answerKey": "F"}), "label 'F' is not one of A, B"),
        "csqa order": (
            lines(CSQA_FLAT | {"choices": {"label": list("BACDE"), "text": list("abcde")}}),
            "choices labelled ['B', 'A', 'C', 'D', 'E']; expected A, B, C, D, E",
        ),
        "csqa four": (
            lines(CSQA_FLAT | {"choices": {"label": list("ABCDE"), "text": list("abcd")}}),
            "expected 5 texts",
        ),
        "csqa choices gone": (lines(CSQA_FLAT | {"choices": 1}), "choices labelled None"),
    },
    "siqa": {
        "siqa letter": (lines(SIQA | {"correct": "D"}), "label 'D' is not one of A, B, C"),
        "siqa answer": (lines(SIQA | {"answerB": 7}), "'answerB' is 7; expected text"),
        "siqa labels short": (
            {"d.jsonl": lines(SIQA, SIQA), "d-labels.lst": "1\n"},
            "1 labels; expected 2",
        ),
        "siqa labels odd": (
            {"d.jsonl": lines(SIQA), "d-labels.lst": "0\n"},
            "d-labels.lst:1: label '0'",
        ),
    },
    "copa": {
        "copa question": (
            lines(COPA | {"question": "why"}),
            "question 'why'; expected cause or effect",
        ),
        "copa questions": (lines(COPA | {"question": ["cause"]}), "question ['cause']; expected"),
        "copa label": (lines(COPA | {"label": 2}), "label 2; expected a number from 0 to 1"),
        "copa true": (lines(COPA | {"label": True}), "label True; expected a number"),
        "copa number": (lines(COPA | {"idx": None}), "'idx' is None; expected the item's number"),
        "copa item twice": (lines(COPA, COPA), "id '0' occurs twice"),
    },
    "cosmosqa": {
        "cosmos header": ("id,context\n", ":1: columns id, context; expected id"),
        "cosmos columns": (COSMOS + "x,c,q,a,b,c\n", ":2: 6 columns; expected 8"),
        "cosmos label": (COSMOS + "x,c,q,a,b,c,d,-1\n", "label '-1'; expected a number"),
        "cosmos number": (COSMOS + f"x,c,q,a,b,c,d,{LONG}\n", ":2: label '1111"),
        "cosmos label high": (COSMOS + "x,c,q,a,b,c,d,4\n", ":2: label 4"),
        "cosmos open quote": (COSMOS + 'x,"c,q\n', ":2: not CSV"),
        "cosmos id twice": (COSMOS + "x,c,q,a,b,c,d,0\n" * 2, "id 'x' occurs twice"),
    },
    "cosmosqa-test": {
        "cosmos test answer": (lines(COSMOS_TEST | {"answer3": ""}), "'answer3' is ''"),
    },
    "rahimi": {
        "prefix lost": ("de:a\tO\nb\tO\n", ":2: word 'b'; expected de:"),
        "prefix of another": ("fr:a\tO\n", ":1: word 'fr:a'; expected de:"),
    },
    "ccg": {
        "ccg counts": ("I run\tNP\n", ":1: 2 words and 1 tags; expected as many"),
        "ccg without tags": ("I run\n", ":1: 1 columns; expected words TAB tags"),
    },
    "ccg-auto": {
        "auto odd": (AUTO.splitlines()[0] + "\n", ":1: an odd number of lines"),
        "auto without id": ("x\n" + AUTO.splitlines()[1] + "\n", ":1: 'x'; expected ID=wsj_0001.1"),
        "auto cut off": (AUTO[:-20] + "\n", ":2: "),
        "auto bracket lost": (AUTO[:-2] + "\n", ":2: a derivation that is cut off"),
        "auto bracket too many": (AUTO[:-1] + " )\n", ":2: a bracket too early at character 98"),
        "auto daughter": (AUTO.replace("0 1>", "0 2>"), ":2: a bracket too early at character 51"),
        "auto daughters": (AUTO.replace("0 2>", "0 1>"), ":2: a daughter too many at character 53"),
        "auto number": (AUTO.replace("0 2>", f"0 {LONG}>"), ":2: '(<T' at character 1"),
        "auto leaf": (AUTO.replace(" NNP Ada", " Ada"), ":2: '(<L' at character 29"),
        "auto words": ("ID=w.1\nAda smiles\n", ":2: 'Ada' at character 1; expected nested"),
        "auto id twice": (AUTO * 2, "id 'wsj_0001.1' occurs twice"),
    },
    "conllu-relations": {
        "relation": (conllu("1 a NOUN 0 amid"), ":2: label 'amid' is not one of"),
    },
    "conllu-chunks": {
        "chunks, head": (conllu("1 a NOUN 7 root"), ":2: head '7'; expected a word's number"),
        "chunks, loop": (conllu("1 a X 2 det", "2 b X 1 det"), ":2: head '2'; expected a word's"),
    },
    "conllu": {
        "conllu columns": ("1\ta\t_\tNOUN\n", ":1: 4 columns; expected CoNLL-U's 10"),
        "conllu tag": (conllu("1 a CONJ 0"), ":2: label 'CONJ' is not one of"),
        "conllu id": (conllu("x a NOUN 0"), ":2: id 'x'; expected 1, 1-2 or 1.1"),
        "conllu number": (conllu(f"{LONG} a NOUN 0"), ":2: id '1111"),
        "conllu head number": (
            conllu("1-2 ab _ _", f"1 a X {LONG}", "2 b X 1"),
            ":3: head '1111",
        ),
        "conllu range number": (conllu(f"1-{LONG} ab _ _", "1 a X 0"), ":2: id '1-1111"),
        "conllu no sentences": ("# text = x\n\n", "no rows; expected some"),
        "conllu cut at a line end": (
            conllu("1 a NOUN 0") + conllu("1 a NOUN 0", "2 b X 1")[:-1],
            ":6: no blank line after the last sentence; the file may be cut off",
        ),
        "conllu number lost": (
            conllu("1 a NOUN 0", "3 b NOUN 1"),
            "words are not numbered 1, 2, 3",
        ),
        "conllu range": (
            conllu("1-9 ab _ _", "1 a NOUN 0", "2 b X 1"),
            "id '1-9'; expected a range",
        ),
        "conllu head": (conllu("1-2 ab _ _", "1 a NOUN 7", "2 b X 1"), ":3: head '7'"),
        "conllu loop": (conllu("1-2 ab _ _", "1 a NOUN 2", "2 b X 1"), "expected a word's number"),
        "conllu form": ("1\t\t_\tNOUN\t_\t_\t0\t_\t_\t_\n\n", ":1: no form; expected a word"),
    },
    "tydiqa": {
        "tydiqa language": (doc(id="klingon-1-0"), "'klingon-1-0' has no known language"),
        "tydiqa ids": (doc(id="7"), "id without a language"),
        "tydiqa of others": (doc(id="arabic-1-0"), "no questions in en"),
        "tydiqa mixed": (
            {"tydiqa.goldp.en.train.json": json.dumps(squad(id="arabic-1-0"))},
            "id 'arabic-1-0' is not en; expected one language a file",
        ),
    },
    "laser": {
        "tatoeba alone": ({"t.deu-eng.deu": "x\n"}, "expected t.deu-eng.eng beside it"),
        "tatoeba lengths": (
            {"t.deu-eng.deu": "x\n", "t.deu-eng.eng": "a\nb\n"},
            "2 lines; expected 1",
        ),
        "tatoeba blank": (
            {"t.deu-eng.deu": "x\n\n", "t.deu-eng.eng": "a\nb\n"},
            "deu:2: a blank line",
        ),
    },
    "tatoeba-sorted": {
        "tatoeba not sorted": (
            {"de-en.de": "x\ny\n", "de-en.en": "b\na\n"},
            "de-en.en:2: not in sorted order",
        ),
        "sorted lengths": ({"de-en.de": "x\n", "de-en.en": "a\nb\n"}, "2 lines; expected 1"),
    },
    "bucc": {
        "bucc columns": (
            {"d.de": "de-1 x\n", "d.en": "en-1\ta\n"},
            "d.de:1: 1 columns; expected id",
        ),
        "bucc id twice": (
            {"d.de": "de-1\tx\nde-1\ty\n", "d.en": "en-1\ta\n"},
            "id 'de-1' occurs twice",
        ),
        "bucc alone": ({"d.de": "de-1\tx\n"}, "expected d.en beside it"),
        "bucc gold": (
            {"d.de": "de-1\tx\n", "d.en": "en-1\ta\n", "d.gold": "de-1\ten-2\n"},
            "d.gold:1: id 'en-2' is not in d.en",
        ),
        "bucc gold columns": (
            {"d.de": "de-1\tx\n", "d.en": "en-1\ta\n", "d.gold": "de-1\n"},
            "d.gold:1: 1 columns; expected de-id TAB en-id",
        ),
    },
    **BROKEN_RANKING,
}
