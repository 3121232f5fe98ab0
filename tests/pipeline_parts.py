"""Parts for tests of the whole walk: a planner that knows what it wants, and tools that leave countable traces."""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path
from typing import Any

from devops_agent.inventory import Inventory, Place
from devops_agent.model import Check, Diagnosis, Incident, Proposal, Run, Step
from devops_agent.pipeline import Agent
from devops_agent.policy import Fit, Policy
from devops_agent.scan import Signatures
from devops_agent.tools import registry
from devops_agent.tools.base import Commands, Host, change, probe
from devops_agent.tools.toolbox import Toolbox

ALLOW = Policy((("allow", Fit()),))
APPEND = "import sys; open(sys.argv[1], 'a').write(sys.argv[2])"
LOG = "starting\nERROR: the thing is broken\nexit 1\n"


@probe
def content(host: Host, path: str) -> dict[str, Any]:
    """What a file holds."""
    return {"text": host.read(path).decode() if host.exists(path) else ""}


@change(effect="change")
def append(host: Host, path: str, text: str) -> Commands:
    """Append to a file: doing it twice can be seen."""
    yield Run(argv=(sys.executable, "-c", APPEND, path, text))


@append.undo
def _take_back(host: Host, path: str, text: str) -> Commands:
    yield Run(argv=(sys.executable, "-c", "import sys; open(sys.argv[1], 'w').close()", path))


@change(effect="change")
def append_and_fail(host: Host, path: str) -> Commands:
    """Append to a file, and then fail."""
    yield Run(argv=(sys.executable, "-c", APPEND, path, "half"))
    yield Run(argv=(sys.executable, "-c", "raise SystemExit(1)"))


@append_and_fail.undo
def _take_back_half(host: Host, path: str) -> Commands:
    yield Run(argv=(sys.executable, "-c", "import sys; open(sys.argv[1], 'w').close()", path))


class Wanting:
    """A planner that proposes the given steps, one list for each attempt."""

    name = "wanting"

    def __init__(self, rounds: list[list[Step]], checks: tuple[Check, ...] = (), cause: str = "config_invalid") -> None:
        self.rounds = rounds
        self.checks = checks
        self.cause = cause

    def diagnose(self, digest: Any, history: Any, look: Any) -> Diagnosis:
        number = sum(1 for attempt in history if attempt.verification)
        seen = look("content", {"path": "/dev/null"})
        return Diagnosis(cause=f"{self.cause}", summary=f"round {number}", finding=str(number), looked=(seen,))

    def propose(self, diagnosis: Diagnosis, run: Any) -> Proposal:
        number = min(int(diagnosis.finding or 0), len(self.rounds) - 1)
        return Proposal(cause=diagnosis.cause, steps=tuple(self.rounds[number]), checks=self.checks)


def healthy_when(path: Path, text: str) -> Inventory:
    """An inventory whose only check passes when the file holds exactly this text."""
    program = (
        "import sys, pathlib; p = pathlib.Path(sys.argv[1]); "
        "sys.exit(not (p.exists() and p.read_text() == sys.argv[2]))"
    )
    command = [sys.executable, "-c", program, str(path), text]
    return Inventory.model_validate({"checks": {"content": {"command": command}}})


def agent(planner: Any, data_dir: Path, place: Place, policy: Policy = ALLOW, **more: Any) -> Agent:
    """An agent with that planner, real tools and two of our own."""
    tools = {**registry.tools(), "content": content, "append": append, "append_and_fail": append_and_fail}
    toolbox = partial(Toolbox, data_dir=data_dir, tools=tools)
    return Agent(planner, policy, Signatures([]), toolbox, {place.name: place}, settle=0.0, **more)


def incident() -> Incident:
    return Incident(id="inc_1", title="broken", log=LOG)


def step(path: Path, text: str = "x") -> Step:
    return Step(tool="append", args={"path": str(path), "text": text}, why="to see it")
