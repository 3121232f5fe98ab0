"""Equal incidents are worked on once; the last passing log of a job is its baseline."""

from dataclasses import replace
from pathlib import Path

import pytest

from devops_agent.inventory import Place
from devops_agent.jobs import audit, baselines
from devops_agent.jobs.embedded import EmbeddedWorkers
from devops_agent.jobs.store import Jobs
from devops_agent.jobs.tables import open_engine
from devops_agent.jobs.worker import Worker
from devops_agent.model import Diagnosis, Proposal
from devops_agent.policy import Fit, Policy
from devops_agent.runbooks.load import library
from devops_agent.scan import Pattern, Signatures
from pipeline_parts import Wanting, agent, healthy_when, incident, step

ASK = Policy((("ask", Fit()),))
FAILING = "starting\nTraceback (most recent call last):\nValueError: broken {}\nexit code 1\n"


@pytest.fixture
def jobs(tmp_path):
    return Jobs(open_engine(f"sqlite:///{tmp_path / 'jobs.db'}"))


def worker(jobs, tmp_path, planner=None, policy=ASK):
    file = tmp_path / "file"
    place = Place(healthy_when(file, "x"), folder=tmp_path)
    made = agent(planner or Wanting([[step(file)]]), tmp_path / "data", place, policy)
    known = Signatures([Pattern(owner="broken", number=0, role="any", source="(?:ValueError|KeyError): ")])
    return Worker(jobs, replace(made, signatures=known), patience=0, data_dir=tmp_path / "data")


def posted(text="broken", source="http", **more):
    return incident().model_copy(update={"log": FAILING.format(text), "source": source, **more})


def test_a_repeat_joins_the_open_incident_and_shares_its_answer(jobs, tmp_path):
    one = worker(jobs, tmp_path)
    first = jobs.submit([posted()]).jobs[0]
    one.work_until_answered(first)
    second = jobs.submit([posted()]).jobs[0]
    one.work_until_answered(second)
    row = jobs.job(first)
    assert (jobs.job(second).joined, row.repeats) == (first, 1)
    assert row.repeated is not None
    assert jobs.report(second).status == "needs_approval"
    assert jobs.report(second).job == first
    jobs.decide(first, True, "eve")
    one.work_until_answered(first)
    assert jobs.report(first).status == jobs.report(second).status == "resolved"
    assert (tmp_path / "file").read_text() == "x"
    assert "joined" in [entry.event for entry in audit.entries(jobs.engine)]


def test_repeats_in_one_batch_end_with_the_first(jobs, tmp_path):
    batch = jobs.submit([posted() for _ in range(6)])
    embedded = EmbeddedWorkers(worker(jobs, tmp_path, policy=Policy((("allow", Fit()),))), count=3)
    embedded.start()
    assert jobs.wait(batch.id, 30)
    embedded.stop()
    assert {jobs.report(job).status for job in batch.jobs} == {"resolved"}
    assert sorted(jobs.job(job).repeats for job in batch.jobs) == [0, 0, 0, 0, 0, 5]
    assert (tmp_path / "file").read_text() == "x"


@pytest.mark.parametrize(
    "other",
    [
        posted("other\nKeyError: 'another failure altogether'"),
        posted(source="cli"),
        posted(place="elsewhere"),
    ],
    ids=["another failure", "a person asks", "another place"],
)
def test_what_is_no_repeat(jobs, tmp_path, other):
    one = worker(jobs, tmp_path)
    one.work_until_answered(jobs.submit([posted()]).jobs[0])
    second = jobs.submit([other]).jobs[0]
    one.work_until_answered(second)
    assert jobs.job(second).joined is None


def test_the_same_failure_of_another_thing_is_no_repeat(jobs, tmp_path):
    one = worker(jobs, tmp_path)
    one.agent = replace(one.agent, signatures=Signatures(library().signatures()))
    log = "starting at {}\nError: listen EADDRINUSE: address already in use 127.0.0.1:{}\nexit code 1\n"
    contexts = [log.format("10:01:02", 3981), log.format("10:01:03", 3982), log.format("10:07:59", 3981)]
    ids = [jobs.submit([posted().model_copy(update={"log": each})]).jobs[0] for each in contexts]
    for job in ids:
        one.work_until_answered(job)
    assert [jobs.job(job).joined for job in ids] == [None, None, ids[0]]


def test_after_it_has_ended_it_is_a_new_incident(jobs, tmp_path):
    one = worker(jobs, tmp_path, policy=Policy(()))
    first, second = (jobs.submit([posted()]).jobs[0] for _ in range(2))
    one.work_until_answered(first)
    one.work_until_answered(second)
    assert jobs.job(first).outcome == "needs_person"
    third = jobs.submit([posted()]).jobs[0]
    one.work_until_answered(third)
    assert jobs.job(third).joined is None


class Quiet:
    name = "quiet"

    def diagnose(self, digest, history, look):
        return Diagnosis(failure=digest.failing, summary=digest.mode)

    def propose(self, diagnosis, run):
        return Proposal(cause=diagnosis.cause)


def test_the_last_passing_log_of_a_job_is_its_baseline(jobs, tmp_path):
    passing = posted(labels={"job": "nightly"}).model_copy(
        update={"log": "building\n3 passed in 0.1s\nDone. Success\n"}
    )
    one = worker(jobs, tmp_path, Quiet())
    job = jobs.submit([passing]).jobs[0]
    one.work_until_answered(job)
    assert jobs.report(job).status == "no_failure"
    failing = posted(labels={"job": "nightly"})
    kept = baselines.known(failing, tmp_path / "data")
    assert "3 passed" in Path(kept.baseline_file).read_text()
    assert baselines.known(posted(labels={"job": "other"}), tmp_path / "data").baseline_file is None
    assert baselines.known(posted(), tmp_path / "data").baseline_file is None
