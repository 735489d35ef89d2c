"""params.yaml: what is wrong with it is said in one line, and what is written is read back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xstilts import params
from xstilts.errors import UserError
from xstilts.running import experiments

ROOT = Path(__file__).parent.parent


def written(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def problem(tmp_path: Path, text: str) -> str:
    """The message for an experiment file with that text, without the file's name."""
    path = written(tmp_path / "wrong.yaml", text)
    with pytest.raises(UserError) as caught:
        experiments.resolve(path)
    message = str(caught.value)
    assert "\n" not in message
    return message.removeprefix(f"{path}: ").removeprefix(str(path))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "targets: {xnli: {learning_rat: 1.0}}",
            "targets.xnli.learning_rat is not a setting; nearest: learning_rate",
        ),
        ("trainning: {}", "trainning is not a setting; nearest: training"),
        (
            "training: {keep_encoder: true}",
            "training.keep_encoder stands elsewhere now; expected run.keep_model; move it there",
        ),
        ("run: {tracking: never}", "run.tracking: 'never': expected to be 'on', 'later' or 'off'"),
        ("targets: {tatoeba: {layer: 2, pool: cls}}", "nearest: pooling"),
        ("source: {tasks: {xnli: {trains: []}}}", "nearest: train"),
        ("targets: {xnli: {epochs: many}}", "targets.xnli.epochs: 'many': "),
        ("targets: {xnli: {learning_rate: -1}}", "targets.xnli.learning_rate: -1: "),
        ("training: {warmup_ratio: .nan}", "training.warmup_ratio: nan: "),
        ("training: {device: gpu}", "'auto', 'cpu' or 'cuda'"),
        ("intermediates: {a: {members: {mnli: 0}}}", "mnli: a limit is a positive number"),
        ("grid: {targets: [xnli]}", "grid.targets: 'xnli' has no section targets.xnli"),
        ("grid: {replicates: [1, 1]}", "names one twice"),
        ("study: {target: {xnli: {epochs: [3, 1]}}}", "epochs: [3, 1]; expected low <= high"),
        ("study: {pretrain: {steps: [0, 10]}}", "study.pretrain.steps.0: 0: "),
        ("study: {pretrain: {epochs: [1, 2]}}", "study.pretrain.epochs is not a setting"),
        ("study: {target: {xnli: {weight_decay: [0, 1]}}}", "weight_decay.0: 0: "),
        ("study: {target: {xnli: {warmup_ratio: [0, 1.5]}}}", "warmup_ratio.1: 1.5: "),
        ("study: {target: {xnli: {batch_size: []}}}", "study.target.xnli.batch_size: "),
        ("study: {target: {xnli: {batch_size: [8, 0]}}}", "study.target.xnli.batch_size.1: 0: "),
        ("study: {target: {xnli: {parallel: 0}}}", "study.target.xnli.parallel: 0: "),
        ("- a list", "expected a mapping of sections; found list"),
        ("a: [1", ": not YAML: "),
    ],
)
def test_error_names_key_and_what_was_expected(tmp_path: Path, text: str, expected: str) -> None:
    assert expected in problem(tmp_path, text)


@pytest.mark.parametrize("text", ["1e-5", "1.0e-5", "0.00001", "1E-5"])
def test_small_number_is_a_number(tmp_path: Path, text: str) -> None:
    path = written(tmp_path / "a.yaml", f"targets: {{xnli: {{learning_rate: {text}}}}}")
    target = experiments.resolve(path).targets["xnli"]
    assert isinstance(target, params.PhaseSettings)
    assert target.learning_rate == 1e-5


def test_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"gone\.yaml: no such file"):
        params.load(tmp_path / "gone.yaml")


