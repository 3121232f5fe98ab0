"""Workers: what a killed one leaves behind, what is caught, what waits, what expires."""

import os
import subprocess
import sys
import time

import psutil
import pytest

from devops_agent.inventory import Place
from devops_agent.jobs.embedded import EmbeddedWorkers
from devops_agent.jobs.store import Jobs
from devops_agent.jobs.tables import open_engine
from devops_agent.jobs.worker import Worker, dead_owners, owner
from devops_agent.policy import Fit, Policy
from pipeline_parts import Wanting, agent, healthy_when, incident, step

ASK = Policy((("ask", Fit()),))


@pytest.fixture
def jobs(tmp_path):
    return Jobs(open_engine(f"sqlite:///{tmp_path / 'jobs.db'}"))


def worker(jobs, tmp_path, planner=None, policy=None, **more):
    file = tmp_path / "file"
    place = Place(healthy_when(file, "x"), folder=tmp_path)
    made = agent(planner or Wanting([[step(file)]]), tmp_path / "data", place, **({"policy": policy} if policy else {}))
    return Worker(jobs, made, patience=0, data_dir=tmp_path / "data", **more)


def until(condition, seconds=10):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.02)


def test_a_living_process_is_no_dead_owner():
    assert dead_owners([owner(), "other-machine/1/2", ""]) == []
    host, _pid, started = owner().split("/")
    gone = subprocess.Popen([sys.executable, "-c", "pass"])
    gone.wait()
    dead = [f"{host}/{gone.pid}/{started}", f"{host}/{psutil.Process().pid}/1.0"]
    assert dead_owners(dead) == dead


def test_embedded_workers_take_over_what_a_killed_process_left(jobs, tmp_path):
    job = jobs.submit([incident()]).jobs[0]
    host = owner().split("/")[0]
    assert jobs.claim(f"{host}/999999999/1.0").id == job
    embedded = EmbeddedWorkers(worker(jobs, tmp_path), count=2)
    embedded.start()
    until(lambda: jobs.job(job).status == "done")
    embedded.stop()
    assert jobs.job(job).outcome == "resolved"


class Broken:
    name = "broken"

    def diagnose(self, digest, history, look):
        raise ZeroDivisionError("secret internals")


def test_one_job_that_fails_does_not_take_the_worker_along(jobs, tmp_path):
    job = jobs.submit([incident()]).jobs[0]
    assert worker(jobs, tmp_path, Broken()).work()
    row = jobs.job(job)
    assert (row.status, row.outcome) == ("error", "error")
    assert "secret" not in row.error
    assert jobs.report(job).digest is not None


def test_a_job_that_waits_goes_on_when_it_is_approved_and_only_then(jobs, tmp_path):
    job = jobs.submit([incident()]).jobs[0]
    embedded = EmbeddedWorkers(worker(jobs, tmp_path, policy=ASK), count=1)
    embedded.start()
    until(lambda: jobs.job(job).answered)
    assert jobs.job(job).waiting == "approval"
    assert not (tmp_path / "file").exists()
    jobs.decide(job, True, "eve")
    until(lambda: jobs.job(job).status == "done")
    embedded.stop()
    assert jobs.job(job).outcome == "resolved"
    assert jobs.report(job).attempts[0].approval.by == "eve"


def test_a_denied_plan_is_not_executed(jobs, tmp_path):
    job = jobs.submit([incident()]).jobs[0]
    one = worker(jobs, tmp_path, policy=ASK)
    one.work_until_answered(job)
    jobs.decide(job, False, "eve", "not on a Friday")
    one.work_until_answered(job)
    assert jobs.job(job).outcome == "needs_person"
    assert "not on a Friday" in jobs.report(job).summary
    assert not (tmp_path / "file").exists()


def test_an_approval_that_nobody_gave_expires(jobs, tmp_path):
    job = jobs.submit([incident()]).jobs[0]
    one = worker(jobs, tmp_path, policy=ASK, approval_seconds=0.2)
    one.work_until_answered(job)
    until(lambda: one.work(job))
    assert jobs.job(job).outcome == "needs_person"
    assert jobs.report(job).attempts[0].approval.by == "expiry"


def test_approved_in_advance(jobs, tmp_path):
    job = jobs.submit([incident()], options={"yes": True}).jobs[0]
    worker(jobs, tmp_path, policy=ASK).work_until_answered(job)
    assert jobs.job(job).outcome == "resolved"


def test_approval_in_advance_does_not_lift_a_denial(jobs, tmp_path):
    job = jobs.submit([incident()], options={"yes": True}).jobs[0]
    worker(jobs, tmp_path, policy=Policy(())).work_until_answered(job)
    assert jobs.job(job).outcome == "needs_person"
    assert not (tmp_path / "file").exists()


def test_a_job_keeps_to_the_policy_that_it_was_submitted_with(jobs, tmp_path):
    file = tmp_path / "policy.yaml"
    file.write_text("- {deny: {}}\n")
    denied = jobs.submit([incident()], options={"policy": str(file), "yes": True}).jobs[0]
    strict = jobs.submit([incident()], options={"policy": None}).jobs[0]
    permissive = worker(jobs, tmp_path)
    permissive.work_until_answered(denied)
    permissive.work_until_answered(strict)
    assert jobs.job(denied).outcome == "needs_person"
    assert jobs.job(strict).waiting == "approval"
    assert not (tmp_path / "file").exists()


def test_a_place_that_nobody_knows(jobs, tmp_path):
    job = jobs.submit([incident().model_copy(update={"place": "moon"})]).jobs[0]
    worker(jobs, tmp_path).work()
    assert "moon" in jobs.job(job).error


def test_a_hundred_jobs_all_end(jobs, tmp_path):
    batch = jobs.submit([incident() for _ in range(100)])
    embedded = EmbeddedWorkers(worker(jobs, tmp_path, Wanting([[]])), count=4)
    embedded.start()
    assert jobs.wait(batch.id, 60)
    embedded.stop()
    assert {row.status for row in jobs.batch(batch.id).jobs} == {"done"}


def test_files_of_old_logs_are_deleted(jobs, tmp_path):
    folder = tmp_path / "data/logs"
    folder.mkdir(parents=True)
    old, fresh = folder / "old.log", folder / "fresh.log"
    for file in (old, fresh):
        file.write_text("x")
    os.utime(old, (time.time() - 91 * 86400,) * 2)
    EmbeddedWorkers(worker(jobs, tmp_path), forget_days=90)._forget()
    assert (old.exists(), fresh.exists()) == (False, True)
