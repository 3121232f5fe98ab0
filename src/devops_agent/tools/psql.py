"""Asking a PostgreSQL server of the inventory through `psql`. Values are never spliced into SQL unchecked.

Identifiers go through `identifier`, numbers through int. A password in the address is refused: it would stand in the
process list; use peer authentication or a password file.
"""

from __future__ import annotations

import csv
import io
import re
import urllib.parse

from devops_agent.errors import NotAllowed, NotFound, UnreadableOutput
from devops_agent.inventory import Datastore, Place
from devops_agent.tools.base import Host

_PLAIN = re.compile(r"^[A-Za-z_][A-Za-z0-9_$]{0,62}$")
_SECONDS = 10


def entry(place: Place, datastore: str) -> Datastore:
    """The inventory's entry; raises NotFound, naming those that there are."""
    known = {name: each for name, each in place.inventory.datastores.items() if each.kind == "postgres"}
    if datastore not in known:
        raise NotFound(f"no PostgreSQL datastore {datastore!r} in the inventory (known: {', '.join(known) or 'none'})")
    return known[datastore]


def argv(place: Place, datastore: str, sql: str) -> tuple[str, ...]:
    """The command that runs one statement; it ends by itself when the server does not answer."""
    address = entry(place, datastore).admin
    if not address:
        raise NotAllowed(f"datastores.{datastore}.admin: the inventory gives no address for looking into it")
    split = urllib.parse.urlsplit(address)
    if split.password or "password=" in (split.query or ""):
        raise NotAllowed(f"datastores.{datastore}.admin: a password in the address would be seen by everybody")
    address += ("&" if split.query else "?") + f"connect_timeout={_SECONDS}"
    return ("psql", "-X", "-q", "-w", "--csv", "-v", "ON_ERROR_STOP=1", "-d", address, "-c", sql)


def rows(host: Host, place: Place, datastore: str, sql: str) -> list[dict[str, str]]:
    """The rows of a query, by column name; all values are text, NULL is the empty text."""
    output = host.run(*argv(place, datastore, f"set statement_timeout = '{_SECONDS}s'; {sql}"), timeout=_SECONDS + 15)
    return list(csv.DictReader(io.StringIO(output)))


def one(host: Host, place: Place, datastore: str, sql: str) -> dict[str, str]:
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
