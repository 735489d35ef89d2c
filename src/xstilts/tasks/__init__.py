"""What a task is: its record, its family, its metrics.

What enters: rows. What leaves: features, predictions, scores. Nothing is trained here.
"""
