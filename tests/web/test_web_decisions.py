"""Plans that wait: what the answer says, who may decide, and that a decision holds."""

import pytest
from web_service import serving

from devops_agent.policy import Fit, Policy
from pipeline_parts import Wanting, step


def waiting(service):
    """A job that waits for approval, as the contract's answer shows it."""
    body = service.post("ERROR: the thing is broken").json()
    assert body["successful_scenarios"] == 1
    row = body["results"][0]
    assert row["outcome"] == "needs_approval"
    return row


def settled(service, job):
    assert service.backend.wait(job, 20)
    return service.http.get(f"/job_status/{job}").json()


def test_a_plan_that_waits_is_a_success_that_says_how_to_go_on(service):
    row = waiting(service)
    job, wanted = row["job_id"], row["approval"]
    assert row["status"] == "success"
    assert wanted["approve"] == f"POST /jobs/{job}/approve"
    assert wanted["command"] == f"devops-agent approve {job}"
    assert wanted["page"] == f"/dashboard/jobs/{job}"
    for said in (wanted["approve"], wanted["command"], wanted["until"], "append", "waits for approval"):
        assert said in row["final_response"]
    assert row["tool_results"][-1]["name"] == "content"
    assert not service.file.exists()
    state = service.http.get(f"/job_status/{job}").json()
    assert (state["status"], state["progress"], state["waiting_for_approval"]) == ("completed", 100, [job])


def test_approved(service):
    row = waiting(service)
    job = row["job_id"]
    said = {"by": "ada", "reason": "go", "fingerprint": row["approval"]["fingerprint"]}
    answer = service.http.post(f"/jobs/{job}/approve", json=said)
    assert answer.status_code == 200
    assert answer.json()["status"] == "approved"
    assert answer.json()["approval"]["by"] == "ada"
    state = settled(service, job)
    assert state["results"][0]["outcome"] == "resolved"
    assert service.file.read_text() == "x"
    kept = service.http.get(f"/jobs/{job}").json()
    assert kept["job"]["outcome"] == kept["report"]["status"] == "resolved"
    assert kept["report"]["attempts"][0]["approval"]["reason"] == "go"
    again = service.http.post(f"/jobs/{job}/approve")
    assert again.status_code == 409
    assert service.file.read_text() == "x"


def test_denied(service):
    job = waiting(service)["job_id"]
    assert service.http.post(f"/jobs/{job}/deny", json={"by": "ada", "reason": "not today"}).status_code == 200
    row = settled(service, job)["results"][0]
    assert row["status"] == "success"
    assert row["outcome"] == "needs_person"
    assert "Not approved (ada): not today. Nothing was done." in row["final_response"]
    assert not service.file.exists()


def test_a_plan_that_is_not_the_one_that_waits(service):
    job = waiting(service)["job_id"]
    answer = service.http.post(f"/jobs/{job}/approve", json={"fingerprint": "0" * 32})
    assert answer.status_code == 409
    assert "error" in answer.json()
    assert service.http.get(f"/jobs/{job}").json()["job"]["waiting"] == "approval"


@pytest.mark.parametrize(
    "body", [{"by": 3}, {"reason": []}, {"fingerprint": 7}, {"fingerprint": "abc"}, [], {"reason": "x" * 2001}]
)
def test_bad_decisions(service, body):
    job = waiting(service)["job_id"]
    answer = service.http.post(f"/jobs/{job}/approve", json=body)
    assert answer.status_code == 400
    assert service.http.get(f"/jobs/{job}").json()["job"]["waiting"] == "approval"


def test_a_request_that_nobody_answers_expires(tmp_path):
    with serving(tmp_path, approval_seconds=1) as service:
        job = waiting(service)["job_id"]
        import time

        deadline = time.monotonic() + 20
        while service.http.get(f"/jobs/{job}").json()["job"]["status"] == "waiting" and time.monotonic() < deadline:
            time.sleep(0.1)
        row = settled(service, job)["results"][0]
    assert "Nothing was done" in row["final_response"]
    assert service.http is not None
    assert not service.file.exists()


def test_what_was_tried_and_undone_is_told(tmp_path):
    planner = Wanting([[step(tmp_path / "file", "wrong")]])
    with serving(tmp_path, Policy((("allow", Fit()),)), planner) as service:
        row = service.post("ERROR: the thing is broken").json()["results"][0]
    assert row["outcome"] == "unresolved"
    assert "undone: append(" in row["final_response"]
    assert [each["name"] for each in row["tool_results"]].count("append") == 2
