"""Brakes: one repair per host, back-off, stop after repeated failure, kill switch, several persons, freeze, shadow."""

import time
from datetime import UTC, datetime

import pytest

from devops_agent.errors import ApprovalMismatch, Suspended
from devops_agent.inventory import Place
from devops_agent.jobs import brakes as module
from devops_agent.jobs.brakes import Brakes
from devops_agent.jobs.store import Jobs
from devops_agent.jobs.tables import open_engine
from devops_agent.jobs.worker import Worker
from devops_agent.model import Action, Plan, Run
from devops_agent.policy import Fit, Freeze, Limits, Policy
from pipeline_parts import Wanting, agent, healthy_when, incident, step

ALLOW = (("allow", Fit()),)


@pytest.fixture
def jobs(tmp_path):
    return Jobs(open_engine(f"sqlite:///{tmp_path / 'jobs.db'}"))


def plan(*hosts, cause="disk_full"):
    actions = [Action(id=f"a{n}", tool="t", host=host, commands=(Run(argv=("true",)),)) for n, host in enumerate(hosts)]
    return Plan(cause=cause, actions=tuple(actions)).sealed()


def worker(jobs, tmp_path, policy, text="x"):
    file = tmp_path / "file"
    place = Place(healthy_when(file, "x"), folder=tmp_path)
    made = agent(Wanting([[step(file, text)]]), tmp_path / "data", place, policy)
    return Worker(jobs, made, patience=0, data_dir=tmp_path)


def run(jobs, worker):
    job = jobs.submit([incident()]).jobs[0]
    worker.work_until_answered(job)
    return jobs.report(job)


def test_two_repairs_never_run_on_one_host(jobs):
    one, two = (Brakes(jobs.engine, jobs.submit([incident()]).jobs[0], Policy(ALLOW), None) for _ in range(2))
    one.hold(plan("local"))
    one.hold(plan("local"))
    with pytest.raises(Suspended, match="host busy"):
        two.hold(plan("ssh://web-1", "local"))
    two.hold(plan("ssh://web-1"))
    one.let_go()
    two.hold(plan("ssh://web-1", "local"))


def test_the_kill_switch(jobs, tmp_path):
    (tmp_path / "STOP").touch()
    made = run(jobs, worker(jobs, tmp_path, Policy(ALLOW)))
    assert made.status == "needs_person"
    assert "kill switch" in made.summary
    assert not (tmp_path / "file").exists()


def test_repeated_failure_backs_off_and_then_stops(jobs, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "BACKOFF_SECONDS", 0.3)
    failing = worker(jobs, tmp_path, Policy(ALLOW), text="wrong")
    begun = time.monotonic()
    statuses = [run(jobs, failing).status for _ in range(4)]
    assert statuses == ["unresolved", "unresolved", "unresolved", "needs_person"]
    assert time.monotonic() - begun > 0.3
    assert run(jobs, failing).attempts[0].brake.rule == "repeated failure"


def test_success_clears_the_record(jobs, tmp_path):
    run(jobs, worker(jobs, tmp_path, Policy(ALLOW), text="wrong"))
    run(jobs, worker(jobs, tmp_path, Policy(ALLOW)))
    brakes = Brakes(jobs.engine, "job", Policy(ALLOW), None)
    assert brakes._failures(module.hosts(plan("local"))[0], "config_invalid") == (0, None)


def test_one_cause_may_touch_so_many_hosts(jobs, tmp_path):
    policy = Policy(ALLOW, limits=Limits(hosts_per_cause_per_hour=2))
    run(jobs, worker(jobs, tmp_path, policy))
    brakes = Brakes(jobs.engine, "job", policy, None)
    assert brakes.check(plan("ssh://a", cause="config_invalid")).verdict == "allow"
    assert brakes.check(plan("ssh://a", "ssh://b", cause="config_invalid")).rule == "too many hosts"
    assert brakes.check(plan("ssh://a", "ssh://b", cause="other")).verdict == "allow"


def test_two_persons(jobs, tmp_path):
    one = worker(jobs, tmp_path, Policy((("ask", Fit(persons=2)),)))
    job = jobs.submit([incident()], requester="mallory").jobs[0]
    one.work_until_answered(job)
    with pytest.raises(ApprovalMismatch, match="who asked"):
        jobs.decide(job, True, "mallory")
    jobs.decide(job, True, "eve")
    assert jobs.job(job).waiting == "approval"
    with pytest.raises(ApprovalMismatch, match="another person"):
        jobs.decide(job, True, "eve")
    jobs.decide(job, True, "adam")
    one.work_until_answered(job)
    assert jobs.job(job).outcome == "resolved"


def test_shadow_mode_plans_and_never_acts():
    policy = Policy(ALLOW, shadow=("disk_full_linux",))
    shadowed = plan("local").model_copy(update={"runbook": "disk_full_linux"})
    assert policy.review(shadowed, Place()).rule == "shadow mode"
    assert policy.review(plan("local"), Place()).verdict == "allow"


@pytest.mark.parametrize(
    ("at", "frozen"),
    [
        ("2026-11-20T16:30", True),
        ("2026-11-20T15:59", False),
        ("2026-11-21T03:00", True),
        ("2026-11-21T05:00", False),
        ("2026-11-19T17:00", False),
    ],
)
def test_a_freeze_goes_over_midnight(at, frozen):
    window = Freeze.model_validate({"days": "fri", "from": "16:00", "until": "04:00"})
    moment = datetime.fromisoformat(at).replace(tzinfo=UTC)
    policy = Policy(ALLOW, freeze=(window,))
    assert (policy.forbids(plan("local"), moment) is not None) is frozen


def test_a_freeze_has_its_own_zone():
    window = Freeze.model_validate({"from": "08:00", "until": "24:00", "zone": "Asia/Tokyo"})
    assert window.holds(datetime(2026, 11, 20, 0, 30, tzinfo=UTC))
    assert not window.holds(datetime(2026, 11, 20, 16, 0, tzinfo=UTC))
