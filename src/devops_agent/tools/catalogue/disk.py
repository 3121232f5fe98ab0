"""Disks: how full filesystems are, in bytes and inodes, and how they are mounted."""

from __future__ import annotations

import posixpath
from typing import Any

from devops_agent.errors import CommandFailed, UnreadableOutput
from devops_agent.inventory import Place
from devops_agent.tools.base import Host, probe


@probe
def disk_usage(host: Host, place: Place, path: str = "/") -> dict[str, Any]:
    """How full the filesystem of a path is: `percent`, `free_bytes`, `inode_percent`, `inodes_free`, mount, options.

    Where the path is not there, that of the nearest folder above it.
    """
    top = _nearest(host, place.path(path))
    _, size, used, free, percent, mount = _df(host, "-k", top)
    facts: dict[str, Any] = {"path": top, "mount": mount, "size_bytes": size * 1024, "used_bytes": used * 1024}
    facts |= {"free_bytes": free * 1024, "percent": percent}
    _, inodes, _, inodes_free, inode_percent, _ = _df(host, "-i", top)
    facts |= {"inodes": inodes, "inodes_free": inodes_free, "inode_percent": inode_percent if inodes else None}
    kind, options = _mounted(host, mount)
    facts |= {"kind": kind, "options": options, "read_only": "ro" in options.split(",")}
    volume = next((name for name, each in place.inventory.volumes.items() if _below(top, place.path(each.path))), None)
    return facts | {"volume": volume}


@probe
def mounts(host: Host) -> dict[str, Any]:
    """All mounted filesystems: where, of what kind, with which options."""
    rows = [line.split() for line in host.read("/proc/mounts").decode("utf-8", "replace").splitlines()]
    found = [
        {"mount": _plain(row[1]), "device": row[0], "kind": row[2], "options": row[3]} for row in rows if len(row) > 3
    ]
    return {
        "mounts": found[-500:],
        "read_only": [each["mount"] for each in found if "ro" in each["options"].split(",")],
    }


def _df(host: Host, what: str, path: str) -> tuple[str, int, int, int, float | None, str]:
    """One row of `df -P`: device, size, used, free, percent, mount point."""
    output = host.run("df", "-P", what, "--", path)
    fields = output.splitlines()[-1].split(None, 5)
    if len(fields) != 6:
        raise UnreadableOutput(f"df {path}: {output[:300]}")
    device, *numbers, percent, mount = fields
    size, used, free = (int(number) if number.lstrip("-").isdigit() else 0 for number in numbers)
    return device, size, used, free, float(percent.rstrip("%")) if percent.rstrip("%").isdigit() else None, mount


def _nearest(host: Host, path: str) -> str:
    while path not in ("/", "") and not host.exists(path):
        path = posixpath.dirname(path)
    return path or "/"


def _mounted(host: Host, mount: str) -> tuple[str, str]:
    try:
        text = host.read("/proc/mounts").decode("utf-8", "replace")
    except CommandFailed:
        return "", ""
    for line in reversed(text.splitlines()):
        fields = line.split()
        if len(fields) > 3 and _plain(fields[1]) == mount:
            return fields[2], fields[3]
    return "", ""


def _plain(escaped: str) -> str:
    """A mount point as it is: proc(5) writes blanks as octal numbers."""
    return escaped.replace("\\040", " ").replace("\\011", "\t").replace("\\012", "\n").replace("\\134", "\\")


def _below(path: str, folder: str) -> bool:
    return path == folder or path.startswith(folder.rstrip("/") + "/")
