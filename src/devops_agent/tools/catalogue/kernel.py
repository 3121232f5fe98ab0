"""What the kernel tells: its log, what a cgroup may use and uses. Sources: dmesg(1), the kernel's cgroup documents."""

from __future__ import annotations

import posixpath
import re
from typing import Annotated, Any

from pydantic import Field

from devops_agent.errors import CommandFailed
from devops_agent.inventory import Place
from devops_agent.tools import processes, supervisors
from devops_agent.tools.base import Host, probe

_OOM = re.compile(r"(?:Out of memory|Memory cgroup out of memory): Kill(?:ed)? process (\d+) \(([^)]*)\)")
_V2 = {"memory_bytes": "memory.current", "memory_limit": "memory.max", "pids": "pids.current", "pids_limit": "pids.max"}
_V1 = {
    "memory_bytes": ("memory", "memory.usage_in_bytes"),
    "memory_limit": ("memory", "memory.limit_in_bytes"),
    "pids": ("pids", "pids.current"),
    "pids_limit": ("pids", "pids.max"),
}


@probe(needs=("dmesg",))
def kernel_log(host: Host, lines: Annotated[int, Field(ge=1, le=2000)] = 200) -> dict[str, Any]:
    """The last lines of the kernel's log, and whom the OOM killer ended (pid and name). Needs the right to read it."""
    ended = host.attempt("dmesg", timeout=20)
    if ended.code:
        raise CommandFailed(f"dmesg: {ended.text[-200:]}", ended.code)
    text = "\n".join(ended.output.splitlines()[-lines:])
    killed = [{"pid": int(pid), "name": name} for pid, name in _OOM.findall(text)]
    errors = [
        line for line in text.splitlines() if re.search(r"I/O error|EXT4-fs error|segfault|hung_task|Remounting", line)
    ]
    return {"text": text, "oom_killed": killed, "errors": errors[-50:]}


@probe
def cgroup_usage(host: Host, place: Place, service: str | None = None, pid: int | None = None) -> dict[str, Any]:
    """What the cgroup of a service (or process) uses and may use: memory, processes; a limit of None is none.

    `throttled` is the share of periods in which its CPU limit held it back; `oom_kills` counts the OOM killer's visits.
    """
    if pid is None and service:
        pid = supervisors.status(host, place, service)["pid"]
    if not pid or processes.look(host, pid) is None:
        raise CommandFailed("cgroup_usage: there is no such process")
    paths = _paths(host, pid)
    facts: dict[str, Any] = {"pid": pid, "cgroup": paths.get("", paths.get("memory", ""))}
    for name, file in _V2.items():
        controller, old = _V1[name]
        facts[name] = _number(host, paths, "", file) if "" in paths else _number(host, paths, controller, old)
    stat = _text(host, paths, "" if "" in paths else "cpu", "cpu.stat")
    periods, held = (int(found[1]) if (found := re.search(rf"^{name} (\d+)", stat, re.M)) else 0 for name in _CPU)
    facts["throttled"] = round(held / periods, 3) if periods else None
    events = _text(
        host, paths, "" if "" in paths else "memory", "memory.events" if "" in paths else "memory.oom_control"
    )
    found = re.search(r"^oom_kill (\d+)", events, re.M)
    facts["oom_kills"] = int(found[1]) if found else None
    limit, used = facts["memory_limit"], facts["memory_bytes"]
    return facts | {"memory_percent": round(100 * used / limit, 1) if used and limit else None}


_CPU = ("nr_periods", "nr_throttled")


def _paths(host: Host, pid: int) -> dict[str, str]:
    """The folder of each controller; the unified tree's under an empty name."""
    found = {}
    for line in host.read(f"/proc/{pid}/cgroup", 8192).decode("utf-8", "replace").splitlines():
        number, controllers, path = line.split(":", 2)
        for controller in controllers.split(","):
            root = "/sys/fs/cgroup" if number == "0" else f"/sys/fs/cgroup/{controller}"
            folder = posixpath.normpath(root + path)
            if (
                host.exists(folder)
                and folder.startswith("/sys/fs/cgroup")
                and (number != "0" or _unified(host, folder))
            ):
                found[controller] = folder
    return found


def _unified(host: Host, folder: str) -> bool:
    return host.exists(f"{folder}/cgroup.controllers")


def _text(host: Host, paths: dict[str, str], controller: str, file: str) -> str:
    try:
        return host.read(f"{paths[controller]}/{file}", 8192).decode("utf-8", "replace") if controller in paths else ""
    except CommandFailed:
        return ""


def _number(host: Host, paths: dict[str, str], controller: str, file: str) -> int | None:
    text = _text(host, paths, controller, file).strip()
    return int(text) if text.isdigit() and int(text) < 1 << 60 else None
