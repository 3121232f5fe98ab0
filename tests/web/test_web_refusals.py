"""What is refused, and how: the field is named, internals are not, and every answer is JSON."""

import http.client
import json
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from web_service import serving

GOOD = {"errors": [{"context": "ERROR"}]}
BAD = [
    ({}, "errors"),
    ([], "body"),
    (None, "body"),
    ("errors", "body"),
    (7, "body"),
    ({"errors": "x"}, "errors"),
    ({"errors": {"context": "x"}}, "errors"),
    ({"errors": None}, "errors"),
    ({"errors": []}, "errors"),
    ({"errors": ["x"]}, "errors[0]"),
    ({"errors": [{"context": "x"}, 3]}, "errors[1]"),
    ({"errors": [{}]}, "errors[0].context"),
    ({"errors": [{"context": ""}]}, "errors[0].context"),
    ({"errors": [{"context": " \n\t"}]}, "errors[0].context"),
    ({"errors": [{"context": None}]}, "errors[0].context"),
    ({"errors": [{"context": 5}]}, "errors[0].context"),
    ({"errors": [{"context": ["x"]}]}, "errors[0].context"),
    ({"errors": [{"context": "x"}, {"context": False}], "max_scenarios": 1}, "errors[1].context"),
    ({**GOOD, "max_scenarios": 0}, "max_scenarios"),
    ({**GOOD, "max_scenarios": -1}, "max_scenarios"),
    ({**GOOD, "max_scenarios": True}, "max_scenarios"),
    ({**GOOD, "max_scenarios": False}, "max_scenarios"),
    ({**GOOD, "max_scenarios": 1.0}, "max_scenarios"),
    ({**GOOD, "max_scenarios": "2"}, "max_scenarios"),
    ({**GOOD, "max_scenarios": None}, "max_scenarios"),
    ({**GOOD, "max_scenarios": [1]}, "max_scenarios"),
    ({"errors": [{"context": "x", "title": 3}]}, "errors[0].title"),
    ({"errors": [{"context": "x", "labels": {"a": 1}}]}, "errors[0].labels"),
    ({"errors": [{"context": "x"}] * 6}, "errors"),
]


@pytest.fixture(scope="module")
def strict(tmp_path_factory):
    with serving(tmp_path_factory.mktemp("strict"), work=False, max_body_bytes=4096, max_errors=5) as running:
        yield running


@pytest.mark.parametrize("address", ["/process_errors", "/process_errors_async"])
@pytest.mark.parametrize(("body", "field"), BAD)
def test_bad_input_names_the_field(strict, address, body, field):
    answer = strict.http.post(address, json=body)
    assert answer.status_code == 400, answer.text
    assert answer.json()["error"].startswith(f"{field}: ")


@pytest.mark.parametrize(
    ("raw", "kind"),
    [
        (b"", "application/json"),
        (b"", None),
        (b'{"errors": [{"context": "x"}]}', None),
        (b'{"errors": [{"context": "x"}]}', "text/plain"),
        (b"errors=x", "application/x-www-form-urlencoded"),
        (b"{", "application/json"),
        (b"\xff\xfe\x00", "application/json"),
        (b"[" * 4000, "application/json"),
        (b'{"errors":' * 400, "application/json"),
        (b"9" * 4090, "application/json"),
    ],
)
def test_what_is_not_json(strict, raw, kind):
    answer = strict.http.post("/process_errors", content=raw, headers={"Content-Type": kind} if kind else {})
    assert answer.status_code == 400
    assert answer.json()["error"].startswith("body: ")


def test_a_body_that_is_too_large(strict):
    answer = strict.http.post("/process_errors", json={"errors": [{"context": "x" * 5000}]})
    assert answer.status_code == 413
    assert "4096" in answer.json()["error"]


def test_a_body_in_chunks_that_is_too_large(strict):
    chunks = (b"x" * 1000 for _ in range(9))
    answer = strict.http.post("/process_errors", content=chunks, headers={"Content-Type": "application/json"})
    assert answer.status_code == 413
    assert "error" in answer.json()


@pytest.mark.parametrize(
    "address", ["/", "/nothing", "/health/", "//health", "/job_status/", "/job_status/a/b", "/%00"]
)
def test_unknown_addresses_list_what_there_is(strict, address):
    answer = strict.http.get(address)
    assert answer.status_code == 404
    body = answer.json()
    assert body["error"]
    assert {"GET /health", "POST /process_errors", "GET /job_status/{job_id}", "GET /dashboard"} <= set(
        body["available_endpoints"]
    )


