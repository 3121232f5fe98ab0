"""Who listens where, from /proc/net and the open descriptors of processes. Source: proc(5)."""

from __future__ import annotations

import socket
import struct
from dataclasses import dataclass

from devops_agent.tools.base import Host

_LISTEN = "0A"
_UNCONNECTED = "07"


@dataclass(frozen=True, slots=True)
class Listener:
    """One process that has a listening socket open; pid None where the holder may not be seen."""

    address: str
    port: int
    pid: int | None
    inode: str


def listeners(host: Host, port: int, protocol: str = "tcp") -> list[Listener]:
    """Every holder of every socket that listens on a port, lowest pid first."""
    sockets = [found for found in _sockets(host, protocol) if found[1] == port]
    if not sockets:
        return []
    held = host.holders(*(f"socket:[{inode}]" for _, _, inode in sockets))
    found = [
        Listener(address, port, pid, inode)
        for address, port, inode in sockets
        for pid in held.get(f"socket:[{inode}]") or (None,)
    ]
    return sorted(found, key=lambda listener: (listener.pid is None, listener.pid or 0))


def listening_ports(host: Host, protocol: str = "tcp") -> dict[int, list[str]]:
    """All ports that something listens on, with the addresses."""
    ports: dict[int, list[str]] = {}
    for address, port, _ in _sockets(host, protocol):
        if address not in ports.setdefault(port, []):
            ports[port].append(address)
    return dict(sorted(ports.items()))


def _sockets(host: Host, protocol: str) -> list[tuple[str, int, str]]:
    found = []
    wanted = _LISTEN if protocol == "tcp" else _UNCONNECTED
    files = host.read_many(f"/proc/net/{protocol}", f"/proc/net/{protocol}6", limit=1 << 22)
    for raw in files.values():
        text = raw.decode("ascii", "replace")
        for line in text.splitlines()[1:]:
            fields = line.split()
            if len(fields) > 9 and fields[3] == wanted:
                address, _, port = fields[1].rpartition(":")
                found.append((_address(address), int(port, 16), fields[9]))
    return found


def _address(text: str) -> str:
    words = [struct.pack("=I", int(text[at : at + 8], 16)) for at in range(0, len(text), 8)]
    raw = b"".join(words)
    return socket.inet_ntop(socket.AF_INET if len(raw) == 4 else socket.AF_INET6, raw)
