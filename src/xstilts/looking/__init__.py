"""Looks at tasks, rows and layers, as the model reads them.

What enters: prepared tables, an encoder. What leaves: lines and pictures. Nothing is trained.
"""
