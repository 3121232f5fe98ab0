"""Logs: of files, units, containers and the services of the inventory."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from devops_agent.errors import CommandFailed, NotAllowed, ToolError
from devops_agent.inventory import Place, Service
from devops_agent.tools import secrecy
from devops_agent.tools.base import Host, probe

Lines = Annotated[int, Field(ge=1, le=5000)]
_BYTES = 256 * 1024


@probe
def read_log(
    host: Host,
    place: Place,
    file: str | None = None,
    service: str | None = None,
    unit: str | None = None,
    container: str | None = None,
    lines: Lines = 200,
) -> dict[str, Any]:
    """The last lines of a log: a file, a systemd unit's journal, a container's; else of the inventory's services.

    Without arguments, the logs of all services of the inventory that can be read.
    """
    if file:
        return _joined([_file(host, place, file, lines)])
    if unit:
        return _joined([_journal(host, _name(unit), lines)])
    if container:
        return _joined([_container(host, (), _name(container), lines)])
    names = [service] if service else place.services_here()
    if not names:
        raise NotAllowed("there is no inventory that names a log; give file, unit or container")
    share = max(lines // len(names), 20)
    found = [log for name in names for log in _of_service(host, place, name, share)]
    if not found:
        raise CommandFailed(f"no log of {', '.join(names)} could be read")
    return _joined(found)


@probe
def service_logs(host: Host, place: Place, service: str, lines: Lines = 200) -> dict[str, Any]:
    """The last lines of what a service logs: its log files, else its unit's journal or its container's output."""
    found = _of_service(host, place, service, lines)
    if not found:
        raise CommandFailed(f"no log of {service} could be read")
    return _joined(found)


def _of_service(host: Host, place: Place, name: str, lines: int) -> list[dict[str, Any]]:
    service = place.service(name)
    found = []
    for path in service.logs:
        try:
            found.append(_file(host, place, path, lines))
        except ToolError as error:
            found.append({"source": path, "text": "", "error": str(error), "truncated": False})
    if found and any(log["text"] for log in found):
        return found
    try:
        if service.supervisor == "systemd":
            return [_journal(host, service.unit or name, lines, service)]
        if service.supervisor == "docker":
            return [_container(host, service.control, service.unit or name, lines)]
    except ToolError as error:
        found.append({"source": name, "text": "", "error": str(error), "truncated": False})
    return found


def _file(host: Host, place: Place, path: str, lines: int) -> dict[str, Any]:
    real = secrecy.require_readable(host, place, path)
    raw = host.read_tail(real, _BYTES)
    text = raw.decode("utf-8", "replace")
    kept = text.splitlines()
    whole = len(raw) < _BYTES
    if not whole:
        kept = kept[1:]
    return {"source": place.path(path), "text": "\n".join(kept[-lines:]), "truncated": not whole or len(kept) > lines}


def _journal(host: Host, unit: str, lines: int, service: Service | None = None) -> dict[str, Any]:
    control = service.control if service else ()
    argv = ("journalctl", "--no-pager", "--quiet", "--output=short-iso", f"--unit={unit}", f"--lines={lines}")
    return {"source": f"journal of {unit}", "text": host.run(*control, *argv, timeout=30), "truncated": True}


def _container(host: Host, control: tuple[str, ...], name: str, lines: int) -> dict[str, Any]:
    ended = host.attempt(*control, "docker", "logs", f"--tail={lines}", name, timeout=30)
    if ended.code:
        raise CommandFailed(f"docker logs {name}: {ended.text[:300]}", ended.code)
    return {"source": f"container {name}", "text": ended.text, "truncated": True}


def _joined(found: list[dict[str, Any]]) -> dict[str, Any]:
    single = len(found) == 1
    text = "\n".join(
        log["text"] if single else f"==> {log['source']} <==\n{log['text']}" for log in found if log["text"]
    )
    return {
        "sources": [log["source"] for log in found],
        "text": text,
        "lines": text.count("\n") + 1 if text else 0,
        "truncated": any(log["truncated"] for log in found),
        "errors": [log["error"] for log in found if log.get("error")],
    }


def _name(name: str) -> str:
    if name.startswith("-"):
        raise NotAllowed(f"not a name: {name!r}")
    return name
