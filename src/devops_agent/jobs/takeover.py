"""Incidents that a person has taken into their own hands, and those that they have closed."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import Engine, insert, select, update

from devops_agent.distil.redact import redact
from devops_agent.errors import RequestError
from devops_agent.jobs import audit
from devops_agent.jobs.store import Jobs
from devops_agent.jobs.tables import reading, taken
from devops_agent.model import now


@dataclass(frozen=True)
class Taken:
    """Who works on an incident since when, and since when it is closed, if it is."""

    by: str
    reason: str
    at: datetime
    closed: datetime | None


def take(store: Jobs, job: str, by: str, reason: str = "") -> None:
    """Write down that this person goes on with it; a plan that waits is denied by it.

    Raises RequestError while the agent itself is at work on it.
    """
    by, reason = redact(by)[0], redact(reason)[0]
    row = store.job(job)
    if row.status == "waiting" and row.waiting == "approval":
        store.decide(job, False, by, f"taken over{': ' + reason if reason else ''}")
    elif not row.answered:
        raise RequestError(f"job: {job} is being worked on ({row.waiting or row.status}); wait until it has an answer")
    with store.engine.begin() as connection:
        here = taken.c.job == job
        values = {"by": by, "reason": reason, "at": now().timestamp(), "closed": None}
        if not connection.execute(update(taken).where(here).values(**values)).rowcount:
            connection.execute(insert(taken).values(job=job, **values))
        audit.append(connection, job, "taken over", by, {"reason": reason})


def close(store: Jobs, job: str, by: str, reason: str = "") -> None:
    """Write down that a person has set it right, so that it is on nobody's list any more."""
    by, reason = redact(by)[0], redact(reason)[0]
    if not store.job(job).answered:
        raise RequestError(f"job: {job} is being worked on; wait until it has an answer")
    with store.engine.begin() as connection:
        stamp = now().timestamp()
        if not connection.execute(update(taken).where(taken.c.job == job).values(closed=stamp)).rowcount:
            connection.execute(insert(taken).values(job=job, by=by, reason=reason, at=stamp, closed=stamp))
        audit.append(connection, job, "closed", by, {"reason": reason})


def holder(engine: Engine, job: str) -> Taken | None:
    """In whose hands it is, or None."""
    with reading(engine) as connection:
        row = connection.execute(select(taken).where(taken.c.job == job)).mappings().first()
    if row is None:
        return None
    closed = datetime.fromtimestamp(row["closed"], UTC) if row["closed"] else None
    return Taken(row["by"], row["reason"], datetime.fromtimestamp(row["at"], UTC), closed)
