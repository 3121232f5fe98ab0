"""One question to a Postgres of the inventory, in its own words, that can only read.

It runs in a read-only transaction with a time limit, as the only statement, and calls no function but those listed
here: as an administrator even a SELECT could end sessions or read files.
"""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import Field

from devops_agent.errors import NotAllowed
from devops_agent.inventory import Place
from devops_agent.tools import askable, psql, secrecy
from devops_agent.tools.base import Host, probe

Query = Annotated[str, Field(min_length=8, max_length=2000)]
_ROWS = 50
_CELL = 300
_CALLED = re.compile(r"(\.?)\s*([A-Za-z_][\w$]*|\")\s*\(")
_QUOTED = re.compile(r"(['\"])(?:(?!\1)[^\\]|\1\1)*\1")
_PLAIN = re.compile(
    r"select|from|where|and|or|not|in|exists|any|all|some|on|using|join|lateral|values|over|filter|within|group|by|having"
    r"|order|limit|offset|as|case|when|then|else|distinct|union|except|intersect|with|between|like|ilike|array|row"
    r"|numeric|varchar|char|decimal|interval|timestamp"  # up to here words before a parenthesis, from here functions
    r"|count|sum|avg|min|max|bool_and|bool_or|string_agg|array_agg|json_agg|coalesce|nullif|greatest|least|round|abs|ceil"
    r"|floor|trunc|mod|length|char_length|lower|upper|left|right|substr|substring|trim|btrim|ltrim|rtrim|replace"
    r"|split_part|concat|concat_ws|to_char|date_trunc|date_part|extract|age|now|current_setting|pg_size_pretty"
    r"|pg_database_size|pg_relation_size|pg_total_relation_size|pg_table_size|pg_indexes_size|pg_blocking_pids"
    r"|pg_is_in_recovery|pg_postmaster_start_time|pg_conf_load_time|format_type|pg_get_indexdef|pg_get_constraintdef"
    r"|cardinality|unnest|row_number|rank|dense_rank|lag|lead|first_value|last_value|generate_series",
    re.I,
)
_REFUSED = re.compile(
    r";|--|/\*|\\|\$\w*\$|[UuEeBbXxNn]&?['\"]|\binto\b|\bfor\s+(?:no\s+key\s+)?(?:update|share|key)\b", re.I
)


@probe(needs=("psql",))
def postgres_query(host: Host, place: Place, datastore: str, query: Query) -> dict[str, Any]:
    """Ask a Postgres with one SELECT that only reads: at most 50 `rows`, long texts cut; what looks secret is not told.

    No functions but plain ones (count, max, now, pg_size_pretty and their like).
    """
    text = _require_harmless(query)
    wrapped = f"SELECT coalesce(json_agg(rows), '[]') FROM (SELECT * FROM ({text}) AS asked LIMIT {_ROWS + 1}) AS rows"  # noqa: S608 - looked through above, and read-only
    found = psql.rows_of(host, psql.read_only(place, datastore, wrapped))
    rows = [{key: _cell(key, value) for key, value in row.items()} for row in found[:_ROWS]]
    return {"datastore": datastore, "rows": rows, "count": len(rows), "more": len(found) > _ROWS}


def _require_harmless(query: str) -> str:
    text = query.strip().removesuffix(";").strip()
    plain = _QUOTED.sub(lambda found: found[1] * 2, text)
    if not re.match(r"(?i)(select|with|values)\b", plain):
        raise NotAllowed("query: only one SELECT is asked")
    if found := _REFUSED.search(plain):
        raise NotAllowed(f"query: {found[0]!r} has no place in it: one plain SELECT, without comments")
    if re.search(r"(?i)\b(insert|update|delete|merge|copy|call|do|set|drop|alter|create|truncate)\b", plain):
        raise NotAllowed("query: it must only read")
    for qualified, name in _CALLED.findall(plain):
        if qualified or not _PLAIN.fullmatch(name):
            raise NotAllowed(f"query: {name}(…) is none of the functions that may be called")
    if re.search(
        r"(?i)\b(pg_authid|pg_shadow|pg_user_mapping|pg_largeobject|pg_subscription|pg_hba_file_rules)\b", plain
    ):
        raise NotAllowed("query: tables that hold secrets are not read")
    askable.require_open(text)
    depth = 0
    for character in plain:
        depth += {"(": 1, ")": -1}.get(character, 0)
        if depth < 0:
            raise NotAllowed("query: a parenthesis closes that was not opened")
    return text


def _cell(key: str, value: Any) -> Any:
    if value is None or isinstance(value, bool | int | float):
        return value
    text = value if isinstance(value, str) else str(value)
    return "***" if secrecy.is_secret(key, text) else secrecy.masked(text)[:_CELL]
