"""PostgreSQL schemas: who may use tables of one and cannot reach them, because the schema itself is closed to him.

Source: the documentation of GRANT (USAGE on schemas), has_schema_privilege, aclexplode.
"""

from __future__ import annotations

from typing import Any

from devops_agent.errors import NotAllowed
from devops_agent.inventory import Place
from devops_agent.model import Run
from devops_agent.tools import psql
from devops_agent.tools.base import Commands, Host, change, probe

_SHUT_OUT = (
    "select distinct rolname from pg_class join pg_namespace on pg_namespace.oid = relnamespace "
    "cross join lateral aclexplode(relacl) as given join pg_roles on pg_roles.oid = given.grantee "
    "where nspname = {0} and relkind in ('r', 'v', 'm', 'p', 'f') and rolcanlogin and not rolsuper "
    "and not has_schema_privilege(rolname, nspname, 'USAGE')"
)
_COMMENT = "select coalesce(obj_description(oid, 'pg_namespace'), '') as comment from pg_namespace where nspname = {0}"


@probe(needs=("psql",))
def postgres_schema(host: Host, place: Place, datastore: str, name: str) -> dict[str, Any]:
    """Which roles were given rights on tables of a schema and may not use the schema itself: `role` where it is exactly
    one, `roles` all of them. `comment` is what somebody wrote about the schema."""
    quoted = psql.literal(name)
    found = psql.rows(host, place, datastore, _COMMENT.format(quoted))
    facts: dict[str, Any] = {"schema": name, "exists": bool(found), "role": None, "roles": []}
    if not found:
        return facts | {"comment": ""}
    roles = sorted(row["rolname"] for row in psql.rows(host, place, datastore, _SHUT_OUT.format(quoted)))
    return facts | {"comment": found[0]["comment"], "roles": roles, "role": roles[0] if len(roles) == 1 else None}


@change(effect="change", repeatable=True, needs=("psql",))
def grant_schema(place: Place, datastore: str, role: str, name: str) -> Commands:
    """Let a role that was given rights on tables of a schema use the schema; it may make nothing in it."""
    yield Run(argv=psql.argv(place, datastore, _sentence("GRANT", "TO", role, name)))


@grant_schema.precondition
def _has_tables(host: Host, place: Place, datastore: str, role: str, name: str) -> None:
    seen = postgres_schema.call({"host": host, "place": place, "datastore": datastore, "name": name})
    if role not in seen["roles"]:
        raise NotAllowed(f"role {role!r} has no rights on tables of schema {name!r}, or may use it already")


@grant_schema.undo
def _revoke_schema(place: Place, datastore: str, role: str, name: str) -> Commands:
    yield Run(argv=psql.argv(place, datastore, _sentence("REVOKE", "FROM", role, name)))


def _sentence(verb: str, word: str, role: str, name: str) -> str:
    return f"{verb} USAGE ON SCHEMA {psql.identifier(name)} {word} {psql.identifier(role)}"
