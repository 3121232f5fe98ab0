"""What is old goes, in pieces; what has not ended stays, with all that it needs."""

import os
import time

import pytest
from sqlalchemy import func, select, update

from devops_agent.jobs import retention
from devops_agent.jobs.store import Jobs
from devops_agent.jobs.tables import batches, events, journal, log_pieces, open_engine, searched
from devops_agent.jobs.tables import jobs as table
from devops_agent.model import Evidence, Incident, keep
from devops_agent.report import report


def incident(number, **more):
    return Incident(id=f"inc_{number}", title="trouble", log="ERROR: x\n", **more)


def finish(jobs, claim):
    kept = jobs.journal(claim)
    kept.put("note", keep(Evidence(id="x", source="x", text="x")), durable=True)
    jobs.finish(claim, report(claim.incident, kept, error="gave up"))


def age(jobs, days, *conditions):
    with jobs.engine.begin() as connection:
        old = days * 86400
        connection.execute(update(table).where(*conditions).values(created=table.c.created - old))
        ended = table.c.finished.is_not(None)
        connection.execute(update(table).where(ended, *conditions).values(finished=table.c.finished - old))


def count(jobs, of):
    with jobs.engine.connect() as connection:
        return connection.execute(select(func.count()).select_from(of)).scalar()


def test_old_jobs_go_with_all_that_belongs_to_them(database, monkeypatch):
    monkeypatch.setattr(retention, "PIECE", 2)
    jobs = Jobs(open_engine(database))
    together = jobs.submit([incident(number) for number in range(3)])
    for _ in range(3):
        finish(jobs, jobs.claim("w"))
    alone = [jobs.submit([incident(number)]).jobs[0] for number in range(3, 8)]
    for _ in range(3):
        finish(jobs, jobs.claim("w"))
    jobs.suspend(jobs.claim("w"), "approval", None)
    running = jobs.claim("w")
    age(jobs, 10)
    age(jobs, -10, table.c.id == together.jobs[0])
    assert retention.forget(jobs.engine, days=30) == 0
    assert retention.forget(jobs.engine, days=5) == 5
    left = {row.id for row in jobs.list()}
    assert left == {together.jobs[0], alone[3], alone[4]}
    assert running.id in left
    assert (count(jobs, batches), count(jobs, journal), count(jobs, searched)) == (3, 1, 3)
    assert count(jobs, log_pieces) == 0
    with jobs.engine.connect() as connection:
        assert set(connection.execute(select(events.c.job)).scalars()) == left


@pytest.mark.parametrize("open_job", [True, False])
def test_files_that_are_needed_stay(tmp_path, open_job):
    jobs = Jobs(open_engine(f"sqlite:///{tmp_path / 'jobs.db'}"))
    for name in ("logs/needed.log", "logs/old.log", "logs/new.log", "copies/abc"):
        file = tmp_path / name
        file.parent.mkdir(exist_ok=True)
        file.write_text("x")
        if "new" not in name:
            os.utime(file, (time.time() - 40 * 86400,) * 2)
    jobs.submit([incident(1, log_file=str(tmp_path / "logs" / "needed.log"))])
    if not open_job:
        finish(jobs, jobs.claim("w"))
    age(jobs, 40)
    gone = retention.forget_files(jobs.engine, tmp_path, days=30)
    left = {
        str(each.relative_to(tmp_path)) for each in tmp_path.rglob("*") if each.is_file() and each.parent != tmp_path
    }
    if open_job:
        assert (gone, left) == (1, {"logs/needed.log", "logs/new.log", "copies/abc"})
    else:
        assert (gone, left) == (3, {"logs/new.log"})
