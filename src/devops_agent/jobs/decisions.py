"""A person's decision about a plan that waits: checked against the request, kept where the walk will find it."""

from __future__ import annotations

import json
from dataclasses import dataclass

from sqlalchemy import Connection, Engine, RowMapping, and_, select, update

from devops_agent.distil.redact import redact
from devops_agent.errors import ApprovalMismatch, RequestError
from devops_agent.jobs import audit, feed
from devops_agent.jobs.journal import StoredJournal
from devops_agent.jobs.tables import batches, jobs, journal, reading
from devops_agent.model import Approval, ApprovalRequest, keep, now, revive

SHORTEST = 8
"""Characters of a fingerprint that name a plan; fewer could be anybody's guess."""


@dataclass(frozen=True)
class Decision:
    """What somebody said."""

    granted: bool
    by: str
    reason: str = ""


def waiting(engine: Engine) -> list[tuple[str, str]]:
    """Jobs that wait for a decision, longest first, and the fingerprints of the plans that they wait with."""
    asked = and_(jobs.c.status == "waiting", jobs.c.waiting == "approval", journal.c.key.like("%/request"))
    query = select(jobs.c.id, journal.c.value).join(journal, journal.c.job == jobs.c.id).where(asked)
    with reading(engine) as connection:
        rows = connection.execute(query.order_by(jobs.c.created, jobs.c.id, journal.c.id)).all()
    newest = {job: str(json.loads(value)["data"]["fingerprint"]) for job, value in rows}
    return list(newest.items())


def decide(connection: Connection, row: RowMapping, fingerprint: str | None, said: Decision) -> Approval:
    """Approve or deny the plan that this job waits with, within the caller's transaction.

    Where policy wants several persons, the job goes on once so many different ones, none of whom submitted it, have
    approved; the first who denies decides. Raises ApprovalMismatch where the decision does not fit.
    """
    if row["status"] != "waiting" or row["waiting"] != "approval":
        state = (
            "decided already, and being worked on" if row["status"] == "waiting" else row["outcome"] or row["status"]
        )
        raise ApprovalMismatch(f"{row['id']} does not wait for approval (it is {state})")
    stored = StoredJournal(connection, row["id"])
    attempt = [key for key in stored.names() if key.endswith("/request")][-1].removesuffix("request")
    request: ApprovalRequest = revive(stored.get(attempt + "request") or {})
    _check(row["id"], request, fingerprint, said)
    decision = Approval(
        fingerprint=request.fingerprint,
        granted=said.granted,
        by=redact(said.by)[0],
        reason=redact(said.reason)[0],
        expires=request.expires,
    )
    if not said.granted or request.persons < 2 or _vote(stored, row, attempt, request, decision):
        _keep(stored, attempt, decision)
    return decision


def _check(job: str, request: ApprovalRequest, fingerprint: str | None, said: Decision) -> None:
    if not said.by.strip():
        raise RequestError("by: must say who decides")
    if fingerprint is not None and len(fingerprint) < SHORTEST:
        raise RequestError(f"fingerprint: expected at least its first {SHORTEST} characters")
    if fingerprint is not None and not request.fingerprint.startswith(fingerprint):
        raise ApprovalMismatch(f"{job} waits with another plan: {request.fingerprint}")
    if request.expires <= now():
        raise ApprovalMismatch(f"the request expired at {request.expires:%Y-%m-%d %H:%M} UTC; handle the log again")


def _vote(stored: StoredJournal, row: RowMapping, attempt: str, request: ApprovalRequest, decision: Approval) -> bool:
    """Keep one of several approvals; whether there are enough now."""
    query = select(batches.c.requester).where(batches.c.id == row["batch"])
    if _same(decision.by, stored.connection.execute(query).scalar() or ""):
        raise ApprovalMismatch("policy wants other persons than the one who asked for it")
    votes = f"{attempt}vote/"
    if any(_same(decision.by, name.removeprefix(votes)) for name in stored.names(votes)):
        raise ApprovalMismatch(f"{decision.by} has approved already; policy wants another person too")
    stored.put(votes + decision.by.strip(), keep(decision))
    data = decision.model_dump(mode="json")
    audit.append(stored.connection, stored.job, "approved by one of several", decision.by, data)
    given = len(stored.names(votes))
    told = {"by": decision.by, "given": given, "persons": request.persons}
    feed.tell(stored.connection, stored.job, "vote", told)
    return given >= request.persons


def _same(one: str, other: str) -> bool:
    """Whether two names are one person's, however they are written."""
    return one.strip().casefold() == other.strip().casefold()


def _keep(stored: StoredJournal, attempt: str, decision: Approval) -> None:
    """Write the approval that the walk finds when it goes on, and wake the job."""
    key = f"{attempt}approval"
    if stored.get(key) is not None:
        raise ApprovalMismatch(f"{stored.job} has been decided already")
    stored.put(key, keep(decision))
    audit.kept(stored.connection, stored.job, key, keep(decision))
    feed.tell_kept(stored.connection, stored.job, [(key, keep(decision))])
    feed.tell(stored.connection, stored.job, "decided", {"granted": decision.granted, "by": decision.by})
    stored.connection.execute(update(jobs).where(jobs.c.id == stored.job).values(due=0.0, waiting="decided"))
