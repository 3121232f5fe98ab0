"""The two functions that other programs import, on a real machine: a port that a stray process holds."""

import os
import socket
import subprocess
import sys

import pytest

import devops_agent
from devops_agent.errors import RequestError

LISTEN = """
import socket, sys
s = socket.socket()
s.bind(("127.0.0.1", 0))
s.listen()
print(s.getsockname()[1], flush=True)
sys.stdin.read()
"""


@pytest.fixture(autouse=True)
def _own_place(tmp_path, monkeypatch):
    monkeypatch.setenv("DEVOPS_AGENT_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.delenv("DEVOPS_AGENT_INVENTORY", raising=False)
    monkeypatch.delenv("DEVOPS_AGENT_POLICY", raising=False)
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def stray():
    """A process of nobody's that listens; its pid and port."""
    with subprocess.Popen(
        [sys.executable, "-c", LISTEN], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        yield process.pid, int(process.stdout.readline())
        process.kill()


def error(port):
    return {"context": f"Error: listen EADDRINUSE: address already in use 127.0.0.1:{port}"}


def test_a_plan_for_each_error_and_nothing_is_done(stray):
    pid, port = stray
    plans = devops_agent.generate_planned_actions_from_errors(
        [error(port), {"context": "collected 3 items\n\n3 passed in 0.10s"}]
    )
    assert plans[0]["diagnosis"]["cause"] == "port_in_use"
    assert {"tool": "free_port", "params": {"port": port}}.items() <= {
        key: value for each in plans[0]["planned_actions"] if each["tool"] == "free_port" for key, value in each.items()
    }.items()
    assert plans[1]["planned_actions"] == []
    assert plans[1]["status"] == "no_failure"
    os.kill(pid, 0)


def test_acting_on_a_plan_waits_for_approval_under_the_default_policy(stray):
    pid, port = stray
    plan = devops_agent.generate_planned_actions_from_errors([error(port)])[0]
    answer = devops_agent.handle_llm_plan_with_tools(plan)
    assert set(answer) >= {"final_response", "tools_used", "iterations", "tool_calls", "tool_results"}
    assert answer["status"] in ("needs_approval", "needs_person")
    os.kill(pid, 0)
    with socket.create_connection(("127.0.0.1", port), timeout=5):
        pass


@pytest.mark.parametrize("wrong", [[{"context": ""}], [{}], [3], [{"context": 5}]])
def test_bad_input_names_the_field(wrong):
    with pytest.raises(RequestError, match=r"errors\[0\]\.context"):
        devops_agent.generate_planned_actions_from_errors(wrong)


def test_a_plan_without_its_error_cannot_be_gone_on_with():
    with pytest.raises(RequestError, match=r"plan\.error_context"):
        devops_agent.handle_llm_plan_with_tools({"planned_actions": []})
