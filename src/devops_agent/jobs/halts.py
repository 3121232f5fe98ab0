"""Halts: a person says that nothing is changed any more, anywhere or in one place, until somebody says go on.

They are in the database, so that every worker on every machine sees them at its next look; the file `STOP` (see
`brakes`) does the same for one machine, also where the database cannot be reached.
"""

from __future__ import annotations

import secrets
from collections.abc import Collection
from dataclasses import asdict, dataclass
from datetime import UTC, datetime

from sqlalchemy import Engine, RowMapping, insert, or_, select, update

from devops_agent.distil.redact import redact
from devops_agent.errors import NotFound
from devops_agent.jobs import audit
from devops_agent.jobs.tables import halts, reading
from devops_agent.model import now

SUBJECT = "halts"
"""What the audit trail has in the place of a job for what happens to halts."""
LONGEST = 1000
"""Characters of a reason that are kept."""
MOST = 200
"""Halts that are listed at most, the newest."""


@dataclass(frozen=True)
class Halt:
    """`place`: where nothing is changed; None for everywhere. In force until `ended`. Times are UTC."""

    id: str
    place: str | None
    since: datetime
    by: str
    reason: str
    ended: datetime | None
    ended_by: str | None

    @property
    def told(self) -> str:
        """What an action that is not done says about it."""
        why = f": {self.reason}" if self.reason else ""
        return f"the kill switch is on ({self.by}, {self.since:%Y-%m-%d %H:%M} UTC{why})"

    def record(self) -> dict[str, str | None]:
        """The halt for programs, its times as text."""
        ended = self.ended.isoformat() if self.ended else None
        return {**asdict(self), "since": self.since.isoformat(), "ended": ended}


def halt(engine: Engine, by: str, reason: str = "", place: str | None = None) -> Halt:
    """From now on nothing is changed. Whether the place is known, and who may, is the caller's to check."""
    by, reason = redact(by)[0] or "unknown", redact(reason.strip())[0][:LONGEST]
    made = Halt(f"halt_{secrets.token_hex(6)}", place, now(), by, reason, None, None)
    with engine.begin() as connection:
        connection.execute(insert(halts), {**asdict(made), "since": made.since.timestamp()})
        facts = {"halt": made.id, "place": place, "reason": made.reason}
        audit.append(connection, SUBJECT, "halted", made.by, facts)
    return made


def end(engine: Engine, name: str, by: str) -> Halt:
    """Go on. Raises NotFound; a halt that was ended before stays as it was."""
    by = redact(by)[0] or "unknown"
    with engine.begin() as connection:
        ending = update(halts).where(halts.c.id == name, halts.c.ended.is_(None))
        done = connection.execute(ending.values(ended=now().timestamp(), ended_by=by))
        if done.rowcount:
            audit.append(connection, SUBJECT, "halt ended", by, {"halt": name})
    return by_id(engine, name)


def in_force(engine: Engine, place: str | None) -> Halt | None:
    """The halt that holds for a place, the oldest of them; None where none does."""
    mine = or_(halts.c.place.is_(None), halts.c.place == place)
    query = select(halts).where(halts.c.ended.is_(None), mine).order_by(halts.c.since).limit(1)
    with reading(engine) as connection:
        row = connection.execute(query).mappings().first()
    return _halt(row) if row is not None else None


def listed(engine: Engine, places: Collection[str] | None = None, ended: bool = False) -> list[Halt]:
    """Halts in force, newest first; with `ended` also those that are over. `places`: only what holds for these."""
    query = select(halts).order_by(halts.c.since.desc()).limit(MOST)
    if not ended:
        query = query.where(halts.c.ended.is_(None))
    if places is not None:
        query = query.where(or_(halts.c.place.is_(None), halts.c.place.in_(places)))
    with reading(engine) as connection:
        return [_halt(row) for row in connection.execute(query).mappings()]


def by_id(engine: Engine, name: str) -> Halt:
    """One halt. Raises NotFound."""
    with reading(engine) as connection:
        row = connection.execute(select(halts).where(halts.c.id == name)).mappings().first()
    if row is None:
        raise NotFound(f"no halt {name!r}")
    return _halt(row)


def require_known(place: str | None, places: Collection[str]) -> None:
    """Refuse a place that nobody knows: a halt of it would stop nothing. Raises NotFound."""
    if place is not None and place not in places:
        raise NotFound(f"place: no place of this name (known: {', '.join(sorted(places))})")


def _halt(row: RowMapping) -> Halt:
    ended = datetime.fromtimestamp(row["ended"], UTC) if row["ended"] is not None else None
    return Halt(**{**row, "since": datetime.fromtimestamp(row["since"], UTC), "ended": ended})
