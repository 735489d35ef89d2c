"""XTREME-R's own ways: rankings over all languages, an encoder tuned before its vectors count."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.models import tiny_encoder
from tests.test_phases import SPAN, TRAIN, MadeUp, Watched, names, sentence
from xstilts import sources
from xstilts.errors import UserError
from xstilts.formats.cards import Card, read_card
from xstilts.formats.features import Batch
from xstilts.formats.tables import (
    Record,
    Row,
    read_json,
    read_record,
    read_table,
    tables_in,
    write_text,
)
from xstilts.looking.inspection import InspectOptions, inspect
from xstilts.params import Params, check
from xstilts.phases.intermediate import intermediate_stage
from xstilts.phases.pretrain import encoder_stage, pretrain_stage
from xstilts.phases.target import target_stage
from xstilts.results.rescoring import rescore
from xstilts.running import experiments
from xstilts.sources import prepare, sentences
from xstilts.sources.reading import Reading
from xstilts.tasks.catalogue import record as record_of
from xstilts.tasks.metrics.ranking import map_at_k
from xstilts.training.batches import micro_batches

ROOT = Path(__file__).parent.parent
PARAMS: dict[str, Any] = {
    "source": {"name": "made-up", "path": "."},
    "pretrain": {"encoder": "encoder"},
    # A budget far below a batch: a ranking step is whole all the same.
    "training": {"device": "cpu", "token_budget": 64, "evaluations": 2},
    "grid": {"benchmark": "xtreme-r"},
    "intermediates": {"none": {}},
    "targets": {
        "lareqa": TRAIN,
        "mewslix": TRAIN,
        "tatoeba": {"tuning": {**TRAIN, "span": SPAN}, "layer": 1, "max_length": 48},
    },
}


class Ranked(MadeUp):
    """English and German questions, whose answers stand in both; a Mewsli-X of two languages."""

    def read(self, record: Record, split: Any, language: str, settings: object) -> Reading | None:
        if record.family != "ranking":
            return super().read(record, split, language, settings)
        pool = f"{split}-all" in record.sizes
        if split not in record.splits or (split in ("train", "select") and language != "en"):
            return None
        rows = [self.ranked(split, language, n, pool) for n in range(8)]
        return Reading([row for both in rows for row in both], {"read": 8})

    def ranked(self, split: str, language: str, n: int, pool: bool) -> list[Row]:
        empty = {"query": None, "candidate": None, "context": None, "gold": [f"Q{n}"]}
        query = {**empty, "id": f"{split}-{language}-{n}", "query": sentence(n)}
        candidate = {**empty, "id": f"{language}_{n}", "candidate": sentence(n, n)}
        if split in ("train", "select"):
            return [{**query, "candidate": candidate["candidate"]}]
        return [candidate] if language == "all" else [query] if pool else [query, candidate]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("xtreme-r")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("XSTILTS_TRACKING", "off")
        patch.setattr(prepare, "source_named", lambda name: Ranked())
        tiny_encoder("xlm-r", Path("encoder"))
        chosen = params()
        for name in chosen.targets:
            prepare.prepare_target(name, chosen.source, Path("data/target", name), "xtreme-r")
            write_text(Path("studies/target", f"{name}.yaml"), "{}\n")
        prepare.prepare_intermediate({}, chosen.source, Path("data/intermediate/none"))
        write_text(Path("studies/intermediate/none.yaml"), "{}\n")
        pretrain_stage(chosen)
        encoder_stage(1, chosen)
        intermediate_stage("none", 1, chosen)
        yield folder


@pytest.fixture(autouse=True)
def _inside(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)


def params() -> Params:
    return check(PARAMS, Path("params.yaml"))


def cell(name: str) -> tuple[Card, Path]:
    target_stage("none", name, 1, params())
    folder = Path("cells/none", name, "1")
    return read_card(folder), folder


def said(folder: Path, table: str) -> list[dict[str, Any]]:
    lines = (folder / f"predictions/{table}.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines]


def test_lareqa_ranks_the_candidates_of_all_languages() -> None:
    card, folder = cell("lareqa")
    assert set(card.scores["test"]) == {"en", "de"}
    assert card.selection is not None and "map@20" in card.selection.metric
    kept = said(folder, "test-de")
    assert [line["gold"] for line in kept] == [[f"de_{n}", f"en_{n}"] for n in range(8)]
    assert [line["id"] for line in kept] == [f"test-de-{n}" for n in range(8)]
    assert {name[:2] for name in kept[0]["prediction"]} == {"de", "en"}
    assert len(kept[0]["prediction"]) == 16 and card.counts["test-de"]["predicted"] == 8
    value = map_at_k([line["gold"] for line in kept], [line["prediction"] for line in kept])
    assert card.scores["test"]["de"]["map@20"] == pytest.approx(value)


@pytest.mark.parametrize("name", ["lareqa", "mewslix"])
def test_rankings_are_scored_again_from_what_is_kept(name: str) -> None:
    card, folder = cell(name)
    for one in rescore(folder):
        wanted = {code: scores["map@20"] for code, scores in card.scores[one.split].items()}
        assert list(one.conventions.values()) == [wanted] and not one.hidden


@pytest.mark.parametrize("name", ["lareqa", "mewslix"])
def test_ranking_tasks_can_be_looked_at(name: str) -> None:
    lines = list(inspect(params(), name, "", InspectOptions()))
    assert lines[0].startswith(f"{name}: ranking, at most")
    shown = {line.rpartition("-")[2] for line in lines if line.startswith("== ")}
    assert shown == {"en", "de", *(["all"] if name == "mewslix" else [])}


def test_lareqa_trains_on_squads_questions_and_their_sentences(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    watched = Watched(monkeypatch)
    cell("lareqa")
    (members,) = watched.members
    assert read_record(Path("data/target/lareqa/train/1-squad1")).family == "ranking"
    row = members[0].train[0].rows[0]
    assert row["candidate"] in row["context"] and row["query"] == "Who ?"
    assert members[0].features.group == 2


def test_a_ranking_step_is_never_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    """The others of its step are an example's negatives: the token budget may not change them."""
    watched = Watched(monkeypatch)
    cell("mewslix")
    (member,), (plan,) = watched.members[0], watched.plans
    lengths = member.features.lengths[: plan.batch_size]
    assert len(list(micro_batches(lengths, 2, params().training.token_budget, 0))) > 1
    sizes: list[int] = []
    real = member.task.family.loss

    def counted(logits: torch.Tensor, batch: Batch) -> torch.Tensor:
        sizes.append(len(logits))
        return real(logits, batch)

    monkeypatch.setattr(member.task.family, "loss", counted)
    cell("mewslix")
    assert set(sizes) == {2 * 8}


