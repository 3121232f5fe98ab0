"""Services: what supervisors say in one form, and start, restart and reload with real ones."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from devops_agent.errors import BadArguments, CommandFailed, NotAllowed
from devops_agent.inventory import Inventory, Place
from devops_agent.model import Step
from devops_agent.tools import supervisors
from devops_agent.tools.spawn import Ended
from devops_agent.tools.toolbox import Toolbox

from .conftest import LISTEN, alive, eventually

Box = Callable[..., Toolbox]
runit = pytest.mark.skipif(not shutil.which("runsv") or not shutil.which("sv"), reason="runit is not installed")


@pytest.fixture
def shop(workspace: Path, port: int) -> Iterator[dict[str, Any]]:
    """A service under runit that listens on the port which its configuration says; what the inventory knows of it."""
    folder = workspace / "sv" / "shop"
    folder.mkdir(parents=True)
    (workspace / "app.env").write_text(f"PORT={port}\n")
    (folder / "run").write_text(f"#!/bin/sh\n. {workspace}/app.env\nexec {sys.executable} -c '{LISTEN}' $PORT\n")
    (folder / "run").chmod(0o755)
    keeper = subprocess.Popen(["runsv", str(folder)], start_new_session=True, stdout=subprocess.DEVNULL)
    entry = {"supervisor": "runit", "unit": "sv/shop", "ports": [port], "config": ["app.env"], "health": {"tcp": port}}
    yield {"services": {"shop": entry}}
    subprocess.run(["sv", "-w", "5", "exit", str(folder)], check=False, stdout=subprocess.DEVNULL, timeout=20)
    keeper.terminate()
    keeper.wait(10)


def step(tool: str, **args: Any) -> Step:
    return Step(tool=tool, args={"service": "shop", **args})


@runit
def test_a_running_service(box: Box, shop: dict[str, Any]) -> None:
    tools = box(**shop)
    assert eventually(lambda: tools.probe("service_status", {"service": "shop"})["state"] == "running")
    seen = tools.probe("service_status", {"service": "shop"})
    assert alive(seen["pid"])
    assert seen["enabled"] is True
    assert abs(seen["since"] - time.time()) < 15
    assert eventually(lambda: tools.run_check("health:shop").passed)
    assert [result.name for result in tools.health().results] == ["health:shop"]


@runit
def test_start_and_already(box: Box, shop: dict[str, Any]) -> None:
    tools = box(**shop)
    assert eventually(lambda: tools.run_check("health:shop").passed)
    assert tools.preview(step("start_service"), 1).already
    subprocess.run(
        ["sv", "-w", "5", "down", str(Path(tools.place.path("sv/shop")))], check=True, stdout=subprocess.DEVNULL
    )
    assert tools.probe("service_status", {"service": "shop"})["state"] == "stopped"
    action = tools.preview(step("start_service"), 1)
    assert not action.already
    outcome = tools.apply(action)
    assert outcome.status == "succeeded", outcome.output
    assert tools.apply(action).status == "already"
    assert tools.run_check("health:shop").passed


@runit
def test_a_restart_is_done_once(box: Box, shop: dict[str, Any]) -> None:
    tools = box(**shop)
    assert eventually(lambda: tools.run_check("health:shop").passed)
    before = tools.probe("service_status", {"service": "shop"})["pid"]
    action = tools.preview(step("restart_service"), 1)
    assert not action.already
    assert tools.apply(action).status == "succeeded"
    after = tools.probe("service_status", {"service": "shop"})["pid"]
    assert after != before
    assert eventually(lambda: tools.probe("service_status", {"service": "shop"})["seconds"] >= 3.5)
    assert tools.apply(action).status == "already"  # it was restarted since the plan was made
    assert tools.probe("service_status", {"service": "shop"})["pid"] == after


@runit
def test_a_changed_setting_makes_the_restart_of_the_same_plan_necessary(box: Box, shop: dict[str, Any]) -> None:
    tools = box(**shop)
    assert eventually(lambda: tools.run_check("health:shop").passed)
    assert not tools.probe("service_status", {"service": "shop"})["stale"]
    wanted = Step(tool="set_value", args={"file": "app.env", "key": "COLOUR", "value": "blue"})
    first = tools.preview(wanted, 1)
    second = tools.preview(step("restart_service"), 2, [first])
    assert second.commands
    time.sleep(1.1)
    assert tools.apply(first).status == "succeeded"
    assert tools.probe("service_status", {"service": "shop"})["stale"]
    assert tools.apply(second).status == "succeeded"
    assert not tools.probe("service_status", {"service": "shop"})["stale"]


@runit
def test_a_service_that_does_not_stay_up_is_not_told_as_started(
    box: Box, shop: dict[str, Any], workspace: Path
) -> None:
    tools = box(**shop)
    assert eventually(lambda: tools.run_check("health:shop").passed)
    (workspace / "sv" / "shop" / "run").write_text("#!/bin/sh\nsleep 0.2; exit 1\n")
    action = tools.preview(step("restart_service"), 1)
    begun = time.monotonic()
    outcome = tools.apply(action)
    assert outcome.status == "failed"
    assert "keeps ending" in outcome.output
    assert time.monotonic() - begun < 18


@runit
def test_what_starts_at_the_third_time_is_no_crash_loop(box: Box, shop: dict[str, Any], workspace: Path) -> None:
    tools = box(**shop)
    assert eventually(lambda: tools.run_check("health:shop").passed)
    tries = workspace / "tries"
    again = f"echo x >> {tries}; [ $(wc -l < {tries}) -ge 3 ] || exit 1; exec sleep 60"
    (workspace / "sv" / "shop" / "run").write_text(f"#!/bin/sh\n{again}\n")
    assert tools.apply(tools.preview(step("restart_service"), 1)).status == "succeeded"
    seen = tools.probe("service_settles", {"service": "shop"})
    assert (seen["stays"], seen["how"], seen["ends"]) == (True, "up", 0)
    assert tries.read_text() == "x\n" * 3


@runit
def test_reload_is_refused_where_nothing_runs(box: Box, shop: dict[str, Any]) -> None:
    tools = box(**shop)
    assert eventually(lambda: tools.run_check("health:shop").passed)
    subprocess.run(["sv", "-w", "5", "down", tools.place.path("sv/shop")], check=True, stdout=subprocess.DEVNULL)
    with pytest.raises(NotAllowed, match="must be started"):
        tools.preview(step("reload_service"), 1)


def test_a_service_without_a_supervisor(box: Box, workspace: Path, port: int) -> None:
    (workspace / "serve.py").write_text(LISTEN)
    entry = {
        "supervisor": "command",
        "run": [sys.executable, "serve.py", str(port)],
        "ports": [port],
        "health": {"tcp": port},
    }
    tools = box(services={"shop": entry})
    assert tools.probe("service_status", {"service": "shop"})["state"] == "stopped"
    outcome = tools.apply(tools.preview(step("start_service"), 1))
    assert outcome.status == "succeeded", outcome.output
    first = tools.probe("service_status", {"service": "shop"})["pid"]
    action = tools.preview(step("restart_service"), 1)
    assert [command.kind for command in action.commands] == ["end", "run", "wait"]
    outcome = tools.apply(action)
    second = tools.probe("service_status", {"service": "shop"})["pid"]
    try:
        assert outcome.status == "succeeded", outcome.output
        assert not alive(first)
        assert second not in (None, first)
    finally:
        os.kill(second, 9)


def test_restart_does_not_end_a_stray_on_the_services_port(box: Box, port: int, listener: Callable[..., int]) -> None:
    pid = listener(port)
    entry = {"supervisor": "command", "run": ["bin/serve"], "ports": [port]}
    with pytest.raises(NotAllowed, match="not that service"):
        box(services={"shop": entry}).preview(step("restart_service"), 1)
    assert alive(pid)


def test_a_failing_configuration_test_stops_the_restart(box: Box, workspace: Path, port: int) -> None:
    entry = {"supervisor": "command", "run": ["touch", "ran"], "test": ["false"], "ports": [port]}
    tools = box(services={"shop": entry})
    outcome = tools.apply(tools.preview(step("start_service"), 1))
    assert outcome.status == "failed"
    assert not (workspace / "ran").exists()


def test_an_unknown_service_is_named(box: Box) -> None:
    with pytest.raises(BadArguments, match="'shop' is not in the inventory"):
        box(services={"other": {}}).probe("service_status", {"service": "shop"})


class Says:
    """A host that answers one command: the host door's fake."""

    name = "fake"
    local = False

    def __init__(self, output: str, code: int = 0) -> None:
        self.said = Ended((), code, output, "")

    def attempt(self, *argv: str, **_: Any) -> Ended:
        return self.said

    def read_many(self, *paths: str, limit: int = 0) -> dict[str, bytes]:
        return {}

    def read(self, path: str, limit: int = 0) -> bytes:
        known = {"/proc/uptime": b"5000.0 1\n", "/proc/stat": b"cpu 1\nbtime 1700000000\n"}
        if path not in known:
            raise CommandFailed(f"{path}: no such file")
        return known[path]


