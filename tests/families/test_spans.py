"""Windows, the question's cut, n-best, limits, no-answer thresholds; spans are exact substrings."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from tests.families.test_families import perfect
from tests.models import tiny_encoder, tiny_tokenizer
from tests.rows import record as tiny_record
from tests.rows import section
from xstilts.formats.features import Features, Ragged
from xstilts.formats.tables import Row, Table
from xstilts.params import TrainingSettings
from xstilts.phases.stage import build
from xstilts.sources.readers import READERS, RawFile
from xstilts.tasks.catalogue import record
from xstilts.tasks.families import span
from xstilts.tasks.families.protocol import TaskSettings
from xstilts.tasks.metrics.squad import squad2
from xstilts.training import encoder as encoders
from xstilts.training.context import Context
from xstilts.training.encoder import Tokenizer
from xstilts.training.evaluation import predictions
from xstilts.training.loop import Member, Plan, train
from xstilts.training.task import task

WIDE = TaskSettings(384, doc_stride=128, max_question=64, max_answer=256)
NARROW = TaskSettings(24, doc_stride=6, max_question=6, max_answer=5)
TINY = tiny_tokenizer()


def _row(context: str, answer: str, name: str = "0", question: str = "Who ?") -> Row:
    found = {"text": answer, "start": context.index(answer)}
    return {"id": name, "context": context, "question": question, "answers": [found]}


def _noise(features: Features, seed: int = 0) -> list[np.ndarray]:
    """The logits of a model that knows nothing."""
    generator = np.random.default_rng(seed)
    lengths = features.columns["input_ids"].lengths
    return [generator.normal(size=(length, 2)).astype(np.float32) for length in lengths]


def _lost(features: Features) -> int:
    return sum(features.counts.get(cause, 0) for cause in span.LOST[1:])


# Characters outside the basic plane, combining marks, no spaces

CHANGES: dict[str, Callable[[int, str], str]] = {
    "as it is": lambda place, letter: letter,
    "outside the basic plane": lambda place, letter: (
        letter + "\U0001f600\U00020000" if letter.isspace() else letter
    ),
    "combining marks": lambda place, letter: (
        letter + "\u0301\u0323" if letter.isalpha() and place % 7 == 0 else letter
    ),
    "no spaces": lambda place, letter: "" if letter.isspace() else letter,
}


def _changed(row: Row, change: Callable[[int, str], str]) -> Row:
    """The row with each character of its context changed, and the answer where it now stands."""
    pieces = [change(place, letter) for place, letter in enumerate(row["context"])]
    answer = row["answers"][0]
    start = len("".join(pieces[: answer["start"]]))
    text = "".join(pieces[answer["start"] : answer["start"] + len(answer["text"])]).strip()
    context = "".join(pieces)
    return {
        **row,
        "context": context,
        "answers": [{"text": text, "start": context.index(text, start)}],
    }


@pytest.mark.parametrize("change", CHANGES)
def test_spans_of_every_xquad_language_are_exact_substrings(
    change: str, shared: Path, tokenizer: Tokenizer
) -> None:
    total = back = 0
    for path in sorted((shared / "data/xquad").glob("xquad.*.json")):
        raw = RawFile(path, record("xquad"), "test", path.name.split(".")[1], rows=(0, 60))
        rows = [_changed(row, CHANGES[change]) for row in READERS["squad"](raw).rows]
        features = span.encode(rows, tokenizer, WIDE)
        for logits in (_noise(features), perfect("span", features)):
            found = span.decode(features, logits, rows, WIDE)
            assert all(
                one["text"] and one["text"] in r["context"]
                for one, r in zip(found, rows, strict=True)
            )
        golds = [row["answers"][0]["text"] for row in rows]
        right = sum(one["text"] == gold for one, gold in zip(found, golds, strict=True))
        assert right + _lost(features) == len(rows), path.name
        total, back = total + len(rows), back + right
    assert total == 600 and back > 0.9 * total


LETTERS = "ab zé中国สวั\u0301\u0e34\u200b\u200d\U0001f600\U00020000\u00a0\u3000ﬁ½(.)«\n"


@settings(deadline=None, max_examples=300, derandomize=True)
@example(context="a(\nb", place=(3, 1), question="a", seed=0)
@example(context="\u200b\u200bว", place=(1, 1), question="a", seed=0)  # lost, its twin is found
@given(
    context=st.text(LETTERS, min_size=1, max_size=80),
    place=st.tuples(st.integers(0, 79), st.integers(1, 20)),
    question=st.text(LETTERS, min_size=1, max_size=30),
    seed=st.integers(0, 9),
)
def test_any_answer_comes_back_or_is_counted(
    context: str, place: tuple[int, int], question: str, seed: int
) -> None:
    answer = context[place[0] : place[0] + place[1]]
    assume(answer.strip() and question.strip())
    row = {"id": "q", "context": context, "question": question}
    row |= {"answers": [{"text": answer, "start": place[0]}]}
    features = span.encode([row], TINY, NARROW)
    found = span.decode(features, perfect("span", features), [row], NARROW)[0]["text"]
    text, lost = answer.strip(), _lost(features)
    twice = any(context.startswith(text, i) for i in range(len(context)) if i != context.find(text))
    assert lost in ((0, 1) if found == text and twice else (int(found != text),))
    for logits in (_noise(features, seed), perfect("span", features)):
        one = span.decode(features, logits, [row], NARROW)[0]["text"]
        assert one in context and one == one.strip()


# Windows


LONG = " ".join(f"river {n} cat {n}" for n in range(20))


def _windows() -> tuple[Features, list[list[tuple[int, int]]]]:
    """A context of many windows, and the (start, end) of each one's context pieces."""
    features = span.encode([_row(LONG, "cat 19"), _row("The old dog .", "dog", "1")], TINY, NARROW)
    return features, [_context(features, window) for window in np.flatnonzero(features.rows == 0)]


