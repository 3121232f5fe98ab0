"""`keys`: made, listed, rotated and revoked on the command line; shown once, kept as a hash."""

from __future__ import annotations

import json
import sqlite3
from datetime import UTC, datetime, timedelta

import pytest

from devops_agent import cli
from devops_agent.cli.keys import moment
from devops_agent.errors import RequestError
from devops_agent.jobs import keys
from devops_agent.jobs.tables import open_engine


@pytest.fixture
def run(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("DEVOPS_AGENT_DATA_DIR", str(tmp_path))

    def call(*arguments, status=0):
        with pytest.raises(SystemExit) as ended:
            cli.main(["keys", *arguments])
        told = capsys.readouterr()
        assert ended.value.code == status, told.err
        return told

    call.folder = tmp_path
    call.engine = lambda: open_engine(f"sqlite:///{tmp_path / 'devops_agent.db'}")
    return call


def test_a_key_opens_until_it_is_revoked_and_is_kept_as_a_hash(run):
    told = run("create", "ann", "--role", "approver", "--place", "shop")
    text = told.out.strip()
    assert "once" in told.err
    engine = run.engine()
    found = keys.opened(engine, text)
    assert found is not None
    assert (found.name, found.role, found.places, found.used) == ("ann", "approver", ("shop",), None)
    assert keys.opened(engine, text + "x") is None
    assert keys.opened(engine, f"dak_{found.id}_guess") is None
    assert keys.opened(engine, "") is None
    database = sqlite3.connect(run.folder / "devops_agent.db")
    secret = text.split("_", 2)[2]
    assert not any(secret in str(row) for row in database.execute("select * from api_key"))
    assert not any(secret in str(row) for row in database.execute("select * from audit"))
    listed = run("list").out
    assert "ann" in listed
    assert secret not in listed
    run("revoke", found.id)
    assert keys.opened(engine, text) is None
    assert "revoked" in run("list").out
    assert keys.exist(engine)
    assert [row[0] for row in database.execute("select event from audit")] == ["key created", "key revoked"]


def test_a_rotated_key_goes_on_for_the_overlap_only(run):
    first = json.loads(run("create", "ci", "--role", "responder", "--json").out)
    second = json.loads(run("rotate", first["id"], "--overlap", "1h", "--json").out)
    assert (second["name"], second["role"], second["replaces"]) == ("ci", "responder", first["id"])
    engine = run.engine()
    assert keys.opened(engine, first["key"])
    assert keys.opened(engine, second["key"])
    third = json.loads(run("rotate", second["id"], "--overlap", "0s", "--json").out)
    assert keys.opened(engine, second["key"]) is None
    assert keys.opened(engine, third["key"])
    assert "revoked or has expired" in run("rotate", second["id"], status=2).err


def test_what_is_wrong_is_told_by_its_name(run):
    assert "role" in run("create", "ann", "--role", "boss", status=2).err
    assert "expires" in run("create", "ann", "--expires", "soon", status=2).err
    assert "expires" in run("create", "ann", "--expires", "2001-01-01", status=2).err
    assert "name" in run("create", " ", status=2).err
    assert "no key" in run("revoke", "nothing", status=2).err
    assert run("list").out == ""


def test_times_are_spans_or_dates():
    assert abs(moment("90d") - datetime.now(UTC) - timedelta(days=90)) < timedelta(minutes=1)
    assert moment("2031-01-31") == datetime(2031, 1, 31, tzinfo=UTC)
    with pytest.raises(RequestError):
        moment("90 days")


def test_the_first_key_of_a_container_goes_to_a_file_once(run):
    file = run.folder / "first-key"
    arguments = ("create", "first", "--role", "admin", "--if-none", "--to", str(file))
    assert run(*arguments).out == ""
    assert file.stat().st_mode & 0o777 == 0o600
    found = keys.opened(run.engine(), file.read_text().strip())
    assert found is not None
    assert found.role == "admin"
    file.unlink()
    run(*arguments)
    assert not file.exists()
    assert len(keys.listed(run.engine())) == 1


def test_no_key_is_made_that_could_not_be_written(run):
    file = run.folder / "taken"
    file.touch()
    assert "--to" in run("create", "x", "--to", str(file), status=2).err
    assert keys.listed(run.engine()) == []
