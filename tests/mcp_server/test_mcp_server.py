"""The MCP server, driven by the real client: over standard input and output, and over HTTP."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

pytest.importorskip("mcp")

from mcp import Client, StdioServerParameters

from devops_agent.jobs import keys
from devops_agent.jobs.tables import open_engine

REFUSED = "curl: (7) Failed to connect to 127.0.0.1 port 9 after 0 ms: Connection refused\nexit code 7\n"
LISTEN = "import socket, sys, time; s = socket.create_server(('127.0.0.1', int(sys.argv[1]))); time.sleep(600)"
NAMES = {"diagnose", "distil", "handle", "jobs", "job_status", "job_report", "approve", "deny", "probes", "look"}


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


class Shop:
    """A service that is down because a stray process of its own folder holds its port."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.port = folder, free_port()
        (folder / "shop.py").write_text(LISTEN)
        (folder / "stray.py").write_text(LISTEN)
        shop = {"supervisor": "command", "run": [sys.executable, "shop.py", str(self.port)], "ports": [self.port]}
        shop |= {
            "health": {
                "command": [
                    sys.executable,
                    "-c",
                    f"import pathlib,sys; sys.exit(not pathlib.Path({str(folder / 'fine')!r}).exists())",
                ]
            }
        }
        inventory = {"workspace": str(folder), "services": {"shop": shop}}
        self.inventory = folder / "shop.yaml"
        self.inventory.write_text(yaml.safe_dump(inventory))
        self.stray = subprocess.Popen([sys.executable, "stray.py", str(self.port)], cwd=folder)
        self.log = f"Error: listen EADDRINUSE: address already in use 127.0.0.1:{self.port}\nexit code 1\n"
        self.environment = {
            **os.environ,
            "DEVOPS_AGENT_DATA_DIR": str(folder / "data"),
            "DEVOPS_AGENT_PATIENCE_SECONDS": "0",
        }
        for name in ("OPENAI_API_KEY", "OPEN_AI_API_KEY"):
            self.environment.pop(name, None)

    @property
    def engine(self) -> Any:
        return open_engine(f"sqlite:///{self.folder / 'data' / 'devops_agent.db'}")

    def command(self, *more: str) -> list[str]:
        return [sys.executable, "-m", "devops_agent", "mcp", "--inventory", str(self.inventory), *more]

    def end(self) -> None:
        self.stray.kill()
        self.stray.wait(10)


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    made = Shop(tmp_path)
    try:
        yield made
    finally:
        made.end()


def over_stdio(shop: Shop, talk: Callable[[Client], Awaitable[None]], **environment: str) -> None:
    command, *args = shop.command()
    parameters = StdioServerParameters(command=command, args=args, env={**shop.environment, **environment})

    async def go() -> None:
        async with Client(parameters, read_timeout_seconds=60) as client:
            await talk(client)

    asyncio.run(asyncio.wait_for(go(), 100))


async def told(client: Client, name: str, **args: Any) -> dict[str, Any]:
    """The structured result of a tool; AssertionError with its text where it failed."""
    answer = await client.call_tool(name, args)
    text = "".join(getattr(each, "text", "") for each in answer.content)
    assert not answer.is_error, text
    return json.loads(text) if answer.structured_content is None else answer.structured_content


async def refused(client: Client, name: str, **args: Any) -> str:
    answer = await client.call_tool(name, args)
    assert answer.is_error
    return "".join(getattr(each, "text", "") for each in answer.content)


def test_over_stdio_everything_is_offered_and_the_client_may_not_approve(shop: Shop) -> None:
    async def talk(client: Client) -> None:
        listed = {each.name: each for each in (await client.list_tools()).tools}
        assert set(listed) == NAMES
        assert listed["handle"].annotations.destructive_hint
        assert listed["look"].annotations.read_only_hint
        assert "data" in (client.instructions or "")
        named = await told(client, "diagnose", log=REFUSED)
        assert named["cause"] == "connection_refused"
        assert any(line.startswith("> 1:") for line in named["excerpt"])
        found = await told(client, "look", probe="port_owner", args={"port": shop.port})
        assert found["result"]["pid"] == shop.stray.pid
        assert "no probe" in await refused(client, "look", probe="free_port", args={"port": shop.port})
        assert "metadata" in await refused(client, "look", probe="http_check", args={"url": "http://169.254.169.254/"})
        planned = await told(client, "handle", log=shop.log)
        assert planned["report"] == "planned"
        assert shop.stray.poll() is None
        waiting = await told(client, "handle", log=shop.log, dry_run=False)
        assert (waiting["status"], waiting["waiting"]) == ("waiting", "approval")
        plan = waiting["plan"]
        assert "free_port" in [each["tool"] for each in plan["actions"]]
        said = await refused(client, "approve", job=waiting["id"], fingerprint=plan["fingerprint"])
        assert "may not approve" in said
        assert shop.stray.poll() is None
        assert len((await told(client, "jobs"))["jobs"]) == 2
        assert "free_port" in (await told(client, "job_report", job=waiting["id"]))["text"]
        assert (await told(client, "deny", job=waiting["id"], reason="no"))["report"] == "needs_person"
        assert "no job" in await refused(client, "job_status", job="job_x")
        (shop.folder / "big.log").write_text("all is well\n" * 400_000 + REFUSED)
        assert (await told(client, "distil", file=str(shop.folder / "big.log")))["lines_read"] > 400_000
        assert "secrets" in await refused(client, "distil", file="/etc/shadow")

    over_stdio(shop, talk)


