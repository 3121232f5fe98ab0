"""A job's journal in the database, behind the door that `run` knows."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any

from sqlalchemy import Connection, Engine, bindparam, insert, select

from devops_agent.errors import LeaseLost
from devops_agent.jobs import audit, feed
from devops_agent.jobs.database import patiently
from devops_agent.jobs.prepared import Prepared
from devops_agent.jobs.tables import jobs, journal, reading
from devops_agent.model import now

GATHER_SECONDS = 0.25
CERTAIN_SECONDS = 5.0
"""So long after the database said so a job is taken to be still ours; well below the time of a lease."""
_ALL = Prepared(select(journal.c.key, journal.c.value).where(journal.c.job == bindparam("of")).order_by(journal.c.id))


class _Read:
    """What was kept for a job, read once."""

    def __init__(self, connection: Connection, job: str) -> None:
        self._kept: dict[str, str] = {row[0]: row[1] for row in _ALL(connection, {"of": job}).rows}
        self.job = job

    def get(self, key: str) -> dict[str, Any] | None:
        """The kept value, or None."""
        value = self._kept.get(key)
        return None if value is None else json.loads(value)

    def names(self, prefix: str = "") -> list[str]:
        """Keys below a prefix, in the order of writing."""
        return [key for key in self._kept if key.startswith(prefix)]

    def all(self) -> dict[str, str]:
        """Values by key, as they are kept."""
        return self._kept


class StoredJournal(_Read):
    """A journal within somebody's transaction: for reading, and for the one write that a decision makes."""

    def __init__(self, connection: Connection, job: str) -> None:
        super().__init__(connection, job)
        self.connection = connection

    def put(self, key: str, value: dict[str, Any], durable: bool = False) -> None:  # noqa: ARG002 (the transaction's)
        """Keep one value; IntegrityError where the key is taken."""
        text = json.dumps(value)
        row = {"job": self.job, "key": key, "value": text, "at": now().timestamp()}
        self.connection.execute(insert(journal).values(**row))
        self._kept[key] = text


class Draft:
    """A journal in memory whose values are written later, with what they lead to."""

    def __init__(self) -> None:
        self.records: dict[str, Any] = {}
        self.gathered: list[tuple[str, dict[str, Any], float]] = []
        self._values: dict[str, dict[str, Any] | str] = {}

    def get(self, key: str) -> dict[str, Any] | None:
        """The kept value, or None."""
        value = self._values.get(key)
        if isinstance(value, str):
            value = self._values[key] = json.loads(value)
        return value

    def names(self, prefix: str = "") -> list[str]:
        """Keys below a prefix, in the order of writing."""
        return [key for key in self._values if key.startswith(prefix)]

    def put(self, key: str, value: dict[str, Any], durable: bool = False) -> None:
        """Keep one value for the time being. Raises TooEarly for one that must be on the disk before anything else."""
        if durable:
            raise TooEarly(f"{key} cannot wait")
        self._keep(key, value)

    def rows(self, job: str) -> list[dict[str, Any]]:
        """What is to be written."""
        return [{"job": job, "key": key, "value": json.dumps(value), "at": at} for key, value, at in self.gathered]

    def _keep(self, key: str, value: dict[str, Any]) -> None:
        if key in self._values:
            raise KeyError(f"kept already: {key}")
        self._values[key] = value
        self.gathered.append((key, value, now().timestamp()))


class TooEarly(Exception):
    """A walk in memory came to what only a job in the database may do."""


class FencedJournal(Draft):
    """The journal of a claimed job. What was read or written once is remembered: the owner is the only writer.

    Values that follow one another within `gather` seconds are written in one transaction, at the latest with the end of
    the job: losing them costs only the little work that made them. A durable one takes all before it along, and is on
    the disk when `put` returns. A `fresh` job has none yet.
    """

    def __init__(
        self, engine: Engine, job: str, fence: int, fresh: bool = False, gather: float = GATHER_SECONDS
    ) -> None:
        super().__init__()
        if not fresh:
            with reading(engine) as connection:
                self._values.update(_Read(connection, job).all())
        self.engine = engine
        self.job = job
        self.fence = fence
        self.gather = gather
        self._written = self._certain = time.monotonic()
        self._doubtful = False

    def put(self, key: str, value: dict[str, Any], durable: bool = False) -> None:
        """Keep one value; LeaseLost where another worker owns the job."""
        self._keep(key, value)
        if durable or time.monotonic() - self._written >= self.gather:
            self.write(durable)

    def write(self, durable: bool = False) -> None:
        """Write what was gathered; LeaseLost where another worker owns the job by now."""
        if self.gathered:
            patiently(partial(self._write, durable))
            self.written()

    def check(self) -> None:
        """LeaseLost where another worker owns the job; asks the database where that was not certain a moment ago."""
        if time.monotonic() - self._certain > CERTAIN_SECONDS:
            patiently(self._ask)

    def _ask(self) -> None:
        asked = time.monotonic()
        with reading(self.engine) as connection:
            self._mine(connection)
        self._certain = asked

    def _write(self, durable: bool) -> None:
        asked = time.monotonic()
        with self.engine.connect() as connection, synchronous(connection, durable), connection.begin():
            self._mine(connection)
            if not self._there(connection):
                self.write_in(connection)
        self._certain = asked

    def _mine(self, connection: Connection) -> None:
        mine = select(jobs.c.id).where(jobs.c.id == self.job, jobs.c.fence == self.fence, jobs.c.status == "running")
        if connection.execute(mine.with_for_update()).first() is None:
            raise LeaseLost(f"{self.job} belongs to another worker")

    def _there(self, connection: Connection) -> bool:
        """Whether what was gathered was written by a commit whose answer did not come."""
        if not self._doubtful:
            self._doubtful = True
            return False
        first = select(journal.c.id).where(journal.c.job == self.job, journal.c.key == self.gathered[0][0])
        return connection.execute(first).first() is not None

    def write_in(self, connection: Connection) -> None:
        """Write what was gathered within the transaction of who knows that the job is still ours."""
        write(connection, {self.job: self})

    def written(self) -> None:
        """What was gathered is in the database."""
        self.gathered = []
        self._doubtful = False
        self._written = time.monotonic()


_INSERT = Prepared(insert(journal).inline(), ("job", "key", "value", "at"))


def write(connection: Connection, drafts: Mapping[str, Draft]) -> None:
    """Write what was gathered for these jobs, with the events and the entries of the trail that belong to it."""
    audit.extend(connection, write_rows(connection, drafts))
    kept = {job: [(key, value) for key, value, _ in draft.gathered] for job, draft in drafts.items()}
    feed.write(connection, [event for job, pairs in kept.items() for event in feed.of_kept(job, pairs)])


def write_rows(connection: Connection, drafts: Mapping[str, Draft]) -> list[audit.New]:
    """Write what was gathered for these jobs; the entries of the trail that belong to it, not written yet."""
    if rows := [row for job, draft in drafts.items() for row in draft.rows(job)]:
        _INSERT(connection, rows)
    kept = {job: [(key, value) for key, value, _ in draft.gathered] for job, draft in drafts.items()}
    return [entry for job, pairs in kept.items() for entry in audit.of_kept(job, pairs)]


@contextmanager
def synchronous(connection: Connection, durable: bool) -> Iterator[None]:
    """SQLite: let the next commit wait for the disk. Elsewhere every commit does."""
    if not durable or connection.dialect.name != "sqlite":
        yield
        return
    driver: Any = connection.connection.driver_connection
    driver.execute("PRAGMA synchronous=FULL")
    try:
        yield
    finally:
        driver.execute("PRAGMA synchronous=NORMAL")
