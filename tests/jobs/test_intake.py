"""New jobs come in together: durably, all of them, and none for another's sake not."""

import threading
import time

import pytest
from sqlalchemy.exc import IntegrityError, OperationalError

from devops_agent.jobs import embedded, intake
from devops_agent.jobs.embedded import EmbeddedWorkers
from devops_agent.jobs.intake import order
from devops_agent.jobs.store import Jobs
from devops_agent.jobs.tables import open_engine
from devops_agent.jobs.worker import Worker
from devops_agent.model import Incident


@pytest.fixture
def jobs(tmp_path):
    return Jobs(open_engine(f"sqlite:///{tmp_path / 'jobs.db'}"))


def incident(text):
    return Incident(id="inc_1", title=text, log=text)


def together(jobs, orders):
    """Add all at the same time; what each thread got."""
    found = {}

    def add(number):
        try:
            found[number] = jobs.add(orders[number])
        except (IntegrityError, ZeroDivisionError) as failure:
            found[number] = failure

    group = jobs._intake._together
    group._led = True  # as if one group were being written
    threads = [threading.Thread(target=add, args=(number,)) for number in range(len(orders))]
    for thread in threads:
        thread.start()
    while len(group._coming) < len(orders):
        pass
    group._coming[0].tell(lead=True)
    for thread in threads:
        thread.join(30)
    return found


def test_who_comes_together_is_written_together(jobs, monkeypatch):
    written = []
    put = intake.put
    monkeypatch.setattr(
        intake, "put", lambda connection, orders: (written.append(len(orders)), put(connection, orders))
    )
    orders = [order([incident(f"{number}a"), incident(f"{number}b")], "http") for number in range(8)]
    found = together(jobs, orders)
    assert written == [8]
    assert [jobs.batch(found[number].id).jobs[1].title for number in range(8)] == [f"{number}b" for number in range(8)]
    assert len(jobs.list()) == 16


def test_none_fails_for_anothers_sake(jobs):
    taken = order([incident("first")])
    jobs.add(taken)
    again = order([incident("again")])
    again.rows[0]["id"] = taken.rows[0]["id"]
    found = together(jobs, [order([incident("good")]), again, order([incident("fine")])])
    assert isinstance(found[1], IntegrityError)
    assert {each.title for each in jobs.list()} == {"first", "good", "fine"}


def test_who_breaks_off_takes_nobody_along_silently(jobs, monkeypatch):
    def broken(connection, orders):
        raise ZeroDivisionError

    put = intake.put
    monkeypatch.setattr(intake, "put", broken)
    found = together(jobs, [order([incident("one")]), order([incident("two")])])
    assert all(isinstance(each, ZeroDivisionError) for each in found.values())
    monkeypatch.setattr(intake, "put", put)
    assert jobs.add(order([incident("three")])).jobs
    assert [each.title for each in jobs.list()] == ["three"]


def test_who_breaks_off_on_the_way_leaves_nobody_behind(jobs, monkeypatch):
    put = intake.put

    def broken(connection, orders):
        if len(orders) > 1:
            raise OperationalError("INSERT", {}, Exception("disk I/O error"))
        if orders[0].incidents[0].title == "bad":
            raise ZeroDivisionError
        put(connection, orders)

    monkeypatch.setattr(intake, "put", broken)
    found = together(jobs, [order([incident(title)]) for title in ("one", "bad", "two", "three")])
    assert sum(isinstance(each, ZeroDivisionError) for each in found.values()) >= 1
    told = sorted(jobs.batch(each.id).jobs[0].title for each in found.values() if not isinstance(each, Exception))
    kept = sorted(each.title for each in jobs.list())
    assert set(told) <= set(kept), "somebody was told that a job is accepted that is not there"
    assert {"two", "three"} <= set(told)


def test_workers_give_way_only_while_more_come_in_than_can_be_worked_on(jobs, monkeypatch):
    workers = EmbeddedWorkers(Worker(jobs, None))
    monkeypatch.setattr(intake, "MOMENT", 600.0)  # however slow this machine is
    for number in range(intake.CROWD):
        assert not jobs.crowded
        jobs.submit([incident(f"it fails {number}")])
    assert jobs.crowded
    monkeypatch.setattr(embedded, "GIVE_WAY", 0.2)
    begun = time.monotonic()
    workers._give_way()
    assert time.monotonic() - begun >= 0.2
    monkeypatch.setattr(intake, "MOMENT", 0.0)
    monkeypatch.setattr(embedded, "GIVE_WAY", 600.0)
    workers._give_way()
    assert time.monotonic() - begun < 300


def test_a_short_lull_is_no_end_of_a_crowd(monkeypatch):
    glances = iter([True, False, False, True, False, True, False, False, False])
    seen = []

    class Crowd:
        @property
        def crowded(self):
            seen.append(next(glances))
            return seen[-1]

    workers = EmbeddedWorkers.__new__(EmbeddedWorkers)
    workers.jobs, workers._stop = Crowd(), threading.Event()
    monkeypatch.setattr(embedded, "_GLANCE", 0.001)
    monkeypatch.setattr(embedded, "GIVE_WAY", 600.0)
    workers._give_way()
    assert len(seen) == 9, "it went on before nobody had come for three looks in a row"