def _context(features: Features, window: int) -> list[tuple[int, int]]:
    starts, ends = (features.columns[f"char_{side}"][window].tolist() for side in ("start", "end"))
    return [(s, e) for s, e in zip(starts, ends, strict=True) if s != span.NO_CONTEXT]


def test_windows_share_the_stride_and_cover_the_context() -> None:
    features, places = _windows()
    whole = _context(span.encode([_row(LONG, "cat 19")], TINY, WIDE), 0)
    assert [*places[0], *(piece for line in places[1:] for piece in line[6:])] == whole
    assert all(before[-6:] == after[:6] for before, after in pairwise(places))
    assert features.columns["input_ids"].lengths.max() == 24
    assert features.counts["windows"] == len(features.rows) == len(places) + 1 > 5


def test_each_piece_counts_in_the_one_window_with_most_context() -> None:
    """As run_squad's _check_is_max_context: the poorer side, then the longer window."""
    features, places = _windows()
    found: dict[int, list[tuple[float, int]]] = {}  # piece -> (context, whether it counts)
    start = 0
    for window, line in enumerate(places):
        context = features.columns["char_start"][window] != span.NO_CONTEXT
        counts = features.columns["best"][window]
        assert not counts[~context].any()
        for place, flag in enumerate(counts[context].tolist()):
            room = min(place, len(line) - place - 1) + 0.01 * len(line)
            found.setdefault(start + place, []).append((room, flag))
        start += len(line) - 6
    for windows in found.values():
        most = max(room for room, _ in windows)
        assert [flag for _, flag in windows].count(1) == 1
        assert next(flag for room, flag in windows if room == most) == 1


def test_a_start_counts_in_no_other_window() -> None:
    """High logits on one shared piece, in both of its windows in turn."""
    features, _ = _windows()
    shared = [
        (window, place)
        for window in (0, 1)
        for place in np.flatnonzero(features.columns["char_start"][window] != span.NO_CONTEXT)
        if features.columns["char_end"][window][place] == features.columns["char_end"][0][-2]
    ]
    rows = [_row(LONG, "cat 19"), _row("The old dog .", "dog", "1")]
    answers = {}
    for window, place in shared:
        logits = [np.zeros_like(one) for one in _noise(features)]
        logits[window][place] = 50.0, 50.0
        found = span.decode(features, logits, rows, WIDE)[0]
        counts = int(features.columns["best"][window][place])
        answers[counts] = (found["na"], found["text"])
    assert sorted(answers) == [0, 1]
    assert answers[1][0] == -100.0 and LONG.count(answers[1][1])
    assert answers[0][0] > -100.0  # as an end it counts in both


def test_questions_are_cut_to_their_limit_and_counted() -> None:
    rows = [
        _row("The dog saw a cat .", "cat", question="Who saw " * 9),
        _row("A cat .", "cat", "1"),
    ]
    features = span.encode(rows, TINY, NARROW)
    assert features.counts["questions cut"] == 1
    before = int((features.columns["char_start"][0] != span.NO_CONTEXT).argmax())
    assert before <= 6 + 3  # <s>, the question's pieces, </s></s>
    found = span.decode(features, perfect("span", features), rows, NARROW)
    assert [one["text"] for one in found] == ["cat", "cat"]


# Decoding


def _decoded(pieces: Sequence[str], change: dict[str, int], **scores: float) -> dict[str, Any]:
    """Of a context of these pieces. start_3=9.0: the start logit of the fourth; the rest are -5."""
    ends = np.cumsum([len(piece) for piece in pieces]).tolist()
    columns = {
        "char_start": [span.NO_CONTEXT, 0, *ends[:-1]],
        "char_end": [span.NO_CONTEXT, *ends],
        "best": [0, *(1 for _ in pieces)],
    }
    lists = {name: Ragged.of([values]) for name, values in columns.items()}
    logits = np.full((len(pieces) + 1, 2), -5.0, np.float32)
    for name, score in scores.items():
        side, place = name.split("_")
        at = span.NULL if place == "null" else int(place) + 1
        logits[at, ("start", "end").index(side)] = score
    chosen = TaskSettings(**{**vars(WIDE), **change})
    row = {"context": "".join(pieces) + " ) dog ]"}
    found: dict[str, Any] = span.decode(
        Features(lists, np.zeros(1, np.int32)), [logits], [row], chosen
    )[0]
    return found


