"""Learning: how often each runbook's finding fired, was confirmed or corrected, and whether its remedy helped.

Counted by runbook, finding and fingerprint when a job ends, and when a person says what the cause was. An answer is
*judged* by a person, or else by a remedy that made the cause go away; only judged answers move a confidence.
"""

from __future__ import annotations

import difflib
import json
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Engine, bindparam, case, func, insert, select, update

from devops_agent.distil.redact import redact
from devops_agent.errors import NotFound, RequestError
from devops_agent.jobs import audit
from devops_agent.jobs.database import alone
from devops_agent.jobs.prepared import Prepared
from devops_agent.jobs.tables import JUDGED, experience, jobs, reading, verdicts
from devops_agent.model import UNKNOWN, Approval, Attempt, Report, now
from devops_agent.planners.experience import Recall, Tally

_COUNTS = ("fired", "confirmed", "corrected", "acted", "resolved", "alone", "right", "wrong")
Key = tuple[str, str, str, str]
"""Runbook, finding, fingerprint, cause; empty strings where an answer has none."""


@dataclass(frozen=True)
class Counted:
    """The counts of a runbook or of one of its findings."""

    finding: str
    fired: int
    confirmed: int
    corrected: int
    acted: int
    resolved: int
    right: int
    judged: int


@dataclass(frozen=True)
class Said:
    """What a person said about a job's cause, and whether that confirms the agent's answer."""

    job: str
    cause: str
    answered: str
    confirmed: bool
    by: str


def count(connection: Connection, job: str, made: Report) -> None:
    """Count what a job that just ended answered, within the transaction that ends it. A repetition only fires."""
    repeats = made.job is not None and made.job != job
    seen: set[Key] = set()
    for attempt in made.attempts:
        key = _key(made, attempt)
        if key is None or key in seen:
            continue
        seen.add(key)
        more = {"fired": 1}
        if not repeats:
            proved = int(_proved(attempt))
            more |= {"acted": int(_acted(attempt)), "resolved": proved, "right": proved, "alone": int(_alone(attempt))}
        _add(connection, key, more, made.incident.title)


def say(engine: Engine, made: Report, cause: str, by: str, reason: str = "") -> Said:
    """Keep what a person says the cause was: it confirms or corrects the answer; said again, the last word counts.

    Raises NotFound for a job that is not there, RequestError for one that has not ended or names nothing.
    """
    _check(cause)
    by, reason = redact(by)[0], redact(reason)[0]
    job = made.job or ""
    keys = [(key, attempt) for attempt in made.attempts if (key := _key(made, attempt)) is not None]
    key, attempt = next((each for each in keys if each[0][3] == cause), keys[-1] if keys else (None, None))
    with engine.begin() as connection:
        alone(connection, "audit")  # first, as where jobs end: nobody waits for the other
        row = connection.execute(select(jobs.c.status).where(jobs.c.id == job).with_for_update()).first()
        if row is None:
            raise NotFound(f"no job {job!r}")
        if row[0] != "done":
            raise RequestError(f"cause: {job} has not ended with an answer yet (it is {row[0]})")
        if key is None or attempt is None:
            raise RequestError(f"cause: {job} was answered with no failure; there is no cause to confirm or correct")
        _take_back(connection, job)
        right, proved = key[3] == cause, _proved(attempt)
        _add(connection, key, {"right": -int(proved)})
        _add(connection, key, {"confirmed": 1, "right": 1} if right else {"corrected": 1, "wrong": 1})
        values = {"job": job, "cause": cause, "by": by, "reason": reason, "at": now().timestamp()}
        facts = {"key": json.dumps(key), "confirmed": int(right), "proved": int(proved)}
        connection.execute(insert(verdicts).values(**values, **facts))
        event = "cause confirmed" if right else "cause corrected"
        told = {"cause": cause, "answered": key[3], "runbook": key[0], "finding": key[1], "reason": reason}
        audit.append(connection, job, event, by, told)
    return Said(job, cause, key[3], right, by)


def recall(engine: Engine) -> Recall:
    """What a planner asks before it says how sure it is."""

    named = (experience.c.runbook == bindparam("runbook"), experience.c.finding == bindparam("finding"), JUDGED)
    alike = case((experience.c.fingerprint == bindparam("fingerprint"), 1), else_=0)
    sums = (func.coalesce(func.sum(column * weight), 0) for weight in (1, alike) for column in _JUDGED)
    query = Prepared(select(*sums).where(*named))

    def known(runbook: str, finding: str, fingerprint: str) -> tuple[Tally, Tally]:
        values = {"runbook": runbook, "finding": finding, "fingerprint": fingerprint}
        right, wrong, right_alike, wrong_alike = query.read(engine, values).rows[0]
        none = not fingerprint
        return Tally(right, wrong), Tally() if none else Tally(right_alike, wrong_alike)

    return known


