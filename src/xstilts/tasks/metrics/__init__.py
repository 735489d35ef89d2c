"""The official metrics, one a file: plain values in, fractions out; numpy at most, no torch."""
