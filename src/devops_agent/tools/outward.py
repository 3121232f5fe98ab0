"""What a probe may ask on the network in a walk: nothing that a planner made up, and never a cloud's metadata.

A planner that was talked into it could carry away what it has read by asking for `http://evil.example/?d=…` or looking
up `….evil.example`. So an address, a name or a URL is asked for only where it stands, as it is, in the inventory, in
the incident or in something seen since; what a planner put together stands in none of them. Metadata services hand out
credentials to whoever asks from the machine (169.254.169.254 and its like), so they are asked by nobody.
"""

from __future__ import annotations

import ipaddress
import json
import re
import socket
import unicodedata
import urllib.parse
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from devops_agent.errors import NotAllowed
from devops_agent.inventory import Place
from devops_agent.model import Digest, Evidence

HEALTH_PATHS = frozenset({"", "/", "/health", "/healthz", "/livez", "/readyz", "/ready", "/live", "/ping", "/status"})
"""What may be asked of a service of the inventory although nobody has written the whole address down."""

_METADATA = tuple(
    ipaddress.ip_network(each)
    for each in (
        "169.254.0.0/16",
        "fe80::/10",
        "fd00:ec2::/32",
        "fd20:ce::/32",
        "192.0.0.192/32",
        "100.100.100.200/32",
        "168.63.129.16/32",
        "224.0.0.0/4",
    )
)
_ENDS_IN_IPV4 = tuple(ipaddress.ip_network(each) for each in ("64:ff9b::/96", "64:ff9b:1::/48", "::/96"))
_METADATA_NAMES = re.compile(
    r"(?:^|\.)metadata(?:\.google\.internal|\.goog|\.azure\.internal)?$|^instance-data(?:\.|$)"
)
_TOKENS = re.compile(r"[\w.-]+")
_FREE = frozenset({"query", "sql", "expression"})
_LEAST = 4
"""Shorter words carry nothing away."""


def is_metadata(address: str) -> bool:
    """Whether an address, however it is written, is link-local or a cloud's metadata service."""
    address = unicodedata.normalize("NFKC", address).replace("\u3002", ".").strip().rstrip(".")
    try:
        found = ipaddress.ip_address(address.strip("[]").partition("%")[0])
    except ValueError:
        try:  # 0xA9FEA9FE, 2852039166 and 0251.0376.0251.0376 are addresses too
            found = ipaddress.ip_address(socket.inet_aton(address))
        except (OSError, UnicodeError):
            return bool(_METADATA_NAMES.search(address.lower()))
    mapped = _embedded(found)
    return any(
        one in network for one in (found, mapped) if one for network in _METADATA if one.version == network.version
    )


def resolved(name: str, port: int) -> list[str]:
    """The addresses of a name as this machine sees it. Raises NotAllowed where one of them is a metadata service, and
    OSError where there are none."""
    try:
        found = socket.getaddrinfo(name, port, type=socket.SOCK_STREAM)
    except UnicodeError:
        raise OSError(f"{name[:80]!r} is no name") from None
    addresses = [str(each[4][0]) for each in found]
    if any(map(is_metadata, addresses)):
        raise NotAllowed(f"{name} leads to a metadata service or a link-local address; it is never asked")
    return list(dict.fromkeys(addresses))


