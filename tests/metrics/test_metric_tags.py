from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xstilts.tasks.metrics.tags import chunk_scores, chunks, token_accuracy

FILES = {"seqeval-1.2.2": "expected.json", "seqeval-0.0.12": "expected_seqeval_0.0.12.json"}
NAMES = (
    "BILOU IOB1 IOB2 IOBES IOE2 all_O_both all_O_gold all_O_pred broken broken_gold no_types odd "
    "suffix upos upos_conj upos_odd with_empty_sentences"
)
CASES = NAMES.split()
TAGS = st.sampled_from(["O", "B-PER", "I-PER", "B-LOC", "I-LOC", "E-LOC", "S-PER", "NOUN", "SYM"])
TAGGED = st.lists(st.lists(st.tuples(TAGS, TAGS), max_size=8), max_size=6)
CONVENTIONS = pytest.mark.parametrize("convention", list(FILES))


@CONVENTIONS
def test_every_case_is_listed(read, convention) -> None:
    assert set(read(f"tagging/{FILES[convention]}")) == set(CASES)


@CONVENTIONS
@pytest.mark.parametrize("case", CASES)
def test_chunk_scores_golden(read, case, convention) -> None:
    tags, expected = read(f"tagging/{case}.json"), read(f"tagging/{FILES[convention]}")[case]
    scores = chunk_scores(tags["pred"], tags["gold"], convention)
    assert scores == pytest.approx(expected["seqeval_default"], abs=1e-9)
    in_percent = {name: 100 * value for name, value in scores.items()}
    assert in_percent == pytest.approx(expected["xtreme"], abs=1e-9)


@pytest.mark.parametrize("case", CASES)
def test_token_accuracy_golden(read, case) -> None:
    tags, expected = read(f"tagging/{case}.json"), read("tagging/expected.json")[case]
    accuracy = token_accuracy(tags["pred"], tags["gold"])
    assert accuracy == pytest.approx(expected["token_accuracy"], abs=1e-9)


def test_conjunctions_confused_for_free_in_new_seqeval() -> None:
    gold, predicted = [["CCONJ", "NOUN", "SCONJ"]], [["SCONJ", "NOUN", "CCONJ"]]
    assert chunk_scores(predicted, gold, "seqeval-0.0.12")["f1"] == pytest.approx(1 / 3)
    assert chunk_scores(predicted, gold, "seqeval-1.2.2")["f1"] == 1


def test_tag_runs_make_f1_differ_from_accuracy() -> None:
    gold, predicted = [["NOUN", "NOUN", "VERB"]], [["NOUN", "VERB", "VERB"]]
    assert chunk_scores(predicted, gold)["f1"] == 0
    assert token_accuracy(predicted, gold) == pytest.approx(2 / 3)


@CONVENTIONS
def test_chunks_open_leniently_and_stay_in_sentence(convention) -> None:
    found = chunks([["I-PER", "I-LOC"], ["I-LOC"]], convention)
    assert found == {("PER", 0, 0), ("LOC", 1, 1), ("LOC", 3, 3)}


@pytest.mark.parametrize("predicted", [[], [["O"]], [["O", "O"], ["O"]]])
def test_cut_sentences_are_refused(predicted) -> None:
    gold = [["O", "O"]]
    with pytest.raises(ValueError):
        chunk_scores(predicted, gold)
    with pytest.raises(ValueError):
        token_accuracy(predicted, gold)


@CONVENTIONS
@given(sentences=TAGGED)
def test_chunk_f1_bounds_and_gold(convention, sentences) -> None:
    predicted, gold = ([[pair[side] for pair in s] for s in sentences] for side in (0, 1))
    scores = chunk_scores(predicted, gold, convention)
    assert all(0 <= value <= 1 for value in scores.values())
    assert chunk_scores(gold, gold, convention)["f1"] == bool(chunks(gold, convention))
    swapped = chunk_scores(gold, predicted, convention)
    assert swapped["f1"] == pytest.approx(scores["f1"])
    assert swapped["precision"] == scores["recall"]


@CONVENTIONS
@given(sentences=TAGGED, pick=st.randoms(use_true_random=False))
def test_sentence_order_is_irrelevant(convention, sentences, pick) -> None:
    order = list(range(len(sentences)))
    pick.shuffle(order)
    both = [[[pair[side] for pair in s] for s in sentences] for side in (0, 1)]
    moved = [[side[position] for position in order] for side in both]
    assert chunk_scores(*moved, convention) == pytest.approx(chunk_scores(*both, convention))


@pytest.mark.filterwarnings("ignore")
@settings(deadline=None)
@given(sentences=TAGGED)
def test_chunks_are_those_of_installed_seqeval(sentences) -> None:
    labeling = pytest.importorskip("seqeval.metrics.sequence_labeling")
    gold = [[pair[0] for pair in sentence] for sentence in sentences]
    assert chunks(gold, "seqeval-1.2.2") == set(labeling.get_entities(gold))
