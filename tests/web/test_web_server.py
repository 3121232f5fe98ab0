"""The server as it is started: a process of its own, its settings, its end."""

import os
import re
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from devops_agent.web.server import is_loopback

ROOT = Path(__file__).parents[2]
SOLVED = {"errors": [{"context": "Error: listen EADDRINUSE: address already in use :::3000"}]}


def free_port():
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


def environment(folder, port, **more):
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("DEVOPS_AGENT_", "FLASK_"))}
    return {
        **kept,
        "DEVOPS_AGENT_DATA_DIR": str(folder / "data"),
        "DEVOPS_AGENT_PORT": str(port),
        "PYTHONPATH": str(ROOT),
        **more,
    }


@contextmanager
def started(folder, *command, **more):
    """A server process in a folder; ended by SIGTERM, and by force where that does not help."""
    port = free_port()
    words = [each.replace("PORT", str(port)) for each in command]
    with (folder / "server.log").open("w") as log:
        process = subprocess.Popen(words, cwd=folder, env=environment(folder, port, **more), stdout=log, stderr=log)
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60) as client:
            deadline = time.monotonic() + 30
            while time.monotonic() < deadline and process.poll() is None:
                try:
                    client.get("/health")
                    break
                except httpx.TransportError:
                    time.sleep(0.1)
            yield process, client, folder / "server.log"
    finally:
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


SCRIPT = str(ROOT / "flask_agent_app.py")


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost"])
def test_on_port_0_it_says_which_one_it_listens_on(tmp_path, host):
    command = [sys.executable, "-m", "devops_agent", "serve", "--host", host]
    env = environment(tmp_path, 0)
    with (tmp_path / "server.log").open("w") as log:
        process = subprocess.Popen(command, cwd=tmp_path, env=env, stdout=subprocess.PIPE, stderr=log, text=True)
    try:
        said = process.stdout.readline()
        address = re.search(r"http://\S+:(\d+)/", said)
        assert address, said + (tmp_path / "server.log").read_text()
        assert int(address[1]) > 0
        assert httpx.get(f"{address[0]}health", timeout=30).json()["status"] == "healthy"  # at once, by what was said
    finally:
        process.terminate()
        assert process.wait(20) == 0
        process.stdout.close()


def test_started_as_a_script(tmp_path):
    (tmp_path / ".env").write_text("OPEN_AI_API_KEY=sk-test\nexport DEVOPS_AGENT_MODEL='gpt-5'\n")
    with started(tmp_path, sys.executable, SCRIPT) as (process, client, log):
        health = client.get("/health").json()
        assert (health["model"], health["api_key_configured"]) == ("gpt-5", True)
        body = client.post("/process_errors", json=SOLVED).json()
        assert body["results"][0]["diagnosis"]["cause"] == "port_in_use"
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0
        assert "sk-test" not in log.read_text()
        assert "Traceback" not in log.read_text()


@pytest.mark.parametrize("preload", [[], ["--preload"]])
def test_under_gunicorn(tmp_path, preload):
    configuration = ["-c", str(ROOT / "gunicorn.conf.py")]
    command = [sys.executable, "-m", "gunicorn", *configuration, *preload, "-w", "2", "flask_agent_app:app"]
    with started(tmp_path, *command) as (process, client, log):
        jobs = [client.post("/process_errors_async", json=SOLVED).json()["job_id"] for _ in range(4)]
        for job in jobs:
            deadline = time.monotonic() + 30
            while client.get(f"/job_status/{job}").json()["status"] == "processing" and time.monotonic() < deadline:
                time.sleep(0.05)
            assert client.get(f"/job_status/{job}").json()["status"] == "completed"
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0
        assert "Traceback" not in log.read_text()


def test_gunicorn_without_its_configuration_file(tmp_path):
    command = [sys.executable, "-m", "gunicorn", "-b", "127.0.0.1:PORT", "flask_agent_app:app"]
    with started(tmp_path, *command) as (_, client, _log):
        assert client.post("/process_errors", json=SOLVED).json()["status"] == "completed"


def test_a_request_that_waits_is_answered_when_the_server_stops(tmp_path):
    slow = tmp_path / "slow.py"
    slow.write_text(
        "from devops_agent.web import create_app, server\n"
        "from devops_agent.config import load_settings\n"
        "settings = load_settings()\n"
        "app = create_app(settings, work=False)\n"
        "server._gunicorn(app, server.options(settings))\n"
    )
    with started(tmp_path, sys.executable, str(slow)) as (process, client, _):
        answers = []
        waiting = threading.Thread(target=lambda: answers.append(client.post("/process_errors", json=SOLVED)))
        waiting.start()
        time.sleep(1)
        begun = time.monotonic()
        process.send_signal(signal.SIGTERM)
        waiting.join(20)
        assert process.wait(20) == 0
        assert time.monotonic() - begun < 15
    assert answers[0].status_code == 202
    assert answers[0].json()["check_status_endpoint"] == answers[0].headers["Location"]


@pytest.mark.parametrize("arguments", [{"FLASK_DEBUG": "1"}, {}])
def test_debugging_is_refused_beyond_loopback(tmp_path, arguments):
    words = [] if arguments else ["--debug"]
    done = subprocess.run(
        [sys.executable, SCRIPT, *words],
        cwd=tmp_path,
        env=environment(tmp_path, free_port(), DEVOPS_AGENT_HOST="0.0.0.0", **arguments),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 2
    assert "DEVOPS_AGENT_HOST" in done.stderr
    assert "Traceback" not in done.stderr


def test_debugging_tells_details_on_loopback(tmp_path):
    with started(tmp_path, sys.executable, SCRIPT, FLASK_DEBUG="1") as (_, client, _log):
        assert client.get("/dashboard").status_code == 200
        with sqlite3.connect(tmp_path / "data" / "devops_agent.db") as database:
            database.execute("DROP TABLE job")
        answer = client.post("/process_errors_async", json=SOLVED)
    assert answer.status_code == 500
    assert "Traceback" in answer.json()["details"]


def test_wrong_settings_are_told_in_a_line(tmp_path):
    done = subprocess.run(
        [sys.executable, SCRIPT],
        cwd=tmp_path,
        env=environment(tmp_path, "many"),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr.startswith("DEVOPS_AGENT_PORT: ")
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("wrong", ["port", "data"])
def test_a_port_or_data_directory_that_cannot_be_used_is_told_in_a_line_before_anything_starts(tmp_path, wrong):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        (tmp_path / "file").touch()
        port = str(taken.getsockname()[1]) if wrong == "port" else "0"
        data = "file" if wrong == "data" else "data"
        done = subprocess.run(
            [sys.executable, SCRIPT],
            cwd=tmp_path,
            env=environment(tmp_path, port) | {"DEVOPS_AGENT_DATA_DIR": str(tmp_path / data)},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    assert done.returncode == 2
    assert done.stderr.startswith("DEVOPS_AGENT_PORT: " if wrong == "port" else "DEVOPS_AGENT_DATA_DIR: ")
    assert len(done.stderr.splitlines()) == 1
    assert "serves" not in done.stdout


@pytest.mark.parametrize(
    ("host", "local"),
    [("127.0.0.1", True), ("127.9.9.9", True), ("::1", True), ("localhost", True), ("0.0.0.0", False), ("x", False)],
)
def test_loopback(host, local):
    assert is_loopback(host) is local