def test_an_answer_ends_after_its_start_and_is_no_longer_than_its_limit() -> None:
    scores = {"start_2": 9.0, "end_6": 9.0, "end_3": 3.0, "end_1": 20.0}
    assert _decoded("abcdefgh", {}, **scores)["text"] == "cdefg"
    assert _decoded("abcdefgh", {"max_answer": 5}, **scores)["text"] == "cdefg"
    assert _decoded("abcdefgh", {"max_answer": 4}, **scores)["text"] == "ab"  # -5 + 20
    assert _decoded("abcdefgh", {"max_answer": 4}, **scores | {"end_1": 0.0})["text"] == "cd"


def test_only_the_n_best_starts_and_ends_are_paired() -> None:
    scores = {"start_2": 9.0, "end_1": 20.0, "end_6": 9.0}
    nothing = _decoded("abcdefgh", {"n_best": 1}, **scores)  # the end lies before the start
    assert nothing == {"text": "", "na": 1e4}
    assert _decoded("abcdefgh", {"n_best": 2}, **scores)["text"] == "cdefg"


def test_the_margin_is_the_null_score_minus_the_spans() -> None:
    scores = {"start_null": 2.0, "end_null": 1.5, "start_2": 4.0, "end_2": 3.0}
    assert _decoded("abcd", {}, **scores) == {"text": "c", "na": 3.5 - 7.0}


BRACKETED = {
    "1856": ("(1856",),
    "1856)": ("1856", ")"),
    "(a)": ("(a", ")"),
    "(": ("(",),
    "年": ("（年",),
    "b": ("([b",),
    "c": ("( c",),
}


@pytest.mark.parametrize("expected", BRACKETED)
def test_a_bracket_inside_the_first_piece_goes_if_nothing_closes_it(expected: str) -> None:
    pieces = BRACKETED[expected]
    scores = {"start_0": 9.0, f"end_{len(pieces) - 1}": 9.0}
    assert _decoded(pieces, {}, **scores)["text"] == expected


# SQuAD v2.0


def test_no_answer_thresholds_are_tuned_on_english_dev_and_kept(tmp_path: Path) -> None:
    """What the card's selection says of the kept checkpoint is what its predictions give."""
    own = tiny_record(
        "span", no_answer=True, convention="squad2", metrics=record("squad2").metrics,
        main=record("squad2").main,
    )  # fmt: skip
    one = task(own, section("span"))
    rows = [_row(f"The dog number {n} saw a cat .", f"number {n}", str(n)) for n in range(8)]
    rows = [row if n % 3 else {**row, "answers": []} for n, row in enumerate(rows)]
    ref = tiny_encoder("xlm-r", tmp_path / "model")
    tokenizer = encoders.load_tokenizer(ref)
    features = one.family.encode(rows, tokenizer, one.settings)
    tables = [Table("tiny", split, "en", rows) for split in ("train", "select")]
    index = np.arange(len(features))
    member = Member(one, (tables[0],), features, index, own.main, tables[1], features)
    settings = TrainingSettings(device="cpu", evaluations=3)
    model = build(encoders.load_encoder(ref), [one], ref, settings)
    context = Context(settings, tokenizer, tmp_path / "work", tmp_path / "work")
    _, selection = train(model, [member], Plan(5e-3, 12, 4, seed=1), context)
    assert selection is not None
    kept = {name.split(".")[1]: value for name, value in selection.values.items()}
    assert selection.score == pytest.approx((kept["best_exact"] + kept["best_f1"]) / 2)

    found = predictions(model, one, tables[1], features, context)
    texts = {row["id"]: given["text"] for row, given in zip(rows, found, strict=True)}
    margins = {row["id"]: given["na"] for row, given in zip(rows, found, strict=True)}
    gold = {row["id"]: [answer["text"] for answer in row["answers"]] for row in rows}
    for metric in ("exact", "f1"):
        threshold = kept[f"best_{metric}_thresh"]
        applied = squad2(texts, gold, margins, threshold)[metric]
        assert applied == pytest.approx(kept[f"best_{metric}"])
        others = [squad2(texts, gold, margins, margin)[metric] for margin in margins.values()]
        assert applied >= max(others) - 1e-9


def test_squad2_selects_at_its_best_threshold() -> None:
    assert record("squad2").main == ("best_exact", "best_f1")
    assert {"best_exact_thresh", "best_f1_thresh"} < set(record("squad2").metrics)
