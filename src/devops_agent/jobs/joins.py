"""Equal incidents are worked on once: a repeat joins the one that is open, which counts it.

Equal are incidents of one place with the same fingerprint (the shape of their decisive lines) that name
the same things: a shape is alike for two ports, but the answer about one is none about the other. Only what comes in
by itself (HTTP, webhooks) joins; a person at the command line wants to be answered anew.
"""

from __future__ import annotations

import hashlib
from datetime import timedelta
from typing import Any

from sqlalchemy import Connection, Engine, bindparam, func, select, update

from devops_agent.errors import Suspended
from devops_agent.jobs import audit
from devops_agent.jobs.database import alone
from devops_agent.jobs.journal import TooEarly
from devops_agent.jobs.prepared import Prepared
from devops_agent.jobs.store import FINISHED, Claim
from devops_agent.jobs.tables import jobs, reading
from devops_agent.model import Digest, now

SOURCES = ("http", "webhook", "watch")
WINDOW_SECONDS = 3600.0
POLL_SECONDS = 0.3


_PASSING = frozenset({"pid", "line", "column", "seconds", "time", "duration", "size", "count"})
"""Groups of signatures that differ from one occurrence to the next."""


_OPEN = Prepared(
    select(jobs.c.id)
    .where(jobs.c.fingerprint == bindparam("like"), jobs.c.joined.is_(None))
    .where(*(jobs.c.status != ended for ended in FINISHED))
    .where(jobs.c.id != bindparam("this"), jobs.c.created > bindparam("since"))
    .order_by(jobs.c.created, jobs.c.id)
    .limit(1)
)


class Joins:
    """Of one claimed job: whether it repeats another that is open.

    A `quick` walk (which only looks, and ends within moments) writes nothing down unless it stays open: `lead` is
    called before it waits for anybody or acts. What takes longer leads from the start.
    """

    def __init__(self, engine: Engine, claim: Claim, quick: bool = False) -> None:
        self.engine = engine
        self.claim = claim
        self.quick = quick
        self.leader: str | None = None
        self._key: str | None = None
        self._written = False

    def check(self, digest: Digest) -> bool:
        """True where this job's answer is that of the open incident that it repeats; Suspended until there is one."""
        if self.claim.incident.source not in SOURCES or not digest.failing or not digest.hits:
            return False  # what no runbook knows is answered with its own lines
        self._key = _key(digest, self.claim.incident.place)
        self.leader = self._joined()
        if self.leader is None and self.quick and _OPEN.read(self.engine, self._like(self._key)).first() is None:
            return False
        if self.leader is None:
            self._write(self._key)
        return self.leader is not None and self._answered(self.leader)

    def none(self, digest: Digest) -> bool:
        """The same for a job that is not in the database: TooEarly where there is an open incident to join."""
        if self.claim.incident.source in SOURCES and digest.failing and digest.hits:
            like = self._like(_key(digest, self.claim.incident.place))
            if _OPEN.read(self.engine, like).first() is not None:
                raise TooEarly("it repeats an open incident")
        return False

    def lead(self) -> None:
        """Write this job down as one that others may join; Suspended where another was first."""
        if self._key is not None and not self._written:
            self._write(self._key)
            if self.leader is not None:
                raise Suspended("joined", until=now() + timedelta(seconds=POLL_SECONDS))

    def _answered(self, leader: str) -> bool:
        with reading(self.engine) as connection:
            row = connection.execute(select(jobs.c.status, jobs.c.waiting).where(jobs.c.id == leader)).first()
        if row is None or row.status == "error":
            self._alone()
            return False
        if row.status in FINISHED or row.waiting == "approval":
            return True
        raise Suspended("joined", until=now() + timedelta(seconds=POLL_SECONDS))

    def _joined(self) -> str | None:
        if self.claim.fresh:
            return None
        with reading(self.engine) as connection:
            return connection.execute(select(jobs.c.joined).where(jobs.c.id == self.claim.id)).scalar()

    def _alone(self) -> None:
        """The one that was joined has no answer: this job finds its own."""
        self.leader, self._written = None, True
        with self.engine.begin() as connection:
            connection.execute(update(jobs).where(jobs.c.id == self.claim.id).values(joined=None))

    def _open(self, connection: Connection, fingerprint: str) -> str | None:
        """The open job that wrote this fingerprint first."""
        found = _OPEN(connection, self._like(fingerprint)).first()
        return None if found is None else str(found[0])

    def _like(self, fingerprint: str) -> dict[str, Any]:
        """What is asked for: another job that is open and not too old."""
        return {"like": fingerprint, "this": self.claim.id, "since": now().timestamp() - WINDOW_SECONDS}

    def _write(self, fingerprint: str) -> None:
        """Write down this job's fingerprint, and the open job that wrote the same one before, if there is one.

        Who wrote first leads: writers come one after the other, so that two never join each other.
        """
        self._written = True
        with self.engine.begin() as connection:
            alone(connection, f"join {fingerprint}")
            mine = jobs.c.id == self.claim.id
            connection.execute(update(jobs).where(mine).values(fingerprint=fingerprint))
            found = self._open(connection, fingerprint)
            if found is None:
                return
            connection.execute(update(jobs).where(mine).values(joined=found))
            repeats = func.coalesce(jobs.c.repeats, 0) + 1
            values = {"repeats": repeats, "repeated": now().timestamp()}
            connection.execute(update(jobs).where(jobs.c.id == found).values(**values))
            audit.append(connection, self.claim.id, "joined", "agent", {"open": found, "fingerprint": fingerprint})
        self.leader = str(found)


def _key(digest: Digest, place: str | None) -> str:
    """What equal incidents have in common."""
    named = {
        (name, value)
        for hit in digest.hits
        for name, value in hit.groups.items()
        if name.rstrip("_0123456789") not in _PASSING
    }
    facts = hashlib.sha256(repr(sorted(named)).encode("utf-8", "surrogatepass")).hexdigest()[:12] if named else ""
    return f"{digest.fingerprint}{facts and '+'}{facts}@{place or ''}"
