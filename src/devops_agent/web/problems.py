"""Every answer that is not what the client hoped for, as JSON without internals.

Errors made on purpose (AgentError) carry a message for people and a status; those of HTTP get a sentence; anything else
is logged under a reference and answered with that reference alone.
"""

from __future__ import annotations

import json
import logging
import math
import re
import secrets
import traceback
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from flask import redirect, request
from werkzeug.exceptions import HTTPException, InternalServerError

from devops_agent.distil.redact import redact
from devops_agent.errors import AgentError
from devops_agent.web.headers import request_id

if TYPE_CHECKING:
    from flask import Flask
    from flask.typing import ResponseReturnValue

log = logging.getLogger("devops_agent.web")

API = "/api/v1/"
_FIELD = re.compile(r"([A-Za-z][\w.\[\]-]{0,200}): (.+)", re.DOTALL)
_CODES = {
    400: "bad_request",
    404: "not_found",
    405: "method_not_allowed",
    413: "too_large",
    415: "unsupported_media_type",
    500: "internal_error",
}
SENTENCES = {
    400: "the request could not be understood",
    401: "a key is needed",
    403: "this is not allowed from here",
    404: "there is nothing at this address",
    405: "this method is not allowed at this address",
    408: "the request took too long to arrive",
    413: "the body is too large",
    414: "the address is too long",
    415: "this content type is not accepted",
    429: "too many requests",
    431: "the headers are too large",
    503: "the service is busy; try again shortly",
}


class Forbidden(AgentError):
    """The request comes from a page or under a name that may not do this."""

    code = "forbidden"
    status = 403


class Busy(AgentError):
    """Too many requests are being waited for in this process."""

    code = "busy"
    status = 503


class Unauthorized(AgentError):
    """A key is needed, and none came along, or one that opens nothing."""

    code = "unauthorized"
    status = 401


class TooMany(AgentError):
    """The caller asks too often."""

    code = "too_many_requests"
    status = 429

    def __init__(self, message: str, seconds: float) -> None:
        super().__init__(message)
        self.retry_after = max(1, math.ceil(seconds))


class Conflict(AgentError):
    """What is asked for does not go together with how things stand."""

    code = "conflict"
    status = 409


def headers_of(error: AgentError) -> dict[str, str]:
    """What a client's program should know besides the message."""
    if error.status == 401:
        return {"WWW-Authenticate": 'Bearer realm="devops-agent"'}
    if error.status in (429, 503):
        return {"Retry-After": str(getattr(error, "retry_after", 2))}
    return {}


def register(app: Flask, details: bool = False) -> None:
    """Install the error answers. `details` adds the traceback of unexpected errors (debugging on loopback only)."""

    def on_agent_error(error: AgentError) -> ResponseReturnValue:
        if error.status >= 500 and not isinstance(error, Busy):
            return unexpected(error)
        body: dict[str, Any] = {"error": str(error), "code": error.code, "problems": getattr(error, "problems", None)}
        return told(body, error.status, headers_of(error))

    def on_http_error(error: HTTPException) -> ResponseReturnValue:
        if isinstance(error, InternalServerError):
            return unexpected(error.original_exception or error)
        status = error.code or 500
        body: dict[str, Any] = {"error": SENTENCES.get(status, error.name.lower())}
        headers: dict[str, str] = {}
        if status == 404 and request.path == "/" and "text/html" in request.headers.get("Accept", ""):
            return redirect("/dashboard")  # a person with a browser
        if status == 404:
            body["available_endpoints"] = endpoints(app)
        elif status == 405 and (allowed := sorted(getattr(error, "valid_methods", None) or ())):
            body["allowed_methods"] = allowed
            headers["Allow"] = ", ".join(allowed)
        elif status == 413:
            most = app.config["MAX_CONTENT_LENGTH"]
            body["error"] += f" (at most {most} bytes: DEVOPS_AGENT_MAX_BODY_BYTES); send it compressed, or its end"
        return told(body, status, headers)

    def unexpected(cause: BaseException) -> ResponseReturnValue:
        reference = secrets.token_hex(4)
        log.error("request failed, reference %s", reference, exc_info=cause)
        body: dict[str, Any] = {"error": "the agent failed to answer; its log has the details", "reference": reference}
        if details:
            body["details"] = "".join(traceback.format_exception(cause))
        return told(body, 500, {})

    app.register_error_handler(AgentError, on_agent_error)
    app.register_error_handler(HTTPException, on_http_error)


def told(body: dict[str, Any], status: int, headers: dict[str, str]) -> ResponseReturnValue:
    """The answer in the form of the contract; in that of RFC 9457 where the newer API was asked."""
    body["error"] = redact(str(body["error"]))[0]
    fields = [{name: redact(str(said))[0] for name, said in each.items()} for each in body.pop("problems", None) or ()]
    if not request.path.startswith(API):
        return body, status, headers
    code = body.pop("code", None) or _CODES.get(status) or f"http_{status}"
    detail = body.pop("error")
    named = _FIELD.match(detail) if status == 400 else None
    problem = {
        "type": f"urn:devops-agent:problem:{code}",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
        "code": code,
        "errors": fields or ([{"field": named[1], "message": named[2]}] if named else []),
        "request_id": request_id() or None,
        **{name: value for name, value in body.items() if name != "available_endpoints"},
    }
    return json.dumps(problem), status, {**headers, "Content-Type": "application/problem+json"}


def endpoints(app: Flask) -> list[str]:
    """What there is for programs, and the page: as `METHOD /address`, in the order in which it was registered."""
    return [
        f"{method} {rule.rule.replace('<', '{').replace('>', '}').replace('path:', '')}"
        for rule in app.url_map.iter_rules()
        for method in sorted((rule.methods or set()) - {"HEAD", "OPTIONS"})
        if rule.endpoint == "pages.dashboard" or not rule.endpoint.startswith("pages.")
    ]
