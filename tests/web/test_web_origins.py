"""Which pages may talk to the agent: CORS for the contract, Host and Origin for everything that decides."""

import pytest
from flask import Flask
from web_service import serving

from devops_agent.web.origins import Origins

EVIL = "http://evil.example"


@pytest.fixture(scope="module")
def restricted(tmp_path_factory):
    with serving(tmp_path_factory.mktemp("cors"), cors_origins="https://ci.example, https://ops.example/") as running:
        yield running


def test_open_in_development(shared):
    for answer in (
        shared.http.get("/health", headers={"Origin": EVIL}),
        shared.http.post("/process_errors", json={}, headers={"Origin": EVIL}),
        shared.http.get("/nothing", headers={"Origin": EVIL}),
    ):
        assert answer.headers["Access-Control-Allow-Origin"] == "*"
        assert "Access-Control-Allow-Credentials" not in answer.headers
    asked = {"Origin": EVIL, "Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "content-type"}
    answer = shared.http.options("/process_errors", headers=asked)
    assert answer.status_code == 200
    assert "POST" in answer.headers["Access-Control-Allow-Methods"]
    assert "Content-Type" in answer.headers["Access-Control-Allow-Headers"]


def test_restricted_by_configuration(restricted):
    good = restricted.http.get("/health", headers={"Origin": "https://ci.example"})
    assert good.headers["Access-Control-Allow-Origin"] == "https://ci.example"
    assert "Origin" in good.headers["Vary"]
    bad = restricted.http.get("/health", headers={"Origin": EVIL})
    assert "Access-Control-Allow-Origin" not in bad.headers
    body = {"errors": [{"context": "ERROR"}]}
    assert restricted.http.post("/process_errors_async", json=body, headers={"Origin": EVIL}).status_code == 403
    accepted = restricted.http.post("/process_errors_async", json=body, headers={"Origin": "https://ops.example"})
    assert accepted.status_code == 202
    assert restricted.http.post("/process_errors_async", json=body).status_code == 202


@pytest.mark.parametrize("address", ["/jobs/x", "/dashboard", "/dashboard/new", "/dashboard/jobs/x"])
def test_a_name_that_another_site_could_own_is_refused(shared, address):
    for host in ("evil.example", "evil.example:5000", "localhost.evil.example", ""):
        answer = shared.http.get(address, headers={"Host": host})
        assert answer.status_code == 403, host
        assert "host" in answer.text


@pytest.mark.parametrize("host", ["localhost", "localhost:5000", "127.0.0.1:5000", "[::1]:5000", "[::1]", "10.1.2.3"])
def test_names_that_nobody_else_can_own(shared, host):
    assert shared.http.get("/dashboard", headers={"Host": host}).status_code == 200


def test_configured_names(tmp_path):
    with serving(tmp_path, allowed_hosts="agent.corp, other") as service:
        assert service.http.get("/dashboard", headers={"Host": "Agent.corp:5000"}).status_code == 200
        assert service.http.get("/dashboard", headers={"Host": "third"}).status_code == 403


@pytest.mark.parametrize("address", ["/jobs/x/approve", "/jobs/x/deny"])
def test_other_pages_cannot_decide(shared, address):
    for headers in (
        {"Origin": EVIL},
        {"Origin": "null"},
        {"Origin": "http://["},
        {"Origin": ""},
        {"Origin": "http://localhost:3000"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ):
        answer = shared.http.post(address, headers=headers)
        assert answer.status_code == 403, headers
        assert "Access-Control-Allow-Origin" not in answer.headers
    own = str(shared.http.base_url).rstrip("/")
    assert shared.http.post(address, headers={"Origin": own}).status_code == 404
    assert shared.http.post(address).status_code == 404


def test_origin_rules_by_themselves():
    origins = Origins("https://ci.example", "agent.corp")
    assert not origins.open
    assert origins.allows("https://CI.example")
    assert not origins.allows("https://ci.example.evil.example")
    assert origins.knows("ci.example")
    assert origins.knows("x.localhost:80")
    assert not origins.knows("agent.corp.evil.example")
    app = Flask("x")
    with app.test_request_context("/", headers={"Host": "127.0.0.1:5000", "Origin": "http://127.0.0.1:5000"}):
        origins.check_private()
        origins.check_public()
