"""Keys of the API: who may call, as what, until when. Only a hash of each is kept.

A key reads `dak_<id>_<secret>`. The id finds its row; the secret has 256 random bits, so that one SHA-256 over the
whole key is enough to keep (slow hashes are for what people choose), and is compared in constant time.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Engine, insert, select, update

from devops_agent.errors import NotFound, RequestError
from devops_agent.jobs import audit
from devops_agent.jobs.tables import api_keys, reading
from devops_agent.model import now

ROLES = ("viewer", "responder", "approver", "admin")
"""Each may do what those before it may: look; submit, cancel and correct; decide; give keys."""
PREFIX = "dak"
SUBJECT = "keys"
"""What the audit trail has in the place of a job for what happens to keys."""
USED_EVERY = 60.0
"""Seconds in which a key's last use is written down at most once."""


@dataclass(frozen=True)
class Key:
    """A key without its secret. `places`: which it is for; empty for all. Times are UTC."""

    id: str
    name: str
    role: str
    places: tuple[str, ...]
    created: datetime
    created_by: str
    expires: datetime | None
    revoked: datetime | None
    used: datetime | None
    replaces: str | None
    hash: str

    @property
    def valid(self) -> bool:
        """Whether it opens anything at this moment."""
        return self.revoked is None and (self.expires is None or self.expires > now())


def create(
    engine: Engine, name: str, role: str, places: Sequence[str] = (), expires: datetime | None = None, by: str = ""
) -> tuple[Key, str]:
    """A new key, and the text that opens: it is told this once. The name says whose it is; one may have several."""
    _check(name, role, expires)
    with engine.begin() as connection:
        made, text = _insert(connection, name.strip(), role, tuple(dict.fromkeys(places)), expires, by)
        facts = {"key": made.id, "name": made.name, "role": role, "places": list(made.places)}
        audit.append(connection, SUBJECT, "key created", by or "unknown", facts)
    return made, text


def rotate(engine: Engine, key: str, overlap: timedelta = timedelta(), by: str = "") -> tuple[Key, str]:
    """A new key in the place of a valid one, which goes on to open for the time of the overlap."""
    with engine.begin() as connection:
        old = _find(connection, key)
        if not old.valid:
            raise RequestError(f"key: {key} is revoked or has expired; create a new one")
        made, text = _insert(connection, old.name, old.role, old.places, old.expires, by, replaces=old.id)
        ends = (now() + overlap).timestamp()
        if old.expires is None or old.expires.timestamp() > ends:
            connection.execute(update(api_keys).where(api_keys.c.id == old.id).values(expires=ends))
        facts = {"key": old.id, "by": made.id, "name": old.name, "until": ends}
        audit.append(connection, SUBJECT, "key rotated", by or "unknown", facts)
    return made, text


def revoke(engine: Engine, key: str, by: str = "") -> Key:
    """From now on the key opens nothing; one that is revoked already stays so."""
    with engine.begin() as connection:
        found = _find(connection, key)
        if found.revoked is None:
            stamp = now().timestamp()
            connection.execute(update(api_keys).where(api_keys.c.id == key).values(revoked=stamp))
            audit.append(connection, SUBJECT, "key revoked", by or "unknown", {"key": key, "name": found.name})
        return _find(connection, key)


def listed(engine: Engine) -> list[Key]:
    """All keys that there ever were, oldest first."""
    with reading(engine) as connection:
        return [_key(row) for row in connection.execute(select(api_keys).order_by(api_keys.c.created)).mappings()]


def exist(engine: Engine) -> bool:
    """Whether there ever was a key: who gave one has closed the service, also once the last one is revoked."""
    with reading(engine) as connection:
        return connection.execute(select(api_keys.c.id).limit(1)).first() is not None


def by_id(engine: Engine, key: str) -> Key:
    """One key. Raises NotFound."""
    with reading(engine) as connection:
        return _find(connection, key)


def opened(engine: Engine, text: str) -> Key | None:
    """The valid key that this text is; None for anything else, after the same work whether its id is known or not."""
    given = hashed(text)
    name = key_id(text)
    with reading(engine) as connection:
        row = connection.execute(select(api_keys).where(api_keys.c.id == name)).mappings().first()
    same = hmac.compare_digest(given, row["hash"] if row is not None else "0" * 64)
    found = _key(row) if row is not None else None
    return found if same and found is not None and found.valid else None


def note_used(engine: Engine, used: Iterable[tuple[str, float]]) -> None:
    """Write down when keys were used last."""
    with engine.begin() as connection:
        for key, at in used:
            connection.execute(update(api_keys).where(api_keys.c.id == key).values(used=at))


def hashed(text: str) -> str:
    """What is kept of a key."""
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()


def key_id(text: str) -> str:
    """The id within a key; empty where the text has not the form of one."""
    parts = text.split("_", 2)
    return parts[1] if len(parts) == 3 and parts[0] == PREFIX and len(text) < 200 else ""


def _check(name: str, role: str, expires: datetime | None) -> None:
    if not name.strip() or len(name) > 200 or not name.isprintable():
        raise RequestError("name: expected whose key it is, in at most 200 printable characters")
    if role not in ROLES:
        raise RequestError(f"role: expected one of {', '.join(ROLES)}")
    if expires is not None and expires <= now():
        raise RequestError("expires: expected a time that is still to come")


def _insert(
    connection: Connection,
    name: str,
    role: str,
    places: tuple[str, ...],
    expires: datetime | None,
    by: str,
    replaces: str | None = None,
) -> tuple[Key, str]:
    number = secrets.token_hex(6)
    text = f"{PREFIX}_{number}_{secrets.token_urlsafe(32)}"
    values = {
        "id": number,
        "name": name,
        "role": role,
        "places": json.dumps(places),
        "hash": hashed(text),
        "created": now().timestamp(),
        "created_by": by[:200],
        "expires": expires.timestamp() if expires else None,
        "replaces": replaces,
    }
    connection.execute(insert(api_keys).values(**values))
    return _find(connection, number), text


def _find(connection: Connection, key: str) -> Key:
    row = connection.execute(select(api_keys).where(api_keys.c.id == key)).mappings().first()
    if row is None:
        raise NotFound(f"no key {key!r}; `devops-agent keys list` shows those that there are")
    return _key(row)


def _key(row: Any) -> Key:
    return Key(
        id=row["id"],
        name=row["name"],
        role=row["role"],
        places=tuple(json.loads(row["places"])),
        created=datetime.fromtimestamp(row["created"], UTC),
        created_by=row["created_by"],
        expires=_time(row["expires"]),
        revoked=_time(row["revoked"]),
        used=_time(row["used"]),
        replaces=row["replaces"],
        hash=row["hash"],
    )


def _time(stamp: float | None) -> datetime | None:
    return None if stamp is None else datetime.fromtimestamp(stamp, UTC)
