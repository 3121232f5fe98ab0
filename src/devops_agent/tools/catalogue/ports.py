"""Ports: who listens on one, which ones are taken, and freeing one that a stray process holds."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import Field

from devops_agent.errors import NotAllowed, StalePlan
from devops_agent.inventory import Place
from devops_agent.model import End, Wait
from devops_agent.tools import ownership, processes, settings, supervisors
from devops_agent.tools.base import Commands, Host, change, probe
from devops_agent.tools.processes import Process
from devops_agent.tools.sockets import Listener, listeners, listening_ports

Port = Annotated[int, Field(ge=1, le=65535)]
Protocol = Literal["tcp", "udp"]
_LISTEN_KEY = re.compile(r"(^|[._-])(port|listen|bind|http_port|bind_addr\w*|listen_addr\w*)$", re.I)
_PORT_KEY = re.compile(r"port|listen|bind|addr", re.I)


@probe
def port_owner(
    host: Host, place: Place, port: Port | None = None, protocol: Protocol = "tcp", service: str | None = None
) -> dict[str, Any]:
    """Who listens on a port: process, user, since when, who supervises it, whether it may be ended and why.

    Without a port: the one of the service's ports that something listens on, else one that its configuration names.
    `service` is whom the inventory gives the port to; `is_inventory` says that the holder is supervised or that service
    itself; `ours` that it may be ended; `intruder` that it is not that service, whoever keeps it running.
    """
    port = port or _taken(host, place, service)
    found = listeners(host, port, protocol)
    named = place.service_on(port)
    facts: dict[str, Any] = {
        "port": port,
        "listening": bool(found),
        "addresses": sorted({one.address for one in found}),
        "service": named,
        "pid": None,
        "pids": [one.pid for one in found if one.pid],
    }
    process = processes.look(host, found[0].pid) if found and found[0].pid else None
    if process is None:
        why = "its owner cannot be seen without more rights" if found else "nothing listens"
        return facts | {"why": why, "ours": False, "supervisor": None, "is_inventory": False, "intruder": False}
    belonging = ownership.whose(host, place, process, named)
    return facts | {
        "pid": process.pid,
        "command": process.command,
        "program": process.name,
        "user": processes.user_name(host, process.uid),
        "started": process.started,
        "seconds": round(processes.age(host, process), 1),
        "supervisor": belonging.supervisor,
        "ours": belonging.ours,
        "is_inventory": not belonging.ours and bool(belonging.supervisor or belonging.entry),
        "intruder": bool(named) and _is_intruder(host, place, str(named), process),
        "why": belonging.why,
    }


def _is_intruder(host: Host, place: Place, service: str, holder: Process) -> bool:
    """Whether a supervised service is not what holds its port: neither the process that its supervisor started nor one
    below that. Sockets that the first process or Docker opens for a service count as the service's."""
    if place.service(service).supervisor not in ("runit", "supervisord", "systemd"):
        return False
    above = processes.ancestors(host, holder)
    if holder.pid == 1 or processes.supervisor_name(holder):
        return False
    return supervisors.status(host, place, service)["pid"] not in {holder.pid, *(parent.pid for parent in above)}


def _taken(host: Host, place: Place, service: str | None) -> int:
    """The service's port that is taken, else a taken one that its configuration sets, else its first."""
    if service is None:
        raise NotAllowed("port_owner: give port or service")
    entry = place.service(service)
    ports = [*entry.ports]
    if entry.health and entry.health.tcp:
        ports.append(int(str(entry.health.tcp).rpartition(":")[2]))
    if entry.health and entry.health.http and (shown := re.search(r"://[^/]*:(\d+)", entry.health.http)):
        ports.append(int(shown[1]))
    named = ports + _configured(host, place, service)
    if not named:
        raise NotAllowed(f"the inventory names no port of service {service!r}")
    return next((port for port in named if listeners(host, port)), named[0])


def _configured(host: Host, place: Place, service: str) -> list[int]:
    """The ports that a service's configuration sets it to listen on."""
    found = []
    for file in (place.path(each) for each in place.service(service).config):
        text = settings.text_of(host, file)
        for _, key, value in settings.entries(file, text) if text else ():
            number = re.search(r"(?:^|[:\]])(\d{2,5})(?=$|\s)", value)
            if number and _LISTEN_KEY.search(key) and 0 < int(number[1]) < 65536:
                found.append(int(number[1]))
    return found


