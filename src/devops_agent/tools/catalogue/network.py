"""The network as a host sees it: TCP ports and HTTP addresses."""

from __future__ import annotations

import urllib.parse
from typing import Annotated, Any

from pydantic import Field

from devops_agent.errors import NotAllowed
from devops_agent.inventory import Place
from devops_agent.tools import reach
from devops_agent.tools.base import Host, probe

Port = Annotated[int, Field(ge=1, le=65535)]
Timeout = Annotated[float, Field(gt=0, le=60)]


@probe(outward=("address",))
def tcp_check(host: Host, port: Port, address: str = "127.0.0.1", timeout: Timeout = 5.0) -> dict[str, Any]:
    """Whether a TCP connection comes about: `open`; `error` is refused, timeout, unresolved, unreachable, reset."""
    if address.startswith("-") or not address.strip():
        raise NotAllowed(f"not an address: {address!r}")
    return {"address": address, "port": port, **reach.tcp(host, address, port, timeout)}


@probe(outward=("url",))
def http_check(host: Host, url: str, timeout: Timeout = 5.0) -> dict[str, Any]:
    """Ask for an HTTP address: `status` (None without an answer), `error`, the start of the body. Redirects are not
    followed.

    Nothing is sent along; user and password in the address are refused.
    """
    split = urllib.parse.urlsplit(url)
    if split.username or split.password:
        raise NotAllowed("user and password do not belong into an address")
    seen = reach.http(host, url, timeout)
    ok = seen["status"] is not None and 200 <= seen["status"] < 400
    return {"url": url, "ok": ok, **seen, "body": seen["body"][:4000]}


@probe
def service_ports(host: Host, place: Place, service: str) -> dict[str, Any]:
    """Which of the ports that the inventory gives a service can be connected to."""
    ports = place.service(service).ports
    seen = {port: reach.tcp(host, "127.0.0.1", port, 3.0) for port in ports}
    return {"open": [p for p in ports if seen[p]["open"]], "closed": [p for p in ports if not seen[p]["open"]]}
