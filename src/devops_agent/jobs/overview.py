"""What a person who just came in must know: what is open, in groups of equal incidents, and what was solved."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import ColumnElement, Engine, and_, exists, func, literal, or_, select, true

from devops_agent.jobs.tables import audit, jobs, journal, reading, taken
from devops_agent.model import now

OPEN = ("needs_person", "unresolved", "error")
FINISHED = ("done", "error")
DAY = 86400.0
SLOWEST = 8 * DAY
"""What took longer than this until it was solved is not told as news."""
MOST = 20_000
"""The newest incidents among which open ones are grouped."""


Places = Collection[str | None] | None
"""The places whose jobs are looked at (None among them: jobs of none in particular); None for all."""


@dataclass(frozen=True)
class Group:
    """Equal incidents: the newest of them, how many there are, since when, and in whose hands they are."""

    job: str
    title: str
    cause: str | None
    outcome: str
    count: int
    newest: datetime
    oldest: datetime
    by: str | None = None


@dataclass(frozen=True)
class Solved:
    """An incident that is over; `by` is the person who approved the repair, None where nobody had to."""

    job: str
    title: str
    cause: str | None
    at: datetime
    seconds: float
    by: str | None


def open_groups(engine: Engine, places: Places = None, days: float = 7.0, limit: int = 20) -> tuple[list[Group], int]:
    """Groups that still need a person, newest first, and how many groups there are. What was solved since, or set
    right by whoever took it over, is none of them."""
    since = now().timestamp() - days * DAY
    same = func.coalesce(jobs.c.fingerprint, literal("title:").concat(jobs.c.title))
    ended = and_(jobs.c.created > since, jobs.c.status.in_(FINISHED), jobs.c.outcome != "no_failure", within(places))
    columns = (jobs.c.id, jobs.c.title, jobs.c.cause, jobs.c.outcome, jobs.c.created, same.label("same"))
    recent = select(*columns).where(ended).order_by(jobs.c.created.desc()).limit(MOST).subquery()
    order, alike = (recent.c.created.desc(), recent.c.id.desc()), recent.c.same
    inner = select(
        recent,
        func.row_number().over(partition_by=alike, order_by=order).label("rank"),
        func.count().over(partition_by=alike).label("number"),
        func.min(recent.c.created).over(partition_by=alike).label("oldest"),
    ).subquery()
    stands = and_(inner.c.rank == 1, inner.c.outcome.in_(OPEN), taken.c.closed.is_(None))
    query = (
        select(inner, taken.c.by, func.count().over().label("groups"))
        .outerjoin(taken, taken.c.job == inner.c.id)
        .where(stands)
    )
    with reading(engine) as connection:
        rows = connection.execute(query.order_by(inner.c.created.desc()).limit(limit)).all()
    found = [
        Group(r.id, r.title, r.cause, r.outcome, r.number, _time(r.created), _time(r.oldest), r.by or None)
        for r in rows
    ]
    return found, rows[0].groups if rows else 0


def solved(
    engine: Engine, places: Places = None, hours: float = 24.0, limit: int = 10
) -> tuple[list[Solved], int, int]:
    """What was repaired in the last hours, newest first; how many, and how many of them without a person."""
    since = now().timestamp() - hours * 3600
    begun = jobs.c.created > since - SLOWEST  # there is an index on that
    over = and_(within(places), begun, jobs.c.finished > since, jobs.c.outcome == "resolved", jobs.c.joined.is_(None))
    person = (
        select(func.max(audit.c.actor))
        .where(audit.c.job == jobs.c.id, audit.c.event == "approved", audit.c.actor != "policy")
        .scalar_subquery()
    )
    query = select(jobs.c.id, jobs.c.title, jobs.c.cause, jobs.c.created, jobs.c.finished, person.label("by")).where(
        over
    )
    with reading(engine) as connection:
        rows = connection.execute(query.order_by(jobs.c.finished.desc()).limit(limit)).all()
        total = connection.execute(select(func.count()).select_from(jobs).where(over)).scalar() or 0
        asked = exists().where(audit.c.job == jobs.c.id, audit.c.event == "approved", audit.c.actor != "policy")
        alone = connection.execute(select(func.count()).select_from(jobs).where(over, ~asked)).scalar() or 0
    found = [
        Solved(r.id, r.title, r.cause, _time(r.finished), max(0.0, r.finished - r.created), r.by or None) for r in rows
    ]
    return found, int(total), int(alone)


def alike(engine: Engine, job: str, limit: int = 5, places: Places = None) -> tuple[list[Group], int]:
    """Other incidents equal to this one, newest first, and how many there are."""
    with reading(engine) as connection:
        fingerprint = connection.execute(select(jobs.c.fingerprint).where(jobs.c.id == job)).scalar()
        if not fingerprint:
            return [], 0
        others: ColumnElement[bool] = and_(jobs.c.fingerprint == fingerprint, jobs.c.id != job, within(places))
        rows = connection.execute(select(jobs).where(others).order_by(jobs.c.created.desc()).limit(limit)).all()
        total = connection.execute(select(func.count()).select_from(jobs).where(others)).scalar() or 0
    found = [
        Group(r.id, r.title, r.cause, r.outcome or r.waiting or r.status, 1, _time(r.created), _time(r.created))
        for r in rows
    ]
    return found, int(total)


def moments(engine: Engine, job: str) -> dict[str, datetime]:
    """When each step of a job was kept; a job that repeats an open one has that one's steps."""
    with reading(engine) as connection:
        leads = connection.execute(select(func.coalesce(jobs.c.joined, jobs.c.id)).where(jobs.c.id == job)).scalar()
        query = select(journal.c.key, journal.c.at).where(journal.c.job == (leads or job)).order_by(journal.c.id)
        return {row.key: _time(row.at) for row in connection.execute(query)}


def at_work(engine: Engine, places: Places = None) -> int:
    """How many jobs run or are in the queue."""
    with reading(engine) as connection:
        query = select(func.count()).select_from(jobs).where(jobs.c.status.in_(("running", "queued")), within(places))
        return int(connection.execute(query).scalar() or 0)


def waiting_since(engine: Engine, places: Places = None, limit: int = 50) -> list[str]:
    """Ids of the jobs that wait for approval, those that expire first first."""
    asks = and_(jobs.c.status == "waiting", jobs.c.waiting == "approval")
    with reading(engine) as connection:
        query = select(jobs.c.id).where(asks, jobs.c.joined.is_(None), within(places)).order_by(jobs.c.due).limit(limit)
        return [row.id for row in connection.execute(query)]


def within(places: Places) -> ColumnElement[bool]:
    """Only jobs of these places."""
    if places is None:
        return true()
    named = jobs.c.place.in_([each for each in places if each is not None])
    return or_(named, jobs.c.place.is_(None)) if None in places else named


def _time(stamp: float) -> datetime:
    return datetime.fromtimestamp(stamp, UTC)
