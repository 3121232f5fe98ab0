"""A report as Markdown over HTTP: what it says, how it stands, and that log text cannot leave its block."""

from web_service import Service


def test_a_job_s_report_as_markdown(service: Service) -> None:
    made = service.post("Error: something failed\n````\n<script>alert(1)</script>").json()
    job = made["results"][0]["job_id"]
    answer = service.http.get(f"/jobs/{job}/report.md")
    assert answer.status_code == 200
    assert answer.headers["Content-Type"].startswith("text/markdown")
    assert answer.headers["Devops-Agent-Outcome"] == "needs_approval"
    text = answer.text
    assert text.startswith("## ")
    assert f"devops-agent approve {job}" in text
    assert text.count("````text") * 2 == text.count("````")


def test_of_a_job_that_nobody_has_answered_yet(tmp_path) -> None:
    from web_service import serving

    with serving(tmp_path, work=False) as service:
        batch = service.post("Error: x", address="/process_errors_async").json()["job_id"]
        job = service.backend.jobs.batch(batch).jobs[0].id
        answer = service.http.get(f"/jobs/{job}/report.md")
        assert answer.status_code == 202
        assert answer.headers["Devops-Agent-Outcome"] == "working"
        assert answer.headers["Retry-After"] == "1"


def test_of_no_job(service: Service) -> None:
    answer = service.http.get("/jobs/job_nothing/report.md")
    assert answer.status_code == 404
    assert "error" in answer.json()
