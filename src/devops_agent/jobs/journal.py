"""A job's journal in the database, behind the door that `run` knows."""

from __future__ import annotations

import json
from typing import Any

from sqlalchemy import Connection, Engine, insert, literal, select

from devops_agent.errors import LeaseLost
from devops_agent.jobs import audit
from devops_agent.jobs.tables import jobs, journal, reading
from devops_agent.model import now


class StoredJournal:
    """A journal within somebody's transaction: for reading, and for the one write that a decision makes."""

    def __init__(self, connection: Connection, job: str) -> None:
        self.connection = connection
        self.job = job

    def get(self, key: str) -> dict[str, Any] | None:
        """The kept value, or None."""
        query = select(journal.c.value).where(journal.c.job == self.job, journal.c.key == key)
        value = self.connection.execute(query).scalar()
        return None if value is None else json.loads(value)

    def names(self, prefix: str = "") -> list[str]:
        """Keys below a prefix, in the order of writing."""
        query = select(journal.c.key).where(journal.c.job == self.job).order_by(journal.c.id)
        return [key for (key,) in self.connection.execute(query) if key.startswith(prefix)]

    def put(self, key: str, value: dict[str, Any], durable: bool = False) -> None:  # noqa: ARG002 (the transaction's)
        """Keep one value; IntegrityError where the key is taken."""
        row = {"job": self.job, "key": key, "value": json.dumps(value), "at": now().timestamp()}
        self.connection.execute(insert(journal).values(**row))


class FencedJournal:
    """The journal of a claimed job. What was read or written once is remembered: the owner is the only writer."""

    def __init__(self, engine: Engine, job: str, fence: int) -> None:
        self.engine = engine
        self.job = job
        self.fence = fence
        with reading(engine) as connection:
            query = select(journal.c.key, journal.c.value).where(journal.c.job == job).order_by(journal.c.id)
            self._kept: dict[str, str] = {row.key: row.value for row in connection.execute(query)}

    def get(self, key: str) -> dict[str, Any] | None:
        """The kept value, or None."""
        value = self._kept.get(key)
        return None if value is None else json.loads(value)

    def names(self, prefix: str = "") -> list[str]:
        """Keys below a prefix, in the order of writing."""
        return [key for key in self._kept if key.startswith(prefix)]

    def put(self, key: str, value: dict[str, Any], durable: bool = False) -> None:
        """Keep one value; LeaseLost where another worker owns the job. `durable`: on the disk when this returns."""
        text = json.dumps(value)
        owned = select(literal(self.job), literal(key), literal(text), literal(now().timestamp())).where(
            select(jobs.c.id)
            .where(jobs.c.id == self.job, jobs.c.fence == self.fence, jobs.c.status == "running")
            .exists()
        )
        statement = insert(journal).from_select(["job", "key", "value", "at"], owned)
        with self.engine.connect() as connection:
            sqlite = connection.dialect.name == "sqlite"
            if sqlite and durable:
                connection.connection.driver_connection.execute("PRAGMA synchronous=FULL")  # type: ignore[union-attr]
            try:
                with connection.begin():
                    written = connection.execute(statement).rowcount
                    if written:
                        audit.kept(connection, self.job, key, value)
            finally:
                if sqlite and durable:
                    connection.connection.driver_connection.execute("PRAGMA synchronous=NORMAL")  # type: ignore[union-attr]
        if not written:
            raise LeaseLost(f"{self.job} belongs to another worker")
        self._kept[key] = text
