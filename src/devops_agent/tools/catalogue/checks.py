"""The inventory's checks and health checks, as probes."""

from __future__ import annotations

from typing import Any

from devops_agent.errors import NotAllowed
from devops_agent.inventory import Place
from devops_agent.tools import checks
from devops_agent.tools.base import Host, probe


@probe
def check_result(host: Host, place: Place, check: str) -> dict[str, Any]:
    """Run a check of the inventory that only reads: `passed`, `code` and what it said."""
    effect = checks.named(place, check).effect
    if effect != "read":
        raise NotAllowed(f"check {check!r} changes something when it runs (effect: {effect}); it is not a probe")
    return checks.outcome(host, place, check)


@probe
def service_health(host: Host, place: Place, service: str) -> dict[str, Any]:
    """Whether a service passes the health check that the inventory gives it: `passed`, `detail`."""
    return checks.health(host, place, service)