def seen(kind: str, output: str, code: int = 0) -> dict[str, Any]:
    place = Place(Inventory.model_validate({"services": {"shop": {"supervisor": kind, "unit": "shop"}}}))
    return supervisors.status(Says(output, code), place, "shop")  # type: ignore[arg-type]


SYSTEMD = "LoadState=loaded\nActiveState={}\nSubState={}\nMainPID={}\nNRestarts=2\nUnitFileState=enabled\nResult={}\n"
SYSTEMD += "ExecMainStatus=1\nNeedDaemonReload=no\nExecMainStartTimestampMonotonic=4000000000\n"


@pytest.mark.parametrize(
    ("active", "sub", "pid", "result", "state"),
    [
        ("active", "running", 12, "success", "running"),
        ("failed", "failed", 0, "exit-code", "failed"),
        ("activating", "auto-restart", 0, "exit-code", "failed"),
        ("activating", "start", 12, "success", "starting"),
        ("inactive", "dead", 0, "success", "stopped"),
    ],
)
def test_what_systemd_says(active: str, sub: str, pid: int, result: str, state: str) -> None:
    found = seen("systemd", SYSTEMD.format(active, sub, pid, result))
    assert (found["state"], found["pid"], found["restarts"], found["enabled"]) == (state, pid or None, 2, True)
    if state == "running":
        assert found["seconds"] == pytest.approx(1000)
        assert found["since"] == pytest.approx(1700004000)


