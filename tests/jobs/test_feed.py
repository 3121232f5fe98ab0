"""Events: numbered in order, told with the change itself, and none missed by who goes on from the last one."""

from __future__ import annotations

import random
import threading
import time

import pytest
from sqlalchemy import select, text

from devops_agent.jobs import feed, numbers
from devops_agent.jobs.store import Jobs
from devops_agent.jobs.tables import events, open_engine
from devops_agent.jobs.watch import Watch
from devops_agent.model import Evidence as Kept
from devops_agent.model import Incident, keep, now


@pytest.fixture
def jobs(tmp_path):
    return Jobs(open_engine(f"sqlite:///{tmp_path / 'jobs.db'}"))


def submit(jobs, count=1):
    return jobs.submit([Incident(id=f"i{n}", log="x", title=f"t{n}") for n in range(count)], "tester")


def test_a_job_tells_what_happens_to_it_in_order(jobs):
    batch = submit(jobs, 2)
    claim = jobs.claim("me", batch.jobs[0])
    journal = jobs.journal(claim)
    journal.put("0/once/a1/started", keep(Kept(id="a1", source="s", text="t")), durable=True)
    jobs.suspend(claim, "settling", now())
    jobs.suspend(jobs.claim("me", batch.jobs[0]), "settling", now())
    jobs.cancel(batch.jobs[0], "me", "enough")
    told = feed.since(jobs.engine, 0, batch.jobs[0])
    assert [each.kind for each in told] == ["queued", "running", "action_started", "waiting", "cancelled"]
    assert told[2].data == {"attempt": 1, "action": "a1"}
    assert [each.id for each in told] == sorted(each.id for each in told)
    everything = feed.since(jobs.engine, 0)
    assert len(everything) == 6
    assert feed.since(jobs.engine, everything[2].id) == everything[3:]
    assert feed.newest(jobs.engine) == everything[-1].id


def test_what_did_not_happen_is_not_told(jobs):
    batch = submit(jobs)
    claim = jobs.claim("me")
    jobs.cancel(batch.id, "me", "enough")
    before = feed.newest(jobs.engine)
    jobs.suspend(claim, "settling", now())
    assert feed.newest(jobs.engine) == before


def test_events_go_with_their_jobs_and_numbers_are_not_given_again(jobs):
    batch = submit(jobs)
    jobs.cancel(batch.id, "me", "enough")
    before = feed.newest(jobs.engine)
    assert jobs.forget(-1) == 1
    assert feed.since(jobs.engine, 0) == []
    submit(jobs)
    assert feed.newest(jobs.engine) == before + 1


def write(connection, job, kind="queued"):
    feed.tell(connection, job, kind)


def kinds(found):
    return [each.kind for each in found]


def late(engine):
    """A transaction that has taken a number and does not end yet."""
    connection = engine.connect()
    connection.begin()
    write(connection, "late", "late")
    return connection


def test_a_number_that_is_given_out_and_not_written_yet_is_waited_for_on_postgres(postgres):
    engine = open_engine(postgres.database())
    with engine.begin() as connection:
        write(connection, "j", "first")
    assert kinds(feed.since(engine, 0)) == ["first"]
    one, other = late(engine), late(engine)
    with engine.begin() as connection:
        write(connection, "j", "second")
    for _ in range(3):
        assert kinds(feed.since(engine, 0)) == ["first"]
        assert feed.newest(engine) == feed.since(engine, 0)[-1].id
    one.rollback()  # its number stays away for good
    assert kinds(feed.since(engine, 0)) == ["first"]
    with engine.begin() as connection:
        write(connection, "j", "third")
    other.commit()
    assert kinds(feed.since(engine, 0)) == ["first", "late", "second", "third"]
    later = late(engine)  # writes what comes after: nobody waits for it
    assert kinds(feed.since(engine, 0)) == ["first", "late", "second", "third"]
    later.rollback()


def test_who_looks_for_the_first_time_while_somebody_writes_misses_nothing(postgres, monkeypatch):
    monkeypatch.setattr(numbers, "FIRST_SECONDS", 0.1)
    url = postgres.database()
    engine = open_engine(url)
    with engine.begin() as connection:
        write(connection, "j", "first")
    one = late(engine)
    with engine.begin() as connection:
        write(connection, "j", "second")
    fresh = open_engine(url)
    assert feed.newest(fresh) == 1
    watch = Watch(fresh, threading.Condition(), threading.Event())
    follower = watch.follow(feed.newest(fresh), quiet=0.6)
    assert next(follower) == []
    one.commit()
    seen = next(follower)
    while len(seen) < 2:
        seen += next(follower)
    assert kinds(seen) == ["late", "second"]
    follower.close()


@pytest.mark.timeout(120)
def test_followers_miss_nothing_while_many_write_at_once_on_postgres(postgres):
    url = postgres.database()
    engine = open_engine(url)
    stop, watch = threading.Event(), Watch(open_engine(url), threading.Condition(), threading.Event())
    followed, written = [], []

    def follow():
        for found in watch.follow(0, quiet=1.0):
            followed.extend(each.id for each in found)
            if stop.is_set() and not found:
                return

    def writer(number):
        drawn = random.Random(number)
        for _ in range(40):
            with engine.connect() as connection, connection.begin() as open_:
                for _ in range(drawn.randint(1, 3)):
                    write(connection, f"job {number}")
                    time.sleep(drawn.choice((0, 0, 0.001, 0.02)))
                numbers_ = connection.execute(select(events.c.id).where(text("xmin = pg_current_xact_id()::xid")))
                mine = list(numbers_.scalars())
                if drawn.random() < 0.2:
                    open_.rollback()
                else:
                    written.extend(mine)

    threads = [threading.Thread(target=writer, args=(number,)) for number in range(6)]
    reader = threading.Thread(target=follow)
    reader.start()
    polled, last = [], 0
    for each in threads:
        each.start()
    while any(each.is_alive() for each in threads):
        found = feed.since(engine, last)
        polled += [each.id for each in found]
        last = polled[-1] if polled else 0
    polled += [each.id for each in feed.since(engine, last)]
    stop.set()
    reader.join(30)
    assert len(written) > 200
    assert polled == sorted(written)
    assert followed == sorted(written)
