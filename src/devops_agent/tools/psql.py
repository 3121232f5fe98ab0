"""Asking a PostgreSQL server of the inventory through `psql`. Values are never spliced into SQL unchecked.

Identifiers go through `identifier`, texts through `literal`, numbers through int. A password in the address is refused:
it would stand in the process list; use peer authentication or a password file.
"""

from __future__ import annotations

import json
import re
import urllib.parse
from typing import Any

from devops_agent.errors import CommandFailed, NotAllowed, UnreadableOutput
from devops_agent.inventory import Datastore, Place
from devops_agent.tools.base import Host
from devops_agent.tools.secrecy import masked

NAME = "devops-agent"
"""The application name that our own sessions have."""

_PLAIN = re.compile(r"^[A-Za-z_][A-Za-z0-9_$]{0,62}$")
_SECONDS = 10


def entry(place: Place, datastore: str) -> Datastore:
    """The inventory's entry; raises NotAllowed, naming those that there are."""
    kinds = ("postgres", "postgresql")
    known = {name: each for name, each in place.inventory.datastores.items() if each.kind in kinds}
    if datastore not in known:
        named = ", ".join(known) or "none"
        raise NotAllowed(f"datastore: {datastore!r} is no Postgres of the inventory (known: {named})")
    return known[datastore]


def argv(place: Place, datastore: str, sql: str) -> tuple[str, ...]:
    """The command that runs one statement; it ends by itself when the server does not answer."""
    found = entry(place, datastore)
    address = found.admin or found.url
    if not address:
        raise NotAllowed(f"datastores.{datastore}.admin: the inventory gives no address for looking into it")
    split = urllib.parse.urlsplit(address)
    if split.password or "password" in urllib.parse.parse_qs(split.query) or re.search(r"\bpassword\s*=", address):
        raise NotAllowed(f"datastore {datastore!r}: a password in the address would be seen by everybody on the host")
    options = (f"application_name={NAME}", f"connect_timeout={_SECONDS // 2}")
    if "://" in address:
        address += ("&" if split.query else "?") + "&".join(options)
    else:
        address = " ".join((address if "=" in address else f"dbname={address}", *options))
    fixed = ("psql", "-X", "-A", "-t", "-q", "-w", "-v", "ON_ERROR_STOP=1", "-d", address)
    return (*fixed, "-c", f"set statement_timeout = '{_SECONDS}s'", "-c", sql)


def read_only(place: Place, datastore: str, sql: str) -> tuple[str, ...]:
    """The same in a session that can only read."""
    *before, flag, statement = argv(place, datastore, sql)
    return (*before, flag, "set default_transaction_read_only = on", flag, statement)


def rows(host: Host, place: Place, datastore: str, sql: str) -> list[dict[str, Any]]:
    """The rows of a query, by column name; a column `query` is shown without secrets."""
    wrapped = f"SELECT coalesce(json_agg(rows), '[]') FROM ({sql}) AS rows"  # noqa: S608 - our own
    found = rows_of(host, argv(place, datastore, wrapped))
    return [each | ({"query": masked(each["query"])} if each.get("query") else {}) for each in found]


def rows_of(host: Host, command: tuple[str, ...]) -> list[dict[str, Any]]:
    """The rows that such a command gives as one JSON list."""
    ended = host.attempt(*command, timeout=_SECONDS + 15)
    if ended.code:
        raise CommandFailed(f"postgres: {ended.errors.strip()[-400:]}", ended.code)
    try:
        found: list[dict[str, Any]] = json.loads(ended.output)
    except ValueError:
        raise UnreadableOutput(f"psql: {ended.output[:200]}") from None
    return found


def one(host: Host, place: Place, datastore: str, sql: str) -> dict[str, Any]:
    """The only row of a query."""
    found = rows(host, place, datastore, sql)
    if len(found) != 1:
        raise UnreadableOutput(f"{len(found)} rows instead of one from datastore {datastore}")
    return found[0]


def identifier(name: str) -> str:
    """A name of the database as SQL has it, quoted; `schema.table` is two names. Raises NotAllowed for anything odd."""
    parts = name.split(".")
    if not 1 <= len(parts) <= 2 or not all(_PLAIN.match(part) for part in parts):
        raise NotAllowed(f"not a plain name: {name!r}")
    return ".".join(f'"{part}"' for part in parts)


def literal(text: str) -> str:
    """A text as SQL has it, quoted; backslashes are refused (their meaning depends on the server's settings)."""
    if "\\" in text or "\0" in text:
        raise NotAllowed(f"not a plain text: {text!r}")
    return "'" + text.replace("'", "''") + "'"
