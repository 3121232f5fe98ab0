"""Services of the inventory: status, health, start, restart, reload."""

from __future__ import annotations

import time
from typing import Any

from devops_agent.errors import CommandFailed, NotAllowed
from devops_agent.inventory import Place
from devops_agent.model import End, Run, Wait
from devops_agent.tools import ownership, processes, reach, supervisors
from devops_agent.tools.base import Commands, Host, change, probe

_LOOP = 4
"""What ended so often while it was watched keeps ending."""
_WATCHED = 4.0
"""And was watched for so many seconds: what it needs may come up just after it."""


@probe
def service_status(host: Host, place: Place, service: str) -> dict[str, Any]:
    """State of a service as its supervisor sees it (running, starting, stopped, failed, missing).

    `stale` says that its configuration was changed after it was started.
    """
    status = supervisors.status(host, place, service)
    changed = _configured(host, place, service)
    started = status["since"]
    return status | {"stale": bool(started and changed and changed > started + 0.5), "configured": changed or None}


@probe
def service_settles(host: Host, place: Place, service: str, seconds: int = 20) -> dict[str, Any]:
    """Watch a service until it stays up, ends for good, keeps ending (a crash loop), or `seconds` (120) are over.

    `stays` is true where it has been running for a second, or for three where it was seen to end before.
    """
    begun = time.monotonic()
    ends: set[str] = set()
    alone = place.service(service).supervisor in (None, "command")
    while True:
        status = supervisors.status(host, place, service)
        ends |= {status["ended"]} - {None}
        lasting = alone or (status["seconds"] or 0) >= (3 if len(ends) > 1 else 1)
        watched = time.monotonic() - begun
        if status["state"] == "running" and lasting:
            how = "up"
        elif status["given_up"]:
            how = "ended for good: its supervisor has given it up"
        elif len(ends) >= _LOOP and watched >= _WATCHED:
            how = "keeps ending"
        elif watched >= min(seconds, 120):
            how = f"not up within {min(seconds, 120)} s"
        else:
            time.sleep(0.2 if host.local else 1.0)
            continue
        seen = {key: status[key] for key in ("state", "pid", "detail")}
        return {"service": service, "stays": how == "up", "how": how, "ends": max(len(ends) - 1, 0), **seen}


@change(effect="change", repeatable=True)
def start_service(place: Place, service: str) -> Commands:
    """Start a service that does not run, with its supervisor, and see that it stays up."""
    yield from supervisors.commands(place, service, "start")
    yield _stays(service)


@start_service.already
def _runs(host: Host, place: Place, service: str) -> bool:
    return bool(supervisors.status(host, place, service)["state"] == "running")


@change(effect="change", repeatable=True)
def restart_service(
    host: Host,
    place: Place,
    service: str,
    *,
    pid: int | None,
    since: float | None,  # noqa: ARG001 - for the guards
) -> Commands:
    """Restart a service with its supervisor, after a test of its configuration; see that it stays up.

    Nothing is done where it was restarted after the plan was made and after its configuration changed, and is healthy.
    """
    entry = place.service(service)
    if entry.supervisor in (None, "command"):
        tested = [Run(argv=entry.test, cwd=place.workspace)] if entry.test else []
        yield from tested
        process = processes.look(host, pid) if pid else None
        if process:
            yield End(pid=process.pid, started=process.started, command=process.command)
        yield from (each for each in supervisors.commands(place, service, "start") if each not in tested)
    else:
        yield from supervisors.commands(place, service, "restart")
    yield _stays(service)


@restart_service.pin
def _seen(host: Host, place: Place, service: str) -> dict[str, Any]:
    status = supervisors.status(host, place, service)
    return {"pid": status["pid"], "since": round(status["since"], 1) if status["since"] else None}


@restart_service.already
def _restarted(host: Host, place: Place, service: str, *, pid: int | None, since: float | None) -> bool:
    status = supervisors.status(host, place, service)
    if status["state"] != "running" or status["reload_needed"] or not status["since"] or status["seconds"] < 3:
        return False
    if status["pid"] == pid and (since is None or abs(status["since"] - since) < 3):
        return False
    if status["since"] < _configured(host, place, service):
        return False
    check = place.service(service).health
    return check is None or bool(reach.healthy(host, place, check)[0])


@restart_service.precondition
def _may_restart(host: Host, place: Place, service: str, *, pid: int | None) -> None:
    if place.service(service).supervisor not in (None, "command") or not pid:
        return
    process = processes.look(host, pid)
    if process and processes.is_agent(host, process.pid):
        raise NotAllowed("it is the agent itself, or runs it")
    keeper = processes.supervisor(host, process) if process else None
    if process and keeper:
        raise NotAllowed(f"service {service} is run by {keeper}, which the inventory does not name as its supervisor")
    if process and ownership.service_itself(host, place, process) != service:
        raise NotAllowed(f"what listens on the ports of {service} is not that service: {process.command[:120]}")


@change(effect="change", repeatable=True)
def reload_service(place: Place, service: str) -> Commands:
    """Make a running service read its configuration again, after testing it where that is known."""
    yield from supervisors.commands(place, service, "reload")


@reload_service.precondition
def _must_run(host: Host, place: Place, service: str) -> None:
    status = supervisors.status(host, place, service)
    if status["state"] != "running":
        raise NotAllowed(f"service {service} does not run ({status['state']}); it must be started, not reloaded")


def _stays(service: str) -> Wait:
    return Wait(probe="service_settles", args={"service": service}, expect=("result.stays == true",), limit=0)


def _configured(host: Host, place: Place, service: str) -> float:
    """When the newest of its configuration files was changed, in seconds since 1970; 0 where none is there."""
    newest = 0.0
    for path in place.service(service).config:
        try:
            found = host.stat(place.path(path))
        except CommandFailed:
            continue
        if found and found.modified <= time.time() + 3600:
            newest = max(newest, found.modified)
    return newest
