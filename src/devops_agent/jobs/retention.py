"""What is forgotten: jobs with all that belongs to them, by age, in small pieces; never one that has not ended.

The audit trail is kept longer, as a rule for ever: it says what was done long after the journals are gone.
"""

from __future__ import annotations

import contextlib
import json
import time
from pathlib import Path

from sqlalchemy import Engine, delete, select

from devops_agent.jobs.rows import FINISHED
from devops_agent.jobs.tables import batches, events, jobs, journal, log_pieces, reading, searched
from devops_agent.model import now

PIECE = 200
"""Jobs that are deleted in one transaction, so that nobody waits long for it."""
PAUSE_SECONDS = 0.02
_DAY = 86400.0


def forget(engine: Engine, days: float, seconds: float = 60.0) -> int:
    """Delete what ended more than so many days ago, for at most so many seconds; how many jobs."""
    old = now().timestamp() - days * _DAY
    end = time.monotonic() + seconds
    query = select(jobs.c.id).where(jobs.c.status.in_(FINISHED), jobs.c.finished < old).order_by(jobs.c.finished)
    gone = 0
    while time.monotonic() < end:
        with reading(engine) as connection:
            ended = list(connection.execute(query.limit(PIECE)).scalars())
        if not ended:
            break
        gone += _delete(engine, ended, old)
        time.sleep(PAUSE_SECONDS)
    return gone


def forget_files(engine: Engine, data_dir: Path, days: float) -> int:
    """Delete logs, and copies made for undoing, that are older than what is kept of their jobs; how many files.

    Nothing that a job still needs: neither its logs nor, while one so old has not ended, any copy.
    """
    old = time.time() - days * _DAY
    needed = _needed(engine, now().timestamp() - days * _DAY)
    gone = 0
    for pattern in ("logs/*.log", *(() if needed else ("copies/*",))):
        for file in data_dir.glob(pattern):
            with contextlib.suppress(FileNotFoundError):
                if file.is_file() and file.stat().st_mtime < old and file.name not in needed:
                    file.unlink()
                    gone += 1
    return gone


def _needed(engine: Engine, old: float) -> set[str]:
    """Names of the logs of jobs so old that have not ended."""
    query = select(jobs.c.incident).where(jobs.c.status.not_in(FINISHED), jobs.c.created < old)
    names: set[str] = set()
    with reading(engine) as connection:
        for (incident,) in connection.execute(query):
            kept = json.loads(incident)
            names |= {Path(kept.get(key) or "none").name for key in ("log_file", "baseline_file")}
    return names


def _delete(engine: Engine, ended: list[str], old: float) -> int:
    with engine.begin() as connection:
        still = select(jobs.c.id).where(jobs.c.id.in_(ended), jobs.c.status.in_(FINISHED), jobs.c.finished < old)
        certain = list(connection.execute(still.with_for_update()).scalars())
        concerned = set(connection.execute(select(jobs.c.batch).where(jobs.c.id.in_(certain))).scalars())
        for table in (journal, events, searched, log_pieces):
            connection.execute(delete(table).where(table.c.job.in_(certain)))
        gone = connection.execute(delete(jobs).where(jobs.c.id.in_(certain))).rowcount
        left = set(connection.execute(select(jobs.c.batch).where(jobs.c.batch.in_(concerned))).scalars())
        connection.execute(delete(batches).where(batches.c.id.in_(concerned - left)))
    return gone
