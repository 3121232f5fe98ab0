"""PostgreSQL rights on tables: which one was refused, who lacks it, granting exactly that one.

Source: the documentation of GRANT, has_table_privilege and of what the server logs with an error (STATEMENT).
"""

from __future__ import annotations

import re
from typing import Any, Literal

from devops_agent.errors import NotAllowed
from devops_agent.inventory import Place
from devops_agent.model import Run
from devops_agent.tools import psql
from devops_agent.tools.base import Commands, Host, change, probe

Privilege = Literal["SELECT", "INSERT", "UPDATE", "DELETE"]
_LACKING = (
    "select rolname from pg_roles where rolcanlogin and not rolsuper and not has_table_privilege(oid, '{}', '{}')"
)
_DECIDED = (
    "select relacl is not null or exists (select from pg_attribute where attrelid = pg_class.oid "
    "and attacl is not null) as decided, relrowsecurity as guarded, coalesce(obj_description(oid), '') as comment "
    "from pg_class where oid = '{}'::regclass"
)
_NEIGHBOURS = (
    "select count(*) as count from pg_tables where has_table_privilege('{0}', "
    "format('%I.%I', schemaname, tablename), '{1}') and schemaname not in ('pg_catalog', 'information_schema') "
    "and tableowner = (select pg_get_userbyid(relowner) from pg_class where oid = '{2}'::regclass)"
)

_OWNER = (
    "select refobjid::bigint as oid, refobjid::regclass::text as table from pg_depend where objid = '{}'::regclass "
    "and classid = 'pg_class'::regclass and refclassid = 'pg_class'::regclass and deptype in ('a', 'i')"
)
_INSERTING = (
    "select rolname from pg_roles where rolcanlogin and not rolsuper and has_table_privilege(oid, {0}, 'INSERT') "
    "and not has_sequence_privilege(oid, '{1}', 'USAGE')"
)


@probe(needs=("psql",))
def postgres_denied(host: Host, place: Place, datastore: str, table: str) -> dict[str, Any]:
    """Which right on a table was refused to whom: the statement from the server's log, and the roles that lack it.

    `privilege` and `role` are None where the log or the roles do not say it beyond doubt. `decided`: somebody has
    granted or revoked rights on this very table or its columns, commented on it, or guards its rows, so that the lack
    may be meant. `meant`: nobody has, and that role has this right on other tables of the same owner already.
    """
    named = psql.identifier(table)
    privilege = _denied_statement(host, place, datastore, table)
    found: dict[str, Any] = {"table": table, "privilege": privilege, "role": None, "roles": [], "meant": False}
    state = psql.one(host, place, datastore, _DECIDED.format(named))
    found["decided"] = bool(state["decided"] or state["guarded"] or state["comment"])
    if not privilege:
        return found
    lacking = [row["rolname"] for row in psql.rows(host, place, datastore, _LACKING.format(named, privilege))]
    found["roles"] = lacking
    if len(lacking) == 1:
        sql = _NEIGHBOURS.format(lacking[0].replace("'", "''"), privilege, named)
        elsewhere = psql.one(host, place, datastore, sql)["count"] > 0
        found |= {"role": lacking[0], "meant": elsewhere and not found["decided"]}
    return found


@probe(needs=("psql",))
def postgres_sequence(host: Host, place: Place, datastore: str, sequence: str) -> dict[str, Any]:
    """Who may insert into a table and lacks the sequence that numbers its rows: `role` where it is exactly one.

    `table` is None for a sequence that belongs to no column: then nothing says who is meant to use it.
    """
    named = psql.identifier(sequence)
    owners = psql.rows(host, place, datastore, _OWNER.format(named))
    found: dict[str, Any] = {"sequence": sequence, "table": None, "role": None, "roles": []}
    if len(owners) != 1:
        return found
    lacking = psql.rows(host, place, datastore, _INSERTING.format(int(owners[0]["oid"]), named))
    roles = [row["rolname"] for row in lacking]
    return found | {"table": owners[0]["table"], "roles": roles, "role": roles[0] if len(roles) == 1 else None}


@change(effect="change", repeatable=True, needs=("psql",))
def grant_sequence(place: Place, datastore: str, role: str, sequence: str) -> Commands:
    """Let a role that may insert into a table use the sequence that numbers its rows."""
    sql = f"GRANT USAGE ON SEQUENCE {psql.identifier(sequence)} TO {psql.identifier(role)}"
    yield Run(argv=psql.argv(place, datastore, sql))


@grant_sequence.precondition
def _inserts(host: Host, place: Place, datastore: str, role: str, sequence: str) -> None:
    seen = postgres_sequence.call({"host": host, "place": place, "datastore": datastore, "sequence": sequence})
    if role not in seen["roles"]:
        raise NotAllowed(f"role {role!r} may not insert into the table of sequence {sequence!r}, or can use it already")


@grant_sequence.undo
def _revoke_sequence(place: Place, datastore: str, role: str, sequence: str) -> Commands:
    sql = f"REVOKE USAGE ON SEQUENCE {psql.identifier(sequence)} FROM {psql.identifier(role)}"
    yield Run(argv=psql.argv(place, datastore, sql))


@probe(needs=("psql",))
def postgres_privilege(
    host: Host, place: Place, datastore: str, role: str, privilege: Privilege, table: str
) -> dict[str, Any]:
    """Whether a role has a right on a table."""
    psql.identifier(role)
    sql = f"select has_table_privilege('{role}', '{psql.identifier(table)}', '{privilege}') as has"
    return {"has": bool(psql.one(host, place, datastore, sql)["has"])}


@change(effect="change", repeatable=True, needs=("psql",))
def grant_privilege(place: Place, datastore: str, role: str, privilege: Privilege, table: str) -> Commands:
    """Give one role one missing right on one table."""
    sql = f"GRANT {privilege} ON {psql.identifier(table)} TO {psql.identifier(role)}"
    yield Run(argv=psql.argv(place, datastore, sql))


@grant_privilege.already
def _has_right(host: Host, place: Place, datastore: str, role: str, privilege: str, table: str) -> bool:
    args = {"datastore": datastore, "role": role, "privilege": privilege, "table": table}
    return bool(postgres_privilege.call({"host": host, "place": place, **args})["has"])


@grant_privilege.undo
def _revoke(place: Place, datastore: str, role: str, privilege: str, table: str) -> Commands:
    sql = f"REVOKE {privilege} ON {psql.identifier(table)} FROM {psql.identifier(role)}"
    yield Run(argv=psql.argv(place, datastore, sql))


def _denied_statement(host: Host, place: Place, datastore: str, table: str) -> str | None:
    """The kind of statement that was refused last, from the lines that follow the refusal in the server's log."""
    service = psql.entry(place, datastore).service
    bare = table.rpartition(".")[2].strip('"')
    refusal = re.compile(rf"permission denied for (?:table|relation|view) \"?{re.escape(bare)}\b")
    found = None
    for log in place.service(service).logs if service else ():
        lines = host.read_tail(place.path(log), limit=1 << 18).decode("utf-8", "replace").splitlines()
        for number, line in enumerate(lines):
            if refusal.search(line):
                after = " ".join(lines[number + 1 : number + 4])
                statement = re.search(r"STATEMENT:\s+(select|insert|update|delete)\b", after, re.I)
                found = statement[1].upper() if statement else found
    return found
