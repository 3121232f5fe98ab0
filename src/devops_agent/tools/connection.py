"""One ssh connection that many commands share: the second command needs no handshake of its own.

Source: ssh_config(5), ControlMaster and ControlPath. The socket lies in a folder that only we may enter. Nobody ever
waits for the connection: a command that finds no socket connects by itself, as it would without all this.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import tempfile
import threading
import weakref
from pathlib import Path

from devops_agent.errors import CommandFailed
from devops_agent.tools import children
from devops_agent.tools.spawn import start

_LONGEST = 80
"""Characters of a socket's path: the system takes 108, and ssh adds some while it makes the socket (unix(7))."""
_TRIES = 3
_MASTER = (
    "-M", "-N", "-n", "-T", "-o", "BatchMode=yes", "-o", "ConnectTimeout=10", "-o", "ControlPersist=no",
    "-o", "ClearAllForwardings=yes", "-o", "PermitLocalCommand=no", "-o", "ServerAliveInterval=10",
)  # fmt: skip


class Connection:
    """To one target. It ends with `close`, with the object, or with this process; `records` are for those that are
    killed: whoever takes over ends what they left."""

    def __init__(self, target: tuple[str, ...], records: Path | None = None) -> None:
        self._target = target
        self._records = records
        self._lock = threading.Lock()
        self._tries = 0
        self._path = ""
        self._process: subprocess.Popen[bytes] | None = None
        self._end: weakref.finalize[..., Connection] | None = None

    def options(self) -> tuple[str, ...]:
        """What a command says to ssh to go through the connection; nothing where there is none."""
        with self._lock:
            if self._process is None or self._process.poll() is not None:
                return ()
            return ("-o", "ControlMaster=no", "-o", f"ControlPath={self._path}")

    def open(self) -> None:
        """Begin to connect, where we are not connected yet; called once a command got through."""
        with self._lock:
            if self._tries >= _TRIES or (self._process is not None and self._process.poll() is None):
                return
            self._tries += 1
            self._finish()
            folder = tempfile.mkdtemp(prefix="dva-")
            self._path = f"{folder}/s"
            if len(self._path) > _LONGEST:
                shutil.rmtree(folder, ignore_errors=True)
                self._tries = _TRIES
                return
            argv = ("ssh", *_MASTER, "-o", f"ControlPath={self._path}", *self._target)
            try:
                with open(os.devnull, "wb") as nowhere:
                    self._process = start(argv, output=nowhere.fileno())
            except CommandFailed:
                shutil.rmtree(folder, ignore_errors=True)
                return
            record = children.note(self._records, self._process.pid, argv)
            self._end = weakref.finalize(self, _end, self._process, folder, record)

    def close(self) -> None:
        """End the connection."""
        with self._lock:
            self._finish()

    def _finish(self) -> None:
        if self._end is not None:
            self._end()
        self._process = self._end = None


def _end(process: subprocess.Popen[bytes], folder: str, record: Path | None) -> None:
    process.terminate()
    try:
        process.wait(2)
    except subprocess.TimeoutExpired:
        process.kill()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(2)
    children.forget(record)
    shutil.rmtree(folder, ignore_errors=True)