@pytest.mark.parametrize(
    ("output", "code", "state", "pid"),
    [
        ("shop                             RUNNING   pid 77, uptime 1 day, 0:00:05\n", 0, "running", 77),
        (
            "shop                             BACKOFF   Exited too quickly (process log may have details)\n",
            3,
            "failed",
            None,
        ),
        ("shop                             FATAL     can't find command '/x'\n", 3, "failed", None),
        ("shop                             STOPPED   Nov 22 01:00 PM\n", 3, "stopped", None),
        ("shop: ERROR (no such process)\n", 4, "missing", None),
    ],
)
def test_what_supervisord_says(output: str, code: int, state: str, pid: int | None) -> None:
    found = seen("supervisord", output, code)
    assert (found["state"], found["pid"]) == (state, pid)
    if pid:
        assert found["seconds"] == 86405


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        (
            '"Status": "running", "Running": true, "Pid": 9, "ExitCode": 0, "StartedAt": "2023-11-14T23:00:00.123456Z"',
            "running",
        ),
        ('"Status": "exited", "Running": false, "Pid": 0, "ExitCode": 137, "OOMKilled": true', "failed"),
        ('"Status": "exited", "Running": false, "Pid": 0, "ExitCode": 0', "stopped"),
        ('"Status": "restarting", "Running": true, "Pid": 0, "ExitCode": 1', "failed"),
    ],
)
def test_what_docker_says(state: str, expected: str) -> None:
    found = seen(
        "docker",
        f'[{{"State": {{{state}}}, "RestartCount": 4, "HostConfig": {{"RestartPolicy": {{"Name": "always"}}}}}}]',
    )
    assert (found["state"], found["restarts"], found["enabled"]) == (expected, 4, True)
    if "OOMKilled" in state:
        assert "OOMKilled" in found["detail"]


@pytest.mark.parametrize(
    ("output", "state", "pid"),
    [
        ("run: sv/shop: (pid 5) 12s; run: log: (pid 4) 12s\n", "running", 5),
        ("down: sv/shop: 3s, normally up, want up\n", "failed", None),
        ("down: sv/shop: 3s, normally up\n", "stopped", None),
        ("finish: sv/shop: (pid 6) 0s\n", "failed", 6),
        ("fail: sv/shop: unable to change to service directory: file does not exist\n", "missing", None),
    ],
)
def test_what_runit_says(output: str, state: str, pid: int | None) -> None:
    found = seen("runit", output)
    assert (found["state"], found["pid"]) == (state, pid)


@pytest.mark.parametrize(
    ("output", "enabled"),
    [
        ("run: sv/shop: (pid 5) 12s\n", True),
        ("run: sv/shop: (pid 5) 12s, normally down\n", False),
        ("down: sv/shop: 3s, normally up\n", True),
        ("down: sv/shop: 3s\n", False),
    ],
)
def test_what_runit_starts_by_itself(output: str, enabled: bool) -> None:
    assert seen("runit", output)["enabled"] is enabled
