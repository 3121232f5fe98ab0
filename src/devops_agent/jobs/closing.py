"""Closing an incident that is over without us: whoever reported it says so.

A job that has not begun is ended, one that waits for approval has its plan withdrawn; both are kept as resolved, with
who said so. One that is being worked on, or has acted already, is not interrupted: half a repair is worse than none,
and its own proof says whether it is over.
"""

from __future__ import annotations

from typing import Any, Literal

from sqlalchemy import Connection, select, update

from devops_agent.jobs import audit, feed, search
from devops_agent.jobs.journal import StoredJournal
from devops_agent.jobs.rows import FINISHED
from devops_agent.jobs.tables import jobs
from devops_agent.model import Evidence, Incident, keep, now
from devops_agent.report import called, report

Closed = Literal["closed", "busy", "ended"]


def close(connection: Connection, job: str, by: str, reason: str) -> Closed:
    """Close it within the caller's transaction; `busy` where it must not be interrupted now: ask again later."""
    row = connection.execute(select(jobs).where(jobs.c.id == job).with_for_update()).mappings().first()
    if row is None or row["status"] in FINISHED:
        return "ended"
    stored = StoredJournal(connection, job)
    if row["status"] == "running" or any("/once/" in key for key in stored.names()):
        return "busy"
    stored.put("closed", keep(Evidence(id="closed", source=by, text=reason, at=now())))
    made = report(Incident.model_validate_json(row["incident"]), stored, job=job)
    values: dict[str, Any] = {
        "status": "done",
        "outcome": "resolved",
        "waiting": None,
        "finished": now().timestamp(),
        **called(made),
    }
    values |= {"owner": None, "lease": None, "fence": row["fence"] + 1, "progress": 100}
    connection.execute(update(jobs).where(jobs.c.id == job).values(**values))
    audit.append(connection, job, "closed", by, {"reason": reason})
    search.note_answered(connection, job, made, values)
    feed.tell(connection, job, "done", {key: values[key] for key in ("outcome", "cause", "title")})
    return "closed"
