"""Which datastore of the inventory a failure is about, and what its own configuration says of it."""

from __future__ import annotations

import re
from typing import Any

from devops_agent.errors import NotFound, ToolError
from devops_agent.inventory import Datastore, Place
from devops_agent.tools.base import Host, probe

_AMOUNT = re.compile(r"(?i)\b(\d{1,6})\s?([kmg])i?b\b")
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
    """What a datastore's configuration file says in a comment about the memory that is set aside for it, in bytes.

    Only a single amount in a comment that says so counts; `bytes` is None otherwise.
    """
    config = place.inventory.datastores[datastore].config
    if not config:
        raise NotFound(f"datastores.{datastore}.config: the inventory names no configuration file")
    text = host.read(place.path(config)).decode("utf-8", "replace")
    comments = [line for line in text.splitlines() if line.lstrip().startswith(("#", ";"))]
    said = [line.strip() for line in comments if _MEANT.search(line) and _AMOUNT.search(line)]
    amounts = {_bytes(*found) for line in said for found in _AMOUNT.findall(line)}
    return {"file": config, "bytes": amounts.pop() if len(amounts) == 1 else None, "comment": " ".join(said)[:400]}


def _bytes(number: str, unit: str) -> int:
    return int(number) * int(1024 ** ("kmg".index(unit.lower()) + 1))


def _has_port(place: Place, datastore: Datastore, port: int) -> bool:
    addresses = f"{datastore.admin or ''} {datastore.url or ''}"
    if re.search(rf"(?:port=|:){port}(?:\D|$)", addresses):
        return True
    return bool(datastore.service) and port in place.service(str(datastore.service)).ports
