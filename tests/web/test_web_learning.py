"""What a person says the cause was, and statistics, over HTTP."""

from web_service import serving

from devops_agent.planners.runbook import RunbookPlanner
from devops_agent.runbooks.load import library


def test_a_cause_is_corrected_and_confirmed(service):
    job = service.post("No failure words, but the thing is broken: ERROR").json()["results"][0]["job_id"]
    waits = service.http.post(f"/jobs/{job}/cause", json={"cause": "disk_full"})
    assert waits.status_code == 400
    assert "has not ended" in waits.text
    service.http.post(f"/jobs/{job}/deny", json={"by": "ada"})
    assert service.backend.wait(job, 20)
    said = service.http.post(f"/jobs/{job}/cause", json={"cause": "disk_full", "by": "ada", "reason": "I looked"})
    assert said.status_code == 200
    assert said.json()["status"] == "corrected"
    verdict = service.http.get(f"/jobs/{job}").json()["verdict"]
    assert (verdict["cause"], verdict["by"], verdict["reason"]) == ("disk_full", "ada", "I looked")
    again = service.http.post(f"/jobs/{job}/cause", json={"cause": said.json()["answered"]})
    assert again.json()["status"] == "confirmed"
    for body, named in (({}, "cause: missing"), ({"cause": "nonsense"}, "nonsense"), ({"cause": 3}, "cause: expected")):
        refused = service.http.post(f"/jobs/{job}/cause", json=body)
        assert refused.status_code == 400
        assert named in refused.text
    assert service.http.post("/jobs/job_x/cause", json={"cause": "disk_full"}).status_code == 404


def test_statistics(service):
    service.post("ERROR: the thing is broken")
    said = service.http.get("/stats").json()
    assert {"fails_most", "stays_unknown", "never_fired", "solved", "jobs_by_outcome"} <= set(said)
    assert "disk_full" in " ".join(said["never_fired"])


def test_health_tells_of_a_broken_runbook_and_the_old_ones_stay(tmp_path):
    own = tmp_path / "own"
    own.mkdir()
    planner = RunbookPlanner(library())
    with serving(tmp_path, planner=planner, runbooks=own) as service:
        service.post("anything")
        assert service.http.get("/health").json()["runbooks_problem"] is None
        (own / "broken.yaml").write_text("id: broken\n")
        health = service.http.get("/health").json()
        assert health["status"] == "healthy"
        assert "broken.yaml: cause: missing" in health["runbooks_problem"]
        (own / "broken.yaml").unlink()
        assert service.http.get("/health").json()["runbooks_problem"] is None
