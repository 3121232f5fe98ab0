"""What becomes of a signal: it opens an incident, joins one, closes one, or comes too late. The sender's times decide.

Each alert has one row. A firing that is not newer than the last word that it was over changes nothing, so that neither
deliveries that overtake one another nor old ones sent again open what is closed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any, Literal

from sqlalchemy import Connection, Engine, and_, func, insert, select, update
from sqlalchemy.exc import IntegrityError

from devops_agent.connect.signal import Signal
from devops_agent.jobs.closing import close
from devops_agent.jobs.rows import FINISHED
from devops_agent.jobs.tables import alerts, jobs
from devops_agent.model import now

Became = Literal["opened", "joined", "closed", "noted", "late"]
AGAIN_SECONDS = 3600.0
"""An alert that still fires so long after its incident ended opens another one."""
SWEEP = 50


def settle(connection: Connection, hook: str, signal: Signal, open_job: Callable[[], str]) -> Became:
    """Take in one signal within the caller's transaction; `open_job` submits its incident and gives the job."""
    key = _hash(hook, "key", signal.key)
    row = _locked(connection, key)
    if signal.state == "resolved":
        return _resolve(connection, hook, signal, key, row)
    if _over(signal, row) or _series_over(connection, hook, signal):
        return "late"
    if row is not None and row["state"] == "firing" and _open(connection, row["job"]):
        _repeat(connection, row, signal)
        return "joined"
    values = {"state": "firing", "began": signal.at, "job": open_job(), "closing": 0, **_common(hook, signal)}
    if row is None:
        connection.execute(insert(alerts).values(key=key, count=1, **values))
    else:
        connection.execute(update(alerts).where(alerts.c.key == key).values(count=row["count"] + 1, **values))
    return "opened"


def sweep(engine: Engine) -> int:
    """Close the incidents of alerts that are over, as soon as they may be; how many were."""
    with engine.connect() as connection:
        query = select(alerts.c.key).where(alerts.c.closing == 1).order_by(alerts.c.seen).limit(SWEEP)
        keys = connection.execute(query).scalars().all()
    done = 0
    for key in keys:
        with engine.begin() as connection:
            row = _locked(connection, key)
            if row is None or not row["closing"] or _others_fire(connection, row["job"]):
                continue
            ended = close(connection, row["job"], f"hook {row['hook']}", f"{row['words']} ended")
            if ended != "busy":
                connection.execute(update(alerts).where(alerts.c.key == key).values(closing=0))
            done += ended == "closed"
    return done


def forget(engine: Engine, days: float) -> None:
    """Delete what was last heard of so long ago and is over."""
    old = now().timestamp() - days * 86400
    with engine.begin() as connection:
        connection.execute(alerts.delete().where(alerts.c.seen < old, alerts.c.closing == 0))


def _resolve(connection: Connection, hook: str, signal: Signal, key: str, row: Any) -> Became:
    became: Became = "noted"
    _mark_series(connection, hook, signal)
    if row is None:
        values = {"state": "resolved", "ended": signal.at, "count": 0, "closing": 0, **_common(hook, signal)}
        connection.execute(insert(alerts).values(key=key, **values))
    elif row["state"] == "firing" and row["began"] is not None and row["began"] > signal.at:
        return "late"
    else:
        firing = row["state"] == "firing"
        became = "closed" if firing else "noted"
        ended = max(signal.at, row["ended"] or 0.0)
        closing = int(bool(row["job"])) if firing else row["closing"]
        connection.execute(
            update(alerts)
            .where(alerts.c.key == key)
            .values(state="resolved", ended=ended, closing=closing, seen=now().timestamp())
        )
    if signal.series:
        older = and_(alerts.c.series == _hash(hook, "series", signal.series), alerts.c.state == "firing")
        over = {"state": "resolved", "ended": signal.at, "closing": 1, "seen": now().timestamp()}
        if connection.execute(update(alerts).where(older, alerts.c.began < signal.at).values(**over)).rowcount:
            became = "closed"
    return became


def _mark_series(connection: Connection, hook: str, signal: Signal) -> None:
    """Remember when a series last succeeded: a failure that is older is over, even if it is heard of only later."""
    if not signal.series:
        return
    key = _hash(hook, "success", signal.series)
    row = _locked(connection, key)
    if row is None:
        values = {"state": "resolved", "ended": signal.at, "count": 0, "closing": 0, **_common(hook, signal)}
        connection.execute(insert(alerts).values(key=key, **{**values, "series": None}))
    elif signal.at > (row["ended"] or 0.0):
        values = {"ended": signal.at, "seen": now().timestamp()}
        connection.execute(update(alerts).where(alerts.c.key == key).values(**values))


def _over(signal: Signal, row: Any) -> bool:
    return row is not None and row["ended"] is not None and signal.at <= row["ended"]


def _series_over(connection: Connection, hook: str, signal: Signal) -> bool:
    return bool(signal.series) and _over(signal, _locked(connection, _hash(hook, "success", signal.series or "")))


def _repeat(connection: Connection, row: Any, signal: Signal) -> None:
    values: dict[str, Any] = {"count": row["count"] + 1, "seen": now().timestamp()}
    if signal.series and row["series"] is None:
        values["series"] = _hash(row["hook"], "series", signal.series)
    connection.execute(update(alerts).where(alerts.c.key == row["key"]).values(**values))
    again = {"repeats": func.coalesce(jobs.c.repeats, 0) + 1, "repeated": now().timestamp()}
    connection.execute(update(jobs).where(jobs.c.id == row["job"]).values(**again))


def _open(connection: Connection, job: str | None) -> bool:
    """Whether a repeat still belongs to this job: it has not ended, or only just."""
    row = connection.execute(select(jobs.c.status, jobs.c.finished).where(jobs.c.id == job)).first()
    if row is None:
        return False
    return row.status not in FINISHED or (row.finished or 0.0) > now().timestamp() - AGAIN_SECONDS


def _others_fire(connection: Connection, job: str) -> bool:
    """Whether alerts that joined this incident still fire: then it is not over."""
    query = (
        select(func.count())
        .select_from(alerts.join(jobs, jobs.c.id == alerts.c.job))
        .where(jobs.c.joined == job, alerts.c.state == "firing")
    )
    return bool(connection.execute(query).scalar())


def _locked(connection: Connection, key: str) -> Any:
    """The alert's row, held until the transaction ends; two that make it at once come one after the other."""
    return connection.execute(select(alerts).where(alerts.c.key == key).with_for_update()).mappings().first()


def _common(hook: str, signal: Signal) -> dict[str, Any]:
    series = _hash(hook, "series", signal.series) if signal.series else None
    words = f"{signal.title or signal.key} ({hook})"[:400]
    return {"hook": hook, "series": series, "seen": now().timestamp(), "words": words}


def _hash(hook: str, kind: str, value: str) -> str:
    return hashlib.sha256(f"{hook}\n{kind}\n{value}".encode("utf-8", "replace")).hexdigest()


RACES = (IntegrityError,)
"""What the second of two transactions that make the same row at once ends with (Postgres): it is tried again."""
