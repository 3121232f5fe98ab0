"""What handing over a job costs: Procrastinate beside the table of jobs itself, on the same Postgres, one worker.

    python benchmarks/data/delivery.py [--jobs 1000]

Procrastinate would only deliver ids: the claim with its fence, and the end of the job, come on top of it.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tests"))

from devops_agent.jobs.leases import Leases
from devops_agent.jobs.store import Jobs
from devops_agent.jobs.tables import open_engine
from devops_agent.model import Incident
from postgres import Postgres


async def procrastinate(conninfo: str, count: int) -> tuple[float, float]:
    """Seconds to defer, and to fetch and finish, so many jobs that do nothing."""
    from procrastinate import App, PsycopgConnector

    app = App(connector=PsycopgConnector(conninfo=conninfo))

    @app.task(name="nothing")
    async def nothing(job: str) -> None:
        """Nothing."""

    async with app.open_async():
        await app.schema_manager.apply_schema_async()
        begun = time.perf_counter()
        for number in range(count):
            await nothing.defer_async(job=str(number))
        deferred = time.perf_counter() - begun
        begun = time.perf_counter()
        await app.run_worker_async(wait=False, concurrency=1, install_signal_handlers=False)
        return deferred, time.perf_counter() - begun


def ours(url: str, count: int) -> tuple[float, float]:
    """Seconds to submit, and to claim, so many jobs."""
    jobs = Jobs(open_engine(url))
    incidents = [Incident(id=f"inc_{number}", title="x", log="x") for number in range(count)]
    begun = time.perf_counter()
    for incident in incidents:
        jobs.submit([incident])
    submitted = time.perf_counter() - begun
    leases = Leases(jobs.engine)
    begun = time.perf_counter()
    while leases.claim("me") is not None:
        pass
    return submitted, time.perf_counter() - begun


def main() -> None:
    given = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    given.add_argument("--jobs", type=int, default=1000)
    count = given.parse_args().jobs
    with Postgres(fsync="on") as server:
        for _ in range(2):
            submitted, claimed = ours(server.database(), count)
            deferred, ran = asyncio.run(procrastinate(server.database(), count))
            each = [took / count * 1000 for took in (submitted, claimed, deferred, ran)]
            print(f"ours: {each[0]:.2f} ms to submit, with all its rows, {each[1]:.2f} ms to claim")
            print(f"Procrastinate: {each[2]:.2f} ms to defer, {each[3]:.2f} ms to fetch and finish")


if __name__ == "__main__":
    main()
