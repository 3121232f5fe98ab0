"""What all pages have in common: the blueprint, the frame around them, the form's token, errors, headers."""

from __future__ import annotations

import gzip
import hmac
import secrets
from contextlib import suppress
from typing import Any
from urllib.parse import quote

from flask import Blueprint, Response, current_app, make_response, render_template, request
from sqlalchemy.exc import SQLAlchemyError
from werkzeug.exceptions import InternalServerError

from devops_agent.distil.redact import redact
from devops_agent.errors import AgentError
from devops_agent.jobs.halts import Halt
from devops_agent.web import auth, body, halting, words
from devops_agent.web.problems import Forbidden

blueprint = Blueprint("pages", __name__, url_prefix="/dashboard")

COOKIE = "devops_agent_form"
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
SMALL = 1400
"""Shorter answers fit into one packet anyway and are not compressed, in bytes."""


def render(template: str, **values: Any) -> Response:
    """A page in its frame, with the token that its forms send back."""
    session = auth.caller().via == "session"
    token = auth.doors().sessions.token() if session else request.cookies.get(COOKIE, "")
    fresh = not session and len(token) < 20
    if fresh:
        token = secrets.token_urlsafe(24)
    common = {"token": token, "words": words, "live": live, "may": may, "caller": auth.caller(), "halts": halts()}
    response = make_response(render_template(template, **common, **values))
    if fresh:
        response.set_cookie(
            COOKIE, token, path="/dashboard", httponly=True, samesite="Strict", secure=request.is_secure
        )
    return response


def check_form() -> None:
    """Refuse a form that one of our pages did not send; raises Forbidden. Those of a session are checked before, and
    who sends a key is no browser that another site could lead."""
    if auth.caller().via in ("session", "key"):
        return
    kept, sent = request.cookies.get(COOKIE, ""), request.form.get("token", "")
    if len(kept) < 20 or not hmac.compare_digest(kept.encode(), sent.encode("utf-8", "replace")):
        raise Forbidden("token: the form is too old or not ours; reload the page and try again")


def who() -> str:
    """Who acts: the name that is verified, or else the one that the form gives."""
    return auth.caller().called(field("by", 200) or "dashboard")


def field(name: str, limit: int, default: str = "") -> str:
    """A field of the form, in text that can be stored everywhere."""
    return body.clean(request.form.get(name, default)).strip()[:limit]


def halts() -> list[Halt]:
    """What stands still, for whoever may know."""
    with suppress(SQLAlchemyError):  # a page that says that the database is away is shown all the same
        return halting.in_force() if auth.caller() is not auth.NOBODY else []
    return []


def may(role: auth.Role) -> bool:
    """Whether the caller's role is this one or a higher one, where the page is about a job: at its place."""
    who, job = auth.caller(), (request.view_args or {}).get("job_id")
    return who.may(role) and (job is None or auth.doors().sees(who.acting_as(role), str(job)))


def mine() -> list[str]:
    """Names of the places that the caller sees."""
    from devops_agent.web.api import backend

    seen = auth.caller().places
    return sorted(each for each in backend().agent.places if seen is None or each in seen)


def number(name: str, default: int = 1, least: int = 1, most: int = 999_999_999) -> int:
    """A whole number of the address, within its bounds; the default where it is none."""
    text = request.args.get(name, "")
    return max(least, min(most, int(text))) if text.isascii() and text.isdigit() and len(text) < 10 else default


def live(job: str | None = None) -> str:
    """Address of the events of a job, or of all."""
    return f"/api/v1/jobs/{quote(job)}/events" if job is not None else "/api/v1/events"


@blueprint.errorhandler(AgentError)
def problem(error: AgentError) -> Any:
    """An error as a page, for those who read pages."""
    if error.status >= 500 and error.status != 503:
        raise InternalServerError(original_exception=error)
    if request.accept_mimetypes.best_match(["application/json", "text/html"]) != "text/html":
        return {"error": redact(str(error))[0], "code": error.code}, error.status
    job = (request.view_args or {}).get("job_id") if error.status != 404 else None
    return render("problem.html", message=redact(str(error))[0], job=job), error.status


@blueprint.after_request
def protect(response: Response) -> Response:
    """Nothing but our own files is loaded, nobody frames the page, no address leaks; text is sent compressed."""
    headers = response.headers
    headers["Content-Security-Policy"] = POLICY
    headers["Referrer-Policy"] = "same-origin"
    headers["X-Frame-Options"] = "DENY"
    headers["Cross-Origin-Opener-Policy"] = "same-origin"
    headers["Permissions-Policy"] = "camera=(), geolocation=(), microphone=()"
    if not response.is_streamed and response.mimetype == "text/html" and not current_app.testing:
        _compress(response)
    return response


def _compress(response: Response) -> None:
    response.vary.add("Accept-Encoding")
    data = response.get_data()
    if len(data) < SMALL or "Content-Encoding" in response.headers or not request.accept_encodings["gzip"]:
        return
    response.set_data(gzip.compress(data, 5, mtime=0))
    response.headers["Content-Encoding"] = "gzip"
