"""The same repair over a real ssh, to a real sshd on loopback with keys of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from act.sshd import MISSING, sshd
from devops_agent.errors import CommandTimedOut, HostUnreachable
from devops_agent.model import Step
from devops_agent.tools.hosts import connect
from devops_agent.tools.toolbox import Toolbox

from .conftest import alive

Box = Callable[..., Toolbox]
pytestmark = pytest.mark.skipif(MISSING is not None, reason=str(MISSING))


@pytest.fixture
def there(tmp_path: Path) -> Iterator[str]:
    """The address of a loopback sshd."""
    with sshd(tmp_path / "ssh") as address:
        yield address


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
