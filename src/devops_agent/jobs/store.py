"""Jobs and their journals in the database: submit, claim, keep, decide, look up.

A job belongs to the worker that holds its lease. Every claim raises the job's `fence`; a journal write succeeds only
with the fence of the claim, so a worker that lost its lease while it was paused cannot write.
"""

from __future__ import annotations

import itertools
import json
import threading
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Engine, RowMapping, and_, delete, func, not_, select, update

from devops_agent.distil.redact import redact
from devops_agent.errors import LeaseLost, NotFound
from devops_agent.jobs import audit, feed, retention, search
from devops_agent.jobs.database import patiently
from devops_agent.jobs.decisions import Decision, decide
from devops_agent.jobs.intake import Intake, Order, ended, order, put, tell_ended
from devops_agent.jobs.journal import GATHER_SECONDS, FencedJournal, StoredJournal
from devops_agent.jobs.leases import Leases, Reach
from devops_agent.jobs.rows import FINISHED as FINISHED
from devops_agent.jobs.rows import Batch as Batch
from devops_agent.jobs.rows import BatchRow as BatchRow
from devops_agent.jobs.rows import Claim as Claim
from devops_agent.jobs.rows import JobRow as JobRow
from devops_agent.jobs.rows import job_row, time_of
from devops_agent.jobs.tables import batches, jobs, reading
from devops_agent.jobs.tables import journal as kept
from devops_agent.model import OUTCOMES, SCHEMA_VERSION, Approval, Incident, Report, now
from devops_agent.report import called, report

MAX_TRIES = 20
PIECE = 50
"""Rows read at once where all are read."""


class Work:
    """Wakes who looks for something to do; what is told while somebody looks is not missed."""

    def __init__(self) -> None:
        self.told = 0
        self._condition = threading.Condition()

    def tell(self) -> None:
        """There is something to do."""
        with self._condition:
            self.told += 1
            self._condition.notify_all()

    def wait(self, told: int, seconds: float) -> None:
        """Wait until there is something to do that was not there when `told` was read."""
        with self._condition:
            if self.told == told:
                self._condition.wait(seconds)


