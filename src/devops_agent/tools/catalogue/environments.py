"""Environments of programs: whether a Python module can be imported, whether a command is there."""

from __future__ import annotations

import json
import re
from typing import Any

from devops_agent.errors import CommandFailed, NotAllowed, UnreadableOutput
from devops_agent.inventory import Place
from devops_agent.tools.base import Host, probe

_FIND = """
import importlib.metadata, importlib.util, json, sys
name = sys.argv[1]
top = name.split(".")[0]
try:
    found = importlib.util.find_spec(name)
except (ImportError, ValueError):
    found = None
packages = importlib.metadata.packages_distributions().get(top, []) if sys.version_info >= (3, 10) else []
versions = {p: importlib.metadata.version(p) for p in packages}
print(json.dumps({"present": found is not None, "origin": getattr(found, "origin", None), "packages": versions,
                  "python": sys.version.split()[0], "prefix": sys.prefix}))
"""


@probe
def python_module(host: Host, place: Place, module: str, environment: str | None = None) -> dict[str, Any]:
    """Whether a Python module can be found in an environment of the inventory: `present`, its packages and versions.

    Without `environment`: the only one there is, else that of the workspace, else the machine's own Python. The module
    itself is not run (but for packages above it, as Python does when it looks for one).
    """
    if not re.fullmatch(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*", module):
        raise NotAllowed(f"not a module's name: {module!r}")
    interpreter, named = python_of(host, place, environment)
    ended = host.attempt(interpreter, "-I", "-c", _FIND, module, timeout=30)
    if ended.code:
        raise CommandFailed(f"{interpreter}: {ended.text[-300:]}", ended.code)
    try:
        found = json.loads(ended.output)
    except ValueError:
        raise UnreadableOutput(f"{interpreter}: {ended.output[:200]}") from None
    wanted = _required(host, place, named, module, found["packages"])
    return {"module": module, "environment": named, "interpreter": interpreter, **found, "required": wanted}


@probe
def command_present(host: Host, place: Place, command: str) -> dict[str, Any]:
    """Whether a program can be found."""
    if not re.fullmatch(r"[\w./+-]+", command) or command.startswith("-"):
        raise NotAllowed(f"not a program's name: {command!r}")
    if "/" in command:
        found = host.stat(place.path(command))
        executable = found is not None and bool(found.mode & 0o111)
        return {"command": command, "present": executable, "exists": found is not None}
    return {"command": command, "present": host.has(command), "exists": host.has(command)}


def python_of(host: Host, place: Place, environment: str | None) -> tuple[str, str | None]:
    """The Python interpreter of an environment, and the environment's name."""
    known = {name: each for name, each in place.inventory.environments.items() if each.kind == "python"}
    if environment is not None and environment not in known:
        raise NotAllowed(f"environment: {environment!r} is not a Python environment of the inventory")
    if environment is None and len(known) == 1:
        environment = next(iter(known))
    if environment is not None:
        return place.path(f"{known[environment].path}/bin/python"), environment
    for folder in (".venv", "venv"):
        if host.exists(place.path(f"{folder}/bin/python")):
            return place.path(f"{folder}/bin/python"), None
    return "python3", None


def _required(host: Host, place: Place, environment: str | None, module: str, packages: dict[str, str]) -> str | None:
    """The line of the requirements file that asks for this module's package."""
    entry = place.inventory.environments.get(environment or "")
    if entry is None or not entry.requirements:
        return None
    try:
        lines = host.read(place.path(entry.requirements)).decode("utf-8", "replace").splitlines()
    except CommandFailed:
        return None
    names = {re.sub(r"[-_.]+", "-", name).lower() for name in (*packages, module.split(".", maxsplit=1)[0])}
    for line in lines:
        found = re.match(r"\s*([A-Za-z0-9][\w.-]*)", line)
        if found and re.sub(r"[-_.]+", "-", found[1]).lower() in names:
            return line.strip()[:200]
    return None
