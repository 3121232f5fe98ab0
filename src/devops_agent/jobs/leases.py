"""Who works on what: a job belongs to the worker that holds its lease, for seconds that its heartbeat prolongs.

Every claim raises the job's `fence`; only who knows the newest fence may write to the job. Leases are measured by a
clock that nobody sets: on SQLite, which is one machine, by the time since it was started; on Postgres by that server's
clock, which is one for all machines. A worker that could not reach the database for a while first waits for the
heartbeats of the others before it takes anything over: the database was away for them too.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any

from sqlalchemy import (
    BindParameter,
    ColumnElement,
    Connection,
    Engine,
    RowMapping,
    Select,
    and_,
    bindparam,
    func,
    or_,
    select,
    text,
    true,
    update,
)

from devops_agent.jobs import feed
from devops_agent.jobs.rows import Claim
from devops_agent.jobs.tables import jobs, reading
from devops_agent.model import SCHEMA_VERSION, Incident, now

LEASE_SECONDS = 15.0
GONE_SECONDS = 600.0
"""After so long without its machine, a job that only that machine can go on with is given to anybody, to be ended."""
_CLOCK_SECONDS = 5.0
_NOW: BindParameter[float] = bindparam("now")
_TICK: BindParameter[float] = bindparam("tick")
_GONE: BindParameter[float] = bindparam("gone")
_OLD: BindParameter[float] = bindparam("old")
_FAR: BindParameter[float] = bindparam("far")


@dataclass(frozen=True)
class Reach:
    """Which jobs a worker may take: of these places (None: of all), and of those that name none.

    A job at a `local` place looks at and changes the very machine of its worker: it stays on that machine.
    """

    places: frozenset[str] | None = None
    unnamed: bool = True
    machine: str = ""
    local: frozenset[str | None] = frozenset()


class Clock:
    """The present as leases and due times are measured, in seconds."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self._shared = engine.dialect.name == "postgresql"
        self._offset = 0.0
        self._asked = float("-inf")

    def tick(self) -> float:
        """For leases."""
        return self.present() if self._shared else time.monotonic()

    def present(self) -> float:
        """For due times, which outlast a restart."""
        if not self._shared:
            return now().timestamp()
        moment = time.monotonic()
        if moment - self._asked > _CLOCK_SECONDS:
            with reading(self.engine) as connection:
                there = float(connection.execute(text("SELECT extract(epoch FROM clock_timestamp())")).scalar() or 0)
            self._offset, self._asked = there - (moment + time.monotonic()) / 2, moment
        return time.monotonic() + self._offset

    def at(self, moment: datetime) -> float:
        """A moment by this machine's clock, as a due time."""
        if not self._shared:
            return moment.timestamp()
        return self.present() + (moment - now()).total_seconds()


