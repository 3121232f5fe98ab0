"""The same repair over a real ssh, to a real sshd on loopback with keys of its own."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from devops_agent.errors import CommandTimedOut, HostUnreachable
from devops_agent.model import Step
from devops_agent.tools.hosts import connect
from devops_agent.tools.toolbox import Toolbox

from .conftest import alive, eventually

SSHD = shutil.which("sshd", path=f"{os.environ['PATH']}:/usr/sbin")
Box = Callable[..., Toolbox]
pytestmark = pytest.mark.skipif(not SSHD or not shutil.which("ssh"), reason="OpenSSH's server is not installed")


@pytest.fixture
def there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The address of a loopback sshd; `ssh` on the path is the system's, with a configuration for this test."""
    folder = tmp_path / "ssh"
    folder.mkdir(mode=0o700)
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    for key in ("host", "user"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / key)], check=True, timeout=20)
    (folder / "authorized").write_bytes((folder / "user.pub").read_bytes())
    host_key = " ".join((folder / "host.pub").read_text().split()[:2])
    (folder / "known").write_text(f"[127.0.0.1]:{port} {host_key}\n")
    (folder / "sshd").write_text(
        f"Port {port}\nListenAddress 127.0.0.1\nHostKey {folder}/host\nAuthorizedKeysFile {folder}/authorized\n"
        "PidFile none\nStrictModes no\nUsePAM no\nPasswordAuthentication no\nPermitRootLogin prohibit-password\n"
    )
    (folder / "config").write_text(
        f"Host *\nIdentityFile {folder}/user\nIdentitiesOnly yes\nUserKnownHostsFile {folder}/known\n"
        "StrictHostKeyChecking yes\n"
    )
    (folder / "bin").mkdir()
    (folder / "bin" / "ssh").write_text(f'#!/bin/sh\nexec {shutil.which("ssh")} -F {folder}/config "$@"\n')
    (folder / "bin" / "ssh").chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}/bin:{os.environ['PATH']}")
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
    server = subprocess.Popen([str(SSHD), "-D", "-e", "-f", str(folder / "sshd")], stderr=(folder / "log").open("w"))
    user = pwd.getpwuid(os.geteuid()).pw_name
    try:
        assert eventually(lambda: _accepts(port)), (folder / "log").read_text()
        yield f"ssh://{user}@127.0.0.1:{port}"
    finally:
        server.terminate()
        server.wait(10)


def test_files_and_commands(there: str, workspace: Path, tmp_path: Path) -> None:
    host = connect(there, str(workspace), tmp_path / "data")
    nasty = ["a b", "$(touch owned)", "'\"", "*", "", "line\nline"]
    assert host.run("printf", "%s|", *nasty) == "".join(f"{each}|" for each in nasty)
    file = workspace / "x.conf"
    host.write(str(file), b"# \xff\n", mode=0o640)
    assert host.read(str(file)) == file.read_bytes() == b"# \xff\n"
    assert file.stat().st_mode & 0o777 == 0o640
    assert host.run("pwd", cwd=str(workspace)).strip() == str(workspace)
    with pytest.raises(CommandTimedOut):
        host.run("sleep", "20", timeout=1.5)


@pytest.mark.slow
def test_a_stray_is_ended_over_ssh(
    there: str, box: Box, port: int, listener: Callable[..., int], workspace: Path
) -> None:
    (workspace / "app.env").write_text("MEMORY_LIMIT=64m\n")
    service = {"ports": [port], "host": there, "config": ["app.env"], "health": {"tcp": port}}
    tools = box(services={"shop": service})
    pid = listener(port)
    assert tools.probe("port_owner", {"port": port})["pid"] == pid
    outcome = tools.apply(tools.preview(Step(tool="free_port", args={"port": port}), 1))
    assert outcome.status == "succeeded", outcome.output
    assert not alive(pid)
    action = tools.preview(Step(tool="increase_memory", args={"mb": 128, "service": "shop"}), 2)
    assert tools.apply(action).status == "succeeded"
    assert (workspace / "app.env").read_text() == "MEMORY_LIMIT=128m\n"
    assert tools.revert(action).status == "succeeded"
    assert (workspace / "app.env").read_text() == "MEMORY_LIMIT=64m\n"


def test_a_host_key_that_is_not_the_known_one_is_never_accepted(there: str, workspace: Path, tmp_path: Path) -> None:
    known = tmp_path / "ssh" / "known"
    other = (tmp_path / "ssh" / "user.pub").read_text().split()[1]
    known.write_text(" ".join([*known.read_text().split()[:2], other]) + "\n")
    with pytest.raises(HostUnreachable, match="verification failed"):
        connect(there, str(workspace)).run("true")


def _accepts(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0
