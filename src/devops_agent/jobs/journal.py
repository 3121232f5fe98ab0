"""A job's journal in the database, behind the door that `run` knows."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Connection, Engine, insert, select

from devops_agent.errors import LeaseLost
from devops_agent.jobs import audit, feed
from devops_agent.jobs.tables import jobs, journal, reading
from devops_agent.model import now

GATHER_SECONDS = 0.02


class _Read:
    """What was kept for a job, read once."""

    def __init__(self, connection: Connection, job: str) -> None:
        query = select(journal.c.key, journal.c.value).where(journal.c.job == job).order_by(journal.c.id)
        self._kept: dict[str, str] = {row.key: row.value for row in connection.execute(query)}
        self.job = job

    def get(self, key: str) -> dict[str, Any] | None:
        """The kept value, or None."""
        value = self._kept.get(key)
        return None if value is None else json.loads(value)

    def names(self, prefix: str = "") -> list[str]:
        """Keys below a prefix, in the order of writing."""
        return [key for key in self._kept if key.startswith(prefix)]


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


class FencedJournal(_Read):
    """The journal of a claimed job. What was read or written once is remembered: the owner is the only writer.

    Values that follow one another within `GATHER_SECONDS` are written in one transaction: losing them costs only the
    little work that made them. A durable one takes all before it along, and is on the disk when `put` returns.
    """

    def __init__(self, engine: Engine, job: str, fence: int) -> None:
        with reading(engine) as connection:
            super().__init__(connection, job)
        self.engine = engine
        self.fence = fence
        self._gathered: list[dict[str, Any]] = []
        self._written = time.monotonic()

    def put(self, key: str, value: dict[str, Any], durable: bool = False) -> None:
        """Keep one value; LeaseLost where another worker owns the job."""
        if key in self._kept:
            raise KeyError(f"kept already: {key}")
        text = json.dumps(value)
        self._gathered.append({"job": self.job, "key": key, "value": text, "at": now().timestamp()})
        self._kept[key] = text
        if durable or time.monotonic() - self._written > GATHER_SECONDS:
            self.write(durable)

    def write(self, durable: bool = False) -> None:
        """Write what was gathered; LeaseLost where another worker owns the job by now."""
        if not self._gathered:
            return
        with self.engine.connect() as connection, synchronous(connection, durable), connection.begin():
            mine = select(jobs.c.id).where(
                jobs.c.id == self.job, jobs.c.fence == self.fence, jobs.c.status == "running"
            )
            if connection.execute(mine.with_for_update()).first() is None:
                raise LeaseLost(f"{self.job} belongs to another worker")
            connection.execute(insert(journal), self._gathered)
            kept = [(row["key"], json.loads(row["value"])) for row in self._gathered]
            for key, value in kept:
                audit.kept(connection, self.job, key, value)
            feed.tell_kept(connection, self.job, kept)
        self._gathered = []
        self._written = time.monotonic()


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
