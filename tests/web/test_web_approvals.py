"""An approval over HTTP: it survives restarts; it is refused expired, for another plan, twice, by the requester."""

from __future__ import annotations

import time

import pytest
from web_service import serving

from devops_agent.jobs import keys
from devops_agent.policy import Fit, Policy

V1 = "/api/v1"
TWO = Policy((("ask", Fit(persons=2)),))


def waiting(service, **more):
    job = service.http.post(f"{V1}/incidents", json={"log": "it fails"}, **more).json()["batch"]
    assert service.backend.wait(job, 20)
    return job, service.http.get(f"{V1}/jobs/{job}/plan", **more).json()["plan"]["fingerprint"]


def test_it_waits_and_holds_over_restarts(tmp_path):
    with serving(tmp_path) as service:
        job, fingerprint = waiting(service)
    with serving(tmp_path, work=False) as service:  # nobody works here: the decision is kept for who does
        said = service.http.post(f"{V1}/plans/{fingerprint}/approve", json={"by": "ann", "reason": "go"})
        assert said.status_code == 200
        assert not service.file.exists()
    with serving(tmp_path) as service:
        assert service.backend.wait(job, 20)
        assert service.http.get(f"{V1}/jobs/{job}").json()["outcome"] == "resolved"
        assert service.file.read_text() == "x"
        kept = service.http.get(f"{V1}/jobs/{job}/plan").json()["approval"]
        assert (kept["by"], kept["reason"], kept["fingerprint"]) == ("ann", "go", fingerprint)
        events = [each["event"] for each in service.http.get(f"{V1}/audit", params={"job": job}).json()["items"]]
        assert events.count("approved") == events.count("action started") == 1


def test_one_that_expired_is_refused_and_nothing_is_done(tmp_path):
    with serving(tmp_path, approval_seconds=1) as service:
        job, fingerprint = waiting(service)
        service.backend.stop()
        time.sleep(1.1)
    with serving(tmp_path, work=False) as service:
        for path in (f"{V1}/jobs/{job}/approve", f"{V1}/plans/{fingerprint}/approve", f"/jobs/{job}/approve"):
            refused = service.http.post(path, json={})
            assert refused.status_code == 409, refused.text
            assert "expired" in refused.text
        assert not service.file.exists()


@pytest.mark.parametrize("path", ["/jobs/{}/approve", V1 + "/jobs/{}/approve"])
def test_one_for_another_plan_is_refused(service, path):
    job, fingerprint = waiting(service)
    other = ("0" if fingerprint[0] != "0" else "1") + fingerprint[1:]
    for wrong, status in ((other, 409), (fingerprint[:5], 400), (fingerprint + "0", 409), ("", 400)):
        refused = service.http.post(path.format(job), json={"fingerprint": wrong})
        assert refused.status_code == status, refused.text
    assert service.http.post(f"{V1}/plans/{other}/approve", json={}).status_code == 404
    assert not service.file.exists()
    assert service.http.post(path.format(job), json={"fingerprint": fingerprint[:8]}).status_code == 200
    assert service.backend.wait(job, 20)
    again = service.http.post(path.format(job), json={"fingerprint": fingerprint})
    assert again.status_code == 409
    assert service.file.read_text() == "x"


def test_a_denial_holds_against_later_approval(service):
    job, fingerprint = waiting(service)
    assert service.http.post(f"{V1}/plans/{fingerprint}/deny", json={"reason": "no"}).status_code == 200
    assert service.http.post(f"{V1}/jobs/{job}/approve", json={}).status_code == 409
    assert service.backend.wait(job, 20)
    assert service.http.get(f"{V1}/jobs/{job}").json()["outcome"] == "needs_person"
    assert not service.file.exists()


def test_two_persons_over_a_restart_by_keys_of_one_name(tmp_path):
    with serving(tmp_path, TWO) as service:
        engine = service.backend.jobs.engine
        texts = {}
        for number, name in enumerate(("ann", "bob", "Bob", "carl")):
            texts[number] = {"X-API-Key": keys.create(engine, name, "approver")[1]}
        job, _ = waiting(service, headers=texts[0])
        path = f"{V1}/jobs/{job}/approve"
        assert service.http.post(path, json={}, headers=texts[0]).status_code == 409
        assert service.http.post(path, json={}, headers=texts[1]).status_code == 200
    with serving(tmp_path, TWO) as service:
        assert service.http.post(path, json={}, headers=texts[1]).status_code == 409
        assert service.http.post(path, json={}, headers=texts[2]).status_code == 409  # another key of the same person
        assert service.http.post(path, json={}, headers=texts[0]).status_code == 409
        assert not service.file.exists()
        assert service.http.post(path, json={}, headers=texts[3]).status_code == 200
        assert service.backend.wait(job, 20)
        assert service.file.read_text() == "x"
