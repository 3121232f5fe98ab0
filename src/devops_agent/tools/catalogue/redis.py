"""Redis: what it says about itself, its settings, and changing one (also where it is kept).

Asked through the host's own redis-cli. Source: the documentation of INFO, CONFIG GET and CONFIG REWRITE.
"""

from __future__ import annotations

import re
import urllib.parse
from typing import Any

from devops_agent.errors import CommandFailed, NotAllowed
from devops_agent.inventory import Datastore, Place
from devops_agent.model import Run, Wait
from devops_agent.tools import secrecy
from devops_agent.tools.base import Commands, Host, change, probe
from devops_agent.tools.commands import planned_edit

_SECRETS = ("requirepass", "masterauth", "masteruser")
_NAME = re.compile(r"[a-z][a-z0-9-]{1,60}")


@probe(needs=("redis-cli",))
def redis_info(host: Host, place: Place, datastore: str) -> dict[str, Any]:
    """What a Redis says about itself: `up`, memory, persistence, clients, role; every field of INFO under `info`."""
    ended = host.attempt(*_cli(place, datastore), "INFO", timeout=10)
    info = dict(re.findall(r"^(\w+):(.*?)\r?$", ended.output, re.M))
    if not info:
        return {"datastore": datastore, "up": False, "error": ended.text.strip()[-300:]}

    def number(name: str) -> int | None:
        return int(info[name]) if info.get(name, "").isdigit() else None

    used, most = number("used_memory"), number("maxmemory")
    return {
        "datastore": datastore,
        "up": True,
        "used_bytes": used,
        "maxmemory": most,
        "percent": round(100 * used / most, 1) if used and most else None,
        "policy": info.get("maxmemory_policy"),
        "role": info.get("role"),
        "loading": info.get("loading") == "1",
        "clients": number("connected_clients"),
        "maxclients": number("maxclients"),
        "evicted": number("evicted_keys"),
        "save_ok": info.get("rdb_last_bgsave_status") == "ok",
        "append_ok": info.get("aof_last_write_status", "ok") == "ok",
        "info": info,
    }


@probe(needs=("redis-cli",))
def redis_setting(host: Host, place: Place, datastore: str, name: str) -> dict[str, Any]:
    """A setting of a running Redis; secret ones are not told."""
    if not _NAME.fullmatch(name) or name in _SECRETS:
        raise NotAllowed(f"name: {name!r} is no setting that may be told")
    value = _setting(host, place, datastore, name)
    return {"name": name, "value": value, "known": value is not None}


@probe(needs=("redis-cli",))
def redis_folder(host: Host, place: Place, datastore: str) -> dict[str, Any]:
    """Where a Redis keeps its snapshots: the folder (`path`), whether it is there, the file in it, of which service."""
    path, name = (_setting(host, place, datastore, key) for key in ("dir", "dbfilename"))
    found = host.stat(path) if path else None
    facts = {"datastore": datastore, "path": path, "exists": bool(found and found.kind == "folder")}
    return facts | {"file": f"{path}/{name}" if path and name else None, "service": _entry(place, datastore).service}


@change(effect="change", repeatable=True, needs=("redis-cli",))
def save_snapshot(place: Place, datastore: str) -> Commands:
    """Let a Redis that could not save try again, and see that it did: it then takes writes by itself."""
    yield Run(argv=(*_cli(place, datastore), "-e", "BGSAVE", "SCHEDULE"), timeout=10)
    yield Wait(probe="redis_info", args={"datastore": datastore}, expect=("result.save_ok == true",), limit=30)


@change(effect="change", repeatable=True, needs=("redis-cli",))
def redis_set(host: Host, place: Place, datastore: str, name: str, value: str, *, before: str) -> Commands:
    """Change a setting of a running Redis and, where it has a configuration file, keep it there too."""
    secrecy.require_not_weaker(name, before, value)
    yield Run(argv=(*_cli(place, datastore), "-e", "CONFIG", "SET", name, value), timeout=10)
    yield from _kept(host, place, datastore, name, value)


@redis_set.pin
def _before(host: Host, place: Place, datastore: str, name: str) -> dict[str, Any]:
    seen = redis_setting.call({"host": host, "place": place, "datastore": datastore, "name": name})
    if not seen["known"]:
        raise NotAllowed(f"name: redis knows no setting {name!r}")
    return {"before": seen["value"]}


@redis_set.already
def _is_so(host: Host, place: Place, datastore: str, name: str, value: str) -> bool:
    return _setting(host, place, datastore, name) == value


@redis_set.undo
def _back(place: Place, datastore: str, name: str, before: str) -> Commands:
    yield Run(argv=(*_cli(place, datastore), "-e", "CONFIG", "SET", name, before), timeout=10)


def _kept(host: Host, place: Place, datastore: str, name: str, value: str) -> Commands:
    """The line of the server's configuration file. Redis itself often may not write there, and would write all anew."""
    config = _entry(place, datastore).config
    if config:
        edit = planned_edit(host, place, config, "words", {"key": name, "value": value})
        if edit is not None:
            yield edit


def _setting(host: Host, place: Place, datastore: str, name: str) -> str | None:
    ended = host.attempt(*_cli(place, datastore), "--raw", "CONFIG", "GET", name, timeout=10)
    if ended.code:
        raise CommandFailed(f"redis {datastore}: {ended.text[-300:]}", ended.code)
    lines = ended.output.split("\n")
    return lines[1] if lines and lines[0] == name and len(lines) > 1 else None


def _entry(place: Place, name: str) -> Datastore:
    entry = place.inventory.datastores.get(name)
    if entry is None or entry.kind != "redis":
        known = ", ".join(key for key, each in place.inventory.datastores.items() if each.kind == "redis") or "none"
        raise NotAllowed(f"datastore: {name!r} is no Redis of the inventory (known: {known})")
    return entry


def _cli(place: Place, name: str) -> tuple[str, ...]:
    """redis-cli with where to go. An address with a password is refused: it would stand in the argument list."""
    url = _entry(place, name).url or _entry(place, name).admin or ""
    split = urllib.parse.urlsplit(url)
    if split.password:
        raise NotAllowed(f"datastore {name!r}: a password in the address would be seen by everybody on the host")
    if split.scheme == "unix":
        return ("redis-cli", "-s", place.path(split.path))
    database = split.path.strip("/")
    tls = ("--tls",) if split.scheme == "rediss" else ()
    where = ("-h", split.hostname or "127.0.0.1", "-p", str(split.port or 6379))
    return ("redis-cli", *where, *tls, *(("-n", database) if database.isdigit() else ()))