class Leases:
    """Claims of one process. Safe to use from many threads."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.clock = Clock(engine)
        self._busy = False
        self._lock = threading.Lock()
        self._reached = time.monotonic()
        self._patient_until = 0.0

    def claim(self, owner: str, job: str | None = None, reach: Reach | None = None) -> Claim | None:
        """The next job that is due, or that one, leased to this owner; None where there is nothing to do."""
        queries = _this(reach) if job is not None else _due(reach, self._may_take_over())
        tick, present = self.clock.tick(), self.clock.present()
        asked: dict[str, Any] = {"now": present, "tick": tick, "far": tick + 2 * LEASE_SECONDS, "job": job}
        asked |= {"gone": tick - GONE_SECONDS, "old": present - GONE_SECONDS}
        if not self._busy and self.engine.dialect.name == "sqlite":
            with reading(self.engine) as connection:
                if _first(connection, queries, asked) is None:
                    return None
        with self.engine.begin() as connection:
            row = _first(connection, queries, asked)
            self._busy = row is not None
            if row is None:
                return None
            return _lease(connection, row, owner, tick, reach)

    def renew(self, claims: Sequence[Claim]) -> list[Claim]:
        """Prolong the leases of jobs that are being worked on; those that are no longer ours."""
        self._may_take_over()
        lease = self.clock.tick() + LEASE_SECONDS
        lost = []
        with self.engine.begin() as connection:
            for claim in sorted(claims, key=lambda each: each.id):
                mine = and_(jobs.c.id == claim.id, jobs.c.fence == claim.fence, jobs.c.status == "running")
                if not connection.execute(update(jobs).where(mine).values(lease=lease)).rowcount:
                    lost.append(claim)
        return lost

    def release(self, owners: Sequence[str]) -> int:
        """Take the leases from owners that are known to be dead, so that their jobs go on at once; how many."""
        if not owners:
            return 0
        dead = and_(jobs.c.status == "running", jobs.c.owner.in_(owners))
        with self.engine.begin() as connection:
            return connection.execute(update(jobs).where(dead).values(lease=0.0)).rowcount

    def owners(self, expired: bool = False) -> list[str]:
        """Who holds leases at the moment; `expired`: only those whose every lease has run out."""
        query = select(jobs.c.owner).where(jobs.c.status == "running").group_by(jobs.c.owner)
        if expired:
            query = query.having(func.max(jobs.c.lease) < self.clock.tick())
        with reading(self.engine) as connection:
            return [owner for (owner,) in connection.execute(query) if owner]

    def next_due(self, reach: Reach | None = None) -> float | None:
        """Seconds until a waiting or queued job is due; None where there is none."""
        query = select(func.min(jobs.c.due)).where(jobs.c.status.in_(("queued", "waiting")), _fits(reach, jobs.c.due))
        present = self.clock.present()
        with reading(self.engine) as connection:
            due = connection.execute(query, {"old": present - GONE_SECONDS}).scalar()
        return None if due is None else float(due) - present

    def wake_all(self) -> None:
        """Let everything that waits for time look again, as after a jump of the clock; it waits on where it must."""
        asking = jobs.c.waiting == "approval"
        sleeping = and_(jobs.c.status.in_(("waiting", "queued")), or_(jobs.c.waiting.is_(None), ~asking))
        with self.engine.begin() as connection:
            connection.execute(update(jobs).where(sleeping).values(due=self.clock.present()))

    def _may_take_over(self) -> bool:
        """Whether the database was within reach all the time, so that a lease that ran out is really abandoned."""
        with self._lock:
            moment = time.monotonic()
            if moment - self._reached > LEASE_SECONDS / 2 > 0:
                self._patient_until = moment + LEASE_SECONDS / 2
            self._reached = moment
            return moment >= self._patient_until


@lru_cache
def _due(reach: Reach | None, takes_over: bool) -> tuple[Select[Any], ...]:
    """What to go on with: what was left behind, what has waited long enough, what has queued longest."""
    left = and_(jobs.c.status == "running", _ended(takes_over), _fits(reach, jobs.c.lease, _GONE))
    wakes = and_(jobs.c.status == "waiting", jobs.c.due <= _NOW, _fits(reach, jobs.c.due))
    queued = and_(jobs.c.status == "queued", jobs.c.due <= _NOW, _fits(reach, jobs.c.due))
    return tuple(
        select(jobs).where(ready).order_by(by).limit(1).with_for_update(skip_locked=True)
        for ready, by in ((left, jobs.c.lease), (wakes, jobs.c.due), (queued, jobs.c.due))
    )


@lru_cache
def _this(reach: Reach | None) -> tuple[Select[Any], ...]:
    """One job, whatever its place: who asks for it by name knows."""
    only = Reach(machine=reach.machine) if reach is not None else None
    ready = and_(jobs.c.status.in_(("queued", "waiting")), jobs.c.due <= _NOW, _fits(only, jobs.c.due))
    left = and_(jobs.c.status == "running", _ended(True), _fits(only, jobs.c.lease, _GONE))
    query = select(jobs).where(jobs.c.id == bindparam("job")).where(or_(ready, left))
    return (query.with_for_update(skip_locked=True),)


def _ended(takes_over: bool) -> ColumnElement[bool]:
    """A lease that ran out, or one from before the machine was started anew; else only one that was given back."""
    return or_(jobs.c.lease < _TICK, jobs.c.lease > _FAR) if takes_over else jobs.c.lease <= 0


def _fits(
    reach: Reach | None, since: ColumnElement[float], long_ago: BindParameter[float] = _OLD
) -> ColumnElement[bool]:
    """Jobs within reach that this version of the code understands."""
    fits = [jobs.c.version <= SCHEMA_VERSION]
    if reach is None:
        return fits[0]
    if reach.places is not None:
        named: ColumnElement[bool] = jobs.c.place.in_(sorted(reach.places))
        fits.append(or_(named, jobs.c.place.is_(None)) if reach.unnamed else named)
    if reach.machine:
        fits.append(or_(jobs.c.machine.is_(None), jobs.c.machine == reach.machine, since < long_ago))
    return and_(true(), *fits)


def _first(connection: Connection, queries: Sequence[Select[Any]], asked: dict[str, Any]) -> RowMapping | None:
    for query in queries:
        row = connection.execute(query, asked).mappings().first()
        if row is not None:
            return row
    return None


def _lease(connection: Connection, row: RowMapping, owner: str, tick: float, reach: Reach | None) -> Claim:
    stays = reach is not None and row["place"] in reach.local
    values = {
        "status": "running",
        "waiting": None,
        "owner": owner,
        "lease": tick + LEASE_SECONDS,
        "fence": row["fence"] + 1,
        "tries": row["tries"] + (row["status"] == "running"),
        "started": row["started"] or now().timestamp(),
        "machine": row["machine"] or (reach.machine if stays and reach is not None else None),
    }
    connection.execute(update(jobs).where(jobs.c.id == row["id"]).values(**values))
    if row["status"] == "running" or row["started"] is None:
        feed.tell(connection, row["id"], "running")
    return Claim(
        id=row["id"],
        fence=row["fence"] + 1,
        incident=Incident.model_validate_json(row["incident"]),
        options=json.loads(row["options"]),
        version=row["version"],
        tries=int(values["tries"]),
        fresh=row["started"] is None,
        machine=values["machine"],
    )
