"""The process of which the driver's stages are forks, started and ended (`cli/warm.py`)."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager


@contextmanager
def warm_process(wanted: bool, environment: Mapping[str, str]) -> Iterator[Mapping[str, str]]:
    """What stages need in their environment to be forks of one process, where that is possible."""
    if not wanted or sys.platform != "linux":
        yield {}
        return
    with tempfile.TemporaryDirectory(prefix="xstilts-") as folder:
        path = f"{folder}/stages"
        server = subprocess.Popen(
            [sys.executable, "-m", "xstilts.cli.warm", path],
            env=environment,
            stdin=subprocess.PIPE,  # which ends with us, and the server with it
            start_new_session=True,
        )
        try:
            yield {"XSTILTS_WARM": path}
        finally:
            server.terminate()
            server.communicate()
