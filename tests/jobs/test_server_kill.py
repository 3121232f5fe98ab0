"""kill -9 of the whole server in the middle of an action: it is ended, not repeated, and said to be unknown."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest

RELEASE = """
import pathlib, sys, time
trace, lock = map(pathlib.Path, sys.argv[1:3])
with trace.open("a") as file:
    file.write("released\\n")
time.sleep(20)
lock.unlink()
"""
LOG = """$ deploy apply
Error: Error acquiring the state lock

Lock Info:
  ID:        9f1c
  Operation: apply
[exit 1]
"""


def ended_pid():
    process = subprocess.Popen([sys.executable, "-c", "pass"])
    process.wait()
    return process.pid


@pytest.fixture
def place(tmp_path):
    (tmp_path / "release.py").write_text(RELEASE)
    (tmp_path / "lock.info").write_text(json.dumps({"ID": "9f1c", "Pid": ended_pid()}))
    release = [sys.executable, "release.py", "trace", "lock.info", "{ID}"]
    check = [sys.executable, "-c", "import os, sys; sys.exit(os.path.exists('lock.info'))"]
    inventory = {
        "workspace": str(tmp_path),
        "locks": {"state": {"file": "lock.info", "holder": "Pid", "release": release}},
        "checks": {"deploy": {"command": check}},
    }
    (tmp_path / "inventory.yaml").write_text(json.dumps(inventory))
    (tmp_path / "policy.yaml").write_text("- {allow: {}}\n")
    return tmp_path


@contextlib.contextmanager
def serving(place):
    """A real server process; yields its address and a function that kills all of it."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "devops_agent", "serve", "--port", str(port)]
    command += ["--inventory", str(place / "inventory.yaml"), "--policy", str(place / "policy.yaml")]
    env = {**os.environ, "DEVOPS_AGENT_DATA_DIR": str(place / "data"), "DEVOPS_AGENT_PATIENCE_SECONDS": "1"}
    with (place / "server.log").open("ab") as log:
        server = subprocess.Popen(command, stdout=log, stderr=log, env=env, cwd=place, start_new_session=True)
    address = f"http://127.0.0.1:{port}"

    def kill():
        with contextlib.suppress(ProcessLookupError):
            os.killpg(server.pid, signal.SIGKILL)
        server.wait(10)

    try:
        until(lambda: reachable(address), place)
        yield address, kill
    finally:
        kill()


def reachable(address):
    try:
        return ask(f"{address}/health")["status"] == "healthy"
    except (urllib.error.URLError, OSError):
        return False


def ask(address, body=None):
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(address, data, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=10) as answer:
        return json.load(answer)


def until(condition, place, seconds=40):
    end = time.monotonic() + seconds
    while not (seen := condition()):
        assert time.monotonic() < end, (place / "server.log").read_text()[-2000:]
        time.sleep(0.05)
    return seen


def still_releasing(place):
    for name in os.listdir("/proc"):
        if name.isdigit():
            with contextlib.suppress(OSError):
                words = Path(f"/proc/{name}/cmdline").read_bytes().split(b"\0")
                if b"release.py" in words and os.readlink(f"/proc/{name}/cwd") == str(place):
                    return True
    return False


def test_an_action_that_was_under_way_is_not_repeated(place):
    trace = place / "trace"
    with serving(place) as (address, kill):
        job = ask(f"{address}/process_errors_async", {"errors": [{"context": LOG}]})["job_id"]
        until(trace.exists, place)
        kill()
    assert still_releasing(place)
    with serving(place) as (address, _kill):
        done = until(lambda: (row := ask(f"{address}/job_status/{job}"))["status"] == "completed" and row, place)
    assert trace.read_text() == "released\n"
    assert not still_releasing(place)
    result = done["results"][0]
    assert result["outcome"] == "unresolved"
    assert [row["outcome"] for row in result["tool_results"] if row["name"] == "release_lock"] == ["unknown"]
    assert (place / "lock.info").exists()
