from __future__ import annotations

import torch

from xstilts.training.encoder import pair_positions


def test_positions_begin_again_at_the_second_text() -> None:
    ids = torch.tensor([[0, 7, 8, 2, 2, 9, 2, 1], [0, 7, 8, 9, 2, 1, 1, 1]])
    found = pair_positions(ids, eos=2, pad=1).tolist()
    assert found[0][:7] == [2, 3, 4, 5, 2, 3, 4]
    assert found[1][:5] == [2, 3, 4, 5, 6]
