"""Which entry of the inventory a failure is about: the held lock, the repository, the environment."""

from __future__ import annotations

from typing import Any

from devops_agent.errors import ToolError
from devops_agent.inventory import Place
from devops_agent.tools.base import Host, probe
from devops_agent.tools.catalogue.locks import lock_holder


@probe
def held_lock(host: Host, place: Place, path: str | None = None) -> dict[str, Any]:
    """The lock of the inventory that is held: the one with that file, else the only one; `state` as `lock_holder` says.

    `count` is how many are held at all; with none, `state` is free.
    """
    known = place.inventory.locks
    seen = {name: lock_holder.call({"host": host, "place": place, "lock": name}) for name in known}
    held = {name: facts for name, facts in seen.items() if facts["state"] != "free"}
    wanted = [name for name in held if path and place.path(known[name].file) == place.path(path)] or list(held)
    if not held:
        return {"count": 0, "name": next(iter(known), None) if len(known) == 1 else None, "state": "free"}
    if len(wanted) != 1:
        return {"count": len(held), "name": None, "state": "unknown", "held": list(held)}
    entry = known[wanted[0]]
    facts = {key: held[wanted[0]].get(key) for key in ("state", "pid", "command", "seconds", "fields", "stopped")}
    return {"count": len(held), "name": wanted[0], "wait": entry.wait, "releasable": bool(entry.release), **facts}


@probe
def repository_of(host: Host, place: Place, path: str | None = None) -> dict[str, Any]:
    """The repository of the inventory that a path lies in, else the only one: `name`, `path`, owner, who we are."""
    known = place.inventory.repositories
    inside = [name for name, each in known.items() if path and _within(place.path(path), place.path(each.path))]
    named = inside or ([] if path and path.startswith("/") else list(known))
    if len(named) != 1:
        raise ToolError(f"cannot tell which repository is meant (known: {', '.join(known) or 'none'})")
    root = place.path(known[named[0]].path)
    found = host.stat(root)
    user = host.run("id", "-un").strip()
    owner = found.owner if found else None
    return {"name": named[0], "path": root, "owner": owner, "user": user, "ours": owner == user}


@probe
def environment_of(place: Place, kind: str, service: str | None = None) -> dict[str, Any]:
    """The environment of that kind (python, npm) of the inventory: the service's, else the only one."""
    known = {name: each for name, each in place.inventory.environments.items() if each.kind == kind}
    own = [name for name, each in known.items() if service and each.service == service]
    named = own or list(known)
    if len(named) != 1:
        raise ToolError(f"cannot tell which {kind} environment is meant (known: {', '.join(known) or 'none'})")
    entry = known[named[0]]
    return {"name": named[0], "path": place.path(entry.path), "offline": entry.offline}


def _within(path: str, folder: str) -> bool:
    return path == folder or path.startswith(folder.rstrip("/") + "/")
