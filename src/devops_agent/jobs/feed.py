"""What happens to jobs, in order, for those who watch: one numbered event for each thing that a person would notice.

Events are written in the transaction of the change that they tell of, so that none is told that did not happen, and
none is missed by who goes on from the last number that was seen. They are hints to look, not the truth: that is the
journal, and the job's report.

Kinds: `queued`, `running` (first claim, or taken over), `waiting` (with the reason), `vote` (one of several persons has
approved), `decided`, `cancelled`, `done`, `error`; and the kept steps of a walk: `distil`, `health`, `diagnosis`,
`plan`, `review`, `request`, `approval`, `recheck`, `brake`, `verification`, `action_started`, `action_ended`,
`undo_started`, `undo_ended`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, Engine, insert, select, text

from devops_agent.jobs import numbers
from devops_agent.jobs.prepared import Prepared
from devops_agent.jobs.tables import events, reading
from devops_agent.model import now

CHANNEL = "devops_agent"
"""What Postgres notifies of when a job changes, at the commit of the change."""
MOST = 500
"""Events that are read at once."""
_STEPS = frozenset(
    ("distil", "health", "diagnosis", "plan", "review", "request", "approval", "recheck", "brake", "verification")
)


@dataclass(frozen=True)
class Event:
    """One thing that happened; `id` grows."""

    id: int
    job: str
    kind: str
    data: dict[str, Any]
    at: datetime


def event(job: str, kind: str, data: dict[str, Any] | None = None) -> dict[str, Any]:
    """One event, to be written by `write`."""
    return {"job": job, "kind": kind, "data": json.dumps(data or {}), "at": now().timestamp()}


def of_kept(job: str, rows: Iterable[tuple[str, dict[str, Any]]]) -> list[dict[str, Any]]:
    """The events that belong to records just kept in a job's journal (key and value)."""
    return [event(job, *step) for key, value in rows if (step := _step(key, value)) is not None]


def write(connection: Connection, made: list[dict[str, Any]]) -> None:
    """Write events within the caller's transaction."""
    if made:
        _INSERT(connection, made)
        if connection.dialect.name == "postgresql" and any(each["kind"] in _WAKING for each in made):
            connection.execute(_NOTIFY)


def tell(connection: Connection, job: str, kind: str, data: dict[str, Any] | None = None) -> None:
    """Write one event within the caller's transaction."""
    write(connection, [event(job, kind, data)])


def tell_waiting(connection: Connection, job: str, reason: str) -> None:
    """Write that a job waits, unless that is the last thing that was said of it (some look again every second)."""
    last = connection.execute(
        select(events.c.kind, events.c.data).where(events.c.job == job).order_by(events.c.id.desc()).limit(1)
    ).first()
    if last is None or last.kind != "waiting" or json.loads(last.data).get("reason") != reason:
        tell(connection, job, "waiting", {"reason": reason})


def tell_kept(connection: Connection, job: str, rows: Iterable[tuple[str, dict[str, Any]]]) -> None:
    """Write the events that belong to records just kept in a job's journal (key and value)."""
    write(connection, of_kept(job, rows))


_INSERT = Prepared(insert(events).inline(), ("job", "kind", "data", "at"))
_NOTIFY = text(f"SELECT pg_notify('{CHANNEL}', '')")
_WAKING = frozenset(("queued", "waiting", "vote", "decided", "cancelled", "done", "error"))


def since(engine: Engine, last: int, job: str | None = None, limit: int = MOST) -> list[Event]:
    """Events after this number, of one job or of all, oldest first."""
    query = select(events).where(events.c.id > last).order_by(events.c.id).limit(limit)
    if job is not None:
        query = query.where(events.c.job == job)
    with reading(engine) as connection:
        if connection.dialect.name != "sqlite":
            query = query.where(events.c.id <= numbers.whole(engine, connection))
        return [_event(row) for row in connection.execute(query).mappings()]


def newest(engine: Engine) -> int:
    """The number of the last event before which nothing is missing; 0 where there is none."""
    return numbers.newest(engine)


def _step(key: str, value: dict[str, Any]) -> tuple[str, dict[str, Any]] | None:
    """Kind and data of the event for a kept record; None where nobody would notice."""
    attempt, slash, name = key.partition("/")
    if not slash:
        attempt, name = "0", key
    data = value.get("data", {})
    facts: dict[str, Any] = {"attempt": int(attempt) + 1 if attempt.isdigit() else 1}
    if name in _STEPS:
        return name, facts | _facts(name, data)
    if name.endswith(("/started", "/outcome")):
        begun = name.endswith("/started")
        kind = f"{'undo' if name.startswith('undo/') else 'action'}_{'started' if begun else 'ended'}"
        facts["action"] = name.split("/")[1]
        if not begun:
            facts["status"] = data.get("status")
        return kind, facts
    return None


def _facts(name: str, data: dict[str, Any]) -> dict[str, Any]:
    wanted = {
        "distil": ("lines_read", "failing"),
        "diagnosis": ("cause", "confidence", "summary", "runbook"),
        "plan": ("fingerprint",),
        "review": ("verdict", "persons"),
        "request": ("fingerprint", "persons", "expires"),
        "approval": ("granted", "by"),
        "brake": ("verdict",),
        "verification": ("cause_gone", "over"),
    }
    facts = {key: data.get(key) for key in wanted.get(name, ())}
    if name == "plan":
        facts["actions"] = [each.get("tool") for each in data.get("actions", ())]
    return facts


def _event(row: Any) -> Event:
    at = datetime.fromtimestamp(row["at"], UTC)
    return Event(id=row["id"], job=row["job"], kind=row["kind"], data=json.loads(row["data"]), at=at)
