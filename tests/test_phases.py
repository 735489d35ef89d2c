"""The three phases in one process, on a made-up source and a tiny encoder of random weights."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from transformers import AutoModel, AutoModelForMaskedLM, AutoTokenizer, PreTrainedModel

from tests.models import TEXTS, tiny_encoder
from tests.rows import record as made_up
from tests.rows import section as made_up_section
from xstilts import paths
from xstilts.errors import UserError
from xstilts.formats.cards import Card, Selection, read_card
from xstilts.formats.features import Features, Ragged
from xstilts.formats.tables import (
    Record,
    Row,
    Split,
    folder_digest,
    read_json,
    read_table,
    write_table,
    write_text,
)
from xstilts.params import (
    IntermediateSettings,
    Params,
    PhaseSettings,
    RunSettings,
    check,
)
from xstilts.phases.intermediate import intermediate_objective, intermediate_stage
from xstilts.phases.members import members_of, weigh
from xstilts.phases.pretrain import encoder_stage, pretrain_stage
from xstilts.phases.provenance import phase_seed
from xstilts.phases.target import cell_of, target_objective, target_stage, twins_of
from xstilts.sources import prepare
from xstilts.sources.reading import Reading
from xstilts.studies.stage import _key
from xstilts.tasks.metrics import mining
from xstilts.tasks.twins import apart
from xstilts.training import encoder as encoders
from xstilts.training import loop, saved
from xstilts.training.batches import draw_members
from xstilts.training.context import Context
from xstilts.training.encoder import Model
from xstilts.training.loop import Member, Plan, train
from xstilts.training.progress import Progress
from xstilts.training.task import task as task_of

SPAN = {"doc_stride": 8, "max_question": 8, "max_answer": 4}
TRAIN = {"learning_rate": 1e-3, "epochs": 1, "batch_size": 8, "max_length": 96}
PARAMS: dict[str, Any] = {
    "experiment": "tiny",
    "source": {"name": "made-up", "path": "."},
    "pretrain": {"encoder": "encoder"},
    "training": {"device": "cpu", "token_budget": 512, "evaluations": 2},
    "intermediates": {
        "none": {},
        "mnli": {**TRAIN, "members": {"mnli": None}},
        "mnli-12": {**TRAIN, "members": {"mnli": 12}},
        "collapsed": {**TRAIN, "learning_rate": 1e-2, "epochs": 8, "members": {"mnli": 16}},
        "anli_plus": {**TRAIN, "members": {"anli_plus": None}},
        "mixed": {**TRAIN, "span": SPAN, "members": {"mnli": 16, "squad1": 8, "text": 6},
                  "sampling": "temperature", "cap": 12},
    },
    "targets": {
        "xnli": TRAIN,
        "xquad": {**TRAIN, "span": SPAN},
        "mlqa": {**TRAIN, "span": SPAN},
        "xcopa": TRAIN,
        "bucc2018": {"layer": 1, "max_length": 48},
        "tatoeba": {"layer": 0, "max_length": 48},
    },
}  # fmt: skip
SIZES = {"train": 24, "dev": 9, "test": 7}
PARTS = (10, 8, 3, 2, 1)  # of ANLI+'s 24 training rows
PART_OF = [0, 1, 2, 3, 4, *[0] * 9, *[1] * 7, *[2] * 2, 3]  # a row's; dev has all of them too
WORDS = sorted({word for text in TEXTS[:4] for word in text.split() if word.isalpha()})[:13]


def sentence(*numbers: int) -> str:
    """Another sentence for other numbers (below 13 ** 3), in words that the tokenizer knows."""
    words = [WORDS[number // 13**place % 13] for number in numbers for place in (0, 1, 2)]
    return f"The {' '.join(words)} ."


class MadeUp:
    """A source: English and German, a few rows of every family; XNLI's German test is hidden."""

    def languages(self, record: Record, settings: object) -> tuple[str, ...]:
        if record.english_only:
            return ("en",)
        return ("de",) if record.family == "retrieval" else ("en", "de")

    def read(self, record: Record, split: Split, language: str, settings: object) -> Reading | None:
        text = record.family == "masked_lm"
        if split not in record.splits or (split == "train" and language != "en" and not text):
            return None
        salt = sum(map(ord, f"{record.name} {split}")) % 2000
        rows = [self.row(record, split, language, n, salt) for n in range(SIZES[split])]
        if record.family == "retrieval":
            rows = [row for pair in rows for row in pair["pair"]]
        if (record.name, split, language) == ("xnli", "test", "de"):
            rows = [{**row, "label": None} for row in rows]
        return Reading(rows, {"read": len(rows)}, f"{record.name}: made up")

    def locate(self, record: Record, split: Split, language: str, source: object) -> object | None:
        return self.read(record, split, language, source)

    def row(self, record: Record, split: str, language: str, n: int, salt: int) -> Row:
        name = f"{split}-{language}-{n}"
        if record.family == "masked_lm":
            return {"text": sentence(n, salt), "pair": None}
        if record.family == "retrieval":
            sides = {"foreign": [f"{name}-en"], "english": None}
            ids = {"foreign": name, "english": f"{name}-en"}
            return {"pair": [{"id": ids[side], "side": side, "text": sentence(n), "gold": gold}
                             for side, gold in sides.items()]}  # fmt: skip
        if record.family == "choice":
            choices = [sentence(n + k) for k in range(record.choices)]
            return {"id": name, "context": sentence(n, salt), "question": None,
                    "choices": choices, "label": n % record.choices}  # fmt: skip
        if record.family == "span":
            context, word = f"{sentence(salt)} {sentence(n)}", WORDS[n % 13]
            answers = [{"text": word, "start": context.index(word)}]
            return {"id": name, "context": context, "question": "Who ?", "answers": answers,
                    "answerable": True, "group": str(n)}  # fmt: skip
        return {"id": name, "text_a": sentence(n, salt), "text_b": WORDS[n % 13],
                "label": record.labels[n % len(record.labels)],
                "part": record.parts[PART_OF[n]] if record.parts else None}  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Every data stage has run, phase 1 names an encoder; studies chose nothing."""
    folder = tmp_path_factory.mktemp("phases")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("XSTILTS_TRACKING", "off")
        patch.setattr(prepare, "source_named", lambda name: MadeUp())
        tiny_encoder("xlm-r", Path("encoder"))
        pretrain_stage(params())
        for replicate in (1, 2, 3, 7):
            encoder_stage(replicate, params())
        for row, section in params().intermediates.items():
            prepare.prepare_intermediate(
                section.members, params().source, Path("data/intermediate", row)
            )
            write_text(Path("studies/intermediate", f"{row}.yaml"), "{}\n")
        for name in params().targets:
            prepare.prepare_target(name, params().source, Path("data/target", name))
            write_text(Path("studies/target", f"{name}.yaml"), "{}\n")
        intermediate_stage("none", 1, params())
        yield folder


@pytest.fixture(autouse=True)
def _inside(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)


def params(**training: object) -> Params:
    changed = {**PARAMS, "training": {**PARAMS["training"], **training}}
    return check(changed, Path("params.yaml"))


def intermediate(row: str, replicate: int = 1) -> Card:
    intermediate_stage(row, replicate, params())
    return read_card(Path("models/intermediate", row, str(replicate)))


def target(name: str, replicate: int = 1, **training: object) -> Card:
    source = Path("models/intermediate/none", str(replicate))
    if not source.exists():
        intermediate_stage("none", replicate, params())
    target_stage("none", name, replicate, params(**training))
    return read_card(Path("cells/none", name, str(replicate)))


def cell(name: str, replicate: int = 1) -> Path:
    return Path("cells/none", name, str(replicate))


class Watched:
    """The loop's train, with what it was given, and the heads' weights before the first step."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.members: list[list[Member]] = []
        self.plans: list[Plan] = []
        self.models: list[Model] = []
        self.before: list[dict[str, torch.Tensor]] = []
        self.really = train
        for phase in ("intermediate", "target"):
            patch.setattr(f"xstilts.phases.{phase}.train", self)

    def __call__(
        self, model: Model, members: Sequence[Member], plan: Plan, context: Context
    ) -> tuple[Progress, Selection | None]:
        self.members.append(list(members))
        self.plans.append(plan)
        self.models.append(model)
        self.before.append({name: value.clone() for name, value in model.state_dict().items()})
        return self.really(model, members, plan, context)


