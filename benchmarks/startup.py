"""A cell's start-up: from the start of the process to its first optimiser step.

    python benchmarks/startup.py
    python benchmarks/startup.py --intermediate mnli --task udpos --repeats 5

Run it where `xstilts grid` has run. The cell is stopped at its first step and nothing is written.
Prints the seconds of each repeat: the first may read from a cold disk.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time

STOPPED = 77
CODE = f"""
import sys
from xstilts.cli import main as cli
from xstilts.training import loop as training

def stop(*_, **__):
    sys.exit({STOPPED})

training.take_step = stop
cli.app(sys.argv[1:])
"""


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--intermediate", default="none")
    parser.add_argument("--task", default="xnli")
    parser.add_argument("--repeats", type=int, default=3)
    arguments = parser.parse_args()
    for _ in range(arguments.repeats):
        command = [sys.executable, "-c", CODE, "target", arguments.intermediate, arguments.task]
        start = time.monotonic()
        done = subprocess.run(command, check=False)
        seconds = time.monotonic() - start
        if done.returncode != STOPPED:
            sys.exit(f"{arguments.intermediate}, {arguments.task}: no step was taken")
        print(f"{seconds:.1f} s to the first step of {arguments.intermediate}, {arguments.task}")


if __name__ == "__main__":
    main()
