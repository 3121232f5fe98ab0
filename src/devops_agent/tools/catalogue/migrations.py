"""Database migrations: what is pending, whether somebody applies it already, whether it destroys data; applying it.

Two runs at once, a run on top of one that stopped half-way, and a migration that throws data away are for a person.
"""

from __future__ import annotations

import posixpath
import re
from typing import Any

from devops_agent.errors import CommandFailed, NotAllowed, ToolError
from devops_agent.inventory import Place
from devops_agent.model import Run
from devops_agent.tools import processes, psql
from devops_agent.tools.base import Commands, Host, change, probe

_UNFINISHED = re.compile(
    r"\b(?:dirty|half[- ]?(?:applied|done|way)|partial(?:ly)?|incomplete|unfinished|interrupted|failed|in progress"
    r"|rolled back|inconsistent|out of order|checksum mismatch)\b",
    re.I,
)
_FINE = re.compile(
    r"\b(?:no|not|0|none|never|without)\s+(?:\w+\s+)?(?:dirty|failed|incomplete|interrupted|unfinished|partial)\b"
    r"|\b(?:dirty|failed|incomplete|interrupted|unfinished|partial)\W{1,4}(?:false|no|none|0)\b",
    re.I,
)
_PENDING = re.compile(r"\b(?:pending|not applied|unapplied|outstanding|behind)\b|\[ \]", re.I)
_NAME = re.compile(r"[\w.-]{0,80}\d[\w.-]{2,120}")
_DESTROYS = re.compile(
    r"\b(?:drop\s+(?:table|column|schema|database)|truncate\s+\w|delete\s+from)\b"
    r"|\b(?:drop_table|drop_column|remove_columns?|RemoveField|DeleteModel|dropTable|dropColumn|removeColumn)\b",
    re.I,
)
_BACK = re.compile(
    r"^\s*(?:def (?:downgrade|down)\b|--.{0,20}\bdown\b|(?:exports\.|async )?down\b|#.{0,10}\bdown\b)", re.I | re.M
)
_AT_IT = (
    "select pid from pg_stat_activity where pid <> pg_backend_pid() and backend_type = 'client backend' "
    "and datname = current_database() and (state <> 'idle' and query ~* '^\\s*(alter|create|drop)\\s' or pid in "
    "(select pid from pg_locks where granted and mode = 'AccessExclusiveLock' and relation >= 16384)) limit 5"
)


@probe
def migration_status(host: Host, place: Place) -> dict[str, Any]:
    """What the inventory's command says about database migrations; `pending` where that can be told from its words.

    `unfinished`: it says that one of them failed, or was applied in part. `running`: somebody applies them now, by the
    same command on this host, or in the place's Postgres. `destroys` are files of pending ones that throw data away.
    """
    migrations = place.inventory.migrations
    if migrations is None or not migrations.status:
        raise NotAllowed("the inventory does not say how the state of migrations is asked for")
    ended = host.attempt(*migrations.status, timeout=60, cwd=place.workspace)
    none = re.search(
        r"\bno (pending|outstanding)|up[- ]to[- ]date|\b0 pending|pending\W{1,3}(?:0|none)\b", ended.text, re.I
    )
    facts = {"code": ended.code, "text": ended.text[-8000:], "pending": bool(_PENDING.search(ended.text)) and not none}
    facts["running"] = _is_running(host, place)
    facts["unfinished"] = not facts["running"] and bool(_UNFINISHED.search(_FINE.sub(" ", ended.text)))
    return facts | {"destroys": _destroying(host, place, ended.text) if facts["pending"] else []}


@change(effect="change")
def apply_migrations(place: Place) -> Commands:
    """Apply pending database migrations with the inventory's command."""
    migrations = place.inventory.migrations
    if migrations is None or not migrations.apply:
        raise NotAllowed("the inventory does not say how migrations are applied")
    yield Run(argv=migrations.apply, cwd=place.workspace, timeout=600)


@apply_migrations.precondition
def _may_apply(host: Host, place: Place) -> None:
    migrations = place.inventory.migrations
    if migrations is None or not migrations.status:
        if _is_running(host, place):
            raise NotAllowed("somebody applies migrations already")
        return
    seen = migration_status.call({"host": host, "place": place})
    if seen["running"]:
        raise NotAllowed("somebody applies migrations already")
    if seen["unfinished"]:
        raise NotAllowed("a migration was applied in part, or failed: a person must see what of it is there")
    if seen["destroys"]:
        raise NotAllowed(f"a pending migration throws data away ({', '.join(seen['destroys'])}): a person decides")


def _is_running(host: Host, place: Place) -> bool:
    apply = place.inventory.migrations.apply if place.inventory.migrations else ()
    if apply:
        pids = [int(name) for name in host.folder("/proc") if name.isdigit()]
        if any(_is_it(each.command.split(), apply) for each in processes.look_at(host, pids)):
            return True
    stores = [name for name, each in place.inventory.datastores.items() if each.kind in ("postgres", "postgresql")]
    if len(stores) != 1:
        return False
    try:
        return bool(psql.rows(host, place, stores[0], _AT_IT))
    except ToolError:
        return False


def _is_it(words: list[str], apply: tuple[str, ...]) -> bool:
    """Whether a command is that of the inventory, run directly or by an interpreter."""
    name, rest = posixpath.basename(apply[0]), list(apply[1:])
    return any(posixpath.basename(word) == name and words[at + 1 :] == rest for at, word in enumerate(words[:3]))


def _destroying(host: Host, place: Place, text: str) -> list[str]:
    """Files of the workspace that are named like a pending migration, and destroy data on their way up."""
    if not place.known or not place.inventory.workspace:
        return []
    names = {name for line in text.splitlines() if _PENDING.search(line) for name in _NAME.findall(line)}
    wanted: list[str] = []
    for name in sorted(names)[:40]:
        wanted += ["-o"] * bool(wanted) + ["-name", f"*{name}*"]
    if not wanted:
        return []
    where = ("find", place.workspace, "-xdev", "-maxdepth", "6", "-type", "f", "-size", "-256k")
    found = host.attempt(*where, "(", *wanted, ")", "-not", "-path", "*/.git/*", "-print", timeout=30)
    destroying = []
    for path in sorted(found.output.splitlines())[:80]:
        try:
            read = host.read(path, 1 << 18).decode("utf-8", "replace")
        except CommandFailed:
            continue
        way_up = _BACK.split(read, maxsplit=1)[0]
        if _DESTROYS.search(re.sub(r"(?m)^\s*(?:--|#|//).*$", "", way_up)):
            destroying.append(posixpath.relpath(path, place.workspace))
    return destroying
