"""Ports: finding the listener, saying whose it is, ending a stray, refusing everything else."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from devops_agent.errors import BadArguments, NotAllowed
from devops_agent.model import Step
from devops_agent.tools.processes import cgroup_unit
from devops_agent.tools.toolbox import Toolbox

from .conftest import LISTEN, alive, eventually

Box = Callable[..., Toolbox]


def free(port: object) -> Step:
    return Step(tool="free_port", args={"port": port})


def test_the_owner_is_named(box: Box, port: int, listener: Callable[..., int]) -> None:
    pid = listener(port)
    seen = box().probe("port_owner", {"port": port})
    assert (seen["listening"], seen["pid"], seen["supervisor"]) == (True, pid, None)
    assert str(port) in seen["command"]
    assert seen["addresses"] == ["127.0.0.1"]
    assert port in box().probe("listening", {})["ports"]


def test_nothing_listens(box: Box, port: int) -> None:
    seen = box().probe("port_owner", {"port": port})
    assert (seen["listening"], seen["pid"], seen["ours"]) == (False, None, False)


def test_a_stray_on_a_port_of_the_inventory_is_ended(box: Box, port: int, listener: Callable[..., int]) -> None:
    pid = listener(port)
    tools = box(services={"shop": {"supervisor": "systemd", "ports": [port]}})
    action = tools.preview(free(port), 1)
    assert action.effect == "destroy"
    assert action.pinned["holders"][0]["pid"] == pid
    assert alive(pid)  # a preview changes nothing
    outcome = tools.apply(action)
    assert outcome.status == "succeeded", outcome.output
    assert not alive(pid)
    assert tools.apply(action).status == "already"


def test_one_that_ignores_the_gentle_signal_is_ended_by_force(box: Box, port: int) -> None:
    stubborn = "import signal; signal.signal(15, signal.SIG_IGN)\n" + LISTEN
    with subprocess.Popen(
        [sys.executable, "-c", stubborn, str(port)], stdout=subprocess.PIPE, start_new_session=True
    ) as process:
        assert process.stdout
        process.stdout.readline()
        tools = box(services={"shop": {"ports": [port]}})
        action = tools.preview(free(port), 1)
        quick = action.model_copy(
            update={"commands": (action.commands[0].model_copy(update={"grace": 0.3}), *action.commands[1:])}
        )
        outcome = tools.apply(quick)
        assert outcome.status == "succeeded", outcome.output
        assert "by force" in outcome.output
        assert process.wait(5) == -signal.SIGKILL


def test_master_and_workers_that_share_the_socket_are_all_ended(box: Box, port: int) -> None:
    forking = LISTEN.replace("print(", "import os; [os.fork() for _ in range(2)]; print(")
    process = subprocess.Popen(
        [sys.executable, "-c", forking, str(port)], stdout=subprocess.DEVNULL, start_new_session=True
    )
    tools = box(services={"shop": {"ports": [port]}})
    assert eventually(lambda: len(tools.probe("port_owner", {"port": port})["pids"]) == 4)
    action = tools.preview(free(port), 1)
    assert action.pinned["holders"][0]["pid"] == process.pid  # the parent first
    assert tools.apply(action).status == "succeeded"
    assert not tools.probe("port_owner", {"port": port})["listening"]
    process.wait(5)


def test_another_process_than_the_one_that_was_seen_is_left_alone(
    box: Box, port: int, listener: Callable[..., int]
) -> None:
    tools = box(services={"shop": {"ports": [port]}})
    first = listener(port)
    action = tools.preview(free(port), 1)
    os.kill(first, signal.SIGKILL)
    assert eventually(lambda: not alive(first))
    second = listener(port)
    outcome = tools.apply(action)
    assert outcome.status == "failed"
    assert "another process" in outcome.output
    assert alive(second)


def test_a_plan_made_while_the_port_was_free_ends_nobody(box: Box, port: int, listener: Callable[..., int]) -> None:
    tools = box(services={"shop": {"ports": [port]}})
    action = tools.preview(free(port), 1)
    assert action.already
    assert action.commands == ()
    pid = listener(port)
    assert tools.apply(action).status == "failed"
    assert alive(pid)


def test_somebody_elses_port_is_refused(box: Box, port: int, listener: Callable[..., int]) -> None:
    pid = listener(port)
    with pytest.raises(NotAllowed, match="somebody else"):
        box(services={"shop": {"ports": [1]}}).preview(free(port), 1)
    assert alive(pid)


def test_one_that_runs_from_the_workspace_belongs_to_the_place(
    box: Box, port: int, listener: Callable[..., int], workspace: Path
) -> None:
    listener(port, cwd=workspace)
    tools = box(services={"shop": {"ports": [1]}})
    seen = tools.probe("port_owner", {"port": port})
    assert seen["ours"], seen["why"]


def test_without_an_inventory_a_users_own_process_may_be_proposed(
    box: Box, port: int, listener: Callable[..., int]
) -> None:
    pid = listener(port)
    action = box().preview(free(port), 1)
    assert [command.kind for command in action.commands] == ["end", "wait"]
    assert alive(pid)


def test_the_agent_itself_is_refused(box: Box, port: int) -> None:
    with socket.socket() as own:
        own.bind(("127.0.0.1", port))
        own.listen()
        with pytest.raises(NotAllowed, match="agent itself"):
            box(services={"shop": {"ports": [port]}}).preview(free(port), 1)


def test_the_service_itself_without_a_supervisor_is_refused(box: Box, port: int, workspace: Path) -> None:
    script = workspace / "serve.py"
    script.write_text(LISTEN)
    with subprocess.Popen([sys.executable, str(script), str(port)], stdout=subprocess.PIPE) as process:
        assert process.stdout
        process.stdout.readline()
        run = [sys.executable, "serve.py", str(port)]
        try:
            with pytest.raises(NotAllowed, match="service 'shop'"):
                box(services={"shop": {"supervisor": "command", "run": run, "ports": [port]}}).preview(free(port), 1)
        finally:
            process.kill()


@pytest.mark.skipif(not shutil.which("runsv"), reason="runit is not installed")
def test_what_runit_supervises_is_refused(box: Box, port: int, tmp_path: Path) -> None:
    service = tmp_path / "billing"
    service.mkdir()
    (service / "run").write_text(f"#!/bin/sh\nexec {sys.executable} -c '{LISTEN}' {port}\n")
    (service / "run").chmod(0o755)
    keeper = subprocess.Popen(["runsv", str(service)], start_new_session=True, stdout=subprocess.DEVNULL)
    try:
        tools = box(services={"shop": {"ports": [port]}})
        assert eventually(lambda: tools.probe("port_owner", {"port": port})["listening"])
        seen = tools.probe("port_owner", {"port": port})
        assert seen["supervisor"].startswith("runit")
        assert seen["is_inventory"]
        with pytest.raises(NotAllowed, match="supervised: runit"):
            tools.preview(free(port), 1)
        with pytest.raises(NotAllowed, match="supervised"):
            tools.preview(Step(tool="end_process", args={"pid": seen["pid"]}), 1)
        assert alive(seen["pid"])
    finally:
        keeper.terminate()
        keeper.wait(10)


@pytest.mark.parametrize("wrong", ["80; rm -rf /", 0, 65536, None, "", [80], {"port": 1}])
def test_arguments_that_are_no_port_are_refused_by_name(box: Box, wrong: object) -> None:
    with pytest.raises(BadArguments, match="free_port: port"):
        box().preview(free(wrong), 1)


@pytest.mark.parametrize(
    ("text", "unit"),
    [
        ("0::/system.slice/nginx.service\n", "systemd unit nginx.service"),
        ("0::/system.slice/docker-0123456789abcdef.scope\n", "container docker-0123456789abcdef.scope"),
        ("0::/user.slice/user-1000.slice/session-3.scope\n", None),
        ("0::/user.slice/user-1000.slice/user@1000.service/app.slice/web.service\n", "systemd unit web.service"),
        ("0::/user.slice/user-1000.slice/user@1000.service/app.slice/app-term.scope\n", None),
        ("12:pids:/kubepods/besteffort/pod1/abc\n0::/\n", "container abc"),
        ("0::/\n", None),
    ],
)
def test_what_a_cgroup_says(text: str, unit: str | None) -> None:
    assert cgroup_unit(text) == unit
