"""PostgreSQL connections that were left open: sessions idle in a transaction that use up the limit.

Source: the documentation of pg_stat_activity and of superuser_reserved_connections.
"""

# ruff: noqa: S608 (numbers go through int, moments through `_stamp`, everything else is written here)

from __future__ import annotations

import re
from typing import Any

from devops_agent.errors import NotAllowed, StalePlan
from devops_agent.inventory import Place
from devops_agent.model import Run
from devops_agent.tools import psql
from devops_agent.tools.base import Commands, Host, change, probe

IDLE = "idle in transaction"
LEAK_SHARE = 0.4
"""From this share of all connections on, sessions of one application that sit idle in a transaction are a leak."""

_SESSIONS = (
    "select pid, application_name as application, coalesce(state, '') as state, "
    "extract(epoch from backend_start)::text as started, cardinality(pg_blocking_pids(pid)) as blocked "
    "from pg_stat_activity where backend_type = 'client backend' and pid <> pg_backend_pid() order by backend_start"
)
_LIMITS = (
    "select current_setting('max_connections') as most, "
    "current_setting('superuser_reserved_connections')::int "
    "+ coalesce(current_setting('reserved_connections', true), '0')::int as reserved"
)


@probe(needs=("psql",))
def postgres_connections(host: Host, place: Place, datastore: str) -> dict[str, Any]:
    """Connections against the limit; `leak` is the application that holds most in transactions left open and idle."""
    limit = psql.one(host, place, datastore, _LIMITS)
    sessions = psql.rows(host, place, datastore, _SESSIONS)
    idle: dict[str, int] = {}
    for session in sessions:
        if session["state"] == IDLE:
            idle[session["application"]] = idle.get(session["application"], 0) + 1
    most = int(limit["most"])
    worst = max(idle, key=lambda name: idle[name], default="")
    leaks = bool(worst) and idle[worst] >= max(3, LEAK_SHARE * most)
    return {
        "most": most,
        "reserved": int(limit["reserved"]),
        "used": len(sessions),
        "free": most - int(limit["reserved"]) - len(sessions),
        "leak": worst if leaks else None,
        "leaked": idle[worst] if leaks else 0,
    }


@change(effect="destroy", repeatable=True, needs=("psql",))
def end_idle_sessions(
    place: Place,
    datastore: str,
    application: str,  # noqa: ARG001 - for the pin
    *,
    sessions: list[dict[str, str]],
) -> Commands:
    """End those sessions of an application that sit idle in a transaction, as they were seen; never one that works."""
    for session in sessions:
        still = f"state = '{IDLE}' and extract(epoch from backend_start)::text = '{_stamp(session['started'])}'"
        ends = f"select pg_terminate_backend(pid) from pg_stat_activity where pid = {int(session['pid'])} and {still}"
        yield Run(argv=psql.argv(place, datastore, ends))


@end_idle_sessions.pin
def _idle(host: Host, place: Place, datastore: str, application: str) -> dict[str, Any]:
    found = [
        {"pid": row["pid"], "started": row["started"]}
        for row in psql.rows(host, place, datastore, _SESSIONS)
        if row["application"] == application and row["state"] == IDLE and int(row["blocked"]) == 0
    ]
    if not found:
        raise StalePlan(f"no session of {application!r} is idle in a transaction (any more)")
    return {"sessions": found}


def _stamp(text: str) -> str:
    if not re.fullmatch(r"\d{1,12}(\.\d{1,9})?", text):
        raise NotAllowed(f"not a moment: {text!r}")
    return text
