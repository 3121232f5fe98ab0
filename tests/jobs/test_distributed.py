"""Workers on many machines: who takes which job, locks, leases and fences, upgrades with jobs in flight."""

import threading
import time
from datetime import timedelta

import pytest
from sqlalchemy import update

from devops_agent import bootstrap
from devops_agent.config import Settings
from devops_agent.errors import ConfigError, LeaseLost
from devops_agent.inventory import Inventory, Place
from devops_agent.jobs import brakes, distributed, leases
from devops_agent.jobs.leases import Reach
from devops_agent.jobs.store import Jobs
from devops_agent.jobs.tables import jobs as table
from devops_agent.jobs.tables import open_engine
from devops_agent.model import SCHEMA_VERSION, Action, Evidence, Incident, Plan, keep, now


def incident(place=None, source="http"):
    return Incident(id="inc_1", title="broken", log="ERROR: broken\nexit 1\n", place=place, source=source)


def place(name, **inventory):
    return Place(Inventory.model_validate({"name": name, **inventory}))


PLACES = {
    each.name: each
    for each in (
        place("shop", host="ssh://shop.example"),
        place("bank", host="ssh://bank.example", worker={"network": "dmz"}),
        place("desk"),
        place("mixed", host="ssh://shop.example", services={"db": {"host": "docker://db"}}),
    )
}


@pytest.fixture
def jobs(postgres):
    return Jobs(open_engine(postgres.database()))


def test_labels_and_places_decide_what_a_worker_may_take():
    plain = distributed.reach(PLACES)
    assert plain.places == {"shop", "desk", "mixed"}
    assert plain.unnamed
    assert plain.local == {"desk", "mixed"}
    assert distributed.reach(PLACES, labels={"network": "dmz", "more": "x"}).places == set(PLACES)
    chosen = distributed.reach(PLACES, ["bank"], {"network": "dmz"})
    assert chosen.places == {"bank"}
    assert not chosen.unnamed
    with pytest.raises(ConfigError, match="no place 'nowhere'"):
        distributed.reach(PLACES, ["nowhere"])
    with pytest.raises(ConfigError, match="bank is for workers with the labels network=dmz"):
        distributed.reach(PLACES, ["bank"])
    assert distributed.pairs("a=1, b=x=y,") == {"a": "1", "b": "x=y"}
    with pytest.raises(ConfigError, match="'b' is not name=value"):
        distributed.pairs("a=1,b")


def test_a_job_goes_to_a_worker_that_may_reach_its_place(jobs):
    bank, shop, none = (jobs.submit([incident(name)]).jobs[0] for name in ("bank", "shop", None))
    plain = distributed.reach(PLACES)
    assert {jobs.claim("a", reach=plain).id, jobs.claim("a", reach=plain).id} == {shop, none}
    assert jobs.claim("a", reach=plain) is None
    assert jobs.leases.next_due(plain) is None
    assert jobs.claim("b", reach=distributed.reach(PLACES, ["bank"], {"network": "dmz"})).id == bank


def test_what_was_begun_on_a_machine_stays_there(jobs, monkeypatch):
    here, there = Reach(machine="here", local=frozenset(["desk"])), Reach(machine="there", local=frozenset(["desk"]))
    first = jobs.claim(jobs.submit([incident("desk")]).jobs[0], reach=here)
    assert first.machine == "here"
    jobs.suspend(first, "settling", None)
    with jobs.engine.begin() as connection:
        connection.execute(update(table).values(due=jobs.leases.clock.present() - 1))
    assert jobs.claim("b", reach=there) is None
    assert jobs.leases.next_due(there) is None
    with jobs.engine.begin() as connection:
        connection.execute(update(table).values(due=jobs.leases.clock.present() - leases.GONE_SECONDS - 1))
    assert jobs.claim("b", reach=there).machine == "here"
    other = jobs.claim(jobs.submit([incident("shop")]).jobs[0], reach=here)
    assert other.machine is None


def test_each_of_many_jobs_is_claimed_once(jobs):
    jobs.submit([incident() for _ in range(120)])
    claimed, lock = [], threading.Lock()

    def claim(name):
        while (found := jobs.claim(name)) is not None:
            with lock:
                claimed.append(found.id)

    threads = [threading.Thread(target=claim, args=(f"w{number}",)) for number in range(6)]
    for each in threads:
        each.start()
    for each in threads:
        each.join(60)
    # SKIP LOCKED may say that there is nothing while another still holds the last ones
    while (found := jobs.claim("rest")) is not None:
        claimed.append(found.id)
    assert len(claimed) == len(set(claimed)) == 120


