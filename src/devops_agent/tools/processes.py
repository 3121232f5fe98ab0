"""What a process is, read from /proc through the host door: identity, parents, who supervises it.

A process is identified by pid *and* start time, since pids are used again. Sources: proc(5), cgroups(7).
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from dataclasses import dataclass

from devops_agent.errors import CommandFailed
from devops_agent.tools.base import Host
from devops_agent.tools.secrecy import masked

_TICKS = 100  # USER_HZ, which proc(5) counts in, is 100 on every architecture in use
_SUPERVISORS = {
    "runsv": "runit",
    "supervise": "daemontools",
    "s6-supervise": "s6",
    "supervisord": "supervisord",
    "containerd-shim": "containerd",
    "conmon": "podman",
    "docker-proxy": "docker",
    "dockerd": "docker",
    "monit": "monit",
    "circusd": "circus",
    "nomad": "nomad",
    "horust": "horust",
    "dinit": "dinit",
}
_CONTAINER = re.compile(r"(docker|containerd|libpod|crio|cri-o|kubepods|lxc|garden)[-/.:]")


@dataclass(frozen=True, slots=True)
class Process:
    """One living process as it was seen; secrets in its command line are masked."""

    pid: int
    parent: int
    started: int
    name: str
    command: str
    state: str
    uid: int

    def same(self, started: int, command: str) -> bool:
        """Whether this still is the process that was seen with this start time and command."""
        return self.started == started and self.command == command


def look(host: Host, pid: int) -> Process | None:
    """The process with this pid; None where there is none (a zombie counts as none)."""
    return next(iter(look_at(host, (pid,))), None)


def look_at(host: Host, pids: Iterable[int]) -> list[Process]:
    """Those of these processes that there are, in one go."""
    wanted = list(pids)
    files = host.read_many(*(f"/proc/{pid}/{name}" for pid in wanted for name in ("stat", "status", "cmdline")))
    found = (
        _parsed(pid, *(files.get(f"/proc/{pid}/{name}") for name in ("stat", "status", "cmdline"))) for pid in wanted
    )
    return [process for process in found if process]


def _parsed(pid: int, stat: bytes | None, status: bytes | None, cmdline: bytes | None) -> Process | None:
    if not stat or status is None or cmdline is None:
        return None
    head, _, tail = stat.decode("utf-8", "replace").rpartition(")")
    fields = tail.split()
    if len(fields) < 20 or fields[0] in "ZX":
        return None
    name = head.partition("(")[2]
    uid = re.search(rb"^Uid:\s+\d+\s+(\d+)", status, re.M)
    return Process(
        pid=pid,
        parent=int(fields[1]),
        started=int(fields[19]),
        name=name,
        command=masked(" ".join(cmdline.decode("utf-8", "replace").split("\0")).strip()) or f"[{name}]",
        state=fields[0],
        uid=int(uid[1]) if uid else -1,
    )


def ancestors(host: Host, process: Process) -> list[Process]:
    """Its parent, that one's parent, and so on, up to and with pid 1."""
    return look_at(host, host.lineage(process.pid)[1:])


def supervisor(host: Host, process: Process) -> str | None:
    """Who keeps this process running, in words (`systemd unit nginx.service`); None where nobody does."""
    if process.pid == 1:
        return "it is the machine's first process"
    own = supervisor_name(process)
    if own:
        return f"it is {own} itself"
    parents = ancestors(host, process)
    for parent in parents:
        found = supervisor_name(parent)
        if found:
            return f"{found} (pid {parent.pid})"
    if (parents[-1] if parents else process).parent != 0:
        return "one of its parents cannot be seen"
    return _by_cgroup(host, process.pid)


def supervisor_name(process: Process) -> str | None:
    """The kind of supervisor that this process itself is."""
    for name, kind in _SUPERVISORS.items():
        if process.name == name[:15] or (process.name.startswith("containerd-shim") and name == "containerd-shim"):
            return kind
    words = [os.path.basename(word) for word in process.command.split()[:3]]
    if any(word.endswith("supervisord") for word in words):
        return "supervisord"
    if process.command.startswith("PM2 ") or "God Daemon" in process.command:
        return "pm2"
    return None


def cgroup_unit(text: str) -> str | None:
    """The supervised unit or container that a /proc/PID/cgroup names; sessions and scopes of people are none."""
    for line in text.splitlines():
        path = line.split(":", 2)[-1]
        if _CONTAINER.search(path):
            return f"container {path.rsplit('/', 1)[-1][:40]}"
        parts = [part for part in path.split("/") if part]
        if not parts or parts[-1].endswith(".scope"):
            continue
        units = [part for part in parts if part.endswith(".service") and not part.startswith("user@")]
        if units:
            return f"systemd unit {units[-1]}"
    return None


def _by_cgroup(host: Host, pid: int) -> str | None:
    me = f"/proc/{os.getpid()}/cgroup" if host.local else "/proc/1/cgroup"
    files = host.read_many(f"/proc/{pid}/cgroup", "/proc/1/cgroup", me)
    own = files.get(f"/proc/{pid}/cgroup", b"")
    if not own or own in (files.get("/proc/1/cgroup"), files.get(me)):
        return None  # the machine's, or the agent's own: says nothing about this process
    return cgroup_unit(own.decode("utf-8", "replace"))


def age(host: Host, process: Process) -> float:
    """Seconds since it started."""
    uptime = float(host.read("/proc/uptime", 64).split()[0])
    return max(uptime - process.started / _TICKS, 0.0)


def user_name(host: Host, uid: int) -> str:
    """The name of a user on that host; the number where it has none."""
    try:
        lines = host.read("/etc/passwd").decode("utf-8", "replace").splitlines()
    except CommandFailed:
        return str(uid)
    for line in lines:
        parts = line.split(":")
        if len(parts) > 2 and parts[2] == str(uid):
            return parts[0]
    return str(uid)


def folder_of(host: Host, pid: int) -> str:
    """Its working directory; empty where that may not be seen."""
    found = host.resolve(f"/proc/{pid}/cwd")
    return "" if found.startswith(f"/proc/{pid}/") else found


def is_agent(host: Host, pid: int) -> bool:
    """Whether it is the agent itself, or one of the processes that the agent runs below."""
    if not host.local:
        return False
    me = look(host, os.getpid())
    return pid == os.getpid() or (me is not None and any(parent.pid == pid for parent in ancestors(host, me)))
