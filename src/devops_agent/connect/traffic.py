"""What came in and went out lately, for operators: what waits, what was given up, and why."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Engine, select

from devops_agent.jobs.tables import inbox, notices, reading


@dataclass(frozen=True)
class Row:
    """One signal that waits (`in`), or one notice (`out`). `due`: when it is tried next, of those that wait."""

    way: str
    name: str
    about: str
    state: str
    tries: int
    at: datetime
    due: datetime | None
    problem: str


def lately(engine: Engine, state: str | None = None, limit: int = 50) -> list[Row]:
    """Signals that wait and notices, newest first; of one state (`due`, `sent`, `failed`, `dropped`) or of all."""
    with reading(engine) as connection:
        came = select(inbox).order_by(inbox.c.id.desc()).limit(limit)
        went = select(notices).order_by(notices.c.id.desc()).limit(limit)
        if state is not None:
            went = went.where(notices.c.state == state)
        rows = [_in(row) for row in connection.execute(came).mappings()] if state in (None, "due") else []
        rows += [_out(row) for row in connection.execute(went).mappings()]
    return sorted(rows, key=lambda row: row.at, reverse=True)[:limit]


def _in(row: Any) -> Row:
    signal = json.loads(row["signal"])
    about = f"{signal['state']}: {signal['title'] or signal['key']}"
    return Row("in", row["hook"], about, "due", row["tries"], _time(row["at"]), _time(row["due"]), row["problem"] or "")


def _out(row: Any) -> Row:
    about = f"{row['event']}: {row['job']}"
    due = _time(row["due"]) if row["state"] == "due" else None
    problem = row["problem"] or ""
    return Row("out", row["target"], about, row["state"], row["tries"], _time(row["created"]), due, problem)


def _time(stamp: float) -> datetime:
    return datetime.fromtimestamp(stamp, UTC)
