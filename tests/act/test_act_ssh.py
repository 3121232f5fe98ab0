"""Five faults on a host that is reached by the system's own ssh, solved as if they were here."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from act.more_scenes import SCENES, FreePortByNow, GitLock, Scene, write_inventory
from act.sshd import MISSING, sshd
from devops_agent import bootstrap
from devops_agent.config import Settings
from devops_agent.model import Report
from devops_agent.tools.hosts import connect

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300), pytest.mark.skipif(MISSING is not None, reason=str(MISSING))]


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with sshd(tmp_path_factory.mktemp("ssh") / "d") as found:
        yield found


def handle(scene: Scene, log: str, folder: Path, address: str) -> Report:
    """The way of the command line: journal, policy, `--yes`."""
    inventory = write_inventory(scene, folder / "inventory.yaml", host=address)
    settings = Settings(data_dir=folder / "data", inventory=inventory, settle_seconds=0.2)
    jobs = bootstrap.open_jobs(settings)
    worker = bootstrap.build_worker(settings, jobs, bootstrap.build_agent(settings))
    job = jobs.submit([bootstrap.make_incident(log, settings)], "eve", {"yes": True}).jobs[0]
    worker.work_until_answered(job)
    return jobs.report(job)


@pytest.mark.parametrize("kind", [*SCENES, GitLock, FreePortByNow], ids=lambda kind: kind.__name__)
def test_solved_over_ssh(address: str, tmp_path: Path, kind: type[Scene]) -> None:
    scene = kind(tmp_path / "place")
    try:
        scene.set_up()
        scene.ruin()
        log = scene.fail()
        assert not scene.works()
        made = handle(scene, log, tmp_path, address)
        assert made.status == "resolved", made.summary
        last = made.attempts[-1]
        assert last.diagnosis is not None
        assert last.plan is not None
        assert last.diagnosis.cause == scene.cause
        assert {action.host for action in last.plan.actions} == {address}
        assert set(scene.tools) <= {action.tool for action in last.plan.actions}
        assert scene.works()
        assert scene.unharmed()
        assert not list((tmp_path / "data" / "children").glob("*")), "no connection is left"
    finally:
        scene.clean()


def test_commands_share_a_connection_that_ends_with_the_door(address: str, tmp_path: Path) -> None:
    host = connect(address, str(tmp_path), tmp_path / "data")
    records = tmp_path / "data" / "children"
    host.run("true")
    (record,) = records.glob("*.json")
    pid = int(record.stem)
    socket = _socket(pid)
    deadline = time.monotonic() + 10
    while not socket.exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert socket.parent.stat().st_mode & 0o777 == 0o700
    assert host.run("sh", "-c", "echo $SSH_CONNECTION") == host.run("sh", "-c", "echo $SSH_CONNECTION")
    os.kill(pid, 9)
    assert host.run("echo", "still here") == "still here\n"
    host.close()
    assert not socket.parent.exists()
    assert not list(records.glob("*.json"))
    assert host.run("echo", "also without") == "also without\n"
    host.close()


def _socket(pid: int) -> Path:
    """The path that the shared connection was told; a process that was just started may not be ssh yet."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().decode().split("\0")
        for word in words:
            if word.startswith("ControlPath="):
                return Path(word.removeprefix("ControlPath="))
        time.sleep(0.02)
    raise AssertionError("the shared connection was not started")
