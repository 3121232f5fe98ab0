"""PostgreSQL: connections, who blocks whom, settings; ending one session that was looked at.

Asked through psql with the inventory's administrative address. Source: the views pg_stat_activity and pg_settings.
"""

from __future__ import annotations

import re
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Annotated, Any

from pydantic import Field

from devops_agent.errors import CommandFailed, NotAllowed, StalePlan
from devops_agent.inventory import HealthCheck, Place
from devops_agent.model import Run, Wait
from devops_agent.tools import psql, reach
from devops_agent.tools.base import Commands, Host, change, probe

Pid = Annotated[int, Field(ge=1, le=1 << 22)]
_STEP = 0.1
_SESSIONS = """
SELECT pid, usename AS user, datname AS database, application_name AS application, state, wait_event_type AS waits_for,
  backend_start::text AS started, extract(epoch FROM now() - backend_start)::int AS seconds,
  extract(epoch FROM now() - coalesce(state_change, backend_start))::int AS state_seconds,
  extract(epoch FROM now() - xact_start)::int AS transaction_seconds, left(query, 300) AS query,
  pg_blocking_pids(pid) AS blocked_by,
  backend_xid IS NOT NULL AS has_written
FROM pg_stat_activity"""


@probe(needs=("psql",))
def postgres_activity(host: Host, place: Place, datastore: str, service: str | None = None) -> dict[str, Any]:
    """Sessions of a Postgres: by state and application, the limit, and who blocks whom (`blockers`, longest first).

    With a service: as it is while that is asked for its health, since who gives up soon is seldom seen waiting.
    """
    sessions = _sessions(host, place, datastore)
    check = place.service(service).health if service else None
    if check is not None and not any(each["blocked_by"] for each in sessions):
        sessions = _sessions_meanwhile(host, place, datastore, check)
    limits = psql.rows(host, place, datastore, "SELECT current_setting('max_connections')::int AS most")
    own = [each for each in sessions if each["application"] != psql.NAME]
    blocking = {pid for each in own for pid in each["blocked_by"] or ()}
    blockers = [each for each in own if each["pid"] in blocking and not each["blocked_by"]]
    return {
        "datastore": datastore,
        "connections": len(own),
        "max_connections": limits[0]["most"],
        "percent": round(100 * len(own) / limits[0]["most"], 1),
        "states": _counted(own, "state"),
        "applications": _counted(own, "application"),
        "idle_in_transaction": [each for each in own if str(each["state"]).startswith("idle in transaction")],
        "blockers": sorted(blockers, key=lambda each: -(each["transaction_seconds"] or 0)),
        "blocked_count": sum(bool(each["blocked_by"]) for each in own),
        "blocked": [each for each in own if each["blocked_by"]],
        "sessions": own[:200],
    }


def _sessions(host: Host, place: Place, datastore: str) -> list[dict[str, Any]]:
    return psql.rows(host, place, datastore, f"{_SESSIONS} WHERE backend_type = 'client backend'")


def _sessions_meanwhile(host: Host, place: Place, datastore: str, check: HealthCheck) -> list[dict[str, Any]]:
    """The sessions at the moment when somebody waits for another, while a health check runs; else at its end."""
    with ThreadPoolExecutor(max_workers=1) as pool:
        asked = pool.submit(reach.healthy, host, place, check)
        while True:
            over = asked.done()
            sessions = _sessions(host, place, datastore)
            if over or any(each["blocked_by"] for each in sessions):
                return sessions
            time.sleep(_STEP)


@probe(needs=("psql",))
def postgres_setting(host: Host, place: Place, datastore: str, name: str) -> dict[str, Any]:
    """A setting of a running Postgres: value, unit, where it comes from, whether it waits for a restart."""
    if not re.fullmatch(r"[a-z][a-z0-9_.]{1,62}", name):
        raise NotAllowed(f"name: not the name of a setting: {name!r}")
    asked = f"SELECT name, setting AS value, unit, source, pending_restart FROM pg_settings WHERE name = '{name}'"  # noqa: S608
    found = psql.rows(host, place, datastore, asked)
    return {"known": True, **found[0]} if found else {"known": False, "name": name, "value": None}


