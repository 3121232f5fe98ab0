"""PostgreSQL connections that were left open: sessions idle in a transaction that use up the limit.

Many healthy programs are idle in a transaction for moments, between two statements. Left open is one that does not move
while it is watched; and one that has written (it has a transaction id) holds work that ending it would throw away.
Source: the documentation of pg_stat_activity, of superuser_reserved_connections and of transaction ids.
"""

# ruff: noqa: S608 (numbers go through int, moments through `_stamp`, everything else is written here)

from __future__ import annotations

import re
import time
from typing import Any

from devops_agent.errors import NotAllowed, StalePlan
from devops_agent.inventory import Place
from devops_agent.model import Run
from devops_agent.tools import psql
from devops_agent.tools.base import Commands, Host, change, probe

IDLE = "idle in transaction"
ABORTED = "idle in transaction (aborted)"
"""After an error: what it had written is lost already."""
LEAK_SHARE = 0.4
"""From this share of all connections on, sessions of one application that sit idle in a transaction are a leak."""
WATCHED_SECONDS = 5.0
"""So long a session must not have moved before it counts as left open; healthy programs answer in milliseconds."""

_SESSIONS = (
    "select pid, application_name as application, coalesce(state, '') as state, "
    "extract(epoch from backend_start)::text as started, extract(epoch from state_change)::text as moved, "
    "extract(epoch from clock_timestamp() - state_change)::float as seconds, "
    f"backend_xid is not null and state <> '{ABORTED}' as has_written, cardinality(pg_blocking_pids(pid)) as blocked "
    "from pg_stat_activity where backend_type = 'client backend' and pid <> pg_backend_pid() order by backend_start"
)
_LIMITS = (
    "select current_setting('max_connections')::int as most, "
    "current_setting('superuser_reserved_connections')::int "
    "+ coalesce(current_setting('reserved_connections', true), '0')::int as reserved"
)


@probe(needs=("psql",))
def postgres_connections(host: Host, place: Place, datastore: str) -> dict[str, Any]:
    """Connections against the limit; `leak` is the application that holds most in transactions left open and idle.

    Where there is one, it is watched for some seconds: sessions that move, and those that have written, do not count.
    """
    limit = psql.one(host, place, datastore, _LIMITS)
    sessions = psql.rows(host, place, datastore, _SESSIONS)
    most = int(limit["most"])
    free = most - int(limit["reserved"]) - len(sessions)
    facts: dict[str, Any] = {"most": most, "reserved": int(limit["reserved"]), "used": len(sessions), "free": free}
    few = max(3, LEAK_SHARE * most)
    idle = _most(sessions)
    left: list[dict[str, Any]] = []
    if idle >= few:
        left = _left_open(host, place, datastore, sessions)
    held = _by_application([each for each in left if not each["has_written"]])
    worst = max(held, key=lambda name: held[name], default="")
    leaks = bool(worst) and held[worst] >= few
    facts |= {"idle": idle, "unsaved": len([each for each in left if each["has_written"]])}
    return facts | {"leak": worst if leaks else None, "leaked": held[worst] if leaks else 0}


@change(effect="destroy", repeatable=True, needs=("psql",))
def end_idle_sessions(
    place: Place,
    datastore: str,
    application: str,  # noqa: ARG001 - for the pin
    *,
    sessions: list[dict[str, Any]],
) -> Commands:
    """End those sessions of an application that were left open in a transaction, as they were seen.

    Never one that works, that moved since it was seen, or that has written something.
    """
    for session in sessions:
        still = (
            f"state in ('{IDLE}', '{ABORTED}') "
            f"and extract(epoch from backend_start)::text = '{_stamp(session['started'])}' "
            f"and extract(epoch from state_change)::text = '{_stamp(session['moved'])}' "
            f"and (backend_xid is null or state = '{ABORTED}')"
        )
        ends = f"select pg_terminate_backend(pid) from pg_stat_activity where pid = {int(session['pid'])} and {still}"
        yield Run(argv=psql.argv(place, datastore, ends))


@end_idle_sessions.pin
def _idle(host: Host, place: Place, datastore: str, application: str) -> dict[str, Any]:
    seen = psql.rows(host, place, datastore, _SESSIONS)
    found = [
        {"pid": row["pid"], "started": row["started"], "moved": row["moved"]}
        for row in seen
        if row["application"] == application
        and row["state"] in (IDLE, ABORTED)
        and not row["blocked"]
        and not row["has_written"]
        and row["seconds"] >= WATCHED_SECONDS
    ]
    if not found:
        raise StalePlan(f"no session of {application!r} was left open in a transaction (any more)")
    return {"sessions": found}


def _most(sessions: list[dict[str, Any]]) -> int:
    return max(_by_application([each for each in sessions if each["state"] in (IDLE, ABORTED)]).values(), default=0)


def _by_application(sessions: list[dict[str, Any]]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for session in sessions:
        counts[session["application"]] = counts.get(session["application"], 0) + 1
    return counts


def _left_open(host: Host, place: Place, datastore: str, before: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Sessions idle in a transaction that have not moved for as long as they are watched."""
    resting = {(each["pid"], each["moved"]) for each in before if each["state"] in (IDLE, ABORTED)}
    time.sleep(WATCHED_SECONDS)
    after = psql.rows(host, place, datastore, _SESSIONS)
    return [each for each in after if each["state"] in (IDLE, ABORTED) and (each["pid"], each["moved"]) in resting]


def _stamp(text: str) -> str:
    if not re.fullmatch(r"\d{1,12}(\.\d{1,9})?", text):
        raise NotAllowed(f"not a moment: {text!r}")
    return text
