"""The kill switch by HTTP: what is approved is not done while it is on; who may use it, and for which places."""

from __future__ import annotations

import pytest

from devops_agent.inventory import Place
from devops_agent.jobs import keys


def halted(service, **body):
    answer = service.http.post("/api/v1/halts", json=body)
    assert answer.status_code == 201, answer.text
    return answer.json()


def test_what_is_approved_is_not_done_and_is_done_after_it(service):
    row = service.post("ERROR: the thing is broken").json()["results"][0]
    made = halted(service, reason="we are looking", by="ann")
    assert (made["by"], made["reason"], made["place"], made["ended"]) == ("ann", "we are looking", None, None)
    assert service.http.get("/api/v1/halts").json()["items"] == [made]
    assert "devops_agent_halts 1.0" in service.http.get("/metrics").text

    assert service.http.post(f"/jobs/{row['job_id']}/approve", json={"by": "ada"}).status_code == 200
    assert service.backend.wait(row["job_id"], 20)
    told = service.http.get(f"/jobs/{row['job_id']}").json()["report"]
    assert not service.file.exists()
    assert told["status"] != "resolved"
    assert "we are looking" in told["attempts"][0]["brake"]["reason"]

    ended = service.http.post(f"/api/v1/halts/{made['id']}/end", json={"by": "bob"})
    assert (ended.status_code, ended.json()["ended_by"]) == (200, "bob")
    assert service.http.get("/api/v1/halts").json()["items"] == []
    assert [each["id"] for each in service.http.get("/api/v1/halts?ended=true").json()["items"]] == [made["id"]]
    again = service.post("ERROR: the thing is broken\nagain").json()["results"][0]["job_id"]
    assert service.http.post(f"/jobs/{again}/approve", json={"by": "ada"}).status_code == 200
    assert service.backend.wait(again, 20)
    assert service.file.read_text() == "x"


def test_what_does_not_fit_is_refused(service):
    unknown = service.http.post("/api/v1/halts", json={"place": "shpo"})
    assert (unknown.status_code, "no place of this name" in unknown.text) == (404, True)
    assert service.http.post("/api/v1/halts", json={"reason": "x" * 1001}).status_code == 400
    assert service.http.post("/api/v1/halts/halt_0/end", json={}).status_code == 404
    assert service.http.get("/api/v1/halts").json()["items"] == []


@pytest.fixture
def call(service):
    """Requests by the name of a key; the service has two places."""
    places = service.backend.agent.places
    only = places.pop(next(iter(places)))
    for name in ("shop", "bank"):
        places[name] = Place(only.inventory.model_copy(update={"name": name}), folder=service.file.parent, name=name)
    wanted = {
        "viewer": ("viewer", []),
        "responder": ("responder", []),
        "approver": ("approver", []),
        "shop": ("approver", ["shop"]),
    }
    texts = {name: keys.create(service.backend.jobs.engine, name, *rights)[1] for name, rights in wanted.items()}

    def request(who, method, path, **more):
        return service.http.request(method, f"/api/v1{path}", headers={"X-API-Key": texts[who]}, **more)

    return request


def test_whoever_may_submit_may_stop_and_whoever_may_decide_may_go_on(call):
    assert call("viewer", "POST", "/halts", json={}).status_code == 403
    made = call("responder", "POST", "/halts", json={"by": "somebody else"}).json()
    assert made["by"] == "responder"
    assert call("responder", "POST", f"/halts/{made['id']}/end", json={}).status_code == 403
    assert call("approver", "POST", f"/halts/{made['id']}/end", json={}).json()["ended_by"] == "approver"


def test_a_key_for_some_places_stops_and_ends_what_is_its_own(call):
    assert call("shop", "POST", "/halts", json={}).status_code == 403
    assert call("shop", "POST", "/halts", json={"place": "bank"}).status_code == 403
    own = call("shop", "POST", "/halts", json={"place": "shop"}).json()
    bank = call("approver", "POST", "/halts", json={"place": "bank"}).json()
    every = call("approver", "POST", "/halts", json={}).json()
    assert {each["id"] for each in call("shop", "GET", "/halts").json()["items"]} == {own["id"], every["id"]}
    assert call("shop", "POST", f"/halts/{bank['id']}/end", json={}).status_code == 404
    assert call("shop", "POST", f"/halts/{every['id']}/end", json={}).status_code == 403
    assert call("shop", "POST", f"/halts/{own['id']}/end", json={}).status_code == 200
    assert {each["id"] for each in call("approver", "GET", "/halts").json()["items"]} == {bank["id"], every["id"]}
