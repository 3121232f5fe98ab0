"""The contract of existing clients, over real HTTP."""

import gzip
import lzma
import re
import threading
import time

import pytest
from web_service import serving

from devops_agent.policy import Fit, Policy

ALLOW = Policy((("allow", Fit()),))
ROW = {
    "scenario_id",
    "status",
    "error_context",
    "final_response",
    "tools_used",
    "iterations",
    "planned_actions",
    "tool_results",
}


def test_health(shared):
    answer = shared.http.get("/health")
    assert answer.status_code == 200
    body = answer.json()
    assert body["status"] == "healthy"
    assert body["model"] == "gpt-4o"
    assert body["api_key_configured"] is False
    assert body["planner"] == "runbooks"
    assert "no model is needed" in body["planner_note"]


def test_health_says_whether_a_model_plans(tmp_path, monkeypatch):
    with serving(tmp_path, model="gpt-5") as service:
        body = service.http.get("/health").json()
        assert (body["model"], body["api_key_configured"], body["planner"]) == ("gpt-5", False, "runbooks")
    monkeypatch.setenv("OPEN_AI_API_KEY", "sk-test")
    with serving(tmp_path, api_key_configured=True, model="gpt-5") as service:
        body = service.http.get("/health").json()
        assert (body["model"], body["api_key_configured"], body["planner"]) == ("gpt-5", True, "auto")
        assert body["planner_note"] == "Runbooks plan; gpt-5 is asked where they do not know."


def test_examples_can_be_posted_back(shared):
    body = shared.http.get("/example_errors").json()
    assert body["total_examples"] == len(body["example_errors"]) == 37
    answer = shared.http.post("/process_errors_async", json={"errors": body["example_errors"]})
    assert answer.status_code == 202
    assert shared.backend.wait(answer.json()["job_id"], 60)


def test_a_repair_answered_at_once(tmp_path):
    with serving(tmp_path, ALLOW) as service:
        body = service.post("ERROR: the thing is broken").json()
    assert service.file.read_text() == "x"
    assert body["status"] == "completed"
    assert (body["total_scenarios"], body["successful_scenarios"], body["failed_scenarios"]) == (1, 1, 0)
    row = body["results"][0]
    assert set(row) >= ROW
    assert (row["scenario_id"], row["status"], row["outcome"]) == (1, "success", "resolved")
    assert row["error_context"] == "ERROR: the thing is broken"
    assert row["tools_used"] == ["content", "append"]
    assert row["iterations"] == 1
    assert [(each["tool"], each["when"]) for each in row["planned_actions"]] == [("append", "always")]
    assert row["planned_actions"][0]["params"] == {"path": str(service.file), "text": "x"}
    assert [each["name"] for each in row["tool_results"]] == ["content", "append"]
    assert row["tool_results"][1]["status"] == "success"
    assert body["total_tools_executed"] == len(row["tool_results"])
    assert "incident over: yes" in row["final_response"]


def test_one_scenario_that_fails_does_not_fail_the_others(shared):
    body = shared.post("the planner fails here", "ERROR one", "the planner breaks here", "ERROR two").json()
    assert [row["status"] for row in body["results"]] == ["error", "success", "error", "success"]
    assert [row["scenario_id"] for row in body["results"]] == [1, 2, 3, 4]
    assert (body["successful_scenarios"], body["failed_scenarios"]) == (2, 2)
    assert body["results"][0]["error_message"] == "the planner could not come to a conclusion"
    assert "secret internals" not in str(body)
    assert "ZeroDivision" not in str(body)


def test_max_scenarios_bounds_the_work(shared):
    body = shared.post("ERROR 1", "ERROR 2", "ERROR 3", max_scenarios=2).json()
    assert body["total_scenarios"] == len(body["results"]) == 2
    assert shared.post("ERROR 1", max_scenarios=99).json()["total_scenarios"] == 1


def test_in_the_background(shared):
    answer = shared.post("ERROR in alpha", "ERROR with beta", "gamma ERROR", address="/process_errors_async")
    assert answer.status_code == 202
    accepted = answer.json()
    job = accepted["job_id"]
    assert accepted["status"] == "accepted"
    assert re.fullmatch(r"job_\d{8}_\d{6}_\w+", job)
    assert accepted["check_status_endpoint"] == f"/job_status/{job}" == answer.headers["Location"]
    seen = []
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        state = shared.http.get(accepted["check_status_endpoint"]).json()
        seen.append(state["progress"])
        if state["status"] != "processing":
            break
        assert "results" not in state
        assert state["completed_at"] is None
    assert state["status"] == "completed"
    assert state["job_id"] == job
    assert seen == sorted(seen)
    assert seen[-1] == 100
    assert state["started_at"] <= state["completed_at"]
    assert len(state["results"]) == state["total_scenarios"] == 3
    assert len(state["waiting_for_approval"]) == 3


