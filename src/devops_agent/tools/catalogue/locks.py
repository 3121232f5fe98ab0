"""Locks: who holds one, whether that process lives, and releasing one whose holder is proven dead."""

from __future__ import annotations

import json
import re
import time
from typing import Any

from devops_agent.errors import CommandFailed, NotAllowed, StalePlan
from devops_agent.inventory import Place
from devops_agent.model import Run, Wait
from devops_agent.tools import processes
from devops_agent.tools.base import Commands, Host, change, probe
from devops_agent.tools.commands import hashed
from devops_agent.tools.secrecy import require_readable

_LOCAL_FILESYSTEMS = ("ext2/ext3", "xfs", "btrfs", "tmpfs", "overlayfs", "zfs", "f2fs", "jfs", "reiserfs")
"""Names that stat(1) gives to filesystems which only one machine mounts (coreutils, stat.c)."""

_PID_FIELDS = ("pid", "process", "holder")


@probe
def lock_holder(host: Host, place: Place, lock: str | None = None, file: str | None = None) -> dict[str, Any]:
    """Who holds a lock of the inventory (or a lock file): `state` is free, alive, dead or unknown.

    Dead only where the file names a process on this host that is gone, nobody has the file open, and no process of a
    container has that number there (`elsewhere`). `stopped`: the holder lives, and somebody halted it.
    """
    path, holder = _target(place, lock, file)
    found = host.stat(path)
    facts: dict[str, Any] = {"lock": lock, "file": path, "exists": found is not None, "pid": None, "command": None}
    if found is None:
        return facts | {"state": "free", "fields": {}, "seconds": None}
    fields = _fields(host, place, path)
    pid = _pid(fields, holder)
    open_by = list(host.holders(host.resolve(path))[host.resolve(path)])
    process = processes.look(host, pid) if pid else None
    facts |= {
        "fields": fields,
        "seconds": round(max(time.time() - found.modified, 0), 1),
        "open_by": open_by,
        "pid": pid,
    }
    keeper = process or next(filter(None, (processes.look(host, each) for each in open_by)), None)
    elsewhere = _in_other_namespaces(host, pid) if pid else []
    if keeper:
        facts |= {"pid": keeper.pid, "command": keeper.command, "holder_seconds": round(processes.age(host, keeper), 1)}
        facts["stopped"] = keeper.state in ("T", "t")
        younger = processes.age(host, keeper) < facts["seconds"] - 5
        surely = keeper.pid in open_by or _is_its_program(place, lock, keeper.command)
        return facts | {"state": "unknown" if (younger or elsewhere) and not surely else "alive"}
    if elsewhere:
        return facts | {"state": "unknown", "elsewhere": elsewhere}
    return facts | {"state": "dead" if pid and _of_this_host(host, fields, path, holder) else "unknown"}


@change(effect="destroy")
def release_lock(host: Host, place: Place, lock: str, *, content: str) -> Commands:  # noqa: ARG001 - for the guards
    """Release a lock of the inventory with the command that it names; only when the holder is proven dead."""
    entry = place.inventory.locks[lock]
    fields = _fields(host, place, place.path(entry.file))
    yield Run(argv=tuple(_filled(word, fields) for word in entry.release), cwd=place.workspace, timeout=60)
    yield Wait(probe="lock_holder", args={"lock": lock}, expect=('result.state == "free"',), limit=5)


@release_lock.pin
def _seen(host: Host, place: Place, lock: str) -> dict[str, Any]:
    return {"content": _content(host, _target(place, lock, None)[0])}


@release_lock.already
def _released(host: Host, place: Place, lock: str) -> bool:
    return host.stat(_target(place, lock, None)[0]) is None


@release_lock.precondition
def _holder_is_dead(host: Host, place: Place, lock: str, *, content: str) -> None:
    path, _ = _target(place, lock, None)
    if not place.inventory.locks[lock].release:
        raise NotAllowed(f"the inventory does not say how lock {lock!r} is released")
    if _content(host, path) != content:
        raise StalePlan(f"lock {lock!r} has changed since the plan was made")
    seen = lock_holder.call({"host": host, "place": place, "lock": lock})
    if seen["state"] != "dead":
        who = f"pid {seen['pid']}: {seen['command']}" if seen["command"] else "its holder cannot be proven dead"
        raise NotAllowed(f"lock {lock!r} is not released: {who} ({seen['state']})")


