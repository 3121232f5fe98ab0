"""What is to be told, and the sending of it: nothing is lost, nothing is told that did not happen, and it ends.

Events are written in the transaction of the change that they tell of (`jobs.feed`). From them notices are made, one for
each target, together with the place up to which they were read. A notice is sent until its target takes it, with
growing waits, and given up after a day, with the reason. What has become moot meanwhile is not sent.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, and_, delete, func, insert, or_, select, update
from sqlalchemy.exc import IntegrityError

from devops_agent.connect import channels, links
from devops_agent.connect.message import Addresses, Message, compose
from devops_agent.connect.settings import Connections, Target
from devops_agent.errors import NotFound
from devops_agent.jobs import feed
from devops_agent.jobs.tables import cursors, events, notices, reading
from devops_agent.jobs.tables import jobs as job_rows
from devops_agent.jobs.worker import owner
from devops_agent.model import Report, now

if TYPE_CHECKING:
    from devops_agent.jobs.store import Jobs

log = logging.getLogger("devops_agent.connect")

CURSOR = "notices"
LEASE_SECONDS = 120.0
FIRST_WAIT = 5.0
LONGEST_WAIT = 1800.0
GIVE_UP_SECONDS = 24 * 3600.0
MOST_TRIES = 100


@dataclass(frozen=True)
class Terms:
    """What sending needs to know besides the targets."""

    public_url: str
    key: bytes
    places: tuple[str, ...] = ()


class Outbox:
    """Makes notices of events and sends them, for one of possibly many processes."""

    def __init__(self, jobs: Jobs, known: Connections, terms: Terms) -> None:
        self.jobs = jobs
        self.known = known
        self.terms = terms
        self.owner = owner()

    def begin(self) -> None:
        """What happened before anybody was to be told is not told."""
        try:
            with self.jobs.engine.begin() as connection:
                if connection.execute(select(cursors).where(cursors.c.name == CURSOR)).first() is None:
                    last = connection.execute(select(events.c.id).order_by(events.c.id.desc()).limit(1)).scalar()
                    connection.execute(insert(cursors).values(name=CURSOR, last=last or 0))
        except IntegrityError:
            return  # another process was faster

    def gather(self) -> int:
        """Make notices of the events since; how many events were read."""
        engine = self.jobs.engine
        with reading(engine) as connection:
            last = connection.execute(select(cursors.c.last).where(cursors.c.name == CURSOR)).scalar()
        if last is None:
            self.begin()
            return 0
        found = feed.since(engine, last)
        if not found:
            return 0
        with engine.begin() as connection:
            mine = and_(cursors.c.name == CURSOR, cursors.c.last == last)
            if not connection.execute(update(cursors).where(mine).values(last=found[-1].id)).rowcount:
                return 0  # another process reads them
            made = sum(self._note(connection, event) for event in found)
        if made:
            self.jobs.tell()
        return len(found)

    def step(self) -> bool:
        """Send one notice that is due; False where there is none."""
        row = self._claim()
        if row is None:
            return False
        target = self.known.targets.get(row["target"])
        if target is None:
            self._end(row, "dropped", "there is no such target any more")
            return True
        if row["tries"] > MOST_TRIES:
            self._end(
                row, "failed", row["problem"] or "it could not be made or sent; the service's log has the details"
            )
            return True
        try:
            sent = self._send(target, row)
        except channels.NotSent as problem:
            self._later(row, problem)
        else:
            self._end(row, "sent" if sent else "dropped", None if sent else "moot by the time it could be sent")
        return True

    def next_due(self) -> float | None:
        """Seconds until a notice is due; None where none waits."""
        with reading(self.jobs.engine) as connection:
            free = and_(notices.c.state == "due", notices.c.owner.is_(None))
            due = connection.execute(select(func.min(notices.c.due)).where(free)).scalar()
        return None if due is None else float(due) - now().timestamp()

    def release(self, dead: list[str]) -> None:
        """What processes that are dead were sending is due again."""
        with self.jobs.engine.begin() as connection:
            connection.execute(update(notices).where(notices.c.owner.in_(dead)).values(owner=None, lease=None))

    def owners(self) -> list[str]:
        """Who sends something at the moment."""
        with reading(self.jobs.engine) as connection:
            return [each for each in connection.execute(select(notices.c.owner).distinct()).scalars() if each]

    def forget(self, days: float) -> None:
        """Delete notices that ended so long ago, and links that expired then."""
        old = now().timestamp() - days * 86400
        with self.jobs.engine.begin() as connection:
            connection.execute(delete(notices).where(notices.c.state != "due", notices.c.ended < old))
        links.forget(self.jobs, days)

    def _note(self, connection: Connection, event: feed.Event) -> int:
        """Write the notices of one event; how many there were to be."""
        named, about = self._told(connection, event)
        if named is None:
            return 0
        row = connection.execute(
            select(job_rows.c.incident, job_rows.c.place, job_rows.c.joined).where(job_rows.c.id == event.job)
        ).first()
        if row is None or row.joined is not None:
            return 0  # a repeat is told with the incident that it repeats
        source = json.loads(row.incident).get("source", "")
        place = row.place or next(iter(self.terms.places), "")
        made = 0
        for target in self.known.targets.values():
            if not target.tells(named) or source not in target.sources:
                continue
            if target.places and place not in target.places:
                continue
            key = {"target": target.name, "job": event.job, "event": named, "about": about}
            same = and_(*(notices.c[name] == value for name, value in key.items()))
            if connection.execute(select(notices.c.id).where(same)).first() is None:
                stamp = now().timestamp()
                connection.execute(insert(notices).values(**key, state="due", due=stamp, created=stamp, tries=0))
                made += 1
        return made

    @staticmethod
    def _told(connection: Connection, event: feed.Event) -> tuple[str | None, str]:
        """What an event is told as, and about which plan."""
        if event.kind in ("done", "error"):
            outcome = str(event.data.get("outcome") or event.kind)
            return (outcome if outcome != "needs_approval" else None), ""
        if event.kind == "waiting" and event.data.get("reason") == "approval":
            asked = and_(events.c.job == event.job, events.c.kind == "request", events.c.id < event.id)
            data = connection.execute(select(events.c.data).where(asked).order_by(events.c.id.desc()).limit(1)).scalar()
            return "approval", str(json.loads(data or "{}").get("fingerprint", ""))[:64]
        return None, ""

    def _send(self, target: Target, row: Any) -> bool:
        """Whether it was told; False where it has become moot."""
        try:
            report = self.jobs.report(row["job"])
        except NotFound:
            return False
        last = report.attempts[-1] if report.attempts else None
        asked = last.request if last is not None else None
        if row["event"] == "approval":
            waits = report.status == "needs_approval" and asked is not None and last is not None and not last.approval
            if not waits or asked is None or asked.fingerprint != row["about"]:
                return False
        message = compose(row["event"], row["job"], report, self._addresses(target, row, report), self.known.secrets)
        return self._by_kind(target, row, report, message)

    def _by_kind(self, target: Target, row: Any, report: Report, message: Message) -> bool:
        if target.kind == "apprise":
            channels.by_apprise(target, message)
        elif target.kind == "webhook":
            identity = hashlib.sha256(f"{row['id']} {row['created']}".encode()).hexdigest()[:32]
            channels.by_webhook(target, message, f"msg_{identity}")
        else:
            hook = self.known.hooks[target.hook or ""]
            if report.incident.labels.get("hook") != hook.name:
                return False
            created = self.jobs.job(row["job"]).created.timestamp()
            talk = channels.Comments(self.jobs.engine, target, hook)
            return talk.put(row["job"], created, report.incident.labels, message)
        return True

    def _addresses(self, target: Target, row: Any, report: Report) -> Addresses:
        base = self.terms.public_url.rstrip("/")
        if not base:
            return Addresses()
        page = f"{base}/dashboard/jobs/{row['job']}"
        asked = report.attempts[-1].request if report.attempts else None
        if row["event"] != "approval" or target.approver is None or asked is None:
            return Addresses(page)
        link = links.Link(row["job"], asked.fingerprint, target.approver, asked.expires)
        token = links.mint(self.jobs, self.terms.key, link, target.name)
        return Addresses(page, f"{base}/links/{token}", target.approver)

    def _claim(self) -> Any:
        stamp = now().timestamp()
        free = and_(notices.c.due <= stamp, or_(notices.c.owner.is_(None), notices.c.lease < stamp))
        query = select(notices).where(notices.c.state == "due", free).order_by(notices.c.due, notices.c.id).limit(1)
        with reading(self.jobs.engine) as connection:
            if connection.execute(query.with_only_columns(notices.c.id)).first() is None:
                return None
        with self.jobs.engine.begin() as connection:
            row = connection.execute(query.with_for_update(skip_locked=True)).mappings().first()
            if row is None:
                return None
            mine = {"owner": self.owner, "lease": stamp + LEASE_SECONDS, "tries": row["tries"] + 1}
            connection.execute(update(notices).where(notices.c.id == row["id"]).values(**mine))
            return {**row, **mine}

    def _later(self, row: Mapping[str, Any], problem: channels.NotSent) -> None:
        """Try again after a while, and let the target's other notices wait too; give up after a day."""
        stamp = now().timestamp()
        if not problem.again or stamp - row["created"] > GIVE_UP_SECONDS:
            log.warning("notice %s to %s is given up: %s", row["id"], row["target"], problem)
            self._end(row, "failed", str(problem))
            return
        wait = min(LONGEST_WAIT, FIRST_WAIT * 2.0 ** (row["tries"] - 1))
        due = stamp + max(wait, min(problem.after or 0.0, 3600.0))
        with self.jobs.engine.begin() as connection:
            values = {"owner": None, "lease": None, "due": due, "problem": str(problem)[:500]}
            connection.execute(update(notices).where(notices.c.id == row["id"]).values(**values))
            others = and_(notices.c.target == row["target"], notices.c.state == "due", notices.c.due < stamp + 1)
            connection.execute(update(notices).where(others, notices.c.owner.is_(None)).values(due=stamp + wait / 2))

    def _end(self, row: Mapping[str, Any], state: str, problem: str | None) -> None:
        values = {"state": state, "ended": now().timestamp(), "owner": None, "lease": None}
        with self.jobs.engine.begin() as connection:
            said = values | ({"problem": problem[:500]} if problem else {})
            connection.execute(update(notices).where(notices.c.id == row["id"]).values(**said))
