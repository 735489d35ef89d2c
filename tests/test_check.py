"""What keeps a grid from its end is said before it begins, all at once, in seconds."""

from __future__ import annotations

import errno
import re
import resource
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

import xstilts_world
from tests.graphs import environment, small_graph
from xstilts import errors, params, paths
from xstilts.cli import main
from xstilts.errors import UserError
from xstilts.looking import check
from xstilts.params import Params, SourceSettings
from xstilts.running import experiments, grid
from xstilts.running import graph as graphs
from xstilts.sources import needed
from xstilts.sources.prepare import prepare_intermediate, prepare_target
from xstilts.tasks.catalogue import record

ROOT = Path(__file__).parent.parent
SECONDS = 3.0


def experiment(name: str) -> Params:
    return experiments.resolve(ROOT / f"experiments/{name}.yaml")


def changed(settings: Params, **sections: dict[str, Any]) -> Params:
    """The settings with some keys of their sections changed."""
    values = settings.model_dump()
    for section, keys in sections.items():
        values[section] |= keys
    return Params.model_validate(values)


@pytest.fixture
def at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the world's package, as params name it."""
    (tmp_path / "src/xstilts_world").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def problems(settings: Params, *stages: str, gpus: tuple[int, ...] = ()) -> list[str]:
    with pytest.raises(UserError) as error:
        check.require_ready(settings, stages, gpus=gpus)
    return str(error.value).splitlines()


def test_every_problem_of_a_params_file_is_a_line(tmp_path: Path) -> None:
    file = tmp_path / "params.yaml"
    params.write(experiment("world"), file, "made")
    text = file.read_text()
    text = text.replace("seed: 1", "sead: 1", 1).replace("clip: 1.0", "clip: -1.0")
    file.write_text(text)
    with pytest.raises(UserError) as error:
        params.load(file)
    assert len(lines := str(error.value).splitlines()) == 2
    assert all(line.startswith(f"{file}: ") for line in lines)
    assert "source.sead is not a setting; nearest: seed" in str(error.value)
    assert "training.clip: -1.0: " in str(error.value)


def test_every_name_without_a_section_is_a_line(tmp_path: Path) -> None:
    file = tmp_path / "params.yaml"
    params.write(experiment("world"), file, "made")
    text = (
        file.read_text()
        .replace("  - mnli\n", "  - mnil\n", 1)
        .replace("  - xnli\n", "  - xnly\n", 1)
    )
    file.write_text(text.replace("  target:\n", "  target:\n    pawx: {trials: 1}\n", 1))
    with pytest.raises(UserError) as error:
        params.load(file)
    assert "grid.intermediates: 'mnil' has no section intermediates.mnil; nearest: mnli" in str(
        error.value
    )
    assert "grid.targets: 'xnly' has no section targets.xnly; nearest: xnli" in str(error.value)
    assert "study.target: 'pawx' has no section targets.pawx; nearest: pawsx" in str(error.value)
    assert str(error.value).count("\n") == 2


def test_a_grid_without_its_files_is_a_line_a_table_in_seconds(at: Path) -> None:
    """XTREME's grid, 11 x 9 x 3, as a command: nothing is touched, and torch is not imported."""
    settings = changed(experiment("xtreme"), training={"device": "auto"})
    for name in ("dvc.yaml", "experiments"):
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, at / name)
    params.write(settings, at / "params.yaml", "made")
    (at / "download").mkdir()
    took_s = []
    for _ in range(3):  # the machine may be doing much else
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        done = subprocess.run(
            [sys.executable, "-m", "xstilts", "grid"],
            cwd=at,
            env=environment(at),
            capture_output=True,
            text=True,
            check=False,
        )
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        took_s.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
        if took_s[-1] < SECONDS:
            break
    assert min(took_s) < SECONDS
    assert done.returncode == 2
    lines = done.stderr.splitlines()
    assert all(line.startswith("xstilts: download: no file for ") for line in lines)
    named = {tuple(line.split()[5:7]) for line in lines}
    assert {("anli_plus", "train"), ("ccg", "dev"), ("panx", "test"), ("tydiqa", "train")} <= named
    assert len(lines) == len(named)
    assert {path.name for path in at.iterdir()} == {
        *("src", "download", "dvc.yaml", "experiments", "params.yaml")
    }


