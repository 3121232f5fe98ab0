"""A worker process that is to be killed, paused and robbed of its database. Run by the tests of this folder.

    chaos_worker.py DATABASE FOLDER

Every incident names a folder in its log; its plan runs `mktemp` there twice, each of them an action of its own that
must not be repeated, so that the files in it are the starts of actions. `FOLDER/clock` says by how many seconds the
machine's clock is off, while `FOLDER/slow` is there probes do not end, CHAOS_MACHINE names another machine, and with
CHAOS_NEWER it is the next version of the program, whose records are others.
"""
# ruff: noqa: E402  (the clock is moved before anything looks at it)

from __future__ import annotations

import contextlib
import os
import random
import signal
import socket
import sys
import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent))

from devops_agent import model, record

FOLDER = Path(sys.argv[2])
HOSTS = 12
_known = [0.0, 0.0]


def moved() -> datetime:
    """The machine's clock, which the test sets."""
    if time.monotonic() - _known[1] > 0.2:
        try:
            _known[:] = float((FOLDER / "clock").read_text()), time.monotonic()
        except (OSError, ValueError):
            _known[1] = time.monotonic()
    return datetime.now(UTC) + timedelta(seconds=_known[0])


record.now = moved
model.SCHEMA_VERSION += "CHAOS_NEWER" in os.environ
if "CHAOS_MACHINE" in os.environ:
    socket.gethostname = lambda: os.environ["CHAOS_MACHINE"]

from functools import partial

from sqlalchemy.exc import SQLAlchemyError

from devops_agent.inventory import Inventory, Place
from devops_agent.jobs import brakes
from devops_agent.jobs.embedded import EmbeddedWorkers
from devops_agent.jobs.store import Jobs
from devops_agent.jobs.tables import open_engine
from devops_agent.jobs.worker import Worker
from devops_agent.model import Check, Diagnosis, Proposal, Run, Step
from devops_agent.pipeline import Agent
from devops_agent.policy import Fit, Limits, Policy
from devops_agent.scan import Signatures
from devops_agent.tools.base import Commands, Host, change, probe
from devops_agent.tools.toolbox import Toolbox


@probe
def traces(host: Host, path: str, service: str) -> dict[str, Any]:
    """How many files a folder holds; it takes its time."""
    time.sleep(random.uniform(0.0, 0.2))
    while (FOLDER / "slow").exists():
        time.sleep(0.05)
    return {"count": len(list(Path(path).iterdir()))}


@change(effect="change")
def leave_trace(host: Host, path: str, name: str, service: str) -> Commands:
    """Make a file: each start makes another one."""
    yield Run(argv=("mktemp", "-p", path, f"{name}-XXXXXXXX"))


def service_of(path: str) -> str:
    """Work is spread over hosts, since on each there is one repair at a time."""
    return f"s{int(Path(path).name) % HOSTS}"


class Tracing:
    """A planner that leaves two traces where the log says; some jobs then wait for a third one, which never comes."""

    name = "tracing"

    def diagnose(self, digest: Any, history: Any, look: Any) -> Diagnosis:
        path = next(word for each in digest.evidence for word in each.text.split() if word.startswith("/"))
        seen = look("traces", {"path": path, "service": service_of(path)})
        return Diagnosis(cause="config_invalid", summary=path, finding=path, looked=(seen,))

    def propose(self, diagnosis: Diagnosis, run: Any) -> Proposal:
        path = str(diagnosis.finding)
        where = {"path": path, "service": service_of(path)}
        steps = [Step(tool="leave_trace", args={**where, "name": name}, why="to count") for name in ("a", "b")]
        wait = Path(path).name.endswith("0")
        checks = (Check(probe="traces", args=where, expect=(f"result.count >= {3 if wait else 2}",)),)
        return Proposal(cause=diagnosis.cause, steps=tuple(steps), checks=checks)


def main() -> None:
    brakes.BACKOFF_SECONDS = 0.0
    tools = {"traces": traces, "leave_trace": leave_trace}
    services = {f"s{number}": {"host": {"command": ["env", f"HOST={number}"]}} for number in range(HOSTS)}
    place = Place(Inventory.model_validate({"services": services}), folder=FOLDER)
    limits = Limits(failures_per_hour=10**6, hosts_per_cause_per_hour=10**6)
    asked = tuple(f"env HOST={number}" for number in range(0, HOSTS, 4))
    rules = (("ask", Fit(effect=("change",), host=asked)), ("allow", Fit()))
    agent = Agent(
        Tracing(),
        Policy(rules, limits=limits),
        Signatures([]),
        partial(Toolbox, data_dir=FOLDER / "data", tools=tools),
        {place.name: place},
        settle=0.0,
        max_attempts=1,
    )
    jobs = Jobs(open_engine(sys.argv[1]))
    worker = Worker(jobs, agent, patience=2.0, data_dir=FOLDER / "data")
    workers = EmbeddedWorkers(worker, 3)
    workers.start()
    ended = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: ended.set())
    while not ended.wait(0.5):
        with contextlib.suppress(SQLAlchemyError):
            again = [row.id for row in jobs.list(limit=20)]
            for name in random.sample(again, min(2, len(again))):
                worker.work(name)  # delivered a second time
    workers.stop(5)


if __name__ == "__main__":
    main()
