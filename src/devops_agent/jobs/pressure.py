"""How much there is to do: jobs that have not ended, how long the oldest has waited, what waits for people."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Engine, and_, func, select

from devops_agent.jobs.tables import halts, jobs, reading
from devops_agent.model import now

OPEN = ("queued", "running", "waiting")
_COUNTS = select(jobs.c.status, func.count()).where(jobs.c.status.in_(OPEN)).group_by(jobs.c.status)
_APPROVALS = select(func.count()).where(jobs.c.status == "waiting", jobs.c.waiting == "approval")
_HALTS = select(func.count()).where(halts.c.ended.is_(None))
_OLDEST = [select(func.min(jobs.c.due)).where(jobs.c.status == status) for status in ("queued", "waiting")]


@dataclass(frozen=True)
class Pressure:
    """`open`: jobs by status; `oldest`: seconds that the oldest due job has been due; `approvals`: plans that wait;
    `halts`: those in force."""

    open: dict[str, int]
    oldest: float
    approvals: int
    halts: int


def pressure(engine: Engine) -> Pressure:
    """How it is at the moment; quick however many jobs have ended."""
    with reading(engine) as connection:
        counts = {row[0]: row[1] for row in connection.execute(_COUNTS)}
        dues = [connection.execute(query).scalar() for query in _OLDEST]
        approvals, halted = (int(connection.execute(query).scalar() or 0) for query in (_APPROVALS, _HALTS))
    due = min((float(each) for each in dues if each is not None), default=now().timestamp())
    age = max(0.0, now().timestamp() - due)
    return Pressure({status: counts.get(status, 0) for status in OPEN}, age, approvals, halted)


def answers(engine: Engine) -> None:
    """Have the database do the least it can; raises what it raises."""
    with reading(engine) as connection:
        connection.execute(select(jobs.c.id).where(and_(jobs.c.status == "queued", jobs.c.due <= 0.0)).limit(1)).first()
