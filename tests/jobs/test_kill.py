"""kill -9 of a worker at every journal write: every job ends, nothing is done twice, nothing is hidden."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from devops_agent.jobs.store import Jobs
from devops_agent.jobs.tables import open_engine
from pipeline_parts import incident

SCRIPT = Path(__file__).with_name("dying_worker.py")


def work(database, folder, number, when):
    command = [sys.executable, str(SCRIPT), database, str(folder), str(number), when]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def submitted(folder):
    database = f"sqlite:///{folder / 'jobs.db'}"
    jobs = Jobs(open_engine(database))
    return database, jobs, jobs.submit([incident()]).jobs[0]


@pytest.fixture(scope="module")
def writes(tmp_path_factory):
    """How many journal writes an undisturbed walk makes."""
    folder = tmp_path_factory.mktemp("calm")
    database, jobs, job = submitted(folder)
    ended = work(database, folder, 0, "never")
    assert ended.returncode == 0, ended.stderr
    assert jobs.job(job).outcome == "resolved"
    assert (folder / "file").read_text() == "ab"
    return int(ended.stdout)


@pytest.mark.timeout(600)
def test_every_write_may_be_the_last(writes, tmp_path):
    assert writes > 12
    unknown = []
    for number in range(1, writes + 1):
        for when in ("before", "after"):
            folder = tmp_path / f"{number}-{when}"
            folder.mkdir()
            database, jobs, job = submitted(folder)
            killed = work(database, folder, number, when)
            assert killed.returncode == -signal.SIGKILL, killed.stderr
            ended = work(database, folder, 0, "never")
            assert ended.returncode == 0, ended.stderr
            row, made = jobs.job(job), jobs.report(job)
            assert row.status == "done"
            done = (folder / "file").read_text() if (folder / "file").exists() else ""
            statuses = [outcome.status for outcome in made.attempts[0].outcomes]
            if "unknown" in statuses:
                unknown.append((number, when))
                assert made.status == "unresolved"
                assert statuses == ["unknown", "skipped"] or statuses == ["succeeded", "unknown"]
                undone = bool(made.attempts[0].undone)
                assert done in (("",) if undone else ("", "a", "ab"))
            else:
                assert (made.status, done) == ("resolved", "ab")
    assert len(unknown) == 4
