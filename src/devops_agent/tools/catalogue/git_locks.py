"""Lock files that a killed git left behind in a work tree.

Git makes `NAME.lock` with O_EXCL and removes it when it is done or told to stop; only a killed one leaves it. Git keeps
no pid in it and need not keep it open, so that nobody has it is proven by looking at the processes: none of git works
in that tree. Source: git's documentation of lockfile (api-lockfile) and gitrepository-layout.
"""

from __future__ import annotations

import re
import time
from typing import Annotated, Any

from pydantic import Field

from devops_agent.errors import NotAllowed, StalePlan
from devops_agent.inventory import Place
from devops_agent.model import Run
from devops_agent.tools import processes
from devops_agent.tools.base import Commands, Host, change, probe

_KINDS = r"(?:index|HEAD|ORIG_HEAD|FETCH_HEAD|config|packed-refs|shallow|refs/(?:heads|tags|remotes)/\w[\w./-]*)"
Kind = Annotated[str, Field(pattern=f"^{_KINDS}$", max_length=200)]
QUIET_SECONDS = 60
"""A lock younger than this may belong to a git that has only just begun, or to one that we cannot see."""


@probe
def git_lock(
    host: Host, place: Place, repository: str, kind: Kind | None = None, path: str | None = None
) -> dict[str, Any]:
    """A lock file in a work tree: whether it is there, for how long, and which git processes work in that tree.

    `kind` (index, HEAD, refs/heads/main …) follows from the lock's own path where that is given. `stale`: it is old
    enough and no git works there; `working`: one does, or one in a container may.
    """
    named = re.search(rf"/\.git/({_KINDS})\.lock$", path or "")
    kind = kind or (named[1] if named else "index")
    path = _path(place, repository, kind)
    found = host.stat(path)
    if found is None:
        return {
            "exists": False,
            "kind": kind,
            "path": path,
            "stale": False,
            "working": False,
            "processes": [],
            "seconds": None,
        }
    seconds = max(0.0, time.time() - found.modified)
    busy = _gits(host, place.path(place.inventory.repositories[repository].path))
    open_by = host.holders(host.resolve(path))[host.resolve(path)]
    return {
        "exists": True,
        "kind": kind,
        "path": path,
        "seconds": round(seconds, 1),
        "processes": busy,
        "working": bool(busy or open_by),
        "stale": not busy and not open_by and seconds >= QUIET_SECONDS,
    }


@change(effect="destroy", repeatable=True)
def remove_git_lock(
    place: Place,
    repository: str,
    kind: Kind = "index",
    *,
    inode: int,  # noqa: ARG001 - for the guard
) -> Commands:
    """Remove a lock file that a killed git left behind; refused while any git works in that tree."""
    yield Run(argv=("rm", "--", _path(place, repository, kind)))


@remove_git_lock.pin
def _seen(host: Host, place: Place, repository: str, kind: Kind = "index") -> dict[str, Any]:
    found = host.stat(_path(place, repository, kind))
    return {"inode": found.inode if found else 0}


@remove_git_lock.already
def _gone(host: Host, place: Place, repository: str, kind: Kind = "index", *, inode: int) -> bool:  # noqa: ARG001
    return host.stat(_path(place, repository, kind)) is None


@remove_git_lock.precondition
def _nobody_works(host: Host, place: Place, repository: str, kind: Kind = "index", *, inode: int) -> None:
    found = host.stat(_path(place, repository, kind))
    if found is None or found.inode != inode:
        raise StalePlan("the lock file is not the one that was seen")
    seen = git_lock.call({"host": host, "place": place, "repository": repository, "kind": kind})
    if not seen["stale"]:
        who = ", ".join(f"pid {each['pid']}: {each['command']}" for each in seen["processes"]) or "it is too young"
        raise NotAllowed(f"{seen['path']} is not removed: {who}")


def _path(place: Place, repository: str, kind: str) -> str:
    if ".." in kind:
        raise NotAllowed(f"kind: not a lock of git: {kind!r}")
    if repository not in place.inventory.repositories:
        known = ", ".join(place.inventory.repositories) or "none"
        raise NotAllowed(f"repository: {repository!r} is not in the inventory (known: {known})")
    return f"{place.path(place.inventory.repositories[repository].path)}/.git/{kind}.lock"


def _gits(host: Host, root: str) -> list[dict[str, Any]]:
    """Processes of git whose folder is in the tree, or that name it; one whose folder cannot be seen counts too.

    One of another mount namespace (a container) sees the same tree under another path, so it counts as well.
    """
    found = []
    real = host.resolve(root)
    ours = _namespace(host, "self")
    everything = processes.look_at(host, [int(name) for name in host.folder("/proc") if name.isdigit()])
    for process in filter(_is_git, everything):
        folder = processes.folder_of(host, process.pid)
        if not folder and _ended(host, process.pid):
            continue
        inside = not folder or f"{folder}/".startswith(f"{real}/") or _namespace(host, str(process.pid)) != ours
        if inside or real in process.command or root in process.command:
            found.append({"pid": process.pid, "command": process.command[:200], "state": process.state})
    return found


def _ended(host: Host, pid: int) -> bool:
    """Whether a process has ended since it was listed: one that has holds no folder."""
    found = processes.look(host, pid)
    return found is None or found.state in ("Z", "X")


def _is_git(process: processes.Process) -> bool:
    words = [process.name, *(word.rpartition("/")[2] for word in process.command.split()[:3])]
    return any(word == "git" or word.startswith("git-") for word in words)


def _namespace(host: Host, pid: str) -> str:
    return host.resolve(f"/proc/{pid}/ns/mnt").rpartition("/")[2]
