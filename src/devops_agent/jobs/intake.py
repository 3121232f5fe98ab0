"""New jobs on their way into the database: durable when they are accepted, several requests in one transaction.

Who comes while another is writing waits and is written with all who came meanwhile: the disk is waited for once.
"""

from __future__ import annotations

import json
import secrets
import socket
import time
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, Engine, insert, text
from sqlalchemy.exc import SQLAlchemyError

from devops_agent.errors import RequestError
from devops_agent.jobs import audit, experience, feed, logs, search
from devops_agent.jobs.journal import Draft, synchronous, write_rows
from devops_agent.jobs.prepared import Prepared
from devops_agent.jobs.rows import Batch
from devops_agent.jobs.tables import batches, jobs
from devops_agent.jobs.together import Together
from devops_agent.model import SCHEMA_VERSION, Incident, Report, now
from devops_agent.report import called

HERE = ("cli", "python")
"""Sources whose jobs are worked on by the process that submits them: they stay on its machine."""
CROWD, MOMENT = 30, 0.1
"""So many who came within so many seconds are more than can be worked on as they come."""
GATHER = 0.002
"""Seconds that others are waited for where many come in: one wait for the disk, and one transaction, serve them all."""
_BATCH = Prepared(insert(batches).inline(), ("id", "created", "requester", "size"))
_JOB = Prepared(insert(jobs).inline(), jobs.columns.keys())
_EMPTY = dict.fromkeys(jobs.columns.keys())
_PRESENT = text("SELECT extract(epoch FROM clock_timestamp()) - 0.1")  # due even by a clock that is slightly behind


@dataclass
class Walked:
    """A walk that was made in memory: what it kept, and its report where it came to an end."""

    draft: Draft
    made: Report | None = None


@dataclass
class Order:
    """What one request submits: the rows to write, and what came of them so far."""

    batch: Batch
    requester: str
    incidents: Sequence[Incident]
    rows: list[dict[str, Any]]
    walked: dict[str, Walked] = field(default_factory=dict)
    written: bool = False
    failure: BaseException | None = None

    @property
    def answered(self) -> bool:
        """Whether every job has come to its end, so that nothing is left to be done."""
        return all(row["id"] in self.walked and self.walked[row["id"]].made is not None for row in self.rows)


def order(incidents: Sequence[Incident], requester: str = "", options: dict[str, Any] | None = None) -> Order:
    """A queued job for each incident. Raises RequestError where there is none."""
    if not incidents:
        raise RequestError("errors: must not be empty")
    moment = now()
    # rows of one moment lie side by side in every index, so that a commit touches few pages
    batch = f"job_{moment:%Y%m%d_%H%M%S}_{moment.microsecond // 1000:03x}{secrets.token_hex(4)}"
    stamp = moment.timestamp()
    rows = [
        {
            **_EMPTY,
            "id": batch if len(incidents) == 1 else f"{batch}_{number}",
            "batch": batch,
            "number": number,
            "status": "queued",
            "due": stamp,
            "created": stamp,
            "title": incident.title[:200],
            "incident": incident.model_dump_json(),
            "options": json.dumps(options or {}),
            "progress": 0,
            "fence": 0,
            "tries": 0,
            "version": SCHEMA_VERSION,
            "place": incident.place,
            "machine": socket.gethostname() if incident.source in HERE else None,
        }
        for number, incident in enumerate(incidents, 1)
    ]
    return Order(Batch(batch, tuple(str(row["id"]) for row in rows)), requester, incidents, rows)


def ended(made: Report) -> dict[str, Any]:
    """The values of a job's row when its report is made."""
    return {
        "status": "error" if made.status == "error" else "done",
        "waiting": None,
        "finished": now().timestamp(),
        "progress": 100,
        **called(made),
        "outcome": made.status,
        "error": made.error,
    }


def tell_ended(connection: Connection, job: str, made: Report, values: dict[str, Any]) -> None:
    """All that is noted elsewhere when a job ends, within the transaction that ends it."""
    search.note_answered(connection, job, made, values)
    experience.count(connection, job, made)
    feed.write(connection, [_end(job, values)])


