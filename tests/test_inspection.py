"""What is shown of a task is what the family's own encoding made of it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.cells import cell_len, set_cell_size
from tokenizers import Tokenizer as Backend
from tokenizers import decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast
from typer.testing import CliRunner

from tests.models import tiny_tokenizer
from tests.rows import record, rows, section
from tests.small_world import LANGUAGES, ROWS, settings
from xstilts.cli.main import app
from xstilts.errors import UserError
from xstilts.formats.tables import folder_digest, read_table
from xstilts.looking import inspection
from xstilts.looking.examples import AROUND, FIRST, LAST, WINDOWS, Example, Printer
from xstilts.looking.families import HIDDEN, Seen
from xstilts.looking.inspection import InspectOptions, inspect
from xstilts.params import Params
from xstilts.tasks.families import FAMILIES
from xstilts.training.encoder import Tokenizer, special_tokens
from xstilts.training.task import task


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return tiny_tokenizer()


@pytest.fixture(autouse=True)
def _inside(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if "small_world" in request.fixturenames:
        monkeypatch.chdir(request.getfixturevalue("small_world"))


def seen(family: Any, tokenizer: Tokenizer, found: list[dict[str, Any]] | None = None) -> Seen:
    one = task(record(family), section(family))
    found = rows(family) if found is None else found
    features = one.family.encode(found, tokenizer, one.settings)
    return Seen("test-en", "en", one, found, found, features)


def shown(table: Seen, tokenizer: Tokenizer, row: int, **how: Any) -> list[str]:
    reader = Printer(tokenizer, table.task, special_tokens(tokenizer), **how)
    sequences = np.flatnonzero(table.features.rows == row).tolist()
    return list(reader.lines(Example(table.rows[row], table.features, sequences), table.rows))


def pieces_in(lines: list[str]) -> list[str]:
    return " ".join(lines).split()


@pytest.mark.parametrize("family", FAMILIES)
def test_every_piece_of_every_row_is_shown(family: str, tokenizer: Tokenizer) -> None:
    """Of masked_lm as many: a mask stands where the piece was."""
    table = seen(family, tokenizer)
    for row in range(len(table.rows)):
        lines = shown(table, tokenizer, row, whole=True)
        words = pieces_in(lines)
        for sequence in np.flatnonzero(table.features.rows == row):
            ids = table.features.columns["input_ids"][sequence].tolist()
            wanted = [piece for piece in tokenizer.convert_ids_to_tokens(ids)]
            if family == "masked_lm":
                assert len(words) >= len(wanted)
            else:
                assert not set(wanted) - set(words)
        assert max(map(cell_len, lines[1:])) <= 100


def columns(above: str, below: str) -> list[tuple[str, str]]:
    """(piece, mark) by the columns in which they begin; letters may be two columns wide."""
    found, used = [], 0
    for piece in re.findall(r"\S+\s*", above):
        width = cell_len(piece)
        start = cell_len(set_cell_size(below, used))
        mark = set_cell_size(below, start + width).removeprefix(set_cell_size(below, start))
        found.append((piece.strip(), mark.strip()))
        used += width
    return found


def test_tags_stand_under_their_words_first_piece(tokenizer: Tokenizer) -> None:
    made = [{"id": "0", "tokens": ["老狗", "dog", "Hund"], "tags": ["X", "NOUN", "VERB"]}]
    table = seen("tagging", tokenizer, made)
    heading, above, below = shown(table, tokenizer, 0)
    assert heading == "0: 3 words"
    starts = table.features.columns["word_starts"][0].tolist()
    found = columns(above.strip(), below.removeprefix("  "))
    assert [place for place, (_, mark) in enumerate(found) if mark] == starts
    assert [mark for _, mark in found if mark] == ["X", "NOUN", "VERB"]


def test_hidden_tags_are_question_marks(tokenizer: Tokenizer) -> None:
    made = [{"id": "0", "tokens": ["dog", "cat"], "tags": None}]
    lines = shown(seen("tagging", tokenizer, made), tokenizer, 0)
    assert lines[-1].split() == [HIDDEN, HIDDEN]


def test_answer_is_marked_in_the_windows_that_hold_it(tokenizer: Tokenizer) -> None:
    table = seen("span", tokenizer)
    lines = shown(table, tokenizer, 1, whole=True)
    assert lines[0] == "1: Which cat saw the dog ? -> number 11"
    windows = int(np.sum(table.features.rows == 1))
    assert windows > WINDOWS
    assert sum(line.startswith("window ") for line in lines) == windows
    labels = [table.features.columns["labels"][w].tolist() for w in range(len(table.features.rows))]
    mine = [label for label, row in zip(labels, table.features.rows, strict=True) if row == 1]
    marked = sum(line.split().count("answer") for line in lines)
    assert marked == sum(last - first + 1 for first, last in mine if first)
    assert sum(line.split().count("none") for line in lines) == mine.count([0, 0])
    cut = shown(table, tokenizer, 1)
    assert sum(line.startswith("window ") for line in cut) == WINDOWS
    assert any("answer" in line.split() for line in cut)  # stands in the last ones
    assert cut[-1] == f"... {windows - WINDOWS} more windows"


def test_long_sequence_is_cut_and_what_is_left_out_counted(tokenizer: Tokenizer) -> None:
    table = seen("classification", tokenizer)
    length = len(table.features.columns["input_ids"][1])
    assert length > FIRST + LAST
    _, *lines = shown(table, tokenizer, 1)
    words = pieces_in(lines)
    assert len(words) == FIRST + 1 + LAST
    assert words[FIRST] == f"...{length - FIRST - LAST}..."
    assert words[-1] == "</s>" and AROUND > 0


def test_right_choice_is_named(tokenizer: Tokenizer) -> None:
    lines = shown(seen("choice", tokenizer), tokenizer, 1)
    assert [line.split(",")[0] for line in lines if line.startswith("choice ")] == [
        "choice 0",
        "choice 1 (right)",
        "choice 2",
    ]


def test_columns_that_are_no_text_are_not_cut_to_pieces(tokenizer: Tokenizer) -> None:
    assert inspection.pieces_of([{"id": "0", "words": "a dog"}], tokenizer) == (0, 0, 0, 0)


def test_queries_and_candidates_are_shown_by_what_they_are(tokenizer: Tokenizer) -> None:
    pairs = seen("ranking", tokenizer)
    lines = shown(pairs, tokenizer, 3)
    assert lines[0] == "3: 老狗 ? -> 小猫"
    assert [line.split(",")[0] for line in lines if ", " in line] == ["query", "candidate"]
    assert histogram(pairs) == "pair 100.0"
    empty = {"query": None, "candidate": None, "context": None, "gold": ["a"]}
    query, candidate = {**empty, "query": "Who ?"}, {**empty, "candidate": "The dog ."}
    made = [
        {**query, "id": "0"},
        {**query, "id": "1", "gold": ["b"]},
        {**query, "id": "2", "gold": None},
        {**candidate, "id": "3"},
    ]
    table = seen("ranking", tokenizer, made)
    assert [shown(table, tokenizer, row)[0] for row in range(4)] == [
        "0: Who ? -> The dog .",
        "1: Who ? -> (none in this table)",
        f"2: Who ? -> {HIDDEN}",
        "3 (candidate)",
    ]
    assert histogram(table) == f"query 50.0, {HIDDEN} 25.0, candidate 25.0"
    (_, sizes) = inspection._sizes([table], tokenizer)
    assert sizes[:3] == ["test-en", "4", "4"]
    pieces, words, *_ = inspection.pieces_of(made, tokenizer)
    assert pieces and words == 5


def test_partner_stands_beside_the_sentence(tokenizer: Tokenizer) -> None:
    table = seen("retrieval", tokenizer)
    assert shown(table, tokenizer, 0)[0] == "de-0 <-> en-0: The dog ."
    assert shown(table, tokenizer, 2)[0] == "de-2 <-> no partner"


def test_masked_pieces_are_shown_with_what_is_to_be_guessed(tokenizer: Tokenizer) -> None:
    table = seen("masked_lm", tokenizer)
    tokens = special_tokens(tokenizer, 0.5)
    example = Example(table.rows[0], table.features, [0])
    _, above, below = Printer(tokenizer, table.task, tokens, width=500).lines(example, table.rows)
    original = tokenizer.convert_ids_to_tokens(table.features.columns["input_ids"][0].tolist())
    found = columns(above.strip(), below.removeprefix("  "))
    assert len(found) == len(original)
    assert any(piece == "<mask>" for piece, _ in found)
    for (piece, mark), before in zip(found, original, strict=True):
        assert (mark or piece) == before


def test_byte_level_pieces_are_characters() -> None:
    letters = {letter: n for n, letter in enumerate(sorted(pre_tokenizers.ByteLevel.alphabet()))}
    backend = Backend(models.BPE(vocab={**letters, "<pad>": 300, "éa": 301}, merges=[]))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    backend.decoder = decoders.ByteLevel()
    byte_level = PreTrainedTokenizerFast(tokenizer_object=backend, pad_token="<pad>")
    table = seen("masked_lm", byte_level, [{"text": "a bä", "pair": None}])
    one = task(record("retrieval"), section("retrieval"))
    reader = Printer(byte_level, one, special_tokens(byte_level))
    ids = table.features.columns["input_ids"][0].tolist()
    (line,) = reader.aligned(ids, [""] * len(ids))
    assert line.split() == ["▁", "a", "▁", "b", "\ufffd", "\ufffd"]  # ä: two bytes, two pieces


# Numbers


def test_pieces_words_characters_and_unknowns_are_counted(tokenizer: Tokenizer) -> None:
    found = [{"text_a": "The dog", "text_b": "J J dog"}, {"text_a": "The dog", "text_b": None}]
    pieces, words, characters, unknown = inspection.pieces_of(found, tokenizer)
    ids = [
        tokenizer(text, add_special_tokens=False)["input_ids"] for text in ("The dog", "J J dog")
    ]
    assert pieces == sum(map(len, ids))  # equal texts once
    assert (words, characters) == (5, len("ThedogJJdog"))
    assert unknown == 2 == sum(one.count(tokenizer.unk_token_id) for one in ids)


def histogram(table: Seen) -> str:
    (line,) = inspection._histograms([table])
    return line.removeprefix("test-en  ")


def test_histograms_count_what_is_learnt(tokenizer: Tokenizer) -> None:
    nli = "contradiction 20.0, entailment 40.0, neutral 40.0"
    assert histogram(seen("classification", tokenizer)) == nli
    tags = [tag for row in rows("tagging") for tag in row["tags"]]
    shares = {tag: 100 * tags.count(tag) / len(tags) for tag in ("NOUN", "VERB", "X")}
    wanted = ", ".join(f"{tag} {share:.1f}" for tag, share in shares.items())
    assert histogram(seen("tagging", tokenizer)) == wanted
    assert histogram(seen("retrieval", tokenizer)) == "partners: 1 66.7, partners: 0 33.3"
    assert histogram(seen("masked_lm", tokenizer)) == "single text 66.7, pair 33.3"
    hidden = [{**row, "label": None} for row in rows("classification")]
    assert histogram(seen("classification", tokenizer, hidden)) == f"{HIDDEN} 100.0"


def test_answers_that_cannot_be_learnt_or_predicted_are_counted(tokenizer: Tokenizer) -> None:
    text = "The dog saw a cat in Paris ."
    row = {"id": "0", "context": text, "question": "Who ?", "answerable": True, "group": "a"}
    long = {**row, "answers": [{"text": "dog saw a cat in Paris .", "start": 4}]}
    short = {**row, "answers": [{"text": "cat", "start": text.index("cat")}]}
    none = {**row, "answers": []}
    table = seen("span", tokenizer, [long, short, none, {**row, "answers": None}])
    limit = table.task.settings.max_answer
    first, last = table.features.columns["labels"][0].tolist()
    assert last - first + 1 > limit
    wanted = f"1 piece 25.0, over max_answer 25.0, no answer 25.0, {HIDDEN} 25.0"
    assert histogram(table) == wanted


def test_of_many_labels_the_most_frequent_are_shown(tokenizer: Tokenizer) -> None:
    words = ["dog"] * 31
    tags = ["b", "b", *(f"t{n:02}" for n in range(29))]
    one = task(record("tagging", labels=tuple(sorted(set(tags)))), section("tagging"))
    made = [{"id": "0", "tokens": words, "tags": tags}]
    features = one.family.encode(made, tokenizer, one.settings)
    text = histogram(Seen("test-en", "en", one, made, made, features))
    assert text.startswith("b 6.5, t00 3.2") and text.endswith("10 others")


# The command


def lines_of(params: Params, name: str, row: str = "", **asked: Any) -> list[str]:
    return list(inspect(params, name, row, InspectOptions(**asked)))


def line_for(lines: list[str], name: str) -> list[str]:
    return next(line for line in lines if line.startswith(f"{name} ")).split()


def test_every_table_and_language_of_a_target_is_shown(small_world: Path) -> None:
    before = folder_digest(small_world)
    lines = lines_of(settings(), "xquad", rows=8, examples=1)
    assert folder_digest(small_world) == before  # nothing is written
    assert lines[0] == "xquad: span, at most 96 pieces, tokenizer of encoder"
    assert sum(line.startswith("== ") for line in lines) == LANGUAGES
    assert "== train-en" in lines and "== dev-qun" in lines
    table = read_table(Path("data/target/xquad"), "test", "qal")
    assert line_for(lines, "test-qal")[1:3] == [str(ROWS[2]), "8"]
    (part,) = [p for p in inspection._parts(settings(), "xquad", "") if p.folder.name == "xquad"]
    drawn = inspection._drawn(table, 8)
    assert len(drawn) == 8 and drawn != table.rows[:8]
    tokenizer, _ = inspection.tokenizer_of(settings())
    features = part.task.family.encode(drawn, tokenizer, part.task.settings)
    lengths = features.columns["input_ids"].lengths
    middle, high = np.percentile(lengths, (50, 95))
    shown = line_for(lines, "test-qal")
    assert shown[3:7] == [
        f"{middle:.0f}",
        f"{high:.0f}",
        str(lengths.max()),
        f"{len(features.rows) / 8:.2f}",
    ]
    assert f"test-qal: {features.counts['windows']} windows" in "\n".join(lines)


@pytest.mark.parametrize("name", settings().targets)
def test_every_target_can_be_looked_at(small_world: Path, name: str) -> None:
    lines = lines_of(settings(), name, rows=5)
    assert sum(line.startswith("== ") for line in lines) >= LANGUAGES - 1


def test_examples_are_the_median_and_the_longest(small_world: Path) -> None:
    (train,) = inspection._parts(settings(), "xnli", "")[:1]
    tokenizer, _ = inspection.tokenizer_of(settings())
    table = next(inspection._tables(train, tokenizer, InspectOptions()))
    pair = list(inspection._examples(table, 2))
    lengths = sorted(table.lengths.tolist())
    assert [table.lengths[one.sequences[0]] for one in pair] == [
        lengths[round(0.5 * (len(lengths) - 1))],
        lengths[-1],
    ]


def test_members_of_a_row_have_its_settings_and_their_labels(small_world: Path) -> None:
    span = {"doc_stride": 8, "max_question": 8, "max_answer": 4}
    row = {"x": {"members": {"mnli": None, "ccg": 8}, "max_length": 64, "span": span}}
    base = settings().model_dump(mode="json")
    params = Params.model_validate({**base, "intermediates": {**base["intermediates"], **row}})
    lines = lines_of(params, "ccg", examples=1)
    assert lines[0].startswith("ccg: tagging, at most 64 pieces")
    assert line_for(lines, "train-en")[1] == "8" and "== train-en" in lines
    assert lines_of(params, "mnli", "x")[0].startswith("mnli: classification, at most 64")


def test_tokenizer_is_trained_where_phase_1_has_not_run(
    small_world: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    params = settings()
    own = params.pretrain.model_copy(update={"encoder": None, "vocabulary": 300})
    params = params.model_copy(update={"pretrain": own})
    assert "models/pretrain" in inspection.tokenizer_of(params)[1]
    monkeypatch.setattr(inspection, "PRETRAIN", Path("models/none"))
    lines = lines_of(params, "text", examples=1)
    assert lines[0].endswith("tokenizer as phase 1 would train it")
    assert sum(line.startswith("== ") for line in lines) == LANGUAGES


def test_what_cannot_be_shown_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name, row, wanted in (
        ("xnil", "", r"^params.yaml: targets and .*: 'xnil' is not there; nearest: xnli$"),
        ("ccg", "mnli", r"^params.yaml: intermediates.mnli.members: 'ccg' is not there"),
        ("xnli", "", r"^data/target/xnli: no tables; .* run `dvc repro data-target@xnli`$"),
        ("mnli", "", r"run `dvc repro data-intermediate@mnli`$"),
        ("text", "", r"run `dvc repro text`$"),
    ):
        with pytest.raises(UserError, match=wanted):
            lines_of(settings(), name, row)


def test_command_shows_the_languages_asked_for(small_world: Path) -> None:
    run = CliRunner().invoke
    words = ["inspect", "udpos", "--language", "en", "--language", "qdv", "--examples", "1"]
    done = run(app, words)
    assert done.exit_code == 0, done.output
    assert re.findall("^== (.*)$", done.output, re.M) == ["train-en", "dev-qdv"]
    assert "NOUN" in done.output and "qal" not in done.output
    with pytest.raises(UserError, match="no table in fr; expected languages that it has"):
        run(app, ["inspect", "udpos", "--language", "fr"], catch_exceptions=False)
