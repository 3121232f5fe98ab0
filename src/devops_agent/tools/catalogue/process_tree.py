"""The processes below a process: what a service started, and what each of them uses. Source: proc(5)."""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import Field

from devops_agent.errors import CommandFailed
from devops_agent.inventory import Place
from devops_agent.tools import processes, supervisors
from devops_agent.tools.base import Host, probe

_MOST = 500


@probe
def process_tree(
    host: Host, place: Place, pid: Annotated[int, Field(ge=1)] | None = None, service: str | None = None
) -> dict[str, Any]:
    """A process (by pid, or that of a service) and all below it: command, state, memory, depth; the parents come first.

    `stuck` counts those that wait for a disk or are halted, `threads` and `memory_bytes` are sums.
    """
    if pid is None:
        pid = supervisors.status(host, place, service)["pid"] if service else None
    if not pid or processes.look(host, pid) is None:
        raise CommandFailed("process_tree: there is no such process")
    everybody = processes.look_at(host, [int(name) for name in host.folder("/proc") if name.isdigit()])
    below: dict[int, list[processes.Process]] = {}
    for each in everybody:
        below.setdefault(each.parent, []).append(each)
    rows: list[dict[str, Any]] = []
    left = [(each, 0) for each in everybody if each.pid == pid]
    while left and len(rows) < _MOST:
        process, depth = left.pop(0)
        rows.append(_row(host, process, depth))
        left[:0] = [(each, depth + 1) for each in below.get(process.pid, [])]
    return {
        "pid": pid,
        "count": len(rows),
        "memory_bytes": sum(row["memory_bytes"] for row in rows),
        "threads": sum(row["threads"] for row in rows),
        "stuck": sum(row["state"] in ("D", "T", "t") for row in rows),
        "processes": rows,
    }


def _row(host: Host, process: processes.Process, depth: int) -> dict[str, Any]:
    shown = host.read_many(f"/proc/{process.pid}/status").get(f"/proc/{process.pid}/status", b"")
    memory = re.search(rb"^VmRSS:\s+(\d+)", shown, re.M)
    threads = re.search(rb"^Threads:\s+(\d+)", shown, re.M)
    return {
        "pid": process.pid,
        "depth": depth,
        "command": process.command[:200],
        "state": process.state,
        "memory_bytes": int(memory[1]) * 1024 if memory else 0,
        "threads": int(threads[1]) if threads else 0,
    }
