"""Each reader on a few hand-made rows, and on broken ones: one line that says where and what."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.sources.broken import BROKEN
from tests.sources.ranked import (
    ARTICLE,
    ENTITIES,
    ENTITY,
    PAIR,
    PARAGRAPH,
    XQUAD_R,
    changed,
    line,
)
from tests.sources.right import (
    ANLI,
    AUTO,
    CAD,
    CHAOS,
    COPA,
    COSMOS,
    COSMOS_TEST,
    CSQA,
    CSQA_FLAT,
    FILES,
    GLUE,
    HELLA,
    HELLA_TEXT,
    QQP,
    QUORA,
    SIQA,
    SNLI,
    SNLI_TXT,
    SQUAD,
    TASKS,
    X_FINAL,
    XNLI,
    Content,
    answer,
    conllu,
    files_of,
    lines,
    read,
    read_right,
    squad,
)
from xstilts.errors import UserError
from xstilts.formats.tables import GOLD, POOL
from xstilts.sources.readers import READERS, RawFile
from xstilts.tasks.catalogue import record


class TestPairs:
    def test_csv_dialect_and_labels(self, tmp_path: Path) -> None:
        found = read(tmp_path, "xtreme-pairs", '"""A"" b"\tc\t1\r\nNS\td\t0\r\n', "pawsx")
        assert [row["text_a"] for row in found.rows] == ['"A" b', "NS"]
        assert [row["label"] for row in found.rows] == ["1", "0"]
        assert [row["id"] for row in found.rows] == ["test-de:1", "test-de:2"]
        assert found.counts == {"read": 2, "placeholder NS": 1}

    def test_stripped_labels_are_hidden(self, tmp_path: Path) -> None:
        found = read(tmp_path, "xtreme-pairs", "a\tb\nc\td\n", "xnli", split="test")
        assert [row["label"] for row in found.rows] == [None, None]

    def test_rows_are_cut_before_anything(self, tmp_path: Path) -> None:
        found = read(tmp_path, "xtreme-pairs", "a\tb\t0\nc\td\t1\ne\tf\t1\n", "pawsx", rows=(1, 2))
        assert [(row["text_a"], row["id"]) for row in found.rows] == [("c", "test-de:2")]

    def test_xnli_keeps_its_language(self, tmp_path: Path) -> None:
        text = XNLI + 'ar\tneutral\tx\ty\t1\nde\tentailment\t"q\tz\t1\n'
        found = read(tmp_path, "xnli", text, "xnli")
        assert [(row["text_a"], row["label"]) for row in found.rows] == [('"q', "entailment")]
        assert found.counts == {"read": 1}

    def test_no_majority_is_dropped_and_counted(self, tmp_path: Path) -> None:
        objects = lines(SNLI, SNLI | {"pairID": "p2", "gold_label": "-"})
        found = read(tmp_path, "snli", objects, "mnli", language="en")
        assert (len(found.rows), found.counts) == (1, {"read": 2, "dropped: no majority label": 1})
        tsv = GLUE + "0\tp1\ta\tb\t-\n1\tp2\ta\tb\tneutral\n"
        found = read(tmp_path, "glue-mnli", tsv, "mnli")
        assert found.counts == {"read": 2, "dropped: no majority label": 1}

    def test_broken_qqp_lines_are_dropped(self, tmp_path: Path) -> None:
        found = read(
            tmp_path, "glue-qqp", QQP + "1\t2\t3\ta\tb\t1\n4\t5\t6\tbroken\nhere\t0\n", "qqp"
        )
        assert (len(found.rows), found.counts["dropped: fewer than 6 columns"]) == (1, 2)
        text = "id\tquestion1\tquestion2\n1\ta\tb\n"
        hidden = read(tmp_path, "glue-qqp", text, "qqp", split="test")
        assert hidden.rows[0] == {"id": "1", "text_a": "a", "text_b": "b", "label": None}

    def test_quoras_own_file_has_line_breaks_in_quotes(self, tmp_path: Path) -> None:
        text = QUORA + '1\t2\t3\t"a\n""b"""\tc "d"\t1\n4\t5\t6\t\te\t0\n'
        found = read(tmp_path, "quora", text, "qqp")
        assert [row["text_a"] for row in found.rows] == ['a\n"b"', ""]
        assert [row["text_b"] for row in found.rows] == ['c "d"', "e"]
        assert [row["label"] for row in found.rows] == ["1", "0"]
        assert found.counts == {"read": 2, "empty texts": 1}

    def test_txt_rows_may_lack_the_later_annotators(self, tmp_path: Path) -> None:
        text = SNLI_TXT + 'neutral\t"a\tb\tp1\tneutral\n-\ta\tb\tp2\tneutral\tentailment\n'
        found = read(tmp_path, "snli-txt", text, "mnli", language="en")
        row = {"id": "p1", "text_a": '"a', "text_b": "b", "label": "neutral"}
        assert found.rows == [row]
        assert found.counts == {"read": 2, "dropped: no majority label": 1}

    def test_letters_and_names_of_labels(self, tmp_path: Path) -> None:
        found = read(tmp_path, "anli", lines(ANLI), "anli_plus")
        assert found.rows[0]["label"] == "entailment"
        assert read(tmp_path, "chaosnli", lines(CHAOS), "mnli").rows[0]["label"] == "neutral"
        text = "premise\thypo\tlabel\na\tb\tcontradictory\n"
        assert read(tmp_path, "multinli-en", text, "mnli").rows[0]["label"] == "contradiction"
        assert read(tmp_path, "x-final", X_FINAL + "7\ta\tb\t1\n", "pawsx").rows[0]["id"] == "7"
        assert read(tmp_path, "three-columns", CAD + "a\tb\tneutral\n", "mnli").rows


