"""The one error that a user can cause: one line of where, what, what was expected, what to do."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class UserError(Exception):
    """`where: what; expected; do`. The command line prints it alone and exits with status 2."""


def nearest(word: str, words: Iterable[str]) -> str:
    """'; nearest: WORD' where one of `words` is close to `word`, else a list of them all."""
    known = sorted(set(words))
    close = difflib.get_close_matches(word, known, n=1, cutoff=0.5)
    return (
        f"; nearest: {close[0]}"
        if close
        else f"; expected one of: {', '.join(known) or '(there is none yet)'}"
    )
