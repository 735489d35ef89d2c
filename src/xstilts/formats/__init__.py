"""What lies on disk: tables, records, cards, encoded features.

What enters: plain values. What leaves: files of equal bytes for equal values, and those values
read back.
"""
