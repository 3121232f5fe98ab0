"""What the services of a place have logged since a moment: the next round starts from lines that are new."""

from __future__ import annotations

from collections.abc import Iterator

from devops_agent.errors import ToolError
from devops_agent.inventory import Service
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
    for key, host, service, _ in _streams(toolbox):
        sizes[key] = _clock(host, service)
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
    for key, host, service, unit in _streams(toolbox):
        began = before.sizes.get(key, 0)
        try:
            ended = host.attempt(*service.control, *_later(service, unit, began), timeout=30) if began else None
        except ToolError:
            continue
        fresh.append(ended.text.encode()[-_LIMIT:] if ended and ended.code == 0 else b"")
    return b"\n".join(part for part in fresh if part.strip())


def _streams(toolbox: Toolbox) -> Iterator[tuple[str, Host, Service, str]]:
    """Services whose lines lie with systemd or Docker and in no file that the inventory names."""
    for name, service in toolbox.place.inventory.services.items():
        if service.supervisor in ("systemd", "docker") and not service.logs:
            yield f"{name}:{service.supervisor}", toolbox.host({"service": name}), service, service.unit or name


def _later(service: Service, unit: str, since: int) -> tuple[str, ...]:
    if service.supervisor == "docker":
        return ("docker", "logs", "--since", str(since), "--", unit)
    return ("journalctl", "--no-pager", "--quiet", f"--unit={unit}", f"--since=@{since}")


def _clock(host: Host, service: Service) -> int:
    """The clock by which those lines are stamped, in seconds since 1970."""
    try:
        said = host.attempt(*service.control, "date", "+%s", timeout=20).output.strip()
    except ToolError:
        return 0
    return int(said) if said.isdigit() else 0


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
