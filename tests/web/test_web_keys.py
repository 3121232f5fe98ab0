"""With keys: nothing but the public endpoints answers without one, roles and places hold on every route, and who
decides is who was verified."""

from __future__ import annotations

import re
import time
from datetime import UTC, datetime, timedelta

import httpx
import pytest
from web_service import serving

from devops_agent.config import Settings
from devops_agent.errors import ConfigError
from devops_agent.jobs import keys
from devops_agent.jobs.tables import open_engine
from devops_agent.policy import Fit, Policy
from devops_agent.web import auth, server
from devops_agent.web.v1.operations import OPERATIONS

TWO = Policy((("ask", Fit(persons=2)),))
PUBLIC = {
    "GET /health",
    "GET /livez",
    "GET /readyz",
    "GET /dashboard/login",
    "POST /dashboard/login",
    "GET /dashboard/oidc",
    "GET /dashboard/oidc/back",
    "POST /hooks/<name>",
    "GET /links/<token>",
    "POST /links/<token>",
}
"""All that answers without a key: that it lives, where one logs in, and what finds out by itself who calls."""

ROLES = {
    "POST /process_errors": "responder",
    "POST /process_errors_async": "responder",
    "POST /incidents": "responder",
    "POST /jobs/<job_id>/approve": "approver",
    "POST /jobs/<job_id>/deny": "approver",
    "POST /jobs/<job_id>/cause": "responder",
    "POST /dashboard/jobs/<job_id>/decision": "approver",
    "POST /dashboard/new": "responder",
    "POST /dashboard/logout": "viewer",
} | {f"{each.method} /api/v1{each.path}": each.role for each in OPERATIONS}


class Keyed:
    """A running service with a key for each role."""

    def __init__(self, service):
        self.service = service
        self.engine = service.backend.jobs.engine
        self.made, self.texts = {}, {}
        for role in auth.ROLES:
            self.add(role, role)

    def add(self, name, role, *places, expires=None):
        self.made[name], self.texts[name] = keys.create(self.engine, name, role, places, expires)
        return self.texts[name]

    def call(self, name, method, path, **more):
        headers = more.pop("headers", {}) | ({"Authorization": f"Bearer {self.texts[name]}"} if name else {})
        return self.service.http.request(method, path, headers=headers, **more)

    def waiting(self, name="responder"):
        """A job that waits for approval."""
        job = self.call(name, "POST", "/api/v1/incidents", json={"log": "it fails"}).json()["batch"]
        assert self.service.backend.wait(job, 20)
        return job


@pytest.fixture(scope="module")
def keyed(tmp_path_factory):
    with serving(tmp_path_factory.mktemp("keys")) as service:
        yield Keyed(service)


@pytest.fixture
def two(tmp_path):
    with serving(tmp_path, TWO) as service:
        yield Keyed(service)


def routes(service):
    """Every method and rule that there is, with an address that fits it."""
    for rule in service.app.url_map.iter_rules():
        for method in sorted(rule.methods - {"OPTIONS"}):
            address = re.sub(r"<(?:path:)?[^>]+>", "aaaaaaaa", rule.rule)
            yield f"{method} {rule.rule}", method, address, rule.endpoint


def is_asset(endpoint):
    return endpoint.rpartition(".")[2] in ("static", "asset", "icon")


def test_nothing_but_what_is_public_answers_without_a_key(keyed):
    looked = 0
    for name, method, address, endpoint in routes(keyed.service):
        answer = keyed.call(None, method, address)
        bare = name.replace("HEAD ", "GET ")
        if bare in PUBLIC or is_asset(endpoint):
            assert answer.status_code != 401, name
            continue
        looked += 1
        assert answer.status_code == 401, (name, answer.text)
        assert answer.headers["WWW-Authenticate"].startswith("Bearer")
        for wrong in ("nonsense", f"dak_{keyed.made['admin'].id}_guess", ""):
            refused = keyed.service.http.request(method, address, headers={"X-API-Key": wrong})
            assert refused.status_code in (401, 429), (name, wrong)
    assert looked > 60
    assert keyed.call(None, "GET", "/no/such/address").status_code == 401


