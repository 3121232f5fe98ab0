"""Log in by key, and out again."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flask import redirect, request, url_for

from devops_agent.web import auth
from devops_agent.web.pages.frame import blueprint, check_form, field, render

if TYPE_CHECKING:
    from flask.typing import ResponseReturnValue


@blueprint.get("/login")
@auth.public
def login() -> ResponseReturnValue:
    """The form for a key."""
    return render("login.html", next=_next(request.args.get("next", "")), oidc=auth.doors().oidc, wrong=False)


@blueprint.post("/login")
@auth.public
def enter() -> ResponseReturnValue:
    """Begin a session with the key that was typed in."""
    check_form()
    doors = auth.doors()
    wanted = _next(field("next", 500))
    key = doors.by_secret(field("key", 500))
    if key is None:
        return render("login.html", next=wanted, oidc=doors.oidc, wrong=True), 401
    response = redirect(wanted, 303)
    doors.sessions.begin(response, {"key": key.id, "begin": key.hash[:16]})  # type: ignore[arg-type]
    return response


@blueprint.post("/logout")
@auth.needs("viewer")
def logout() -> ResponseReturnValue:
    """End the session."""
    check_form()
    response = redirect(url_for("pages.login"), 303)
    auth.doors().sessions.end(response)  # type: ignore[arg-type]
    return response


def _next(address: str) -> str:
    """Where to go on: a page of ours, whatever the address says."""
    plain = address.startswith("/dashboard") and "//" not in address and "\\" not in address
    return address if plain and not address.startswith("/dashboard/login") else url_for("pages.dashboard")
