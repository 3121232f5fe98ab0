"""A Postgres that is gone without a word (its machine lost its network) while a worker is asking it something."""

import os
import shutil
import subprocess
import sys
import time

import pytest

from postgres import Postgres

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(os.getuid() != 0, reason="making networks needs root"),
    pytest.mark.skipif(not shutil.which("ip"), reason="ip (iproute2) is not installed"),
]
ASKING = """
import sys, time
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError
from devops_agent.jobs import database
with database.make_engine(sys.argv[1]).connect() as connection:
    connection.execute(text("SELECT 1"))
    print("asked", flush=True)
    sys.stdin.readline()
    try:
        connection.execute(text("SELECT 2"))
    except SQLAlchemyError as failure:
        print("passing" if database.passing(failure) else repr(failure), flush=True)
"""


def ip(*words):
    made = subprocess.run(["ip", *words], capture_output=True, text=True, check=False, timeout=20)
    if made.returncode:
        pytest.skip(f"ip {' '.join(words)}: {made.stderr.strip()[-200:]}")


@pytest.fixture
def elsewhere():
    """A network of two: this machine is 10.213.77.1, and in the namespace of this name is 10.213.77.2."""
    name = here = f"cut{os.getpid()}"
    ip("netns", "add", name)
    try:
        ip("link", "add", here, "type", "veth", "peer", "name", "there", "netns", name)
        ip("address", "add", "10.213.77.1/24", "dev", here)
        ip("link", "set", here, "up")
        ip("-n", name, "address", "add", "10.213.77.2/24", "dev", "there")
        ip("-n", name, "link", "set", "there", "up")
        yield name
    finally:
        for words in (("link", "delete", here), ("netns", "delete", name)):
            subprocess.run(["ip", *words], stderr=subprocess.DEVNULL, check=False, timeout=20)


def test_a_question_to_it_fails_within_half_a_minute(elsewhere):
    with Postgres(listen_addresses="10.213.77.1") as server:
        with (server.folder / "data" / "pg_hba.conf").open("a") as rules:
            rules.write("host all all 10.213.77.0/24 trust\n")
        server.psql("SELECT pg_reload_conf()")
        url = "postgresql://postgres@10.213.77.1/postgres"
        program = ["ip", "netns", "exec", elsewhere, sys.executable, "-c", ASKING, url]
        asking = subprocess.Popen(program, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        try:
            assert asking.stdout.readline() == "asked\n"
            ip("-n", elsewhere, "neighbour", "replace", "10.213.77.1", "lladdr", "02:00:00:00:00:01", "dev", "there")
            begun = time.monotonic()
            said, _ = asking.communicate("go on\n", timeout=60)
            assert (said, time.monotonic() - begun < 40) == ("passing\n", True)
        finally:
            asking.kill()
            asking.wait(10)
