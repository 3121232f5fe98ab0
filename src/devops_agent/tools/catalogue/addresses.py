"""Addresses that one service's configuration has of another: who asks for a port that nobody of the place serves.

A refused connection has two causes that look alike: the server is down, or the client asks at the wrong place. The
inventory says which port is whose and who depends on whom; templates say what should stand in a configuration.
"""

from __future__ import annotations

import re
import urllib.parse
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import Field

from devops_agent.errors import NotAllowed, StalePlan, ToolError
from devops_agent.inventory import Place, Service
from devops_agent.tools import edits, reach, settings
from devops_agent.tools.base import Commands, Host, change, probe
from devops_agent.tools.commands import planned_edit

Port = Annotated[int, Field(ge=1, le=65535)]
_OWN = re.compile(r"^\s*(listen|bind|port|http_port|listen_\w+|server_port|app_port)\b", re.I)
_COMMENT = re.compile(r"^\s*(#|;|//)")


@dataclass(frozen=True, slots=True)
class Mention:
    """A line of a service's configuration that asks for a port of another service."""

    service: str
    file: str
    number: int
    line: str


@probe
def misdirected(host: Host, place: Place, port: Port) -> dict[str, Any]:
    """Whether the configuration of one service asks for a port that no service of the inventory has; which is right.

    `owner` is the service that has the port (then nothing is misdirected); else `service`, `file` and `line` are the
    only place that asks for it, and `right` is the port of the one `target` that is meant: what a template says, or
    the only port of the only service that it depends on. `right` is None where that is not beyond doubt, or where the
    target is not healthy.
    """
    owner = place.service_on(port) or _datastore_on(place, port)
    found: dict[str, Any] = {"port": port, "owner": owner, "service": None, "file": None, "line": None, "right": None}
    if owner:
        return found
    mentions = list(_mentions(host, place, port))
    found["mentions"] = len(mentions)
    if len(mentions) != 1:
        return found
    mention = mentions[0]
    found |= {"service": mention.service, "file": mention.file, "line": mention.number}
    right = _documented(host, place, mention) or _of_dependency(place, mention.service)
    if right is None:
        return found
    target = place.service_on(right)
    healthy = _answers(host, place, target, right) if target and target != mention.service else False
    return found | {"target": target, "proposed": right, "right": right if healthy else None}


@change(effect="change", repeatable=True)
def redirect_address(host: Host, place: Place, service: str, port: Port, *, file: str, right: int) -> Commands:
    """Let a service's configuration ask for the right port of a healthy service, instead of one that nobody serves."""
    settings.require_editable(host, place, file)
    mention = next((each for each in _mentions(host, place, port) if each.service == service), None)
    if mention is None:
        return
    new = _pattern(port).sub(str(right), mention.line)
    edit = planned_edit(host, place, file, "replace", {"old": mention.line, "new": new})
    if edit is not None:
        yield edit


@redirect_address.pin
def _seen(host: Host, place: Place, service: str, port: int) -> dict[str, Any]:
    seen = misdirected.call({"host": host, "place": place, "port": port})
    if seen["service"] != service or not seen["right"]:
        raise NotAllowed(f"it is not beyond doubt where {service} should connect instead of port {port}")
    return {"file": seen["file"], "right": seen["right"]}


@redirect_address.already
def _redirected(host: Host, place: Place, service: str, port: int) -> bool:
    return not any(each.service == service for each in _mentions(host, place, port))


@redirect_address.precondition
def _still(host: Host, place: Place, service: str, port: int, *, file: str, right: int) -> None:
    if reach.tcp(host, "127.0.0.1", port, 2.0)["open"]:
        raise StalePlan(f"something listens on port {port} now")
    seen = misdirected.call({"host": host, "place": place, "port": port})
    if (seen["service"], seen["file"], seen["right"]) != (service, file, right):
        raise StalePlan("the configuration, or the service that is meant, is not as it was seen")


def _pattern(port: int) -> re.Pattern[str]:
    return re.compile(rf"(?<![\d.\w]){port}(?![\d\w.])")


def _mentions(host: Host, place: Place, port: int) -> list[Mention]:
    """Lines of configurations that name the port as somebody else's: an address, or a setting of another's port."""
    found = []
    pattern = _pattern(port)
    for service, entry in place.inventory.services.items():
        for file in entry.config:
            text = settings.text_of(host, place.path(file))
            for number, line in enumerate((text or "").splitlines(), 1):
                if pattern.search(line) and not _OWN.match(line) and not _COMMENT.match(line):
                    found.append(Mention(service, file, number, line))
    return found


def _documented(host: Host, place: Place, mention: Mention) -> int | None:
    """The port that a template of that service gives the same setting, if it says exactly one."""
    held = _key_of(host, place.path(mention.file), mention.line)
    if held is None:
        return None
    ports = set()
    for template in place.service(mention.service).templates:
        path = place.path(template)
        text = settings.text_of(host, path)
        value = edits.value(edits.form_of(path, text), text, held) if text else None
        ports |= {port for port in [_port_in(value or "")] if port}
    return ports.pop() if len(ports) == 1 else None


def _key_of(host: Host, path: str, line: str) -> str | None:
    text = settings.text_of(host, path) or ""
    for _, key, value in settings.entries(path, text):
        name = key.rsplit(".", 1)[-1]
        if value and value in line and re.search(rf"\b{re.escape(name)}\b", line):
            return key
    return None


def _port_in(value: str) -> int | None:
    if value.isdigit():
        return int(value) if 0 < int(value) < 65536 else None
    try:
        return urllib.parse.urlsplit(value if "://" in value else f"//{value}").port
    except ValueError:
        return None


def _of_dependency(place: Place, service: str) -> int | None:
    """The only port of the only service that it depends on."""
    entry = place.service(service)
    targets = [each for each in entry.depends_on if each in place.inventory.services]
    return _only_port(place.service(targets[0])) if len(targets) == 1 else None


def _only_port(service: Service) -> int | None:
    tcp = service.health.tcp if service.health else None
    ports = {*service.ports, *([tcp] if isinstance(tcp, int) else [])}
    return ports.pop() if len(ports) == 1 else None


def _answers(host: Host, place: Place, target: str, port: int) -> bool:
    check = place.service(target).health
    try:
        if check is not None:
            return reach.healthy(host, place, check)[0] is True
        return bool(reach.tcp(host, "127.0.0.1", port, 2.0)["open"])
    except ToolError:
        return False


def _datastore_on(place: Place, port: int) -> str | None:
    for name, store in place.inventory.datastores.items():
        if re.search(rf"(?:port=|:){port}(?:\D|$)", f"{store.admin or ''} {store.url or ''}"):
            return name
    return None
