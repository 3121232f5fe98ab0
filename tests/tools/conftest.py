"""A place of its own for each test: a workspace, a data directory, and processes that are ended by pid afterwards."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from devops_agent.inventory import Inventory, Place
from devops_agent.tools.toolbox import Toolbox

LISTEN = """
import socket, sys, time
s = socket.socket(); s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
s.bind(("127.0.0.1", int(sys.argv[1]))); s.listen(); print("up", flush=True); time.sleep(120)
"""
ORPHAN = """
import os, sys
if os.fork():
    os._exit(0)
os.setsid()
os.write(int(sys.argv[1]), str(os.getpid()).encode())
os.close(int(sys.argv[1]))
os.execv(sys.executable, [sys.executable, "-c", *sys.argv[2:]])
"""


def eventually(condition: Callable[[], Any], seconds: float = 10.0) -> Any:
    """Wait until a condition is true."""
    end = time.monotonic() + seconds
    while not (value := condition()) and time.monotonic() < end:
        time.sleep(0.05)
    return value


def alive(pid: int) -> bool:
    """Whether there is such a process (a zombie is none)."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] not in "ZX"
    except OSError:
        return False


@pytest.fixture
def port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    folder = tmp_path / "place"
    folder.mkdir()
    return folder


@pytest.fixture
def box(tmp_path: Path, workspace: Path) -> Callable[..., Toolbox]:
    """A toolbox for an inventory given as keywords; without any, a place without an inventory."""

    def build(**inventory: Any) -> Toolbox:
        known = Inventory.model_validate({"workspace": ".", **inventory}) if inventory else None
        return Toolbox(Place(known, folder=workspace), tmp_path / "data")

    return build


@pytest.fixture
def listener() -> Iterator[Callable[..., int]]:
    """Start a process, orphaned like a stray, that listens on a port; returns its pid."""
    pids: list[int] = []

    def start(port: int, cwd: Path | str = "/") -> int:
        read, write = os.pipe()
        argv = [sys.executable, "-c", ORPHAN, str(write), LISTEN, str(port)]
        first = subprocess.Popen(argv, pass_fds=(write,), cwd=cwd, stdout=subprocess.DEVNULL, stdin=subprocess.DEVNULL)
        os.close(write)
        pid = int(os.read(read, 32))
        os.close(read)
        first.wait(10)
        pids.append(pid)
        assert eventually(lambda: _accepts(port))
        return pid

    yield start
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def _accepts(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0