class TestChoices:
    def test_hellaswag_prompt_and_choices(self, tmp_path: Path) -> None:
        row = read(tmp_path, "hellaswag", lines(HELLA), "hellaswag").rows[0]
        assert (row["context"], row["choices"][0], row["label"]) == ("A man.", "he a", 2)
        row = read(tmp_path, "hellaswag", lines(HELLA | {"ctx_b": ""}), "hellaswag").rows[0]
        assert row["choices"] == list("abcd")  # WikiHow: no space before the ending
        row = read(tmp_path, "hellaswag-text", HELLA_TEXT, "hellaswag").rows[0]
        assert (row["context"], row["choices"], row["label"]) == ("A cook.", list("abcd"), 1)

    def test_commonsenseqa_in_both_layouts(self, tmp_path: Path) -> None:
        nested = read(tmp_path, "commonsenseqa", lines(CSQA), "commonsenseqa").rows
        flat = read(tmp_path, "commonsenseqa", lines(CSQA_FLAT), "commonsenseqa").rows
        assert nested == flat and nested[0]["label"] == 1

    def test_cosmosqa_line_breaks_in_quotes(self, tmp_path: Path) -> None:
        text = COSMOS + 'x,"two\nlines",q,a,b,c,d,3\ny,c,q,a,b,c,d,0\n'
        found = read(tmp_path, "cosmosqa", text, "cosmosqa")
        assert [row["label"] for row in found.rows] == [3, 0]
        assert found.rows[0]["context"] == "two\nlines"
        hidden = read(tmp_path, "cosmosqa-test", lines(COSMOS_TEST), "cosmosqa")
        assert hidden.rows[0]["label"] is None

    def test_siqa_labels_in_a_file_beside(self, tmp_path: Path) -> None:
        assert read(tmp_path, "siqa", lines(SIQA), "siqa").rows[0]["label"] == 2
        bare = {key: value for key, value in SIQA.items() if key != "correct"}
        files: Content = {"dev.jsonl": lines(bare, bare), "dev-labels.lst": "3\n1\n"}
        found = read(tmp_path, "siqa", files, "siqa")
        assert [row["label"] for row in found.rows] == [2, 0]

    def test_a_label_in_a_file_beside_has_its_own_line(self, tmp_path: Path) -> None:
        bare = {key: value for key, value in SIQA.items() if key != "correct"}
        files: Content = {"d.jsonl": lines(bare, bare, bare), "d-labels.lst": "1\n2\n9\n"}
        with pytest.raises(UserError, match=r"d-labels\.lst:3: label '9'"):
            read(tmp_path, "siqa", files, "siqa", rows=(1, 3))

    def test_copa_test_of_zeros_is_stripped(self, tmp_path: Path) -> None:
        zeros = lines(COPA | {"label": 0}, COPA | {"label": 0, "idx": 1})
        labels = [
            [row["label"] for row in read(tmp_path, "copa", zeros, "xcopa", split=split).rows]
            for split in ("dev", "test")
        ]
        assert labels == [[0, 0], [None, None]]


