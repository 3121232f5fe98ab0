"""Keys: who may call, as what, until when. For administrators; the same as `devops-agent keys` on the command line."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from flask.typing import ResponseReturnValue

from devops_agent.errors import NotFound, RequestError
from devops_agent.jobs import keys
from devops_agent.model import now
from devops_agent.web import auth
from devops_agent.web.api import backend
from devops_agent.web.body import clean
from devops_agent.web.problems import Conflict
from devops_agent.web.v1.operations import operation
from devops_agent.web.v1.shapes import Key, Keys, NewKey, NewKeyMade, Rotation


@operation("GET", "/keys", tag="keys", role="admin", answer=Keys)
def list_keys() -> dict[str, Any]:
    """All keys that there ever were, without their secrets."""
    return {"items": [as_json(each) for each in keys.listed(backend().jobs.engine)]}


@operation(
    "POST", "/keys", tag="keys", role="admin", body=NewKey, answer=NewKeyMade, status=201, problems=(404, 409, 415)
)
def create_key(body: NewKey) -> ResponseReturnValue:
    """Make a key. The text that opens is told in this answer and never again.

    The first key closes the service: from then on nobody is answered without one.
    """
    unknown = [each for each in body.places if each not in backend().agent.places]
    if unknown:
        raise NotFound(f"places: no place {unknown[0]!r}")
    expires = now() + timedelta(days=body.expires_days) if body.expires_days else None
    return _made(
        *keys.create(backend().jobs.engine, clean(body.name), body.role, body.places, expires, auth.caller().name)
    )


@operation(
    "POST",
    "/keys/<key_id>/rotate",
    tag="keys",
    role="admin",
    body=Rotation,
    answer=NewKeyMade,
    status=201,
    problems=(404, 409, 415),
)
def rotate_key(key_id: str, body: Rotation) -> ResponseReturnValue:
    """Put a new key in the place of one, with the same name, role and places; the old one ends after the overlap."""
    overlap = timedelta(seconds=body.overlap_seconds)
    try:
        return _made(*keys.rotate(backend().jobs.engine, key_id, overlap, auth.caller().name))
    except RequestError as error:
        raise Conflict(str(error)) from None


@operation("POST", "/keys/<key_id>/revoke", tag="keys", role="admin", answer=Key, problems=(404, 409))
def revoke_key(key_id: str) -> dict[str, Any]:
    """Let a key open nothing from now on; other processes notice within two seconds.

    Not the key that the request is made with: nobody locks oneself out (the command line revokes any).
    """
    if key_id == auth.caller().key:
        raise Conflict("this is the key that you call with; revoke it with another one, or on the command line")
    gone = keys.revoke(backend().jobs.engine, key_id, auth.caller().name)
    auth.doors().keyring.forget()
    return as_json(gone)


def as_json(key: keys.Key) -> dict[str, Any]:
    """A key without what opens."""
    times = {name: getattr(key, name) for name in ("created", "expires", "revoked", "used")}
    facts = {name: getattr(key, name) for name in ("id", "name", "role", "created_by", "replaces", "valid")}
    return facts | {"places": list(key.places)} | {name: at.isoformat() if at else None for name, at in times.items()}


def _made(key: keys.Key, text: str) -> ResponseReturnValue:
    auth.doors().keyring.forget()
    return as_json(key) | {"key": text}, 201, {"Cache-Control": "no-store"}
