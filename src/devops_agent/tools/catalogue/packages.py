"""Bringing a Python or npm environment in line with the file that says what belongs into it.

Sources: the documentation of `pip install -r`, `npm ci` and `npm install --package-lock-only`.
"""

from __future__ import annotations

import json
import posixpath
import re
from typing import Any

from devops_agent.errors import CommandFailed, NotAllowed, UnreadableOutput
from devops_agent.inventory import Environment, Place
from devops_agent.model import Restore, Run
from devops_agent.tools.base import Commands, Host, change, probe
from devops_agent.tools.commands import LEFT, content, hashed

_TIMEOUT = 600


@probe
def python_requirements(host: Host, place: Place, environment: str) -> dict[str, Any]:
    """Which lines of an environment's requirements file are not fulfilled, and whether its index could fulfil them.

    Asked of pip as a dry run: nothing is installed. `missing` are the packages that would be installed or changed.
    """
    entry = _entry(place, environment, "python")
    argv = _pip(place, entry, "--dry-run", "--quiet", "--report", "-")
    ended = host.attempt(*argv, timeout=120, cwd=place.workspace)
    if ended.code:
        return {"environment": environment, "fulfillable": False, "missing": [], "error": ended.errors.strip()[-500:]}
    try:
        wanted = json.loads(ended.output)["install"]
    except (ValueError, KeyError):
        raise UnreadableOutput(f"pip: {ended.output[:200]}") from None
    missing = [f"{each['metadata']['name']}=={each['metadata']['version']}" for each in wanted]
    return {"environment": environment, "fulfillable": True, "missing": missing, "count": len(missing), "error": ""}


@change(effect="change", repeatable=True)
def install_requirements(
    place: Place,
    environment: str,
    *,
    missing: list[str],  # noqa: ARG001 - shown with the plan
) -> Commands:
    """Install into a Python environment of the inventory what its requirements file asks for, from its own index."""
    entry = _entry(place, environment, "python")
    yield Run(argv=_pip(place, entry, "--quiet"), cwd=place.workspace, timeout=_TIMEOUT)


@install_requirements.pin
def _would(host: Host, place: Place, environment: str) -> dict[str, Any]:
    seen = python_requirements.call({"host": host, "place": place, "environment": environment})
    if not seen["fulfillable"]:
        raise NotAllowed(f"its index cannot fulfil the requirements: {seen['error']}")
    return {"missing": seen["missing"]}


@install_requirements.already
def _fulfilled(host: Host, place: Place, environment: str, *, missing: list[str]) -> bool:  # noqa: ARG001
    seen = python_requirements.call({"host": host, "place": place, "environment": environment})
    return bool(seen["fulfillable"]) and not seen["missing"]


@probe(needs=("npm",))
def npm_lock(host: Host, place: Place, environment: str) -> dict[str, Any]:
    """How `package.json` and `package-lock.json` differ: what the manifest asks for and the lock does not have
    (`missing`), asks for otherwise (`changed`), and what the lock's root has beyond it (`extra`).

    `nowhere`: what is missing in the lock and should come from a folder or file that is not there.
    """
    folder = place.path(_entry(place, environment, "npm").path)
    manifest = _asked(_json(host, f"{folder}/package.json"))
    lock = _json(host, f"{folder}/package-lock.json")
    locked = _asked(lock.get("packages", {}).get("", {}))
    missing = sorted(set(manifest) - set(locked))
    extra = sorted(set(locked) - set(manifest))
    changed = sorted(name for name in set(manifest) & set(locked) if manifest[name] != locked[name])
    local = {name: re.fullmatch(r"(?:file|link):(?://)?(.+)", manifest[name]) for name in missing}
    paths = {name: posixpath.join(folder, found[1]) for name, found in local.items() if found}
    nowhere = sorted(name for name, path in paths.items() if host.stat(posixpath.normpath(path)) is None)
    return {
        "environment": environment,
        "missing": missing,
        "nowhere": nowhere,
        "changed": changed,
        "extra": extra,
        "in_sync": not (missing or changed or extra),
        "only_missing": bool(missing) and not (changed or extra or nowhere),
    }


@change(effect="change", repeatable=True, needs=("npm",))
def update_npm_lock(
    place: Place,
    environment: str,
    *,
    missing: list[str],  # noqa: ARG001 - shown with the plan
    before: str,  # noqa: ARG001 - for undo
) -> Commands:
    """Bring `package-lock.json` up to the manifest where it only lacks entries; nothing of the manifest is changed."""
    entry = _entry(place, environment, "npm")
    folder = place.path(entry.path)
    lock = f"{folder}/package-lock.json"
    yield Run(argv=_npm(entry, "install", "--package-lock-only"), cwd=folder, timeout=_TIMEOUT, keeps=(lock,))


@update_npm_lock.pin
def _lacks(host: Host, place: Place, environment: str) -> dict[str, Any]:
    seen = npm_lock.call({"host": host, "place": place, "environment": environment})
    if not seen["in_sync"] and not seen["only_missing"]:
        raise NotAllowed(
            f"manifest and lock contradict each other (changed: {seen['changed']}, only in the lock: {seen['extra']}), "
            f"or the manifest asks for what is not there ({seen['nowhere']}): "
            "which of them is right, a person must say"
        )
    lock = f"{place.path(_entry(place, environment, 'npm').path)}/package-lock.json"
    return {"missing": seen["missing"], "before": hashed(content(host, lock))}


@update_npm_lock.already
def _in_sync(host: Host, place: Place, environment: str) -> bool:
    return bool(npm_lock.call({"host": host, "place": place, "environment": environment})["in_sync"])


@update_npm_lock.undo
def _as_before(place: Place, environment: str, before: str) -> Commands:
    lock = f"{place.path(_entry(place, environment, 'npm').path)}/package-lock.json"
    yield Restore(path=lock, before=before, after=LEFT)


def _entry(place: Place, environment: str, kind: str) -> Environment:
    entry = place.inventory.environments.get(environment)
    if entry is None or entry.kind != kind:
        raise NotAllowed(f"environment: {environment!r} is not a {kind} environment of the inventory")
    return entry


def _pip(place: Place, entry: Environment, *options: str) -> tuple[str, ...]:
    if not entry.requirements:
        raise NotAllowed("the inventory names no requirements file for this environment")
    index: tuple[str, ...] = ()
    if entry.index and "find_links" in entry.index:
        index = ("--no-index", "--find-links", place.path(entry.index["find_links"]))
    elif entry.index and "url" in entry.index:
        index = ("--index-url", entry.index["url"])
    python = place.path(f"{entry.path}/bin/python")
    fixed = ("-m", "pip", "--disable-pip-version-check", "--no-input", "install")
    return (python, *fixed, *options, *index, "-r", place.path(entry.requirements))


def _npm(entry: Environment, *words: str) -> tuple[str, ...]:
    quiet = ("--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error")
    return ("npm", *words, *quiet, *(("--offline",) if entry.offline else ()))


def _json(host: Host, path: str) -> dict[str, Any]:
    try:
        data = json.loads(host.read(path, 32 << 20))
    except ValueError:
        raise UnreadableOutput(f"{path} is not JSON") from None
    if not isinstance(data, dict):
        raise CommandFailed(f"{path} is not an object")
    return data


def _asked(package: dict[str, Any]) -> dict[str, str]:
    """What a package asks for: name -> range."""
    kinds = ("dependencies", "devDependencies", "optionalDependencies", "peerDependencies")
    return {name: str(wanted) for kind in kinds for name, wanted in (package.get(kind) or {}).items()}
