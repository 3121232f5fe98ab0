"""The real command in a process of its own, with a data folder of its own."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

Ran = subprocess.CompletedProcess[bytes]
Agent = Callable[..., Ran]

PORT_LOG = """building
Error: listen EADDRINUSE: address already in use :::3000
    at Server.setupListenHandle [as _listen2] (node:net:1817:16)
npm ERR! code ELIFECYCLE
##[error]Process completed with exit code 1.
"""
HEALTHY_LOG = "collected 3 items\n\ntests/test_cart.py ... [100%]\n\n3 passed in 0.12s\n"


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """Nothing of the developer's own settings, and a data folder that is thrown away."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("DEVOPS_AGENT_", "OPEN"))}
    return {**kept, "DEVOPS_AGENT_DATA_DIR": str(tmp_path / "data"), "DEVOPS_AGENT_SETTLE_SECONDS": "0.3"}


@pytest.fixture
def agent(tmp_path: Path, environment: dict[str, str]) -> Agent:
    """Run `devops-agent` with these arguments; `said` is standard input."""

    def run(*arguments: str, said: bytes = b"", env: dict[str, str] | None = None) -> Ran:
        return subprocess.run(
            [sys.executable, "-m", "devops_agent", *arguments],
            cwd=tmp_path,
            env={**environment, **(env or {})},
            input=said,
            capture_output=True,
            timeout=60,
            check=False,
        )

    return run


@pytest.fixture
def port_log(tmp_path: Path) -> Path:
    file = tmp_path / "build.log"
    file.write_text(PORT_LOG)
    return file


@dataclass
class Conflict:
    """A place whose service cannot start: a stray process holds its port. `log` is what the service really said."""

    folder: Path
    port: int
    stray: subprocess.Popen[bytes]

    @property
    def log(self) -> str:
        return str(self.folder / "log" / "shop.log")

    @property
    def inventory(self) -> str:
        return str(self.folder / "inventory.yaml")

    def shop_is_up(self) -> bool:
        return (self.folder / "shop.pid").exists()


@pytest.fixture
def conflict(tmp_path: Path) -> Iterator[Conflict]:
    """A real port conflict on a free port; what is left of it is ended by pid."""
    folder = tmp_path / "place"
    (folder / "log").mkdir(parents=True)
    shop = shutil.copy(Path(__file__).parents[2] / "demo" / "shop.py", folder / "shop.py")
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = int(probe.getsockname()[1])
    run = [sys.executable, str(shop), str(port)]
    (folder / "inventory.yaml").write_text(
        f"services:\n  shop:\n    supervisor: command\n    run: {run!r}\n    ports: [{port}]\n"
        f'    health: {{http: "http://127.0.0.1:{port}/", contains: the shop is open}}\n'
    )
    quiet = subprocess.DEVNULL
    server = [sys.executable, "-m", "http.server", str(port), "--bind", "127.0.0.1"]
    stray = subprocess.Popen(server, cwd=tmp_path, stdin=quiet, stdout=quiet, stderr=quiet)
    try:
        _until_something_listens(port)
        subprocess.run(run, cwd=folder, timeout=30, check=False)
        yield Conflict(folder, port, stray)
    finally:
        stray.kill()
        stray.wait(10)
        if (pid := folder / "shop.pid").exists() and str(shop).encode() in _command_line(int(pid.read_text())):
            os.kill(int(pid.read_text()), signal.SIGKILL)


def _until_something_listens(port: int) -> None:
    deadline = time.monotonic() + 15
    while time.monotonic() < deadline:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    raise TimeoutError(f"nothing listens on port {port}")


def _command_line(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""
