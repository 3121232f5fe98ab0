"""Redis and Postgres, real ones, on sockets and ports of their own."""

from __future__ import annotations

import glob
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from devops_agent.errors import NotAllowed
from devops_agent.model import Step
from devops_agent.tools.toolbox import Toolbox

from .conftest import eventually

Box = Callable[..., Toolbox]
BIN = next(iter(sorted(glob.glob("/usr/lib/postgresql/*/bin"), reverse=True)), "")
AS = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []


@pytest.fixture
def redis(box: Box, workspace: Path, port: int) -> Iterator[Toolbox]:
    if not shutil.which("redis-server"):
        pytest.skip("redis-server is not installed")
    (workspace / "redis.conf").write_text(f"port {port}\nbind 127.0.0.1\nmaxmemory 3mb\nsave ''\n")
    with subprocess.Popen(["redis-server", "redis.conf"], cwd=workspace, stdout=subprocess.DEVNULL) as server:
        tools = box(datastores={"cache": {"kind": "redis", "url": f"redis://127.0.0.1:{port}", "config": "redis.conf"}})
        try:
            assert eventually(lambda: tools.probe("redis_info", {"datastore": "cache"})["up"])
            yield tools
        finally:
            server.terminate()


def test_redis(redis: Toolbox, workspace: Path) -> None:
    seen = redis.probe("redis_info", {"datastore": "cache"})
    assert (seen["maxmemory"], seen["policy"], seen["role"]) == (3 << 20, "noeviction", "master")
    step = Step(tool="redis_set", args={"datastore": "cache", "name": "maxmemory", "value": "67108864"})
    action = redis.preview(step, 1)
    outcome = redis.apply(action)
    assert outcome.status == "succeeded", outcome.output
    assert redis.probe("redis_setting", {"datastore": "cache", "name": "maxmemory"})["value"] == "67108864"
    assert "maxmemory 67108864" in (workspace / "redis.conf").read_text()
    assert redis.apply(action).status == "already"
    assert redis.revert(action).status == "succeeded"
    assert redis.probe("redis_setting", {"datastore": "cache", "name": "maxmemory"})["value"] == str(3 << 20)


def test_redis_is_not_weakened_and_its_password_not_told(redis: Toolbox) -> None:
    with pytest.raises(NotAllowed, match="weaken"):
        redis.preview(Step(tool="redis_set", args={"datastore": "cache", "name": "protected-mode", "value": "no"}), 1)
    with pytest.raises(NotAllowed):
        redis.probe("redis_setting", {"datastore": "cache", "name": "requirepass"})


@pytest.fixture
def postgres(box: Box, tmp_path: Path, port: int) -> Iterator[tuple[Toolbox, str]]:
    if not BIN or not shutil.which("psql"):
        pytest.skip("PostgreSQL is not installed")
    folder = Path("/tmp") / f"devops-agent-pg-{os.getpid()}"
    folder.mkdir()
    if AS:
        shutil.chown(folder, "postgres", "postgres")
    _run(folder, f"{BIN}/initdb", "-D", "d", "-A", "trust", "-U", "postgres", "--no-sync")
    options = f"-k {folder} -p {port} -c listen_addresses= -c max_connections=12 -c fsync=off"
    _run(folder, f"{BIN}/pg_ctl", "-D", "d", "-w", "-o", options, "-l", "log", "start")
    url = f"postgresql://postgres@/postgres?host={folder}&port={port}"
    try:
        yield box(datastores={"orders": {"kind": "postgres", "admin": url}}), url
    finally:
        _run(folder, f"{BIN}/pg_ctl", "-D", "d", "-m", "immediate", "stop")
        shutil.rmtree(folder)


def _run(folder: Path, *argv: str) -> None:
    """Run as the user whom the server may run as; its output must be no pipe, which the server would hold open."""
    subprocess.run(
        [*AS, *argv], cwd=folder, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=60
    )


def session(url: str, *statements: str) -> subprocess.Popen[str]:
    client = subprocess.Popen(
        ["psql", "-X", "-q", "-d", url], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True
    )
    assert client.stdin
    for statement in statements:
        client.stdin.write(f"{statement};\n")
        client.stdin.flush()
    return client


def test_postgres_blockers_are_found_and_only_they_are_ended(postgres: tuple[Toolbox, str]) -> None:
    tools, url = postgres
    store = {"datastore": "orders"}
    assert tools.probe("postgres_ready", store) == {
        "datastore": "orders",
        "up": True,
        "error": "",
        "replica": False,
        "read_only": False,
    }
    clients = [session(url, "CREATE TABLE t (a int)", "BEGIN", "LOCK TABLE t")]
    assert eventually(lambda: tools.probe("postgres_activity", store)["idle_in_transaction"])
    clients += [session(url, "SELECT count(*) FROM t"), session(url, "SELECT pg_sleep(60)")]
    try:
        assert eventually(lambda: tools.probe("postgres_activity", store)["blocked"])
        seen = tools.probe("postgres_activity", store)
        assert seen["max_connections"] == 12
        assert len(seen["blockers"]) == 1
        holder = seen["blockers"][0]["pid"]
        busy = next(each["pid"] for each in seen["sessions"] if "pg_sleep" in each["query"])
        with pytest.raises(NotAllowed, match="neither blocks"):
            tools.preview(Step(tool="postgres_end_session", args={**store, "pid": busy}), 1)
        action = tools.preview(Step(tool="postgres_end_session", args={**store, "pid": holder}), 1)
        outcome = tools.apply(action)
        assert outcome.status == "succeeded", outcome.output
        assert eventually(lambda: not tools.probe("postgres_activity", store)["blocked"])
        assert tools.probe("postgres_session", {**store, "pid": busy})["alive"]
        assert tools.apply(action).status == "already"
    finally:
        for client in clients:
            client.kill()
            client.wait(10)


def test_postgres_settings(postgres: tuple[Toolbox, str]) -> None:
    tools, _ = postgres
    assert tools.probe("postgres_setting", {"datastore": "orders", "name": "max_connections"})["value"] == "12"
    assert not tools.probe("postgres_setting", {"datastore": "orders", "name": "no_such_thing"})["known"]
    with pytest.raises(NotAllowed):
        tools.probe("postgres_setting", {"datastore": "orders", "name": "x'; DROP TABLE t; --"})


def test_a_postgres_that_is_not_there(box: Box) -> None:
    if not shutil.which("psql"):
        pytest.skip("psql is not installed")
    tools = box(datastores={"orders": {"kind": "postgres", "admin": "postgresql://postgres@127.0.0.1:1/x"}})
    seen = tools.probe("postgres_ready", {"datastore": "orders"})
    assert (seen["up"], "refused" in seen["error"]) == (False, True)


def test_an_address_with_a_password_is_refused(box: Box) -> None:
    stores = {
        "a": {"kind": "postgres", "admin": "postgresql://u:word@h/x"},
        "b": {"kind": "redis", "url": "redis://:word@h"},
    }
    tools = box(datastores=stores)
    for probe, name in (("postgres_activity", "a"), ("redis_info", "b")):
        with pytest.raises(NotAllowed) as refusal:
            tools.probe(probe, {"datastore": name})
        assert "word@" not in str(refusal.value)
