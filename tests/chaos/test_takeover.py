"""A worker on another machine dies, or hangs and comes back: its job goes on elsewhere, within half a minute."""

import os
import signal
import subprocess
import sys
import time

import pytest
from sqlalchemy import select
from storm import SCRIPT

from devops_agent.jobs import audit
from devops_agent.jobs.store import Jobs
from devops_agent.jobs.tables import jobs as table
from devops_agent.jobs.tables import open_engine
from devops_agent.model import Incident
from postgres import Postgres

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]


def start(url, folder, machine):
    env = {**os.environ, "CHAOS_MACHINE": machine}
    with (folder / f"{machine}.log").open("ab") as log:
        return subprocess.Popen([sys.executable, str(SCRIPT), url, str(folder)], stdout=log, stderr=log, env=env)


def until(condition, folder, seconds=60):
    begun = time.monotonic()
    while not condition():
        logs = "".join(each.read_text()[-1500:] for each in folder.glob("*.log"))
        assert time.monotonic() - begun < seconds, logs
        time.sleep(0.05)
    return time.monotonic() - begun


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSTOP])
def test_another_machine_goes_on(tmp_path, how):
    (tmp_path / "traces" / "1").mkdir(parents=True)
    (tmp_path / "slow").touch()
    with Postgres() as server:
        url = server.database()
        jobs = Jobs(open_engine(url))
        log = f"ERROR in {tmp_path / 'traces' / '1'} here\nexit 1\n"
        job = jobs.submit([Incident(id="inc_1", title="trouble", log=log)]).jobs[0]

        def held_by(machine):
            with jobs.engine.connect() as connection:
                owner = connection.execute(select(table.c.owner).where(table.c.id == job)).scalar()
            return (owner or "").startswith(f"{machine}/")

        one = start(url, tmp_path, "one")
        two = None
        try:
            until(lambda: held_by("one"), tmp_path)
            two = start(url, tmp_path, "two")
            time.sleep(4)
            one.send_signal(how)
            took = until(lambda: held_by("two"), tmp_path)
            print(f"taken over after {took:.1f} s")
            assert took < 30
            (tmp_path / "slow").unlink()
            until(lambda: jobs.job(job).status == "done", tmp_path)
            if how == signal.SIGSTOP:
                one.send_signal(signal.SIGCONT)
                time.sleep(4)
                assert "lost the lease" in (tmp_path / "one.log").read_text()
        finally:
            for each in (one, two):
                if each is not None:
                    each.kill()
                    each.wait(10)
        assert jobs.job(job).outcome == "resolved"
        assert sorted(each.name[0] for each in (tmp_path / "traces" / "1").iterdir()) == ["a", "b"]
        assert list(audit.broken(jobs.engine)) == []
