"""Faults whose log is that of an easier one: the obvious remedy harms or does not help. Real services."""

from __future__ import annotations

import os
import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from act.handled import APP, Site, done, eventually, free_port

pytestmark = pytest.mark.timeout(150)


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    site = Site(tmp_path)
    yield site
    site.close()


def test_who_answers_at_a_port_is_not_taken_for_the_service_that_has_it(site: Site) -> None:
    """Another supervised program holds the port and answers well: the health check passes, the service does not run."""
    site.write("other.py", f"{APP}\ndef work(): return 'other'\nserve(sys.argv[1])\n")
    port = free_port()
    site.service("other", f"exec python3 other.py {port}")
    assert eventually(lambda: site.get(port) == 200)
    del site.inventory["services"]["other"]
    site.service("shop", f"exec python3 other.py {port}", ports=[port], health={"http": f"http://127.0.0.1:{port}/"})
    log = site.write("log/shop.log", "")
    assert eventually(lambda: "in use" in log.read_text())
    holder = site.pid("other")
    report = site.handle(log.read_text())
    assert (report["status"], done(report), site.pid("other")) == ("needs_person", [], holder)


def test_a_service_that_listens_where_it_should_not_is_put_right(site: Site) -> None:
    site.write("app.py", f"{APP}\ndef work(): return 'open'\nserve(os.environ['PORT'])\n")
    port, wrong = free_port(), free_port()
    site.write("app.env", f"# PORT={port + 1} was the old one\nPORT={wrong}\n")
    run = "set -a; . ./app.env; exec python3 app.py"
    site.service("shop", run, ports=[port], health={"http": f"http://127.0.0.1:{port}/"}, config=["app.env"])
    assert eventually(lambda: site.get(wrong) == 200)
    report = site.handle(f"gateway: connect to 127.0.0.1:{port} failed: Connection refused\nexit status 1\n")
    assert (report["status"], done(report)) == ("resolved", ["set_value", "restart_service"]), report["summary"]
    assert (site.folder / "app.env").read_text() == f"# PORT={port + 1} was the old one\nPORT={port}\n"


@pytest.mark.parametrize("halted", [True, False])
def test_a_service_that_was_halted_is_restarted_and_one_that_is_slow_is_not(site: Site, halted: bool) -> None:
    site.write(
        "app.py", f"{APP}\nimport time\ndef work(): time.sleep(float(sys.argv[2])); return 'open'\nserve(sys.argv[1])\n"
    )
    port = free_port()
    health = {"http": f"http://127.0.0.1:{port}/", "timeout": 2}
    site.service("shop", f"exec python3 app.py {port} {0 if halted else 30}", ports=[port], health=health)
    assert eventually(lambda: site.pid("shop") and socket.socket().connect_ex(("127.0.0.1", port)) == 0)
    pid = site.pid("shop")
    if halted:
        os.kill(pid, signal.SIGSTOP)
    report = site.handle(f"curl: (28) Failed to connect to 127.0.0.1 port {port} after 3001 ms: Connection timed out\n")
    assert done(report) == (["restart_service"] if halted else []), report["summary"]
    assert (report["status"] == "resolved") is halted
    assert (site.pid("shop") == pid) is not halted


RESOLVER = """import http.server, os, signal
os.chdir(os.path.dirname(os.path.abspath(__file__)))
def read(*_):
    with open('hosts') as listed, open('known', 'w') as known: known.write(listed.read())
signal.signal(signal.SIGHUP, read)
read()
while True: signal.pause()
"""


def test_a_resolver_that_has_not_read_its_file_again_is_told_to(site: Site) -> None:
    site.write("hosts", "10.0.0.1 cache.shop.internal\n")
    site.write("resolver.py", RESOLVER)
    site.service("names", "exec python3 resolver.py", config=["hosts"], templates=["hosts"])
    site.inventory["checks"] = {"job": {"command": ["grep", "-q", " db.shop.internal$", "known"]}}
    assert eventually((site.folder / "known").exists)
    time.sleep(1.2)
    site.write("hosts", "10.0.0.1 cache.shop.internal\n10.0.0.2 db.shop.internal\n")
    pid = site.pid("names")
    report = site.handle("curl: (6) Could not resolve host: db.shop.internal\nexit status 6\n")
    assert (report["status"], done(report)) == ("resolved", ["reload_service"]), report["summary"]
    assert site.pid("names") == pid


def test_a_service_that_keeps_what_it_opens_is_not_repaired_by_a_higher_limit(site: Site) -> None:
    work = "def work(): kept.extend([open('app.py') for _ in range(80)]); return 'open'\n"
    site.write("app.py", f"{APP}\nkept = []\n{work}serve(sys.argv[1])\n")
    port = free_port()
    site.write("limits.env", "NOFILE=40\n")
    site.write("limits.example", "NOFILE=200\n")
    run = f". ./limits.env; ulimit -n $NOFILE; exec python3 app.py {port}"
    health = {"http": f"http://127.0.0.1:{port}/"}
    site.service("shop", run, ports=[port], health=health, config=["limits.env"], templates=["limits.example"])
    assert eventually(lambda: site.get(port) == 500)
    report = site.handle("OSError: [Errno 24] Too many open files: 'app.py'\nexit status 1\n")
    assert report["status"] in ("unresolved", "needs_person"), report["summary"]
    assert (site.folder / "limits.env").read_text() == "NOFILE=40\n"
