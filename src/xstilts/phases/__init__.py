"""The three phases, the story in order: pretrain, intermediate, target; a page each.

What enters: the folders that dvc.yaml names, and settings. What leaves: an encoder or a cell, with
its card.
"""