@probe(needs=("psql",))
def postgres_ready(host: Host, place: Place, datastore: str) -> dict[str, Any]:
    """Whether a Postgres takes connections, whether it is a replica or read-only, and what it says if not."""
    try:
        only = "current_setting('default_transaction_read_only') = 'on'"
        asked = f"SELECT pg_is_in_recovery() AS replica, {only} AS read_only"
        return {"datastore": datastore, "up": True, "error": "", **psql.rows(host, place, datastore, asked)[0]}
    except CommandFailed as error:
        return {"datastore": datastore, "up": False, "error": str(error), "replica": None, "read_only": None}


@change(effect="destroy", needs=("psql",))
def postgres_end_session(
    place: Place,
    datastore: str,
    pid: Pid,
    service: str | None = None,  # noqa: ARG001 - for the guard
    *,
    started: str,
    state: str,
) -> Commands:
    """End a database session that blocks others or idles in a transaction; only the one that was seen, unchanged.

    `service` is one that it keeps from its work: that is seen while it is asked for its health.
    """
    still = f"pid = {pid} AND backend_start::text = {psql.literal(started)} AND state = {psql.literal(state)}"
    ends = f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {still}"  # noqa: S608
    yield Run(argv=psql.argv(place, datastore, ends))
    args = {"datastore": datastore, "pid": pid}
    yield Wait(probe="postgres_session", args=args, expect=("result.alive == false",), limit=5)


@probe(needs=("psql",))
def postgres_session(host: Host, place: Place, datastore: str, pid: Pid) -> dict[str, Any]:
    """One session: who, since when, in which state, with which statement; `alive` is false where there is none."""
    found = psql.rows(host, place, datastore, f"{_SESSIONS} WHERE pid = {pid}")
    return {"alive": True, **found[0]} if found else {"alive": False, "pid": pid}


@postgres_end_session.pin
def _seen(host: Host, place: Place, datastore: str, pid: int) -> dict[str, Any]:
    seen = postgres_session.call({"host": host, "place": place, "datastore": datastore, "pid": pid})
    return {"started": seen.get("started") or "", "state": seen.get("state") or ""}


@postgres_end_session.already
def _gone(host: Host, place: Place, datastore: str, pid: int, started: str) -> bool:
    seen = postgres_session.call({"host": host, "place": place, "datastore": datastore, "pid": pid})
    return not seen["alive"] or seen["started"] != started


@postgres_end_session.precondition
def _may_end(
    host: Host, place: Place, datastore: str, pid: int, service: str | None = None, *, started: str, state: str
) -> None:
    seen = postgres_activity.call({"host": host, "place": place, "datastore": datastore, "service": service})
    session = next((each for each in seen["sessions"] if each["pid"] == pid), None)
    if session is None or session["started"] != started or session["state"] != state:
        raise StalePlan(f"session {pid} is not as it was seen any more")
    blocks = any(pid in (each["blocked_by"] or ()) for each in seen["blocked"])
    if not (blocks or str(state).startswith("idle in transaction")):
        raise NotAllowed(f"session {pid} ({state}) neither blocks others nor idles in a transaction")
    if session["has_written"] and not blocks:
        raise NotAllowed(f"session {pid} has changed data in a transaction that is still open; its owner must decide")
    if state == "active":
        raise NotAllowed(f"session {pid} is at work; waiting for it, or asking its owner, comes first")


def _counted(rows: list[dict[str, Any]], field: str) -> dict[str, int]:
    counts: dict[str, int] = {}
    for row in rows:
        counts[str(row[field] or "")] = counts.get(str(row[field] or ""), 0) + 1
    return dict(sorted(counts.items(), key=lambda item: -item[1]))
