"""Stages without the wait for imports: forks of one process that has imported all that they need.

A stage of a small encoder spends most of its time on imports. `xstilts grid` starts this server
once; a stage's command that finds its socket (XSTILTS_WARM) hands over arguments, folder,
environment and streams, and ends as the fork ends. A fork has run nothing before, so that nothing
else differs. Where no server answers the command runs by itself.
"""

from __future__ import annotations

import atexit
import gc
import json
import os
import select
import signal
import socket
import sys
import threading
import traceback
from types import FrameType
from typing import NoReturn

SOCKET = "XSTILTS_WARM"
COMMANDS = {"data", "pretrain", "study", "intermediate", "target"}
NUMBER = 8  # bytes of a length, a process id, a status


def hand_over() -> None:
    """Let the server run this process's command, and exit as it does; return where it is not."""
    path = os.environ.pop(SOCKET, "")
    if not path or not COMMANDS.intersection(sys.argv[1:2]):
        return
    with socket.socket(socket.AF_UNIX) as there:
        try:
            there.connect(path)
        except OSError:
            return
        asked = {"arguments": sys.argv, "folder": os.getcwd(), "environment": dict(os.environ)}
        text = json.dumps(asked).encode()
        socket.send_fds(there, [_bytes(len(text))], [0, 1, 2])
        there.sendall(text)
        fork = _number(there)

        def forward(number: int, _: FrameType | None) -> None:
            if fork is not None:
                os.kill(fork, number)

        for name in (signal.SIGINT, signal.SIGTERM):
            signal.signal(name, forward)
        status = _number(there)
    if status is None:
        print("xstilts: the stage's process was killed", file=sys.stderr)
        sys.exit(1)
    sys.exit(status)


def serve(path: str) -> None:
    """Fork for each command that asks, until standard input ends: whoever started us is gone."""
    import xstilts.cli.main
    import xstilts.phases.intermediate
    import xstilts.phases.pretrain
    import xstilts.phases.target
    import xstilts.sources.prepare
    import xstilts.studies.stage  # noqa: F401

    gc.freeze()  # what is imported stays where it is: forks share its memory
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for a fork but its command
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(path)
        listening.listen(64)
        while True:
            ready, _, _ = select.select([listening, sys.stdin], [], [])
            if listening not in ready:
                return
            asking, _ = listening.accept()
            length, streams, *_ = socket.recv_fds(asking, NUMBER, 3)
            if os.fork() == 0:
                listening.close()
                _run(asking, int.from_bytes(length, "big"), streams)
            asking.close()
            for stream in streams:
                os.close(stream)


def _run(asking: socket.socket, length: int, streams: list[int]) -> NoReturn:
    """Run a command as if it were a process of its own."""
    asked = json.loads(_read(asking, length))
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    os.environ.clear()
    os.environ.update(asked["environment"])
    os.chdir(asked["folder"])
    sys.argv = asked["arguments"]
    asking.sendall(_bytes(os.getpid()))
    threading.Thread(target=_end_with, args=(asking,), daemon=True).start()
    from xstilts.cli.main import main

    status = 0
    try:
        main()
    except SystemExit as exiting:
        status = exiting.code if isinstance(exiting.code, int) else int(bool(exiting.code))
    except BaseException:
        traceback.print_exc()
        status = 1
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    asking.sendall(_bytes(status))
    os._exit(status)


def _end_with(asking: socket.socket) -> None:
    """End at once when the command that asked is gone: DVC takes the stage for ended, too."""
    if not asking.recv(1):
        os.kill(os.getpid(), signal.SIGKILL)


def _bytes(number: int) -> bytes:
    return number.to_bytes(NUMBER, "big")


def _number(there: socket.socket) -> int | None:
    """The next number; None where the other end is gone."""
    read = _read(there, NUMBER)
    return int.from_bytes(read, "big") if len(read) == NUMBER else None


def _read(there: socket.socket, length: int) -> bytes:
    read = b""
    while len(read) < length and (more := there.recv(length - len(read))):
        read += more
    return read


if __name__ == "__main__":
    serve(sys.argv[1])
