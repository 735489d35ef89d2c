"""The one error that a user can cause: one line of where, what, what was expected, what to do."""

from __future__ import annotations

import difflib
import errno
from collections.abc import Iterable

# What a disk or its owner refuses. Not every library keeps the number of the error.
_REFUSED = {
    errno.ENOSPC: "No space left on device",
    errno.EDQUOT: "Disk quota exceeded",
    errno.EROFS: "Read-only file system",
    errno.EACCES: "Permission denied",
}


class UserError(Exception):
    """`where: what; expected; do`. The command line prints it alone and exits with status 2."""


class Unreachable(UserError):
    """A network that does not answer: whatever else is asked of it will not be answered either."""


def nearest(word: str, words: Iterable[str]) -> str:
    """'; nearest: WORD' where one of `words` is close to `word`, else a list of them all."""
    known = sorted(set(words))
    close = difflib.get_close_matches(word, known, n=1, cutoff=0.5)
    return (
        f"; nearest: {close[0]}"
        if close
        else f"; expected one of: {', '.join(known) or '(there is none yet)'}"
    )


def of_disk(error: BaseException) -> str | None:
    """The line of an error that a full or read-only disk caused, however deep; None of others."""
    seen: BaseException | None = error
    while seen is not None:
        number = getattr(seen, "errno", None)
        words = _REFUSED.get(number) if isinstance(number, int) else None
        words = words or next((text for text in _REFUSED.values() if text in str(seen)), None)
        if words:
            where = getattr(seen, "filename", None) or "the disk"
            return (
                f"{where}: {words}; expected a place that can be written, and room; see to it and "
                "run the same command again: what has ended stays"
            )
        seen = seen.__cause__ or seen.__context__
    return None
