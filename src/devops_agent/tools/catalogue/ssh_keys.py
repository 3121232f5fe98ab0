"""Host keys and authorised keys of SSH: taken over only where the team has written their fingerprint or key down.

A key that merely answers on the network proves nothing; the fingerprint in the inventory's documents (templates) does.
Sources: ssh-keyscan(1), ssh-keygen(1), sshd(8) on the formats of known_hosts and authorized_keys.
"""

from __future__ import annotations

import base64
import hashlib
import posixpath
import re
from typing import Annotated, Any

from pydantic import Field

from devops_agent.errors import CommandFailed, NotAllowed, StalePlan
from devops_agent.inventory import Place
from devops_agent.tools import settings
from devops_agent.tools.base import Commands, Host, change, probe
from devops_agent.tools.commands import planned_edit

Port = Annotated[int, Field(ge=1, le=65535)]
_NAME = re.compile(r"^[A-Za-z0-9]([\w.:-]{0,251}\w)?$")
_KEY = re.compile(r"((?:ssh-|ecdsa-|sk-)[\w@.-]{3,60}) (AAAA[A-Za-z0-9+/=]{20,})")
_FINGERPRINT = re.compile(r"SHA256:[A-Za-z0-9+/]{43}")


@probe(needs=("ssh-keyscan", "ssh-keygen"), outward=("server",))
def host_key(host: Host, place: Place, server: str, file: str, port: Port = 22) -> dict[str, Any]:
    """The keys that a server offers, against a known_hosts file and the fingerprints that the team has written down.

    `known`: the file has one of the offered keys. `documented`: exactly the fingerprints that the inventory's templates
    name on lines about this server. `proper` is the offered key's fingerprint that is documented, None where none is.
    """
    offered = _offered(host, server, port)
    held = {_fingerprint(key) for _, key in _held(host, place.path(file), server, port)}
    documented = _documented(host, place, server)
    proper = sorted(set(offered) & documented)
    return {
        "server": server,
        "file": file,
        "answers": bool(offered),
        "offered": sorted(offered),
        "known": bool(held & set(offered)),
        "entries": len(held),
        "documented": sorted(documented),
        "proper": proper[0] if proper else None,
    }


@change(effect="change", repeatable=True, needs=("ssh-keyscan", "ssh-keygen"))
def replace_known_host(
    host: Host, place: Place, server: str, file: str, port: Port = 22, *, fingerprint: str, key: str
) -> Commands:
    """Put a server's new key into a known_hosts file, in place of its old ones, if its fingerprint is documented."""
    _require_known_hosts(host, place, file)
    name = server if port == 22 else f"[{server}]:{port}"
    if _fingerprint(key) != fingerprint:
        raise StalePlan("the key is not the one of this fingerprint")
    lines = [line for line, _ in _held(host, place.path(file), server, port)]
    new = f"{name} {key}"
    edit = (
        planned_edit(host, place, file, "replace", {"old": "\n".join(lines), "new": new})
        if lines
        else planned_edit(host, place, file, "line", {"wanted": new})
    )
    if edit is not None:
        yield edit


@replace_known_host.pin
def _proper(host: Host, place: Place, server: str, file: str, port: int = 22) -> dict[str, Any]:
    seen = host_key.call({"host": host, "place": place, "server": server, "file": file, "port": port})
    if not seen["proper"]:
        raise NotAllowed(f"no key that {server} offers has a fingerprint that the team has written down")
    return {"fingerprint": seen["proper"], "key": _offered(host, server, port)[seen["proper"]]}


@replace_known_host.already
def _is_known(host: Host, place: Place, server: str, file: str, port: int = 22, *, fingerprint: str) -> bool:
    held = {_fingerprint(key) for _, key in _held(host, place.path(file), server, port)}
    return held == {fingerprint}


@probe
def authorized_key(host: Host, place: Place, file: str, public_key: str) -> dict[str, Any]:
    """Whether an authorized_keys file has the public key that a template of the inventory holds."""
    wanted = _public(host, place, public_key)
    text = settings.text_of(host, place.path(file)) or ""
    lines = [line for line in text.splitlines() if wanted.split()[1] in line and not line.lstrip().startswith("#")]
    return {"file": file, "present": bool(lines), "fingerprint": _fingerprint(wanted)}


@change(effect="change", repeatable=True)
def authorize_key(host: Host, place: Place, file: str, public_key: str) -> Commands:
    """Add the public key that a template of the inventory holds to an authorized_keys file of the inventory."""
    settings.require_editable(host, place, file)
    if authorized_key.call({"host": host, "place": place, "file": file, "public_key": public_key})["present"]:
        return
    edit = planned_edit(host, place, file, "line", {"wanted": _public(host, place, public_key)})
    if edit is not None:
        yield edit


def _offered(host: Host, server: str, port: int) -> dict[str, str]:
    """The keys that a server offers now, by fingerprint."""
    if not _NAME.match(server):
        raise NotAllowed(f"server: not a host name: {server!r}")
    ended = host.attempt("ssh-keyscan", "-T", "5", "-p", str(port), "--", server, timeout=30)
    found = [f"{kind} {key}" for kind, key in _KEY.findall(ended.output)]
    return {_fingerprint(key): key for key in found}


def _held(host: Host, path: str, server: str, port: int) -> list[tuple[str, str]]:
    """The lines of a known_hosts file about a server (hashed names too), each with its key."""
    if not host.exists(path):
        return []
    name = server if port == 22 else f"[{server}]:{port}"
    ended = host.attempt("ssh-keygen", "-F", name, "-f", path, timeout=15)
    shown = [line for line in ended.output.splitlines() if line and not line.startswith("#")]
    return [(line, f"{found[1]} {found[2]}") for line in shown if (found := _KEY.search(line))]


def _documented(host: Host, place: Place, server: str) -> set[str]:
    """Fingerprints on lines of the inventory's templates that name the server."""
    found: set[str] = set()
    for entry in place.inventory.services.values():
        for file in entry.templates:
            text = settings.text_of(host, place.path(file)) or ""
            named = re.compile(rf"(?<![\w.-]){re.escape(server)}(?![\w-]|\.\w)")
            for line in text.splitlines():
                if named.search(line):
                    found.update(_FINGERPRINT.findall(line))
                    found.update(_fingerprint(f"{kind} {key}") for kind, key in _KEY.findall(line))
    return found


def _fingerprint(key: str) -> str:
    raw = base64.b64decode(key.split()[1])
    return "SHA256:" + base64.b64encode(hashlib.sha256(raw).digest()).decode().rstrip("=")


def _public(host: Host, place: Place, file: str) -> str:
    """The only public key of a file that the inventory names as a template."""
    named = {place.path(each) for entry in place.inventory.services.values() for each in entry.templates}
    if place.path(file) not in named:
        raise NotAllowed(f"public_key: {file!r} is not a template of the inventory")
    text = settings.text_of(host, place.path(file)) or ""
    lines = [line.strip() for line in text.splitlines() if _KEY.match(line.strip())]
    if len(lines) != 1:
        raise NotAllowed(f"{file} holds {len(lines)} public keys, not one")
    return lines[0]


def _require_known_hosts(host: Host, place: Place, file: str) -> None:
    """A file of the inventory's configuration, or the known_hosts of the account that the agent runs as."""
    full = place.path(file)
    try:
        home = host.run("printenv", "HOME").strip()
    except CommandFailed:
        home = ""
    if home and full == posixpath.join(home, ".ssh/known_hosts") and not place.is_protected(full):
        return
    settings.require_editable(host, place, file)
