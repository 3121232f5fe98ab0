"""The audit trail: what is on it, and that tampering shows."""

import pytest
from sqlalchemy import delete, update

from devops_agent.inventory import Place
from devops_agent.jobs import audit
from devops_agent.jobs.store import Jobs
from devops_agent.jobs.tables import audit as table
from devops_agent.jobs.tables import open_engine
from devops_agent.jobs.worker import Worker
from devops_agent.policy import Fit, Policy
from pipeline_parts import Wanting, agent, healthy_when, incident, step


@pytest.fixture
def jobs(tmp_path):
    jobs = Jobs(open_engine(f"sqlite:///{tmp_path / 'jobs.db'}"))
    file = tmp_path / "file"
    place = Place(healthy_when(file, "x"), folder=tmp_path)
    made = agent(Wanting([[step(file)]]), tmp_path / "data", place, Policy((("ask", Fit()),)))
    worker = Worker(jobs, made, patience=0)
    job = jobs.submit([incident()], requester="mallory").jobs[0]
    worker.work_until_answered(job)
    jobs.decide(job, True, "eve", "go ahead")
    worker.work_until_answered(job)
    return jobs


def test_every_step_is_on_record(jobs):
    entries = audit.entries(jobs.engine)
    assert [(entry.event, entry.actor) for entry in entries] == [
        ("submitted", "mallory"),
        ("planned", "agent"),
        ("ruled", "policy"),
        ("approval wanted", "agent"),
        ("approved", "eve"),
        ("action started", "agent"),
        ("action ended", "agent"),
        ("verified", "agent"),
    ]
    assert entries[1].data["actions"][0]["commands"][0]["argv"][-1] == "x"
    assert entries[6].data["status"] == "succeeded"
    assert len(entries[6].data["output_sha256"]) == 64
    assert list(audit.broken(jobs.engine)) == []


def test_the_trail_outlives_the_job(jobs):
    before = len(audit.entries(jobs.engine))
    assert jobs.forget(days=-1) == 1
    assert len(audit.entries(jobs.engine)) == before


@pytest.mark.parametrize(
    ("tamper", "said"),
    [
        (update(table).where(table.c.id == 5).values(actor="nobody"), "entry 5 was changed"),
        (update(table).where(table.c.id == 2).values(data="{}"), "entry 2 was changed"),
        (delete(table).where(table.c.id == 4), "entry 4 is missing"),
        (update(table).where(table.c.id == 3).values(hash="0" * 64), "entry 4 does not follow"),
    ],
)
def test_tampering_shows(jobs, tamper, said):
    with jobs.engine.begin() as connection:
        connection.execute(tamper)
    assert any(said in line for line in audit.broken(jobs.engine))
