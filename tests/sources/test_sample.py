"""`xstilts use sample` from a mirror of a few real rows: the first check, then its data stages."""

from __future__ import annotations

import unicodedata
from pathlib import Path

import pytest

from tests.sources import sample_mirror
from xstilts.formats.tables import read_json, read_table, tables_in
from xstilts.looking import check, fetching
from xstilts.params import Params
from xstilts.running import experiments
from xstilts.sources.prepare import prepare_intermediate, prepare_target, tasks_of
from xstilts.sources.splits import texts_of
from xstilts.tasks.catalogue import ENTRIES

ROOT = Path(__file__).parents[2]
EXPERIMENT = ROOT / "experiments/sample.yaml"
MOST, LIMIT = 24, 10  # rows of a mirror's table; of a reported one


@pytest.fixture(scope="module")
def sample(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Params:
    """The experiment on the mirror, with an encoder's folder for the check to look at."""
    folder = tmp_path_factory.mktemp("sample")
    mirror = sample_mirror.build(folder / "mirror", shared / "data", MOST)
    encoder = folder / "encoder"
    encoder.mkdir()
    (encoder / "config.json").write_text('{"model_type": "xlm-roberta"}')
    for name in ("sentencepiece.bpe.model", "model.safetensors"):
        (encoder / name).touch()
    source = [f"mirror={mirror}", f"path={ROOT / 'experiments/hub'}", "complete=false"]
    limits = [f"tasks.{task}.limits.test={LIMIT}" for task in ("xnli", "xquad")]
    changes = [f"source.{change}" for change in (*source, *limits)]
    return experiments.resolve(EXPERIMENT, [f"pretrain.encoder={encoder}", *changes])


@pytest.fixture(scope="module")
def prepared(sample: Params, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """data/ as its stages write it, the intermediate that is not in the grid, too."""
    out = tmp_path_factory.mktemp("data")
    for name, section in sample.intermediates.items():
        prepare_intermediate(section.members, sample.source, out / "intermediate" / name)
    for task in sample.grid.targets:
        prepare_target(task, sample.source, out / "target" / task)
    return out


def test_the_check_finds_all_and_nothing_is_fetched(
    sample: Params, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "may be written" in check.require_ready(sample)
    fetching.fetch(sample, *check.wanted_tasks(sample, []))
    assert capsys.readouterr().err == ""


def test_tables_are_of_pinned_revisions_in_many_languages(sample: Params, prepared: Path) -> None:
    pins = sample_mirror.pinned(ROOT / "experiments/hub")
    scripts = set()
    for task in sample.grid.targets:
        notes = " ".join(read_json(prepared / "target" / task / "notes.json"))
        for repository in ENTRIES[task].repositories[0]:
            assert f"{repository.id} at {pins.get(repository.id, '')}" in notes
        tables = list(tables_in(prepared / "target" / task))
        wanted = sample.source.tasks[task].languages
        assert {language for split, language in tables if split == "test"} == set(wanted or ())
        for split, language in tables:
            for text in texts_of(read_table(prepared / "target" / task, split, language).rows[0]):
                scripts |= {unicodedata.name(c).split()[0] for c in text if c.isalpha()}
    assert len(sample.grid.targets) >= 6
    assert {"ARABIC", "CJK", "CYRILLIC", "DEVANAGARI", "GREEK", "LATIN", "THAI"} <= scripts
    notes = read_json(prepared / "intermediate/hellaswag/hellaswag/notes.json")
    assert pins["Rowan/hellaswag"] in notes[0]


def test_rows_are_the_same_in_each_language(sample: Params, prepared: Path) -> None:
    for task, what in (("xnli", "label"), ("xquad", "id")):
        tables = [
            [row[what] for row in read_table(prepared / "target" / task, "test", code).rows]
            for code in sample.source.tasks[task].languages or ()
        ]
        assert len(tables) == 9 and all(table == tables[0] for table in tables)
        assert len(tables[0]) == LIMIT


def test_what_trains_shares_no_text_with_what_is_scored(sample: Params, prepared: Path) -> None:
    """Tagged sentences are left out: official splits repeat some."""
    scored = {
        text
        for task in ("xnli", "xquad", "mlqa")
        for split, language in tables_in(prepared / "target" / task)
        for row in read_table(prepared / "target" / task, split, language).rows
        for text in texts_of(row)
    }
    trained = [path.parent for path in prepared.rglob("train-en.parquet")]
    assert len(trained) == 8
    for folder in trained:
        if read_json(folder / "record.json")["family"] != "tagging":
            texts = {
                text for row in read_table(folder, "train", "en").rows for text in texts_of(row)
            }
            assert texts and not texts & scored


def test_what_no_lock_pins_is_said() -> None:
    given = experiments.resolve(EXPERIMENT)
    names = [name for name in tasks_of(given.grid, given.intermediates) if name != "text"]
    locks = {path.stem for path in (ROOT / given.source.path).glob("*.lock")}
    open_ones = [name for name in names if name not in locks]
    comment = EXPERIMENT.read_text().partition("experiment:")[0].partition("Not pinned")[2]
    assert open_ones and all(name in comment for name in open_ones)
