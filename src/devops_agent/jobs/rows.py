"""What the store hands out: batches, jobs as lists show them, and claims."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Engine, RowMapping, or_, select

from devops_agent.jobs.journal import StoredJournal
from devops_agent.jobs.tables import jobs, reading
from devops_agent.model import Incident
from devops_agent.report import progress

FINISHED = ("done", "error")


@dataclass(frozen=True)
class Batch:
    """What one request submitted: its id, and one job for each incident."""

    id: str
    jobs: tuple[str, ...]


@dataclass(frozen=True)
class JobRow:
    """A job as the lists show it. `waiting` says for what; times are UTC.

    `joined` is the open incident that it repeats; `repeats` says how often this one was repeated, last at `repeated`.
    """

    id: str
    batch: str
    number: int
    status: str
    waiting: str | None
    created: datetime
    started: datetime | None
    finished: datetime | None
    title: str
    cause: str | None
    outcome: str | None
    progress: int
    error: str | None
    joined: str | None = None
    repeats: int = 0
    repeated: datetime | None = None

    @property
    def answered(self) -> bool:
        """Whether the submitter can be told something final for now: it has ended, or waits for a person."""
        return self.status in FINISHED or (self.status == "waiting" and self.waiting == "approval")


@dataclass(frozen=True)
class BatchRow:
    """A batch with its jobs as they are now."""

    id: str
    created: datetime
    jobs: tuple[JobRow, ...]

    @property
    def answered(self) -> bool:
        """Whether every job has an answer."""
        return all(job.answered for job in self.jobs)

    @property
    def progress(self) -> int:
        """0 to 100 over all jobs."""
        return sum(100 if job.answered else job.progress for job in self.jobs) // max(1, len(self.jobs))

    @property
    def finished(self) -> datetime | None:
        """When the last job got its answer; None while one has none."""
        return max((job.finished or job.created for job in self.jobs), default=None) if self.answered else None


@dataclass(frozen=True)
class Claim:
    """A job that this worker owns until its lease ends. `fresh`: nobody has begun it before. `machine`: the only one
    that can go on with it."""

    id: str
    fence: int
    incident: Incident
    options: dict[str, Any]
    version: int
    tries: int
    fresh: bool = False
    machine: str | None = None


def places(engine: Engine, name: str) -> set[str | None]:
    """The places of a job, or of all jobs of a batch."""
    query = select(jobs.c.place).where(or_(jobs.c.id == name, jobs.c.batch == name)).distinct()
    with reading(engine) as connection:
        return set(connection.execute(query).scalars())


def job_row(connection: Any, row: RowMapping) -> JobRow:
    """A job as it is now; `row` is its row of the table."""
    ended = row["status"] in FINISHED
    begun = row["started"] is not None
    reached = 100 if ended else progress(StoredJournal(connection, row["id"]).names()) if begun else 0
    return JobRow(
        id=row["id"],
        batch=row["batch"],
        number=row["number"],
        status=row["status"],
        waiting=row["waiting"],
        created=time_of(row["created"]),
        started=time_of(row["started"]) if row["started"] else None,
        finished=time_of(row["finished"]) if row["finished"] else None,
        title=row["title"],
        cause=row["cause"],
        outcome=row["outcome"],
        progress=reached,
        error=row["error"],
        joined=row["joined"],
        repeats=row["repeats"] or 0,
        repeated=time_of(row["repeated"]) if row["repeated"] else None,
    )


def time_of(stamp: float) -> datetime:
    """A kept moment, in UTC."""
    return datetime.fromtimestamp(stamp, UTC)
