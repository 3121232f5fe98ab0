"""Up to which number the events are whole, so that none can come in between any more.

Numbers are given out before transactions end: on Postgres 8 may be seen before 7, and 7 may never come. Whoever writes
an event holds a lock on the table of events from before the number is given out to the end of the transaction. So all
up to the newest number is whole as soon as nobody writes any more of those who were writing when it was seen. No clock
has a say in it. On SQLite writers come one after the other.
"""

from __future__ import annotations

import itertools
import threading
import time
from weakref import WeakKeyDictionary

from sqlalchemy import Connection, Engine, func, select, text

from devops_agent.jobs.tables import events, reading

FIRST_SECONDS = 1.0
"""How long whoever looks for the first time waits for those who are writing."""
MOST = 500
_WRITERS = text(
    "SELECT virtualtransaction FROM pg_locks WHERE locktype = 'relation' AND relation = 'event'::regclass"
    " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
    " AND mode = 'RowExclusiveLock' AND granted AND pid IS DISTINCT FROM pg_backend_pid()"
)


class Numbers:
    """What one process knows of the numbers in one database. Safe to use from many threads."""

    def __init__(self) -> None:
        self._whole: int | None = None
        self._seen: list[tuple[int, frozenset[str]]] = []
        self._lock = threading.Lock()

    def whole(self, connection: Connection) -> int:
        """Up to which number nothing is missing that may come yet."""
        deadline = time.monotonic() + FIRST_SECONDS
        while (found := self._look(connection)) is None:
            if time.monotonic() > deadline:
                return _before_first_gap(connection)
            time.sleep(0.02)
        return found

    def _look(self, connection: Connection) -> int | None:
        latest = _latest(connection)
        known = self._whole
        if known is not None:
            if latest <= known:
                return known
            between = select(func.count()).where(events.c.id > known, events.c.id <= latest)
            if connection.execute(between).scalar() == latest - known:
                return self._learn([latest])
        writers = frozenset(connection.execute(_WRITERS).scalars())
        with self._lock:
            seen = [(number, who & writers) for number, who in [*self._seen[-MOST:], (latest, writers)]]
            self._seen = [each for each in seen if each[1]]
        return self._learn([number for number, who in seen if not who])

    def _learn(self, numbers: list[int]) -> int | None:
        with self._lock:
            if numbers:
                self._whole = max(self._whole or 0, *numbers)
            return self._whole


def whole(engine: Engine, connection: Connection) -> int:
    """Up to which number the events are whole, for who reads them next over this connection."""
    if connection.dialect.name == "sqlite":
        return _latest(connection)
    with _guard:
        known = _known.setdefault(engine, Numbers())
    return known.whole(connection)


def newest(engine: Engine) -> int:
    """The number of the last event before which nothing is missing; 0 where there is none."""
    with reading(engine) as connection:
        return whole(engine, connection)


_known: WeakKeyDictionary[Engine, Numbers] = WeakKeyDictionary()
_guard = threading.Lock()


def _latest(connection: Connection) -> int:
    return int(connection.execute(select(func.max(events.c.id))).scalar() or 0)


def _before_first_gap(connection: Connection) -> int:
    """Where somebody writes for long: the last of the newest numbers before which none is missing."""
    latest = connection.execute(select(events.c.id).order_by(events.c.id.desc()).limit(MOST)).scalars().all()
    number = latest[0] if latest else 0
    for later, earlier in itertools.pairwise(latest):
        if later != earlier + 1:
            number = earlier
    return int(number)
