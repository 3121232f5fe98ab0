"""How much there is to do: jobs that have not ended, how long the oldest has waited, plans that wait for people."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Engine, and_, func, select

from devops_agent.jobs.tables import jobs, reading
from devops_agent.model import now

OPEN = ("queued", "running", "waiting")
_COUNTS = select(jobs.c.status, func.count()).where(jobs.c.status.in_(OPEN)).group_by(jobs.c.status)
_APPROVALS = select(func.count()).where(jobs.c.status == "waiting", jobs.c.waiting == "approval")
_OLDEST = [select(func.min(jobs.c.due)).where(jobs.c.status == status) for status in ("queued", "waiting")]


@dataclass(frozen=True)
class Pressure:
    """`open`: jobs by status; `oldest`: seconds that the oldest due job has been due; `approvals`: plans that wait."""

    open: dict[str, int]
    oldest: float
    approvals: int


def pressure(engine: Engine) -> Pressure:
    """How it is at the moment; quick however many jobs have ended."""
    with reading(engine) as connection:
        counts = {row[0]: row[1] for row in connection.execute(_COUNTS)}
        dues = [connection.execute(query).scalar() for query in _OLDEST]
        approvals = int(connection.execute(_APPROVALS).scalar() or 0)
    due = min((float(each) for each in dues if each is not None), default=now().timestamp())
    return Pressure({status: counts.get(status, 0) for status in OPEN}, max(0.0, now().timestamp() - due), approvals)


def answers(engine: Engine) -> None:
    """Have the database do the least it can; raises what it raises."""
    with reading(engine) as connection:
        connection.execute(select(jobs.c.id).where(and_(jobs.c.status == "queued", jobs.c.due <= 0.0)).limit(1)).first()
