"""A certificate of the inventory from all sides: the file, what the service really serves, and whom clients trust."""

from __future__ import annotations

from typing import Any

from devops_agent.errors import ToolError
from devops_agent.inventory import Place
from devops_agent.tools.base import Host, probe
from devops_agent.tools.catalogue.certificates import certificate_info, tls_inspect


@probe(needs=("openssl",))
def certificate_state(
    host: Host, place: Place, certificate: str | None = None, asked: str | None = None
) -> dict[str, Any]:
    """A certificate of the inventory: is the file good, does the service serve that file, do clients trust it.

    Without `certificate`: the one that is meant for the name that a client `asked` for, else the only one there is.

    `candidate` is the one of the inventory's candidate authorities that issued it, where the trust bundle does not
    accept it yet. `served_*` are None where no port to ask is known. `drops` counts the names that the file has and the
    inventory does not want: a renewal would take them from whoever uses them.
    """
    name = certificate or _meant(place, asked)
    entry = place.inventory.certificates[name]
    given: dict[str, Any] = {"host": host, "place": place}
    file = certificate_info.call({**given, "certificate": name})
    facts: dict[str, Any] = {
        "name": name,
        "service": entry.service or _only_service(place),
        "file_valid": file["valid"],
        "file_days": file["days"],
        "file_covers": file["covers"],
        "names": file["names"],
        "wanted": list(entry.names),
        "drops": len({each.lower() for each in file["names"]} - {each.lower() for each in entry.names}),
        "not_yet": file["not_yet"],
        "renewable": bool(entry.renew),
        "served_valid": None,
        "served_same": None,
        "trusted": None,
        "candidate": None,
    }
    port = _port(place, facts["service"])
    if port is None:
        return facts
    first = asked if asked in entry.names else entry.names[0] if entry.names else None
    served = tls_inspect.call({**given, "port": port, "name": first})
    if not served["tls"]:
        return facts | {"error": served.get("error")}
    facts |= {"served_valid": served["valid"], "served_same": served["sha256"] == file["sha256"]}
    facts |= {"served_covers": served["covers"], "trusted": served["trusted"], "verify": served["verify"]}
    facts |= {"served_not_yet": served["not_yet"], "served_expired": served["expired"]}
    if not served["trusted"] and facts["served_same"]:
        facts["candidate"] = _issuer(host, place, place.path(entry.file))
    return facts


def _meant(place: Place, asked: str | None) -> str:
    entries = place.inventory.certificates
    known = [name for name, entry in entries.items() if asked and asked in entry.names] or list(entries)
    if len(known) != 1:
        raise ToolError(f"cannot tell which certificate is meant (known: {', '.join(entries) or 'none'})")
    return known[0]


def _only_service(place: Place) -> str | None:
    known = list(place.inventory.services)
    return known[0] if len(known) == 1 else None


def _port(place: Place, service: str | None) -> int | None:
    if service is None:
        return None
    entry = place.service(service)
    tcp = entry.health.tcp if entry.health else None
    if isinstance(tcp, int):
        return tcp
    return entry.ports[0] if len(entry.ports) == 1 else None


def _issuer(host: Host, place: Place, file: str) -> str | None:
    """The candidate that issued this certificate, if exactly one did."""
    candidates = place.inventory.trust.candidates if place.inventory.trust else ()
    argv = ("openssl", "verify", "-no-CApath", "-partial_chain", "-untrusted", file, "-CAfile")
    issued = [each for each in candidates if host.attempt(*argv, place.path(each), file, timeout=15).code == 0]
    return issued[0] if len(issued) == 1 else None
