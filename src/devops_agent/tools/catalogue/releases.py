"""Releases: which one of a service is in use, and rolling its link back."""

from __future__ import annotations

import posixpath
import re
from typing import Any

from devops_agent.errors import CommandFailed, NotAllowed, StalePlan
from devops_agent.inventory import Place, Releases
from devops_agent.model import Run
from devops_agent.tools import reach
from devops_agent.tools.base import Commands, Host, change, probe
from devops_agent.tools.catalogue.migrations import migration_status


@probe
def release_state(host: Host, place: Place, service: str) -> dict[str, Any]:
    """Which release of a service its link points to, which ones there are (oldest first), and the one before it."""
    entry = _releases(place, service)
    current = host.resolve(place.path(entry.current))
    names = _known(host, place, entry)
    name = posixpath.basename(current)
    before = names[names.index(name) - 1] if name in names and names.index(name) > 0 else None
    return {
        "service": service,
        "current": name,
        "valid": host.stat(current) is not None,
        "releases": names,
        "previous": before,
        "newest": names[-1] if names else None,
    }


@probe
def release_suspect(host: Host, place: Place, service: str) -> dict[str, Any]:
    """Whether the release in use is what broke a service: `previous` is the one to go back to, None where it is not.

    It is suspect where it is the newest, the service is not healthy, and nothing of its configuration was changed after
    the link was set to it; pending migrations, and a release that is not there, are other causes.
    """
    seen = release_state.call({"host": host, "place": place, "service": service})
    entry = place.service(service)
    facts = {"service": service, "current": seen["current"], "previous": None, "reason": ""}
    if seen["previous"] is None or seen["releases"][-1:] != [seen["current"]]:
        return facts | {"reason": "it is not the newest of several releases"}
    if entry.health is None or reach.healthy(host, place, entry.health)[0] is not False:
        return facts | {"reason": "the service is not known to be unhealthy"}
    switched = float(host.run("stat", "-c", "%Y", "--", place.path(_releases(place, service).current)).strip())
    changed = [host.stat(place.path(file)) for file in entry.config]
    if any(found and found.modified > switched + 1 for found in changed):
        return facts | {"reason": "its configuration was changed after the release"}
    migrations = place.inventory.migrations
    if migrations and migrations.status and migration_status.call({"host": host, "place": place})["pending"]:
        return facts | {"reason": "migrations are pending"}
    return facts | {"previous": seen["previous"]}


@change(effect="change", repeatable=True)
def use_release(place: Place, service: str, release: str, *, before: str) -> Commands:  # noqa: ARG001 - for undo
    """Point the link of a service to another of its releases. Takes effect when the service is restarted."""
    entry = _releases(place, service)
    yield _link(place, entry, release)


@use_release.pin
def _seen(host: Host, place: Place, service: str) -> dict[str, Any]:
    return {"before": posixpath.basename(host.resolve(place.path(_releases(place, service).current)))}


@use_release.already
def _in_use(host: Host, place: Place, service: str, release: str) -> bool:
    return posixpath.basename(host.resolve(place.path(_releases(place, service).current))) == release


@use_release.precondition
def _is_there(host: Host, place: Place, service: str, release: str, before: str) -> None:
    entry = _releases(place, service)
    if release not in _known(host, place, entry):
        raise NotAllowed(f"release: {release!r} is none of {', '.join(_known(host, place, entry))}")
    if posixpath.basename(host.resolve(place.path(entry.current))) != before:
        raise StalePlan(f"another release of {service} is in use than the one that was seen")


@use_release.undo
def _back(place: Place, service: str, before: str) -> Commands:
    yield _link(place, _releases(place, service), before)


def _releases(place: Place, service: str) -> Releases:
    entry = place.service(service).releases
    if entry is None:
        raise NotAllowed(f"the inventory names no releases of {service!r}")
    return entry


def _known(host: Host, place: Place, entry: Releases) -> list[str]:
    """The folders of all releases, in the order of their numbers."""
    try:
        names = host.folder(place.path(entry.all))
    except CommandFailed:
        return []
    current = posixpath.basename(entry.current)
    return sorted((name for name in names if name != current and not name.startswith((".", "-"))), key=_natural)


def _natural(name: str) -> list[tuple[int, int | str]]:
    return [(0, int(part)) if part.isdigit() else (1, part) for part in re.split(r"(\d+)", name)]


def _link(place: Place, entry: Releases, release: str) -> Run:
    current = place.path(entry.current)
    target = posixpath.relpath(posixpath.join(place.path(entry.all), release), posixpath.dirname(current))
    return Run(argv=("ln", "-sfn", "--", target, current), cwd=place.workspace)
