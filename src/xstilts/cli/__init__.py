"""The commands, which call and import nothing heavy before they run.

What enters: words of a command line. What leaves: calls, lines, an exit status.
"""
