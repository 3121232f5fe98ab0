"""The whole agent where a database session blocks others: waited for while it works, ended only where it was left."""

from __future__ import annotations

import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from act.handled import Site, done
from act.test_act_postgres import server, sessions, sql

pytestmark = pytest.mark.timeout(200)
__all__ = ["server", "sessions"]
LOG = """deploy: setting the price of article 1
psql:price.sql:1: ERROR:  canceling statement due to lock timeout
CONTEXT:  while updating tuple (0,1) in relation "article"
deploy: failed
"""
HOLD = ("begin", "update article set price = 5 where id = 1")


@pytest.fixture
def site(server: tuple[Path, str], tmp_path: Path) -> Iterator[Site]:
    site = Site(tmp_path)
    sql(server, "drop table if exists article", "create table article (id int primary key, price int)")
    sql(server, "insert into article values (1, 1), (2, 2)")
    site.inventory["services"]["db"] = {"supervisor": "command", "health": {"command": ["sh", "alive"]}}
    site.inventory["datastores"] = {"shop": {"kind": "postgres", "admin": server[1], "service": "db"}}
    set_price = "set lock_timeout = '700ms'; update article set price = 9 where id = 1"
    site.write("alive", f"psql -X -q -d '{server[1]}' -c 'select 1' >/dev/null\n")
    site.write("price", f"psql -X -q -v ON_ERROR_STOP=1 -d '{server[1]}' -c \"{set_price}\"\n")
    site.inventory["checks"] = {"price": {"command": ["sh", "price"], "timeout": 10, "effect": "change"}}
    yield site
    site.close()


def there(server: tuple[Path, str], application: str) -> str:
    """How many sessions an application has."""
    return sql(server, f"select count(*) from pg_stat_activity where application_name = '{application}'")


def waiting(server: tuple[Path, str]) -> subprocess.Popen[bytes]:
    """Somebody who waits for the same row."""
    address = f"{server[1]}&application_name=cashier"
    sells = "update article set price = 7 where id = 1"
    return subprocess.Popen(["psql", "-X", "-q", "-d", address, "-c", sells])


def prices(server: tuple[Path, str]) -> str:
    return sql(server, "select string_agg(price::text, ',' order by id) from article")


@pytest.mark.slow
def test_a_session_that_was_left_open_is_ended_and_no_other(
    site: Site, server: Any, sessions: Callable[..., None]
) -> None:
    sessions("forgotten", *HOLD)
    sessions("bystander", "begin", "update article set price = 6 where id = 2")
    with waiting(server) as cashier:
        time.sleep(21)
        report = site.handle(LOG)
        assert report["status"] == "resolved", report["summary"]
        assert done(report) == ["postgres_end_session", "run_check"]
        assert cashier.wait(10) == 0
    assert (there(server, "forgotten"), there(server, "bystander")) == ("0", "1")
    assert prices(server) == "9,2"


def test_a_session_that_works_is_waited_for(site: Site, server: Any, sessions: Callable[..., None]) -> None:
    body = "begin perform pg_sleep(8); return new; end"
    sql(server, f"create or replace function slow() returns trigger language plpgsql as $$ {body} $$")
    when = "for each row when (new.price = 4) execute function slow()"
    sql(server, f"create trigger slow after update on article {when}")
    worker = threading.Thread(target=sql, args=(server, "update article set price = 4 where id = 1"))
    worker.start()
    time.sleep(1)
    with waiting(server) as cashier:
        time.sleep(0.5)
        report = site.handle(LOG)
        worker.join(20)
        assert "postgres_end_session" not in done(report)
        assert report["status"] == "resolved", report["summary"]
        assert cashier.wait(10) == 0
    assert prices(server) == "9,2"


@pytest.mark.slow
def test_a_session_between_two_statements_is_waited_for(site: Site, server: Any, sessions: Callable[..., None]) -> None:
    address = f"{server[1]}&application_name=clerk"
    clerk = subprocess.Popen(["psql", "-X", "-q", "-d", address], stdin=subprocess.PIPE, text=True)
    assert clerk.stdin
    clerk.stdin.write("begin;\nupdate article set price = 4 where id = 1;\n")
    clerk.stdin.flush()
    time.sleep(1)
    with waiting(server) as cashier:
        time.sleep(0.5)
        commits = threading.Timer(6, lambda: clerk.communicate("commit;\n", timeout=10))
        commits.start()
        report = site.handle(LOG)
        commits.join()
        assert "postgres_end_session" not in done(report)
        assert report["status"] == "resolved", report["summary"]
        assert cashier.wait(10) == 0
    assert clerk.returncode == 0


def asking(site: Site, server: tuple[Path, str]) -> None:
    """A service that gives up soon where somebody else has the row: nobody is seen waiting but while it is asked."""
    asks = "set lock_timeout = '400ms'; begin; select 1 from article where id = 1 for update; rollback"
    site.write("asks", f"psql -X -q -v ON_ERROR_STOP=1 -d '{server[1]}' -c \"{asks}\" >/dev/null\n")
    site.inventory["services"]["shop"] = {"supervisor": "command", "health": {"command": ["sh", "asks"]}}
    site.inventory["checks"] = {}


def test_who_blocks_one_that_gives_up_soon_is_seen_and_waited_for_while_it_works(
    site: Site, server: Any, sessions: Callable[..., None]
) -> None:
    asking(site, server)
    sessions("import", *HOLD, "select pg_sleep(7)", "commit")
    report = site.handle(LOG)
    assert (report["status"], done(report)) == ("resolved", ["wait_until"]), report["summary"]
    assert (there(server, "import"), prices(server)) == ("1", "5,2")


@pytest.mark.slow
def test_who_blocks_one_that_gives_up_soon_is_ended_where_it_was_left(
    site: Site, server: Any, sessions: Callable[..., None]
) -> None:
    asking(site, server)
    sessions("forgotten", *HOLD)
    sessions("bystander", "begin", "update article set price = 6 where id = 2")
    time.sleep(21)
    report = site.handle(LOG)
    assert (report["status"], done(report)) == ("resolved", ["postgres_end_session"]), report["summary"]
    assert (there(server, "forgotten"), there(server, "bystander")) == ("0", "1")


def test_one_that_is_over_is_left_alone(site: Site, server: Any, sessions: Callable[..., None]) -> None:
    sessions("bystander", "begin", "update article set price = 6 where id = 2")
    report = site.handle(LOG)
    assert "postgres_end_session" not in done(report)
    assert there(server, "bystander") == "1"
