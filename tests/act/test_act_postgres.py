"""PostgreSQL: which sessions may be ended, which rights were forgotten. A real server, real sessions."""

from __future__ import annotations

import glob
import os
import shutil
import socket
import subprocess
import time
from pathlib import Path

import pytest

from act.places import do, toolbox
from devops_agent.errors import NotAllowed, StalePlan
from devops_agent.model import Step
from devops_agent.tools.catalogue import postgres_sessions

BIN = next(iter(sorted(glob.glob("/usr/lib/postgresql/*/bin"), reverse=True)), "")
AS = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []


@pytest.fixture(scope="module")
def server():
    if not BIN or not shutil.which("psql"):
        pytest.skip("PostgreSQL is not installed")
    folder = Path("/tmp") / f"devops-agent-act-{os.getpid()}"
    folder.mkdir()
    if AS:
        shutil.chown(folder, "postgres", "postgres")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]

    def run(*argv):
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        subprocess.run([*AS, *argv], cwd=folder, check=True, timeout=60, **quiet)

    run(f"{BIN}/initdb", "-D", "d", "-A", "trust", "-U", "postgres", "--no-sync")
    options = f"-k {folder} -p {port} -c listen_addresses= -c max_connections=10 -c fsync=off"
    run(f"{BIN}/pg_ctl", "-D", "d", "-w", "-o", options, "-l", "log", "start")
    try:
        yield folder, f"postgresql://postgres@/postgres?host={folder}&port={port}"
    finally:
        run(f"{BIN}/pg_ctl", "-D", "d", "-m", "immediate", "stop")
        shutil.rmtree(folder)


@pytest.fixture
def box(server, tmp_path, monkeypatch):
    monkeypatch.setattr(postgres_sessions, "WATCHED_SECONDS", 1.0)
    folder, url = server
    return toolbox(
        tmp_path,
        services={"db": {"logs": [str(folder / "log")]}},
        datastores={"shop": {"kind": "postgres", "admin": url, "service": "db"}},
    )


def sql(server, *statements, ok=True):
    argv = ["psql", "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-d", server[1]]
    for statement in statements:
        argv += ["-c", statement]
    ended = subprocess.run(argv, capture_output=True, text=True, timeout=20, check=False)
    assert not ok or ended.returncode == 0, ended.stderr
    return ended.stdout.strip()


@pytest.fixture
def sessions(server):
    """Sessions of an application that do what they are told, and then stay as they are."""
    started = []

    def start(application, *statements, count=1):
        for _ in range(count):
            address = f"{server[1]}&application_name={application}"
            client = subprocess.Popen(
                ["psql", "-X", "-q", "-d", address], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True
            )
            client.stdin.write("".join(f"{each};\n" for each in statements))
            client.stdin.flush()
            started.append(client)
        asked = f"select count(*) from pg_stat_activity where application_name = '{application}'"
        end = time.monotonic() + 10
        while sql(server, asked) != str(count) and time.monotonic() < end:
            time.sleep(0.1)
        time.sleep(0.3)

    yield start
    for client in started:
        client.kill()
        client.wait()
        client.stdin.close()
    time.sleep(0.3)


def alive(server, application):
    return int(sql(server, f"select count(*) from pg_stat_activity where application_name = '{application}'"))


def test_sessions_that_were_left_open_are_ended_and_no_others(box, server, sessions):
    sessions("leaky", "begin", "select 1", count=4)
    sessions("report", "select pg_sleep(60)")
    seen = box.probe("postgres_connections", {"datastore": "shop"})
    assert (seen["leak"], seen["leaked"], seen["unsaved"]) == ("leaky", 4, 0)
    assert do(box, "end_idle_sessions", datastore="shop", application="leaky").status == "succeeded"
    assert (alive(server, "leaky"), alive(server, "report")) == (0, 1)


def test_sessions_of_a_healthy_program_are_only_idle_for_moments(box, server, sessions):
    loop = "begin; " + "select 1; select pg_sleep(0.1); " * 60
    sessions("healthy", *loop.split("; ")[:-1], count=4)
    time.sleep(0.5)
    seen = box.probe("postgres_connections", {"datastore": "shop"})
    assert (seen["leak"], seen["leaked"]) == (None, 0)
    with pytest.raises(StalePlan):
        box.preview(Step(tool="end_idle_sessions", args={"datastore": "shop", "application": "healthy"}), 1)
    assert alive(server, "healthy") == 4