def test_progress_moves_while_nothing_is_finished_yet(tmp_path):
    go_on = threading.Event()

    class Slow:
        name = "slow"

        def diagnose(self, digest, history, look):
            go_on.wait(20)
            from devops_agent.model import Diagnosis

            return Diagnosis(failure=False)

        def propose(self, diagnosis, run):
            from devops_agent.model import Proposal

            return Proposal()

    with serving(tmp_path, planner=Slow()) as service:
        job = service.post("ERROR", address="/process_errors_async").json()["job_id"]
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            state = service.http.get(f"/job_status/{job}").json()
            if 0 < state["progress"] < 100:
                break
        assert state["status"] == "processing"
        assert 0 < state["progress"] < 100
        go_on.set()
        assert service.backend.wait(job, 20)
        assert service.http.get(f"/job_status/{job}").json()["progress"] == 100


def test_who_cannot_wait_gets_the_address(tmp_path):
    with serving(tmp_path, work=False) as service:
        begun = time.monotonic()
        answer = service.http.post("/process_errors?wait=0.3", json={"errors": [{"context": "ERROR"}]})
        assert 0.2 < time.monotonic() - begun < 5
        assert answer.status_code == 202
        body = answer.json()
        assert body["status"] == "processing"
        assert answer.headers["Location"] == body["check_status_endpoint"] == f"/job_status/{body['job_id']}"
        state = service.http.get(answer.headers["Location"]).json()
        assert (state["status"], state["progress"]) == ("processing", 0)


def test_who_waits_long_enough_gets_the_results(shared):
    answer = shared.http.post("/process_errors?wait=30", json={"errors": [{"context": "ERROR"}]})
    assert answer.status_code == 200
    assert answer.json()["status"] == "completed"


@pytest.mark.parametrize("wait", ["-1", "nan", "inf", "soon", ""])
def test_a_wait_that_makes_no_sense(shared, wait):
    answer = shared.http.post(f"/process_errors?wait={wait}", json={"errors": [{"context": "ERROR"}]})
    assert answer.status_code == 400
    assert answer.json()["error"].startswith("wait: ")


def test_waits_end_when_the_service_stops(tmp_path):
    with serving(tmp_path, work=False) as service:
        service.backend.start()
        threading.Timer(2.0, service.backend.stopping.set).start()
        answer = service.post("ERROR")
        assert answer.status_code == 202
        assert service.post("ERROR").status_code == 503


def test_too_many_who_wait_are_sent_away_and_others_are_answered(tmp_path):
    with serving(tmp_path, work=False) as service:
        with service.backend.waiting() as free:
            assert free
        held = [service.backend.waiting() for _ in range(48)]
        for each in held:
            assert each.__enter__() is True
        answer = service.post("ERROR")
        assert answer.status_code == 503
        assert answer.headers["Retry-After"]
        assert "error" in answer.json()
        assert service.http.get("/health").status_code == 200
        for each in held:
            each.__exit__(None, None, None)
        assert service.http.post("/process_errors?wait=0", json={"errors": [{"context": "E"}]}).status_code == 202


def test_finished_jobs_are_forgotten(tmp_path):
    with serving(tmp_path, ALLOW, job_retention_seconds=1) as service:
        job = service.post("ERROR: the thing is broken").json()["job_id"]
        assert service.http.get(f"/job_status/{job}").status_code == 200
        time.sleep(1.2)
        answer = service.http.get(f"/job_status/{job}")
    assert answer.status_code == 404
    assert "error" in answer.json()


def test_secrets_are_not_kept(shared, tmp_path):
    body = shared.post(
        "ERROR login failed\nexport AWS_SECRET_ACCESS_KEY=wJalrXUtnFEMI/K7MDENG/bPxRfiCYzEXAMPLEKEY"
    ).json()
    row = body["results"][0]
    report = shared.http.get(f"/jobs/{row['job_id']}").text
    assert "wJalrXUtnFEMI" not in str(body)
    assert "wJalrXUtnFEMI" not in report


def test_a_long_log_goes_through(shared):
    text = "\n".join(f"line {number}: compiling" for number in range(60_000)) + "\nERROR: the thing is broken\n"
    row = shared.post(text).json()["results"][0]
    assert row["status"] == "success"
    assert (
        any(str(each["line"]) == "60001" for each in row["diagnosis"]["evidence"]) or "60001" in row["final_response"]
    )
    assert len(row["error_context"]) < 25_000


