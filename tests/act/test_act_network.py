"""The whole agent where the network is at fault: a forgotten firewall rule, a host key that has changed."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from act.handled import APP, Site, done, eventually
from act.sshd import MISSING, sshd

pytestmark = pytest.mark.timeout(150)
TIMEOUT = "curl: (28) Failed to connect to 127.0.0.1 port {port} after 3001 ms: Connection timed out\nexit status 28\n"


def namespace(pid: int | str) -> str | None:
    try:
        return os.readlink(f"/proc/{pid}/ns/net")
    except OSError:
        return None


@pytest.fixture
def walled(tmp_path: Path) -> Iterator[Site]:
    """A shop and its neighbour in a network namespace of their own; the agent runs there too, and nowhere else."""
    if not shutil.which("iptables") or not shutil.which("nsenter"):
        pytest.skip("no iptables here")
    site = Site(tmp_path)
    keeper = subprocess.Popen(["unshare", "--net", "sleep", "140"], stderr=subprocess.DEVNULL)
    try:
        if not eventually(lambda: namespace(keeper.pid) != namespace("self") and keeper.poll() is None, 3):
            pytest.skip("no network namespaces may be made here")
        site.inside = ["nsenter", "-t", str(keeper.pid), "-n", "--"]
        subprocess.run([*site.inside, "ip", "link", "set", "lo", "up"], check=True)
        site.write("app.py", f"{APP}\ndef work(): return 'open'\nserve(sys.argv[1])\n")
        site.write("rules.v4", "*filter\n:INPUT ACCEPT [0:0]\nCOMMIT\n")
        for name, port in (("shop", 8080), ("ledger", 9090)):
            health = {"http": f"http://127.0.0.1:{port}/", "timeout": 2}
            entry = {"ports": [port], "templates": ["rules.v4"], **({"health": health} if name == "shop" else {})}
            site.service(name, f"exec {' '.join(site.inside)} python3 app.py {port}", **entry)
        assert eventually(lambda: site.get(8080) == site.get(9090) == 200)
        yield site
    finally:
        keeper.kill()
        keeper.wait()
        site.close()


def wall(site: Site, *rules: str) -> None:
    """These rules in the site's namespace."""
    for rule in rules:
        subprocess.run([*site.inside, "iptables", "-w", *rule.split()], check=True)


def walls(site: Site) -> list[str]:
    """The rules there are."""
    saved = subprocess.run([*site.inside, "iptables-save"], capture_output=True, text=True, check=True).stdout
    return [line for line in saved.splitlines() if line.startswith("-A")]


STRAY = "-A INPUT -p tcp -m tcp --dport 8080 -j DROP"
OTHER = "-A INPUT -p tcp -m tcp --dport 9090 -j DROP"


def test_a_forgotten_rule_is_deleted_and_another_stays(walled):
    wall(walled, OTHER, STRAY)
    report = walled.handle(TIMEOUT.format(port=8080))
    assert report["status"] == "resolved", report["summary"]
    assert done(report) == ["delete_firewall_rule"]
    assert walls(walled) == [OTHER]
    assert walled.get(8080) == 200


MEANT = [
    (["-A INPUT -s 127.0.0.1/32 -p tcp -m tcp --dport 8080 -j DROP"], ""),
    (["-A INPUT -p tcp -m tcp --dport 8080 -m comment --comment maintenance -j DROP"], ""),
    ([STRAY], f"{STRAY}\n"),
    ([STRAY, "-A INPUT -p tcp -m tcp --dport 8080 -j REJECT --reject-with icmp-port-unreachable"], ""),
]


@pytest.mark.slow
@pytest.mark.parametrize(("rules", "written"), MEANT, ids=["for one peer", "with a comment", "written down", "two"])
def test_a_rule_that_may_be_meant_stays(walled, rules, written):
    walled.write("rules.v4", f"*filter\n:INPUT ACCEPT [0:0]\n{written}COMMIT\n")
    wall(walled, *rules)
    before = walls(walled)
    report = walled.handle(TIMEOUT.format(port=8080))
    assert (report["status"], done(report)) == ("needs_person", []), report["summary"]
    assert walls(walled) == before


