"""Volumes of the inventory: deleting what its cleanup rules allow, growing one."""

from __future__ import annotations

import fnmatch
import posixpath
import re
import time
from collections import Counter
from typing import Annotated, Any

from pydantic import Field

from devops_agent.errors import NotAllowed, StalePlan
from devops_agent.inventory import Place, Volume
from devops_agent.model import Run
from devops_agent.tools.base import Commands, Host, change, probe

_MANY = 10_000
_AGES = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}


@probe(needs=("find",))
def cleanable(host: Host, place: Place, volume: str) -> dict[str, Any]:
    """Which files of a volume its cleanup rules allow to be deleted: number, bytes, the largest ones."""
    files = _allowed(host, place, volume)
    largest = sorted(files, key=lambda file: -int(file["size"]))[:20]
    total = sum(int(file["size"]) for file in files)
    return {"volume": volume, "count": len(files), "bytes": total, "largest": largest}


@change(effect="destroy", repeatable=True, needs=("find",))
def clean_volume(
    place: Place,
    volume: str,  # noqa: ARG001 - for the guards
    *,
    files: list[dict[str, Any]],
) -> Commands:
    """Delete files of a volume that its cleanup rules allow: old enough, closed, not protected; the plan names each."""
    for at in range(0, len(files), 200):
        yield Run(argv=("rm", "-f", "--", *(file["path"] for file in files[at : at + 200])), cwd=place.workspace)


@clean_volume.pin
def _seen(host: Host, place: Place, volume: str) -> dict[str, Any]:
    return {"files": _allowed(host, place, volume)}


@clean_volume.already
def _clean(host: Host, files: list[dict[str, Any]]) -> bool:
    return not any(host.exists(file["path"]) for file in files)


@clean_volume.precondition
def _still_allowed(host: Host, place: Place, volume: str, *, files: list[dict[str, Any]]) -> None:
    now = {file["path"]: file for file in _allowed(host, place, volume)}
    for file in files:
        if host.exists(file["path"]) and now.get(file["path"]) != file:
            raise StalePlan(f"{file['path']} has changed, or may not be deleted any more")


@change(effect="destroy")
def grow_volume(place: Place, volume: str, megabytes: Annotated[int, Field(ge=1, le=1 << 20)]) -> Commands:
    """Grow a volume with the command that the inventory names."""
    entry = _volume(place, volume)
    if not entry.grow:
        raise NotAllowed(f"the inventory does not say how volume {volume!r} is grown")
    yield Run(
        argv=tuple(word.replace("{megabytes}", str(megabytes)) for word in entry.grow), cwd=place.workspace, timeout=300
    )


def _volume(place: Place, name: str) -> Volume:
    if name not in place.inventory.volumes:
        raise NotAllowed(
            f"volume: {name!r} is not in the inventory (known: {', '.join(place.inventory.volumes) or 'none'})"
        )
    return place.inventory.volumes[name]


def _allowed(host: Host, place: Place, name: str) -> list[dict[str, Any]]:
    """Files that a rule names, that are old enough, closed, on the volume's own filesystem and not protected.

    A file that has another name besides those that may go is left out: deleting one name of it frees nothing.
    """
    entry = _volume(place, name)
    top = host.resolve(place.path(entry.path))
    ended = host.attempt("find", top, "-xdev", "-type", "f", "-printf", "%s\\t%T@\\t%i\\t%n\\t%p\\0", timeout=60)
    rows = (re.fullmatch(r"(\d+)\t(\d+\.\d+)\t(\d+)\t(\d+)\t(/[^\n]+)", line) for line in ended.output.split("\0"))
    found = [row.groups() for row in rows if row]
    wanted: list[dict[str, Any]] = []
    named: Counter[str] = Counter()
    names: dict[str, tuple[str, int]] = {}
    for size, modified, inode, links, path in found:
        relative = posixpath.relpath(path, top)
        ages = [_age(rule.older_than) for rule in entry.cleanup if _matches(relative, rule.glob)]
        if ages and time.time() - float(modified) >= min(ages) and not place.is_protected(path) and _ordinary(path):
            wanted.append({"path": path, "size": int(size), "modified": modified})
            named[inode] += 1
            names[path] = (inode, int(links))
    wanted = [file for file in wanted if named[names[file["path"]][0]] >= names[file["path"]][1]]
    held = host.holders(*(str(file["path"]) for file in wanted)) if wanted else {}
    closed = [file for file in wanted if not held.get(str(file["path"]))]
    return sorted(closed, key=lambda file: str(file["path"]))[:_MANY]


def _matches(relative: str, glob: str) -> bool:
    """A glob in which `*` does not cross folders, as shells have it."""
    parts, wanted = relative.split("/"), glob.strip("/").split("/")
    return len(parts) == len(wanted) and all(map(fnmatch.fnmatchcase, parts, wanted))


def _ordinary(path: str) -> bool:
    return not any(ord(character) < 32 for character in path)


def _age(text: str | int) -> float:
    found = re.fullmatch(r"(\d+)\s*([smhdw]?)", str(text))
    if not found:
        raise NotAllowed(f"older_than: not an age: {text!r}")
    return int(found[1]) * _AGES[found[2] or "s"]