class TestTags:
    def test_words_and_tags(self, tmp_path: Path) -> None:
        text = "a b\tB-PER\n\u2028x\tI-PER\n\n\nc\tO\n"
        found = read(tmp_path, "bio", text, "panx")
        assert [row["tokens"] for row in found.rows] == [["a b", "\u2028x"], ["c"]]
        assert found.counts == {"read": 2, "empty sentences": 1}
        early = read(tmp_path, "bio", "\na\tO\n", "panx")
        assert [row["tokens"] for row in early.rows] == [["a"]]
        hidden = read(tmp_path, "bio", "a\nb\n\nc\n", "panx", split="test")
        assert [row["tags"] for row in hidden.rows] == [None, None]

    def test_rahimi_prefix_up_to_the_first_colon(self, tmp_path: Path) -> None:
        found = read(tmp_path, "rahimi", "de:a:b\tO\nde::\tO\n", "panx", name="dev")
        assert found.rows[0]["tokens"] == ["a:b", ":"]

    def test_ccg(self, tmp_path: Path) -> None:
        found = read(tmp_path, "ccg", "I run\tNP S\\NP\n", "ccg", name="ccg.dev")
        assert found.rows[0]["tags"] == ["NP", "S\\NP"]

    def test_ccgbank_leaves(self, tmp_path: Path) -> None:
        deep = (
            "ID=wsj_0002.3 PARSER=GOLD NUMPARSE=1\n"
            "(<T NP 0 2> (<L NP[nb]/N DT DT the NP[nb]_3/N_3>) "
            "(<T N 1 2> (<L N/N JJ JJ >) N_8/N_8>) "
            "(<T N 0 2> (<L N NN NN cat N>) (<L . . . . .>) ) ) )\n"
        )
        found = read(tmp_path, "ccg-auto", AUTO + deep, "ccg", name="wsj_0001.auto")
        assert [row["id"] for row in found.rows] == ["wsj_0001.1", "wsj_0002.3"]
        assert [row["tokens"] for row in found.rows] == [
            ["Ada", "smiles"],
            ["the", ">)", "cat", "."],
        ]
        assert found.rows[0]["tags"] == ["N", "S[dcl]\\NP"]
        assert found.rows[1]["tags"] == ["NP[nb]/N", "N/N", "N", "."]

    def test_fused_word_takes_the_tag_nearest_the_root(self, tmp_path: Path) -> None:
        text = conllu("1-2 zum _ _", "1 zu ADP 3", "2 dem DET 1", "3 Haus NOUN 0")
        found = read(tmp_path, "conllu", text, "udpos", name="de_x-ud-dev.conllu")
        assert found.rows[0]["tokens"] == ["zum", "Haus"]
        assert found.rows[0]["tags"] == ["ADP", "NOUN"]
        assert found.counts == {"read": 1, "fused words": 1}

    def test_fused_words_of_equal_depth_go_by_precedence(self, tmp_path: Path) -> None:
        text = conllu("1-2 zum _ _", "1 zu ADP 3", "2 dem DET 3", "3 Haus NOUN 0")
        tags = [
            read(tmp_path, "conllu", text.replace("DET", tag), "udpos").rows[0]["tags"][0]
            for tag in ("DET", "PRON", "VERB")
        ]
        assert tags == ["ADP", "PRON", "VERB"]

    def test_relations_are_without_subtypes(self, tmp_path: Path) -> None:
        text = conllu("1-2 zum _ _", "1 zu ADP 3 case", "2 dem DET 3 det", "3 Haus NOUN 0 root:x")
        found = read(tmp_path, "conllu-relations", text, "ud_relations")
        assert found.rows[0]["tags"] == ["case", "root"]  # of the two, that of the adposition

    @pytest.mark.parametrize(
        ("sentence", "chunks"),
        [
            (
                "She/PRON/4/nsubj will/AUX/4/aux not/PART/4/advmod give/VERB/0/root"
                " up/ADP/4/compound:prt her/PRON/7/nmod:poss job/NOUN/4/obj",
                "B-NP B-VP I-VP I-VP I-VP B-NP I-NP",
            ),
            (
                "That/SCONJ/7/mark John/PROPN/4/nmod:poss 's/PART/2/case dog/NOUN/7/nsubj"
                " is/AUX/7/cop very/ADV/7/advmod old/ADJ/0/root",
                "B-SBAR B-NP I-NP I-NP B-VP B-ADJP I-ADJP",
            ),
            (
                "It/PRON/5/nsubj will/AUX/5/aux not/PART/5/advmod be/AUX/5/cop new/ADJ/0/root"
                " in/ADP/9/case the/DET/9/det big/ADJ/9/amod city/NOUN/5/obl ,/PUNCT/5/punct"
                " said/VERB/5/parataxis he/PRON/11/nsubj softly/ADV/11/advmod",
                "B-NP B-VP I-VP I-VP B-ADJP B-PP B-NP I-NP I-NP O B-VP B-NP B-ADVP",
            ),
            (  # a chunk ends where another word stands between
                "big/ADJ/4/amod ,/PUNCT/4/punct bad/ADJ/4/amod wolf/NOUN/0/root",
                "B-NP O B-NP I-NP",
            ),
        ],
    )
    def test_chunks_are_base_phrases(self, sentence: str, chunks: str, tmp_path: Path) -> None:
        words = [word.replace("/", " ") for word in sentence.split(" ")]
        text = conllu(*(f"{number} {word}" for number, word in enumerate(words, 1)))
        assert read(tmp_path, "conllu-chunks", text, "ud_chunks").rows[0]["tags"] == chunks.split()

    def test_withheld_text_is_dropped(self, tmp_path: Path) -> None:
        withheld = conllu("1 _ NOUN 0", "2 . PUNCT 1")
        kept = conllu("1 _ NOUN 0", "2 a VERB 1", "3 b VERB 1", "3.1 c VERB 1")
        found = read(tmp_path, "conllu", withheld + kept, "udpos")
        assert [row["tokens"] for row in found.rows] == [["_", "a", "b"]]
        assert found.counts == {"read": 2, "dropped: text withheld": 1}

    def test_zero_width_non_joiner_and_spaces_go(self, tmp_path: Path) -> None:
        text = conllu("1 a\u200cb NOUN 0").replace("a\u200cb", "a\u200cb c")
        assert read(tmp_path, "conllu", text, "udpos").rows[0]["tokens"] == ["abc"]


