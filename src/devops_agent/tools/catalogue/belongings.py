"""Whose a service's own files are: folders it writes to and sockets it listens on belong to its user.

The user is the one that the inventory names, else the one that the service runs as. What belongs to a third user is
nobody's slip, and stays; nothing is ever opened to everybody. Sources: inode(7), unix(7), chown(1).
"""

from __future__ import annotations

from typing import Any

from devops_agent.errors import NotAllowed, StalePlan
from devops_agent.inventory import Place
from devops_agent.model import Run
from devops_agent.tools import processes, supervisors
from devops_agent.tools.base import Commands, FileFacts, Host, change, probe
from devops_agent.tools.catalogue.access import as_owned_before, groups_of, may, require_own, user_of

_NEEDED = {"folder": "rwx", "socket": "w", "file": "r"}


@probe
def belonging(
    host: Host, place: Place, path: str, service: str | None = None, client: str | None = None
) -> dict[str, Any]:
    """Whether a folder, file or socket belongs to the user of its service, and who has to use it.

    Without `service`: the one whose configuration or health check names the path. `client` is a service that connects
    to it. `lacking`: the user (the client's, where one is given) may not do what he must; `due` is the owner and mode
    that would give it to him, None where that would not help, or where the path belongs to a third user.
    """
    full = place.path(path)
    found = host.stat(full)
    service = service or _named_by(host, place, full)
    facts: dict[str, Any] = {"path": full, "exists": found is not None, "service": service, "user": None}
    facts |= {"kind": found.kind if found else None, "owner": None, "lacking": None, "due": None}
    facts |= {"protected": place.is_protected(full), "link": host.resolve(full) != full}
    if found is None or service is None or place.service(service).control or found.kind not in _NEEDED:
        return facts
    user = user_of(host, place, service)
    users = _users(host, place, client) if client else [user] if user else []
    facts |= {"user": user, "clients": users if client else [], "owner": f"{found.owner}:{found.group}"}
    facts["mode"] = f"{found.mode:04o}"
    facts["lacking"] = any(not _suffices(host, each, found) for each in users)
    if user and user != "root" and found.owner == "root" and facts["lacking"]:
        due = found._replace(owner=user, group=_group(host, user), mode=_mode(found))
        if all(_suffices(host, each, due) for each in users):
            facts["due"] = f"{due.owner}:{due.group} {due.mode:04o}"
    return facts


@change(effect="change")
def give_to_service(path: str, service: str, *, owner: str, mode: str, before: str) -> Commands:  # noqa: ARG001
    """Give a folder or socket of a service, which root made, to the user of that service."""
    yield Run(argv=("chown", "--no-dereference", owner, "--", path), timeout=20)
    yield Run(argv=("chmod", mode, "--", path), timeout=20)


@give_to_service.pin
def _due(host: Host, place: Place, path: str, service: str) -> dict[str, Any]:
    found = host.stat(place.path(path))
    user = user_of(host, place, service)
    if found is None or not user:
        raise NotAllowed(f"{path} is not there, or nobody says whom the files of {service} belong to")
    owner = f"{user}:{_group(host, user)}"
    return {"owner": owner, "mode": f"{_mode(found):04o}", "before": _shown(found)}


@give_to_service.already
def _is_given(host: Host, place: Place, path: str, owner: str, mode: str) -> bool:
    found = host.stat(place.path(path))
    return bool(found and _shown(found) == f"{owner} {mode}")


@give_to_service.precondition
def _may_be_given(host: Host, place: Place, path: str, service: str, *, owner: str, before: str) -> None:
    require_own(host, place, path)
    full = place.path(path)
    found = host.stat(full)
    if found is None or _shown(found) != before:
        raise StalePlan(f"owner or mode of {path} have changed since the plan was made")
    if host.resolve(full) != full or found.kind not in ("folder", "socket"):
        raise NotAllowed(f"{path} is no folder or socket of its own")
    if found.owner != "root" or owner.startswith("root:"):
        raise NotAllowed(f"{path} belongs to {found.owner}, and {service} to {owner}: a person decides")


give_to_service.undo(as_owned_before)


def _shown(found: FileFacts) -> str:
    return f"{found.owner}:{found.group} {found.mode:04o}"


def _mode(found: FileFacts) -> int:
    """The owner may use it; others may not write any more."""
    return (found.mode | (0o700 if found.kind == "folder" else 0o600)) & 0o7775


def _suffices(host: Host, user: str, found: FileFacts) -> bool:
    return user == "root" or all(letter in may(host, user, found) for letter in _NEEDED[found.kind])


def _group(host: Host, user: str) -> str:
    return next(iter(groups_of(host, user)), user)


def _users(host: Host, place: Place, service: str) -> list[str]:
    """The users that the processes of a service run as: a server's workers often are not root as its first one is."""
    entry = place.service(service)
    pid = supervisors.status(host, place, service)["pid"]
    if entry.control or not pid:
        return [entry.user] if entry.user else []
    below = [int(name) for name in host.folder("/proc") if name.isdigit()]
    kids = [each for each in processes.look_at(host, below) if each.parent == pid]
    own = processes.look(host, pid)
    return sorted({processes.user_name(host, each.uid) for each in (kids or ([own] if own else []))})


def _named_by(host: Host, place: Place, path: str) -> str | None:
    """The one service whose health check names a path, whose configuration it is, or that listens on it."""
    named = []
    for name, entry in place.inventory.services.items():
        words = [*(entry.health.command or ())] if entry.health else []
        words += [place.path(each) for each in (*entry.config, *entry.logs)]
        if path in words or any(path in word for word in words) or _sets(host, place, name, path):
            named.append(name)
    return named[0] if len(named) == 1 else None


def _sets(host: Host, place: Place, service: str, path: str) -> bool:
    """Whether a service listens on that socket."""
    pid = supervisors.status(host, place, service)["pid"]
    if not pid or place.service(service).control:
        return False
    text = host.read("/proc/net/unix", 1 << 22).decode("utf-8", "replace")
    inodes = [line.split()[6] for line in text.splitlines()[1:] if line.endswith(f" {path}")]
    held = host.holders(*(f"socket:[{inode}]" for inode in inodes)) if inodes else {}
    return any(pid in host.lineage(each) for pids in held.values() for each in pids)
