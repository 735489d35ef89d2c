"""What leaves: a cell's model as a folder of its own, with a card, and predictions of new rows.

What enters: a cell, its kept model (training/saved.py), or an exported folder; files of rows. What
leaves: a folder that transformers loads, or one in our own layout; predictions as JSON lines. No
stage imports this room.
"""