def test_roles_hold_on_every_route(keyed):
    looked = 0
    for name, method, address, endpoint in routes(keyed.service):
        if method == "HEAD" or name in PUBLIC or is_asset(endpoint):
            continue
        needed = ROLES.get(name)
        if needed is None:
            needed = getattr(keyed.service.app.view_functions[endpoint], "needed_role", None)
            needed = needed or ("viewer" if method == "GET" else "admin")
            assert needed != "viewer" or method == "GET", f"{name} changes something"
        for role in auth.ROLES:
            answer = keyed.call(role, method, address)
            refused = answer.status_code == 403 and "needs the role" in answer.text
            assert refused == (auth.ROLES.index(role) < auth.ROLES.index(needed)), (name, role, answer.text)
            assert answer.status_code < 500, (name, answer.text)
            looked += 1
    assert looked > 200


def test_who_decides_is_who_was_verified(keyed):
    job = keyed.waiting()
    assert keyed.call("responder", "POST", f"/jobs/{job}/approve", json={"by": "approver"}).status_code == 403
    said = keyed.call("approver", "POST", f"/jobs/{job}/approve", json={"by": "the boss"}).json()
    assert said["approval"]["by"] == "approver"
    entries = keyed.call("viewer", "GET", "/api/v1/audit", params={"job": job}).json()["items"]
    told = [(each["event"], each["actor"]) for each in entries]
    assert told[0] == ("submitted", "responder")
    assert ("approved", "approver") in told
    assert keyed.call("viewer", "GET", "/api/v1/audit/verification").json() == {"intact": True, "problems": []}


def test_a_key_that_expired_or_was_revoked_opens_nothing(keyed):
    keyed.add("brief", "viewer", expires=datetime.now(UTC) + timedelta(seconds=1))
    assert keyed.call("brief", "GET", "/api/v1/me").json()["name"] == "brief"
    time.sleep(1.1)
    assert keyed.call("brief", "GET", "/api/v1/me").status_code == 401
    keyed.add("gone", "viewer")
    assert keyed.call("gone", "GET", "/api/v1/me").status_code == 200
    assert keyed.call("admin", "POST", f"/api/v1/keys/{keyed.made['gone'].id}/revoke").json()["valid"] is False
    assert keyed.call("gone", "GET", "/api/v1/me").status_code == 401
    keyed.add("later", "viewer")
    assert keyed.call("later", "GET", "/api/v1/me").status_code == 200
    keys.revoke(keyed.engine, keyed.made["later"].id)  # as another process does it
    deadline = time.monotonic() + 10
    while keyed.call("later", "GET", "/api/v1/me").status_code == 200:
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_keys_are_made_rotated_and_listed_over_http(keyed):
    made = keyed.call("admin", "POST", "/api/v1/keys", json={"name": "ci", "role": "responder", "expires_days": 30})
    assert made.status_code == 201
    assert made.headers["Cache-Control"] == "no-store"
    keyed.texts["ci"] = made.json()["key"]
    assert keyed.call("ci", "GET", "/api/v1/me").json()["role"] == "responder"
    again = keyed.call("admin", "POST", f"/api/v1/keys/{made.json()['id']}/rotate", json={"overlap_seconds": 0}).json()
    assert keyed.call("ci", "GET", "/api/v1/me").status_code == 401
    keyed.texts["ci"] = again["key"]
    assert keyed.call("ci", "GET", "/api/v1/me").status_code == 200
    listed = keyed.call("admin", "GET", "/api/v1/keys")
    used = {each["id"]: each["used"] for each in listed.json()["items"]}
    assert used[again["id"]]
    assert not any(text.split("_", 2)[2] in listed.text for text in keyed.texts.values())
    mine = keyed.made["admin"].id
    assert keyed.call("admin", "POST", f"/api/v1/keys/{mine}/revoke").status_code == 409
    wrong = keyed.call("admin", "POST", "/api/v1/keys", json={"name": "x", "role": "boss"})
    assert wrong.json()["errors"][0]["field"] == "role"


