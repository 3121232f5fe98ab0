"""A process that freezes or vanishes in the middle of a transaction (its machine is moved, swapping, unplugged)."""

import signal
import subprocess
import sys
import time

from sqlalchemy import text

from devops_agent.jobs import database

HOLDER = """
import sys
from sqlalchemy.exc import SQLAlchemyError
from devops_agent.jobs import database
database.IDLE_SECONDS = 2
try:
    with database.make_engine(sys.argv[1]).connect() as connection, connection.begin():
        database.alone(connection, "trail")
        print("holds", flush=True)
        sys.stdin.readline()
        database.alone(connection, "more")
    print("committed", flush=True)
except SQLAlchemyError as failure:
    print("passing" if database.passing(failure) else repr(failure), flush=True)
"""


def test_what_it_held_is_free_again_and_it_cannot_commit_afterwards(postgres):
    url = postgres.database()
    engine = database.make_engine(url)
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, url], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        assert holder.stdout.readline() == "holds\n"
        holder.send_signal(signal.SIGSTOP)
        begun = time.monotonic()
        with engine.connect() as connection, connection.begin():
            connection.execute(text("SET LOCAL lock_timeout = '20s'"))
            database.alone(connection, "trail")
        assert time.monotonic() - begun < 20
        holder.send_signal(signal.SIGCONT)
        said, _ = holder.communicate("go on\n", timeout=20)
        assert said == "passing\n"
    finally:
        holder.kill()
        holder.wait(10)
        engine.dispose()


def test_every_connection_has_the_limit_and_keeps_it(postgres):
    engine = database.make_engine(postgres.database())
    with engine.connect() as one, engine.connect() as two:
        shown = [each.execute(text("SHOW idle_in_transaction_session_timeout")).scalar() for each in (one, two)]
        one.rollback()
        shown.append(one.execute(text("SHOW idle_in_transaction_session_timeout")).scalar())
    engine.dispose()
    assert shown == [f"{database.IDLE_SECONDS}s"] * 3