def test_what_is_written_and_not_committed_is_not_thrown_away(box, server, sessions):
    sql(server, "create table if not exists book (n int)")
    sessions("import", "begin", "insert into book values (1)", count=4)
    seen = box.probe("postgres_connections", {"datastore": "shop"})
    assert (seen["leak"], seen["unsaved"]) == (None, 4)
    pid = int(sql(server, "select min(pid) from pg_stat_activity where application_name = 'import'"))
    with pytest.raises(NotAllowed, match="still open"):
        box.preview(Step(tool="postgres_end_session", args={"datastore": "shop", "pid": pid}), 1)
    assert alive(server, "import") == 4


def test_one_that_moved_since_the_plan_was_made_stays(box, server, sessions):
    sessions("leaky", "begin", "select 1", count=4)
    time.sleep(1.1)
    action = box.preview(Step(tool="end_idle_sessions", args={"datastore": "shop", "application": "leaky"}), 1)
    stale = [{**each, "moved": "1.5"} for each in action.pinned["sessions"]]
    tool = box.tools["end_idle_sessions"]
    values = {"place": box.place, "datastore": "shop", "application": "leaky", "sessions": stale}
    assert box.apply(action.model_copy(update={"commands": tuple(tool.call(values))})).status == "succeeded"
    assert alive(server, "leaky") == 4


@pytest.fixture
def role(server):
    sql(server, "drop owned by clerk", "drop role clerk", ok=False)
    sql(server, "create role clerk login", "drop table if exists orders, invoices", "create table orders (n int)")
    sql(server, "grant select, insert on orders to clerk", "create table invoices (id serial primary key, n int)")
    yield "clerk"
    sql(server, "drop table orders, invoices", "drop role clerk")


def refused(server, statement):
    sql(server, "set session authorization clerk", statement, ok=False)


def test_a_forgotten_right_is_found_granted_and_taken_back(box, server, role):
    refused(server, "select n from invoices")
    seen = box.probe("postgres_denied", {"datastore": "shop", "table": "invoices"})
    assert (seen["privilege"], seen["role"], seen["meant"], seen["decided"]) == ("SELECT", role, True, False)
    args = {"datastore": "shop", "role": role, "privilege": "SELECT", "table": "invoices"}
    action = box.preview(Step(tool="grant_privilege", args=args), 1)
    assert box.apply(action).status == "succeeded"
    assert box.probe("postgres_privilege", args)["has"] is True
    assert box.apply(action).status == "already"
    assert box.revert(action).status == "succeeded"
    assert box.probe("postgres_privilege", args)["has"] is False


@pytest.mark.parametrize(
    "decision",
    [
        "revoke all on invoices from clerk",
        "comment on table invoices is 'accounting only'",
        "alter table invoices enable row level security",
        "grant insert on invoices to clerk",
        "grant select (id) on invoices to clerk",
    ],
)
def test_a_right_that_is_missing_on_purpose_is_not_forgotten(box, server, role, decision):
    sql(server, decision)
    refused(server, "select n from invoices")
    seen = box.probe("postgres_denied", {"datastore": "shop", "table": "invoices"})
    assert (seen["roles"], seen["meant"], seen["decided"]) == ([role], False, True)


def test_a_schema_whose_tables_a_role_may_use_is_opened_to_it_alone(box, server, role):
    sql(server, "create schema accounts", "create table accounts.bills (n int)")
    asked = {"datastore": "shop", "name": "accounts"}
    try:
        with pytest.raises(NotAllowed, match="no rights on tables"):
            do(box, "grant_schema", datastore="shop", role=role, name="accounts")
        sql(server, "grant select on accounts.bills to clerk")
        assert box.probe("postgres_schema", asked)["role"] == role
        action = box.preview(Step(tool="grant_schema", args={**asked, "role": role}), 1)
        assert box.apply(action).status == "succeeded"
        sql(server, "set session authorization clerk", "select n from accounts.bills")
        assert sql(server, "select has_schema_privilege('clerk', 'accounts', 'CREATE')") == "f"
        assert box.revert(action).status == "succeeded"
        assert box.probe("postgres_schema", asked)["role"] == role
    finally:
        sql(server, "drop schema accounts cascade")