def test_a_person_approves_what_a_client_submitted(shop: Shop) -> None:
    async def talk(client: Client) -> None:
        waiting = await told(client, "handle", log=shop.log, dry_run=False)
        plan = waiting["plan"]["fingerprint"]
        command = [sys.executable, "-m", "devops_agent", "approve", waiting["id"], "--plan", plan, "--json"]
        ended = await asyncio.to_thread(subprocess.run, command, env=shop.environment, capture_output=True, timeout=60)
        assert ended.returncode in (0, 3), ended.stderr
        found = await told(client, "job_status", job=waiting["id"], wait=20)
        assert found["status"] == "done"
        assert found["outcomes"][0].startswith("attempt 1, a1: succeeded")

    over_stdio(shop, talk)
    assert shop.stray.wait(5) is not None


def test_a_client_approves_where_the_settings_let_it(shop: Shop) -> None:
    async def talk(client: Client) -> None:
        waiting = await told(client, "handle", log=shop.log, dry_run=False)
        assert "waits with another plan" in await refused(client, "approve", job=waiting["id"], fingerprint="0" * 12)
        done = await told(client, "approve", job=waiting["id"], fingerprint=waiting["plan"]["fingerprint"])
        assert done["outcomes"][0].startswith("attempt 1, a1: succeeded")

    over_stdio(shop, talk, DEVOPS_AGENT_MCP_MAY_APPROVE="1")
    assert shop.stray.wait(5) is not None


@pytest.fixture
def served(shop: Shop) -> Iterator[tuple[Shop, str]]:
    port = free_port()
    process = subprocess.Popen(
        shop.command("--http", "--port", str(port)), env=shop.environment, stdout=subprocess.PIPE
    )
    try:
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                break
            except OSError:
                time.sleep(0.1)
        yield shop, f"http://127.0.0.1:{port}/mcp"
    finally:
        process.terminate()
        process.wait(20)
        assert process.stdout is not None
        process.stdout.close()


HELLO = {"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {}}
ACCEPT = {"Accept": "application/json, text/event-stream"}


def test_over_http_hosts_origins_and_keys_are_checked(served: tuple[Shop, str]) -> None:
    shop, url = served

    async def talk() -> None:
        async with Client(url, read_timeout_seconds=60) as client:
            assert {each.name for each in (await client.list_tools()).tools} == NAMES
            assert (await told(client, "diagnose", log=REFUSED))["cause"] == "connection_refused"
            assert "stdio" in await refused(client, "diagnose", file="/etc/hostname")

    asyncio.run(asyncio.wait_for(talk(), 60))
    with httpx.Client(trust_env=False) as plain:
        assert plain.post(url, json=HELLO, headers={**ACCEPT, "Host": "evil.example"}).status_code == 421
        assert plain.post(url, json=HELLO, headers={**ACCEPT, "Origin": "http://evil.example"}).status_code == 403
        _, viewer = keys.create(shop.engine, "vera", "viewer")
        _, responder = keys.create(shop.engine, "rita", "responder")
        assert plain.post(url, json=HELLO, headers=ACCEPT).status_code == 401
        assert plain.post(url, json=HELLO, headers={**ACCEPT, "Authorization": "Bearer dak_x_y"}).status_code == 401

    async def with_key(key: str, talk: Callable[[Client], Awaitable[None]]) -> None:
        import httpx2
        from mcp.client.streamable_http import streamable_http_client

        headers = {"Authorization": f"Bearer {key}"}
        async with (
            httpx2.AsyncClient(headers=headers, trust_env=False) as inner,
            Client(streamable_http_client(url, http_client=inner), read_timeout_seconds=60) as client,
        ):
            await talk(client)

    async def looks_only(client: Client) -> None:
        assert (await told(client, "diagnose", log=REFUSED))["cause"] == "connection_refused"
        assert "needs the role responder" in await refused(client, "handle", log=shop.log)

    async def submits(client: Client) -> None:
        assert (await told(client, "handle", log=shop.log))["report"] == "planned"

    asyncio.run(asyncio.wait_for(with_key(viewer, looks_only), 60))
    asyncio.run(asyncio.wait_for(with_key(responder, submits), 60))


def test_beyond_loopback_it_does_not_start_without_a_key(shop: Shop) -> None:
    command = shop.command("--http", "--host", "0.0.0.0")
    ended = subprocess.run(command, check=False, env=shop.environment, capture_output=True, text=True, timeout=60)
    assert ended.returncode == 2
    assert "make a key first" in ended.stderr
