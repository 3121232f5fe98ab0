"""A full Redis: raised to what the team states, asked about where only a comment says it; no key is ever lost."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from act.handled import Site, done, eventually, free_port

pytestmark = [
    pytest.mark.timeout(120),
    pytest.mark.skipif(not (shutil.which("redis-server") and shutil.which("redis-cli")), reason="no Redis here"),
]
LOG = "shop: cannot keep the cart: OOM command not allowed when used memory > 'maxmemory'.\nexit status 1\n"
FILL = (
    "for i = 1, 9000 do local r = redis.pcall('set', 'cart:' .. i, string.rep('x', 2000)) "
    "if type(r) == 'table' and r.err then return i end end"
)


class Cache(Site):
    """A Redis that is full, with keys that nobody can make anew."""

    def __init__(self, folder: Path, config: str) -> None:
        super().__init__(folder)
        self.port = free_port()
        head = f'port {self.port}\nbind 127.0.0.1\ndir {folder}\nsave ""\n'
        self.write("redis.conf", f"{head}{config}\nmaxmemory 6mb\nmaxmemory-policy noeviction\n")
        health = {"command": ["bin/may-write"]}
        self.write("bin/may-write", f"#!/bin/sh\nredis-cli -p {self.port} set probe 1 | grep -q OK\n", 0o755)
        self.service("redis", "exec redis-server redis.conf", ports=[self.port], health=health)
        store = {"kind": "redis", "url": f"redis://127.0.0.1:{self.port}", "config": "redis.conf", "service": "redis"}
        self.inventory["datastores"] = {"cache": store}
        assert eventually(lambda: self.cli("ping") == "PONG")
        self.cli("eval", FILL, "0")
        self.keys = self.cli("dbsize")

    def cli(self, *argv: str) -> str:
        """What Redis answers."""
        ended = subprocess.run(
            ["redis-cli", "-p", str(self.port), *argv], capture_output=True, text=True, check=False, timeout=30
        )
        return ended.stdout.strip()

    @property
    def limit(self) -> str:
        """The limit in force."""
        return self.cli("config", "get", "maxmemory").split()[-1]


@pytest.fixture
def cache(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Cache]:
    site = Cache(tmp_path, getattr(request, "param", ""))
    yield site
    site.close()


@pytest.mark.parametrize("cache", ["# memory: up to 64mb are set aside for this server"], indirect=True)
def test_what_only_a_comment_says_is_asked_about_with_the_value(cache):
    before = (cache.folder / "redis.conf").read_bytes()
    report = cache.handle(LOG)
    last = report["attempts"][-1]
    assert report["status"] == "needs_person"
    assert last["diagnosis"]["cause"] == "cache_out_of_memory"
    assert "proposed: 67108864" in report["summary"]
    assert done(report) == []
    assert (cache.limit, cache.keys) == (str(6 << 20), cache.cli("dbsize"))
    assert (cache.folder / "redis.conf").read_bytes() == before


def test_what_the_inventory_states_is_given_for_good(cache):
    cache.inventory["datastores"]["cache"]["memory"] = "64mb"
    report = cache.handle(LOG)
    assert report["status"] == "resolved", report["summary"]
    assert done(report) == ["redis_set"]
    assert cache.limit == str(64 << 20)
    assert "maxmemory 67108864" in (cache.folder / "redis.conf").read_text()
    assert int(cache.cli("dbsize")) >= int(cache.keys)


def test_what_its_configuration_file_sets_is_told_to_the_running_server(cache: Cache) -> None:
    config = cache.folder / "redis.conf"
    config.write_text(config.read_text().replace("maxmemory 6mb", "# maxmemory 4gb\nmaxmemory 64mb"))
    report = cache.handle(LOG)
    assert (report["status"], done(report)) == ("resolved", ["redis_set"]), report["summary"]
    assert (cache.limit, cache.cli("dbsize")) == (str(64 << 20), str(int(cache.keys) + 1))


@pytest.mark.parametrize("cache", ["# the dump had 64mb yesterday"], indirect=True)
def test_where_nothing_is_said_a_person_decides_and_no_key_goes(cache):
    report = cache.handle(LOG)
    assert (report["status"], done(report)) == ("needs_person", [])
    assert (cache.limit, cache.keys) == (str(6 << 20), cache.cli("dbsize"))


def test_a_store_that_has_used_up_its_budget_is_for_a_person(cache):
    cache.inventory["datastores"]["cache"]["memory"] = 6 << 20
    report = cache.handle(LOG)
    assert (report["status"], done(report)) == ("needs_person", [])
    assert cache.limit == str(6 << 20)
