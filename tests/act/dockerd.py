"""A real Docker daemon of a test's own: data, socket and pid file in a folder, its network in a namespace of its own.

There is no registry: an image is an empty root whose programs are the machine's own, mounted read-only.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

DOCKERD = shutil.which("dockerd", path=f"{os.environ['PATH']}:/usr/sbin")
_NEEDED = ("docker", "unshare", "tar", "ip")
IMAGE = "place:1"
REPOSITORY = Path(__file__).resolve().parents[2]


def missing() -> str | None:
    """Why no container can run here, None where one can."""
    if os.geteuid() != 0 or not DOCKERD:
        return "a Docker daemon can only be started as root, where it is installed"
    absent = [program for program in _NEEDED if not shutil.which(program, path=f"{os.environ['PATH']}:/usr/sbin")]
    return f"{', '.join(absent)} is not installed" if absent else None


@contextmanager
def dockerd(folder: Path) -> Iterator[None]:
    """A daemon that `docker` finds until the block ends; everything of it is ended then, by pid."""
    folder.mkdir()
    group = f"/devops-agent-test-{os.getpid()}"
    options = (f"--data-root={folder}/data", f"--exec-root={folder}/exec", f"--pidfile={folder}/pid")
    network = ("--iptables=false", "--ip6tables=false", "--bridge=none")
    own = ("--storage-driver=vfs", f"--cgroup-parent={group}", f"--host=unix://{folder}/sock")
    alone = ("unshare", "--net", "sh", "-c", 'ip link set lo up; exec "$0" "$@"')
    with (folder / "log").open("w") as log:
        argv = [*alone, str(DOCKERD), *options, *network, *own]
        server = subprocess.Popen(argv, stdout=log, stderr=log, start_new_session=True)
    before = os.environ.get("DOCKER_HOST")
    os.environ["DOCKER_HOST"] = f"unix://{folder}/sock"
    try:
        _wait(server, folder / "log")
        _import(folder)
        yield
    finally:
        for name in docker("ps", "--all", "--quiet", check=False).split():
            docker("rm", "--force", name, check=False)
        os.environ.pop("DOCKER_HOST")
        if before is not None:
            os.environ["DOCKER_HOST"] = before
        server.terminate()
        server.wait(30)
        for found in Path("/sys/fs/cgroup").glob(f"*{group}"):
            subprocess.run(["find", str(found), "-depth", "-type", "d", "-exec", "rmdir", "{}", "+"], check=False)
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def container(name: str, *volumes: str) -> Iterator[str]:
    """A container that does nothing until something is executed in it."""
    shared = ["/usr", str(REPOSITORY), *([] if sys.base_prefix.startswith("/usr") else [sys.base_prefix])]
    mounts = [word for each in [*(f"{one}:{one}:ro" for one in shared), *volumes] for word in ("--volume", each)]
    keep = ("/bin/sh", "-c", "while :; do sleep 1; done")  # a shell, as the first process, takes in what is left behind
    docker("run", "--detach", "--name", name, "--network=none", *mounts, IMAGE, *keep)
    try:
        yield name
    finally:
        docker("rm", "--force", name, check=False)


def docker(*argv: str, check: bool = True) -> str:
    """What docker says; AssertionError with its words where it fails."""
    ran = subprocess.run(["docker", *argv], capture_output=True, text=True, timeout=60, check=False)
    assert not check or ran.returncode == 0, f"docker {' '.join(argv)}: {ran.stderr}"
    return ran.stdout.strip()


def _import(folder: Path) -> None:
    root = folder / "root"
    for name in ("etc", "tmp", "proc", "usr", "root", "var/tmp"):
        (root / name).mkdir(parents=True)
    for link in ("bin", "sbin", "lib", "lib64"):
        (root / link).symlink_to(f"usr/{link}")
    (root / "etc/passwd").write_text("root:x:0:0::/root:/bin/sh\nnobody:x:65534:65534::/:/bin/sh\n")
    archive = folder / "root.tar"
    subprocess.run(["tar", "-C", str(root), "-cf", str(archive), "."], check=True, timeout=60)
    docker("import", str(archive), IMAGE)


def _wait(server: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        if subprocess.run(["docker", "version"], capture_output=True, timeout=20, check=False).returncode == 0:
            return
        assert server.poll() is None, log.read_text()[-2000:]
        time.sleep(0.1)
    raise AssertionError(log.read_text()[-2000:])
