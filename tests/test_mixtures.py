from __future__ import annotations

import pytest

from tests.rows import record
from xstilts.errors import UserError
from xstilts.formats.tables import Table
from xstilts.params import FrozenSettings, PhaseSettings, SpanSettings, TrainingSettings
from xstilts.phases.members import check_target, subset


@pytest.mark.parametrize(
    ("family", "trained", "section", "words"),
    [
        ("classification", True, FrozenSettings(), "is trained; expected learning_rate"),
        ("retrieval", False, PhaseSettings(), "nothing trains"),
        ("tagging", True, PhaseSettings(span=SpanSettings()), "expected null"),
    ],
)
def test_settings_of_another_kind_are_refused(
    family: str, trained: bool, section: PhaseSettings | FrozenSettings, words: str
) -> None:
    with pytest.raises(UserError, match=words):
        check_target(record(family, trained=trained), section)


def test_limited_dev_is_a_seeded_choice_of_whole_rows() -> None:
    """jiant took the first 500 features: of one genre, and of spans parts of a question."""
    rows = [{"id": str(number)} for number in range(100)]
    table = Table("mnli", "select", "en", rows, "digest")
    chosen = [subset(table, TrainingSettings(dev_rows=10, seed=seed)) for seed in (1, 1, 2)]
    assert [len(one.rows) for one in chosen] == [10, 10, 10]
    assert chosen[0].rows == chosen[1].rows != chosen[2].rows
    assert rows[:10] not in [one.rows for one in chosen]
    assert len({one.digest for one in chosen} | {table.digest}) == 3
    assert subset(table, TrainingSettings(dev_rows=None)).rows == rows
