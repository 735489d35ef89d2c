"""Whether differences of the table are real: sums, intervals, verdicts; it trains nothing.

A difference has two sources of chance. Another seed trains another model; other test rows score the
same model otherwise. The interval holds both (docs/answers.md).
"""
