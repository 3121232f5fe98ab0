"""The program that a service is to run: where its supervisor looks for it, whether it is there, where it lies now.

Looking is done as the supervisor sees files: behind the `control` prefix of the inventory. Sources: systemd.service(5),
systemd.exec(5) (status 203/EXEC), supervisord's documentation.
"""

from __future__ import annotations

import posixpath
import re
import shlex
from collections.abc import Iterator
from typing import Any

from devops_agent.errors import NotAllowed
from devops_agent.inventory import Place, Service
from devops_agent.tools import commands, settings, supervisors
from devops_agent.tools.base import Commands, Completed, Host, change, probe

_STARTS = re.compile(r"^[ \t]*(?:ExecStart|command)[ \t]*=[ \t]*[-@+!:|]*(\S.*?)[ \t]*$", re.M)
_PUT_ASIDE = re.compile(r"/(\.[^/]+|node_modules|backups?|old|archive|trash|disabled)/|[~]$|\.(bak|old|orig|dpkg-\w+)$")
_DEPTH = "6"


@probe
def service_program(host: Host, place: Place, service: str, path: str | None = None) -> dict[str, Any]:
    """The program that a service's configuration (else a log, by `path`) names: whether it is there and may be run.

    Where it is not there: `candidates` are files of the same name near it, in the workspace or in the release in use;
    `moved` is the only one that no other service runs. `file` is the only configuration file that names the path,
    `times` how often. `stale`: the log names another one than the configuration does now.
    """
    entry = place.service(service)
    files = {place.path(file): settings.text_of(host, place.path(file)) or "" for file in entry.config}
    facts: dict[str, Any] = {"service": service, "path": None, "exists": None, "executable": None, "moved": None}
    facts |= {"candidates": [], "file": None, "times": 0, "stale": False, "interpreter": None}
    words = _command(service, entry, files) or [path or ""]
    wanted = next((word for word in words if not _test(host, place, entry, "-e", word)), words[0])
    if not wanted.startswith("/"):
        return facts
    naming = {file: len(_places(text, wanted)) for file, text in files.items() if _places(text, wanted)}
    facts |= {"path": wanted, "times": sum(naming.values())}
    facts["file"] = next(iter(naming)) if len(naming) == 1 else None
    facts["stale"] = bool(path and path.startswith("/") and naming and path not in words)
    facts["exists"] = _test(host, place, entry, "-e", wanted)
    facts["executable"] = _test(host, place, entry, "-x", wanted)
    if facts["exists"]:
        return facts | {"interpreter": _missing_interpreter(host, place, entry, wanted)}
    found = _candidates(host, place, entry, wanted, run=wanted == words[0])
    others = set(_commands_of_others(host, place, service))
    free = [each for each in found if each not in others]
    return facts | {"candidates": found, "moved": free[0] if len(free) == 1 else None}


@change(effect="change")
def correct_program(host: Host, place: Place, service: str, path: str, new: str) -> Commands:
    """Correct the path of a service's program in its configuration, where it moved to; takes effect after reload_units.

    Refused unless the old one is not there, the new one is, may be run and has the same name.
    """
    file = service_program.call({"host": host, "place": place, "service": service, "path": path})["file"]
    if file is not None:
        settings.require_editable(host, place, file)
        line = _places(settings.text_of(host, file) or "", path)[0]
        given = {"old": line, "new": line.replace(path, new)}
        edit = commands.planned_edit(host, place, file, "replace", given)
        if edit:
            yield edit


@correct_program.already
def _is_corrected(host: Host, place: Place, service: str, path: str, new: str) -> bool:
    texts = [settings.text_of(host, place.path(file)) or "" for file in place.service(service).config]
    return any(_places(text, new) for text in texts) and not any(_places(text, path) for text in texts)


@correct_program.precondition
def _may_be_corrected(host: Host, place: Place, service: str, path: str, new: str) -> None:
    entry = place.service(service)
    if posixpath.basename(path) != posixpath.basename(new) or not new.startswith("/"):
        raise NotAllowed(f"{new} is not the same program as {path}")
    if _test(host, place, entry, "-e", path):
        raise NotAllowed(f"{path} is there; nothing is corrected")
    seen = service_program.call({"host": host, "place": place, "service": service, "path": path})
    if new not in seen["candidates"]:
        raise NotAllowed(f"{new} is not there, or may not be run")
    if seen["file"] is None or seen["path"] != path or seen["times"] != 1:
        raise NotAllowed(f"{path} stands {seen['times']} times in the configuration of {service}, not once")


