"""The traces of jobs that are kept."""

from __future__ import annotations

import atexit
import json
import logging
import threading
from queue import SimpleQueue

from sqlalchemy import select
from sqlalchemy.exc import SQLAlchemyError

from devops_agent.errors import AgentError
from devops_agent.jobs.store import Jobs
from devops_agent.jobs.tables import journal, reading
from devops_agent.trace import Trace, spans, trace

log = logging.getLogger("devops_agent.trace")


def of_job(store: Jobs, job: str) -> Trace:
    """Everything that was kept about a job, in order; of one that repeats an open incident, about that. NotFound."""
    row, made = store.job(job), store.report(job)
    query = select(journal.c.key, journal.c.value, journal.c.at).where(journal.c.job == made.job).order_by(journal.c.id)
    with reading(store.engine) as connection:
        rows = [(key, json.loads(value), at) for key, value, at in connection.execute(query)]
    begun = (row.started or row.created).timestamp() if made.job == row.id else rows[0][2] if rows else 0.0
    return trace(made, rows, begun, row.finished.timestamp() if row.finished else None)


class Sender:
    """Sends the spans of jobs that have ended, in a thread of its own, so that nobody waits for it."""

    def __init__(self, store: Jobs, made: spans.Spans) -> None:
        self._store = store
        self._spans = made
        self._ended: SimpleQueue[str | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._send, name="spans", daemon=True)
        self._thread.start()
        atexit.register(self.close)

    def __call__(self, job: str) -> None:
        """This job has ended."""
        self._ended.put(job)

    def close(self, seconds: float = 5.0) -> None:
        """Hand over what has ended so far, within some time."""
        self._ended.put(None)
        self._thread.join(seconds)

    def _send(self) -> None:
        while (job := self._ended.get()) is not None:
            try:
                self._spans.send(of_job(self._store, job))
            except (AgentError, SQLAlchemyError, LookupError, ValueError) as error:
                log.warning("no spans for %s: %s", job, error)


def sender(store: Jobs) -> Sender | None:
    """What is told of jobs that end and sends their spans; None where no exporter is configured."""
    made = spans.exporter()
    return Sender(store, made) if made is not None else None