def put(connection: Connection, orders: Sequence[Order]) -> None:
    """Write orders within a transaction; walks that were made already come with what they kept."""
    _BATCH(
        connection,
        [
            {
                "id": each.batch.id,
                "created": each.rows[0]["created"],
                "requester": each.requester,
                "size": len(each.rows),
            }
            for each in orders
        ],
    )
    rows = [_with_end(row, each.walked.get(row["id"])) for each in orders for row in each.rows]
    if connection.dialect.name == "postgresql":
        due = connection.execute(_PRESENT).scalar()
        rows = [{**row, "due": due} for row in rows]
    _JOB(connection, rows)
    logs.keep(connection, {row["id"]: i for o in orders for row, i in zip(o.rows, o.incidents, strict=True)})
    walked = {job: one for each in orders for job, one in each.walked.items()}
    made = {job: one.made for job, one in walked.items() if one.made is not None}
    search.note_new(connection, rows, [i for o in orders for i in o.incidents], made)
    said = [
        (row["id"], "submitted", each.requester or "unknown", {"title": row["title"]})
        for each in orders
        for row in each.rows
    ]
    audit.extend(connection, said + write_rows(connection, {job: one.draft for job, one in walked.items()}))
    values = {row["id"]: row for row in rows}
    for job, report in made.items():
        experience.count(connection, job, report)
    feed.write(connection, _told(orders, walked, values))


def _told(orders: Sequence[Order], walked: Mapping[str, Walked], values: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The events of new jobs. What was done before the job had an address was watched by nobody: of that, the end."""
    told = [
        feed.event(row["id"], "queued", {"batch": each.batch.id, "title": row["title"]})
        for each in orders
        for row in each.rows
    ]
    for job, one in walked.items():
        if one.made is not None:
            told.append(_end(job, values[job]))
        else:
            told.append(feed.event(job, "running"))
            told += feed.of_kept(job, [(key, value) for key, value, _ in one.draft.gathered])
    return told


def _end(job: str, values: Mapping[str, Any]) -> dict[str, Any]:
    return feed.event(job, values["status"], {key: values[key] for key in ("outcome", "cause", "title")})


def _with_end(row: dict[str, Any], walked: Walked | None) -> dict[str, Any]:
    """The row as it is to be written; a walk that did not come to its end goes on from where it stopped."""
    if walked is None:
        return row
    begun = {**row, "started": row["created"]}
    return {**begun, "fence": 1, **ended(walked.made)} if walked.made is not None else begun


class Intake:
    """The way in for the threads of one process."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self._came: deque[float] = deque(maxlen=CROWD)
        self._together = Together(self._write)

    @property
    def crowded(self) -> bool:
        """Whether more are coming in than can be worked on meanwhile."""
        return len(self._came) == CROWD and time.monotonic() - self._came[0] < MOMENT

    def add(self, one: Order) -> Batch:
        """Have an order written; what is left to do is on the disk when this returns. Raises what the database did."""
        self._came.append(time.monotonic())
        self._together.add(one, GATHER if self.crowded else 0.0)
        if not one.written and one.failure is None:  # who wrote for all broke off before it came to this one
            self._write([one])
        if one.failure is not None:
            raise one.failure
        return one.batch

    def _write(self, orders: list[Order]) -> None:
        """All together; where that fails, each on its own, so that none fails for another's sake."""
        try:
            self._commit(orders)
        except SQLAlchemyError as failure:
            if len(orders) == 1:
                orders[0].failure = failure
                return
            for each in orders:
                self._write([each])
        except BaseException as failure:
            for each in orders:
                each.failure = failure
            raise

    def _commit(self, orders: list[Order]) -> None:
        """Write; the disk is waited for where somebody is told that a job is accepted, not where all is answered."""
        durable = not all(each.answered for each in orders)
        with self.engine.connect() as connection, synchronous(connection, durable), connection.begin():
            put(connection, orders)
        for each in orders:
            each.written = True