def test_plain_text_and_uploads(shared):
    answer = shared.http.post("/incidents", content=b"ERROR: \xff broken", headers={"Content-Type": "text/plain"})
    assert answer.status_code == 202
    assert shared.backend.wait(answer.json()["job_id"], 30)
    files = [("log", ("../../build.log", b"ERROR one")), ("log", ("b.log", b"ERROR two"))]
    answer = shared.http.post("/incidents", files=files)
    assert answer.status_code == 202
    assert shared.backend.wait(answer.json()["job_id"], 30)
    rows = shared.backend.jobs.batch(answer.json()["job_id"]).jobs
    assert [row.title for row in rows] == ["build.log", "b.log"]
    assert shared.http.post("/incidents", content=b" ", headers={"Content-Type": "text/plain"}).status_code == 400
    assert shared.http.post("/incidents", json={}).status_code == 400
    assert shared.http.post("/incidents", files=[("log", ("a.log", b""))]).status_code == 400


def test_what_stands_beside_a_log_that_is_sent_as_it_is(shared):
    beside = {"title": "nightly", "labels": '{"job": "build", "run": "7"}', "place": "default"}
    for answer in (
        shared.http.post("/incidents", files=[("log", ("a.log", b"ERROR one"))], data=beside),
        shared.http.post("/incidents", content=b"ERROR one", headers={"Content-Type": "text/plain"}, params=beside),
    ):
        assert answer.status_code == 202, answer.text
        assert shared.backend.wait(answer.json()["job_id"], 30)
        incident = shared.backend.jobs.report(answer.json()["job_id"]).incident
        assert (incident.title, incident.place, incident.labels) == ("nightly", "default", {"job": "build", "run": "7"})
    for wrong in ({"place": "nowhere"}, {"labels": "job"}, {"labels": '{"a": 1}'}):
        answer = shared.http.post("/incidents", files=[("log", ("a.log", b"ERROR one"))], data=wrong)
        assert answer.status_code == 400
        assert next(iter(wrong)) in answer.json()["error"]


def test_a_browser_is_led_to_the_page_and_a_program_told_what_there_is(shared):
    person = shared.http.get("/", headers={"Accept": "text/html,*/*"}, follow_redirects=False)
    assert (person.status_code, person.headers["Location"]) == (302, "/dashboard")
    program = shared.http.get("/")
    assert program.status_code == 404
    assert "available_endpoints" in program.json()


@pytest.mark.parametrize("pack", [gzip.compress, lzma.compress, lambda data: data.decode().encode("utf-16")])
def test_packed_and_wide_uploads_are_read(shared, pack):
    data = pack(b"building\nError: listen EADDRINUSE: address already in use :::3000\n")
    answer = shared.http.post("/incidents", content=data, headers={"Content-Type": "application/octet-stream"})
    assert shared.backend.wait(answer.json()["job_id"], 30)
    row = shared.http.get(answer.json()["check_status_endpoint"]).json()["results"][0]
    assert row["error_context"].split("\n")[1].endswith("address already in use :::3000")


def test_uploads_that_cannot_be_expanded_or_are_bombs_are_refused(shared):
    broken = gzip.compress(b"")[:10] + b"\xff" * 90
    bomb = gzip.compress(bytes(5 * shared.backend.settings.max_body_bytes))
    for data, said in ((broken, "gz file"), (bomb, "MiB once it is expanded")):
        answer = shared.http.post("/incidents", content=data, headers={"Content-Type": "application/gzip"})
        assert answer.status_code == 400
        assert said in answer.json()["error"]


def test_labels_hold_no_secrets(shared):
    labels = {"password": "zq9Hunter2xx", "DB_PASSWORD=zq9Hunter3xx": "v", "job": "deploy=web"}
    errors = {"errors": [{"context": "ERROR with labels", "labels": labels}]}
    made = shared.http.post("/process_errors_async", json=errors).json()["job_id"]
    incident = shared.backend.jobs.report(shared.backend.jobs.batch(made).jobs[0].id).incident
    assert "zq9Hunter" not in str(incident.labels)
    assert incident.labels["job"] == "deploy=web"


def test_a_place_that_is_not_known(shared):
    answer = shared.http.post("/process_errors", json={"errors": [{"context": "ERROR", "place": "mars"}]})
    assert answer.status_code == 400
    assert "errors[0].place" in answer.json()["error"]
