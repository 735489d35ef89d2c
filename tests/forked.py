"""Processes that begin with our packages imported, which takes seconds of CPU: each is forked off
one server, which has run nothing, so that they start as if they were new."""

from __future__ import annotations

from collections.abc import Callable
from multiprocessing import get_context
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Any

import pytest

SERVER = get_context("forkserver")
SERVER.set_forkserver_preload(
    ["xstilts.phases.target", "transformers.models.xlm_roberta.modeling_xlm_roberta"]
)


def start(body: Callable[..., None], *arguments: Any) -> tuple[BaseProcess, Connection]:
    """A process that runs body(connection, *arguments), and what it sends: EOFError at its end."""
    ours, theirs = SERVER.Pipe(duplex=False)
    process = SERVER.Process(target=body, args=(theirs, *arguments))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OMP_NUM_THREADS", "1")  # of the server, which the first process starts
        process.start()
    theirs.close()
    return process, ours
