"""The command `xstilts`, also as `python -m xstilts`."""

from xstilts.cli.warm import hand_over


def main() -> None:
    """Run the command, in a fork of `xstilts grid`'s warm process where there is one."""
    hand_over()
    from xstilts.cli.main import main as run  # which takes a while to import

    run()


if __name__ == "__main__":
    main()
