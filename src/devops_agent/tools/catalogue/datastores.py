"""Which datastore of the inventory a failure is about, and what its own configuration says of it."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from devops_agent.errors import NotFound, ToolError
from devops_agent.inventory import Datastore, Place
from devops_agent.tools.base import Host, probe

_AMOUNT = re.compile(r"(?i)\b(\d{1,6})\s?([kmg])i?b\b")
_SETTING = re.compile(r"(?im)^[ \t]*maxmemory[ \t]+(\d{1,12})[ \t]?([kmg]?)b?[ \t]*$")
_MEANT = re.compile(r"(?i)set aside|reserved for|budget|may use|up to")


@probe
def datastore_of(place: Place, port: int | None = None, kind: str | None = None) -> dict[str, Any]:
    """Which datastore of the inventory is meant: the one on that port, else the only one (of that kind)."""
    known = {name: each for name, each in place.inventory.datastores.items() if kind in (None, each.kind)}
    wanted = [name for name, each in known.items() if port and _has_port(place, each, port)]
    if not wanted and len(known) == 1:
        wanted = list(known)
    if len(wanted) != 1:
        raise ToolError(f"cannot tell which datastore is meant (port {port}; known: {', '.join(known) or 'none'})")
    found = known[wanted[0]]
    return {"name": wanted[0], "kind": found.kind, "service": found.service, "config": found.config}


@probe
def memory_documented(host: Host, place: Place, datastore: str) -> dict[str, Any]:
    """How much memory may be given to a datastore, in bytes: `bytes` where the team states it, `hinted` where not.

    It is stated by the inventory (`memory`), or as a setting in a template of its service. What only a comment says is
    `hinted`: a person is asked about it. A single amount in a comment that says so counts, otherwise it is None.
    `configured` is what its configuration file sets, which a running server need not have been told.
    """
    entry = place.inventory.datastores[datastore]
    stated = entry.memory or _set_by_template(host, place, entry)
    if not entry.config:
        if stated:
            return {"file": None, "bytes": stated, "hinted": None, "comment": "", "configured": None}
        raise NotFound(f"datastores.{datastore}: the inventory names neither `memory` nor a configuration file")
    said = [line for line in _comments(host, place, entry.config) if _MEANT.search(line) and _AMOUNT.search(line)]
    amounts = {_bytes(*found) for line in said for found in _AMOUNT.findall(line)}
    hinted = amounts.pop() if len(amounts) == 1 else None
    facts = {"file": entry.config, "bytes": stated, "hinted": hinted, "comment": " ".join(said)[:400]}
    return facts | {"configured": _set_in(host.read_many(place.path(entry.config), limit=65536).values())}


def _comments(host: Host, place: Place, file: str) -> list[str]:
    text = host.read(place.path(file)).decode("utf-8", "replace")
    return [line.strip() for line in text.splitlines() if line.lstrip().startswith(("#", ";"))]


def _set_by_template(host: Host, place: Place, entry: Datastore) -> int | None:
    """The one amount to which the templates of its service set `maxmemory`."""
    templates = place.service(entry.service).templates if entry.service else ()
    return _set_in(host.read_many(*map(place.path, templates), limit=65536).values() if templates else ())


def _set_in(texts: Iterable[bytes]) -> int | None:
    found = {_bytes(*one) for text in texts for one in _SETTING.findall(text.decode("utf-8", "replace"))}
    return found.pop() if len(found) == 1 else None


def _bytes(number: str, unit: str) -> int:
    return int(number) << 10 * ("", "k", "m", "g").index(unit.lower())


def _has_port(place: Place, datastore: Datastore, port: int) -> bool:
    addresses = f"{datastore.admin or ''} {datastore.url or ''}"
    if re.search(rf"(?:port=|:){port}(?:\D|$)", addresses):
        return True
    return bool(datastore.service) and port in place.service(str(datastore.service)).ports