@pytest.mark.parametrize(
    ("reader", "content", "task", "part"),
    [
        ("snli", lines(SNLI | {"genre": "travel"}), "mnli", "travel"),
        ("snli", lines(SNLI), "mnli", None),
        ("hellaswag", lines(HELLA | {"source_id": "wikihow~1"}), "hellaswag", "wikihow"),
        ("glue-mnli", GLUE.replace("index", "genre") + "x\tp\ta\tb\tneutral\n", "mnli", "x"),
    ],
)
def test_rows_say_of_which_part_they_are(
    reader: str, content: str, task: str, part: str | None, tmp_path: Path
) -> None:
    assert read(tmp_path, reader, content, task).rows[0].get("domain") == part


class TestSpans:
    def test_answers_and_groups(self, tmp_path: Path) -> None:
        row = read(tmp_path, "squad", SQUAD, "squad1").rows[0]
        assert row["answers"] == [{"text": "Ada", "start": 4}]
        assert (row["group"], row["answerable"]) == ("A", True)

    def test_blank_answers_are_hidden(self, tmp_path: Path) -> None:
        text = json.dumps(squad(answers=answer("", 0)))
        row = read(tmp_path, "squad", text, "xquad", split="test").rows[0]
        assert (row["answers"], row["answerable"]) == (None, None)

    def test_no_answer(self, tmp_path: Path) -> None:
        text = json.dumps(squad(answers=[], is_impossible=True))
        row = read(tmp_path, "squad", text, "squad2").rows[0]
        assert (row["answers"], row["answerable"]) == ([], False)

    @pytest.mark.parametrize(
        ("text", "start"), [(" Ada", 4), ("Ada ", 3), ("Ada", 3), ("\nAda", 3)]
    )
    def test_stray_white_space_is_passed(self, tmp_path: Path, text: str, start: int) -> None:
        document = json.dumps(squad(answers=answer(text, start)))
        found = read(tmp_path, "squad", document, "squad1")
        assert found.rows[0]["answers"] == [{"text": "Ada", "start": 4}]
        assert found.counts["relocated within white space"] == 1

    def test_starts_count_code_points(self, tmp_path: Path) -> None:
        text = json.dumps(squad(context="\U0001f600 Ada", answers=answer("Ada", 2)))
        assert read(tmp_path, "squad", text, "squad1").rows[0]["answers"][0]["start"] == 2

    def test_tydiqa_keeps_one_language_of_all(self, tmp_path: Path) -> None:
        qas = [
            squad(id=name)["data"][0]["paragraphs"][0]["qas"][0]
            for name in ("english-1-0", "arabic-2-0")
        ]
        text = json.dumps(squad(qas=qas))
        found = read(tmp_path, "tydiqa", text, "tydiqa", name="train.json", language="en")
        assert ([row["id"] for row in found.rows], found.counts) == (["english-1-0"], {"read": 1})

    def test_tydiqa_ids_without_language_are_numbered(self, tmp_path: Path) -> None:
        qas = [squad(id="12")["data"][0]["paragraphs"][0]["qas"][0]] * 2
        name = "tydiqa.goldp.en.train.json"
        text = json.dumps(squad(qas=qas))
        found = read(tmp_path, "tydiqa", text, "tydiqa", name=name, language="en")
        assert [row["id"][-2:] for row in found.rows] == [":1", ":2"]
        assert found.counts["renumbered ids"] == 2