def test_missing_key_is_an_error_with_its_default(tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    params.write(params.Params(), path, "all")
    text = path.read_text()
    assert "clip: 1.0" in text
    path.write_text(text.replace("clip: 1.0, ", "").replace("clip: 1.0\n", "\n"))
    with pytest.raises(UserError, match=r"training\.clip is missing.*expected `clip: 1\.0`"):
        params.load(path)


def test_experiment_inherits_and_members_replace(tmp_path: Path) -> None:
    written(
        tmp_path / "base.yaml",
        "training: {seed: 7, clip: 2}\nintermediates: {m: {members: {mnli: null, qqp: 5}}}",
    )
    child = "inherits: base.yaml\ntraining: {clip: 3}\nintermediates: {m: {members: {mnli: 9}}}"
    resolved = experiments.resolve(written(tmp_path / "child.yaml", child))
    assert (resolved.training.seed, resolved.training.clip) == (7, 3)
    assert resolved.intermediates["m"].members == {"mnli": 9}


def test_circle_of_inheritance_is_an_error(tmp_path: Path) -> None:
    written(tmp_path / "a.yaml", "inherits: b.yaml")
    path = written(tmp_path / "b.yaml", "inherits: a.yaml")
    with pytest.raises(UserError, match="inherits itself"):
        experiments.resolve(path)


@given(
    rate=st.floats(1e-12, 10),
    epochs=st.floats(0.01, 1000),
    limit=st.none() | st.integers(1, 10**9),
    name=st.from_regex(r"[a-z][a-z0-9-]{0,12}", fullmatch=True),
)
def test_written_params_read_back_equal(
    tmp_path_factory: pytest.TempPathFactory,
    rate: float,
    epochs: float,
    limit: int | None,
    name: str,
) -> None:
    row = params.IntermediateSettings(learning_rate=rate, epochs=epochs, members={"mnli": limit})
    grid = params.GridSettings(intermediates=[name])
    path = tmp_path_factory.mktemp("params") / "params.yaml"
    made = params.Params(intermediates={name: row}, grid=grid)
    params.write(made, path, "a test's")
    read = params.load(path)
    assert read.intermediates == made.intermediates
    assert params.dump(read) == params.dump(made)


def test_use_writes_all_and_keeps_what_git_does_not_have(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    written(tmp_path / "small.yaml", "training: {clip: 3}")
    written(tmp_path / "other.yaml", "training: {clip: 4}")
    experiments.use_experiment(Path("small.yaml"))
    assert params.load().training.clip == 3
    experiments.use_experiment(Path("other.yaml"))  # an experiment's own bytes: nothing is lost
    edited = Path("params.yaml").read_text().replace("clip: 4.0", "clip: 5.0")
    Path("params.yaml").write_text(edited)
    with pytest.raises(UserError, match=r"params\.yaml: .*--force"):
        experiments.use_experiment(Path("small.yaml"))
    assert params.load().training.clip == 5
    experiments.use_experiment(Path("small.yaml"), force=True)
    assert params.load().training.clip == 3


GIVEN = """
source: {name: hub, path: .}
pretrain: {encoder: someone/encoder, revision: abc}
intermediates: {m: {members: {mnli: null}}}
targets: {xnli: {}, xquad: &span {span: {doc_stride: 9}}, mlqa: *span}
"""


def test_use_sets_what_the_command_line_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file's head is the command that writes it again, so that another may replace it."""
    monkeypatch.chdir(tmp_path)
    written(tmp_path / "small.yaml", GIVEN)
    changes = [
        *("training.clip=3", "grid.targets=[xnli, xquad]", "targets.xquad.span.doc_stride=7"),
        *("source.tasks.xnli.limits.dev=5", "intermediates.m.members.qqp=4", "source.mirror=a b"),
    ]
    experiments.use_experiment(Path("small.yaml"), changes=changes)
    head = Path("params.yaml").read_text().splitlines()[0]
    assert head.startswith("# Written in full by `xstilts use small.yaml --set training.clip=3 ")
    assert head.endswith(" --set 'source.mirror=a b'`")
    found = params.load()
    assert (found.training.clip, found.grid.targets) == (3, ["xnli", "xquad"])
    xquad = found.targets["xquad"]
    assert isinstance(xquad, params.PhaseSettings) and xquad.span
    assert xquad.span.doc_stride == 7
    assert found.targets["mlqa"].model_dump()["span"]["doc_stride"] == 9  # an alias in YAML
    assert found.source.tasks["xnli"].limits == {"dev": 5} and found.source.mirror == "a b"
    assert found.intermediates["m"].members == {"mnli": None, "qqp": 4}
    assert found.source.complete and found.pretrain.revision == "abc"
    experiments.use_experiment(Path("small.yaml"))  # nothing is lost
    assert params.load().training.clip == 1


def test_another_encoder_has_another_revision(tmp_path: Path) -> None:
    path = written(tmp_path / "small.yaml", GIVEN)
    for changes, revision in [
        (["pretrain.encoder=models/mine"], None),
        (["pretrain.encoder=someone/encoder"], "abc"),
        (["pretrain.encoder=a/b", "pretrain.revision=def"], "def"),
    ]:
        assert experiments.resolve(path, changes).pretrain.revision == revision


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("training.sead=3", "'sead' is not a setting; nearest: seed"),
        ("trainin.seed=3", "'trainin' is not a setting; nearest: training"),
        ("targets.xnil.epochs=3", "'xnil' is not a setting; nearest: xnli"),
        ("source.tasks.xnil.limits.dev=3", "'xnil' is not a setting; nearest: xnli"),
        ("source.tasks.xnli.limits.dve=3", r"source\.tasks\.xnli\.limits\.dve.*expected to be"),
        ("training.seed.x=3", "'seed' has no settings below it"),
        ("training.seed=x", r"small\.yaml --set training.seed=x: training\.seed: 'x': "),
        ("targets.xnli.span.doc_strid=3", "doc_strid is not a setting; nearest: doc_stride"),
        ("training.seed=[", r"'\[' is not YAML"),
        *((change, "expected KEY=VALUE") for change in ("training.seed", "a..b=3", "a=1\n2")),
    ],
)
def test_what_cannot_be_set_is_one_line(tmp_path: Path, change: str, message: str) -> None:
    path = written(tmp_path / "small.yaml", GIVEN)
    with pytest.raises(UserError, match=message) as caught:
        experiments.resolve(path, [change])
    assert "\n" not in str(caught.value).replace(change, "")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"study": {"target": {"xnlii": {"trials": 20}}}}, "study.target: 'xnlii' .*nearest: xnli"),
        (
            {"pretrain": {"heads": 5}},
            r"^params\.yaml: pretrain: hidden: 64; expected a multiple of heads, 5; correct one of",
        ),
        (
            {"pretrain": {"max_length": 600}},
            "pretrain: max_length: 600; expected at most max_positions, 512; correct one of the",
        ),
        (
            {"pretrain": {"keep_layers": 4}},
            "pretrain: keep_layers: 4; expected at most layers, 3; correct one of the two",
        ),
        ({"grid": {"replicates": [0]}}, "expected numbers from 1 on"),
        (
            {"study": {"target": {"xnli": {"trials": 4, "parallel": 4, "prune": True}}}},
            "study.target.xnli: prune: true, and all trials are one round; lower parallel",
        ),
        ({"intermediates": {"none": {"members": {"mnli": None}}}}, "the others are compared"),
    ],
)
def test_what_cannot_be_meant_is_refused(change: dict[str, Any], message: str) -> None:
    values = {"targets": {"xnli": {}}, **change}
    with pytest.raises(UserError, match=message):
        params.check(values, Path("params.yaml"))


