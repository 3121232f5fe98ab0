"""Hosts reached by a command. `ssh`, `docker` and `kubectl` are small programs here that treat argv as those do."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import pytest

from devops_agent.errors import CommandFailed, ConfigError, HostUnreachable, NotAllowed
from devops_agent.inventory import Prefix
from devops_agent.tools import processes, sockets
from devops_agent.tools.base import Host
from devops_agent.tools.hosts import connect
from devops_agent.tools.spawn import CAP

# ssh hands the joined rest to a shell; its own options come first, then the target and --
SSH = """
while [ "$1" != -- ]; do
    [ "$1" = down ] && { echo no route >&2; exit 255; }
    shift
done
shift
exec sh -c "$*"
"""
DOCKER = """
shift
while :; do case "$1" in -i) shift;; -w) cd "$2"; shift 2;; *) break;; esac; done
[ "$1" = gone ] && { echo "Error response from daemon: No such container: gone" >&2; exit 1; }
shift
exec "$@"
"""
KUBECTL = """
while [ "$1" != -- ]; do shift; done
shift
exec "$@"
"""
PROGRAMS = {"ssh": SSH, "docker": DOCKER, "kubectl": KUBECTL}
SPECS: list[Any] = [
    "ssh://me@there:2222",
    "docker://shop",
    "kubectl://shop/web-0/app",
    Prefix(command=("env", "INSIDE=1")),
]


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "bin"
    folder.mkdir()
    for name, text in PROGRAMS.items():
        # what `ssh -M` is asked for, the connection that later commands share, comes whenever it comes
        noted = f'[ "$1" = -M ] || printf "%s\\n" "$@" >{tmp_path}/seen'
        (folder / name).write_text(f"#!/bin/sh\n{noted}\n{text}")
        (folder / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    return tmp_path


@pytest.fixture(params=SPECS, ids=["ssh", "docker", "kubectl", "prefix"])
def host(request: pytest.FixtureRequest, path: Path, workspace: Path) -> Host:
    return connect(request.param, str(workspace), path / "data")


NASTY = ["a b", "$(touch owned)", "'\"", "; touch owned", "*", "", "-n", "line\nline", "ümlaut"]


def test_arguments_arrive_as_they_are(host: Host, workspace: Path) -> None:
    said = host.run(sys.executable, "-c", "import json, sys; print(json.dumps(sys.argv[1:]))", *NASTY)
    import json

    assert json.loads(said) == NASTY
    assert not (workspace / "owned").exists()


def test_status_input_and_folder(host: Host, tmp_path: Path) -> None:
    assert host.attempt("sh", "-c", "exit 7").code == 7
    assert host.attempt("cat", stdin="hello").output == "hello"
    assert host.run("pwd", cwd=str(tmp_path)).strip() == str(tmp_path)
    assert host.has("sh")
    assert not host.has("no-such-program-here")
    assert not host.local


def test_files(host: Host, tmp_path: Path) -> None:
    file = tmp_path / "a file"
    content = b"# caf\xc3\xa9 \xff\x00\n" * 3
    host.write(str(file), content)
    assert file.read_bytes() == content
    assert host.read(str(file)) == content
    file.chmod(0o640)
    host.write(str(file), b"new")
    assert (file.read_bytes(), file.stat().st_mode & 0o777) == (b"new", 0o640)
    host.write(str(file), b"new", mode=0o600)
    assert file.stat().st_mode & 0o777 == 0o600
    found = host.stat(str(file))
    assert found
    assert (found.kind, found.size, found.mode, found.inode) == ("file", 3, 0o600, file.stat().st_ino)
    assert host.stat(str(tmp_path / "none")) is None
    assert host.exists(str(file))
    (tmp_path / "link").symlink_to(file)
    assert host.resolve(str(tmp_path / "link")) == str(file)
    assert "a file" in host.folder(str(tmp_path))
    host.remove(str(file))
    assert not file.exists()
    with pytest.raises(CommandFailed):
        host.read(str(file))


def test_large_files_come_whole(host: Host, tmp_path: Path) -> None:
    file = tmp_path / "large"
    file.write_bytes(b"0123456789" * (CAP // 8))
    assert host.read(str(file), 1 << 22) == file.read_bytes()
    assert host.read_tail(str(file), 11) == b"90123456789"


def test_processes_and_sockets_are_seen(host: Host) -> None:
    import socket

    with socket.socket() as own:
        own.bind(("127.0.0.1", 0))
        own.listen()
        found = sockets.listeners(host, own.getsockname()[1])
        assert [listener.pid for listener in found] == [os.getpid()]
    me = processes.look(host, os.getpid())
    assert me
    assert me.parent == os.getppid()
    assert processes.look(host, 4194000) is None


def test_signals(host: Host) -> None:
    pid = os.spawnvp(os.P_NOWAIT, "sleep", ["sleep", "30"])
    assert host.signal(pid, "KILL")
    assert os.waitpid(pid, 0)[1] == 9
    assert not host.signal(pid, "TERM")


def test_ssh_never_asks_and_quotes(path: Path, workspace: Path) -> None:
    connect("ssh://me@there:2222", str(workspace)).run("echo", "a b")
    seen = (path / "seen").read_text().splitlines()
    assert seen == [
        "-o",
        "BatchMode=yes",
        "-o",
        "ConnectTimeout=10",
        "-T",
        "-n",
        "-p",
        "2222",
        "me@there",
        "--",
        "echo 'a b'",
    ]


def test_a_host_that_is_not_there(path: Path, workspace: Path) -> None:
    for spec in ("ssh://down", "docker://gone"):
        with pytest.raises(HostUnreachable):
            connect(spec, str(workspace)).run("true")


def test_addresses_that_would_be_options_are_refused(workspace: Path) -> None:
    for spec in ("ssh://-oProxyCommand=x", "docker://--privileged", "kubectl://a/b/c/d", "kubectl://only", "ssh://a b"):
        with pytest.raises(NotAllowed):
            connect(spec, str(workspace))
    with pytest.raises(ConfigError, match="telnet"):
        connect("telnet://x", str(workspace))