class TestLines:
    def test_text_without_blank_lines(self, tmp_path: Path) -> None:
        found = read(tmp_path, "text", "a\n\n b \n", "text")
        assert [row["text"] for row in found.rows] == ["a", "b"]
        assert found.counts == {"read": 3, "dropped: blank line": 1}

    def test_tatoeba_gold_is_the_sort_permutation(self, tmp_path: Path) -> None:
        files: Content = {"t.deu-eng.deu": "x\ny\nz\n", "t.deu-eng.eng": "b\n a\nb\n"}
        found = read(tmp_path, "laser", files, "tatoeba", split="test")
        english = {row["id"]: row["text"] for row in found.rows if row["side"] == "english"}
        gold = {row["text"]: row["gold"] for row in found.rows if row["side"] == "foreign"}
        assert english == {"en-0": "a", "en-1": "b", "en-2": "b"}
        assert gold == {"x": ["en-1"], "y": ["en-0"], "z": ["en-2"]}
        assert found.counts == {"read": 3, "equal English lines": 1}

    def test_sorted_tatoeba_is_hidden(self, tmp_path: Path) -> None:
        files: Content = {"de-en.de": "x\ny\n", "de-en.en": "a\nb\n"}
        found = read(tmp_path, "tatoeba-sorted", files, "tatoeba", split="test")
        assert [row["gold"] for row in found.rows] == [None] * 4

    def test_bucc_with_and_without_gold(self, tmp_path: Path) -> None:
        files: dict[str, str | bytes] = {
            "de-en.dev.de": "de-1\tx\nde-2\ty\n",
            "de-en.dev.en": "en-1\ta\n",
        }
        hidden = read(tmp_path, "bucc", files, "bucc2018", split="test")
        assert all(row["gold"] is None for row in hidden.rows)
        gold = "de-1\ten-1\nde-1\ten-1\n"
        found = read(tmp_path, "bucc", files | {"de-en.dev.gold": gold}, "bucc2018")
        assert [row["gold"] for row in found.rows] == [["en-1"], [], None]
        assert found.counts["repeated gold pairs"] == 1