def test_a_wall_is_found_where_the_log_names_no_port(walled: Site) -> None:
    wall(walled, "-A INPUT -p tcp --dport 8080 -j DROP")
    report = walled.handle("curl: (28) Connection timed out after 3001 milliseconds\nexit status 28\n")
    assert (report["status"], done(report)) == ("resolved", ["delete_firewall_rule"]), report["summary"]


def test_a_service_that_is_slow_is_not_let_through_a_wall(walled):
    wall(walled, OTHER)
    report = walled.handle(TIMEOUT.format(port=8080))
    assert "delete_firewall_rule" not in done(report)
    assert walls(walled) == [OTHER]


# ---- a host key that has changed

CHANGED = """@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@
@    WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED!     @
@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@
Offending ED25519 key in {known}:1
Host key for [127.0.0.1]:{port} has changed and you have requested strict checking.
Host key verification failed.
lost connection
exit status 255
"""


@pytest.fixture
def fetched(tmp_path: Path) -> Iterator[tuple[Site, int, str]]:
    """A deployment that fetches over ssh from a server that has got a new key; its port, and its fingerprint."""
    if MISSING:
        pytest.skip(MISSING)
    site = Site(tmp_path)
    with sshd(tmp_path / "d") as address:
        port = int(address.rpartition(":")[2])
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(tmp_path / "old")], check=True)
        old = " ".join((tmp_path / "old.pub").read_text().split()[:2])
        site.write("known_hosts", f"[127.0.0.1]:{port} {old}\nbackup.example {old}\n")
        site.write("hosts.md", "# whom we fetch from\n")
        told = subprocess.run(
            ["ssh-keygen", "-lf", str(tmp_path / "d/host.pub")], capture_output=True, text=True, check=True
        )
        words = f"-o UserKnownHostsFile={tmp_path}/known_hosts -o StrictHostKeyChecking=yes -o BatchMode=yes"
        site.write("fetch", f"exec ssh {words} -p {port} {address.split('//')[1].rpartition(':')[0]} true\n")
        site.inventory["services"]["fetcher"] = {"config": ["known_hosts"], "templates": ["hosts.md"]}
        site.inventory["checks"] = {"fetch": {"command": ["sh", "fetch"], "timeout": 20}}
        try:
            yield site, port, told.stdout.split()[1]
        finally:
            site.close()


def test_a_new_key_that_is_written_down_takes_the_old_ones_place(fetched):
    site, port, fingerprint = fetched
    site.write("hosts.md", f"# whom we fetch from\n127.0.0.1: {fingerprint} (new machine, ticket 812)\n")
    other = (site.folder / "known_hosts").read_text().splitlines()[1]
    report = site.handle(CHANGED.format(known=site.folder / "known_hosts", port=port))
    assert report["status"] == "resolved", report["summary"]
    assert done(report) == ["replace_known_host"]
    lines = (site.folder / "known_hosts").read_text().splitlines()
    assert (len(lines), lines[1]) == (2, other)


@pytest.mark.parametrize(
    "written",
    ["", "127.0.0.1: SHA256:" + "A" * 43, "backup.example: {}", "10.127.0.0.1: {}"],
    ids=["nothing", "another", "of another server", "of a longer name"],
)
def test_a_key_that_nobody_wrote_down_is_not_believed(fetched, written):
    site, port, fingerprint = fetched
    site.write("hosts.md", f"# whom we fetch from\n{written.format(fingerprint)}\n")
    before = (site.folder / "known_hosts").read_bytes()
    report = site.handle(CHANGED.format(known=site.folder / "known_hosts", port=port))
    assert (report["status"], done(report)) == ("needs_person", [])
    assert report["attempts"][-1]["diagnosis"]["cause"] == "host_key_mismatch"
    assert (site.folder / "known_hosts").read_bytes() == before


def test_a_key_that_is_protected_stays(fetched):
    site, port, fingerprint = fetched
    site.write("hosts.md", f"127.0.0.1: {fingerprint}\n")
    site.inventory["protected"] = ["known_hosts"]
    before = (site.folder / "known_hosts").read_bytes()
    report = site.handle(CHANGED.format(known=site.folder / "known_hosts", port=port))
    assert (report["status"], done(report)) == ("needs_person", [])
    assert (site.folder / "known_hosts").read_bytes() == before
