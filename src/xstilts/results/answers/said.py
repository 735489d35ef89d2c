"""An answer in words: points, with one decimal. What enters: fractions. What leaves: strings."""

from __future__ import annotations

from xstilts.results.answers.table import Answer
from xstilts.results.answers.verdicts import SIGNS


def bracketed(answer: Answer) -> str:
    """[+0.5, +5.9] and its sign: the interval, in points."""
    low, high = (percent(end, "+") for end in (answer.interval.low, answer.interval.high))
    return f"[{low}, {high}] {SIGNS[answer.verdict]}".rstrip()


def gained(answer: Answer) -> str:
    """+3.2 [+0.5, +5.9] and its sign: the difference before its interval."""
    return f"{percent(answer.interval.difference, '+')} {bracketed(answer)}"


def percent(fraction: float, sign: str = "") -> str:
    """A fraction in percent, or a difference in points, with one decimal; never -0.0."""
    return f"{round(100 * fraction, 1) + 0.0:{sign}.1f}"