class Jobs:
    """The store. Safe to use from many threads and processes; `changed` tells the threads of this process, `work` those
    that look for something to do; `when_ended` is called with each job that ends here."""

    def __init__(self, engine: Engine, job_retention: float = 3600.0) -> None:
        self.engine = engine
        self.job_retention = job_retention
        self.changed = threading.Condition()
        self.work = Work()
        self.leases = Leases(engine)
        self.when_ended: Callable[[str], None] | None = None
        self._intake = Intake(engine)

    def submit(
        self, incidents: Sequence[Incident], requester: str = "", options: dict[str, Any] | None = None
    ) -> Batch:
        """Queue one job for each incident, durably, all or none."""
        return self.add(order(incidents, requester, options))

    def add(self, one: Order) -> Batch:
        """Write an order, on the disk when this returns, with the walks that were made for it."""
        made = self._intake.add(one)
        self.tell(work=any(job not in one.walked or one.walked[job].made is None for job in made.jobs))
        self._ended(*(job for job, walked in one.walked.items() if walked.made is not None))
        return made

    @property
    def crowded(self) -> bool:
        """Whether jobs are coming in at the moment."""
        return self._intake.crowded

    def enqueue(
        self,
        connection: Connection,
        incidents: Sequence[Incident],
        requester: str = "",
        options: dict[str, Any] | None = None,
    ) -> Batch:
        """The same within somebody's transaction, who calls `tell` when it has ended."""
        one = order(incidents, requester, options)
        put(connection, [one])
        return one.batch

    def claim(self, owner: str, job: str | None = None, reach: Reach | None = None) -> Claim | None:
        """The next job that is due, or that one, leased to this owner; None where there is nothing to do."""
        return self.leases.claim(owner, job, reach)

    def journal(self, claim: Claim, gather: float = GATHER_SECONDS) -> FencedJournal:
        """The claim's journal; writes through it raise LeaseLost once another worker owns the job."""
        return FencedJournal(self.engine, claim.id, claim.fence, claim.fresh, gather)

    def restart(self, claim: Claim) -> FencedJournal:
        """An empty journal for a job that another version of the code began, and which has done nothing yet."""
        mine = and_(jobs.c.id == claim.id, jobs.c.fence == claim.fence, jobs.c.status == "running")
        with self.engine.begin() as connection:
            if not connection.execute(update(jobs).where(mine).values(version=SCHEMA_VERSION)).rowcount:
                raise LeaseLost(f"{claim.id} belongs to another worker")
            connection.execute(delete(kept).where(kept.c.job == claim.id))
        return FencedJournal(self.engine, claim.id, claim.fence)

    def suspend(
        self,
        claim: Claim,
        reason: str,
        until: datetime | None,
        made: Report | None = None,
        journal: FencedJournal | None = None,
    ) -> None:
        """Let go of a job that waits; it is due again at `until`. `made`: its report so far, for the lists. What its
        journal has gathered is written with it."""
        due = self.leases.clock.at(until or now() + timedelta(days=365))
        waiting = {"status": "waiting", "waiting": reason[:40], "due": due, **(called(made) if made else {})}
        self._let_go(claim, {**waiting, "version": SCHEMA_VERSION}, made, journal)

    def finish(self, claim: Claim, made: Report, journal: FencedJournal | None = None) -> None:
        """End a job with what its report says, and with what its journal has gathered."""
        self._let_go(claim, ended(made), made, journal)
        self._ended(claim.id)

    def cancel(self, job: str, by: str, reason: str) -> bool:
        """End a job that has not ended: nobody goes on with it, and whoever works on it now can write no more."""
        by, reason = redact(by)[0], redact(reason)[0]
        with self.engine.begin() as connection:
            row = self._find(connection, job)
            if row["status"] in FINISHED:
                return False
            values = {"status": "error", "outcome": "error", "error": reason, "finished": now().timestamp()}
            values |= {"waiting": None, "owner": None, "lease": None, "fence": row["fence"] + 1, "progress": 100}
            connection.execute(update(jobs).where(jobs.c.id == job).values(**values))
            audit.append(connection, job, "cancelled", by, {"reason": reason})
            feed.tell(connection, job, "cancelled", {"by": by, "reason": reason})
            search.note_cancelled(connection, job)
        self.tell()
        self._ended(job)
        return True

    def decide(self, job: str, granted: bool, by: str, reason: str = "", fingerprint: str | None = None) -> Approval:
        """Approve or deny the plan that a job waits with. Raises ApprovalMismatch where it does not wait (any more)."""
        with self.engine.begin() as connection:
            row = self._find(connection, job)
            decision = decide(connection, row, fingerprint, Decision(granted, by, reason))
        self.tell()
        return decision

    def job(self, job: str) -> JobRow:
        """One job; the id of a batch of one is that of its job."""
        with reading(self.engine) as connection:
            return job_row(connection, self._find(connection, job))

    def batch(self, batch: str) -> BatchRow:
        """A batch with all its jobs; NotFound once it has been answered for longer than the retention."""
        with reading(self.engine) as connection:
            head = connection.execute(select(batches).where(batches.c.id == batch)).mappings().first()
            if head is None:
                raise NotFound(f"no job {batch!r}")
            query = select(jobs).where(jobs.c.batch == batch).order_by(jobs.c.number)
            rows = tuple(job_row(connection, row) for row in connection.execute(query).mappings().all())
        found = BatchRow(batch, time_of(head["created"]), rows)
        ended = [job.finished for job in rows if job.finished]
        if len(ended) == len(rows) and max(ended) < now() - timedelta(seconds=self.job_retention):
            raise NotFound(f"no job {batch!r}")
        return found

    def list(self, status: str | None = None, limit: int = 50, offset: int = 0) -> list[JobRow]:
        """Jobs, newest first; `status` is one of a job's, or an outcome such as `needs_person`."""
        query = select(jobs).order_by(jobs.c.created.desc(), jobs.c.number).limit(limit).offset(offset)
        if status is not None:
            query = query.where(jobs.c.outcome == status if status in OUTCOMES else search.of_status(status))
        with reading(self.engine) as connection:
            return [job_row(connection, row) for row in connection.execute(query).mappings().all()]

    def incidents(self) -> Iterator[tuple[JobRow, Incident]]:
        """Every job that has ended with its incident, oldest first; read in pieces."""
        query = select(jobs).where(jobs.c.status == "done").order_by(jobs.c.created, jobs.c.id)
        for offset in itertools.count(0, PIECE):
            with reading(self.engine) as connection:
                rows = connection.execute(query.limit(PIECE).offset(offset)).mappings().all()
                found = [(job_row(connection, row), Incident.model_validate_json(row["incident"])) for row in rows]
            yield from found
            if len(rows) < PIECE:
                return

    def report(self, job: str, error: str | None = None) -> Report:
        """The report of a job as far as it has come; one that repeats an open incident has that one's answer."""
        with reading(self.engine) as connection:
            row = self._find(connection, job)
            options = json.loads(row["options"])
            incident = Incident.model_validate_json(row["incident"])
            answers = row["joined"] or row["id"]
            stored = StoredJournal(connection, answers)
            return report(incident, stored, bool(options.get("dry_run")), error or row["error"], answers)

    def counts(self) -> dict[str, int]:
        """How many jobs there are in each status."""
        with reading(self.engine) as connection:
            query = select(jobs.c.status, func.count()).group_by(jobs.c.status)
            return {row[0]: row[1] for row in connection.execute(query)}

    def wait(self, batch: str, timeout: float) -> bool:
        """Wait until every job of the batch has an answer; False where the time was not enough."""
        deadline = now() + timedelta(seconds=timeout)
        while True:
            if not self._unanswered(batch):
                return True
            left = (deadline - now()).total_seconds()
            if left <= 0:
                return False
            with self.changed:
                self.changed.wait(min(left, 0.2))

    def _unanswered(self, batch: str) -> int:
        asking = and_(jobs.c.status == "waiting", jobs.c.waiting == "approval")
        open_ = and_(jobs.c.batch == batch, jobs.c.status.not_in(FINISHED), not_(asking))
        with reading(self.engine) as connection:
            return int(connection.execute(select(func.count()).where(open_)).scalar() or 0)

    def forget(self, days: float) -> int:
        """Delete jobs, batches and journals that ended more than so many days ago; how many jobs."""
        return retention.forget(self.engine, days)

    def _ended(self, *ended: str) -> None:
        """Tell who wants to know (the exporter of traces) that these jobs have ended."""
        if self.when_ended is not None:
            for job in ended:
                self.when_ended(job)

    def _let_go(self, claim: Claim, values: dict[str, Any], made: Report | None, journal: FencedJournal | None) -> None:
        patiently(lambda: self._write_end(claim, values, made, journal))
        if journal is not None:
            journal.written()
        self.tell(work=values["status"] == "waiting")

    def _write_end(
        self, claim: Claim, values: dict[str, Any], made: Report | None, journal: FencedJournal | None
    ) -> None:
        mine = and_(jobs.c.id == claim.id, jobs.c.fence == claim.fence, jobs.c.status == "running")
        changed = {**values, "owner": None, "lease": None}
        with self.engine.begin() as connection:
            if not connection.execute(update(jobs).where(mine).values(**changed)).rowcount:
                return
            if journal is not None:
                journal.write_in(connection)
            if values["status"] != "waiting":
                if made is not None:
                    tell_ended(connection, claim.id, made, values)
            else:
                if made is not None:
                    search.note_answered(connection, claim.id, made, values)
                feed.tell_waiting(connection, claim.id, values["waiting"])

    def _find(self, connection: Any, job: str) -> RowMapping:
        row = connection.execute(select(jobs).where(jobs.c.id == job)).mappings().first()
        if row is None:
            raise NotFound(f"no job {job!r}; `devops-agent jobs` lists those that there are")
        return row  # type: ignore[no-any-return]

    def tell(self, work: bool = True) -> None:
        """Wake the threads of this process that wait for a change, and those that wait for work where there is some."""
        if work:
            self.work.tell()
        with self.changed:
            self.changed.notify_all()
