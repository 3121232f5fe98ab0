"""Names that a resolver of the place does not know although the team has written them down.

For resolvers that read files of hosts(5) form (dnsmasq's addn-hosts, CoreDNS' hosts, /etc/hosts).
"""

from __future__ import annotations

import difflib
import ipaddress
import re
from typing import Any

from devops_agent.errors import NotAllowed
from devops_agent.inventory import Place
from devops_agent.tools import settings
from devops_agent.tools.base import Commands, Host, change, probe
from devops_agent.tools.commands import planned_edit

_NAME = re.compile(r"^(?=.{1,253}$)[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?$")


@probe
def host_entry(host: Host, place: Place, name: str) -> dict[str, Any]:
    """Where the place's resolvers should know a name from: which service's hosts file has it or lacks it, and what the
    team's own list of names (`templates`) says. `address` is None where no list, or more than one address, names it.

    `differs`: the resolver's file gives another address than the list. `similar` is the one name of the lists and files
    that the asked one may be a misspelling of.
    """
    _plain(name)
    found: dict[str, Any] = {"name": name, "known": False, "service": None, "file": None, "address": None}
    found |= {"differs": False, "similar": None}
    every: set[str] = set()
    for service, entry in place.inventory.services.items():
        for file in entry.config:
            lines = _entries(host, place, file)
            if lines is None:
                continue
            every |= {each for _, names in lines for each in names}
            every |= {
                each
                for template in entry.templates
                for _, names in _entries(host, place, template) or []
                for each in names
            }
            listed = {address for template in entry.templates for address in _of(host, place, template, name)}
            held = {address for address, names in lines if name in names}
            if held:
                found |= {"known": True, "service": service, "file": file, "held": sorted(held)}
                return found | {"address": min(listed, default=None), "differs": bool(listed) and not held & listed}
            if listed:
                address = listed.pop() if len(listed) == 1 else None
                found |= {"service": service, "file": file, "address": address}
    close = difflib.get_close_matches(name, sorted(every), n=2, cutoff=0.85) if not found["service"] else []
    return found | {"similar": close[0] if len(close) == 1 else None}


@change(effect="change", repeatable=True)
def add_host_entry(host: Host, place: Place, service: str, file: str, name: str) -> Commands:
    """Add a name to a resolver's hosts file, with the one address that the team's own list of names gives it."""
    settings.require_editable(host, place, file)
    seen = host_entry.call({"host": host, "place": place, "name": name})
    if seen["known"]:
        return
    if not seen["address"] or seen["service"] != service:
        raise NotAllowed(f"no list of the inventory gives {name!r} exactly one address")
    edit = planned_edit(host, place, file, "line", {"wanted": f"{seen['address']} {name}"})
    if edit is not None:
        yield edit


@add_host_entry.already
def _known(host: Host, place: Place, name: str) -> bool:
    return bool(host_entry.call({"host": host, "place": place, "name": name})["known"])


def _of(host: Host, place: Place, file: str, name: str) -> set[str]:
    return {address for address, names in _entries(host, place, file) or [] if name in names}


def _entries(host: Host, place: Place, file: str) -> list[tuple[str, list[str]]] | None:
    """`address name…` lines of a hosts file; None for a file of another form."""
    text = settings.text_of(host, place.path(file))
    if text is None:
        return None
    rows = []
    for line in text.splitlines():
        words = line.split("#")[0].split()
        if not words:
            continue
        try:
            ipaddress.ip_address(words[0])
        except ValueError:
            return None
        rows.append((words[0], words[1:]))
    return rows


def _plain(name: str) -> None:
    if not _NAME.match(name):
        raise NotAllowed(f"not a host name: {name!r}")