def test_experiments_say_whose_settings_they_are() -> None:
    """The published ones disagree: nothing is built in, and the file says who is followed."""
    given = experiments.resolve(ROOT / "experiments/xtreme-xlmr-large.yaml")
    chosen = [given.targets[name] for name in ("xnli", "pawsx", "udpos", "xquad")]
    assert [one.epochs for one in chosen if isinstance(one, params.PhaseSettings)] == [2, 5, 10, 2]
    assert given.intermediates["squad1"].epochs == 3
    tuning = experiments.resolve(ROOT / "experiments/xtreme-r.yaml").targets["tatoeba"].tuning
    assert tuning is not None and (tuning.learning_rate, tuning.epochs) == (3e-5, 2)
    for name, whose in {"xtreme": "epochs: the paper", "xtreme-r": "As XTREME's scripts"}.items():
        assert whose in (ROOT / f"experiments/{name}.yaml").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", ["world", "files-small", "xtreme-r"])
def test_dvc_changes_one_line_of_a_written_file(name: str, tmp_path: Path) -> None:
    """`dvc exp run -S`: by DVC's own writer, a value of each kind."""
    from dvc.utils.serialize import modify_yaml

    file = tmp_path / "params.yaml"
    params.write(experiments.resolve(ROOT / f"experiments/{name}.yaml"), file, "made")
    before = file.read_text(encoding="utf-8").splitlines()
    with modify_yaml(str(file)):
        pass
    assert file.read_text(encoding="utf-8").splitlines() == before
    for section, key, value in (
        ("training", "seed", 7),
        ("training", "adam_epsilon", 1e-7),
        ("pretrain", "encoder", "a/b"),
    ):
        with modify_yaml(str(file)) as content:
            content[section][key] = value
        after = file.read_text(encoding="utf-8").splitlines()
        assert len(after) == len(before)
        assert sum(one != other for one, other in zip(before, after, strict=True)) == 1
        assert params.load(file).model_dump()[section][key] == value
        before = after


@pytest.mark.parametrize(
    ("grid", "line"),
    [
        ({"more_baseline": [1]}, "more_baseline has 1, which replicates has"),
        ({"more_baseline": [2], "intermediates": ["mnli"]}, "more_baseline, and no 'none' among"),
        ({"more_baseline": [2, 2]}, "names one twice"),
        ({"more_baseline": [0]}, "expected numbers from 1 on"),
    ],
)
def test_more_of_the_baseline_is_more(grid: dict[str, object], line: str) -> None:
    raw = {
        "intermediates": {"none": {}, "mnli": {"members": {"mnli": None}}},
        "grid": {"intermediates": ["none"], **grid},
    }
    with pytest.raises(UserError, match=line):
        params.check(raw, Path("params.yaml"))


def test_replicates_with_encoders_of_their_own_have_no_more_baseline() -> None:
    raw = {
        "intermediates": {"none": {}},
        "grid": {"intermediates": ["none"], "more_baseline": [2]},
        "pretrain": {"each_replicate": True},
    }
    with pytest.raises(UserError, match=r"grid.more_baseline: replicates have encoders of their"):
        params.check(raw, Path("params.yaml"))
    params.check({**raw, "pretrain": {"each_replicate": True, "encoder": "x"}}, Path("params.yaml"))
