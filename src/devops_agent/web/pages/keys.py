"""Keys, for administrators: who may come in, as what, until when."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from flask import redirect, request, url_for

from devops_agent.errors import RequestError
from devops_agent.jobs import keys
from devops_agent.model import now
from devops_agent.web import auth
from devops_agent.web.api import backend
from devops_agent.web.pages.frame import blueprint, check_form, field, render, who

if TYPE_CHECKING:
    from flask.typing import ResponseReturnValue

DAYS = {"30": "30 days", "90": "90 days", "365": "a year", "": "until it is revoked"}


@blueprint.get("/settings/keys")
@auth.needs("admin")
def list_keys() -> ResponseReturnValue:
    """All keys that there ever were, without their secrets, and the form for a new one."""
    return _page()


@blueprint.post("/settings/keys")
@auth.needs("admin")
def create_key() -> ResponseReturnValue:
    """Make a key; the text that opens is shown this once. The first key closes the service."""
    check_form()
    days = field("days", 5)
    places = [each for each in request.form.getlist("places") if each in backend().agent.places]
    if days not in DAYS:
        raise RequestError("days: expected one of those that are offered")
    expires = now() + timedelta(days=int(days)) if days else None
    made, text = keys.create(backend().jobs.engine, field("name", 200), field("role", 20), places, expires, who())
    auth.doors().keyring.forget()
    return _page(made, text)


@blueprint.post("/settings/keys/<key_id>/revoke")
@auth.needs("admin")
def revoke_key(key_id: str) -> ResponseReturnValue:
    """From now on the key opens nothing; not the one that the session began with."""
    check_form()
    if key_id == auth.caller().key:
        raise RequestError("key: this is the one that you came in with; revoke it with another one")
    keys.revoke(backend().jobs.engine, key_id, who())
    auth.doors().keyring.forget()
    return redirect(url_for("pages.list_keys"), 303)


def _page(made: keys.Key | None = None, text: str = "") -> ResponseReturnValue:
    listed = keys.listed(backend().jobs.engine)
    return render(
        "keys.html",
        keys=sorted(listed, key=lambda each: (not each.valid, each.created)),
        roles=auth.ROLES,
        days=DAYS,
        places=sorted(backend().agent.places),
        made=made,
        text=text,
        own=auth.caller().key,
    )
