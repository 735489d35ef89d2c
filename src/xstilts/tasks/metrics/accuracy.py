"""Accuracy and binary F1: two equally long sequences of labels in, a fraction out."""

from __future__ import annotations

from collections.abc import Sequence


def accuracy(predictions: Sequence[object], references: Sequence[object]) -> float:
    """The share of equal pairs, as `accuracy` of XTREME's evaluate.py; ValueError without any."""
    _check(predictions, references)
    correct = sum(p == r for p, r in zip(predictions, references, strict=True))
    return correct / len(references)


def binary_f1(
    predictions: Sequence[object], references: Sequence[object], positive: object = "1"
) -> float:
    """F1 of the label `positive`, 0 where it is never right: GLUE's second number of QQP."""
    _check(predictions, references)
    pairs = list(zip(predictions, references, strict=True))
    correct = sum(p == positive and r == positive for p, r in pairs)
    named = sum((p == positive) + (r == positive) for p, r in pairs)
    return 2 * correct / named if correct else 0.0


def _check(predictions: Sequence[object], references: Sequence[object]) -> None:
    if len(predictions) != len(references):
        raise ValueError(f"{len(predictions)} predictions for {len(references)} references")
    if not references:
        raise ValueError("no references to score")
