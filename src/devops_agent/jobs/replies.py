"""What was answered to requests that carry an idempotency key, so that one that is sent again does nothing again.

The key is written in the transaction that does what is asked, so that either both are kept or neither.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable

from sqlalchemy import Connection, Engine, delete, insert, select
from sqlalchemy.exc import IntegrityError

from devops_agent.distil.redact import redact
from devops_agent.errors import RequestError
from devops_agent.jobs.journal import synchronous
from devops_agent.jobs.tables import replies
from devops_agent.model import now

KEPT_SECONDS = 24 * 3600.0


class KeyReused(RequestError):
    """The same key came with another request before."""

    code = "idempotency_key_reused"
    status = 409


def once(engine: Engine, caller: str, key: str, request: str, act: Callable[[Connection], str]) -> tuple[str, bool]:
    """What `act` returned for this caller's key, and whether it was done now. `request`: a digest of what is asked.

    Raises KeyReused where the key came with another request before.
    """
    if redact(key)[1]:  # who takes a secret for it need not read it in the database
        key = hashlib.sha256(key.encode("utf-8", "replace")).hexdigest()
    for again in (True, False):
        try:
            return _once(engine, caller, key, request, act)
        except IntegrityError:  # somebody else was quicker (not on SQLite, where writers come one after the other)
            if not again:
                raise
    raise AssertionError


def _once(engine: Engine, caller: str, key: str, request: str, act: Callable[[Connection], str]) -> tuple[str, bool]:
    mine = (replies.c.caller == caller) & (replies.c.key == key)
    stamp = now().timestamp()
    with engine.connect() as connection, synchronous(connection, True), connection.begin():
        connection.execute(delete(replies).where(replies.c.at < stamp - KEPT_SECONDS))
        row = connection.execute(select(replies).where(mine)).first()
        if row is not None:
            if row.request != request:
                raise KeyReused("Idempotency-Key: it came with another request before; take a new one")
            return str(row.answer), False
        values = {"caller": caller, "key": key, "request": request, "status": 202, "at": stamp}
        connection.execute(insert(replies).values(**values))
        answer = act(connection)
        connection.execute(replies.update().where(mine).values(answer=answer))
    return answer, True
