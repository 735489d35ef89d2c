"""Moments of kills: another at each run, and the same again where a seed is given."""

from __future__ import annotations

import os
import random


def moments() -> random.Random:
    """Prints its seed, which pytest shows where the test fails; XSTILTS_TEST_SEED sets it."""
    seed = int(os.environ.get("XSTILTS_TEST_SEED") or random.randrange(10**6))
    print(f"XSTILTS_TEST_SEED={seed}")
    return random.Random(seed)
