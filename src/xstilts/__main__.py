"""`python -m xstilts`."""

from xstilts.cli.main import main

main()
