"""Access to files: may a service's user do what it must, are owner and mode unlike the neighbours', setting them alike.

Nothing is ever opened to everybody for writing, and what looks secret is not opened to more people than before.
Sources: inode(7), chmod(1), chown(1).
"""

from __future__ import annotations

import posixpath
import re
from collections import Counter
from typing import Any

from devops_agent.errors import CommandFailed, NotAllowed, StalePlan
from devops_agent.inventory import Place
from devops_agent.model import Run
from devops_agent.tools import processes, secrecy, supervisors
from devops_agent.tools.base import Commands, FileFacts, Host, change, probe

_SECRET = re.compile(
    r"\.(key|p12|pfx|jks|keystore)$|id_(rsa|ed25519|ecdsa)$|(^|[._-])(secrets?|passw\w*|token|credentials?)([._-]|$)"
)


@probe
def access(host: Host, place: Place, path: str, service: str) -> dict[str, Any]:
    """Whether the user of a service may reach, read, write and run a file (of one that is not there: its folder).

    `lacking`: it may not read it, or not write where it has to make it; `blocked` is a folder above that it may not
    enter; `like` is the owner and mode that most neighbours have, where that would give access; `runnable`: it is a
    script or program that only lacks the right to be run.
    """
    full = host.resolve(place.path(path))
    found = host.stat(full)
    target = full if found else posixpath.dirname(full)
    seen = found or host.stat(target)
    facts: dict[str, Any] = {"path": target, "exists": found is not None, "user": user_of(host, place, service)}
    facts |= {"owner": None, "mode": None, "lacking": None, "like": None, "blocked": None, "runnable": False}
    facts["protected"] = place.is_protected(target)
    if seen is None or place.service(service).control:
        return facts  # behind `control` the supervisor sees other files than these
    facts |= {"kind": seen.kind, "owner": f"{seen.owner}:{seen.group}", "mode": f"{seen.mode:04o}"}
    facts["runnable"] = seen.kind == "file" and not seen.mode & 0o111 and _is_program(host, target)
    if facts["user"] is None:
        return facts
    user = str(facts["user"])
    letters = may(host, user, seen)
    facts["may"] = letters
    needed = "r" if found and seen.kind == "file" else "rwx" if not found else "rx"
    facts["lacking"] = any(letter not in letters for letter in needed)
    above = [one for one in _above(target) if (folder := host.stat(one)) and "x" not in may(host, user, folder)]
    facts["blocked"] = above[0] if above else None
    like = _like(host, target, seen)
    if like and not above:
        after = seen._replace(owner=like[0], group=like[1], mode=like[2])
        if all(letter in may(host, user, after) for letter in needed):
            facts["like"] = f"{like[0]}:{like[1]} {like[2]:04o}"
    return facts


@change(effect="change")
def give_access(path: str, service: str, *, owner: str, mode: str, before: str) -> Commands:  # noqa: ARG001 - for guards
    """Give a file of the workspace the owner and mode that its neighbours have, so that a service's user may use it."""
    if owner != before.split(maxsplit=1)[0]:
        yield Run(argv=("chown", "--no-dereference", owner, "--", path), timeout=20)
    yield Run(argv=("chmod", mode, "--", path), timeout=20)


@give_access.pin
def _as_neighbours(host: Host, place: Place, path: str, service: str) -> dict[str, Any]:
    seen = access.call({"host": host, "place": place, "path": path, "service": service})
    owner, _, mode = str(seen["like"] or "").partition(" ")
    return {"owner": owner, "mode": mode, "before": f"{seen['owner']} {seen['mode']}"}


@give_access.already
def _has_access(host: Host, place: Place, path: str, service: str) -> bool:
    return access.call({"host": host, "place": place, "path": path, "service": service})["lacking"] is False


@give_access.precondition
def _may_be_given(host: Host, place: Place, path: str, service: str, before: str) -> None:
    seen = access.call({"host": host, "place": place, "path": path, "service": service})
    if f"{seen['owner']} {seen['mode']}" != before:
        raise StalePlan(f"owner or mode of {path} have changed since the plan was made")
    require_own(host, place, path)
    if seen["path"] != place.path(path):
        raise NotAllowed(f"{path} is a link or is not there; give the path of what should be changed")
    if not seen["like"]:
        raise NotAllowed(f"the neighbours of {path} do not say which owner and mode it should have")


