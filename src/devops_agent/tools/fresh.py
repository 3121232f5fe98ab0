"""What the services of a place have logged since a moment: the next round starts from lines that are new."""

from __future__ import annotations

from collections.abc import Iterator

from devops_agent.errors import ToolError
from devops_agent.inventory import Service
from devops_agent.model import LogMarks, Run
from devops_agent.tools import supervisors
from devops_agent.tools.base import Host
from devops_agent.tools.toolbox import Toolbox

_LIMIT = 1 << 20
_TAIL = 1 << 16
"""So much of a program's output supervisord is asked for."""


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
    for key, host, run in _outputs(toolbox):
        sizes[key] = len(_tail(host, run))
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
    for key, host, run in _outputs(toolbox):
        text = _tail(host, run)
        fresh.append(text[before.sizes.get(key, 0) :] if len(text) < _TAIL else b"")
    return b"\n".join(part for at, part in enumerate(fresh) if part.strip() and not _known(part, fresh[:at]))


def _streams(toolbox: Toolbox) -> Iterator[tuple[str, Host, Service, str]]:
    """Services whose lines lie with systemd or Docker and in no file that the inventory names."""
    for name, service in toolbox.place.inventory.services.items():
        if service.supervisor in ("systemd", "docker") and not service.logs:
            yield f"{name}:{service.supervisor}", toolbox.host({"service": name}), service, service.unit or name


def _outputs(toolbox: Toolbox) -> Iterator[tuple[str, Host, Run]]:
    """What supervisord keeps of its programs' own words, of which the inventory often names only its own log."""
    for name, service in toolbox.place.inventory.services.items():
        if service.supervisor == "supervisord":
            for stream in ("stdout", "stderr"):
                words = ("tail", f"-{_TAIL}", service.unit or name, stream)
                run = supervisors.supervisorctl(toolbox.place, service, *words)
                yield f"{name}:{stream}", toolbox.host({"service": name}), run


def _tail(host: Host, run: Run) -> bytes:
    try:
        ended = host.attempt(*run.argv, timeout=20, cwd=run.cwd)
    except ToolError:
        return b""
    refused = ended.code or ended.output.startswith(("error:", "unix:")) or "ERROR (" in ended.output[-200:]
    return b"" if refused else ended.output.removesuffix("\n").encode()


def _known(part: bytes, before: list[bytes]) -> bool:
    """Whether the same lines came from a log file already."""
    last = part.strip().rpartition(b"\n")[2]
    return any(last in other for other in before)


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