@pytest.mark.parametrize("job", ["x", "job_20200101_000000_aa", "..", "%2e%2e%2fetc", "a'b", "%00", "%ff", "ü" * 300])
@pytest.mark.parametrize("address", ["/job_status/{}", "/jobs/{}"])
def test_unknown_jobs(strict, address, job):
    answer = strict.http.get(address.format(job))
    assert answer.status_code == 404
    assert "error" in answer.json()


@pytest.mark.parametrize("decision", ["approve", "deny"])
def test_decisions_about_unknown_jobs(strict, decision):
    answer = strict.http.post(f"/jobs/job_20200101_000000_aa/{decision}")
    assert answer.status_code == 404
    assert "error" in answer.json()


@pytest.mark.parametrize(
    ("method", "address"), [("GET", "/process_errors"), ("DELETE", "/health"), ("PUT", "/process_errors_async")]
)
def test_wrong_methods(strict, method, address):
    answer = strict.http.request(method, address)
    assert answer.status_code == 405
    assert answer.json()["allowed_methods"]
    assert answer.headers["Allow"]


def test_an_unexpected_error_tells_nothing_but_a_reference(tmp_path, caplog):
    with serving(tmp_path, work=False, database_url=f"sqlite:///{tmp_path}") as service:
        answer = service.post("ERROR")
    assert answer.status_code == 500
    body = answer.json()
    assert set(body) == {"error", "reference"}
    assert str(tmp_path) not in answer.text
    assert "sqlite" not in answer.text.lower()
    assert body["reference"] in caplog.text


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
ITEM = JSON | st.fixed_dictionaries(
    {"context": JSON | st.text(alphabet=st.characters(codec=None), max_size=200)},
    optional={"title": JSON, "labels": JSON, "place": JSON, "description": JSON},
)
NEAR = st.fixed_dictionaries({"errors": JSON | st.lists(ITEM, max_size=4)}, optional={"max_scenarios": JSON, "x": JSON})
BODY = st.one_of(
    st.binary(max_size=300),
    JSON.map(json.dumps).map(str.encode),
    NEAR.map(json.dumps).map(str.encode),
    NEAR.map(lambda value: json.dumps(value).encode()[:-3]),
)
KIND = st.sampled_from(
    ["application/json", "application/json; charset=utf-16", "text/plain", "", "multipart/form-data"]
)
ADDRESS = st.sampled_from(
    ["/process_errors?wait=0", "/process_errors_async", "/incidents", "/jobs/x/approve", "/dashboard/new"]
)


def test_a_thousand_bodies_of_garbage(strict):
    line = http.client.HTTPConnection(strict.http.base_url.host, strict.http.base_url.port, timeout=30)
    seen: dict[int, int] = {}

    @settings(max_examples=1000, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(BODY, KIND, ADDRESS)
    def post(body: bytes, kind: str, address: str) -> None:
        line.request("POST", address, body, {"Content-Type": kind} if kind else {})
        answer = line.getresponse()
        text = answer.read()
        seen[answer.status] = seen.get(answer.status, 0) + 1
        assert answer.status < 500, text
        parsed = json.loads(text)
        assert isinstance(parsed, dict)
        assert answer.status == 202 or parsed["error"]

    post()
    assert sum(seen.values()) >= 1000
    assert seen.get(400, 0) > 100
    assert seen.get(202, 0) > 10


SEGMENT = st.text(st.characters(codec=None), max_size=12).map(lambda text: text.encode("utf-8", "surrogatepass"))
PATH = st.lists(SEGMENT | st.binary(max_size=8), max_size=4).map(lambda parts: "/".join(map(quote, parts)))
START = st.sampled_from(
    ["", "job_status/", "jobs/", "dashboard/", "dashboard/jobs/", "dashboard/static/", "health?wait="]
)
HEADER = st.text(st.characters(min_codepoint=33, max_codepoint=255), max_size=30)


def test_addresses_and_names_of_garbage(strict):
    line = http.client.HTTPConnection(strict.http.base_url.host, strict.http.base_url.port, timeout=30)

    @settings(max_examples=400, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(START, PATH, HEADER | st.just("localhost"), HEADER | st.none(), st.sampled_from(["GET", "POST", "PUT"]))
    def ask(start: str, path: str, host: str, origin: str | None, method: str) -> None:
        headers = {"Host": host, **({"Origin": origin} if origin is not None else {})}
        line.request(method, f"/{start}{path}", headers=headers)
        answer = line.getresponse()
        text = answer.read()
        assert answer.status < 500, text
        if answer.status != 200 and answer.headers.get_content_type() == "application/json":
            assert json.loads(text)["error"]
        elif answer.status != 200:
            assert start.startswith("dashboard")

    ask()