class TestRanking:
    def test_a_questions_sentences_in_a_paragraph(self, tmp_path: Path) -> None:
        """The first and third are equal, so both are right; c's answer stands in none."""
        found = read(tmp_path, "xquad-r", line(XQUAD_R), "lareqa", split="test")
        queries = {row["id"]: row["gold"] for row in found.rows if row["query"]}
        names = {row["id"]: row["gold"] for row in found.rows if row["candidate"]}
        assert queries == {"a_de": ["a"], "b_de": ["b"]}
        assert names == {"de_2_0": ["a"], "de_2_1": ["b"], "de_2_2": ["a"]}
        assert found.counts == {"read": 3, "dropped: answer in no sentence": 1}
        assert {row["context"] for row in found.rows} == {None, PARAGRAPH["context"]}

    def test_mentions_of_one_language_in_their_sentence(self, tmp_path: Path) -> None:
        other = changed(changed(ARTICLE, "context.language", "fr"), "mentions.0.example_id", "m2")
        found = read(tmp_path, "mewslix", line(other) + line(ARTICLE), "mewslix")
        (row,) = found.rows
        assert (row["id"], row["gold"], row["candidate"]) == ("m1", ["Q1"], None)
        assert row["query"] == "She: { She } (really) spoke."

    def test_a_blanked_mention_is_hidden_in_test_alone(self, tmp_path: Path) -> None:
        """XTREME's script blanks all of a test shard; some without an entity are a mistake."""
        blank = changed(ARTICLE, "mentions.0.entity_id", "")
        (row,) = read(tmp_path, "mewslix", line(blank), "mewslix", split="test").rows
        assert row["gold"] is None and row["query"]
        other = changed(ARTICLE, "mentions.0.example_id", "m2")
        with pytest.raises(UserError, match=r":2: 'entity_id' is ''; expected text, or none"):
            read(tmp_path, "mewslix", line(other) + line(blank), "mewslix", split="test")

    def test_entities_stand_in_a_file_beside(self, tmp_path: Path) -> None:
        files: Content = {"m.jsonl": line(ARTICLE), ENTITIES: line(ENTITY)}
        (row,) = read(tmp_path, "mewslix", files, "mewslix", language=POOL).rows
        assert (row["id"], row["gold"], row["query"]) == ("Q1", ["Q1"], None)
        assert row["candidate"] == "Ada is one. She codes."

    def test_pairs_have_both(self, tmp_path: Path) -> None:
        (row,) = read(tmp_path, "mewslix-pairs", line(PAIR), "mewslix", language="en").rows
        assert (row["query"], row["candidate"]) == (
            "She: { She } (really) spoke.",
            "Ada is one. She codes.",
        )


@pytest.mark.parametrize(("reader", "name"), FILES)
def test_a_file_of_lines_without_the_last_end_is_counted(
    reader: str, name: str, tmp_path: Path
) -> None:
    """It may be cut off in its last row. JSON of one value says itself where it ends."""
    right = files_of(reader)
    cut = right | {name: right[name].removesuffix(b"\n")}
    if reader.startswith("conllu"):
        with pytest.raises(UserError, match=r":\d: no blank line after the last sentence"):
            read_right(tmp_path, reader, cut)
        return
    before, after = (read_right(tmp_path, reader, files) for files in (right, cut))
    whole = reader in ("squad", "tydiqa", "xquad-r")
    assert after.rows == before.rows
    assert after.counts == before.counts | ({} if whole else {"no final newline": 1})


