"""What can be seen of the service: numbers, health of its parts, log lines."""

import json
import logging
import os
import sqlite3
import subprocess
import sys
import time
from contextlib import suppress

import httpx
import pytest
from test_web_server import SOLVED, free_port
from web_service import serving

from devops_agent import seen
from devops_agent.web import ready
from devops_agent.web.loglines import Lines

TOKEN = "ghp_" + "a1B2" * 9


def numbers(text):
    """Values by name and labels."""
    lines = (line.rpartition(" ") for line in text.splitlines() if line and not line.startswith("#"))
    return {name: float(value) for name, _, value in lines}


def test_jobs_stages_and_requests_are_counted(tmp_path):
    with serving(tmp_path) as service:
        before = numbers(service.http.get("/metrics").text)
        job = service.post("it broke").json()["job_id"]
        assert service.http.get("/jobs/none").status_code == 404
        found = numbers(service.http.get("/metrics").text)
        assert found["devops_agent_approvals_waiting"] == 1
        assert found['devops_agent_jobs_open{status="waiting"}'] == 1
        service.http.post(f"/jobs/{job}/approve", json={"by": "eve"})
        assert service.backend.wait(job, 20)
        for _ in range(100):
            after = numbers(service.http.get("/metrics").text)
            if after.get('devops_agent_jobs_total{outcome="resolved"}', 0):
                break
            time.sleep(0.05)

    def more(name):
        return after.get(name, 0) - before.get(name, 0)

    assert more('devops_agent_jobs_total{outcome="resolved"}') == 1
    assert more('devops_agent_actions_total{status="succeeded",tool="run_check"}') >= 0
    assert sum(more(name) for name in after if name.startswith("devops_agent_actions_total{")) >= 1
    assert more('devops_agent_stage_seconds_count{stage="distil"}') == 1
    assert more('devops_agent_stage_seconds_count{stage="once"}') == 1
    assert more('devops_agent_http_requests_total{method="POST",route="/process_errors",status="200"}') == 1
    assert more('devops_agent_http_requests_total{method="GET",route="/jobs/<job_id>",status="404"}') == 1
    assert job not in "".join(after)


def test_each_part_is_looked_at(tmp_path, monkeypatch):
    with serving(tmp_path) as service:
        assert service.http.get("/livez").json() == {"status": "alive"}
        assert service.http.get("/readyz").json()["parts"] == {"database": "ok", "queue": "ok", "disk": "ok"}
        monkeypatch.setattr(ready, "LEAST_BYTES", 1 << 62)
        answer = service.http.get("/readyz")
        assert (answer.status_code, answer.json()["parts"]["database"]) == (503, "ok")
        assert "MB are left" in answer.json()["parts"]["disk"]
        service.backend.stop()
        assert service.http.get("/readyz").json()["parts"]["queue"] == "the service is being stopped"
        with sqlite3.connect(tmp_path / "data" / "devops_agent.db") as database:
            database.execute("DROP TABLE job")
        assert service.http.get("/readyz").json()["parts"]["database"].startswith("does not work")
        assert service.http.get("/livez").status_code == 200


def record(message, *args, **more):
    made = logging.makeLogRecord({"name": "devops_agent.worker", "levelname": "INFO", "msg": message, "args": args})
    vars(made).update(more)
    return made


def test_a_line_has_its_ids_and_no_secret():
    with seen.about(request="r1", job="job_1", place=None):
        text = Lines(False).format(record("used %s", TOKEN, outcome="needs person"))
        line = json.loads(Lines(True).format(record("used %s", TOKEN, outcome="needs person", number=3)))
    assert text.endswith('devops_agent.worker: used [redacted:token:1] request=r1 job=job_1 outcome="needs person"')
    assert line["message"] == "used [redacted:token:1]"
    assert (line["request"], line["job"], line["number"], line["level"]) == ("r1", "job_1", 3, "info")
    assert "place" not in line
    assert "job" not in json.loads(Lines(True).format(record("later")))


def test_exceptions_are_masked_too():
    try:
        raise ValueError(f"token={TOKEN}")
    except ValueError:
        line = json.loads(Lines(True).format(record("it failed", exc_info=sys.exc_info())))
    assert line["exception"].startswith("Traceback")
    assert TOKEN not in line["exception"]


def test_numbers_of_all_processes_are_added_up(tmp_path):
    port = free_port()
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("DEVOPS_AGENT_", "PROMETHEUS_"))}
    env = {**kept, "DEVOPS_AGENT_DATA_DIR": str(tmp_path / "data"), "WEB_CONCURRENCY": "2"}
    env |= {"DEVOPS_AGENT_LOG_FORMAT": "json"}
    with (tmp_path / "log").open("w") as log:
        command = [sys.executable, "-m", "devops_agent", "serve", "--port", str(port)]
        process = subprocess.Popen(command, env=env, stdout=log, stderr=log)
    try:
        deadline = time.monotonic() + 40
        while time.monotonic() < deadline:
            with suppress(httpx.TransportError):
                httpx.get(f"http://127.0.0.1:{port}/livez")
                break
            time.sleep(0.1)
        for _ in range(6):
            assert httpx.post(f"http://127.0.0.1:{port}/process_errors", json=SOLVED, timeout=60).status_code == 200
        found = [numbers(httpx.get(f"http://127.0.0.1:{port}/metrics").text) for _ in range(4)]
        name = 'devops_agent_http_requests_total{method="POST",route="/process_errors",status="200"}'
        assert [each[name] for each in found] == [6.0] * 4
    finally:
        process.terminate()
        assert process.wait(30) == 0
    lines = [json.loads(line) for line in (tmp_path / "log").read_text().splitlines() if line.startswith("{")]
    ended = [line for line in lines if line["message"] == "job ended"]
    assert len(ended) == 6
    assert all(line["request"] and line["job"].startswith("job_") for line in ended)


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("distil", "distil"),
        ("0/diagnosis", "diagnosis"),
        ("2/look/disk_usage(path=/)#1", "look"),
        ("0/once/a1", "once"),
    ],
)
def test_stages_are_named_alike(path, kind):
    assert seen.kind(path) == kind
