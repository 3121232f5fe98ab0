"""Locks on files that the kernel keeps (flock, fcntl): who holds one, and whether that process works or stands still.

Sources: proc(5) (/proc/locks, state of a process), flock(2), fcntl(2).
"""

from __future__ import annotations

import re
from typing import Any

from devops_agent.errors import CommandFailed
from devops_agent.inventory import Place
from devops_agent.tools import ownership, processes
from devops_agent.tools.base import Host, probe

_LOCK = re.compile(r"^\d+: (?:->\s*)?(\w+)\s+\w+\s+(\w+)\s+(-?\d+)\s+[0-9a-f]+:[0-9a-f]+:(\d+)\s", re.I)


@probe
def file_lock(host: Host, place: Place, path: str | None = None) -> dict[str, Any]:
    """Who holds the lock on a file: the one at a path, else the only lock of the inventory.

    `state`: free, stopped (its holder stands still and will not go on by itself: T), working, or unknown (somebody has
    the file open, and the kernel names no holder). `lock` is the inventory's entry, `wait` how long waiting for it is
    sensible; `ours` says whether its holder may be ended, `supervisor` who keeps it running.
    """
    name, file = _entry(host, place, path)
    facts: dict[str, Any] = {"lock": name, "file": file, "state": "free", "pid": None, "command": None, "waiting": []}
    facts |= {"wait": place.inventory.locks[name].wait if name else 30.0, "ours": False, "supervisor": None, "why": ""}
    found = host.stat(file) if file else None
    if file is None or found is None:
        return facts | {"exists": False}
    facts["exists"] = True
    opened = list(host.holders(file)[file])
    held, waiting = _locks(host, found.inode)
    holders = [pid for pid in held if pid in opened] or [pid for pid in opened if _is_covered(host, held, pid)]
    facts["waiting"] = sorted(set(waiting))
    pid = holders[0] if holders else next((pid for pid in opened if pid not in waiting), None)
    process = processes.look(host, pid) if pid else None
    if process is None:
        return facts
    belonging = ownership.whose(host, place, process, name)
    state = "unknown" if not holders else "stopped" if process.state in "Tt" else "working"
    return facts | {
        "state": state,
        "pid": process.pid,
        "command": process.command,
        "seconds": round(processes.age(host, process), 1),
        "traced": process.state == "t",
        "ours": belonging.ours,
        "supervisor": belonging.supervisor,
        "why": belonging.why,
    }


def _entry(host: Host, place: Place, path: str | None) -> tuple[str | None, str | None]:
    """The lock of the inventory that a path is (or lies beside, where that is the only one), and its file."""
    files = {name: host.resolve(place.path(lock.file)) for name, lock in place.inventory.locks.items()}
    if path:
        full = host.resolve(place.path(path))
        return next((name for name, file in files.items() if file == full), None), full
    return next(iter(files.items())) if len(files) == 1 else (None, None)


def _locks(host: Host, inode: int) -> tuple[list[int], list[int]]:
    """Who holds and who waits for locks on an inode."""
    try:
        lines = host.read("/proc/locks", 1 << 22).decode("ascii", "replace").splitlines()
    except CommandFailed:
        return [], []
    rows = [(line, found) for line in lines if (found := _LOCK.match(line)) and int(found[4]) == inode]
    held = [int(found[3]) for line, found in rows if "->" not in line]
    return held, [int(found[3]) for line, found in rows if "->" in line]


def _is_covered(host: Host, held: list[int], pid: int) -> bool:
    """Whether a process got its lock from a parent that took it (flock), which the kernel still names."""
    process = processes.look(host, pid)
    return bool(process and any(parent.pid in held for parent in processes.ancestors(host, process)))
