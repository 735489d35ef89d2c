from __future__ import annotations

import pytest

from tests.rows import record
from xstilts.errors import UserError
from xstilts.mixtures import check_target
from xstilts.params import FrozenSettings, PhaseSettings, SpanSettings


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
