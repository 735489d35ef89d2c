"""The three phases: pretrain, intermediate, target.

What enters: the folders that dvc.yaml names, and settings. What leaves: an encoder or a cell, with
its card.
"""