@probe
def port_setting(host: Host, place: Place, service: str, port: Port | None = None) -> dict[str, Any]:
    """Where a service's configuration sets a port (`file`, `key`): `elsewhere` says that it is another service's.

    Without a port: the one that the service's own processes listen on, if that is none of those that it should have.
    `proper` is what stands there with the service's own port instead; null where something listens on that.
    """
    own = place.service(service).ports
    port = port or _strayed(host, place, service)
    if port is None:
        return {"service": service, "port": None, "elsewhere": False, "file": None, "proper": None, "own": list(own)}
    owner = place.service_on(port)
    facts: dict[str, Any] = {"service": service, "port": port, "elsewhere": owner not in (None, service), "file": None}
    facts |= {"key": None, "value": None, "proper": None, "own": list(own)}
    whole = re.compile(rf"(?<!\d){port}(?!\d)")
    found = []
    for file in (place.path(each) for each in place.service(service).config):
        text = settings.text_of(host, file)
        rows = settings.entries(file, text) if text else ()
        found += [(file, key, value) for _, key, value in rows if whole.search(value) and _PORT_KEY.search(key)]
    if len(found) == 1 and len(own) == 1 and port not in own and not listeners(host, own[0]):
        file, key, value = found[0]
        facts |= {"file": file, "key": key, "value": value, "proper": whole.sub(str(own[0]), value)}
    return facts


def _strayed(host: Host, place: Place, service: str) -> int | None:
    """The one port that the processes of a service listen on, where it has none of its own."""
    top = supervisors.status(host, place, service)["pid"]
    if not top:
        return None
    held = []
    for port in listening_ports(host):
        pids = {one.pid for one in listeners(host, port) if one.pid}
        if any(top in host.lineage(pid) for pid in pids):
            held.append(port)
    return held[0] if len(held) == 1 and held[0] not in place.service(service).ports else None


@probe
def listening(host: Host, protocol: Protocol = "tcp") -> dict[str, Any]:
    """All ports that something listens on, with the addresses."""
    ports = listening_ports(host, protocol)
    return {"ports": list(ports), "addresses": {str(port): addresses for port, addresses in ports.items()}}


@change(effect="destroy")
def free_port(port: Port, protocol: Protocol = "tcp", *, holders: list[dict[str, Any]]) -> Commands:
    """End the stray process that holds a port, gently and then by force, and prove that the port is free.

    Refused where the holder is supervised, is a service of the inventory, part of the system, or somebody else's.
    """
    for holder in holders:
        yield End(pid=holder["pid"], started=holder["started"], command=holder["command"])
    if holders:
        args = {"port": port, "protocol": protocol}
        yield Wait(probe="port_owner", args=args, expect=("result.listening == false",), limit=5)


@free_port.pin
def _holders(host: Host, port: int, protocol: str = "tcp") -> dict[str, Any]:
    pids = {one.pid: one for one in listeners(host, port, protocol)}
    if None in pids:
        raise NotAllowed(f"who holds port {port} cannot be seen without more rights")
    seen = [process for pid in sorted(filter(None, pids)) if (process := processes.look(host, pid))]
    above = {process.pid: {parent.pid for parent in processes.ancestors(host, process)} for process in seen}
    seen.sort(key=lambda process: (len(above[process.pid] & pids.keys()), process.pid))
    return {
        "holders": [
            {
                "pid": process.pid,
                "started": process.started,
                "command": process.command,
                "user": processes.user_name(host, process.uid),
            }
            for process in seen
        ]
    }


@free_port.already
def _free(host: Host, port: int, protocol: str = "tcp") -> bool:
    return not listeners(host, port, protocol)


@free_port.precondition
def _may_be_freed(host: Host, place: Place, port: int, protocol: str = "tcp", *, holders: list[dict[str, Any]]) -> None:
    known = {holder["pid"]: holder for holder in holders}
    now: list[Listener] = listeners(host, port, protocol)
    for listener in now:
        process = processes.look(host, listener.pid) if listener.pid else None
        seen = known.get(listener.pid)
        if process is None or seen is None or not process.same(seen["started"], seen["command"]):
            raise StalePlan(f"port {port} is held by another process than the one that was seen")
    for pid in {listener.pid for listener in now}:
        process = processes.look(host, pid) if pid else None
        if process:
            ownership.require_ours(ownership.whose(host, place, process, place.service_on(port)), process)
