"""What the services of a place have logged since a moment: the next round starts from lines that are new."""

from __future__ import annotations

from collections.abc import Iterator

from devops_agent.errors import ToolError
from devops_agent.model import LogMarks
from devops_agent.tools.base import Host
from devops_agent.tools.toolbox import Toolbox

_LIMIT = 1 << 20


def marks(toolbox: Toolbox) -> LogMarks:
    """How long each log file is now; logs that cannot be read count as empty."""
    sizes = {}
    for key, host, path in _logs(toolbox):
        try:
            sizes[key] = _size(host, path)
        except ToolError:
            sizes[key] = 0
    return LogMarks(sizes=sizes)


def since(toolbox: Toolbox, before: LogMarks) -> bytes:
    """Everything that was written to the logs since then (the last MiB of each); a file that shrank was rotated."""
    fresh = []
    for key, host, path in _logs(toolbox):
        try:
            grown = _size(host, path) - before.sizes.get(key, 0)
            if grown:
                fresh.append(host.read_tail(path, limit=min(grown if grown > 0 else _LIMIT, _LIMIT)))
        except ToolError:
            continue
    return b"\n".join(fresh)


def _logs(toolbox: Toolbox) -> Iterator[tuple[str, Host, str]]:
    place = toolbox.place
    seen = set()
    for name, service in place.inventory.services.items():
        for path in service.logs:
            if path not in seen:
                seen.add(path)
                yield f"{name}:{path}", toolbox.host({"service": name}), place.path(path)


def _size(host: Host, path: str) -> int:
    return int(host.run("stat", "-L", "-c", "%s", path).strip())
