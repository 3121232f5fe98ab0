"""Storms: workers are killed, paused and robbed of database, disk and clock, under load.

Afterwards no job is lost, no action was started twice, every job has ended, and the audit trail is intact.
`CHAOS_SECONDS` says how long the kills go on.
"""

import os
import random
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path

import pytest
from sqlalchemy import select
from storm import SECONDS, Storm

from devops_agent.jobs.tables import jobs as table
from devops_agent.model import SCHEMA_VERSION
from postgres import Postgres

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


def told(name, facts):
    print(f"{name}: {facts}")
    assert facts["jobs"] > 10


def rage(storm, seconds):
    """Kill workers at random; pause one for longer than its lease, twice."""
    drawn = random.Random(11)
    end = time.monotonic() + seconds
    pauses = [time.monotonic() + seconds * part for part in (0.1, 0.5)]
    while time.monotonic() < end:
        time.sleep(drawn.uniform(0.3, 3.0))
        storm.kill_one()
        if pauses and time.monotonic() > pauses[0]:
            pauses.pop(0)
            storm.pause_one(18)


def test_workers_are_killed_on_sqlite(tmp_path):
    with Storm(f"sqlite:///{tmp_path / 'jobs.db'}", tmp_path, workers=2) as storm:
        rage(storm, SECONDS)
        storm.settle()
        told("sqlite, killed", storm.check())


def test_workers_are_killed_on_postgres(tmp_path):
    with Postgres() as server, Storm(server.database(), tmp_path, workers=4) as storm:
        rage(storm, SECONDS)
        storm.settle()
        told("postgres, killed", storm.check())


def test_postgres_crashes_and_pauses(tmp_path):
    with Postgres(fsync="on") as server, Storm(server.database(), tmp_path, workers=2) as storm:
        time.sleep(6)
        for how in (signal.SIGQUIT, signal.SIGINT):  # as by a crash; in order
            server.stop(how)
            time.sleep(2)
            server.start()
            time.sleep(4)
        server.pause()
        time.sleep(17)  # longer than a lease
        server.resume()
        time.sleep(4)
        storm.settle()
        facts = storm.check()
        told("postgres, restarted and paused", facts)
        assert facts["errors"] == 0


@pytest.fixture
def small_disk():
    """A filesystem of its own that can be filled; needs root."""
    if os.getuid() != 0 or shutil.which("mount") is None:
        pytest.skip("needs root, to mount a small filesystem")
    folder = Path(tempfile.mkdtemp(prefix="small-"))  # where others than root may enter, as Postgres must
    folder.chmod(0o755)
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=160m", "tmpfs", str(folder)], check=False)
    if mounted.returncode:
        folder.rmdir()
        pytest.skip("this machine lets nobody mount a filesystem")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=False)
    folder.rmdir()


def fill(folder):
    """Leave no space at all."""
    with (folder / "filler").open("wb", buffering=0) as file:
        for size in (1 << 20, 4096, 1):
            try:
                while True:
                    file.write(b"x" * size)
            except OSError:
                continue


def test_the_disk_is_full_for_sqlite(tmp_path, small_disk):
    with Storm(f"sqlite:///{small_disk / 'jobs.db'}", tmp_path, workers=2) as storm:
        time.sleep(5)
        for _ in range(2):
            fill(small_disk)
            time.sleep(6)
            (small_disk / "filler").unlink()
            time.sleep(5)
        storm.settle()
        facts = storm.check()
        told("sqlite, disk full", facts)
        assert facts["refused"] > 0


def test_the_disk_is_full_for_postgres(tmp_path, small_disk):
    folder = small_disk / "pg"
    folder.mkdir()
    chosen = {"fsync": "on", "max_wal_size": "32MB", "min_wal_size": "32MB", "wal_recycle": "off"}
    with Postgres(folder, **chosen) as server, Storm(server.database(), tmp_path, workers=2) as storm:
        time.sleep(5)
        for _ in range(2):
            fill(small_disk)
            time.sleep(8)
            (small_disk / "filler").unlink()
            if server.process.poll() is not None:  # it gave up when it could not write its log
                server.start()
            time.sleep(6)
        storm.settle()
        told("postgres, disk full", storm.check())


@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
def test_workers_are_upgraded_one_after_the_other(tmp_path, kind):
    """Jobs in flight go over. What the version before had begun to do is not done again: a person looks at it."""

    def roll(url):
        with Storm(url, tmp_path, workers=3) as storm:
            time.sleep(5)
            assert [storm.upgrade_one(number) for number in range(3)] == [0, 0, 0]
            time.sleep(3)
            storm.settle()
            facts = storm.check()
            told(f"{kind}, upgraded", facts)
            errors = {row.error for row in storm.jobs.list(status="error", limit=1000)}
            assert all("begun by another version" in each for each in errors), errors
            assert facts["errors"] <= 12  # a few for each that was ended in the middle of its work
            with storm.jobs.engine.connect() as connection:
                ended = connection.execute(select(table.c.version).where(table.c.status == "done")).scalars().all()
            assert set(ended) == {SCHEMA_VERSION, SCHEMA_VERSION + 1}, "both versions have ended jobs"

    if kind == "sqlite":
        roll(f"sqlite:///{tmp_path / 'jobs.db'}")
    else:
        with Postgres() as server:
            roll(server.database())


@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
def test_the_clock_is_moved(tmp_path, kind):
    def blow(url):
        with Storm(url, tmp_path, workers=2) as storm:
            for offset in (0, 3600, -7200, 86400, -30, 0):
                (tmp_path / "clock").write_text(str(offset))
                time.sleep(3)
                storm.kill_one()
            storm.settle()
            told(f"{kind}, clock moved", storm.check())

    if kind == "sqlite":
        blow(f"sqlite:///{tmp_path / 'jobs.db'}")
    else:
        with Postgres() as server:
            blow(server.database())