def names(members: Sequence[Member]) -> list[str]:
    return [member.task.name for member in members]


# Phases 1 and 2


def test_baseline_names_the_encoder_and_copies_no_weights() -> None:
    kept = {"encoder.json", "card.json", "history.csv"}
    for path in (Path("models/pretrain"), Path("models/intermediate/none/1")):
        assert {file.name for file in path.iterdir()} == kept
        assert read_json(path / "encoder.json") == {
            "name": "encoder",
            "location": "encoder",
            "revision": None,
            "digest": folder_digest(Path("encoder")),
        }


@pytest.mark.parametrize(
    ("sampling", "cap", "weights", "steps"),
    [
        ("proportional", None, (100, 300), 28),
        ("uniform", None, (1, 1), 28),
        ("temperature", None, (10, 300**0.5), 28),
        ("proportional", 200, (100, 200), 22),
        ("uniform", 200, (1, 1), 22),
        ("temperature", 200, (10, 200**0.5), 22),
    ],
)
def test_a_mixture_has_the_weights_and_steps_of_its_rule(
    sampling: Any, cap: int | None, weights: tuple[float, float], steps: int
) -> None:
    """p ~ min(n, cap) ** (1 / T); steps = the sum of epochs x ceil(min(n, cap) / batch)."""
    one = task_of(made_up("classification"), made_up_section("classification"))
    nothing = Features({"input_ids": Ragged.of([])}, np.zeros(0, np.int32))
    members = [Member(one, (), nothing, np.arange(n)) for n in (100, 300)]
    row = IntermediateSettings(sampling=sampling, temperature=2.0, cap=cap, epochs=2, batch_size=32)
    weighed, length = weigh(members, row)
    assert [member.weight for member in weighed] == pytest.approx(weights)
    assert length == steps
    drawn = np.bincount(draw_members([member.weight for member in weighed], 20_000, seed=1))
    assert drawn / 20_000 == pytest.approx(np.array(weights) / sum(weights), abs=0.02)


