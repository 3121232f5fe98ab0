"""Ports: who listens on one, which ones are taken, and freeing one that a stray process holds."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from devops_agent.errors import NotAllowed, StalePlan
from devops_agent.inventory import Place
from devops_agent.model import End, Wait
from devops_agent.tools import ownership, processes
from devops_agent.tools.base import Commands, Host, change, probe
from devops_agent.tools.sockets import Listener, listeners, listening_ports

Port = Annotated[int, Field(ge=1, le=65535)]
Protocol = Literal["tcp", "udp"]


@probe
def port_owner(host: Host, place: Place, port: Port, protocol: Protocol = "tcp") -> dict[str, Any]:
    """Who listens on a port: process, user, since when, who supervises it, whether it may be ended and why.

    `service` is whom the inventory gives the port to; `is_inventory` says that the holder is supervised or that service
    itself; `ours` that it may be ended.
    """
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
        return facts | {"why": why, "ours": False, "supervisor": None, "is_inventory": False}
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
        "why": belonging.why,
    }


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
