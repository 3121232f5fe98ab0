"""Waiting as a step of a plan: it changes nothing, and says whether what was waited for came."""

from __future__ import annotations

import socket
from pathlib import Path

from devops_agent.inventory import Place
from devops_agent.model import Step
from devops_agent.tools.toolbox import Toolbox


def step(port: int, wanted: str, limit: float) -> Step:
    args = {"probe": "tcp_check", "args": {"port": port}, "expect": [f"result.open == {wanted}"], "limit": limit}
    return Step(tool="wait_until", args=args, why="it is about to happen")


def test_it_waits_for_a_port_and_gives_up_at_its_limit(tmp_path: Path) -> None:
    box = Toolbox(Place(), tmp_path)
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        port = listener.getsockname()[1]
        action = box.preview(step(port, "true", 5), 1)
        assert (action.effect, len(action.commands)) == ("read", 1)
        assert box.apply(action).status == "succeeded"
    assert box.apply(box.preview(step(port, "true", 0.5), 2)).status == "failed"
