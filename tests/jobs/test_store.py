"""The store: claims, leases, fences, decisions. Against a real SQLite file."""

import threading
from datetime import timedelta

import pytest

from devops_agent.errors import ApprovalMismatch, LeaseLost, NotFound, RequestError
from devops_agent.jobs import leases
from devops_agent.jobs.store import Jobs
from devops_agent.jobs.tables import open_engine
from devops_agent.model import ApprovalRequest, Incident, Plan, keep, now
from devops_agent.report import report


@pytest.fixture
def jobs(tmp_path):
    return Jobs(open_engine(f"sqlite:///{tmp_path / 'jobs.db'}"))


def incident(text="boom"):
    return Incident(id="inc_1", title=text, log=text)


def finish(jobs, claim):
    jobs.finish(claim, report(claim.incident, jobs.journal(claim), error="gave up"))


def test_a_batch_and_its_jobs(jobs):
    batch = jobs.submit([incident("a"), incident("b")])
    assert batch.id.startswith("job_")
    assert [job.title for job in jobs.batch(batch.id).jobs] == ["a", "b"]
    assert jobs.batch(batch.id).answered is False
    assert jobs.submit([incident()]).jobs[0].startswith("job_")
    assert len(jobs.list()) == 3
    assert len(jobs.list(status="queued", limit=2)) == 2
    with pytest.raises(RequestError):
        jobs.submit([])
    with pytest.raises(NotFound):
        jobs.batch("job_19700101_000000_x")


def test_each_job_is_claimed_once(jobs):
    jobs.submit([incident(str(n)) for n in range(20)])
    claimed, lock = [], threading.Lock()

    def work(name):
        while (claim := jobs.claim(name)) is not None:
            with lock:
                claimed.append(claim.id)

    threads = [threading.Thread(target=work, args=(f"w{n}",)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len(claimed) == len(set(claimed)) == 20


def test_a_worker_that_lost_its_lease_cannot_write(jobs, monkeypatch):
    monkeypatch.setattr(leases, "LEASE_SECONDS", -1.0)
    jobs.submit([incident()])
    slow = jobs.claim("slow")
    late = jobs.journal(slow)
    late.put("distil", keep(Plan()), durable=True)
    fast = jobs.claim("fast")
    assert fast.fence == slow.fence + 1
    with pytest.raises(LeaseLost):
        late.put("health", keep(Plan()), durable=True)
    jobs.suspend(slow, "settling", now())
    assert jobs.job(slow.id).status == "running"
    assert jobs.journal(fast).get("distil") is not None
    assert jobs.journal(fast).get("health") is None


def test_a_dead_owner_is_relieved_at_once(jobs):
    jobs.submit([incident()])
    jobs.claim("dead")
    assert jobs.claim("other") is None
    assert jobs.leases.release(["dead"]) == 1
    assert jobs.claim("other").tries == 1


def test_waiting_jobs_are_due_later(jobs):
    jobs.submit([incident()])
    claim = jobs.claim("w")
    jobs.suspend(claim, "settling", now() + timedelta(seconds=60))
    assert jobs.claim("w") is None
    assert 50 < jobs.leases.next_due() <= 60
    jobs.submit([incident("another")])
    other = jobs.claim("w")
    jobs.suspend(other, "settling", now() - timedelta(seconds=1))
    assert jobs.claim("w").id == other.id


def waiting(jobs, seconds=60):
    jobs.submit([incident()])
    claim = jobs.claim("w")
    plan = Plan(cause="disk_full").sealed()
    request = ApprovalRequest(fingerprint=plan.fingerprint, expires=now() + timedelta(seconds=seconds))
    jobs.journal(claim).put("0/request", keep(request), durable=True)
    jobs.suspend(claim, "approval", request.expires)
    return claim, plan


def test_a_decision_wakes_the_job_and_is_made_once(jobs):
    claim, plan = waiting(jobs)
    assert jobs.job(claim.id).answered
    with pytest.raises(ApprovalMismatch, match="another plan"):
        jobs.decide(claim.id, True, "eve", fingerprint="ffffffff")
    assert jobs.decide(claim.id, True, "eve", fingerprint=plan.fingerprint[:8]).granted
    with pytest.raises(ApprovalMismatch):
        jobs.decide(claim.id, False, "mallory")
    again = jobs.claim("w")
    assert jobs.journal(again).get("0/approval")["data"]["by"] == "eve"


def test_an_expired_request_cannot_be_approved(jobs):
    claim, _ = waiting(jobs, seconds=-1)
    with pytest.raises(ApprovalMismatch, match="expired"):
        jobs.decide(claim.id, True, "eve")


def test_a_finished_batch_is_forgotten_after_the_retention(jobs):
    batch = jobs.submit([incident()])
    finish(jobs, jobs.claim("w"))
    assert jobs.wait(batch.id, 1)
    assert jobs.batch(batch.id).progress == 100
    jobs.job_retention = -1
    with pytest.raises(NotFound):
        jobs.batch(batch.id)
    assert jobs.job(batch.jobs[0]).outcome == "error"


def test_old_jobs_are_deleted_and_running_ones_kept(jobs):
    jobs.submit([incident("old")])
    jobs.submit([incident("running")])
    finish(jobs, jobs.claim("w"))
    jobs.claim("w")
    assert jobs.forget(days=-1) == 1
    assert [job.title for job in jobs.list()] == ["running"]


def test_waiting_for_an_answer_has_a_limit(jobs):
    batch = jobs.submit([incident()])
    assert jobs.wait(batch.id, 0.05) is False


def test_the_database_is_for_its_owner_alone(tmp_path):
    """What redaction does not know for a secret is still nobody else's to read, in an open folder too."""
    engine = open_engine(f"sqlite:///{tmp_path / 'jobs.db'}")
    with engine.begin():
        assert {file.stat().st_mode & 0o77 for file in tmp_path.glob("jobs.db*")} == {0}
