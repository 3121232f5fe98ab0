"""The audit trail: who or what did what, when. Append-only; each entry is bound to the one before by a hash.

An entry's hash is SHA-256 over the hash before it and its own content as canonical JSON, so that an entry that was
changed, taken out or put in breaks the chain from there on. The trail is kept when jobs are forgotten.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, Engine, insert, select

from devops_agent.jobs.tables import audit, reading
from devops_agent.model import now

GENESIS = "0" * 64
_PLAN = ("cause", "runbook", "fingerprint", "actions", "refused")


@dataclass(frozen=True)
class Entry:
    """One line of the trail."""

    id: int
    at: datetime
    job: str
    event: str
    actor: str
    data: dict[str, Any]
    before: str
    hash: str


def append(connection: Connection, job: str, event: str, actor: str, data: dict[str, Any]) -> None:
    """Write one entry within the caller's transaction (which must hold the database's write lock)."""
    last = connection.execute(
        select(audit.c.id, audit.c.hash).order_by(audit.c.id.desc()).limit(1).with_for_update()
    ).first()
    number, before = (last[0] + 1, last[1]) if last else (1, GENESIS)
    at = now().timestamp()
    text = json.dumps(data, sort_keys=True, separators=(",", ":"))
    row = {"id": number, "at": at, "job": job, "event": event, "actor": actor, "data": text, "before": before}
    connection.execute(insert(audit).values(**row, hash=_hash(row)))


def kept(connection: Connection, job: str, key: str, value: dict[str, Any]) -> None:
    """The entry, if any, that belongs to a record just kept in a job's journal."""
    name = key.split("/", 1)[-1]
    data = value.get("data", {})
    attempt = key.split("/", 1)[0]
    if name == "plan" and data.get("actions"):
        append(connection, job, "planned", "agent", {"attempt": attempt, **{key: data[key] for key in _PLAN}})
    elif name == "review" and data.get("rule") != "nothing is changed":
        append(connection, job, "ruled", "policy", {"attempt": attempt, **data})
    elif name == "request":
        append(connection, job, "approval wanted", "agent", {"attempt": attempt, **data})
    elif name == "approval" and data.get("reason") != "the plan only looks":
        event = "approved" if data["granted"] else "denied"
        append(connection, job, event, data["by"], {"attempt": attempt, **data})
    elif name == "brake" and data.get("verdict") == "deny":
        append(connection, job, "stopped", "agent", {"attempt": attempt, **data})
    elif name.endswith("/started"):
        event = "undo started" if name.startswith("undo/") else "action started"
        append(connection, job, event, "agent", {"attempt": attempt, "action": name.split("/")[1]})
    elif name.endswith("/outcome"):
        output = hashlib.sha256(data.get("output", "").encode()).hexdigest()
        event = "undone" if name.startswith("undo/") else "action ended"
        facts = {"action": data["action_id"], "status": data["status"], "output_sha256": output}
        append(connection, job, event, "agent", {"attempt": attempt, **facts})
    elif name == "verification":
        facts = {each: data[each] for each in ("cause_gone", "over", "newly_broken", "reason")}
        append(connection, job, "verified", "agent", {"attempt": attempt, **facts})


def entries(
    engine: Engine, job: str | None = None, limit: int = 1000, after: int = 0, newest: bool = False
) -> list[Entry]:
    """Entries in order, of one job or of all; `newest`: the last so many instead of the first."""
    order = audit.c.id.desc() if newest else audit.c.id
    query = select(audit).where(audit.c.id > after).order_by(order).limit(limit)
    if job is not None:
        query = query.where(audit.c.job == job)
    with reading(engine) as connection:
        found = [_entry(row) for row in connection.execute(query).mappings()]
    return sorted(found, key=lambda entry: entry.id)


def broken(engine: Engine) -> Iterator[str]:
    """What is wrong with the chain: nothing where every entry is the one that was written."""
    before, number = GENESIS, 0
    with reading(engine) as connection:
        for row in connection.execute(select(audit).order_by(audit.c.id)).mappings():
            number += 1
            if row["id"] != number:
                yield f"entry {number} is missing"
                number = row["id"]
            if row["before"] != before:
                yield f"entry {row['id']} does not follow the entry before it"
            if row["hash"] != _hash(dict(row)):
                yield f"entry {row['id']} was changed after it was written"
            before = row["hash"]


def _hash(row: dict[str, Any]) -> str:
    content = [row[key] for key in ("id", "at", "job", "event", "actor", "data", "before")]
    return hashlib.sha256(json.dumps(content, separators=(",", ":")).encode()).hexdigest()


def _entry(row: Any) -> Entry:
    values = {key: row[key] for key in ("id", "job", "event", "actor", "before", "hash")}
    return Entry(**values, at=datetime.fromtimestamp(row["at"], UTC), data=json.loads(row["data"]))
