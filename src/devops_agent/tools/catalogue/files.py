"""Files: what one is, what stands in it, what is large, who has it open."""

from __future__ import annotations

import hashlib
import posixpath
import time
from typing import Annotated, Any

from pydantic import Field

from devops_agent.errors import CommandFailed, NotAllowed
from devops_agent.inventory import Place
from devops_agent.tools import processes, secrecy
from devops_agent.tools.base import Host, probe

Count = Annotated[int, Field(ge=1, le=200)]
Bytes = Annotated[int, Field(ge=1, le=1 << 20)]


@probe
def file_stat(host: Host, place: Place, path: str, service: str | None = None) -> dict[str, Any]:
    """What lies at a path: kind, size, owner, group, mode, age; whether it is protected, whether its folder is there.

    With a service that has a user, `readable` and `writable` say whether that user may do so (by owner, group and
    mode).
    """
    full = place.path(path)
    found = host.stat(full)
    parent = host.stat(posixpath.dirname(full))
    facts: dict[str, Any] = {"path": full, "exists": found is not None, "protected": place.is_protected(full)}
    facts |= {"real": host.resolve(full), "parent_exists": parent is not None}
    if found is None:
        return facts | {"kind": None, "size": 0}
    facts |= {"kind": found.kind, "size": found.size, "mode": f"{found.mode:04o}", "owner": found.owner}
    facts |= {"group": found.group, "modified": found.modified, "seconds": round(time.time() - found.modified, 1)}
    user = place.service(service).user if service else None
    if user:
        shift = 6 if user == found.owner else 3 if user == found.group else 0
        bits = found.mode >> shift
        facts |= {
            "user": user,
            "readable": user == "root" or bool(bits & 4),
            "writable": user == "root" or bool(bits & 2),
        }
        facts["executable"] = bool(bits & 1)
    return facts


@probe
def read_file(
    host: Host,
    place: Place,
    path: str,
    limit: Bytes = 64 * 1024,
    service: str | None = None,  # noqa: ARG001 - says on which host the file is
) -> dict[str, Any]:
    """The first bytes of a text file. Files that hold secrets are refused."""
    real = secrecy.require_readable(host, place, path)
    raw = host.read(real, limit + 1)
    if b"\0" in raw[:8192]:
        raise NotAllowed(f"{path} is not a text file")
    return {"path": place.path(path), "text": raw[:limit].decode("utf-8", "replace"), "truncated": len(raw) > limit}


@probe
def file_hash(host: Host, place: Place, path: str) -> dict[str, Any]:
    """SHA-256 and size of a file (up to 64 MiB). Files that hold secrets are refused: a hash can be guessed at."""
    full = secrecy.require_readable(host, place, path)
    found = host.stat(full)
    if found is None or found.kind != "file":
        raise CommandFailed(f"{path}: no such file")
    if found.size > 64 << 20:
        raise NotAllowed(f"{path} has {found.size} bytes; it is too large to be hashed")
    raw = host.read(full, (64 << 20) + 1)
    return {"path": full, "sha256": hashlib.sha256(raw).hexdigest(), "size": found.size}


@probe(needs=("find",))
def largest_files(host: Host, place: Place, path: str = "/", count: Count = 20) -> dict[str, Any]:
    """The largest files below a path, on its filesystem only, largest first."""
    top = _folder(host, place, path)
    for least in (1 << 28, 1 << 24, 1 << 20, 0):
        size = ("-size", f"+{least // 1024}k") if least else ()
        form = ("-printf", "%s\t%T@\t%p\n")
        ended = host.attempt("find", top, "-xdev", "-type", "f", *size, *form, timeout=60)
        rows = [row for line in ended.output.splitlines() if len(row := line.split("\t", 2)) == 3 and row[0].isdigit()]
        if len(rows) >= count or not least:
            break
    largest = sorted(rows, key=lambda row: -int(row[0]))[:count]
    files = [{"path": path, "bytes": int(size), "modified": float(modified)} for size, modified, path in largest]
    return {"path": top, "files": files, "bytes": sum(int(size) for size, _, _ in largest)}


@probe(needs=("find",))
def find_files(host: Host, place: Place, path: str, name: str, count: Count = 50) -> dict[str, Any]:
    """Files below a path whose name matches a glob (`*.log`), on its filesystem only."""
    top = _folder(host, place, path)
    ended = host.attempt("find", top, "-xdev", "-name", name, "-printf", "%p\n", timeout=60)
    found = ended.output.splitlines()
    return {"path": top, "found": found[:count], "count": len(found)}


@probe
def open_by(host: Host, place: Place, path: str) -> dict[str, Any]:
    """Which processes have a file open, as far as they may be seen."""
    real = host.resolve(place.path(path))
    pids = host.holders(real)[real]
    seen = [process for pid in pids if (process := processes.look(host, pid))]
    return {"path": real, "open": bool(seen), "pids": list(pids), "commands": [process.command for process in seen]}


def _folder(host: Host, place: Place, path: str) -> str:
    top = host.resolve(place.path(path))
    found = host.stat(top)
    if found is None or found.kind != "folder":
        raise CommandFailed(f"{path}: no such folder")
    return top