@give_access.undo
def as_owned_before(path: str, before: str) -> Commands:
    """Owner and mode (`owner mode`) as they were."""
    owner, _, mode = before.partition(" ")
    yield Run(argv=("chown", "--no-dereference", owner, "--", path), timeout=20)
    yield Run(argv=("chmod", mode, "--", path), timeout=20)


@change(effect="change")
def make_executable(path: str, *, mode: str, before: str) -> Commands:  # noqa: ARG001 - for the guards
    """Let those run a script or program of the workspace who may read it."""
    yield Run(argv=("chmod", mode, "--", path), timeout=20)


@make_executable.pin
def _runnable_mode(host: Host, place: Place, path: str) -> dict[str, Any]:
    found = host.stat(place.path(path))
    mode = found.mode if found else 0
    return {"mode": f"{mode | (mode & 0o444) >> 2:04o}", "before": f"{mode:04o}"}


@make_executable.already
def _is_runnable(host: Host, place: Place, path: str) -> bool:
    found = host.stat(place.path(path))
    return bool(found and found.mode & 0o111)


@make_executable.precondition
def _is_a_program(host: Host, place: Place, path: str) -> None:
    require_own(host, place, path)
    if not _is_program(host, place.path(path)):
        raise NotAllowed(f"{path} is no program: it begins neither with #! nor as an ELF file")


@make_executable.undo
def _not_runnable(path: str, before: str) -> Commands:
    yield Run(argv=("chmod", before, "--", path), timeout=20)


def require_own(host: Host, place: Place, path: str) -> None:
    """Raise NotAllowed for what is not of this place's workspace, or protected."""
    real = host.resolve(place.path(path))
    inside = real.startswith(host.resolve(place.workspace).rstrip("/") + "/")
    if not (place.known and place.inventory.workspace and inside):
        raise NotAllowed(f"{path} does not lie in the workspace")
    if place.is_protected(path) or place.is_protected(real):
        raise NotAllowed(f"{path} is protected by the inventory")


def user_of(host: Host, place: Place, service: str) -> str | None:
    """Whom the files of a service belong to: the user that the inventory names, else the one it runs as."""
    entry = place.service(service)
    if entry.user or entry.control:
        return entry.user
    pid = supervisors.status(host, place, service)["pid"]
    process = processes.look(host, pid) if pid else None
    return processes.user_name(host, process.uid) if process else None


def may(host: Host, user: str, found: FileFacts) -> str:
    """What a user may do, by owner, group and mode: some of `rwx`."""
    if user == "root":
        return "rwx" if found.kind == "folder" or found.mode & 0o111 else "rw"
    shift = 6 if user == found.owner else 3 if found.group in groups_of(host, user) else 0
    return "".join(letter for letter, bit in zip("rwx", (4, 2, 1), strict=True) if found.mode >> shift & bit)


def groups_of(host: Host, user: str) -> list[str]:
    """The groups of a user, the first of them his own."""
    ended = host.attempt("id", "-Gn", "--", user, timeout=10)
    return ended.output.split() if ended.code == 0 else [user]


def _above(path: str) -> list[str]:
    folders = []
    while path != "/":
        path = posixpath.dirname(path)
        folders.append(path)
    return folders[::-1]


def _like(host: Host, path: str, own: FileFacts) -> tuple[str, str, int] | None:
    """Owner, group and mode that most neighbours of the same kind have; a secret is opened to nobody new by mode."""
    folder, suffix = posixpath.dirname(path), posixpath.splitext(path)[1]
    try:
        names = [name for name in host.folder(folder)[:300] if posixpath.join(folder, name) != path]
    except CommandFailed:
        return None
    same = [name for name in names if own.kind == "folder" or posixpath.splitext(name)[1] == suffix]
    seen = [one for name in same if (one := host.stat(posixpath.join(folder, name))) and one.kind == own.kind]
    kinds = Counter((one.owner, one.group, one.mode & 0o775) for one in seen)
    if not kinds or kinds.most_common(1)[0][1] * 2 <= len(seen):
        return None
    owner, group, mode = kinds.most_common(1)[0][0]
    secret = (
        bool(_SECRET.search(path)) or b"PRIVATE KEY" in _head(host, path) or secrecy.is_secret(posixpath.basename(path))
    )
    return owner, group, own.mode & 0o775 if secret else mode


def _is_program(host: Host, path: str) -> bool:
    return _head(host, path).startswith((b"#!", b"\x7fELF"))


def _head(host: Host, path: str) -> bytes:
    try:
        return host.read(path, 4096)
    except CommandFailed:
        return b""
