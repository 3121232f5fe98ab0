"""Names: what a host name resolves to, by the system's own way or asked of one server. Sources: getent(1), RFC 1035."""

from __future__ import annotations

import ipaddress
import re
import secrets
import socket
import struct
from typing import Any, Literal

from devops_agent.errors import NotAllowed, UnreadableOutput
from devops_agent.tools.base import Host, probe

Kind = Literal["A", "AAAA", "CNAME", "MX", "TXT", "NS", "SRV"]
_TYPES = {"A": 1, "NS": 2, "CNAME": 5, "MX": 15, "TXT": 16, "AAAA": 28, "SRV": 33}
_STATUS = {0: "ok", 1: "format error", 2: "server failure", 3: "no such name", 4: "not implemented", 5: "refused"}


@probe(outward=("name", "server"))
def dns_lookup(host: Host, name: str, server: str | None = None, kind: Kind = "A", port: int = 53) -> dict[str, Any]:
    """What a name resolves to: as programs on the host see it (hosts file and all), or asked of one DNS server.

    `found`, `addresses`; with a server also `status` (ok, no such name, server failure, refused, no answer).
    """
    if not re.fullmatch(r"[A-Za-z0-9_*]([A-Za-z0-9_.-]{0,251})", name):
        raise NotAllowed(f"name: not a host name: {name[:80]!r}")
    if server is None:
        ended = host.attempt("getent", "ahosts", name, timeout=20)
        found = list(dict.fromkeys(line.split()[0] for line in ended.output.splitlines() if line.strip()))
        return {"name": name, "found": bool(found), "addresses": found, "status": "ok" if found else "no such name"}
    address = str(_address(server))
    if host.local:
        return {"name": name, "server": server, **_ask(address, port, name, kind)}
    ended = host.attempt("dig", "+time=3", "+tries=1", f"@{address}", "-p", str(port), kind, name, timeout=15)
    status = re.search(r"status: (\w+)", ended.output)
    rows = re.findall(rf"^\S+\s+\d+\s+IN\s+{kind}\s+(.*)$", ended.output, re.M)
    known = {"NOERROR": "ok", "NXDOMAIN": "no such name", "SERVFAIL": "server failure", "REFUSED": "refused"}
    return {
        "name": name,
        "server": server,
        "found": bool(rows),
        "addresses": rows,
        "status": known.get(status[1], status[1]) if status else "no answer",
    }


@probe
def resolver(host: Host) -> dict[str, Any]:
    """Which DNS servers and search domains the host is configured to use."""
    text = host.read("/etc/resolv.conf", 65536).decode("utf-8", "replace")
    servers = re.findall(r"^\s*nameserver\s+(\S+)", text, re.M)
    search = [name for line in re.findall(r"^\s*(?:search|domain)\s+(.*)$", text, re.M) for name in line.split()]
    return {"servers": servers, "search": search}


def _address(server: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    try:
        return ipaddress.ip_address(server.strip("[]"))
    except ValueError:
        raise NotAllowed(f"server: not an address: {server!r}") from None


def _ask(address: str, port: int, name: str, kind: str) -> dict[str, Any]:
    number = secrets.randbelow(1 << 16)
    labels = b"".join(
        bytes([len(label)]) + label.encode() for label in name.rstrip(".").split(".") if 0 < len(label) < 64
    )
    question = labels + b"\0" + struct.pack(">HH", _TYPES[kind], 1)
    query = struct.pack(">HHHHHH", number, 0x0100, 1, 0, 0, 0) + question
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    for _ in range(2):
        with socket.socket(family, socket.SOCK_DGRAM) as client:
            client.settimeout(2.5)
            try:
                client.connect((address, port))
                client.send(query)
                answer = client.recv(4096)
            except TimeoutError:
                continue
            except OSError:
                return {"found": False, "addresses": [], "status": "refused connection"}
        if len(answer) >= 12 and struct.unpack(">H", answer[:2])[0] == number:
            return _read(answer, kind)
    return {"found": False, "addresses": [], "status": "no answer"}


def _read(answer: bytes, kind: str) -> dict[str, Any]:
    try:
        flags, questions, answers = struct.unpack(">HHH", answer[2:8])
        at = 12
        for _ in range(questions):
            at = _name(answer, at)[1] + 4
        rows = []
        for _ in range(answers):
            at = _name(answer, at)[1]
            found, _, _, length = struct.unpack(">HHIH", answer[at : at + 10])
            at += 10
            if found == _TYPES[kind]:
                rows.append(_value(answer, at, length, kind))
            at += length
    except (struct.error, IndexError, ValueError):
        raise UnreadableOutput("the DNS server's answer cannot be read") from None
    status = _STATUS.get(flags & 15, f"status {flags & 15}")
    return {"found": bool(rows), "addresses": rows, "status": status}


def _value(answer: bytes, at: int, length: int, kind: str) -> str:
    data = answer[at : at + length]
    if kind in ("A", "AAAA"):
        return str(ipaddress.ip_address(data))
    if kind == "TXT":
        return data[1:].decode("utf-8", "replace")
    if kind == "MX":
        return f"{struct.unpack('>H', data[:2])[0]} {_name(answer, at + 2)[0]}"
    if kind == "SRV":
        return " ".join(map(str, struct.unpack(">HHH", data[:6]))) + f" {_name(answer, at + 6)[0]}"
    return _name(answer, at)[0]


def _name(answer: bytes, at: int) -> tuple[str, int]:
    """A name, with compression followed, and where what comes after it begins."""
    labels: list[str] = []
    after = None
    for _ in range(64):
        length = answer[at]
        if length & 0xC0 == 0xC0:
            after = after or at + 2
            at = struct.unpack(">H", answer[at : at + 2])[0] & 0x3FFF
        elif length == 0:
            return ".".join(labels), after or at + 1
        else:
            labels.append(answer[at + 1 : at + 1 + length].decode("ascii", "replace"))
            at += 1 + length
    raise ValueError("a name without an end")
