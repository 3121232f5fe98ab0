"""Host keys: taken over only with a fingerprint that the team has written down. A real server on loopback."""

import os
import shutil
import subprocess
import time

import pytest

from act.handled import free_port
from act.places import do, toolbox
from devops_agent.errors import NotAllowed
from devops_agent.model import Step

SSHD = shutil.which("sshd") or "/usr/sbin/sshd"


@pytest.fixture
def server(tmp_path):
    if not os.path.exists(SSHD) or not shutil.which("ssh-keyscan"):
        pytest.skip("no OpenSSH server here")
    for name in ("key", "old"):
        argv = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(tmp_path / name)]
        subprocess.run(argv, check=True)
    port = free_port()
    (tmp_path / "sshd.conf").write_text(f"Port {port}\nListenAddress 127.0.0.1\nHostKey {tmp_path}/key\nPidFile none\n")
    os.makedirs("/run/sshd", exist_ok=True)
    argv = [SSHD, "-D", "-f", str(tmp_path / "sshd.conf")]
    with subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        time.sleep(0.4)
        if process.poll() is not None:
            pytest.skip("sshd does not start here")
        yield port
        process.terminate()


def fingerprint(tmp_path, name):
    argv = ["ssh-keygen", "-l", "-f", str(tmp_path / f"{name}.pub")]
    return subprocess.run(argv, check=True, capture_output=True, text=True).stdout.split()[1]


def public(tmp_path, name):
    return " ".join((tmp_path / f"{name}.pub").read_text().split()[:2])


@pytest.fixture
def box(tmp_path, server):
    (tmp_path / "hosts.txt").write_text(f"# our machines\n127.0.0.1 ED25519 {fingerprint(tmp_path, 'key')}\n")
    (tmp_path / "known_hosts").write_text(
        f"other.example {public(tmp_path, 'old')}\n[127.0.0.1]:{server} {public(tmp_path, 'old')}\n"
    )
    return toolbox(tmp_path, services={"job": {"config": ["known_hosts"], "templates": ["hosts.txt"]}})


def args(server):
    return {"server": "127.0.0.1", "file": "known_hosts", "port": server}


def test_a_new_key_with_a_documented_fingerprint_takes_the_place_of_the_old_one(box, server, tmp_path):
    seen = box.probe("host_key", args(server))
    assert (seen["known"], seen["entries"], seen["proper"]) == (False, 1, fingerprint(tmp_path, "key"))
    before = (tmp_path / "known_hosts").read_text()
    action = box.preview(Step(tool="replace_known_host", args=args(server)), 1)
    assert box.apply(action).status == "succeeded"
    text = (tmp_path / "known_hosts").read_text()
    assert text == f"other.example {public(tmp_path, 'old')}\n[127.0.0.1]:{server} {public(tmp_path, 'key')}\n"
    assert box.apply(action).status == "already"
    assert box.revert(action).status == "succeeded"
    assert (tmp_path / "known_hosts").read_text() == before


def test_a_key_that_nobody_has_written_down_is_not_believed(box, server, tmp_path):
    (tmp_path / "hosts.txt").write_text(f"127.0.0.1 ED25519 {fingerprint(tmp_path, 'old')}\n")
    before = (tmp_path / "known_hosts").read_text()
    with pytest.raises(NotAllowed, match="written down"):
        do(box, "replace_known_host", **args(server))
    assert (tmp_path / "known_hosts").read_text() == before


def test_the_fingerprint_of_another_machine_is_not_its_own(box, server, tmp_path):
    (tmp_path / "hosts.txt").write_text(f"127.0.0.12 ED25519 {fingerprint(tmp_path, 'key')}\n")
    assert box.probe("host_key", args(server))["proper"] is None


def test_a_server_that_is_not_known_yet_is_added(box, server, tmp_path):
    (tmp_path / "known_hosts").write_text("")
    assert do(box, "replace_known_host", **args(server)).status == "succeeded"
    assert box.probe("host_key", args(server))["known"] is True


def test_a_key_is_authorised_from_the_inventory_only(tmp_path):
    key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIEXAMPLEEXAMPLEEXAMPLEEXAMPLEEXAMPLEEXAMPLEX deploy"
    (tmp_path / "deploy.pub").write_text(key + "\n")
    (tmp_path / "authorized_keys").write_text("# accounts\n")
    (tmp_path / "authorized_keys").chmod(0o600)
    box = toolbox(tmp_path, services={"git": {"config": ["authorized_keys"], "templates": ["deploy.pub"]}})
    given = {"file": "authorized_keys", "public_key": "deploy.pub"}
    assert box.probe("authorized_key", given)["present"] is False
    assert do(box, "authorize_key", **given).status == "succeeded"
    assert (tmp_path / "authorized_keys").read_text() == f"# accounts\n{key}\n"
    assert (tmp_path / "authorized_keys").stat().st_mode & 0o777 == 0o600
    assert box.probe("authorized_key", given)["present"] is True
    (tmp_path / "mine.pub").write_text(key.replace("AAAAC3", "AAAAC4"))
    with pytest.raises(NotAllowed, match="not a template"):
        do(box, "authorize_key", file="authorized_keys", public_key="mine.pub")