def test_leases_do_not_follow_this_machines_clock(jobs, monkeypatch):
    claim = jobs.claim(jobs.submit([incident()]).jobs[0])
    monkeypatch.setattr(leases, "now", lambda: now() + timedelta(days=1))
    other = Jobs(jobs.engine)
    assert other.claim("b") is None
    assert other.leases.renew([claim]) == []
    assert jobs.leases.release([claim.id]) == 1


def test_only_the_owner_writes(jobs, monkeypatch):
    monkeypatch.setattr(leases, "LEASE_SECONDS", -1.0)
    jobs.submit([incident()])
    slow = jobs.claim("slow")
    journal = jobs.journal(slow)
    fast = jobs.claim("fast")
    assert fast.id == slow.id
    assert jobs.leases.renew([slow]) == [slow]
    monkeypatch.setattr("devops_agent.jobs.journal.CERTAIN_SECONDS", -1.0)
    with pytest.raises(LeaseLost):
        journal.check()
    with pytest.raises(LeaseLost):
        journal.put("distil", keep(Evidence(id="x", source="x", text="x")), durable=True)


def test_nothing_is_taken_over_right_after_the_database_was_away(jobs, monkeypatch):
    jobs.submit([incident()])
    jobs.claim("a")
    with jobs.engine.begin() as connection:
        connection.execute(update(table).values(lease=1.0))
    monkeypatch.setattr(jobs.leases, "_reached", time.monotonic() - 60)
    assert jobs.claim("b") is None
    monkeypatch.setattr(jobs.leases, "_patient_until", 0.0)
    assert jobs.claim("b") is not None


def test_a_job_of_another_version_starts_anew_or_goes_to_a_person(jobs, tmp_path):
    settings = Settings(data_dir=tmp_path, patience_seconds=0, settle_seconds=0)
    worker = bootstrap.build_worker(settings, jobs, bootstrap.build_agent(settings))
    fresh, acted, newer = (jobs.submit([incident()]).jobs[0] for _ in range(3))
    for job in (fresh, acted):
        claim = jobs.claim("old", job)
        journal = jobs.journal(claim)
        journal.put("distil", {"kind": "OfAnotherTime", "data": {}}, durable=True)
        if job == acted:
            journal.put("0/once/a1/started", keep(Evidence(id="a1", source="execute", text="started")), durable=True)
    with jobs.engine.begin() as connection:
        connection.execute(update(table).values(version=SCHEMA_VERSION - 1, lease=0.0))
        connection.execute(update(table).where(table.c.id == newer).values(version=SCHEMA_VERSION + 1))
    while worker.work():
        pass
    assert jobs.job(fresh).status == "done"
    assert "another version" in jobs.job(acted).error
    assert jobs.job(newer).status == "queued"


def plan(*hosts):
    def action(number, host):
        return Action(id=f"a{number}", tool="t", host=host, effect="change", commands=())

    return Plan(cause="disk_full", actions=tuple(action(*each) for each in enumerate(hosts))).sealed()


def test_hosts_are_the_same_from_every_machine(monkeypatch):
    monkeypatch.setattr("socket.gethostname", lambda: "one")
    assert brakes.hosts(plan("local", "ssh://web1", "docker://db", "kubectl://a/b")) == [
        "kubectl://a/b",
        "one:docker://db",
        "one:local",
        "ssh://web1",
    ]


def test_a_worker_says_that_it_is_there(jobs):
    reached = distributed.reach(PLACES, ["shop"])
    for name in ("a", "b"):
        distributed.Roll(jobs, name, reached, {"network": "dmz"}).call()
    distributed.Roll(jobs, "a", reached, {}).call()
    rows = distributed.roll(jobs.engine)
    assert [(each.owner, each.places, each.alive) for each in rows] == [("a", ("shop",), True), ("b", ("shop",), True)]
    distributed.Roll(jobs, "a", reached, {}).leave()
    assert [each.owner for each in distributed.roll(jobs.engine)] == ["b"]


def test_a_submission_elsewhere_wakes_those_who_wait_here(jobs):
    elsewhere = Jobs(open_engine(str(jobs.engine.url)))
    listener = distributed.Listener(jobs)
    listener.start()
    try:
        time.sleep(0.5)
        with jobs.changed:
            threading.Timer(0.2, lambda: elsewhere.submit([incident()])).start()
            begun = time.monotonic()
            assert jobs.changed.wait(20)
        assert time.monotonic() - begun < 10
    finally:
        listener.stop()
