"""A name in a service's configuration that nobody has, and that is one slip away from one that somebody has.

A slip is proven by three things together: what stands there does not exist, what the team documents for the same
setting (a template, or the inventory itself) differs from it by a letter or two, and that does exist.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import Field

from devops_agent.errors import ToolError
from devops_agent.inventory import Place
from devops_agent.tools import psql, secrecy, settings
from devops_agent.tools.base import Host, probe

Kind = Literal["role", "database", "user", "host"]
Word = Annotated[str, Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]*$", max_length=253)]
_WORD = re.compile(r"[A-Za-z0-9_][\w.-]*")


@dataclass(frozen=True, slots=True)
class Mention:
    """A setting of a service's configuration that has the word in its value."""

    service: str
    file: str
    key: str
    value: str


@probe
def misspelt_setting(host: Host, place: Place, word: Word, kind: Kind, service: str | None = None) -> dict[str, Any]:
    """Whether a name that nobody has stands in a service's configuration by a slip; `right` is the one that is meant.

    `exists` is of the word itself. `file`, `key` and `value` (with the slip mended) are there where exactly one setting
    has the word. `proposed` is what is documented or similar, without proof; None where nothing is.
    """
    mentions = [
        each for name in ([service] if service else place.services_here()) for each in _of(host, place, name, word)
    ]
    facts: dict[str, Any] = {"word": word, "exists": _exists(host, place, word, kind), "mentions": len(mentions)}
    facts |= {"service": None, "file": None, "key": None, "value": None, "right": None, "proposed": None}
    if len(mentions) != 1:
        return facts
    one = mentions[0]
    facts |= {"service": one.service, "file": one.file, "key": one.key}
    documented = {each for each in _documented(host, place, one, kind) if similar(each, word)}
    if len(documented) != 1:
        return facts
    meant = documented.pop()
    facts["proposed"] = meant
    if facts["exists"] is False and _exists(host, place, meant, kind) and not secrecy.is_secret(one.key, one.value):
        facts |= {"right": meant, "value": _replaced(one.value, word, meant)}
    return facts


def similar(one: str, other: str) -> bool:
    """Whether two different names are a slip apart: one letter more, less, another or swapped; two in a long name.

    Names that differ in their numbers are different on purpose.
    """
    if one == other or re.sub(r"\D", "", one) != re.sub(r"\D", "", other) or min(len(one), len(other)) < 3:
        return False
    return _distance(one.lower(), other.lower()) <= (1 if min(len(one), len(other)) < 8 else 2)


def _distance(one: str, other: str) -> int:
    """How many letters are to be put in, taken out, changed, or swapped with their neighbour."""
    before: list[int] = []
    last = list(range(len(other) + 1))
    for i, a in enumerate(one, 1):
        row = [i]
        for j, b in enumerate(other, 1):
            row.append(min(last[j] + 1, row[j - 1] + 1, last[j - 1] + (a != b)))
            if i > 1 and j > 1 and a == other[j - 2] and one[i - 2] == b:
                row[j] = min(row[j], before[j - 2] + 1)
        before, last = last, row
    return last[-1]


def _of(host: Host, place: Place, service: str, word: str) -> list[Mention]:
    found = []
    for file in place.service(service).config:
        path = place.path(file)
        text = settings.text_of(host, path)
        for _, key, value in settings.entries(path, text) if text else ():
            if word in _WORD.findall(value):
                found.append(Mention(service, file, key, value))
    return found


def _documented(host: Host, place: Place, one: Mention, kind: Kind) -> set[str]:
    """Names that the team gives for the same setting."""
    entry = place.service(one.service)
    found = {entry.user} if kind == "user" and entry.user else set()
    for template in entry.templates:
        path = place.path(template)
        text = settings.text_of(host, path)
        for _, key, value in settings.entries(path, text) if text else ():
            if key == one.key:
                found |= set(_WORD.findall(value))
    return found


def _exists(host: Host, place: Place, name: str, kind: Kind) -> bool | None:
    """Whether there is such a role, database, user or host; None where nobody can be asked."""
    if kind == "user":
        return host.attempt("getent", "passwd", name, timeout=10).code == 0 if _WORD.fullmatch(name) else None
    if kind == "host":
        return host.attempt("getent", "ahosts", name, timeout=15).code == 0
    stores = [key for key, each in place.inventory.datastores.items() if each.kind in ("postgres", "postgresql")]
    table, column = ("pg_roles", "rolname") if kind == "role" else ("pg_database", "datname")
    if len(stores) != 1:
        return None
    asked = f"SELECT count(*) AS n FROM {table} WHERE {column} = {psql.literal(name)}"  # noqa: S608 - a plain word
    try:
        return bool(psql.one(host, place, stores[0], asked)["n"])
    except ToolError:
        return None


def _replaced(value: str, word: str, meant: str) -> str | None:
    """The value with the word replaced where it stands once, as a whole word."""
    if _WORD.findall(value).count(word) != 1:
        return None
    return _WORD.sub(lambda found: meant if found[0] == word else found[0], value)
