"""Probes of files, disks, processes, memory and the network, on real ones; and tools through a host with a prefix."""

from __future__ import annotations

import http.server
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from pydantic import ValidationError

from devops_agent.errors import NotAllowed, ToolError
from devops_agent.model import Step
from devops_agent.tools.toolbox import Toolbox

from .conftest import alive, eventually

Box = Callable[..., Toolbox]


class Answers(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        code = int(self.path.strip("/") or 200)
        self.send_response(code)
        self.send_header("Location", "http://127.0.0.1:1/")
        self.end_headers()
        self.wfile.write(b"hello")

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def web(port: int) -> Iterator[int]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", port), Answers)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield port
    server.shutdown()
    server.server_close()


def test_http(box: Box, web: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    tools = box()
    seen = tools.probe("http_check", {"url": f"http://127.0.0.1:{web}/"})
    assert (seen["status"], seen["ok"], seen["body"]) == (200, True, "hello")
    assert tools.probe("http_check", {"url": f"http://127.0.0.1:{web}/502"})["status"] == 502
    assert tools.probe("http_check", {"url": f"http://127.0.0.1:{web}/302"})["status"] == 302  # not followed
    assert tools.probe("http_check", {"url": "http://127.0.0.1:1/"})["error"] == "refused"
    assert tools.probe("http_check", {"url": "http://no-such-host.invalid/"})["error"] == "unresolved"
    assert tools.probe("http_check", {"url": f"https://127.0.0.1:{web}/"})["error"].startswith("tls")


def test_tcp_and_health(box: Box, web: int) -> None:
    assert box().probe("tcp_check", {"port": web})["open"]
    service = {"ports": [web, 1], "health": {"http": f"http://127.0.0.1:{web}/", "contains": "hello"}}
    tools = box(services={"shop": service, "bad": {"health": {"http": f"http://127.0.0.1:{web}/500"}}, "none": {}})
    assert tools.probe("service_ports", {"service": "shop"}) == {"open": [web], "closed": [1]}
    assert {result.name: result.passed for result in tools.health().results} == {
        "health:shop": True,
        "health:bad": False,
    }
    assert tools.run_check("health:none").passed is None


def test_a_health_command_that_hangs_fails(box: Box) -> None:
    tools = box(services={"slow": {"health": {"command": ["sleep", "30"], "timeout": 0.5}}})
    assert tools.run_check("health:slow").passed is False


def test_disks(box: Box, workspace: Path) -> None:
    seen = box().probe("disk_usage", {"path": str(workspace / "not" / "there")})
    here = os.statvfs(workspace)
    assert seen["path"] == str(workspace)
    assert seen["size_bytes"] == here.f_frsize * here.f_blocks
    assert 0 <= seen["percent"] <= 100
    assert seen["read_only"] is False
    assert any(each["mount"] == "/proc" for each in box().probe("mounts", {})["mounts"])


def test_files(box: Box, workspace: Path) -> None:
    (workspace / "big file").write_bytes(b"x" * 5000)
    (workspace / "small").write_text("x")
    (workspace / "small").chmod(0o600)
    tools = box(services={"shop": {"user": "nobody"}}, protected=["small"])
    assert [each["bytes"] for each in tools.probe("largest_files", {"path": ".", "count": 1})["files"]] == [5000]
    seen = tools.probe("file_stat", {"path": "small", "service": "shop"})
    assert (seen["mode"], seen["readable"], seen["protected"]) == ("0600", False, True)
    assert not tools.probe("file_stat", {"path": "nothing/here"})["parent_exists"]
    assert tools.probe("find_files", {"path": ".", "name": "sm*"})["found"] == [str(workspace / "small")]
    assert tools.probe("file_hash", {"path": "small"})["sha256"].startswith("2d711642")
    with (workspace / "small").open():
        assert tools.probe("open_by", {"path": "small"})["pids"] == [os.getpid()]
    assert tools.probe("read_file", {"path": "small"})["text"] == "x"
    (workspace / "binary").write_bytes(b"\0\1")
    with pytest.raises(NotAllowed, match="not a text file"):
        tools.probe("read_file", {"path": "binary"})


def test_processes(box: Box) -> None:
    seen = box().probe("process_info", {"pid": os.getpid()})
    assert (seen["alive"], seen["ours"], seen["parent"]) == (True, False, os.getppid())
    assert seen["memory_bytes"] > 1 << 20
    assert seen["limits"]["open_files"]
    assert box().probe("process_info", {"pid": 4_190_000}) == {"pid": 4_190_000, "alive": False}
    memory = box().probe("memory_usage", {})
    assert 0 < memory["available_bytes"] <= memory["total_bytes"]


def test_secrets_on_a_command_line_are_not_told(box: Box) -> None:
    argv = ["--password=hunter2", "API_TOKEN=hunter2", "redis://u:hunter2@h/0", "--secret", "hunter2"]
    pid = os.spawnv(os.P_NOWAIT, sys.executable, [sys.executable, "-c", "import time; time.sleep(20)", *argv])
    try:
        assert "hunter2" not in str(box().probe("process_info", {"pid": pid}))
    finally:
        os.kill(pid, 9)
        os.waitpid(pid, 0)


def test_python_modules(box: Box, workspace: Path) -> None:
    folder = workspace / "venv" / "bin"
    folder.mkdir(parents=True)
    (folder / "python").symlink_to(sys.executable)
    (workspace / "requirements.txt").write_text("# c\nPyYAML>=6\n")
    entry = {"kind": "python", "path": "venv", "requirements": "requirements.txt"}
    tools = box(environments={"api": entry})
    assert tools.probe("python_module", {"module": "json"})["present"]
    seen = tools.probe("python_module", {"module": "no_such_module_here.at_all", "environment": "api"})
    assert (seen["present"], seen["environment"]) == (False, "api")
    with pytest.raises(NotAllowed):
        tools.probe("python_module", {"module": "json", "environment": "web"})
    assert tools.probe("command_present", {"command": "sh"})["present"]
    assert not tools.probe("command_present", {"command": "bin/nothing"})["present"]


def test_everything_through_a_prefix(box: Box, port: int, listener: Callable[..., int], workspace: Path) -> None:
    """The same repair on a host that is only reached by a command."""
    (workspace / "in-machine").write_text('#!/bin/sh\necho "$1" >> seen\nexec "$@"\n')
    (workspace / "in-machine").chmod(0o755)
    (workspace / "app.env").write_text("A=1\n")
    service = {"ports": [port], "host": {"command": ["./in-machine"]}, "config": ["app.env"]}
    tools = box(services={"shop": service})
    pid = listener(port)
    assert tools.probe("port_owner", {"port": port})["pid"] == pid
    action = tools.preview(Step(tool="free_port", args={"port": port}), 1)
    assert action.host == "./in-machine"
    outcome = tools.apply(action)
    assert outcome.status == "succeeded", outcome.output
    assert not alive(pid)
    edit = tools.preview(
        Step(tool="set_value", args={"file": "app.env", "key": "A", "value": "2", "service": "shop"}), 2
    )
    assert tools.apply(edit).status == "succeeded"
    assert (workspace / "app.env").read_text() == "A=2\n"
    assert tools.revert(edit).status == "succeeded"
    assert (workspace / "app.env").read_text() == "A=1\n"
    assert {"find", "head", "sh"} <= set((workspace / "seen").read_text().split())


def test_a_host_that_is_no_address_is_told(box: Box) -> None:
    with pytest.raises(ValidationError, match="telnet"):
        box(services={"shop": {"host": "telnet://x"}})
    with pytest.raises(ToolError):
        box(services={"shop": {"host": "ssh://-oProxyCommand=x"}}).probe("service_status", {"service": "shop"})


def test_a_file_is_read_and_edited_where_its_service_runs(box: Box, workspace: Path) -> None:
    (workspace / "in-machine").write_text('#!/bin/sh\necho "$1" >> seen\nexec "$@"\n')
    (workspace / "in-machine").chmod(0o755)
    (workspace / "there.env").write_text("THERE=1\n")
    (workspace / "here.env").write_text("HERE=1\n")
    there = {"host": {"command": ["./in-machine"]}, "config": ["there.env"]}
    tools = box(services={"there": there, "here": {"config": ["here.env"]}})
    assert (
        tools.preview(Step(tool="set_value", args={"file": "there.env", "key": "A", "value": 1}), 1).host
        == "./in-machine"
    )
    assert tools.preview(Step(tool="set_value", args={"file": "here.env", "key": "A", "value": 1}), 1).host == "local"
    assert tools.probe("env_value", {"name": "HERE"})["present"]
    assert not tools.probe("env_value", {"name": "THERE"})["present"]  # not on this host
    assert tools.probe("env_value", {"name": "THERE", "service": "there"})["present"]


@pytest.mark.skipif(not shutil.which("dnsmasq"), reason="dnsmasq is not installed")
def test_names_asked_of_one_server(box: Box, port: int) -> None:
    argv = [
        "dnsmasq",
        "--no-daemon",
        "--no-resolv",
        "--no-hosts",
        f"--port={port}",
        "--listen-address=127.0.0.1",
        "--bind-interfaces",
    ]
    argv += [
        "--address=/shop.lab/10.1.2.3",
        "--local=/lab/",
        "--txt-record=t.lab,hello",
        "--cname=www.lab,shop.lab",
        "--pid-file=",
    ]
    with subprocess.Popen(argv, stderr=subprocess.DEVNULL) as server:
        try:
            tools, asked = box(), {"server": "127.0.0.1", "port": port}
            assert eventually(lambda: tools.probe("dns_lookup", {"name": "shop.lab", **asked})["found"])
            assert tools.probe("dns_lookup", {"name": "shop.lab", **asked})["addresses"] == ["10.1.2.3"]
            assert tools.probe("dns_lookup", {"name": "t.lab", "kind": "TXT", **asked})["addresses"] == ["hello"]
            assert tools.probe("dns_lookup", {"name": "no.lab", **asked})["status"] == "no such name"
            assert tools.probe("dns_lookup", {"name": "example.org", **asked})["status"] == "refused"
        finally:
            server.kill()
    assert tools.probe("dns_lookup", {"name": "shop.lab", **asked})["status"] == "refused connection"


def test_names_as_programs_see_them(box: Box) -> None:
    assert box().probe("dns_lookup", {"name": "localhost"})["found"]
    assert not box().probe("dns_lookup", {"name": "no-such-name.invalid"})["found"]
    with pytest.raises(NotAllowed):
        box().probe("dns_lookup", {"name": "x", "server": "not-an-address"})
    assert isinstance(box().probe("resolver", {})["servers"], list)


def test_what_a_cgroup_uses(box: Box) -> None:
    seen = box().probe("cgroup_usage", {"pid": os.getpid()})
    assert seen["pid"] == os.getpid()
    assert seen["memory_limit"] is None or seen["memory_limit"] > 1 << 20
    with pytest.raises(ToolError, match="no such process"):
        box().probe("cgroup_usage", {"pid": 4_190_000})
