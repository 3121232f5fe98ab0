"""Folders and sockets that root made for a service that is not root: given to its user, and to nobody else."""

from __future__ import annotations

import os
import shutil
import socket
import stat
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from act.handled import APP, Site, done, eventually, free_port
from act.places import do, toolbox, undo
from devops_agent.errors import NotAllowed, StalePlan
from devops_agent.model import Step

pytestmark = [
    pytest.mark.timeout(120),
    pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("setpriv"), reason="only root can give something away"),
]
REFUSED = (
    "[crit] 7#7: *1 connect() to unix:{path} failed (13: Permission denied) while connecting to upstream, "
    'client: 127.0.0.1, request: "GET / HTTP/1.1", upstream: "http://unix:{path}:/"\n'
)


@pytest.fixture
def place() -> Iterator[Path]:
    """A folder that others may enter, unlike those of the tests."""
    folder = Path(tempfile.mkdtemp(prefix="devops-agent-act-"))
    folder.chmod(0o755)
    (folder / "spool").mkdir(mode=0o755)
    yield folder
    shutil.rmtree(folder)


def owner(path: Path) -> tuple[str, int]:
    """Who owns it, and its mode."""
    return path.owner(), stat.S_IMODE(path.stat().st_mode)


def test_a_folder_that_root_made_is_given_to_the_services_user_and_back(place: Path) -> None:
    box = toolbox(place, services={"mail": {"user": "nobody"}})
    seen = box.probe("belonging", {"path": "spool", "service": "mail"})
    assert (seen["lacking"], seen["due"].split(":")[0]) == (True, "nobody")
    (place / "spool").chmod(0o777)
    assert undo(box, "give_to_service", lambda: None, path="spool", service="mail").status == "succeeded"
    assert owner(place / "spool") == ("root", 0o777)
    assert do(box, "give_to_service", path="spool", service="mail").status == "succeeded"
    assert owner(place / "spool") == ("nobody", 0o775)


@pytest.mark.parametrize("path", ["spool/letter", "link", "kept", "theirs", "/tmp"])
def test_what_is_somebody_elses_protected_a_link_or_a_plain_file_stays(place: Path, path: str) -> None:
    (place / "spool/letter").write_text("dear")
    (place / "kept").mkdir()
    (place / "link").symlink_to(place / "kept")
    (place / "theirs").mkdir()
    shutil.chown(place / "theirs", "www-data")
    box = toolbox(place, services={"mail": {"user": "nobody"}}, protected=["kept"])
    before = os.stat(place / path)
    with pytest.raises((NotAllowed, StalePlan)):
        do(box, "give_to_service", path=path, service="mail")
    assert os.stat(place / path) == before


def test_nobody_gets_what_nobody_said_is_his(place: Path) -> None:
    box = toolbox(place, services={"mail": {}})
    with pytest.raises(NotAllowed, match="nobody says"):
        box.preview(Step(tool="give_to_service", args={"path": "spool", "service": "mail"}), 1)


@pytest.fixture
def gateway(place: Path) -> Iterator[Site]:
    """A gateway that is not root asks a service at its socket, which root made for root alone."""
    site = Site(place)
    site.port, site.path = free_port(), place / "spool" / "app.sock"
    asks = f"import os, socket\ndef work():\n    s = socket.socket(socket.AF_UNIX); s.connect({str(site.path)!r})\n"
    site.write("gateway.py", f"{APP}\n{asks}    return 'ok'\nserve({site.port})\n")
    listen = f"import os, socket\nos.path.exists({str(site.path)!r}) and os.unlink({str(site.path)!r})\n"
    listen += f"s = socket.socket(socket.AF_UNIX); s.bind({str(site.path)!r}); s.listen()\nwhile True: s.accept()\n"
    site.write("app.py", listen)
    user = {"user": "www-data"}
    site.service("app", "umask 077; exec python3 app.py", health={"command": ["test", "-S", str(site.path)]}, **user)
    run = "exec setpriv --reuid=www-data --clear-groups /usr/bin/python3 gateway.py"
    site.service("web", run, ports=[site.port], health={"http": f"http://127.0.0.1:{site.port}/"})
    assert eventually(lambda: site.get(site.port) == 500 and site.path.exists())
    yield site
    site.close()


