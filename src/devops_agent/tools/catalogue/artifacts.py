"""Artifacts whose content is not what was recorded: found by their hash, restored from the team's mirror by that hash.

The hash is never changed or left out: it says what belongs there. Sources: pip's documentation of hash-checking mode,
sha256sum(1).
"""

from __future__ import annotations

import posixpath
import re
from typing import Any

from devops_agent.errors import CommandFailed, NotAllowed, StalePlan
from devops_agent.inventory import Environment, Place
from devops_agent.model import Restore, Run, Wait
from devops_agent.tools.base import Commands, Host, change, probe
from devops_agent.tools.catalogue.packages import install_requirements
from devops_agent.tools.commands import LEFT, LIMIT

_HASH = re.compile(r"--hash[= ]sha256:([0-9a-f]{64})")
_SUMS = ("SHA256SUMS", "sha256sums.txt", "SHA256SUMS.txt")
_ARTIFACT = (".whl", ".tar.gz", ".zip")


@probe
def artifact_state(host: Host, place: Place, environment: str) -> dict[str, Any]:
    """Which files of a Python environment's folder of packages are not what their recorded hash says.

    Recorded is what the requirements file (`--hash`), else the folder's own SHA256SUMS says. `restorable` are those
    the mirror has with the right content; `damaged` counts all, `beyond` what the mirror cannot give.
    """
    entry, folder = _entry(place, environment)
    recorded = _recorded(host, place, entry, folder)
    damaged: list[str] = []
    restorable: list[dict[str, str]] = []
    for name, allowed in sorted(recorded.items()):
        held = _sha256(host, posixpath.join(folder, name))
        if held is None or held in allowed:
            continue
        damaged.append(name)
        other = posixpath.join(place.path(entry.mirror), name) if entry.mirror else None
        right = _sha256(host, other) if other else None
        if other and right in allowed:
            restorable.append({"file": posixpath.join(folder, name), "source": other, "held": held, "sha256": right})
    facts = {"environment": environment, "checked": len(recorded), "damaged": len(damaged), "files": damaged}
    return facts | {"restorable": restorable, "beyond": len(damaged) - len(restorable), "service": entry.service}


@change(effect="change")
def restore_artifacts(place: Place, environment: str, *, files: list[dict[str, str]]) -> Commands:
    """Restore damaged packages of a Python environment from its mirror, by their recorded hash, and install them."""
    for each in files:
        small = int(each["size"]) <= LIMIT
        if not small:
            yield Run(argv=("mv", "--", each["file"], f"{each['file']}.damaged"))
        yield Run(argv=("cp", "--", each["source"], each["file"]), keeps=(each["file"],) if small else (), timeout=120)
        expect = (f'result.sha256 == "{each["sha256"]}"',)
        yield Wait(probe="file_hash", args={"path": each["file"]}, expect=expect, limit=5)
    yield from install_requirements.call({"place": place, "environment": environment, "missing": []})


@restore_artifacts.pin
def _damaged(host: Host, place: Place, environment: str) -> dict[str, Any]:
    seen = artifact_state.call({"host": host, "place": place, "environment": environment})
    if seen["beyond"] or not seen["restorable"]:
        raise NotAllowed(f"the mirror of {environment!r} has not all damaged packages with the right content")
    sizes = {each["file"]: found.size for each in seen["restorable"] if (found := host.stat(each["file"]))}
    return {"files": [{**each, "size": str(sizes.get(each["file"], 0))} for each in seen["restorable"]]}


@restore_artifacts.precondition
def _as_seen(host: Host, place: Place, environment: str, *, files: list[dict[str, str]]) -> None:  # noqa: ARG001
    for each in files:
        if place.is_protected(each["file"]):
            raise NotAllowed(f"{each['file']} is protected")
        if _sha256(host, each["file"]) != each["held"] or _sha256(host, each["source"]) != each["sha256"]:
            raise StalePlan(f"{each['file']} or its copy in the mirror is not as it was seen")


@restore_artifacts.undo
def _back(files: list[dict[str, str]]) -> Commands:
    for each in reversed(files):
        if int(each["size"]) <= LIMIT:
            yield Restore(path=each["file"], before=each["held"], after=LEFT)
        else:
            yield Run(argv=("mv", "--", f"{each['file']}.damaged", each["file"]))


def _entry(place: Place, name: str) -> tuple[Environment, str]:
    entry = place.inventory.environments.get(name)
    if entry is None or entry.kind != "python":
        raise NotAllowed(f"environment: {name!r} is no Python environment of the inventory")
    folder = (entry.index or {}).get("find_links")
    if not folder:
        raise NotAllowed(f"environments.{name}.index.find_links: the inventory names no folder of packages")
    return entry, place.path(folder)


def _recorded(host: Host, place: Place, entry: Environment, folder: str) -> dict[str, set[str]]:
    """The hashes that each file of the folder may have, as far as they are recorded."""
    names = [name for name in host.folder(folder) if name.endswith(_ARTIFACT)]
    recorded: dict[str, set[str]] = {}
    for package, version, hashes in _pinned(host, place, entry):
        for name in names:
            if _is_of(name, package, version):
                recorded.setdefault(name, set()).update(hashes)
    if recorded:
        return recorded
    return {name: {digest} for name, digest in _sums(host, folder).items() if name in names}


def _pinned(host: Host, place: Place, entry: Environment) -> list[tuple[str, str, list[str]]]:
    text = host.read(place.path(entry.requirements or "")).decode("utf-8", "replace").replace("\\\n", " ")
    found = []
    for line in text.splitlines():
        pinned = re.match(r"\s*([A-Za-z0-9][\w.-]*)(?:\[[^\]]*\])?\s*==\s*([\w.+!-]+)", line)
        hashes = _HASH.findall(line)
        if pinned and hashes:
            found.append((pinned[1], pinned[2], hashes))
    return found


def _is_of(file: str, package: str, version: str) -> bool:
    """Whether a file is that package in that version: names are compared as PEP 503 says."""
    match = re.match(r"(.+?)-(\d[^-]*?)(?:-.*)?(?:\.whl|\.tar\.gz|\.zip)$", file)
    return bool(match) and _plain(match[1]) == _plain(package) and match[2] == version if match else False


def _plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _sums(host: Host, folder: str) -> dict[str, str]:
    for name in _SUMS:
        if host.exists(posixpath.join(folder, name)):
            text = host.read(posixpath.join(folder, name)).decode("utf-8", "replace")
            return {file: digest for digest, file in re.findall(r"^([0-9a-f]{64})[ \t]+\*?(\S+)$", text, re.M)}
    return {}


def _sha256(host: Host, path: str) -> str | None:
    if host.stat(path) is None:
        return None
    try:
        return host.run("sha256sum", "--", path, timeout=120).split()[0].lstrip("\\")
    except CommandFailed:
        return None
