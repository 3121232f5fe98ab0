"""A certificate of the inventory from all sides: the file, what the service really serves, and whom clients trust."""

from __future__ import annotations

from typing import Any

from devops_agent.errors import ToolError
from devops_agent.inventory import Place
from devops_agent.tools.base import Host, probe
from devops_agent.tools.catalogue.certificates import certificate_info, tls_inspect


@probe(needs=("openssl",))
def certificate_state(host: Host, place: Place, certificate: str | None = None) -> dict[str, Any]:
    """The (only) certificate of the inventory: is the file good, does the service serve that file, do clients trust it.

    `candidate` is the one of the inventory's candidate authorities that issued it, where the trust bundle does not
    accept it yet. `served_*` are None where no port to ask is known.
    """
    name = certificate or _only(place)
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
        "renewable": bool(entry.renew),
        "served_valid": None,
        "served_same": None,
        "trusted": None,
        "candidate": None,
    }
    port = _port(place, facts["service"])
    if port is None:
        return facts
    asked = entry.names[0] if entry.names else None
    served = tls_inspect.call({**given, "port": port, "name": asked})
    if not served["tls"]:
        return facts | {"error": served.get("error")}
    facts |= {"served_valid": served["valid"], "served_same": served["sha256"] == file["sha256"]}
    facts |= {"served_covers": served["covers"], "trusted": served["trusted"], "verify": served["verify"]}
    if not served["trusted"]:
        facts["candidate"] = _issuer(host, place, place.path(entry.file))
    return facts


def _only(place: Place) -> str:
    known = list(place.inventory.certificates)
    if len(known) != 1:
        raise ToolError(f"cannot tell which certificate is meant (known: {', '.join(known) or 'none'})")
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
    argv = ("openssl", "verify", "-no_check_time", "-no-CApath", "-partial_chain", "-CAfile")
    issued = [each for each in candidates if host.attempt(*argv, place.path(each), file, timeout=15).code == 0]
    return issued[0] if len(issued) == 1 else None