@change(effect="change", repeatable=True)
def reload_units(place: Place, service: str) -> Commands:
    """Make a service's supervisor read its configuration again (systemd daemon-reload, supervisorctl update of that
    program alone). Other supervisors keep nothing in mind; other services go on as they are."""
    entry = place.service(service)
    if entry.supervisor == "systemd":
        yield supervisors.control(place, entry, "systemctl", "daemon-reload")
        unit = entry.unit or service
        failed = supervisors.control(place, entry, "systemctl", "reset-failed", unit)
        yield failed.model_copy(update={"ok": (0, 1)})
    elif entry.supervisor == "supervisord":
        yield supervisors.supervisorctl(place, entry, "update", (entry.unit or service).split(":")[0])


def _command(service: str, entry: Service, files: dict[str, str]) -> list[str]:
    """The absolute paths among the first words of the command in the service's own section or unit; what a drop-in of
    a unit (a file in its folder `.d`) sets stands above what the unit sets."""
    for _, text in sorted(files.items(), key=lambda each: not posixpath.dirname(each[0]).endswith(".d")):
        for section in _sections(text, entry.unit or service):
            if found := _STARTS.search(section):
                return [word for word in _words(found[1])[:4] if word.startswith("/")]
    return []


def _sections(text: str, unit: str) -> list[str]:
    heads = (f"[program:{unit.rpartition(':')[2]}]", "[Service]")
    return [part for part in re.split(r"(?m)^(?=\[)", text) if part.startswith(heads)]


def _words(text: str) -> list[str]:
    try:
        return shlex.split(text)
    except ValueError:
        return text.split()


def _places(text: str, path: str) -> list[str]:
    """Lines that are no comments and hold the path as a whole word."""
    whole = re.compile(rf"(?<![\w./-]){re.escape(path)}(?![\w./-])")
    return [line for line in text.splitlines() if whole.search(line) and not line.lstrip().startswith(("#", ";"))]


def _ask(host: Host, place: Place, entry: Service, *argv: str) -> Completed:
    return host.attempt(*entry.control, *argv, timeout=30, cwd=place.workspace)


def _test(host: Host, place: Place, entry: Service, flag: str, path: str) -> bool:
    return _ask(host, place, entry, "test", flag, path).code == 0


def _candidates(host: Host, place: Place, entry: Service, path: str, run: bool) -> list[str]:
    """Files of the same name (that may be run): below the nearest folder that is there, the workspace, the release."""
    name = re.sub(r"([\[\]*?\\])", r"\\\1", posixpath.basename(path))
    top = posixpath.dirname(path)
    while top != "/" and not _test(host, place, entry, "-d", top):
        top = posixpath.dirname(top)
    folders = [top] if top.count("/") > 1 or top not in ("/", "/usr", "/etc", "/var") else []
    if entry.releases:
        folders.append(place.path(entry.releases.current) + "/.")
    folders += [place.workspace] if place.known and place.inventory.workspace else []
    rest = ("-maxdepth", _DEPTH, "-xdev", "-type", "f", "-name", name, *(("-perm", "/111") if run else ()), "-print")
    found: dict[str, str] = {}
    for folder in dict.fromkeys(folders):
        lines = _ask(host, place, entry, "find", folder, *rest).output.splitlines()
        releases = place.path(entry.releases.all).rstrip("/") + "/" if entry.releases else "\0"
        for line in lines:
            full = line.replace("/./", "/")
            if not _PUT_ASIDE.search(full) and not (full.startswith(releases) and not folder.endswith("/.")):
                found.setdefault(full, full)
    return sorted(found)[:20]


def _commands_of_others(host: Host, place: Place, service: str) -> Iterator[str]:
    own = place.service(service)
    for name, entry in place.inventory.services.items():
        if name == service:
            continue
        yield from (place.path(word) for word in entry.run)
        for file in entry.config:
            text = settings.text_of(host, place.path(file)) or ""
            for section in re.split(r"(?m)^(?=\[)", text):
                if not (file in own.config and section in _sections(text, own.unit or service)):
                    yield from (word for found in _STARTS.findall(section) for word in _words(found)[:3])


def _missing_interpreter(host: Host, place: Place, entry: Service, path: str) -> str | None:
    """The interpreter that a script names in its first line, where that is not there."""
    head = _ask(host, place, entry, "head", "-c", "200", "--", path).output
    found = re.match(r"#!\s*(/\S+)", head)
    return found[1] if found and not _test(host, place, entry, "-x", found[1]) else None
