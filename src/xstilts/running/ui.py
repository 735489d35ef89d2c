"""`xstilts ui`: MLflow's pages of the store that runs are sent to, opened at the first view.

What enters: an experiment. What leaves: a process of `mlflow ui` until Ctrl-C, and its address. At
a tracking server nothing is started: its own address is printed.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
import webbrowser
from contextlib import suppress
from pathlib import Path

from xstilts.errors import UserError
from xstilts.running import views
from xstilts.running.server import QUIET, Server, open_server, tracking_uri
from xstilts.running.signals import caught_signals

HOST, USUAL = "127.0.0.1", 5000
STARTS_WITHIN_S = 120.0
STOPS_WITHIN_S = 10.0


def free_port(wanted: int) -> int:
    """The port, or with 0 MLflow's usual one or any that is free; UserError where it is busy."""
    for port in [wanted] if wanted else [USUAL, 0]:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            with suppress(OSError):
                probe.bind((HOST, port))
                return int(probe.getsockname()[1])
    raise UserError(
        f"--port {wanted}: something else listens there; expected a free port; name another, or "
        "leave --port out"
    )


def show(experiment: str, work: Path, port: int, opens: bool) -> None:
    """Start `mlflow ui`, print the address of the first view, and wait for Ctrl-C.

    UserError where the port is busy, the store does not answer or has nothing to show.
    """
    chosen, server = free_port(port), _store(experiment, work)
    if server.uri.startswith(("http://", "https://")):
        _tell(views.address(server.uri, server.id), opens)
        return
    log = work / "logs" / "ui.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    with caught_signals() as interrupts, log.open("wb") as file:
        process = subprocess.Popen(
            [sys.executable, "-m", "mlflow", "ui", "--backend-store-uri", server.uri,
             "--host", HOST, "--port", str(chosen), "--workers", "1"],
            env={**QUIET, **os.environ},
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # Ctrl-C reaches this process, which ends all of that one's
        )  # fmt: skip
        try:
            base = f"http://{HOST}:{chosen}"
            _wait(process, base, interrupts, log)
            if not interrupts:
                _tell(f"{views.address(base, server.id)}\nCtrl-C ends it", opens)
            while process.poll() is None and not interrupts:
                time.sleep(0.1)
        finally:
            _end(process)


def _store(experiment: str, work: Path) -> Server:
    """The experiment, which has its first view; UserError otherwise."""
    uri = tracking_uri()
    try:
        server = open_server(experiment, work)
        tags = server.client.get_experiment(server.id).tags
    except UserError:
        raise
    except Exception as error:  # whatever MLflow or what it stands on raises
        reason = " ".join(str(error).split())[:200]
        raise UserError(
            f"{uri}: does not answer: {reason}; expected the store that runs are sent to; start "
            "it, or correct MLFLOW_TRACKING_URI"
        ) from None
    if views.TAG + views.FIRST not in tags:
        raise UserError(
            f"{uri}: nothing of '{experiment}' to show; expected a finished cell; run "
            "`xstilts grid`, then `xstilts log`"
        )
    return server


def _tell(address: str, opens: bool) -> None:
    print(address, flush=True)
    if opens:
        webbrowser.open(address.split("\n")[0])


def _wait(process: subprocess.Popen[bytes], base: str, interrupts: list[int], log: Path) -> None:
    """Until the server answers or Ctrl-C; UserError where it ends or does not come."""
    deadline = time.monotonic() + STARTS_WITHIN_S
    while not interrupts:
        if process.poll() is not None or time.monotonic() > deadline:
            raise UserError(f"`mlflow ui`: did not start; expected it at {base}; see {log}")
        with suppress(OSError, urllib.error.URLError):
            urllib.request.urlopen(f"{base}/health", timeout=5)
            return
        time.sleep(0.1)


def _end(process: subprocess.Popen[bytes]) -> None:
    """End the server and its workers: politely, then not."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        with suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        with suppress(subprocess.TimeoutExpired):
            process.wait(STOPS_WITHIN_S)
