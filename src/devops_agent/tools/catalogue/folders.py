"""Folders that are not there: what exactly is missing, why, and making one as its neighbours are."""

from __future__ import annotations

import difflib
import posixpath
import re
from collections import Counter
from typing import Any

from devops_agent.errors import CommandFailed, NotAllowed
from devops_agent.inventory import Place
from devops_agent.model import Run
from devops_agent.tools import settings
from devops_agent.tools.base import Commands, FileFacts, Host, change, probe

_WRITTEN = re.compile(
    r"(^|/)(logs?|run|tmp|temp|cache|spool|sessions?|uploads?)(/|$)|\.(log|pid|sock|lock|tmp)$|_temp(/|$)"
)
_ALIKE = 0.75


@probe
def missing_path(host: Host, place: Place, path: str, service: str | None = None) -> dict[str, Any]:
    """What of a path is missing: `missing` is its topmost part that is not there, `folder` the folder that it should be
    in, `parent` the nearest that is there.

    `written`: the path is one that programs make themselves once its folder is there (a log, a pid file); `named`: the
    service's configuration or the inventory names it; `similar` are folders of a much alike name; `unmounted` is the
    volume that should be mounted above it; `dangling` a link above it that leads nowhere; `releases`: it lies below the
    link to the release in use; `template` documents it.
    """
    full = place.path(path)
    folder = posixpath.dirname(full)
    missing, parent = _split(host, full)
    exists = host.stat(full) is not None
    facts: dict[str, Any] = {"path": full, "exists": exists, "folder": folder, "folder_exists": bool(host.stat(folder))}
    facts |= {"missing": missing, "parent": parent, "protected": place.is_protected(full)}
    facts["dangling"] = missing if missing and host.attempt("test", "-L", missing).code == 0 else None
    facts["written"] = _is_written(place, full, service)
    facts["named"] = _names(host, place, full, service)
    facts["similar"] = _similar(host, parent, posixpath.basename(missing)) if missing and missing != full else []
    facts["alike"] = len(facts["similar"])
    facts["unmounted"] = _unmounted(host, place, full)
    facts["releases"] = _in_release(place, full, service)
    facts["template"] = _template(host, place, full, service)
    model = _like(host, parent) if missing and not exists else None
    return facts | {"owner": model[0] if model else None, "mode": model[1] if model else None}


@change(effect="change")
def make_directory(
    path: str,  # noqa: ARG001 - for the guards
    service: str | None = None,  # noqa: ARG001 - for the guards
    *,
    folders: list[str],
    owner: str,
    mode: str,
) -> Commands:
    """Make a folder that the inventory or a service's configuration names, with the owner and mode of its neighbours.

    Never one that everybody may write to, nor below a volume that is not mounted.
    """
    for folder in folders:
        yield Run(argv=("mkdir", "-m", mode, "--", folder), timeout=20)
        yield Run(argv=("chown", owner, "--", folder), timeout=20)


@make_directory.pin
def _as_neighbours(host: Host, place: Place, path: str, service: str | None = None) -> dict[str, Any]:
    full = place.path(path)
    missing, parent = _split(host, full)
    folders = []
    while missing and len(full) >= len(missing):
        folders.append(full)
        full = posixpath.dirname(full)
    owner, mode = _like(host, parent, place.service(service).user if service else None)
    return {"folders": folders[::-1], "owner": owner, "mode": mode}


@make_directory.already
def _is_there(host: Host, place: Place, path: str) -> bool:
    found = host.stat(place.path(path))
    return found is not None and found.kind == "folder"


@make_directory.precondition
def _may_be_made(host: Host, place: Place, path: str, folders: list[str]) -> None:
    full = place.path(path)
    if not place.known or not (_is_named(host, place, full) or _inside(full, place.workspace)):
        raise NotAllowed(f"{path} is neither in the workspace nor named by the inventory or a service's configuration")
    if place.is_protected(full):
        raise NotAllowed(f"{path} is protected by the inventory")
    if volume := _unmounted(host, place, full):
        raise NotAllowed(f"volume {volume!r} is not mounted; a folder made now would be hidden when it is")
    if not 0 < len(folders) <= 3:
        raise NotAllowed(f"{path}: too much above it is missing")
    parent = host.stat(posixpath.dirname(folders[0]))
    if parent is None or parent.kind != "folder" or host.attempt("test", "-L", folders[0]).code == 0:
        raise NotAllowed(f"{posixpath.dirname(folders[0])} is no folder, or {folders[0]} is a link that leads nowhere")