def test_a_socket_of_root_is_given_to_the_user_that_the_inventory_names(gateway: Site) -> None:
    pid = gateway.pid("app")
    report = gateway.handle(REFUSED.format(path=gateway.path))
    assert (report["status"], done(report)) == ("resolved", ["give_to_service"]), report["summary"]
    assert (owner(gateway.path), gateway.pid("app")) == (("www-data", 0o700), pid)


@pytest.mark.parametrize("said", ["root", None])
def test_a_socket_that_is_to_be_roots_is_for_a_person(gateway: Site, said: str | None) -> None:
    gateway.inventory["services"]["app"].pop("user")
    if said:
        gateway.inventory["services"]["app"]["user"] = said
    report = gateway.handle(REFUSED.format(path=gateway.path))
    assert (report["status"], done(report)) == ("needs_person", [])
    assert owner(gateway.path) == ("root", 0o700)


def test_who_is_not_there_is_started(gateway: Site) -> None:
    gateway.sv("down", "app")
    log = REFUSED.format(path=gateway.path).replace("13: Permission denied", "111: Connection refused")
    assert socket.socket(socket.AF_UNIX).connect_ex(str(gateway.path))
    report = gateway.handle(log)
    assert "start_service" in done(report), report["summary"]
    assert gateway.pid("app")


@pytest.fixture
def cache(place: Path) -> Iterator[Site]:
    """A Redis that is not root, could not save to its folder, and takes no writes since."""
    if not (shutil.which("redis-server") and shutil.which("redis-cli")):
        pytest.skip("no Redis here")
    site = Site(place)
    port = free_port()
    site.write("redis.conf", f"port {port}\nbind 127.0.0.1\ndir {place}/spool\nsave 1 1\nappendonly no\n")
    site.write("may-write", f"redis-cli -p {port} set probe 1 | grep -q OK\n")
    entry = {"ports": [port], "config": ["redis.conf"], "health": {"command": ["sh", "may-write"]}}
    site.service("redis", "exec setpriv --reuid=nobody --clear-groups redis-server redis.conf", **entry)
    store = {"kind": "redis", "url": f"redis://127.0.0.1:{port}", "config": "redis.conf", "service": "redis"}
    site.inventory["datastores"] = {"cache": store}
    ask = ["redis-cli", "-p", str(port)]

    def stuck() -> bool:
        subprocess.run([*ask, "set", "cart", "1"], capture_output=True, check=False)
        subprocess.run([*ask, "bgsave"], capture_output=True, check=False)
        said = subprocess.run([*ask, "set", "cart", "1"], capture_output=True, text=True, check=False).stdout
        return "MISCONF" in said

    assert eventually(stuck)
    yield site
    site.close()


MISCONF = "MISCONF Redis is configured to save RDB snapshots, but it's currently unable to persist to disk.\n"


def test_a_redis_that_may_not_save_gets_its_folder_and_keeps_its_protection(cache: Site) -> None:
    pid = cache.pid("redis")
    report = cache.handle(MISCONF)
    assert (report["status"], done(report)) == ("resolved", ["give_to_service", "save_snapshot"]), report["summary"]
    assert (owner(cache.folder / "spool"), cache.pid("redis")) == (("nobody", 0o755), pid)
    assert (cache.folder / "spool/dump.rdb").exists()


def test_a_folder_of_a_third_user_is_for_a_person(cache: Site) -> None:
    shutil.chown(cache.folder / "spool", "www-data")
    report = cache.handle(MISCONF)
    assert (report["status"], done(report)) == ("needs_person", [])
    assert owner(cache.folder / "spool") == ("www-data", 0o755)
