"""The threads that work on what came in and send what is to be told, beside the workers of a process."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

from devops_agent.connect import alerts
from devops_agent.connect.inbox import Intake
from devops_agent.connect.outbox import Outbox
from devops_agent.jobs.store import Jobs
from devops_agent.jobs.worker import dead_owners

log = logging.getLogger("devops_agent.connect")

TAKERS, SENDERS = 2, 2
"""Several, so that one slow host holds up no other."""
REST = 1.0
CLEAN_EVERY = 3600.0
_RECOVER_EVERY = 5.0


class Courier:
    """Takes in and sends until `stop`; what is in hand then is done again by whoever comes."""

    def __init__(self, jobs: Jobs, intake: Intake | None, outbox: Outbox | None) -> None:
        self.jobs = jobs
        self.intake = intake
        self.outbox = outbox
        self._stop = threading.Event()
        work: list[tuple[str, Callable[[], bool], Callable[[], float | None]]] = [("courier", self._tidy, _never)]
        if intake is not None:
            work += [(f"intake-{number}", intake.step, intake.next_due) for number in range(TAKERS)]
            work.append(("closing", self._close, _never))
        if outbox is not None:
            work += [(f"sender-{number}", outbox.step, outbox.next_due) for number in range(SENDERS)]
            work.append(("notices", lambda: bool(outbox.gather()), _never))
        self._threads = [threading.Thread(target=self._loop, args=each[1:], name=each[0], daemon=True) for each in work]
        self._tidied = self._recovered = 0.0

    def start(self) -> None:
        """Begin."""
        if self.outbox is not None:
            self.outbox.begin()
        self._recover()
        for thread in self._threads:
            thread.start()

    def stop(self, timeout: float = 5.0) -> None:
        """Take up nothing new."""
        self._stop.set()
        self.jobs.tell()
        deadline = time.monotonic() + timeout
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))

    def _loop(self, step: Callable[[], bool], due: Callable[[], float | None]) -> None:
        while not self._stop.is_set():
            try:
                worked = step()
                rest = REST if worked or (next_due := due()) is None else min(REST, max(0.05, next_due))
            except Exception:
                log.exception("%s failed; trying again", threading.current_thread().name)
                self._stop.wait(REST)
                continue
            if not worked and not self._stop.is_set():
                with self.jobs.changed:
                    self.jobs.changed.wait(rest)

    def _close(self) -> bool:
        return alerts.sweep(self.jobs.engine) > 0

    def _tidy(self) -> bool:
        """Now and then: what dead processes held, and what is too old to be kept."""
        if time.monotonic() - self._recovered > _RECOVER_EVERY:
            self._recovered = time.monotonic()
            self._recover()
        if time.monotonic() - self._tidied > CLEAN_EVERY:
            self._tidied = time.monotonic()
            if self.intake is not None:
                self.intake.forget()
            if self.outbox is not None:
                self.outbox.forget(30.0)
        self._stop.wait(REST)
        return False

    def _recover(self) -> None:
        for part in (self.intake, self.outbox):
            if part is not None and (dead := dead_owners(part.owners())):
                part.release(dead)


def _never() -> None:
    """Nothing is due at a known time."""
