"""Events: numbered in order, told with the change itself, and none missed by who goes on from the last one."""

from __future__ import annotations

import pytest

from devops_agent.jobs import feed
from devops_agent.jobs.store import Jobs
from devops_agent.jobs.tables import open_engine
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