def test_a_key_for_another_place_sees_and_does_nothing_here(keyed):
    job = keyed.waiting()
    here = next(iter(keyed.service.backend.agent.places))
    keyed.add("here", "approver", here)
    keyed.add("there", "approver", "elsewhere")
    for name, sees in (("here", True), ("there", False)):
        found = keyed.call(name, "GET", "/api/v1/incidents").json()["items"]
        assert (job in [each["id"] for each in found]) == sees
        plans = keyed.call(name, "GET", "/api/v1/plans").json()["items"]
        assert (job in [each["job"] for each in plans]) == sees
        events = keyed.call(name, "GET", "/api/v1/events").json()["items"]
        assert (job in [each["job"] for each in events]) == sees
        trail = keyed.call(name, "GET", "/api/v1/audit", params={"limit": 1000}).json()["items"]
        assert (job in [each["job"] for each in trail]) == sees
        for path in ("/api/v1/jobs/{}", "/api/v1/jobs/{}/report", "/jobs/{}", "/job_status/{}", "/api/v1/batches/{}"):
            assert keyed.call(name, "GET", path.format(job)).status_code == (200 if sees else 404), path
    assert keyed.call("there", "POST", f"/jobs/{job}/approve").status_code == 404
    assert keyed.call("there", "POST", f"/api/v1/jobs/{job}/cancel", json={}).status_code == 404
    assert keyed.call("there", "POST", "/process_errors", json={"errors": [{"context": "x"}]}).status_code == 403
    assert keyed.call("there", "POST", "/api/v1/incidents", json={"log": "x"}).status_code == 403
    assert keyed.call("here", "POST", "/api/v1/incidents", json={"log": "x", "place": here}).status_code == 202


def test_two_persons_and_neither_is_who_asked(two):
    two.add("ann", "approver")
    two.add("bob", "approver")
    job = two.waiting("ann")
    approve = f"/api/v1/jobs/{job}/approve"
    assert two.call("ann", "POST", approve, json={"by": "carl"}).status_code == 409  # she asked for it
    one = two.call("bob", "POST", f"/jobs/{job}/approve", json={})
    assert (one.status_code, one.json()["waits_for_another_person"]) == (200, True)
    assert two.call("bob", "POST", approve, json={"by": "dora"}).status_code == 409  # he has approved already
    assert not two.service.file.exists()
    other = two.call("approver", "POST", f"/jobs/{job}/approve", json={})
    assert (other.status_code, other.json()["waits_for_another_person"]) == (200, False)
    assert two.service.backend.wait(job, 20)
    assert two.service.file.read_text() == "x"
    assert two.call("approver", "POST", approve, json={}).status_code == 409  # decided
    assert two.service.file.read_text() == "x"


def test_a_session_begins_with_a_key_and_ends_with_it(keyed):
    keyed.add("eve", "approver")
    address = str(keyed.service.http.base_url)
    with httpx.Client(base_url=address) as browser:
        page = browser.get("/dashboard", headers={"Accept": "text/html"})
        assert page.status_code == 303
        form = browser.get(page.headers["Location"])
        token = re.search(r'name="token" value="([^"]+)"', form.text)[1]
        wrong = browser.post("/dashboard/login", data={"token": token, "key": "dak_x_y"})
        assert wrong.status_code == 401
        entered = browser.post("/dashboard/login", data={"token": token, "key": keyed.texts["eve"]})
        assert entered.status_code == 303
        cookie = entered.headers["Set-Cookie"]
        assert "HttpOnly" in cookie
        assert "SameSite=Strict" in cookie
        assert keyed.texts["eve"] not in cookie
        assert browser.get("/api/v1/me").json() | {"places": None} == {
            "name": "eve",
            "role": "approver",
            "places": None,
            "keys": True,
        }
        job = keyed.waiting()
        path = f"/api/v1/jobs/{job}/deny"
        assert browser.post(path, json={}).status_code == 403  # no token: another site's form could do as much
        page = browser.get("/dashboard").text
        token = re.search(r'name="token" value="([^"]+)"', browser.get(f"/dashboard/jobs/{job}").text)[1]
        evil = {"X-CSRF-Token": token, "Origin": "https://evil.example"}
        assert browser.post(path, json={}, headers=evil).status_code == 403
        assert browser.post(path, json={}, headers={"X-CSRF-Token": token}).json()["approval"]["by"] == "eve"
        keys.revoke(keyed.engine, keyed.made["eve"].id)
        deadline = time.monotonic() + 10
        while browser.get("/api/v1/me").status_code == 200:
            assert time.monotonic() < deadline
            time.sleep(0.1)


