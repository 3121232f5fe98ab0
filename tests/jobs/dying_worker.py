"""A worker process that kills itself with SIGKILL around one journal write. Run by test_kill.py.

    dying_worker.py DATABASE FOLDER NUMBER before|after|never

`never`: works until the job has its answer. Prints how many journal writes it made.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from devops_agent.inventory import Place
from devops_agent.jobs.journal import FencedJournal
from devops_agent.jobs.store import Jobs
from devops_agent.jobs.tables import open_engine
from devops_agent.jobs.worker import Worker, dead_owners
from pipeline_parts import Wanting, agent, healthy_when, step


def main() -> None:
    database, folder, number, when = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
    writes = [0]
    put = FencedJournal.put

    def dying_put(self: FencedJournal, key: str, value: dict, durable: bool = False) -> None:
        writes[0] += 1
        if writes[0] == number and when == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        put(self, key, value, durable)
        if writes[0] == number and when == "after":
            os.kill(os.getpid(), signal.SIGKILL)

    FencedJournal.put = dying_put
    jobs = Jobs(open_engine(database))
    jobs.leases.release(dead_owners(jobs.leases.owners()))
    file = folder / "file"
    place = Place(healthy_when(file, "ab"), folder=folder)
    planner = Wanting([[step(file, "a"), step(file, "b")]])
    worker = Worker(jobs, agent(planner, folder / "data", place), patience=0)
    worker.work_until_answered(jobs.list()[0].id)
    print(writes[0])


if __name__ == "__main__":
    main()