def test_only_what_the_stages_need_is_looked_up(at: Path) -> None:
    settings = changed(experiment("xtreme"), training={"device": "auto"})
    (at / "download").mkdir()
    for stages in (["target@mnli-pawsx-1"], ["data-intermediate@mnli", "data-target@pawsx"]):
        named = {line.split()[4] for line in problems(settings, *stages)}
        assert named == {"mnli", "pawsx"}, stages
    assert len({line.split()[4] for line in problems(settings, "report")}) > 15


def test_a_target_that_selects_on_its_own_dev_needs_no_other(at: Path) -> None:
    """XTREME's folder has XNLI's training rows and no dev of MNLI, which nothing then reads."""
    settings = changed(experiment("xtreme"), training={"device": "auto"})
    (at / "download/xnli").mkdir(parents=True)
    files = ["train-en"] + [f"{s}-{c}" for s in ("dev", "test") for c in record("xnli").languages]
    for name in files:
        (at / f"download/xnli/{name}.tsv").touch()
    check.require_ready(settings, ["target@none-xnli-1"])


def test_languages_that_xtreme_r_adds_stop_no_other_task(at: Path) -> None:
    """Of XQuAD any may be named: what keeps SQuAD's contexts apart reads English alone."""
    source = {"name": "files", "path": ".", "tasks": {"xquad": {"languages": ["en", "ro"]}}}
    settings = SourceSettings.model_validate(source)
    lines = needed.look_up([], ["xquad", "tatoeba"], "xtreme-r", settings).lines
    assert lines and not any("'ro' is not one" in line for line in lines)


def test_phase_1_needs_no_task(at: Path) -> None:
    settings = changed(experiment("xtreme"), training={"device": "auto"})
    (at / "download").mkdir()
    for stage in ("code", "pretrain"):
        check.require_ready(settings, [stage])


def test_a_folder_that_is_not_there_is_one_line(at: Path) -> None:
    settings = changed(experiment("xtreme"), training={"device": "auto"})
    assert problems(settings) == [
        "params.yaml: source.path: download: no such folder; expected the folder of the source's "
        "files; make it, or a link, or correct the path"
    ]


def test_unknown_members_and_sources_are_named(at: Path) -> None:
    world = experiment("world")
    rows = world.model_dump()["intermediates"]
    rows["mnli"]["members"] = {"mnil": None}
    assert problems(changed(world, intermediates=rows)) == [
        "params.yaml: intermediates.*.members: 'mnil' is not a task of the catalogue; nearest: mnli"
    ]
    assert "nearest: world" in problems(changed(world, source={"name": "wrld"}))[0]