def test_forged_sessions_are_none(keyed):
    sessions = keyed.service.app.extensions["devops_agent_doors"].sessions
    good = sessions.signed("session").dumps({"name": "x", "role": "admin", "until": time.time() + 99})
    other = sessions.signed("else").dumps({"key": keyed.made["admin"].id, "begin": "", "until": time.time() + 99})
    for cookie in (good, other, "x", good[:-2]):
        answer = keyed.service.http.get("/api/v1/me", headers={"Cookie": f"devops_agent_session={cookie}"})
        assert answer.status_code == 401


def test_requests_are_limited_by_key(tmp_path):
    with serving(tmp_path, requests_per_minute=60) as service:
        keyed = Keyed(service)
        answers = [keyed.call("viewer", "GET", "/api/v1/me") for _ in range(40)]
        refused = [each for each in answers if each.status_code == 429]
        assert 10 <= len(refused) <= 22
        assert int(refused[0].headers["Retry-After"]) >= 1
        assert keyed.call("admin", "GET", "/api/v1/me").status_code == 200
        assert service.http.get("/health").status_code == 200


def test_guessing_is_held_off_and_valid_keys_go_on(keyed):
    codes = {keyed.service.http.get("/api/v1/me", headers={"X-API-Key": f"dak_a_{n}"}).status_code for n in range(90)}
    assert codes <= {401, 429}
    assert 429 in codes
    assert keyed.call("viewer", "GET", "/api/v1/me").status_code == 200


def test_no_secret_is_logged_or_told(keyed, caplog):
    caplog.set_level("DEBUG")
    text = keyed.texts["admin"]
    made = keyed.call("admin", "POST", "/api/v1/keys", json={"name": "fresh"}).json()["key"]
    wrong = f"dak_{keyed.made['admin'].id}_wrong-secret-wrong-secret"
    told = [keyed.service.http.get("/api/v1/me", headers={"X-API-Key": wrong}).text]
    told.append(keyed.call("admin", "POST", "/process_errors", json={"errors": [{"context": "planner breaks"}]}).text)
    told.append(keyed.call("admin", "POST", "/api/v1/incidents", json={"log": "it fails with key " + text}).text)
    told.append(keyed.call("admin", "POST", "/api/v1/keys", content=text, headers={"Content-Type": "x"}).text)
    told += [keyed.call("admin", "GET", f"/api/v1/{path}").text for path in ("audit?limit=1000", "keys", "events")]
    everything = "\n".join(told) + caplog.text
    for secret in (text.split("_", 2)[2], made.split("_", 2)[2], "wrong-secret"):
        assert secret not in everything
    sessions = keyed.service.app.extensions["devops_agent_doors"].sessions
    assert sessions.secret().decode() not in everything + repr(keyed.service.backend.settings)
    file = keyed.service.backend.settings.data_dir / "session.key"
    assert file.stat().st_mode & 0o077 == 0


def test_without_keys_other_machines_are_refused_unless_told_otherwise(tmp_path):
    for insecure, status in ((False, 401), (True, 200)):
        with serving(tmp_path / str(insecure), insecure=insecure) as service:
            other = service.app.test_client()
            for path in ("/api/v1/me", "/stats"):
                answer = other.get(path, environ_overrides={"REMOTE_ADDR": "10.1.2.3"})
                assert answer.status_code == status
            assert other.get("/health", environ_overrides={"REMOTE_ADDR": "10.1.2.3"}).status_code == 200
            assert service.http.get("/api/v1/me").status_code == 200


def test_serve_does_not_start_for_others_without_keys(tmp_path):
    def settings(**more):
        return Settings(data_dir=tmp_path, **more)

    for host in ("0.0.0.0", "::", "192.0.2.7", "agent.corp.example"):
        with pytest.raises(ConfigError, match="keys create"):
            server.check_keys(settings(host=host))
        server.check_keys(settings(host=host, insecure=True))
    for host in ("127.0.0.1", "localhost", "::1"):
        server.check_keys(settings(host=host))
    keys.create(open_engine(f"sqlite:///{tmp_path / 'devops_agent.db'}"), "ann", "admin")
    server.check_keys(settings(host="0.0.0.0"))
