"""Settings: raise a limit of memory or time where it is written, set a value, see whether a variable is provided."""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import Field

from devops_agent.errors import BadArguments, CommandFailed, NotAllowed
from devops_agent.inventory import Place
from devops_agent.model import Edit
from devops_agent.tools import commands, edits, secrecy, settings, supervisors
from devops_agent.tools.base import Commands, Host, change, probe

Megabytes = Annotated[int, Field(ge=1, le=1 << 24)]
Seconds = Annotated[float, Field(gt=0, le=7 * 86400)]


@change(effect="change", repeatable=True)
def increase_memory(
    host: Host, place: Place, mb: Megabytes, service: str | None = None, file: str | None = None, key: str | None = None
) -> Commands:
    """Raise the memory limit of a service to at least `mb` megabytes where it is written; never lowers it.

    Asks which one is meant where several settings could be. Takes effect when the service is restarted.
    """
    _within_machine(host, mb)
    files = settings.editable(host, place, service, file, settings.memory_settings)
    setting = settings.one(settings.memory_settings(host, files), key, "memory", files)
    yield from _raise(host, place, setting, mb * (1 << 20))


@increase_memory.already
def _enough_memory(
    host: Host, place: Place, mb: int, service: str | None = None, file: str | None = None, key: str | None = None
) -> bool:
    files = settings.editable(host, place, service, file, settings.memory_settings)
    setting = settings.one(settings.memory_settings(host, files), key, "memory", files)
    return settings.raised(setting, mb * (1 << 20)) is None


@change(effect="change", repeatable=True)
def increase_timeout(
    host: Host,
    place: Place,
    seconds: Seconds,
    service: str | None = None,
    file: str | None = None,
    key: str | None = None,
) -> Commands:
    """Raise a time limit (of a service, a test run, a CI job) to at least `seconds` where it is written; never lower
    it.

    Asks which one is meant where several settings could be. Takes effect when what reads it starts anew.
    """
    files = settings.editable(host, place, service, file, settings.time_settings)
    setting = settings.one(settings.time_settings(host, files), key, "time", files)
    yield from _raise(host, place, setting, seconds)


@increase_timeout.already
def _enough_time(
    host: Host,
    place: Place,
    seconds: float,
    service: str | None = None,
    file: str | None = None,
    key: str | None = None,
) -> bool:
    files = settings.editable(host, place, service, file, settings.time_settings)
    setting = settings.one(settings.time_settings(host, files), key, "time", files)
    return settings.raised(setting, seconds) is None


@change(effect="change", repeatable=True)
def set_value(
    host: Host,
    place: Place,
    file: str,
    key: str,
    value: str | int | float | bool | None = None,
    secret: str | None = None,
    service: str | None = None,  # noqa: ARG001 - says on which host the file is
) -> Commands:
    """Set one value in a configuration file (env, YAML, JSON, TOML, INI, unit, nginx-like, `key value`); keep its form.

    `key` is dotted where the file has sections. `secret` names a secret of the inventory to fill in instead of a value.
    """
    if (value is None) == (secret is None):
        raise BadArguments("set_value: give either value or secret")
    settings.require_editable(host, place, file)
    text = settings.text_of(host, place.path(file))
    if text is None and host.exists(place.path(file)):
        raise NotAllowed(f"{file} cannot be read as text")
    form = edits.form_of(file, text or "")
    before = _current(form, text, key)
    if secret is None:
        secrecy.require_not_weaker(key, before, value)
    given = {"key": key, "secret": secret} if secret else {"key": key, "value": _typed(form, before, value)}
    yield from _edit(host, place, file, form, given)


@probe
def setting(
    host: Host,
    place: Place,
    file: str,
    key: str,
    service: str | None = None,  # noqa: ARG001 - says on which host the file is
) -> dict[str, Any]:
    """What a configuration file of the inventory sets a key to; the value of one that looks secret is not told."""
    path = place.path(file)
    if not any(path == place.path(each) for each in _named_files(place)):
        raise NotAllowed(f"{file} is not a configuration or template file of the inventory")
    text = settings.text_of(host, path)
    if text is None:
        return {"file": path, "exists": False, "present": False, "value": None}
    held = _current(edits.form_of(path, text), text, key)
    shown = None if held is None or secrecy.is_secret(key, held) else held
    return {"file": path, "exists": True, "present": held is not None, "empty": held == "", "value": shown}