def test_mewslix_ranks_a_pool_that_is_no_languages() -> None:
    card, folder = cell("mewslix")
    assert {split: set(found) for split, found in card.scores.items()} == {
        "dev": {"en", "de"},
        "test": {"en", "de"},
    }
    assert not (folder / "predictions/test-all.jsonl").exists()
    assert {name[:3] for line in said(folder, "test-en") for name in line["prediction"]} == {"all"}
    assert card.counts["test-all"]["predicted"] == 0


def test_tatoebas_encoder_is_tuned_on_squad_before(monkeypatch: pytest.MonkeyPatch) -> None:
    watched = Watched(monkeypatch)
    card, _ = cell("tatoeba")
    assert [names(members) for members in watched.members] == [["squad1"]]
    assert card.selection is not None and card.selection.metric == "squad1: f1+exact_match"
    assert "squad1" in card.passport["selection"]
    assert set(card.scores["test"]) == {"de"}
    assert watched.models[0].encoder.config.num_hidden_layers == 1  # cut off after the training


@pytest.mark.parametrize(("benchmark", "words"), [("xtreme", "null"), ("xtreme-r", "squad1")])
def test_tuning_is_the_benchmarks_matter(
    benchmark: str, words: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(prepare, "source_named", lambda name: Ranked())
    monkeypatch.setattr("xstilts.paths.target_data", lambda name: tmp_path / "target" / name)
    prepare.prepare_target("tatoeba", params().source, tmp_path / "target/tatoeba", benchmark)
    section = params().targets["tatoeba"]
    if benchmark == "xtreme-r":
        section = section.model_copy(update={"tuning": None})
    wrong = params().model_copy(update={"targets": {"tatoeba": section}})
    with pytest.raises(UserError, match=rf"tatoeba\.tuning: .*expected .*{words}"):
        target_stage("none", "tatoeba", 1, wrong)


# Real files


def test_sentences_are_xquad_rs(shared: Path) -> None:
    document = json.loads((shared / "data/lareqa/xquad-r/en.json").read_text(encoding="utf-8"))
    paragraphs = [entry for article in document["data"] for entry in article["paragraphs"]]
    assert len(paragraphs) == 40
    for paragraph in paragraphs:
        found = sentences.sentences(paragraph["context"])
        assert found == [tuple(pair) for pair in paragraph["sentence_breaks"]]


def test_sentences_end_where_they_end() -> None:
    text = 'Mr. J. Smith came to St. Louis on Dec. 5. He said "No." Then he left [1]. 3 stayed?'
    found = [text[start:end] for start, end in sentences.sentences(text)]
    assert found == [
        "Mr. J. Smith came to St. Louis on Dec. 5.",
        'He said "No."',
        "Then he left [1].",
        "3 stayed?",
    ]


def test_lareqa_of_the_real_files(
    shared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """225 questions in ten languages; what trains is what XQuAD trains on, as sentences."""
    source = experiments.resolve(ROOT / "experiments/files-small.yaml").source
    source = source.model_copy(update={"path": str(shared / "data")})
    monkeypatch.setattr(prepare, "source_named", sources.source_named)
    prepare.prepare_target("lareqa", source, tmp_path / "lareqa")
    counts = read_json(tmp_path / "lareqa/counts.json")
    assert len(counts) == 10 and {found["read"] for found in counts.values()} == {225}
    rows = [
        row for split, code in tables_in(tmp_path / "lareqa")
        for row in read_table(tmp_path / "lareqa", split, code).rows
    ]  # fmt: skip
    names = [name for row in rows if row["candidate"] for name in row["gold"]]
    assert all(names.count(row["gold"][0]) >= 10 for row in rows if row["query"])
    step = tmp_path / "lareqa/train/1-squad1"
    reported = {row["context"] for row in rows}
    pairs = [row for split in ("train", "select") for row in read_table(step, split, "en").rows]  # type: ignore[arg-type]
    assert len(pairs) > 900 and not reported & {row["context"] for row in pairs}
    assert all(row["candidate"] in row["context"] for row in pairs)
    assert record_of("lareqa").select_from == "squad1"