@change(effect="read", repeatable=True)
def wait_until(probe: str, args: dict[str, Any], expect: list[str], limit: float = 30.0) -> Commands:
    """Wait until a probe shows what is expected (`result.field == literal`), for at most `limit` seconds (600)."""
    if not expect or not 0 < limit <= 600:
        raise NotAllowed("wait_until: give expect, and a limit of at most 600 seconds")
    yield Wait(probe=probe, args=args, expect=tuple(expect), limit=limit)


def _target(place: Place, lock: str | None, file: str | None) -> tuple[str, str | None]:
    if lock is not None:
        if lock not in place.inventory.locks:
            raise NotAllowed(
                f"lock: {lock!r} is not in the inventory (known: {', '.join(place.inventory.locks) or 'none'})"
            )
        entry = place.inventory.locks[lock]
        return place.path(entry.file), entry.holder
    if not file:
        raise NotAllowed("lock_holder: give lock or file")
    return place.path(file), None


def _content(host: Host, path: str) -> str:
    return hashed(host.read(path, 65536)) if host.stat(path) else ""


def _fields(host: Host, place: Place, path: str) -> dict[str, str]:
    """What a lock file says: JSON, `key: value` lines, or just a pid."""
    try:
        text = host.read(require_readable(host, place, path), 65536).decode("utf-8", "replace").strip()
    except CommandFailed:
        return {}
    if re.fullmatch(r"\d{1,7}", text):
        return {"pid": text}
    try:
        data = json.loads(text)
        if isinstance(data, dict):
            return {str(key): str(value)[:300] for key, value in data.items() if isinstance(value, str | int | float)}
    except ValueError:
        pass
    found = re.findall(r"^\s*([\w.-]{1,40})\s*[:=]\s*(.{1,300}?)\s*$", text, re.M)
    first = re.match(r"\s*(\d{1,7})\s*$", text.splitlines()[0]) if text else None
    return dict(found) or ({"pid": first[1]} if first else {})


def _pid(fields: dict[str, str], holder: str | None) -> int | None:
    names = (holder,) if holder else tuple(name for name in fields if name.lower() in _PID_FIELDS)
    for name in names:
        if fields.get(name, "").isdigit():
            return int(fields[name])
    return None


def _of_this_host(host: Host, fields: dict[str, str], path: str, holder: str | None) -> bool:
    """Whether the process that a lock names ran on this host, so that its absence here proves anything.

    It did where the lock says so (`Host`, or `Who: user@host`). Where the inventory names the field of the pid,
    it also did if the file lies on a filesystem that no other machine can write to: there `Who` is only a label.
    """
    here = ("localhost", host.read("/proc/sys/kernel/hostname", 256).decode().strip())
    named = next((value for key, value in fields.items() if key.lower() in ("host", "hostname")), "")
    if named:
        return named in here
    who = next((value for key, value in fields.items() if key.lower() == "who"), "")
    if "@" not in who or who.rpartition("@")[2] in here:
        return True
    kind = host.run("stat", "-f", "-c", "%T", path).strip()
    return holder is not None and kind in _LOCAL_FILESYSTEMS


def _in_other_namespaces(host: Host, pid: int) -> list[int]:
    """Processes that have this number in a pid namespace (a container) of their own: a lock may mean one of them."""
    pids = [name for name in host.folder("/proc") if name.isdigit()]
    files = host.read_many(*(f"/proc/{each}/status" for each in pids))
    found = []
    for each in pids:
        shown = re.search(rb"^NSpid:\s+(.*)$", files.get(f"/proc/{each}/status", b""), re.M)
        numbers = shown[1].split() if shown else []
        if str(pid).encode() in numbers[1:]:
            found.append(int(each))
    return found


def _is_its_program(place: Place, lock: str | None, command: str) -> bool:
    """Whether a command runs the very program that the inventory releases this lock with."""
    entry = place.inventory.locks.get(lock or "")
    if entry is None or not entry.release:
        return False
    return any(word in (entry.release[0], place.path(entry.release[0])) for word in command.split()[:3])


def _filled(word: str, fields: dict[str, str]) -> str:
    """`{ID}` of the release command, from the lock file; only plain identifiers are let through."""

    def value(found: re.Match[str]) -> str:
        held = fields.get(found[1], "")
        if not re.fullmatch(r"[A-Za-z0-9][\w.:@/+-]{0,200}", held):
            raise NotAllowed(f"the lock file says nothing usable for {found[0]}")
        return held

    return re.sub(r"\{(\w+)\}", value, word)
