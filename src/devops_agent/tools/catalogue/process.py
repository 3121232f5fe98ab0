"""Processes and memory: what one is, what it uses, what it may use; how much memory the machine has left."""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import Field

from devops_agent.errors import CommandFailed
from devops_agent.inventory import Place
from devops_agent.model import End
from devops_agent.tools import ownership, processes, supervisors
from devops_agent.tools.base import Commands, Host, change, probe

Pid = Annotated[int, Field(ge=1, le=1 << 22)]


@probe
def process_info(host: Host, place: Place, pid: Pid | None = None, service: str | None = None) -> dict[str, Any]:
    """A process (by pid, or that of a service): command, user, age, memory, open files and limits, supervisor, parents.

    `alive` is false where there is none; `ours` says whether it may be ended, `why` why.
    """
    if pid is None:
        pid = supervisors.status(host, place, service)["pid"] if service else None
    process = processes.look(host, pid) if pid else None
    if process is None:
        return {"pid": pid, "alive": False}
    belonging = ownership.whose(host, place, process)
    status = _status(host, process.pid)
    limits = _limits(host, process.pid)
    return {
        "pid": process.pid,
        "alive": True,
        "name": process.name,
        "command": process.command,
        "state": process.state,
        "user": processes.user_name(host, process.uid),
        "started": process.started,
        "seconds": round(processes.age(host, process), 1),
        "parent": process.parent,
        "parents": [{"pid": each.pid, "command": each.command[:200]} for each in processes.ancestors(host, process)],
        "memory_bytes": int(status.get("VmRSS", "0").split()[0]) * 1024,
        "threads": int(status.get("Threads", "0")),
        "open_files": _count(host, f"/proc/{process.pid}/fd"),
        "limits": limits,
        "folder": processes.folder_of(host, process.pid),
        "supervisor": belonging.supervisor,
        "ours": belonging.ours,
        "why": belonging.why,
    }


@probe
def memory_usage(host: Host) -> dict[str, Any]:
    """Memory of the machine and of the agent's own cgroup: total, available, swap, limit, times the OOM killer came."""
    shown = dict(re.findall(r"^(\w+):\s+(\d+) kB", host.read("/proc/meminfo").decode(), re.M))
    total, free = (int(shown.get(name, 0)) * 1024 for name in ("MemTotal", "MemAvailable"))
    facts: dict[str, Any] = {"total_bytes": total, "available_bytes": free}
    facts["percent"] = round(100 * (1 - free / total), 1) if total else None
    facts["swap_total_bytes"], facts["swap_free_bytes"] = (
        int(shown.get(k, 0)) * 1024 for k in ("SwapTotal", "SwapFree")
    )
    facts["limit_bytes"] = _number(host, "/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")
    found = re.search(r"^oom_kill (\d+)", _text(host, "/proc/vmstat"), re.M)
    return facts | {"oom_kills": int(found[1]) if found else None}


@change(effect="destroy")
def end_process(pid: Pid, *, started: int, command: str) -> Commands:
    """End one process, gently, then by force; refused where it is supervised, the system's or somebody else's."""
    if started:
        yield End(pid=pid, started=started, command=command)


@end_process.pin
def _identity(host: Host, pid: int) -> dict[str, Any]:
    process = processes.look(host, pid)
    return {"started": process.started if process else 0, "command": process.command if process else ""}


@end_process.already
def _gone(host: Host, pid: int, started: int) -> bool:
    process = processes.look(host, pid)
    return process is None or started not in (0, process.started)


@end_process.precondition
def _may_end(host: Host, place: Place, pid: int) -> None:
    process = processes.look(host, pid)
    if process:
        held = ownership.held_lock(host, place, process)
        ownership.require_ours(ownership.whose(host, place, process, held), process)


def _status(host: Host, pid: int) -> dict[str, str]:
    return dict(re.findall(r"^(\w+):\s+(.*)$", _text(host, f"/proc/{pid}/status"), re.M))


def _limits(host: Host, pid: int) -> dict[str, int | None]:
    """Soft limits of open files and processes; None is unlimited."""
    text = _text(host, f"/proc/{pid}/limits")
    found = {}
    for name, line in (
        ("open_files", "Max open files"),
        ("processes", "Max processes"),
        ("address_space", "Max address space"),
    ):
        if held := re.search(rf"^{line}\s+(\S+)", text, re.M):
            found[name] = int(held[1]) if held[1].isdigit() else None
    return found


def _text(host: Host, path: str) -> str:
    try:
        return host.read(path, 1 << 16).decode("utf-8", "replace")
    except CommandFailed:
        return ""


def _number(host: Host, *paths: str) -> int | None:
    for path in paths:
        text = _text(host, path).strip()
        if text.isdigit() and int(text) < 1 << 60:
            return int(text)
    return None


def _count(host: Host, folder: str) -> int | None:
    try:
        return len(host.folder(folder))
    except CommandFailed:
        return None
