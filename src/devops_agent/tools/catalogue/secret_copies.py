"""Copies of secrets in configurations: which one is not (any more) what the team's store of secrets says.

No value is told, ever: only names of files, keys and secrets, and whether they are equal.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from devops_agent.errors import CommandFailed
from devops_agent.inventory import Place
from devops_agent.tools import commands, settings
from devops_agent.tools.base import Host, probe


@probe
def stale_secret(host: Host, place: Place, user: str | None = None, service: str | None = None) -> dict[str, Any]:
    """Which setting of a service's configuration should be one of the inventory's secrets, by name, and is not equal.

    `service`, `file`, `key` and `secret` where it is exactly one; `count` how many differ, `equal` how many do
    not. With `user`, only configurations that log in as that user count.
    """
    found: list[dict[str, str]] = []
    equal = 0
    names = _secrets(host, place)
    for name in [service] if service else list(place.inventory.services):
        if not names or not _uses(host, place, name, user):
            continue
        for file, key, value in _entries(host, place, name):
            secret = names.get(_plain(key.rsplit(".", 1)[-1]))
            if secret is None:
                continue
            if value == commands.secret(host, place, secret):
                equal += 1
            else:
                found.append({"service": name, "file": file, "key": key, "secret": secret})
    one = found[0] if len(found) == 1 else {"service": None, "file": None, "key": None, "secret": None}
    return {**one, "count": len(found), "equal": equal}


def _secrets(host: Host, place: Place) -> dict[str, str]:
    """The names of all secrets, by how they read without case and punctuation; ambiguous ones are left out."""
    if place.inventory.secrets is None:
        return {}
    try:
        names = host.folder(place.path(place.inventory.secrets.directory))
    except CommandFailed:
        return {}
    plain = [_plain(name) for name in names]
    return {_plain(name): name for name in names if plain.count(_plain(name)) == 1 and not name.startswith(".")}


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", re.sub(r"\.(txt|secret)$", "", name.lower()))


def _entries(host: Host, place: Place, service: str) -> Iterator[tuple[str, str, str]]:
    for file in place.service(service).config:
        path = place.path(file)
        text = settings.text_of(host, path)
        for _, key, value in settings.entries(path, text) if text else ():
            yield file, key, value


def _uses(host: Host, place: Place, service: str, user: str | None) -> bool:
    """Whether a service's configuration names this user: as a value, or in an address."""
    if not user:
        return True
    named = re.compile(rf"(^|//){re.escape(user)}($|[:@])")
    return any(named.search(value) for _, _, value in _entries(host, place, service))