def test_the_sequence_of_a_table_that_a_role_may_insert_into(box, server, role):
    sql(server, "grant insert on invoices to clerk")
    seen = box.probe("postgres_sequence", {"datastore": "shop", "sequence": "invoices_id_seq"})
    assert (seen["table"], seen["role"]) == ("invoices", role)
    outcome = do(box, "grant_sequence", datastore="shop", role=role, sequence="invoices_id_seq")
    assert outcome.status == "succeeded"
    sql(server, "set session authorization clerk", "insert into invoices (n) values (1)")


def test_a_sequence_is_not_given_to_one_who_may_not_insert(box, server, role):
    assert box.probe("postgres_sequence", {"datastore": "shop", "sequence": "invoices_id_seq"})["roles"] == []
    with pytest.raises(NotAllowed, match="may not insert"):
        do(box, "grant_sequence", datastore="shop", role=role, sequence="invoices_id_seq")


@pytest.mark.skipif(not shutil.which("psql"), reason="psql is not installed")
def test_a_password_in_the_address_is_refused(tmp_path):
    for admin in ("postgresql://a:b@h/d", "host=h password=b", "postgresql://h/d?password=b"):
        place = toolbox(tmp_path, datastores={"shop": {"kind": "postgres", "admin": admin}})
        with pytest.raises(NotAllowed, match="password"):
            place.probe("postgres_setting", {"datastore": "shop", "name": "fsync"})


@pytest.mark.parametrize(
    ("query", "rows"),
    [
        ("select 1 as one", [{"one": 1}]),
        ("SELECT count(*) AS n FROM pg_stat_activity WHERE state = 'it''s ;) (' ;", [{"n": 0}]),
        ("with a as (values (1), (2)) select max(column1) from a", [{"max": 2}]),
        ("select 'x' as password, 'postgresql://a:b@c/d' as note", [{"password": "***", "note": "***"}]),
        (
            "select pg_size_pretty(pg_database_size(datname)) is not null as known from pg_database limit 1",
            [{"known": True}],
        ),
    ],
)
def test_a_question_that_only_reads(box, query, rows):
    assert box.probe("postgres_query", {"datastore": "shop", "query": query})["rows"] == rows


def test_an_answer_has_an_end(box):
    seen = box.probe("postgres_query", {"datastore": "shop", "query": "select n from generate_series(1, 1000) as n"})
    assert (seen["count"], seen["more"]) == (50, True)


@pytest.mark.parametrize(
    "query",
    [
        "select pg_terminate_backend(1)",
        "select pg_catalog.pg_terminate_backend(1)",
        "select public.count(1)",
        'select "pg_terminate_backend"(1)',
        'select "pg_terminate_backend" (1)',
        "select pg_sleep/**/(1)",
        "select 1; drop table t",
        "select 1) as a; select (1",
        "select 1) as a, (select 1",
        "select \"a'\", pg_read_file('/etc/passwd'), \"'b\"",
        "select U&\"pg\\005fread_file\"('/etc/passwd')",
        "select $$'$$, pg_read_file('x'), $$'$$",
        "select 'a\\', pg_read_file('x'), '",
        "with a as (delete from t returning 1) select * from a",
        "select 1 into t",
        "select * from t for update",
        "select rolpassword from pg_authid",
        "copy t to program 'id'",
        "explain analyze delete from t",
        "do $$ begin end $$",
        "select set_config('a.b', 'c', false)",
        "select lo_import('/etc/passwd')",
        "select query_to_xml('select 1', true, true, '')",
        "select nextval('s')",
        "select current_setting('x') -- ' \n, pg_sleep(9)",
    ],
)
def test_a_question_that_could_do_more_is_not_asked(box, query):
    with pytest.raises(NotAllowed):
        box.probe("postgres_query", {"datastore": "shop", "query": query})


def test_the_session_itself_can_only_read(box, server):
    from devops_agent.tools import psql

    host = box.host({"datastore": "shop"})
    argv = psql.read_only(box.place, "shop", "create table made_by_a_question (a int)")
    assert "read-only transaction" in host.attempt(*argv).errors
