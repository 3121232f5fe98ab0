"""The proof that the inventory names: checks that may be run again, and the health of services."""

from __future__ import annotations

from typing import Any

from devops_agent.errors import CommandTimedOut, NotFound
from devops_agent.inventory import Place, PlaceCheck
from devops_agent.tools import reach
from devops_agent.tools.base import Host


def named(place: Place, check: str) -> PlaceCheck:
    """The check of that name; raises NotFound, naming those that there are."""
    if check not in place.inventory.checks:
        raise NotFound(f"no check {check!r} in the inventory (known: {', '.join(place.inventory.checks) or 'none'})")
    return place.inventory.checks[check]


def outcome(host: Host, place: Place, check: str) -> dict[str, Any]:
    """Run a check once, whatever its effect: `passed`, `code`, `detail`, `timed_out`."""
    entry = named(place, check)
    try:
        ended = host.attempt(*entry.command, timeout=entry.timeout, cwd=entry.cwd or place.workspace)
    except CommandTimedOut as error:
        return {"passed": False, "code": None, "detail": str(error), "timed_out": True}
    detail = f"{entry.command[0]} ended with status {ended.code}: {ended.text[-4000:]}"
    return {"passed": ended.code == 0, "code": ended.code, "detail": detail, "timed_out": False}


def health(host: Host, place: Place, service: str) -> dict[str, Any]:
    """Whether a service passes its health check: `passed` (None where that cannot be told), `detail`."""
    check = place.service(service).health
    if check is None:
        return {"passed": None, "detail": "the inventory has no health check for it"}
    passed, detail = reach.healthy(host, place, check)
    return {"passed": passed, "detail": detail}
