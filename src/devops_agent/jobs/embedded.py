"""Workers inside the serving process: a few threads that take jobs as they become due."""

from __future__ import annotations

import logging
import threading
import time

from sqlalchemy.exc import SQLAlchemyError

from devops_agent.jobs import audit, retention, search
from devops_agent.jobs.distributed import Listener
from devops_agent.jobs.store import Jobs
from devops_agent.jobs.worker import Worker
from devops_agent.model import now

log = logging.getLogger("devops_agent.worker")
GIVE_WAY = 1.0
"""Seconds that a worker waits at most between two jobs while jobs come in: who submits is served first."""
_GLANCE, _CALM = 0.05, 3
"""Seconds between two looks at whether jobs come in; how often in a row they must not (all may wait for the disk)."""
_RECOVER_EVERY = 5.0
_FORGET_EVERY = 60.0
_JUMP_SECONDS = 2.0
"""A clock that was set by more than that makes all that waits for a time look again."""


class EmbeddedWorkers:
    """Threads that walk jobs until `stop`; a job in hand is then finished up to its next kept step by whoever comes."""

    def __init__(self, worker: Worker, count: int = 2, forget_days: float = 90.0, audit_days: float = 0.0) -> None:
        self.worker = worker
        self.jobs: Jobs = worker.jobs
        self.forget_days = forget_days
        self.audit_days = max(audit_days, forget_days) if audit_days else 0.0
        self._stop = threading.Event()
        self._threads = [
            threading.Thread(target=self._loop, name=f"worker-{number}", daemon=True) for number in range(count)
        ]
        self._threads.append(threading.Thread(target=self._recover, name="recovery", daemon=True))
        self._listener = Listener(self.jobs)

    def start(self) -> None:
        """Take over what killed processes of this machine left behind, then work."""
        self.worker.recover()
        self._listener.start()
        for thread in self._threads:
            thread.start()

    def alive(self) -> bool:
        """Whether all threads that walk jobs live."""
        return all(thread.is_alive() for thread in self._threads)

    def stop(self, timeout: float = 10.0) -> None:
        """Take no new job, and wait for those in hand; what does not end in time goes on elsewhere later."""
        self._stop.set()
        self.jobs.tell()
        self._listener.stop()
        end = time.monotonic() + timeout
        for thread in self._threads:
            thread.join(max(0.1, end - time.monotonic()))
        try:
            self.worker.leave()
        except SQLAlchemyError as failure:
            log.warning("could not give back what was in hand: %s", failure)

    def _loop(self) -> None:
        while not self._stop.is_set():
            try:
                worked = self.worker.work()
            except SQLAlchemyError as failure:
                log.warning("the database cannot be used; trying again: %s", failure)
                self._stop.wait(1.0)
                continue
            if not worked:
                self._rest()
            else:
                self._give_way()

    def _give_way(self) -> None:
        """Let those in who are submitting at this moment."""
        end = time.monotonic() + GIVE_WAY
        calm = 0 if self.jobs.crowded else _CALM
        while calm < _CALM and time.monotonic() < end and not self._stop.wait(_GLANCE):
            calm = 0 if self.jobs.crowded else calm + 1

    def _rest(self) -> None:
        """Sleep until something is submitted or due."""
        told = self.jobs.work.told
        due = self.jobs.leases.next_due(self.worker.reach)
        if not self._stop.is_set():
            self.jobs.work.wait(told, 1.0 if due is None else min(1.0, max(0.01, due)))

    def _recover(self) -> None:
        """Leases of dead neighbours (several processes of one machine share the database), words that are not indexed
        yet, and old jobs."""
        forgets = 0.0
        apart = now().timestamp() - time.monotonic()
        while not self._stop.wait(_RECOVER_EVERY):
            try:
                self.worker.recover()
                search.catch_up(self.jobs.engine)
                if abs(now().timestamp() - time.monotonic() - apart) > _JUMP_SECONDS:
                    apart = now().timestamp() - time.monotonic()
                    self.jobs.leases.wake_all()
                if time.monotonic() >= forgets:
                    forgets = time.monotonic() + _FORGET_EVERY
                    self._forget()
            except SQLAlchemyError as failure:
                log.warning("recovery failed; trying again: %s", failure)

    def _forget(self) -> None:
        """Delete what is older than what is kept."""
        self.jobs.forget(self.forget_days)
        if self.audit_days:
            audit.shorten(self.jobs.engine, self.audit_days)
        if self.worker.data_dir is not None:
            retention.forget_files(self.jobs.engine, self.worker.data_dir, self.forget_days)
