"""THE loop and what it stands on: the encoder, optimisers, evaluation.

What enters: a model, English tables, a plan. What leaves: the model that English dev chose, and
its predictions with their scores.
"""
