"""How the work of many workers adds up on one Postgres, and whether ten thousand jobs all end.

    python benchmarks/data/workers.py scale [--seconds 20]       1, 2 and 4 workers, each job waits one second
    python benchmarks/data/workers.py many [--jobs 10000]        all queued at once, then worked off; on SQLite too
                                           [--only postgres]     or on one of both alone

A job that waits one second stands for one that waits for a model. Workers are processes of their own, of one thread.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tests"))

from devops_agent.jobs import audit
from devops_agent.jobs.store import Jobs
from devops_agent.jobs.tables import open_engine
from devops_agent.model import Incident

THREADS = 1


def incident(number: int) -> Incident:
    return Incident(id=f"inc_{number}", title=f"trouble {number}", log=f"ERROR: broken {number}\nexit 1\n")


def work(url: str, folder: Path, seconds: float) -> None:
    """A worker process: what `devops-agent worker --jobs 1` runs, with a planner that waits."""
    from functools import partial

    from devops_agent.inventory import Place
    from devops_agent.jobs.embedded import EmbeddedWorkers
    from devops_agent.jobs.worker import Worker
    from devops_agent.model import Diagnosis, Proposal
    from devops_agent.pipeline import Agent
    from devops_agent.policy import Policy
    from devops_agent.scan import Signatures
    from devops_agent.tools.toolbox import Toolbox

    class Waiting:
        name = "waiting"

        def diagnose(self, *_: Any) -> Diagnosis:
            time.sleep(seconds)
            return Diagnosis(cause="unknown", summary="waited")

        def propose(self, diagnosis: Diagnosis, _run: Any) -> Proposal:
            return Proposal(cause=diagnosis.cause)

    place = Place()
    agent = Agent(Waiting(), Policy(), Signatures([]), partial(Toolbox, data_dir=folder), {place.name: place})
    workers = EmbeddedWorkers(Worker(Jobs(open_engine(url)), agent, data_dir=folder), THREADS)
    workers.start()
    print("ready", flush=True)
    signal.sigwait([signal.SIGTERM])
    os._exit(0)


def started(url: str, folder: Path, count: int, seconds: float) -> list[subprocess.Popen[str]]:
    command = [sys.executable, __file__, "work", url, str(folder), str(seconds)]
    processes = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(count)]
    for each in processes:
        assert each.stdout is not None
        assert each.stdout.readline() == "ready\n"
    return processes


def rate(url: str, folder: Path, workers: int, seconds: float) -> float:
    """Jobs a second while there are always more than can be worked on."""
    jobs = Jobs(open_engine(url))
    processes = started(url, folder, workers, 1.0)
    jobs.submit([incident(number) for number in range(int(workers * THREADS * (seconds + 6)))])
    time.sleep(3)
    begun, first = time.monotonic(), jobs.counts().get("done", 0)
    time.sleep(seconds)
    done = (jobs.counts().get("done", 0) - first) / (time.monotonic() - begun)
    for each in processes:
        each.send_signal(signal.SIGTERM)
        each.wait(20)
    return done


def many(url: str, folder: Path, count: int, workers: int) -> None:
    jobs = Jobs(open_engine(url))
    begun = time.monotonic()
    for start in range(0, count, 500):
        jobs.submit([incident(number) for number in range(start, min(count, start + 500))])
    queued = time.monotonic() - begun
    processes = started(url, folder, workers, 0.0)
    begun = time.monotonic()
    while (ended := jobs.counts()).get("done", 0) + ended.get("error", 0) < count:
        time.sleep(0.5)
    took = time.monotonic() - begun
    for each in processes:
        each.send_signal(signal.SIGTERM)
        each.wait(20)
    trail = list(audit.broken(jobs.engine))
    print(
        f"{jobs.engine.dialect.name}: {count} jobs queued in {queued:.1f} s, ended by {workers} workers in {took:.1f} s"
        f" ({count / took:.0f} a second): {ended}; trail {'broken' if trail else 'intact'}",
        flush=True,
    )


def main() -> None:
    if sys.argv[1:2] == ["work"]:
        work(sys.argv[2], Path(sys.argv[3]), float(sys.argv[4]))
    given = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    given.add_argument("what", choices=("scale", "many"))
    given.add_argument("--seconds", type=float, default=20)
    given.add_argument("--jobs", type=int, default=10_000)
    given.add_argument("--only", choices=("sqlite", "postgres"))
    asked = given.parse_args()
    from postgres import Postgres

    with tempfile.TemporaryDirectory() as name, Postgres(fsync="on") as server:
        if asked.what == "many":
            if asked.only != "postgres":
                many(f"sqlite:///{name}/jobs.db", Path(name), asked.jobs, 2)
            if asked.only != "sqlite":
                many(server.database(), Path(name), asked.jobs, 2)
            return
        alone = 0.0
        for workers in (1, 2, 4):
            done = rate(server.database(), Path(name), workers, asked.seconds)
            alone = alone or done
            print(f"{workers} workers: {done:.2f} jobs a second, {done / alone / workers:.2f} of linear", flush=True)


if __name__ == "__main__":
    main()