@probe
def env_value(host: Host, place: Place, name: str, service: str | None = None) -> dict[str, Any]:
    """Whether a variable is provided, in the service's configuration and in its process; what templates say of it.

    `proper` is the value that a template documents, `hint` the comment above it. Values that look secret are not told.
    """
    services = [service] if service else place.services_here()
    where, values, documented = [], [], []
    for each in services:
        for path in place.service(each).config:
            held = _last(host, place.path(path), name)
            if held is not None:
                where.append(place.path(path))
                values.append(held)
        for path in place.service(each).templates:
            if (found := _template(host, place.path(path), name)) is not None:
                documented.append(found)
    running = _in_process(host, place, service, name) if service else None
    held = values[-1] if values else running
    secret = secrecy.is_secret(name, held or "")
    facts: dict[str, Any] = {"name": name, "present": held is not None, "empty": held == "", "files": where}
    facts |= {"in_process": running is not None if service else None, "value": None if secret else held}
    facts |= documented[0] if documented else {"documented": False, "proper": None, "hint": "", "template": None}
    facts["config"] = [place.path(path) for each in services for path in place.service(each).config]
    if secret or secrecy.is_secret(name, facts["proper"] or ""):
        facts["proper"] = None
    facts["secret"] = _secret_of(host, place, name)
    return facts


def _raise(host: Host, place: Place, setting: settings.Setting, value: float) -> Commands:
    args = settings.raised(setting, value)
    if args is not None:
        yield from _edit(host, place, setting.file, setting.editor, args)


def _edit(host: Host, place: Place, file: str, editor: str, args: dict[str, Any]) -> Commands:
    planned: Edit | None = commands.planned_edit(host, place, file, editor, args)
    if planned:
        yield planned


def _within_machine(host: Host, mb: int) -> None:
    try:
        found = re.search(rb"^MemTotal:\s+(\d+) kB", host.read("/proc/meminfo"), re.M)
    except CommandFailed:
        return
    if found and mb * 1024 > int(found[1]):
        raise NotAllowed(f"the machine has {int(found[1]) // 1024} MB in all; a limit of {mb} MB would be none")


def _current(form: str, text: str | None, key: str) -> str | None:
    return edits.value(form, text, key) if text else None


def _typed(form: str, before: str | None, value: Any) -> Any:
    """A number stays a number in the forms that tell numbers from text, and text stays text."""
    if form in ("yaml", "json", "toml") and isinstance(value, str) and before is not None:
        if re.fullmatch(r"-?\d+", before) and re.fullmatch(r"-?\d+", value):
            return int(value)
        if before in ("true", "false") and value in ("true", "false"):
            return value == "true"
    return value


def _named_files(place: Place) -> list[str]:
    services = place.inventory.services.values()
    files = [path for service in services for path in (*service.config, *service.templates)]
    return files + [store.config for store in place.inventory.datastores.values() if store.config]


def _last(host: Host, path: str, name: str) -> str | None:
    text = settings.text_of(host, path)
    if text is None:
        return None
    found = [value for _, key, value in settings.entries(path, text) if key == name or key.endswith(f".{name}")]
    return found[-1] if found else None


def _template(host: Host, path: str, name: str) -> dict[str, Any] | None:
    text = settings.text_of(host, path)
    if text is None:
        return None
    lines = text.splitlines()
    for number, line in enumerate(lines):
        if re.match(rf"\s*(#\s*)?(export\s+)?{re.escape(name)}\s*[=:]", line):
            above = number
            while above > 0 and lines[above - 1].lstrip().startswith("#"):
                above -= 1
            hint = " ".join(each.lstrip("# ").strip() for each in lines[above:number])
            live = not line.lstrip().startswith("#")
            value = _last(host, path, name) if live else None
            return {"documented": True, "proper": value or None, "hint": hint[:500], "template": path}
    return None


def _in_process(host: Host, place: Place, service: str, name: str) -> str | None:
    try:
        pid = supervisors.status(host, place, service)["pid"]
        raw = host.read(f"/proc/{pid}/environ") if pid else b""
    except CommandFailed:
        return None
    for entry in raw.decode("utf-8", "replace").split("\0"):
        key, _, value = entry.partition("=")
        if key == name:
            return value
    return None


def _secret_of(host: Host, place: Place, name: str) -> str | None:
    """The secret of the inventory that has this variable's name, if there is one."""
    if place.inventory.secrets is None:
        return None
    try:
        names = host.folder(place.path(place.inventory.secrets.directory))
    except CommandFailed:
        return None
    wanted = re.sub(r"[^a-z0-9]", "", name.lower())
    return next((each for each in names if re.sub(r"[^a-z0-9]", "", each.lower()) == wanted), None)