def test_the_hub_is_asked_once_where_it_does_not_answer(
    at: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from xstilts.sources import snapshots

    asked = []

    def no_network(name: str, revision: str, mirror: str | None) -> None:
        asked.append(name)
        raise OSError("no network")

    monkeypatch.setattr(snapshots, "resolved", no_network)
    settings = changed(experiment("xtreme-hub"), training={"device": "auto"})
    settings = changed(settings, source={"path": "."}, pretrain={"encoder": None})
    lines = problems(settings)
    assert (len(lines), len(asked)) == (1, 1) and "the Hub cannot be reached" in lines[0]


@pytest.mark.parametrize("name", ["world", "files-small"])
def test_what_the_data_stages_read_is_what_is_looked_up(
    name: str, at: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With either grid's tasks, out of a world of a few rows."""
    settings = changed(experiment(name), source={"name": "world", "path": "src", "tasks": {}})
    tasks = {n: (make, *(min(size, 60) for size in sizes))
             for n, (make, *sizes) in xstilts_world.TASKS.items()}  # fmt: skip
    monkeypatch.setattr(xstilts_world, "TASKS", tasks)
    read, located = set(), set()
    real_read, real_locate = xstilts_world.read, xstilts_world.locate

    def note(seen: set[tuple[str, str, str]], real: Any) -> Any:
        def noted(record: Any, split: str, language: str, source: Any) -> Any:
            found = real(record, split, language, source)
            if found is not None:
                seen.add((record.name, split, language))
            return found

        return noted

    targets = [task for task in settings.grid.targets if task in xstilts_world.TASKS]
    names = settings.grid.intermediates
    members = [task for row in names for task in settings.intermediates[row].members]
    monkeypatch.setattr(xstilts_world, "locate", note(located, real_locate))
    assert needed.look_up(members, targets, "xtreme", settings.source).lines == []
    monkeypatch.setattr(xstilts_world, "locate", real_locate)
    monkeypatch.setattr(xstilts_world, "read", note(read, real_read))
    for row in names:
        prepare_intermediate(settings.intermediates[row].members, settings.source, at / "i" / row)
    for task in targets:
        prepare_target(task, settings.source, at / "t" / task)
    assert read == located


# xstilts data --check


def test_the_tables_that_are_there_and_missing_are_listed(
    at: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A table a line, together by task; what is missing is said as `xstilts grid` says it."""
    made = changed(
        experiment("xtreme"),
        training={"device": "auto"},
        source={"path": "raw"},
        grid={"intermediates": ["none", "mnli"], "targets": ["xnli"]},
    )
    params.write(made, at / "params.yaml", "made")
    (at / "dvc.yaml").write_text("")
    languages = record("xnli").languages
    for file in ["xnli/train-en.tsv", *(f"xnli/dev-{code}.tsv" for code in languages[2:])]:
        (at / "raw" / file).parent.mkdir(parents=True, exist_ok=True)
        (at / "raw" / file).touch()
    run = CliRunner().invoke(main.app, ["data", "--check"])
    assert run.exit_code == 1
    table, _, missing = run.stdout.partition("\n\nmissing, and what was looked for:\n")
    cells = [re.split(" {2,}", line) for line in table.splitlines()]
    licence = record("xnli").licence
    assert cells == [
        ["task", "split", "there", "missing", "where", "licence of the task"],
        ["mnli", "train", "en", "-", "xnli/train-en.tsv", record("mnli").licence],
        ["mnli", "dev", "0", "en", "-", record("mnli").licence],
        ["xnli", "dev", "13", " ".join(languages[:2]), "xnli/dev-{language}.tsv", licence],
        ["xnli", "test", "0", "all 15", "-", licence],
    ]
    monkeypatch.setattr(check, "_encoder", lambda *_: [])
    assert missing.splitlines() == problems(made)
    assert "expected one of xnli/XNLI-1.0/xnli.test.tsv, " in missing


def test_a_folder_that_is_not_there_is_said_with_what_belongs_into_it(at: Path) -> None:
    source = {"name": "files", "path": "nowhere"}
    tables, lines = check.listed_tables(changed(experiment("files-small"), source=source))
    assert len(tables) > 25 and len(lines) > 25
    assert lines[0].startswith("params.yaml: source.path: nowhere: no such folder; ")


def test_the_world_needs_nothing(at: Path) -> None:
    tables, lines = check.listed_tables(experiment("world"))
    assert lines == [] and all("made from source.seed" in line for line in tables[1:])


# The encoder


def encoder_folder(at: Path) -> Path:
    from tests.models import tiny_encoder

    return tiny_encoder("xlm-r", at / "encoder")


def test_an_encoder_is_looked_at(at: Path) -> None:
    pytest.importorskip("torch")  # a real one is made
    encoder_folder(at)
    settings = changed(experiment("world"), pretrain={"encoder": "encoder"})
    assert "may be written" in check.require_ready(settings)
    (at / "encoder/tokenizer.json").write_text('{"model"')
    (at / "encoder/config.json").write_text('{"hidden_size": 8}')
    (at / "encoder/model.safetensors").unlink()
    lines = problems(settings)
    assert len(lines) == 3
    assert lines[0].startswith("encoder/config.json: no model_type in it")
    assert lines[1].startswith("encoder/tokenizer.json: not a tokenizer (")
    assert lines[2].startswith("params.yaml: pretrain.encoder: encoder: no weights in it")


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({}, ["no config.json in it", "no tokenizer.json in it", "no weights in it"]),
        ({"config.json": "{", "spiece.model": ""}, ["not JSON", "no weights in it"]),
    ],
)
def test_a_folder_without_an_encoder(at: Path, files: dict[str, str], said: list[str]) -> None:
    (at / "docs").mkdir()
    for name, text in files.items():
        (at / "docs" / name).write_text(text)
    lines = problems(changed(experiment("world"), pretrain={"encoder": "docs"}))
    assert len(lines) == len(said)
    assert all(words in line for words, line in zip(said, lines, strict=True))


def test_what_is_neither_folder_nor_hub_id(at: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = problems(changed(experiment("world"), pretrain={"encoder": "./no/such/folder"}))
    assert len(lines) == 1 and "no such folder, and no Hub id" in lines[0]


def test_a_hub_that_does_not_answer_is_asked_once(
    at: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A download asks five times more, which takes half a minute."""
    import huggingface_hub

    asked = []

    def unreachable(*_: object, **__: object) -> None:
        asked.append("info")
        raise ConnectionError("no route")

    monkeypatch.setattr(huggingface_hub.HfApi, "model_info", unreachable)
    monkeypatch.setattr("time.sleep", lambda _: asked.append("again"))
    lines = problems(changed(experiment("world"), pretrain={"encoder": "nobody/nothing"}))
    assert len(lines) == 1 and "no such folder, and the Hub cannot be reached" in lines[0]
    assert asked == ["info"]


def test_without_a_hub_one_line_names_both_ways(at: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tables and encoder are to come from it: it is asked once."""
    import huggingface_hub

    asked = []

    def unreachable(*_: object, **__: object) -> None:
        asked.append("info")
        raise ConnectionError("no route")

    for name in ("model_info", "dataset_info"):
        monkeypatch.setattr(huggingface_hub.HfApi, name, unreachable)
    settings = changed(experiment("sample"), source={"path": "."})
    assert problems(settings) == [
        "params.yaml: the Hub cannot be reached, from which pretrain.encoder "
        "(intfloat/multilingual-e5-small) and the tables are to come; expected it online; try "
        "again, or `xstilts use sample --encoder FOLDER --set source.mirror=FOLDER` with copies "
        "of both on this machine"
    ]
    assert asked == ["info"]


# The machine


def test_gpus_that_do_not_answer(at: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(check, "version", lambda name: "2.13.0")
    monkeypatch.setattr(check, "gpu_count", lambda: 0)
    settings = changed(experiment("world"), training={"device": "cuda"})
    assert "training.device: cuda, but no GPU answers" in problems(settings)[0]
    monkeypatch.setattr(check, "gpu_count", lambda: 2)
    check.require_ready(settings, gpus=(0, 1))
    assert problems(settings, gpus=(0, 2)) == [
        "--gpus 2: 2 GPUs answer; expected a number below; correct it"
    ]
    monkeypatch.setattr(check, "version", lambda name: "2.13.0+cpu")
    assert "built for the CPU alone" in problems(settings)[0]


def test_a_disk_that_is_too_small(at: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    used = shutil.disk_usage(at)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: used._replace(free=10**6))
    assert "0.0 GB are free; expected room for all" in problems(experiment("world"))[0]


def test_room_grows_with_the_grid_and_shrinks_as_it_ends(at: Path) -> None:
    """An encoder of XLM-R Large's shape in phase 2: its 2.2 GB are kept for each replicate."""
    shape = {"vocabulary": 250_002, "layers": 24, "hidden": 1024, "heads": 16, "intermediate": 4096}
    settings = changed(experiment("world"), pretrain={**shape, "each_replicate": False})
    weights = 2.24e9
    one = check.space_needed(settings, 1)
    # The baseline has none.
    models = 1 + (len(settings.grid.intermediates) - 1) * len(settings.grid.replicates)
    assert one == pytest.approx((models + check.TRAINING_COPIES) * weights, rel=0.1)
    assert check.space_needed(settings, 2) - one == pytest.approx(8 * weights, rel=0.05)
    paths.intermediate_model("mnli", 1).mkdir(parents=True)
    assert one - check.space_needed(settings, 1) == pytest.approx(weights, rel=0.05)
    kept = changed(settings, run={"keep_model": True})
    assert check.space_needed(kept, 1) - check.space_needed(settings, 1) > 40 * weights


def test_each_stage_has_a_card_of_its_own(tmp_path: Path) -> None:
    graph = graphs.Graph({}, frozenset(), {}, {}, {})
    from rich.console import Console

    made = grid.Driver(graph, 4, Console(), [3, 5])
    given = []
    for number in range(4):
        card = made._least_busy()
        given.append(card)
        made.running[str(number)] = grid.Running(None, tmp_path, 0.0, card)  # type: ignore[arg-type]
    assert given == [3, 5, 3, 5]
    del made.running["1"]
    assert made._least_busy() == 5
    assert grid.Driver(graph, 4, Console())._least_busy() is None


def test_a_command_sees_its_card_alone(tmp_path: Path) -> None:
    folder = small_graph(tmp_path / "driver")
    step = folder / "step.py"
    step.write_text(
        step.read_text() + 'open("cards", "a").write(os.environ["CUDA_VISIBLE_DEVICES"] + " ")\n'
    )
    script = (
        "from xstilts.running.grid import run_grid; import sys; sys.exit(run_grid(0, (), [7, 4]))"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=folder, env=environment(folder),
                          capture_output=True, text=True, check=False)  # fmt: skip
    assert done.returncode == 0, done.stderr
    cards = (folder / "cards").read_text().split()
    assert len(cards) == 5 and set(cards) == {"7", "4"}


@pytest.mark.parametrize(("name", "near"), [("bb", "nearest: b"), ("A@x", "expected one of")])
def test_a_wrong_stage_gets_the_nearest(tmp_path: Path, name: str, near: str) -> None:
    with pytest.raises(UserError, match=f"no stage or group '{name}'; {near}"):
        graphs._require_stages([name], ["a", "b", "c@one", "c@two"])
    graphs._require_stages(["c", "c@two", "a"], ["a", "b", "c@one", "c@two"])
    with pytest.raises(UserError, match="nearest: c@two"):
        graphs._require_stages(["c@tow"], ["a", "b", "c@one", "c@two"])


# The command line


def test_the_root_is_found_from_a_folder_below(at: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("params.yaml", "dvc.yaml"):
        (at / name).write_text("")
    below = at / "docs/deep"
    below.mkdir(parents=True)
    monkeypatch.chdir(below)
    assert paths.to_root(Path("out"), Path("../x"), at / "y") == [
        *(Path("docs/deep/out"), Path("docs/x"), Path("y"))
    ]
    assert Path.cwd() == at
    assert paths.to_root(Path("out")) == [Path("out")]


def test_an_experiment_has_a_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    assert experiments.experiment_file("files-small") == Path("experiments/files-small.yaml")
    assert experiments.experiment_file("experiments/world.yaml") == Path("experiments/world.yaml")
    with pytest.raises(UserError, match="no experiment; nearest: files-small"):
        experiments.experiment_file("file-small")
    with pytest.raises(UserError, match=r"experiments/nope.yaml: no such file"):
        experiments.resolve(experiments.experiment_file("experiments/nope.yaml"))


def test_a_file_is_meant_from_where_the_command_is_given(at: Path) -> None:
    shutil.copytree(ROOT / "experiments", at / "experiments")
    for name in ("params.yaml", "dvc.yaml"):
        shutil.copy(ROOT / name, at / name)
    (at / "docs").mkdir()
    for given in ("../experiments/files-small.yaml", "files-small"):
        done = subprocess.run(
            [sys.executable, "-m", "xstilts", "use", given, "--force"],
            cwd=at / "docs", env=environment(at) | {"PYTHONPATH": str(ROOT / "src")},
            capture_output=True, text=True, check=True,
        )  # fmt: skip
        assert done.stdout.startswith("params.yaml: experiments/files-small.yaml, ")


def test_the_version_is_that_of_the_package(capsys: pytest.CaptureFixture[str]) -> None:
    done = subprocess.run([sys.executable, "-m", "xstilts", "--version"],
                          capture_output=True, text=True, check=True)  # fmt: skip
    assert done.stdout == "xstilts 0.1.0\n"


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES])
def test_a_disk_that_refuses_is_one_line(
    number: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full() -> None:
        try:
            raise OSError(number, errors._REFUSED[number], "cells/none/xnli")
        except OSError as error:
            raise RuntimeError("the writer stopped") from error

    monkeypatch.setattr(main, "app", full)
    monkeypatch.setattr(sys, "argv", ["xstilts", "report"])
    with pytest.raises(SystemExit) as left:
        main.main()
    assert left.value.code == 2
    line = capsys.readouterr().err
    assert line.startswith(f"xstilts: cells/none/xnli: {errors._REFUSED[number]}; expected ")
    assert line.count("\n") == 1


def test_other_errors_are_bugs_of_ours() -> None:
    assert errors.of_disk(ValueError("no")) is None
    assert errors.of_disk(OSError(errno.ENOENT, "No such file or directory", "x")) is None
    assert "No space left" in str(
        errors.of_disk(RuntimeError("write: No space left on device (28)"))
    )


def test_a_full_disk_is_one_line(at: Path) -> None:
    """/dev/full answers as a full disk does; with room again the same command ends."""
    shutil.copytree(ROOT / "experiments", at / "experiments")
    (at / "params.yaml").symlink_to("/dev/full")
    command = [sys.executable, "-m", "xstilts", "use", "world", "--force"]
    run = {"cwd": at, "env": environment(at), "capture_output": True, "text": True, "check": False}
    done = subprocess.run(command, **run)  # type: ignore[call-overload]
    assert done.returncode == 2 and done.stderr.count("\n") == 1
    assert "No space left on device; expected" in done.stderr
    (at / "params.yaml").unlink()
    assert subprocess.run(command, **run).returncode == 0  # type: ignore[call-overload]


def test_a_replicate_that_the_grid_has_not_is_named(at: Path) -> None:
    params.write(experiment("world"), at / "params.yaml", "made")
    (at / "dvc.yaml").write_text("")
    for words in (["target", "none", "xnli"], ["intermediate", "mnli"]):
        done = subprocess.run(
            [sys.executable, "-m", "xstilts", *words, "--replicate", "7"],
            cwd=at, env=environment(at), capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert (done.returncode, done.stderr) == (
            2,
            "xstilts: --replicate 7: params.yaml: grid.replicates has 1, 2, 3; expected one of "
            "them; add it there\n",
        )


def test_a_study_without_trials_says_so(at: Path) -> None:
    study = experiment("world").model_dump()["study"]
    study["target"]["xnli"] = {"trials": 0}
    params.write(changed(experiment("world"), study=study), at / "params.yaml", "made")
    (at / "dvc.yaml").write_text("")
    done = subprocess.run(
        [sys.executable, "-m", "xstilts", "study", "target", "xnli"],
        cwd=at, env=environment(at), capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout == (
        "studies/target/xnli.yaml: study.target.xnli.trials is 0 in params.yaml, so params' own "
        "values stay\n"
    )
    assert (at / "studies/target/xnli.yaml").read_text() == "{}\n"


def test_a_study_that_is_gone_names_its_stage(at: Path) -> None:
    from xstilts.phases.provenance import read_study

    with pytest.raises(UserError, match="dvc repro study-target@tatoeba"):
        read_study(paths.study("target", "tatoeba"))
