"""Searches for settings on English dev: the only room that knows Optuna.

What enters: a study's section, and a function of the searched values that trains and gives the
English dev score. What leaves: studies/PHASE/NAME.yaml. The searched values and a place to work in
are all that a trial can be told: no test table, and no table of another language, can be passed.
With trials: 0 (the default) the file is `{}`, written at once.
"""
