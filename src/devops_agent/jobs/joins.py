"""Equal incidents are worked on once: a repeat joins the one that is open, which counts it.

Equal are incidents of one place with the same fingerprint (the shape of their decisive lines) that name
the same things: a shape is alike for two ports, but the answer about one is none about the other. Only what comes in
by itself (HTTP, webhooks) joins; a person at the command line wants to be answered anew.
"""

from __future__ import annotations

import hashlib
from datetime import timedelta

from sqlalchemy import Engine, func, select, update

from devops_agent.errors import Suspended
from devops_agent.jobs import audit
from devops_agent.jobs.store import FINISHED, Claim
from devops_agent.jobs.tables import jobs, reading
from devops_agent.model import Digest, now

SOURCES = ("http", "webhook")
WINDOW_SECONDS = 3600.0
POLL_SECONDS = 0.3


_PASSING = frozenset({"pid", "line", "column", "seconds", "time", "duration", "size", "count"})
"""Groups of signatures that differ from one occurrence to the next."""


class Joins:
    """Of one claimed job: whether it repeats another that is open."""

    def __init__(self, engine: Engine, claim: Claim) -> None:
        self.engine = engine
        self.claim = claim

    def check(self, digest: Digest) -> bool:
        """True where this job's answer is that of the open incident that it repeats; Suspended until there is one."""
        if self.claim.incident.source not in SOURCES or not digest.failing or not digest.hits:
            return False  # what no runbook knows is answered with its own lines
        leader = self._leader() or self._join(_key(digest, self.claim.incident.place))
        if leader is None:
            return False
        with reading(self.engine) as connection:
            row = connection.execute(select(jobs.c.status, jobs.c.waiting).where(jobs.c.id == leader)).first()
        if row is None or row.status == "error":
            return False
        if row.status in FINISHED or row.waiting == "approval":
            return True
        raise Suspended("joined", until=now() + timedelta(seconds=POLL_SECONDS))

    def _leader(self) -> str | None:
        with reading(self.engine) as connection:
            return connection.execute(select(jobs.c.joined).where(jobs.c.id == self.claim.id)).scalar()

    def _join(self, fingerprint: str) -> str | None:
        """Write down this job's fingerprint, and the open job that wrote the same one before, if there is one.

        Who wrote first leads: writers come one after the other, so that two never join each other.
        """
        stamp = now().timestamp()
        with self.engine.begin() as connection:
            mine = jobs.c.id == self.claim.id
            connection.execute(update(jobs).where(mine).values(fingerprint=fingerprint))
            found = connection.execute(
                select(jobs.c.id)
                .where(jobs.c.fingerprint == fingerprint, jobs.c.status.not_in(FINISHED), jobs.c.joined.is_(None))
                .where(jobs.c.id != self.claim.id, jobs.c.created > stamp - WINDOW_SECONDS)
                .order_by(jobs.c.created, jobs.c.id)
                .limit(1)
            ).scalar()
            if found is None:
                return None
            connection.execute(update(jobs).where(mine).values(joined=found))
            repeats = func.coalesce(jobs.c.repeats, 0) + 1
            connection.execute(update(jobs).where(jobs.c.id == found).values(repeats=repeats, repeated=stamp))
            audit.append(connection, self.claim.id, "joined", "agent", {"open": found, "fingerprint": fingerprint})
        return str(found)


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