def of_runbook(engine: Engine, runbook: str) -> list[Counted]:
    """The counts of each finding of a runbook that ever fired."""
    sums = [func.sum(experience.c[name]).label(name) for name in _COUNTS]
    query = select(experience.c.finding, *sums).where(experience.c.runbook == runbook)
    with reading(engine) as connection:
        rows = connection.execute(query.group_by(experience.c.finding).order_by(experience.c.finding)).all()
    return [
        Counted(r.finding, r.fired, r.confirmed, r.corrected, r.acted, r.resolved, r.right, r.right + r.wrong)
        for r in rows
    ]


def verdict(engine: Engine, job: str) -> dict[str, Any] | None:
    """What a person said about a job's cause, or None."""
    with reading(engine) as connection:
        row = connection.execute(select(verdicts).where(verdicts.c.job == job)).mappings().first()
    if row is None:
        return None
    return {
        "cause": row["cause"],
        "confirmed": bool(row["confirmed"]),
        "by": row["by"],
        "reason": row["reason"],
        "at": row["at"],
    }


def _check(cause: str) -> None:
    from devops_agent.runbooks.causes import from_data, read_data

    known = from_data(read_data()).meanings
    if cause != UNKNOWN and cause not in known:
        near = ", ".join(difflib.get_close_matches(cause, known, 3))
        raise RequestError(f"cause: {cause!r} is no known cause{f' (perhaps {near})' if near else ''}")


_JUDGED = (experience.c.right, experience.c.wrong)


def _key(made: Report, attempt: Attempt) -> Key | None:
    said = attempt.diagnosis
    if said is None or not said.failure:
        return None
    fingerprint = made.digest.fingerprint if made.digest else ""
    names = (said.runbook or "", said.finding or "", said.cause or UNKNOWN)
    runbook, finding, cause = (name[:80] for name in names)  # as wide as its columns: Postgres takes no more
    return (runbook, finding, fingerprint[:200], cause)


def _acted(attempt: Attempt) -> bool:
    changing = {each.id for each in attempt.plan.actions if each.effect != "read"} if attempt.plan else set()
    return any(each.action_id in changing and each.status == "succeeded" for each in attempt.outcomes)


def _proved(attempt: Attempt) -> bool:
    """Whether the remedy was carried out and what was wrong is gone since."""
    proof = attempt.verification
    return _acted(attempt) and proof is not None and bool(proof.over or proof.cause_gone) and not attempt.undone


def _alone(attempt: Attempt) -> bool:
    approval: Approval | None = attempt.approval
    return _proved(attempt) and approval is not None and approval.by == "policy"


def _add(connection: Connection, key: Key, more: dict[str, int], title: str = "") -> None:
    if not title and not any(more.values()):
        return
    names = dict(zip(_KEY, key, strict=True))
    values: dict[str, Any] = {f"of_{name}": value for name, value in names.items()}
    values |= {f"more_{name}": more.get(name, 0) for name in _COUNTS}
    values |= {"named": title[:200], "present": now().timestamp()}
    if _MORE[bool(title)](connection, values).changed:
        return
    alone(connection, f"experience {key}")
    if not _MORE[bool(title)](connection, values).changed:
        counts = {name: max(0, more.get(name, 0)) for name in _COUNTS}
        _NEW(connection, {**names, **counts, "title": title[:200], "last": now().timestamp()})


_KEY = ("runbook", "finding", "fingerprint", "cause")
_HERE = [experience.c[name] == bindparam(f"of_{name}") for name in _KEY]
_SUMS = {name: experience.c[name] + bindparam(f"more_{name}") for name in _COUNTS}
_MORE = {
    False: Prepared(update(experience).where(*_HERE).values(**_SUMS)),
    True: Prepared(
        update(experience).where(*_HERE).values(**_SUMS, title=bindparam("named"), last=bindparam("present"))
    ),
}
_NEW = Prepared(insert(experience).inline(), experience.columns.keys())


def _take_back(connection: Connection, job: str) -> None:
    """Forget what was said about this job before."""
    row = connection.execute(select(verdicts).where(verdicts.c.job == job)).mappings().first()
    if row is None:
        return
    key: Key = tuple(json.loads(row["key"]))
    undone = {"confirmed": -1, "right": -1} if row["confirmed"] else {"corrected": -1, "wrong": -1}
    _add(connection, key, undone)
    _add(connection, key, {"right": row["proved"]})
    connection.execute(verdicts.delete().where(verdicts.c.job == job))
