"""Files that say which process a service is, left behind by one that is gone: seen through, and removed where proven.

A pid file is left over where its process is no more, or where the process that has the number now was started after the
file was written: numbers are given again. Sources: proc(5), PostgreSQL's documentation of postmaster.pid.
"""

from __future__ import annotations

import posixpath
import re
import time
from collections.abc import Iterator
from typing import Any

from devops_agent.errors import NotAllowed, StalePlan
from devops_agent.inventory import Place
from devops_agent.model import Command, Restore, Run
from devops_agent.tools import commands, processes, supervisors
from devops_agent.tools.base import Commands, Host, change, probe

_NAME = re.compile(r"(?:[\w.@-]*\.pid|[\w.@-]*pid(?:file)?)")
_NUMBER = re.compile(rb"\s*(\d{1,7})\s*(?:\n|$)")
_LIMIT = 4096
_LATER = 2.0
_STAYS = 5.0


@probe
def pid_file(host: Host, place: Place, path: str, service: str | None = None) -> dict[str, Any]:
    """What a pid file is worth: `state` is absent, dead (its process is gone), reused (another one has the number
    now), alive, or unknown; a bare name is looked for beside the service's configuration.

    `used` says that something works in the file's folder, or has the file open; `removable` that nothing speaks for it.
    """
    found = _find(host, place, path, service)
    facts: dict[str, Any] = {"path": found or place.path(path), "state": "absent", "pid": None, "command": None}
    facts |= {"used": False, "protected": False, "down": None, "removable": False}
    if service:
        facts["down"] = _is_down(host, place, service)
    if found is None:
        return facts
    facts["protected"] = place.is_protected(found)
    number = _NUMBER.match(host.read(found, _LIMIT))
    if not number:
        return facts | {"state": "unknown"}
    process = processes.look(host, int(number[1]))
    facts |= {"pid": int(number[1]), "command": process.command[:200] if process else None}
    facts["state"] = "dead" if process is None else "reused" if _is_younger(host, process, found) else "alive"
    facts["used"] = _is_used(host, found)
    proven = facts["state"] in ("dead", "reused") and not facts["used"] and not facts["protected"]
    return facts | {"removable": bool(proven and facts["down"])}


@change(effect="destroy", needs=("rm",))
def remove_pid_file(host: Host, place: Place, path: str, service: str, *, content: str) -> Commands:  # noqa: ARG001
    """Remove the pid file that a dead process of a service left behind; refused where anything may still use it."""
    found = _require(host, place, path, service)
    yield Run(argv=("rm", "--", found), keeps=(found,), timeout=20)


@remove_pid_file.pin
def _seen(host: Host, place: Place, path: str, service: str) -> dict[str, Any]:
    found = _find(host, place, path, service)
    return {"content": commands.hashed(commands.content(host, found)) if found else commands.ABSENT}


@remove_pid_file.already
def _is_gone(host: Host, place: Place, path: str, service: str) -> bool:
    return _find(host, place, path, service) is None


@remove_pid_file.precondition
def _is_left_over(host: Host, place: Place, path: str, service: str, *, content: str) -> None:
    found = _require(host, place, path, service)
    if commands.hashed(commands.content(host, found)) != content:
        raise StalePlan(f"{path} was written anew since it was seen")


@remove_pid_file.undo
def _back(host: Host, place: Place, path: str, service: str, *, content: str) -> Iterator[Command]:
    found = _find(host, place, path, service)
    if found:
        yield Restore(path=found, before=content, after=commands.ABSENT)


def _require(host: Host, place: Place, path: str, service: str) -> str:
    """The file; raises NotAllowed with the reason where it may not go."""
    seen = pid_file.call({"host": host, "place": place, "path": path, "service": service})
    if seen["state"] == "absent":
        raise StalePlan(f"{path} is not there any more")
    if seen["protected"]:
        raise NotAllowed(f"{path} is protected by the inventory")
    if not seen["down"]:
        raise NotAllowed(f"service {service} runs, or its supervisor does not say that it is down")
    if seen["state"] not in ("dead", "reused"):
        raise NotAllowed(f"{path} names process {seen['pid']} ({seen['command']}), which may be the one that wrote it")
    if seen["used"]:
        raise NotAllowed(f"a process works in the folder of {path}, or has it open")
    return str(seen["path"])


def _find(host: Host, place: Place, path: str, service: str | None) -> str | None:
    """The pid file that is meant, where it is there: in the workspace, by its path, or beside a file of the service."""
    if not _NAME.fullmatch(posixpath.basename(path)):
        raise NotAllowed(f"path: {path!r} is not named like a pid file")
    entry = place.service(service) if service else None
    beside = [posixpath.dirname(place.path(file)) for file in entry.config] if entry else []
    candidates = [place.path(path), *(f"{folder}/{path}" for folder in beside if "/" not in path)]
    for each in dict.fromkeys(candidates):
        found = host.stat(each)
        if found and found.kind == "file" and found.size <= _LIMIT and host.resolve(each) == each:
            if not each.startswith(place.workspace.rstrip("/") + "/") and posixpath.dirname(each) not in beside:
                raise NotAllowed(f"path: {each} lies neither in the workspace nor beside the service's configuration")
            return each
    return None


def _is_down(host: Host, place: Place, service: str) -> bool:
    """Whether a service does not run, or is started again and again and never stays."""
    for _ in range(8):
        status = supervisors.status(host, place, service)
        if status["state"] in ("stopped", "failed"):
            return True
        if status["state"] != "running" or (status["seconds"] or 0) > _STAYS:
            return False
        time.sleep(0.25)
    return False


def _is_younger(host: Host, process: processes.Process, path: str) -> bool:
    """Whether a process was started after a file was written, so that it cannot be whom the file is about."""
    written = float(host.run("stat", "-c", "%.3Y", "--", path, timeout=20).strip())
    now = float(host.run("date", "+%s.%N", timeout=20).strip())
    return now - processes.age(host, process) > written + _LATER


def _is_used(host: Host, path: str) -> bool:
    """Whether a process has the file open, or works in its folder (as all processes of a database do)."""
    folder = re.sub(r"([\[\]*?\\])", r"\\\1", posixpath.dirname(path))
    argv = ("find", "/proc", "-mindepth", "2", "-maxdepth", "2", "-path", "/proc/[0-9]*/cwd", "-lname", folder)
    inside = host.attempt(*argv, timeout=30).output.split()
    data = posixpath.basename(path) == "postmaster.pid"
    return bool(host.holders(path)[path]) or (data and bool(inside))
