"""`serve`: starts, answers, ends cleanly; wrong settings are refused before anything listens."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import time
import urllib.request

from .conftest import Agent


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


def test_serve_answers_and_ends_on_sigterm(environment: dict[str, str]) -> None:
    port = _free_port()
    process = subprocess.Popen(
        [sys.executable, "-m", "devops_agent", "serve", "--port", str(port)],
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    try:
        answer = None
        deadline = time.monotonic() + 40
        while answer is None and time.monotonic() < deadline and process.poll() is None:
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=5) as said:
                    answer = json.load(said)
            except OSError:
                time.sleep(0.1)
        assert answer is not None
        assert answer["status"] == "healthy"
        process.send_signal(signal.SIGTERM)
        assert process.wait(40) == 0
    finally:
        process.kill()
        process.communicate(timeout=10)


def test_wrong_settings_are_refused_before_anything_listens(agent: Agent) -> None:
    for arguments, env, named in (
        (("serve", "--port", "70000"), {}, b"--port"),
        (("serve", "--planner", "model"), {}, b"DEVOPS_AGENT_PLANNER"),
        (("serve", "--inventory", "missing.yaml"), {}, b"missing.yaml"),
        (("serve", "--policy", "missing.yaml"), {}, b"missing.yaml"),
        (("serve",), {"DEVOPS_AGENT_PORT": "five"}, b"DEVOPS_AGENT_PORT"),
    ):
        ran = agent(*arguments, env=env)
        assert ran.returncode == 2, ran.stderr
        assert named in ran.stderr
        assert b"Traceback" not in ran.stderr
