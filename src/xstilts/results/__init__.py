"""From cells to answers: reports, submissions, scores computed again.

What enters: cards and kept predictions. What leaves: tables, figures, folders. Nothing is trained.
"""