@make_directory.undo
def _remove_if_empty(folders: list[str]) -> Commands:
    for folder in reversed(folders):
        yield Run(argv=("rmdir", "--ignore-fail-on-non-empty", "--", folder), timeout=20)


def _split(host: Host, path: str) -> tuple[str, str]:
    """The topmost part of a path that is not there, and the nearest that is; no missing part where it is there."""
    missing = ""
    while path not in ("/", "") and ((found := host.stat(path)) is None or found.kind == "link"):
        missing, path = path, posixpath.dirname(path)  # a link that `stat` could not follow leads nowhere
    return missing, path or "/"


def _like(host: Host, parent: str, user: str | None = None) -> tuple[str, str]:
    """Owner and mode that most folders in a folder have, else its own (or the service's user); never open to all."""
    try:
        names = host.folder(parent)[:200]
    except CommandFailed:
        names = []
    seen = [host.stat(posixpath.join(parent, name)) for name in names if not name.startswith(".")]
    folders: list[FileFacts] = [one for one in seen if one and one.kind == "folder"]
    own = host.stat(parent)
    kinds = Counter((f"{one.owner}:{one.group}", one.mode) for one in folders or ([own] if own else []))
    owner, mode = kinds.most_common(1)[0][0] if kinds else ("root:root", 0o755)
    owner = f"{user}:" if user and not folders else owner
    return owner, f"{mode & 0o2775 & ~0o002:04o}"


def _is_written(place: Place, path: str, service: str | None) -> bool:
    logs = [place.path(file) for file in place.service(service).logs] if service else []
    relative = posixpath.relpath(path, place.workspace) if _inside(path, place.workspace) else path
    return path in logs or bool(_WRITTEN.search(relative))


def _names(host: Host, place: Place, path: str, service: str | None) -> bool:
    services = [service] if service else list(place.inventory.services)
    if not _inside(path, place.workspace):  # what a supervisor elsewhere sees at a path is not what is here
        services = [name for name in services if not place.service(name).control and not place.service(name).host]
    texts = [settings.text_of(host, place.path(file)) or "" for name in services for file in place.service(name).config]
    logs = [place.path(file) for name in services for file in place.service(name).logs]
    names = {path, posixpath.relpath(path, place.workspace)}
    return any(one == path or _inside(one, path) for one in logs) or any(
        name in text for text in texts for name in names
    )


def _is_named(host: Host, place: Place, path: str) -> bool:
    return _names(host, place, path, None)


def _similar(host: Host, parent: str, name: str) -> list[str]:
    try:
        names = host.folder(parent)
    except CommandFailed:
        return []
    near = difflib.get_close_matches(name, [each for each in names if each != name], 3, _ALIKE)
    full = [posixpath.join(parent, each) for each in near]
    return [each for each in full if (found := host.stat(each)) and found.kind == "folder"]


def _unmounted(host: Host, place: Place, path: str) -> str | None:
    """The volume of the inventory above a path that /etc/fstab or its grow rule say should be mounted, and is not."""
    for name, volume in place.inventory.volumes.items():
        top = host.resolve(place.path(volume.path))
        if path == top or _inside(path, top):
            return None if host.attempt("mountpoint", "-q", "--", top).code == 0 else name
    return None


def _in_release(place: Place, path: str, service: str | None) -> bool:
    entry = place.service(service).releases if service else None
    return bool(entry and (_inside(path, place.path(entry.current)) or _inside(path, place.path(entry.all))))


def _template(host: Host, place: Place, path: str, service: str | None) -> str | None:
    """The template of a configuration file that is missing itself."""
    if not service or path not in (place.path(file) for file in place.service(service).config):
        return None
    files = [place.path(file) for file in place.service(service).templates]
    return next((file for file in files if host.stat(file)), None) if len(files) == 1 else None


def _inside(path: str, folder: str) -> bool:
    return path.startswith(folder.rstrip("/") + "/")
