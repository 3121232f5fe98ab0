"""What all tests of this folder do: keep workers busy, disturb them, and count what came of it."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

from sqlalchemy import func, select
from sqlalchemy.exc import SQLAlchemyError

from devops_agent.errors import AgentError
from devops_agent.jobs import audit, database
from devops_agent.jobs.database import passing
from devops_agent.jobs.store import FINISHED, Jobs
from devops_agent.jobs.tables import host_locks, open_engine
from devops_agent.jobs.tables import jobs as table
from devops_agent.model import Incident

SECONDS = float(os.environ.get("CHAOS_SECONDS", "40"))
"""How long each storm lasts; CHAOS_SECONDS=180 for the long one."""
MOST_OPEN = 40
"""No new jobs while so many are open: a busy machine is kept busy, and not buried."""
SCRIPT = Path(__file__).with_name("chaos_worker.py")


class Storm:
    """A database, a number of workers, a stream of jobs, and somebody who approves what is asked."""

    def __init__(self, url: str, folder: Path, workers: int, rate: float = 5.0) -> None:
        self.url = url
        self.folder = folder
        self.rate = rate
        self.log = folder / "workers.log"
        self.jobs = Jobs(open_engine(url))
        self.accepted: list[str] = []
        self.kills = 0
        self.refused = 0
        self.failures: list[Exception] = []
        self._stop = threading.Event()
        self._drawn = random.Random(7)
        (folder / "traces").mkdir()
        self.processes = [self._start() for _ in range(workers)]
        self._threads = [threading.Thread(target=each, daemon=True) for each in (self._submit, self._approve)]

    def __enter__(self) -> Storm:
        for each in self._threads:
            each.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for each in self.processes:
            with contextlib.suppress(ProcessLookupError):
                each.send_signal(signal.SIGCONT)
                each.kill()
            each.wait(10)
        for thread in self._threads:
            thread.join(60)

    def kill_one(self) -> None:
        """SIGKILL one of the workers, and start another in its place."""
        number = self._drawn.randrange(len(self.processes))
        self.processes[number].kill()
        self.processes[number].wait(10)
        self.processes[number] = self._start()
        self.kills += 1

    def upgrade_one(self, number: int) -> int | None:
        """Start a worker of the next version, and tell this one to end; its exit status."""
        old, self.processes[number] = self.processes[number], self._start(CHAOS_NEWER="1")
        time.sleep(3)
        old.send_signal(signal.SIGTERM)
        try:
            return old.wait(40)
        finally:
            old.kill()

    def pause_one(self, seconds: float) -> threading.Thread:
        """Stop one worker where it is, and let it go on after so many seconds."""
        process = self.processes[self._drawn.randrange(len(self.processes))]
        process.send_signal(signal.SIGSTOP)

        def resume() -> None:
            time.sleep(seconds)
            with contextlib.suppress(ProcessLookupError):
                process.send_signal(signal.SIGCONT)

        thread = threading.Thread(target=resume, daemon=True)
        thread.start()
        return thread

    def settle(self, seconds: float = 60.0) -> None:
        """No new jobs; wait until all that were accepted have ended. The machine may be busy: as long as jobs end, all
        is well."""
        self._quiet = True
        end, fewest = time.monotonic() + seconds, 10**6
        while left := self._open():
            if len(left) < fewest:
                end, fewest = time.monotonic() + seconds, len(left)
            assert time.monotonic() < end, f"{len(left)} have not ended: {self._why(left[:20])}"
            time.sleep(0.2)

    def _why(self, left: list[str]) -> str:
        alive = [thread.is_alive() for thread in self._threads], [each.poll() for each in self.processes]
        with database.reading(self.jobs.engine) as connection:
            columns = (table.c.id, table.c.status, table.c.waiting, table.c.due, table.c.lease, table.c.tries)
            rows = connection.execute(select(*columns).where(table.c.id.in_(left))).all()
            locks = connection.execute(select(host_locks)).all()
        return f"{alive}, {rows}, {locks}, {self.log.read_text()[-3000:]}"

    def check(self) -> dict[str, int]:
        """No job lost, none twice, every one ended, no action started twice, the trail intact; what there was."""
        assert self.failures == []
        assert all(thread.is_alive() for thread in self._threads)
        with self.jobs.engine.connect() as connection:
            rows = connection.execute(select(table.c.id, table.c.status, table.c.outcome, table.c.incident)).all()
            assert connection.execute(select(func.count()).select_from(table)).scalar() == len(rows)
        found = {row.id: row for row in rows}
        assert set(self.accepted) <= set(found), "an accepted job is lost"
        assert all(row.status in FINISHED for row in rows)
        assert list(audit.broken(self.jobs.engine)) == []
        told = {"jobs": len(rows), "kills": self.kills, "refused": self.refused, "unknown": 0, "errors": 0}
        for row in rows:
            made = self.jobs.report(row.id)
            folder = Path(made.incident.log.split()[2])
            traces = sorted(each.name.partition("-")[0] for each in folder.iterdir())
            assert len(set(traces)) == len(traces), f"{row.id}: an action was started twice: {traces}"
            outcomes = {each.action_id: each.status for one in made.attempts for each in one.outcomes}
            for number, name in (("a1", "a"), ("a2", "b")):
                if outcomes.get(number) == "succeeded":
                    assert name in traces, f"{row.id}: {number} succeeded and left no trace"
                if outcomes.get(number) == "skipped":
                    assert name not in traces, f"{row.id}: {number} was skipped and left a trace"
            told["unknown"] += "unknown" in outcomes.values()
            told["errors"] += row.status == "error"
            told[row.outcome] = told.get(row.outcome, 0) + 1
        started = [
            (e.job, e.data["action"])
            for e in audit.entries(self.jobs.engine, limit=10**6)
            if e.event == "action started"
        ]
        assert len(started) == len(set(started))
        return told

    def _start(self, **more: str) -> subprocess.Popen[bytes]:
        command = [sys.executable, str(SCRIPT), self.url, str(self.folder)]
        with self.log.open("ab") as log:
            return subprocess.Popen(command, stdout=log, stderr=log, cwd=self.folder, env={**os.environ, **more})

    _quiet = False

    def _submit(self) -> None:
        number = 0
        while not self._stop.wait(1 / self.rate):
            if self._quiet or len(self._open()) > MOST_OPEN:
                continue
            number += 1
            folder = self.folder / "traces" / str(number)
            folder.mkdir()
            incident = Incident(id=f"inc_{number}", title=f"trouble {number}", log=f"ERROR in {folder} here\nexit 1\n")
            try:
                self.accepted += self.jobs.submit([incident]).jobs
            except SQLAlchemyError as failure:
                self.refused += 1
                if not passing(failure):
                    self.failures.append(failure)

    def _approve(self) -> None:
        while not self._stop.wait(0.3):
            with contextlib.suppress(SQLAlchemyError):
                for row in self.jobs.list(status="approval", limit=100):
                    for _ in range(2):  # a person who clicks twice
                        with contextlib.suppress(AgentError):
                            self.jobs.decide(row.id, self._drawn.random() < 0.9, "ann")

    def _open(self) -> list[str]:
        try:
            with database.reading(self.jobs.engine) as connection:
                return list(connection.execute(select(table.c.id).where(table.c.status.not_in(FINISHED))).scalars())
        except SQLAlchemyError:
            return ["the database does not answer"]