def test_parts_of_anli_plus_share_one_head(monkeypatch: pytest.MonkeyPatch) -> None:
    watched = Watched(monkeypatch)
    card = intermediate("anli_plus")
    (members,), (plan,), (model,) = watched.members, watched.plans, watched.models
    parts = ["snli", "mnli", "anli_r1", "anli_r2", "anli_r3"]
    assert names(members) == [f"anli_plus.{part}" for part in parts]
    assert list(model.heads) == ["anli_plus"]
    assert tuple(member.weight for member in members) == PARTS
    assert plan.steps == 2 + 1 + 1 + 1 + 1  # each part's ceil(n / 8)
    assert card.selection is not None and card.selection.rows == SIZES["dev"]


def test_masked_lm_trains_beside_tasks_from_the_encoders_own_head(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    watched = Watched(monkeypatch)
    card = intermediate("mixed")
    (members,), (model,), (before,) = watched.members, watched.models, watched.before
    assert names(members) == ["mnli", "squad1", "text"]
    assert [len(member.index) for member in members] == [16, 8, 12]  # text: 6 rows a language
    assert [m.weight for m in members] == pytest.approx([12**0.5, 8**0.5, 12**0.5])
    assert watched.plans[0].steps == 2 + 1 + 2
    head = "heads.text.model.lm_head"
    own = AutoModelForMaskedLM.from_pretrained("encoder").lm_head
    torch.testing.assert_close(before[f"{head}.dense.weight"], own.dense.weight.detach())
    embeddings = model.encoder.get_input_embeddings().weight
    assert model.heads["text"].model.lm_head.decoder.weight is embeddings
    assert card.selection is not None
    assert card.selection.metric == "mnli: accuracy; squad1: f1+exact_match".replace("; ", " + ")
    assert card.selection.rows == 2 * SIZES["dev"]  # text never selects
    saved = AutoModel.from_pretrained("models/intermediate/mixed/1")
    assert not torch.equal(saved.get_input_embeddings().weight, before[_embeddings(before)])


def _embeddings(state: dict[str, torch.Tensor]) -> str:
    return next(name for name in state if name.startswith("encoder.") and "word_emb" in name)


def test_limits_are_the_data_stages(monkeypatch: pytest.MonkeyPatch) -> None:
    """What trains is what the data stage wrote, whatever params say by then."""
    watched = Watched(monkeypatch)
    rows = read_table(Path("data/intermediate/mnli-12/mnli"), "train", "en").rows
    whole = read_table(Path("data/intermediate/mnli/mnli"), "train", "en").rows
    assert len(rows) == 12 and {row["id"] for row in rows} < {row["id"] for row in whole}
    assert set(Counter(row["label"] for row in rows).values()) == {4}
    moved = params().intermediates["mnli-12"].model_copy(update={"members": {"mnli": 3}})
    sections = {**params().intermediates, "mnli-12": moved}
    intermediate_stage("mnli-12", 1, params().model_copy(update={"intermediates": sections}))
    assert len(watched.members[0][0].index) == 12
    counts = read_card(Path("models/intermediate/mnli-12/1")).counts["mnli/train-en"]
    assert counts["dropped: over the limit"] == SIZES["train"] - 12


def test_collapsed_run_is_flagged() -> None:
    place = Path("data/intermediate/collapsed/mnli")
    rows = [{**row, "label": "neutral"} for row in read_table(place, "train", "en").rows]
    write_table(place, "classification", "train", "en", rows)
    assert intermediate("collapsed").flags == ("collapsed: every English dev row is 'neutral'",)


def test_replicates_differ_and_a_phase_run_twice_gives_equal_bytes() -> None:
    digests = []
    for replicate in (1, 2, 1):
        shutil.rmtree("work", ignore_errors=True)
        intermediate("mnli", replicate)
        digests.append(folder_digest(Path("models/intermediate/mnli", str(replicate))))
    assert digests[0] == digests[2] != digests[1]


# Phase 3


def test_a_cell_run_twice_gives_equal_bytes_and_replicates_differ() -> None:
    digests = []
    for replicate in (1, 2, 1):
        shutil.rmtree("work", ignore_errors=True)
        card = target("xnli", replicate)
        digests.append(folder_digest(cell("xnli", replicate)))
        assert card.passport["seed"] == phase_seed(1, 3, replicate)
    assert digests[0] == digests[2]
    curves = [(cell("xnli", replicate) / "history.csv").read_text() for replicate in (1, 2)]
    assert curves[0] != curves[1]


def test_targets_on_the_same_rows_have_the_same_selection() -> None:
    xquad, mlqa = target("xquad"), target("mlqa")
    assert xquad.selection is not None and mlqa.selection is not None
    unnamed = [replace(card.selection, metric="", values={}) for card in (xquad, mlqa)]
    assert unnamed[0] == unnamed[1]
    assert list(xquad.selection.values.values()) == list(mlqa.selection.values.values())
    curves = [(cell(name) / "history.csv").read_bytes() for name in ("xquad", "mlqa")]
    assert curves[0] == curves[1]
    assert xquad.selection.steps == 3


def in_one_grid(*targets: str, **changed: dict[str, Any]) -> Params:
    grid = {"intermediates": ["none"], "targets": list(targets)}
    sections = {**PARAMS["targets"], **changed}
    return check({**PARAMS, "targets": sections, "grid": grid}, Path("params.yaml"))


def trainings() -> list[Path]:
    return [path for path in paths.TRAININGS.glob("*") if path.is_dir()]


def test_mlqa_takes_xquads_training(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its cell is then the one that it would have trained itself; nothing is left over."""
    target("xquad")
    key = target("mlqa").inputs["training"]
    assert key == read_card(cell("xquad")).inputs["training"]
    alone = [folder_digest(cell(name)) for name in ("xquad", "mlqa")]
    for name in ("xquad", "mlqa"):
        shutil.rmtree(cell(name))
    trained, really = [], loop._run
    monkeypatch.setattr(loop, "_run", lambda *given: trained.append(1) or really(*given))
    both = in_one_grid("xquad", "mlqa")
    target_stage("none", "xquad", 1, both)
    assert [path.name for path in trainings()] == [key]
    with monkeypatch.context() as killed, pytest.raises(KeyboardInterrupt):
        killed.setattr("xstilts.phases.target.evaluate_target", stopped)
        target_stage("none", "mlqa", 1, both)
    assert [path.name for path in trainings()] == [key]  # as long as MLQA has no card
    target_stage("none", "mlqa", 1, both)
    assert (len(trained), trainings()) == (1, [])
    assert [folder_digest(cell(name)) for name in ("xquad", "mlqa")] == alone


def stopped(*_: object) -> None:
    raise KeyboardInterrupt


def test_other_settings_are_another_training() -> None:
    other = {**PARAMS["targets"]["mlqa"], "epochs": 2}
    stages = ("target@none-xquad-1", "target@none-mlqa-1")
    assert apart(in_one_grid("xquad", "mlqa")) == dict.fromkeys(stages, "none-xquad-1")
    for params_ in (in_one_grid("xquad", "mlqa", mlqa=other), in_one_grid("xquad", "xcopa")):
        assert apart(params_) == {}
    chosen = in_one_grid("xquad", "mlqa")
    study = Path("studies/target/mlqa.yaml")
    before = study.read_text()
    write_text(study, "{learning_rate: 2.0e-3, epochs: 1}\n")
    try:
        for name in ("xquad", "mlqa"):
            assert twins_of(cell_of("none", name, 1, chosen), chosen) == ()
    finally:
        write_text(study, before)


def test_a_training_that_has_ended_is_not_run_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Killed while it predicts, a cell goes on from there, to the same bytes."""
    whole = target("xnli")
    wanted = folder_digest(cell("xnli"))
    with monkeypatch.context() as killed, pytest.raises(KeyboardInterrupt):
        killed.setattr("xstilts.phases.target.evaluate_target", stopped)
        target("xnli")
    monkeypatch.setattr(loop, "_run", None)
    assert target("xnli") == whole
    assert folder_digest(cell("xnli")) == wanted


def test_squad_is_encoded_once_for_xquad_and_mlqa(tmp_path: Path) -> None:
    """They differ in how answers are scored, which is no matter of encoding."""
    tokenizer = encoders.load_tokenizer(encoders.read_ref(Path("models/pretrain")))
    for name in ("xquad", "mlqa"):
        section = params().targets[name]
        assert isinstance(section, PhaseSettings)
        context = Context(params().training, tokenizer, tmp_path, tmp_path / "features")
        data = Path("data/target", name, "train/1-squad1")
        (member,), _, _ = members_of(data, section, context)
        assert member.task.settings.metrics  # they are scored all the same
        assert len(list(context.cache.iterdir())) == 2  # train and select


def test_hidden_test_split_is_predicted_and_not_scored() -> None:
    card = target("xnli")
    languages = {split: set(scores) for split, scores in card.scores.items()}
    assert languages == {"dev": {"en", "de"}, "test": {"en"}}
    assert card.counts["test-de"]["predicted"] == SIZES["test"]
    lines = (cell("xnli") / "predictions/test-de.jsonl").read_text().splitlines()
    kept = [json.loads(line) for line in lines]
    assert len(kept) == SIZES["test"]
    assert {line["gold"] for line in kept} == {None}
    assert all(line["prediction"] for line in kept)


def test_scores_follow_from_the_kept_predictions() -> None:
    card = target("xnli")
    lines = (cell("xnli") / "predictions/dev-de.jsonl").read_text().splitlines()
    right = [line["prediction"] == line["gold"] for line in map(json.loads, lines)]
    assert card.scores["dev"]["de"]["accuracy"] == pytest.approx(sum(right) / len(right))


def test_two_trainings_in_order_have_one_head(monkeypatch: pytest.MonkeyPatch) -> None:
    """XCOPA: Social IQa (3 choices), then COPA (2), with the same fresh head."""
    watched = Watched(monkeypatch)
    card = target("xcopa")
    assert [names(members) for members in watched.members] == [["siqa"], ["copa"]]
    assert [members[0].task.settings.choices for members in watched.members] == [3, 2]
    assert {id(model) for model in watched.models} == {id(watched.models[0])}
    assert list(watched.models[0].heads) == ["copa"]  # the last training's
    assert {"train/1-siqa/train-en", "train/2-copa/train-en"} <= set(card.counts)


def test_two_trainings_in_order_are_one_curve_with_both_flags(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The steps count on, as in MLflow; a flag says whose it is."""
    watched = Watched(monkeypatch)
    monkeypatch.setattr("xstilts.training.loop.majority_flag", lambda *_: "collapsed")
    card = target("xcopa")
    lines = (cell("xcopa") / "history.csv").read_text().splitlines()[1:]
    steps = [int(line.split(",")[0]) for line in lines]
    first, second = (plan.steps for plan in watched.plans)
    assert steps == sorted(steps) and {first, first + second} <= set(steps)
    assert card.selection is not None and card.selection.steps == second
    assert card.flags == ("1-siqa: collapsed", "2-copa: collapsed")


@pytest.mark.parametrize("name", ["xquad", "xcopa", "xnli"])
def test_notes_of_what_trained_and_selected_reach_the_card(name: str) -> None:
    """From the Hub they name each repository's commit; in files-small TyDi QA stands in."""
    trained = {"xquad": {"squad1"}, "xcopa": {"siqa", "copa"}, "xnli": {"mnli"}}[name]
    assert {f"{one}: made up" for one in {name} | trained} <= set(target(name).notes)


@pytest.mark.parametrize(
    ("stage", "place"),
    [
        ("pretrain", "models/pretrain"),
        ("intermediate", "models/intermediate/mnli/3"),
        ("target", "cells/none/xnli/1"),
    ],
)
def test_a_stage_killed_while_it_trains_leaves_nothing_beside_its_output(
    stage: str, place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No new folder is open by then; what a kill at a later moment left goes at the start."""
    shutil.copytree(".", tmp_path / "copy")
    monkeypatch.chdir(tmp_path / "copy")
    out = Path(place)
    (out.parent / f".{out.name}.abc_1234" / "predictions").mkdir(parents=True)
    beside: list[list[Path]] = []

    def killed(*_: object) -> None:
        beside.append(list(out.parent.glob(".*")))
        raise KeyboardInterrupt

    monkeypatch.setattr("xstilts.training.encoder.hub_revision", killed)
    for phase in ("intermediate", "target"):
        monkeypatch.setattr(f"xstilts.phases.{phase}.train", killed)
    run = {
        "pretrain": lambda: pretrain_stage(params()),
        "intermediate": lambda: intermediate_stage("mnli", 3, params()),
        "target": lambda: target_stage("none", "xnli", 1, params()),
    }[stage]
    with pytest.raises(KeyboardInterrupt):
        run()
    assert beside == [[]]


def test_kept_model_is_whole_and_no_part_of_the_cell() -> None:
    """Its encoder loads as any; what else moves no score moves no byte of the cell either."""
    target("xnli")
    before = folder_digest(cell("xnli"))
    run = {"keep_model": True, "checkpoint_every_s": 0, "progress": "off"}
    target_stage("none", "xnli", 1, check({**PARAMS, "run": run}, Path("params.yaml")))
    assert folder_digest(cell("xnli")) == before
    kept = paths.kept_model("none", "xnli", 1)
    encoder: PreTrainedModel = AutoModel.from_pretrained(kept / "encoder")
    assert AutoTokenizer.from_pretrained(kept / "encoder")("The dog")["input_ids"]
    first = AutoModel.from_pretrained("encoder").get_input_embeddings().weight
    assert not torch.equal(encoder.get_input_embeddings().weight, first)
    back = saved.read_model(kept)
    assert back.task.settings.labels == back.about.record.labels
    assert (back.about.key, back.about.cell) == (read_card(cell("xnli")).key, "none/xnli/1")
    assert saved.predictions_digest(cell("xnli")) == back.about.predictions


def test_what_moves_no_score_enters_no_key() -> None:
    """Neither a cell's nor a study's, whose digests name their checkpoints and journals."""
    run = {"keep_model": True, "checkpoint_every_s": 1, "tracking": "off", "progress": "off"}
    assert set(run) == set(RunSettings.model_fields)
    other = check({**PARAMS, "run": run}, Path("params.yaml"))
    assert cell_of("none", "xnli", 1, params()) == cell_of("none", "xnli", 1, other)
    keys = {_key("target", "xnli", p, p.targets["xnli"]) for p in (params(), other)}
    assert len(keys) == 1
    moved = params(token_budget=1024)  # by rounding
    assert cell_of("none", "xnli", 1, params()).key != cell_of("none", "xnli", 1, moved).key


def test_a_studys_values_are_used_and_named() -> None:
    study = Path("studies/target/xnli.yaml")
    study.write_text("learning_rate: 2.0e-4\nepochs: 2.0\nscore: 0.5\n")
    try:
        card = target("xnli")
    finally:
        write_text(study, "{}\n")
    origins = {name: setting.origin for name, setting in card.settings.items()}
    assert (origins["learning_rate"], origins["epochs"]) == ("study", "study")
    assert (origins["batch_size"], origins["span"]) == ("params", "default")
    assert card.selection is not None and card.selection.steps == 6


@pytest.mark.parametrize(("name", "layers"), [("bucc2018", 1), ("tatoeba", 0)])
def test_retrieval_computes_no_layer_above_the_one_it_reads(
    name: str, layers: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    watched = Watched(monkeypatch)
    calls: Counter[str] = Counter()

    def count(module: torch.nn.Module, *_: object) -> None:
        calls[type(module).__name__] += 1

    hook = torch.nn.modules.module.register_module_forward_hook(count)
    try:
        card = target(name)
    finally:
        hook.remove()
    assert calls["XLMRobertaEmbeddings"] > 0
    assert calls["XLMRobertaLayer"] == layers * calls["XLMRobertaEmbeddings"]
    assert watched.plans == [] and card.selection is None
    assert card.passport["selection"] == "none: nothing is trained"


def test_buccs_threshold_is_set_on_dev_and_stands_on_the_passport(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen: list[set[str]] = []
    really = mining.tune_threshold

    def spy(scores: Any, gold: Any) -> float:
        seen.append({name for pair in (*scores, *gold) for name in pair})
        return really(scores, gold)

    monkeypatch.setattr(mining, "tune_threshold", spy)
    card = target("bucc2018")
    assert seen and all(name.startswith("dev-") for ids in seen for name in ids)
    (thresholds,) = (v for k, v in card.passport.items() if k.startswith("thresholds"))
    assert list(thresholds) == ["de"]
    for split in ("dev", "test"):
        lines = (cell("bucc2018") / f"predictions/{split}-de.jsonl").read_text().splitlines()
        kept = [line["prediction"] for line in map(json.loads, lines) if line["prediction"]]
        assert kept and min(pair["score"] for pair in kept) >= thresholds["de"]
    assert card.scores["dev"]["de"]["f1"] > 0


# Studies

VALUES = {"learning_rate": 1e-3, "epochs": 1.0}


class Opened:
    """The names of the tables that were read."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.files: set[str] = set()
        really = pq.read_table

        def spy(path: Path, *words: Any, **more: Any) -> Any:
            self.files.add(Path(path).name)
            return really(path, *words, **more)

        patch.setattr(pq, "read_table", spy)


@pytest.mark.parametrize("name", ["xnli", "xquad", "xcopa"])
def test_a_targets_study_reads_english_train_and_select_alone(
    name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    opened = Opened(monkeypatch)
    monkeypatch.setattr("xstilts.paths.FEATURES", tmp_path / "features")  # nothing encoded before
    score = target_objective(name, params())(VALUES, 1, tmp_path, None)
    assert opened.files == {"train-en.parquet", "select-en.parquet"}
    assert 0 <= score <= 1


def test_a_rows_study_reads_english_train_and_select_alone(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    opened = Opened(monkeypatch)
    monkeypatch.setattr("xstilts.paths.FEATURES", tmp_path / "features")
    objective = intermediate_objective("mnli", params())
    assert objective(VALUES, 1, tmp_path / "a", None) == objective(VALUES, 1, tmp_path / "b", None)
    assert opened.files == {"train-en.parquet", "select-en.parquet"}


def test_a_study_cannot_tell_which_rows_are_tested(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Without any dev or test table, the objective is what it was."""
    scores = []
    for place in ("whole", "bare"):
        data = tmp_path / place / "data"
        shutil.copytree("data/target/xnli", data / "target/xnli")
        if place == "bare":
            for path in (data / "target/xnli").glob("*.parquet"):
                path.unlink()
        monkeypatch.setattr("xstilts.paths.target_data", lambda name, at=data: at / "target" / name)
        objective = target_objective("xnli", params())
        scores.append(objective({**VALUES, "epochs": 2.0}, 1, tmp_path / place / "work", None))
    assert scores[0] == scores[1]


def test_cards_name_what_trained_and_selected() -> None:
    row = intermediate("mixed")
    assert {"mnli train-en", "mnli select-en", "squad1 train-en", "text train-de"} <= set(
        row.inputs
    )
    card = target("xnli")
    trained = {"xnli train-en", "xnli select-en"}
    assert trained | {"test-de", "encoder"} <= set(card.inputs)
    tables = card.passport["tables"]
    assert {name: tables[name] for name in trained} == {name: card.inputs[name] for name in trained}


def test_settings_of_another_family_and_of_longer_texts_are_refused() -> None:
    for row, changes, message in (
        ("mnli", {"span": check(PARAMS, Path("p")).intermediates["mixed"].span}, "span is given"),
        ("mnli", {"max_length": 4000}, "max_length: 4000; expected at most"),
    ):
        given = params()
        section = given.intermediates[row].model_copy(update=changes)
        changed = given.model_copy(update={"intermediates": {row: section}})
        with pytest.raises(UserError, match=message):
            intermediate_stage(row, 7, changed)
        assert not Path("models/intermediate", row, "7").exists()
