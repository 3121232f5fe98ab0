"""The audit trail: who or what did what, when. Append-only; each entry is bound to the one before by a hash.

An entry's hash is SHA-256 over the hash before it and its own content as canonical JSON, so that an entry that was
changed, taken out or put in breaks the chain from there on. The trail is kept when jobs are forgotten.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, Engine, delete, func, insert, select

from devops_agent.jobs.database import alone
from devops_agent.jobs.prepared import Prepared
from devops_agent.jobs.tables import audit, reading
from devops_agent.model import now

GENESIS = "0" * 64
SHORTENED = "trail shortened"
_canonical = json.JSONEncoder(sort_keys=True, separators=(",", ":")).encode
_compact = json.JSONEncoder(separators=(",", ":")).encode
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


New = tuple[str, str, str, dict[str, Any]]
"""An entry before it has its place in the chain: job, event, actor, data."""


def append(connection: Connection, job: str, event: str, actor: str, data: dict[str, Any]) -> None:
    """Write one entry within the caller's transaction (which must hold the database's write lock)."""
    extend(connection, [(job, event, actor, data)])


def extend(connection: Connection, entries: Iterable[New]) -> None:
    """Write entries in this order, within the caller's transaction (which must hold the database's write lock)."""
    wanted = list(entries)
    if not wanted:
        return
    alone(connection, "audit")
    last = _LAST(connection).first()
    number, before = (last[0], last[1]) if last else (0, GENESIS)
    rows = []
    at = now().timestamp()
    for job, event, actor, data in wanted:
        number += 1
        text = _canonical(data)
        row = {"id": number, "at": at, "job": job, "event": event, "actor": actor, "data": text, "before": before}
        before = row["hash"] = _hash(row)
        rows.append(row)
    _INSERT(connection, rows)


_LAST = Prepared(select(audit.c.id, audit.c.hash).order_by(audit.c.id.desc()).limit(1))
_INSERT = Prepared(insert(audit).inline(), audit.columns.keys())


def kept(connection: Connection, job: str, key: str, value: dict[str, Any]) -> None:
    """Write the entry, if any, that belongs to a record just kept in a job's journal."""
    extend(connection, of_kept(job, [(key, value)]))


def of_kept(job: str, rows: Iterable[tuple[str, dict[str, Any]]]) -> list[New]:
    """The entries that belong to records just kept in a job's journal (key and value)."""
    return [(job, *entry) for key, value in rows if (entry := _of_record(key, value)) is not None]


def _of_record(key: str, value: dict[str, Any]) -> tuple[str, str, dict[str, Any]] | None:
    """Event, actor and data of the entry for a record; None where it has none."""
    name = key.split("/", 1)[-1]
    data = value.get("data", {})
    attempt = {"attempt": key.split("/", 1)[0]}
    if name == "plan" and data.get("actions"):
        return "planned", "agent", attempt | {key: data[key] for key in _PLAN}
    if name == "review" and data.get("rule") != "nothing is changed":
        return "ruled", "policy", attempt | data
    if name == "request":
        return "approval wanted", "agent", attempt | data
    if name == "approval" and data.get("reason") != "the plan only looks":
        return "approved" if data["granted"] else "denied", data["by"], attempt | data
    if name == "brake" and data.get("verdict") == "deny":
        return "stopped", "agent", attempt | data
    if name.endswith("/started"):
        event = "undo started" if name.startswith("undo/") else "action started"
        return event, "agent", attempt | {"action": name.split("/")[1]}
    if name.endswith("/outcome"):
        output = hashlib.sha256(data.get("output", "").encode()).hexdigest()
        event = "undone" if name.startswith("undo/") else "action ended"
        return (
            event,
            "agent",
            attempt | {"action": data["action_id"], "status": data["status"], "output_sha256": output},
        )
    if name == "verification":
        return (
            "verified",
            "agent",
            attempt | {each: data[each] for each in ("cause_gone", "over", "newly_broken", "reason")},
        )
    return None


def entries(
    engine: Engine,
    job: str | None = None,
    limit: int = 1000,
    after: int = 0,
    newest: bool = False,
    before: int | None = None,
) -> list[Entry]:
    """Entries in order, of one job or of all; `newest`: the last so many (`before` one) instead of the first."""
    order = audit.c.id.desc() if newest else audit.c.id
    query = select(audit).where(audit.c.id > after).order_by(order).limit(limit)
    if before is not None:
        query = query.where(audit.c.id < before)
    if job is not None:
        query = query.where(audit.c.job == job)
    with reading(engine) as connection:
        found = [_entry(row) for row in connection.execute(query).mappings()]
    return sorted(found, key=lambda entry: entry.id)


def shorten(engine: Engine, days: float, most: int = 5000) -> int:
    """Delete the oldest entries that are older than so many days, at most so many; how many. An entry says so, and up
    to which one, so that the chain is whole from there on."""
    with engine.begin() as connection:
        alone(connection, "audit")
        stays = select(func.min(audit.c.id)).where(audit.c.at >= now().timestamp() - days * 86400)
        first = connection.execute(select(func.min(audit.c.id))).scalar()
        through = (connection.execute(stays).scalar() or 0) - 1  # where none is younger, all stay
        if first is None or through < first:
            return 0
        through = min(through, first + most - 1)
        last = connection.execute(select(audit.c.hash).where(audit.c.id == through)).scalar()
        append(connection, "", SHORTENED, "retention", {"through": through, "hash": last})
        return connection.execute(delete(audit).where(audit.c.id <= through)).rowcount


def broken(engine: Engine) -> Iterator[str]:
    """What is wrong with the chain: nothing where every entry is the one that was written."""
    before, number = GENESIS, 0
    with reading(engine) as connection:
        said = select(audit.c.data).where(audit.c.event == SHORTENED).order_by(audit.c.id.desc()).limit(1)
        if (cut := connection.execute(said).scalar()) is not None:
            told = json.loads(cut)
            before, number = told["hash"], told["through"]
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
    return hashlib.sha256(_compact(content).encode()).hexdigest()


def _entry(row: Any) -> Entry:
    values = {key: row[key] for key in ("id", "job", "event", "actor", "before", "hash")}
    return Entry(**values, at=datetime.fromtimestamp(row["at"], UTC), data=json.loads(row["data"]))
