"""`jobs --watch`: the page's first view for terminals."""

import io
import os
import signal
import subprocess
import sys
import time

from rich.console import Console
from web_service import serving

from devops_agent.cli.watching import picture


def drawn(store):
    console = Console(width=120, record=True, file=io.StringIO())
    console.print(picture(store, 10))
    return console.export_text()


def test_it_shows_what_the_page_shows(tmp_path):
    with serving(tmp_path) as service:
        assert "All is quiet" in drawn(service.backend.jobs)
        job = service.post("ERROR: the thing is \x1b[31mbroken").json()["results"][0]["job_id"]
        text = drawn(service.backend.jobs)
        assert "1 plan waits for you" in text
        assert job in text
        assert "append" in text
        assert "\x1b" not in text
        service.http.post(f"/jobs/{job}/approve", json={"by": "ada"})
        assert service.backend.wait(job, 20)
        text = drawn(service.backend.jobs)
        assert "All is quiet" in text
        assert "Solved in the last 24 hours (1, 0 without a person)" in text


def test_it_stays_until_it_is_told_to_go(tmp_path):
    with serving(tmp_path) as service:
        environment = {**os.environ, "DEVOPS_AGENT_DATA_DIR": str(tmp_path / "data"), "COLUMNS": "200"}
        argv = [sys.executable, "-m", "devops_agent", "jobs", "--watch"]
        log = tmp_path / "seen.txt"
        with log.open("wb") as out:
            process = subprocess.Popen(argv, env=environment, stdout=out)
        try:
            _until(lambda: "All is quiet" in log.read_text())
            service.post("ERROR: the thing is broken")
            _until(lambda: "1 plan waits for you" in log.read_text())
        finally:
            process.send_signal(signal.SIGINT)
            assert process.wait(20) == 0


def _until(true):
    deadline = time.monotonic() + 40
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.1)