# Outside test a file without labels is a mistake: stripped, or its columns are lost.
STRIPPED: dict[str, Content] = {
    "bio": "1. B-ORG\nAda O\n",
    "xtreme-pairs": "a\tb\nc\td\n",
    "glue-mnli": "index\tpairID\tsentence1\tsentence2\n0\tp\ta\tb\n",
    "glue-qqp": "id\tquestion1\tquestion2\n1\ta\tb\n",
    "anli": lines({key: value for key, value in ANLI.items() if key != "label"}),
    "hellaswag": lines({key: value for key, value in HELLA.items() if key != "label"}),
    "siqa": lines({key: value for key, value in SIQA.items() if key != "correct"}),
    "copa": lines(COPA | {"label": None}),
    "squad": json.dumps(squad(answers=answer("", 0))),
    "cosmosqa-test": lines(COSMOS_TEST),
    "tatoeba-sorted": {"de-en.de": "x\n", "de-en.en": "a\n"},
    "bucc": {"d.de": "de-1\tx\n", "d.en": "en-1\ta\n"},
}


@pytest.mark.parametrize("reader", STRIPPED)
def test_labels_are_hidden_in_test_alone(reader: str, tmp_path: Path) -> None:
    task = record(TASKS[reader])
    rows = read(tmp_path, reader, STRIPPED[reader], task.name, split="test").rows
    assert rows and all(row[GOLD[task.family]] is None for row in rows)
    with pytest.raises(
        UserError, match=r"none of its \d rows has a label.* in dev; fetch"
    ) as caught:
        read(tmp_path, reader, STRIPPED[reader], task.name, split="dev")
    assert str(caught.value).startswith(str(tmp_path))


CASES = [(reader, case) for reader, cases in BROKEN.items() for case in cases]


@pytest.mark.parametrize(("reader", "case"), CASES)
def test_broken_file_is_one_line(reader: str, case: str, tmp_path: Path) -> None:
    content, message = BROKEN[reader][case]
    language = "en" if reader == "tydiqa" else "de"
    with pytest.raises(UserError) as caught:
        read(tmp_path, reader, content, TASKS[reader], language=language)
    text = str(caught.value)
    assert message in text
    assert "\n" not in text and text.startswith(str(tmp_path))


def test_every_reader_has_broken_files() -> None:
    assert len(CASES) >= 60
    assert set(BROKEN) == set(READERS)


def test_missing_file_and_rows_beyond_the_end(tmp_path: Path) -> None:
    raw = RawFile(tmp_path / "no.tsv", record("xnli"), "dev", "de")
    with pytest.raises(UserError, match=r"no\.tsv: no such file"):
        READERS["xtreme-pairs"](raw)
    with pytest.raises(UserError, match=r"rows \[0, 9\); expected 0 <= start < stop <= 1"):
        read(tmp_path, "xtreme-pairs", "a\tb\n", "xnli", rows=(0, 9))


_GARBAGE: list[Callable[[bytes], bytes]] = [
    lambda data: data[: len(data) // 2],
    lambda data: data.replace(b'"', b""),
    lambda data: data[::-1],
    lambda data: b"\xff" + data,
]


@pytest.mark.parametrize("spoil", range(len(_GARBAGE)))
def test_spoilt_files_never_give_a_traceback(spoil: int, tmp_path: Path) -> None:
    for reader, case in CASES:
        content = BROKEN[reader][case][0]
        files = content if isinstance(content, dict) else {"test-de.tsv": content}
        spoilt: dict[str, str | bytes] = {
            name: _GARBAGE[spoil](data.encode() if isinstance(data, str) else data)
            for name, data in files.items()
        }
        try:
            read(tmp_path, reader, spoilt, TASKS[reader])
        except UserError as error:
            assert "\n" not in str(error)
