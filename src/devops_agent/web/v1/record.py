"""The record: statistics over what was answered, and the audit trail with its verification."""

from __future__ import annotations

from typing import Any

from devops_agent.jobs import audit
from devops_agent.web import auth
from devops_agent.web.api import backend, view
from devops_agent.web.v1.operations import operation
from devops_agent.web.v1.shapes import AuditQuery, AuditTrail, Integrity, Statistics


@operation("GET", "/statistics", tag="record", answer=Statistics)
def get_statistics() -> dict[str, Any]:
    """What fails most, what stays unknown, which runbooks never fire, what was solved without a person.

    A key for some places is told of the incidents kept of these, and of what models cost it.
    """
    from devops_agent.jobs.statistics import statistics

    behind = backend()
    return statistics(behind.jobs.engine, behind.runbooks(), view=view())


@operation("GET", "/audit", tag="record", query=AuditQuery, answer=AuditTrail)
def get_audit(query: AuditQuery) -> dict[str, Any]:
    """The audit trail in order: who or what did what, when. Each entry is bound to the one before by its hash.

    `last` given as `after` brings the entries that follow. A key for some places sees the entries of their jobs.
    """
    found = audit.entries(backend().jobs.engine, query.job, query.limit, query.after)
    mine = auth.caller().places
    places = {} if mine is None else {job: backend().places_of(job) for job in {each.job for each in found}}
    return {
        "items": [
            {
                "id": each.id,
                "at": each.at.isoformat(),
                "job": each.job,
                "event": each.event,
                "actor": each.actor,
                "data": each.data,
                "before": each.before,
                "hash": each.hash,
            }
            for each in found
            if mine is None or (places[each.job] and places[each.job] <= mine)
        ],
        "last": found[-1].id if found else query.after,
    }


@operation("GET", "/audit/verification", tag="record", answer=Integrity)
def verify_audit() -> dict[str, Any]:
    """Whether the whole trail is as it was written; what is wrong with it where it is not. Reads all of it."""
    problems = list(audit.broken(backend().jobs.engine))
    return {"intact": not problems, "problems": problems[:100]}
