"""What an ended container leaves behind: whether anything of worth would go with it."""

from __future__ import annotations

import re
from typing import Any

from devops_agent.errors import UnreadableOutput
from devops_agent.inventory import Place
from devops_agent.tools import supervisors
from devops_agent.tools.base import Host, probe

_PASSING = re.compile(
    r"^/(tmp|run|proc|sys|dev|var/(run|tmp|log|cache|lock))(/|$)|^/etc/(hosts|hostname|resolv\.conf|mtab)$"
)


@probe
def container_left(host: Host, place: Place, service: str) -> dict[str, Any]:
    """State of a service's container, and what was written into it and into no volume (`changed`): that goes with it.

    `detail` says how it ended, `run` whether the inventory says how it is started anew.
    """
    entry = place.service(service)
    status = supervisors.status(host, place, service)
    facts = {
        "service": service,
        "container": entry.unit or service,
        "state": status["state"],
        "detail": status["detail"],
        "changed": [],
        "run": bool(entry.run),
    }
    facts["down"] = status["state"] in ("stopped", "failed") and not status["detail"].startswith(
        ("restarting", "paused")
    )
    if status["state"] in ("missing", "unknown"):
        return facts | {"count": 0}
    changed = changes(host, place, service)
    return facts | {"changed": changed[:20], "count": len(changed)}


def changes(host: Host, place: Place, service: str) -> list[str]:
    """What a service's container holds and a new one would not have: files in it, volumes without a name."""
    entry = place.service(service)
    argv = (*entry.control, "docker", "diff", entry.unit or service)
    ended = host.attempt(*argv, timeout=30, cwd=place.workspace)
    if ended.code:
        raise UnreadableOutput(f"docker diff: {ended.text[-300:]}")
    rows = [line.split(" ", 1) for line in ended.output.splitlines() if line[:2] in ("A ", "C ", "D ")]
    paths = [path for _, path in rows]
    leaves = [path for path in paths if not any(other.startswith(path + "/") for other in paths)]
    form = "{{range .Mounts}}{{.Type}} {{.Name}} {{.Destination}}{{println}}{{end}}"
    shown = host.attempt(*entry.control, "docker", "inspect", "--format", form, entry.unit or service, timeout=20)
    nameless = re.findall(r"^volume [0-9a-f]{64} (\S+)$", shown.output, re.M)  # the new container would get another
    return [path for path in leaves if not _PASSING.search(path)] + nameless