class Outward:
    """What is known in one walk, so that it may be asked for: the inventory's words, the incident's, what was seen."""

    def __init__(self, place: Place) -> None:
        self._inventory = "\n".join(_words(place.inventory.model_dump(mode="json"))).lower()
        self._ports = {
            port for service in place.inventory.services.values() for port in (*service.ports, *_health_port(service))
        }
        self._seen: list[str] = []
        self._made_up: set[str] = set()

    def learn(self, text: str, asked: Mapping[str, Any] | None = None, probe: str = "") -> None:
        """Remember what was seen. What stands in it only because it was asked with (`asked`) is not known by that, and
        nothing is where the question can make its own answer (a query, a tool of another server)."""
        for value in _words(asked or {}):
            for word in (value.lower(), *_TOKENS.findall(value.lower())):
                if len(word) >= _LEAST and not self._stands(word):
                    self._made_up.add(word)
        if "__" in probe or _FREE & set(asked or {}):
            return
        text = text.lower()
        for word in sorted(self._made_up, key=len, reverse=True):
            if word in text:
                text = re.sub(rf"(?<![\w.-]){re.escape(word)}" + (r"(?![\w-])" if "/" not in word else ""), " ", text)
        self._seen.append(text)

    def reported(self, digest: Digest) -> None:
        """Remember what an incident's log says."""
        self.learn("\n".join([*(each.text for each in digest.evidence), *(hit.text for hit in digest.hits)]))

    def recall(self, looked: Iterable[Evidence]) -> None:
        """Remember what was seen before the walk was interrupted; what it was asked with stands in the ids."""
        for each in looked:
            words = re.split(r"(?:^|, )(\w+)=", each.id.partition("(")[2].rpartition(")#")[0])
            asked = dict(zip(words[1::2], words[2::2], strict=False))
            self.learn(json.dumps(each.data, default=str) if each.data else "", asked, each.source)

    def require(self, names: Iterable[str], args: Mapping[str, Any]) -> None:
        """Raise NotAllowed where one of these arguments would carry something outside, or asks a metadata service."""
        for name in names:
            value = args.get(name)
            if value in (None, ""):
                continue
            if "://" in str(value):
                self._require_url(str(value))
            else:
                self._require_name(name, str(value))

    def named(self, url: str) -> bool:
        """Whether the inventory names this very address, or the service that answers there."""
        split = urllib.parse.urlsplit(url)
        return url.lower() in self._inventory or (_is_own(split.hostname or "") and _port(split) in self._ports)

    def _require_url(self, url: str) -> None:
        split = urllib.parse.urlsplit(url)
        host = split.hostname or ""
        if is_metadata(host):
            raise NotAllowed(f"url: {host} is a metadata service or a link-local address; it is never asked")
        if self._stands(url.lower(), whole=False):
            return
        if _is_own(host) and _port(split) in self._ports and split.path in HEALTH_PATHS and not split.query:
            return
        raise NotAllowed("url: neither the incident, nor the inventory, nor anything seen names this address")

    def _require_name(self, field: str, value: str) -> None:
        if is_metadata(value):
            raise NotAllowed(f"{field}: {value[:80]} is a metadata service or a link-local address; it is never asked")
        if not _is_own(value) and not self._stands(value.strip("[]").lower()):
            raise NotAllowed(
                f"{field}: neither the incident, nor the inventory, nor anything seen names {value[:80]!r}"
            )

    def _stands(self, word: str, whole: bool = True) -> bool:
        """Whether it stands in what is known: as a whole name, or (an address with a path) at the start of one."""
        pattern = re.compile(rf"(?<![\w.-]){re.escape(word)}" + (r"(?![\w-])" if whole else ""))
        return any(word in text and pattern.search(text) for text in (self._inventory, *self._seen))


def _embedded(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> ipaddress.IPv4Address | None:
    """The IPv4 address inside an IPv6 one (mapped, compatible, 6to4, NAT64)."""
    if isinstance(address, ipaddress.IPv4Address):
        return None
    if any(address in each for each in _ENDS_IN_IPV4):
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour


def _is_own(host: str) -> bool:
    """This machine, as seen from itself."""
    if host.lower().rstrip(".") == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def _port(split: urllib.parse.SplitResult) -> int | None:
    try:
        return split.port or (443 if split.scheme == "https" else 80)
    except ValueError:
        return None


def _health_port(service: Any) -> Iterator[int]:
    health = service.health
    if health is None:
        return
    if health.http:
        yield _port(urllib.parse.urlsplit(health.http)) or 0
    if isinstance(health.tcp, int):
        yield health.tcp


def _words(value: Any) -> Iterator[str]:
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield str(key)
            yield from _words(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from _words(inner)
    elif isinstance(value, str):
        yield value
