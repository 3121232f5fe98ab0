"""Running a check that changes something: an action like any other, planned, approved and done once."""

from __future__ import annotations

from devops_agent.inventory import Place
from devops_agent.model import Run
from devops_agent.tools import checks
from devops_agent.tools.base import Commands, Host, change


@change(effect="change")
def run_check(host: Host, place: Place, check: str) -> Commands:  # noqa: ARG001 (the host is where it runs)
    """Run a check of the inventory once more, as the proof that what failed works."""
    entry = checks.named(place, check)
    yield Run(argv=entry.command, cwd=entry.cwd or place.workspace, timeout=entry.timeout)
