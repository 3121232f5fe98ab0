"""Halts as callers of the service make and end them: each within the places that the caller is for."""

from __future__ import annotations

from devops_agent.errors import NotFound
from devops_agent.jobs import halts
from devops_agent.jobs.halts import Halt
from devops_agent.web import auth
from devops_agent.web.api import backend
from devops_agent.web.problems import Forbidden


def in_force(ended: bool = False) -> list[Halt]:
    """What holds for the places that the caller sees."""
    return halts.listed(backend().jobs.engine, auth.caller().places, ended)


def halt(by: str, reason: str, place: str | None) -> Halt:
    """Let nothing be changed from now on. Raises NotFound for a place that is not known, Forbidden for others'."""
    mine = auth.caller().places
    if mine is not None and place not in mine:
        raise Forbidden(f"place: your key is for {', '.join(sorted(mine))} only")
    halts.require_known(place, backend().agent.places)
    return halts.halt(backend().jobs.engine, by, reason, place)


def go_on(by: str, name: str) -> Halt:
    """End a halt. Raises NotFound, and Forbidden where it holds for more than the caller's places."""
    mine = auth.caller().places
    found = halts.by_id(backend().jobs.engine, name)
    if mine is not None and found.place not in mine:
        if found.place is None:
            raise Forbidden(f"this halt is for all places; your key is for {', '.join(sorted(mine))} only")
        raise NotFound(f"no halt {name!r}")
    return halts.end(backend().jobs.engine, name, by)
